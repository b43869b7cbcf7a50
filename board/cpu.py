"""The CPU: a clock rate, and a local time that work moves on.

A CPU here does not interpret instructions. The firmware's tasks run as Python and say what their work costs; the CPU
turns cycles into time. While a task works, the CPU's local time runs ahead of the world, and the world catches up when
the task gives the CPU back, or when it touches a device that the world can change under its hands (``sync``).

A turn runs on a stack of its own (``board/stacks.py``), so that it can be left in the middle of a ``sync`` while the
clock goes on to other boards, however many of them wait at the same time (SystemC's threads do the same)::

    clock     | event ---.        .--- events of other boards ---.        .--- event of CPU A: local time reached
    CPU A     |          '-> turn, sync: local time is ahead ----'        '-> turn goes on

Not modelled: instructions, caches, memory contention, interrupts in the middle of a task's work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from greenlet import getcurrent, greenlet

from board.clock import FOREVER_NS, Alarm, VirtualClock


class CpuReset(BaseException):
    """Unwinds whatever the CPU was doing; nothing in the firmware may catch it. Carries the reset cause."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class WatchdogTimer(Protocol):
    """What the CPU must know of the watchdog."""

    deadline_ns: int

    def check(self, now_ns: int) -> None: ...


class Cpu:
    """One CPU. ``hz`` cycles pass in a second of its local time ``now_ns``."""

    def __init__(self, clock: VirtualClock, hz: int) -> None:
        self.hz = hz
        self.now_ns = clock.now_ns
        self.world = clock
        self.watchdog: WatchdogTimer | None = None
        self._remainder = 0
        self._wake: Callable[[], None] | None = None
        self._doomed: CpuReset | None = None
        self._stack: greenlet | None = None
        self._waiting: Alarm | None = None

    def run(self, turn: Callable[[], None]) -> None:
        """Runs ``turn()`` until it ends, or has to wait for the world: then the clock makes it go on."""
        self._stack = stack = self.world.stacks.take()
        stack.switch(turn)

    def spend(self, cycles: int) -> None:
        """Moves local time on by ``cycles``, exactly: what does not fill a nanosecond is kept for the next time.

        Raises CpuReset when the watchdog bites meanwhile.
        """
        duration_ns, self._remainder = divmod(cycles * 1_000_000_000 + self._remainder, self.hz)
        # As ``spend_ns``, written out: every charge comes by here.
        self.now_ns = now_ns = self.now_ns + duration_ns
        watchdog = self.watchdog
        if watchdog is not None and now_ns > watchdog.deadline_ns:
            watchdog.check(now_ns)

    def spend_ns(self, duration_ns: int) -> None:
        """Moves local time on by a duration that does not depend on the clock rate (a device that is waited for)."""
        self.now_ns += duration_ns
        watchdog = self.watchdog
        if watchdog is not None and self.now_ns > watchdog.deadline_ns:
            watchdog.check(self.now_ns)

    def rest(self) -> None:
        """Brings local time up to the world's, where the world has gone on without this CPU."""
        if self.now_ns < self.world.now_ns:
            self.now_ns = self.world.now_ns

    def sync(self) -> None:
        """Lets the world catch up with local time, so that what happens out there is seen before the next step.

        Raises CpuReset when it was a reset or a power cut that happened.
        """
        world = self.world
        if self._doomed is None and self.now_ns > world.now_ns:
            if not world.reach(self.now_ns):
                self._wait()
            # The turn after this one is the clock's: a long row of turns that all wait for a device would otherwise
            # be one event, and whoever drives the clock could do nothing before its end.
            world.horizon_ns = min(world.horizon_ns, world.now_ns)
        if self._doomed is not None:
            raise self._doomed

    def interrupt(self) -> None:
        """Says that an interrupt handler ran: the kernel gets the CPU as soon as it is free."""
        if self._wake is not None:
            self._wake()

    def on_interrupt(self, wake: Callable[[], None] | None) -> None:
        """Sets what ``interrupt`` calls."""
        self._wake = wake

    def stop(self, cause: str) -> None:
        """Ends what runs on this CPU, which was reset or lost power from outside: it is unwound by a CpuReset.

        At once while it waits for the world; when the caller is itself what runs, at its next ``sync``.
        """
        self._doomed = reset = CpuReset(cause)
        if self._waiting is not None and self._stack is not None:
            self._waiting.cancel()
            self._waiting = None
            self._stack.parent = getcurrent()
            self._stack.throw(reset)

    def restart(self) -> None:
        """Begins anew at world time, with nothing owed."""
        self.now_ns = self.world.now_ns
        self._remainder = 0
        self._doomed = None

    def _wait(self) -> None:
        """Leaves the turn where it is until the world has come as far."""
        stack = getcurrent()
        if stack is not self._stack or stack.parent is None:
            self.world.run_until(self.now_ns)  # no turn, nothing to be left: a chip in its programmer, a test
            return
        self.world.busy_until_ns = max(self.world.busy_until_ns, self.now_ns)
        self._waiting = self.world.at(self.now_ns, self._go_on)
        stack.parent.switch()

    def _go_on(self) -> None:
        self._waiting = None
        assert self._stack is not None
        self._stack.parent = getcurrent()
        self._stack.switch()


IDLE_NS = FOREVER_NS
"""What a program wants to be called at when it waits for interrupts alone."""
