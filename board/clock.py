"""The virtual clock: one heap of ``(time, sequence, alarm)`` that drives every board of a world.

Equal times keep the order in which they were asked for, so a run is the same on every host. Time is an integer number
of nanoseconds since the world began and moves only from one event to the next: idle time costs nothing. Running
against the wall clock is a subclass (``board/pacing.py``) that delays, and changes nothing else.

How far a CPU may run ahead::

    world:   ---now----------x next event ------------------ limit of this run
    CPU:        |== task ==|== task ==|  local time reached the horizon: back to the clock
                           horizon = the earliest of: next event, limit, now + quantum

Not modelled: drift between boards' oscillators.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush

from board.stacks import Stacks

FOREVER_NS = 1 << 62
"""146 years: later than anything that happens."""

QUANTUM_NS = 100_000_000
"""How far a CPU may run ahead of an otherwise silent world before whoever steps the clock gets to look."""

COMPACT_ABOVE = 256
"""Cancelled alarms are left in the heap until there are this many of them and they are half of it."""


class Alarm:
    """Something that is to happen at a time, until it happened or was cancelled."""

    __slots__ = ("_clock", "callback", "when_ns")

    def __init__(self, clock: VirtualClock, when_ns: int, callback: Callable[[], None]) -> None:
        self._clock = clock
        self.when_ns = when_ns
        self.callback: Callable[[], None] | None = callback

    @property
    def pending(self) -> bool:
        """Whether it is still to come."""
        return self.callback is not None

    def cancel(self) -> None:
        """Takes it back; without effect when it has happened."""
        if self.callback is not None:
            self.callback = None
            self._clock._cancelled()


class VirtualClock:
    """Virtual time, and the order of everything that happens in it."""

    def __init__(self) -> None:
        self.now_ns = 0
        """World time."""
        self.horizon_ns = QUANTUM_NS
        """No CPU may run its tasks beyond this without returning to the clock."""
        self.busy_until_ns = 0
        """Up to here some CPU has already worked, or must wait for its share: time that a hurried run may skip."""
        self.stacks = Stacks()
        """What CPUs run on."""
        self._quantum_ns = QUANTUM_NS
        self._limit_ns = FOREVER_NS
        self._heap: list[tuple[int, int, Alarm]] = []
        self._sequence = 0
        self._stale = 0
        self._happening = False
        self._then: deque[Callable[[], None]] = deque()

    def at(self, when_ns: int, callback: Callable[[], None]) -> Alarm:
        """Calls ``callback()`` when world time is ``when_ns``; a time that has passed means: next."""
        if when_ns < self.now_ns:
            when_ns = self.now_ns
        alarm = Alarm(self, when_ns, callback)
        self._sequence += 1
        heappush(self._heap, (when_ns, self._sequence, alarm))
        if when_ns < self.horizon_ns:
            self.horizon_ns = when_ns
        return alarm

    def after(self, delay_ns: int, callback: Callable[[], None]) -> Alarm:
        """Calls ``callback()`` when ``delay_ns`` of world time have passed."""
        return self.at(self.now_ns + delay_ns, callback)

    def then(self, callback: Callable[[], None]) -> bool:
        """Calls ``callback()`` right after the event that happens now, before any other. False while none happens."""
        if self._happening:
            self._then.append(callback)
            if self.now_ns < self.horizon_ns:
                self.horizon_ns = self.now_ns
        return self._happening

    @property
    def next_ns(self) -> int | None:
        """World time of the next event, or of what still follows from the last; None when nothing is to come."""
        if self._then:
            return self.now_ns
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heappop(heap)
            self._stale -= 1
        return heap[0][0] if heap else None

    def reach(self, when_ns: int) -> bool:
        """Moves time to ``when_ns`` when nothing is to happen until then. False when something is."""
        next_ns = self.next_ns
        if when_ns > self._limit_ns or (next_ns is not None and next_ns <= when_ns):
            return False
        self.now_ns = when_ns
        self._look_ahead()
        return True

    def step(self) -> bool:
        """Lets the next event happen, and what follows from it. False when there is none before the limit."""
        if self._then:  # an event that failed, or that drives the clock itself, has left it
            self._happen(self._then.popleft())
            return True
        heap = self._heap
        while heap:
            when_ns, _, alarm = heap[0]
            callback = alarm.callback
            if callback is None:
                heappop(heap)
                self._stale -= 1
                continue
            if when_ns > self._limit_ns:
                return False
            heappop(heap)
            if when_ns > self.now_ns:
                self.now_ns = when_ns
            alarm.callback = None
            self._happen(callback)
            return True
        return False

    def _happen(self, callback: Callable[[], None]) -> None:
        """Lets one thing happen, and what follows from it. May be called from inside itself."""
        then, outer = self._then, self._happening
        self._happening = True
        try:
            self._look_ahead()
            callback()
            while then:
                callback = then.popleft()
                self._look_ahead()
                callback()
        finally:
            self._happening = outer

    def run_until(self, when_ns: int) -> None:
        """Lets everything happen up to and including ``when_ns``, and ends there.

        May be called from inside an event; it then goes no further than the call around it.
        """
        outer_ns = self._limit_ns
        self._limit_ns = min(when_ns, outer_ns)
        try:
            while self.step() or not self._elapse(self._limit_ns):
                pass
        finally:
            self._limit_ns = outer_ns
            self._look_ahead()

    def run_for(self, duration_ns: int) -> None:
        """Lets everything happen that falls into the next ``duration_ns``."""
        self.run_until(self.now_ns + duration_ns)

    def run_while(self, unfinished: Callable[[], bool], timeout_ns: int) -> bool:
        """Steps while ``unfinished()``, for ``timeout_ns`` of virtual time at most. True when it became finished."""
        outer_ns = self._limit_ns
        self._limit_ns = min(self.now_ns + timeout_ns, outer_ns)
        try:
            while unfinished():
                if not self.step() and self._elapse(self._limit_ns):
                    return not unfinished()
            return True
        finally:
            self._limit_ns = outer_ns
            self._look_ahead()

    def _elapse(self, when_ns: int) -> bool:
        """Lets time pass in which nothing happens. False when something may have come up meanwhile."""
        if self.now_ns < when_ns < FOREVER_NS:
            self.now_ns = when_ns
        return True

    def _look_ahead(self) -> None:
        horizon_ns = self.now_ns + self._quantum_ns
        if self._limit_ns < horizon_ns:
            horizon_ns = self._limit_ns
        if self._heap and self._heap[0][0] < horizon_ns:
            horizon_ns = self._heap[0][0]
        if self._then:
            horizon_ns = self.now_ns
        self.horizon_ns = horizon_ns

    def _cancelled(self) -> None:
        self._stale += 1
        if self._stale > COMPACT_ABOVE and self._stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapify(self._heap)
            self._stale = 0
