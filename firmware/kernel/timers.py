"""Timers: what happens on one CPU at which time.

A heap of plain times and, beside it, who is to be woken at each of them::

    times  [ 1_000, 1_500, 4_000, ... NEVER_NS ]       integers: nothing compares faster
    due    { 1_000: task a, 1_500: [task c, task b], 4_000: deadline }       equal times keep their order

Whoever is alone at a time stands there without a list, because nearly everybody is. A timer that is taken back leaves
its time in the heap and, where it was not alone, itself in the list: ``Timed._timer`` says what counts.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Final

NEVER_NS: Final = 1 << 62
"""Later than anything that happens."""

NO_TIMER: Final = 0
QUEUED: Final = -1
"""In place of a timer's time: neither sleeping nor ready; ready, or running."""

COMPACT_ABOVE = 256
"""Times at which nobody is woken any more stay in the heap until it is this long and they are half of it."""


class Timed:
    """What can lie among a kernel's timers: when its time comes, it is put where ``_enqueue`` says."""

    __slots__ = ("_enqueue", "_timer")

    def __init__(self, enqueue: Callable[[Any], None]) -> None:
        self._enqueue = enqueue
        self._timer = NO_TIMER  # the time that counts, NO_TIMER or QUEUED


class Timers:
    """Everybody who waits for a time. ``times`` and ``due`` are open to the kernel's dispatch loop alone."""

    __slots__ = ("due", "times")

    def __init__(self) -> None:
        self.times = [NEVER_NS]  # the last one never comes, so there is always a first
        self.due: dict[int, Timed | list[Timed]] = {}

    def arm(self, when_ns: int, target: Timed) -> None:
        """Wakes ``target`` at ``when_ns``; it must not have a timer."""
        target._timer = when_ns
        if when_ns in self.due:
            self.join(when_ns, target)
        else:
            self.due[when_ns] = target
            heappush(self.times, when_ns)

    def join(self, when_ns: int, target: Timed) -> None:
        """Puts ``target`` behind those who wait for the same time."""
        others = self.due[when_ns]
        if isinstance(others, list):
            others.append(target)
        else:
            self.due[when_ns] = [others, target]

    def disarm(self, target: Timed) -> None:
        """Takes the timer of ``target`` back, if it has one."""
        when_ns, target._timer = target._timer, NO_TIMER
        if self.due.get(when_ns) is target:
            del self.due[when_ns]
            if len(self.times) > COMPACT_ABOVE and len(self.times) > 2 * len(self.due):
                self.times[:] = [*self.due, NEVER_NS]
                heapify(self.times)

    def fire(self, now_ns: int) -> None:
        """Wakes whoever has fallen due: by time, and at equal times in the order of asking."""
        while self.times[0] <= now_ns:
            when_ns = heappop(self.times)
            self.wake(when_ns, self.due.pop(when_ns, None))

    @staticmethod
    def wake(when_ns: int, targets: Timed | list[Timed] | None) -> None:
        """Wakes those of ``targets`` that still wait for ``when_ns``."""
        if targets is None:
            return
        for target in targets if isinstance(targets, list) else (targets,):
            if target._timer == when_ns:
                target._enqueue(target)
                target._timer = QUEUED

    def next_ns(self) -> int | None:
        """The first time at which somebody may be woken; None when there is none."""
        while self.times[0] not in self.due and self.times[0] < NEVER_NS:
            heappop(self.times)
        return self.times[0] if self.times[0] < NEVER_NS else None
