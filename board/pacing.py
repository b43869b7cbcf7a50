"""Virtual time tied to the wall clock: the one module of the board that knows the host's time.

A paced clock is a virtual clock that waits before each event until the wall clock has come as far, and lets the outside
world (sockets, terminals) act while it waits. What happens, and in which order at equal times, is the business of
``VirtualClock``; here is only *when* the host sees it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from board.clock import FOREVER_NS, VirtualClock

PACED_QUANTUM_NS = 1_000_000
"""A CPU runs at most this far ahead of the wall clock, so that what comes from outside finds it where it should be."""

LONGEST_WAIT_S = 0.5
"""The outside is looked at this often even when nothing is due: signals and files have no descriptor of ours."""

CATCH_UP_NS = 50_000_000
"""A host that fell behind by more than this (it was stopped, or is too slow) is not made to hurry afterwards."""

POLL_EVERY_NS = 200_000
"""While events are overdue, the outside is still looked at this often: a busy board must not be deaf."""


class PacedClock(VirtualClock):
    """Virtual time = wall time x ``speed``.

    ``poll(timeout_s)`` waits up to that long for the outside world, hands in what came (at ``now_ns``), and returns
    at once when something did. With ``speed`` None the time that CPUs work is skipped; idle time passes at the wall
    clock's pace all the same, because people and other programs live in it.
    """

    def __init__(self, poll: Callable[[float], None], *, speed: float | None = 1.0) -> None:
        super().__init__()
        self._poll = poll
        self._skips_work = speed is None
        self._speed = speed or 1.0
        self._wall_ns = time.monotonic_ns()
        self._virtual_ns = 0
        self._polled_ns = 0
        self._look_ahead()

    def serve(self, running: Callable[[], bool]) -> None:
        """Runs the world while ``running()``; returns soon after it turned false."""
        while running():
            if not self.step():
                self._wait(self.now_ns + int(LONGEST_WAIT_S * 1e9))

    def step(self) -> bool:
        when_ns = self.next_ns
        if when_ns is None or when_ns > self._limit_ns:
            return False
        if self._wait(when_ns):
            # While it waited, the outside may have put something in front, or taken this back.
            when_ns = self.next_ns
            if when_ns is not None and when_ns <= self.now_ns:
                self._arrive(when_ns)
        return True

    def _elapse(self, when_ns: int) -> None:
        while self.now_ns < when_ns < FOREVER_NS and not self._wait(when_ns):
            if (next_ns := self.next_ns) is not None and next_ns <= self.now_ns:
                self.step()

    def _look_ahead(self) -> None:
        super()._look_ahead()
        self.horizon_ns = min(self.horizon_ns, self.now_ns + PACED_QUANTUM_NS)

    def _wait(self, when_ns: int) -> bool:
        """One look outside, until ``when_ns`` at the longest. True when that time has come."""
        if self._skips_work and self._due_ns() < when_ns <= self.busy_until_ns:
            self._begin_at(when_ns)
        due_ns = self._due_ns()
        if due_ns - when_ns > CATCH_UP_NS:
            self._begin_at(when_ns)
            due_ns = when_ns
        wait_ns = int((when_ns - due_ns) / self._speed)
        wall_ns = time.monotonic_ns()
        if wait_ns > 0 or wall_ns - self._polled_ns > POLL_EVERY_NS:
            self._polled_ns = wall_ns
            self._poll(min(max(wait_ns / 1e9, 0.0), LONGEST_WAIT_S))
            due_ns = self._due_ns()
        arrived_ns = min(due_ns, when_ns)
        if arrived_ns > self.now_ns:
            self.now_ns = arrived_ns
            self._look_ahead()
        return due_ns >= when_ns

    def _due_ns(self) -> int:
        """Where virtual time should be by the wall clock."""
        return self._virtual_ns + int((time.monotonic_ns() - self._wall_ns) * self._speed)

    def _begin_at(self, virtual_ns: int) -> None:
        self._wall_ns = time.monotonic_ns()
        self._virtual_ns = virtual_ns
