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
"""Wall time. A host that fell behind by more (it was stopped, or is too slow) is not made to hurry afterwards."""

POLL_EVERY_NS = 200_000
"""Wall time. While events are overdue, the outside is still looked at this often: a busy board must not be deaf."""


class PacedClock(VirtualClock):
    """Virtual time = wall time x ``speed``.

    With ``speed`` None the time that CPUs work is skipped; idle time passes at the wall clock's pace all the same,
    because people and other programs live in it.

    Args:
        poll: ``poll(timeout_s)`` waits up to that long for the outside world, calls ``catch_up`` when something came,
            hands it in at ``now_ns``, and returns.
        speed: virtual seconds per second, or None. ValueError when it is not above 0.
        wall_ns: the host's clock.
    """

    def __init__(
        self,
        poll: Callable[[float], None],
        *,
        speed: float | None = 1.0,
        wall_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__()
        self._quantum_ns = PACED_QUANTUM_NS
        if speed is not None and not speed > 0:
            raise ValueError(f"speed is {speed}, must be above 0")
        self._poll = poll
        self._skips_work = speed is None
        self._speed = 1.0 if speed is None else speed
        self._wall_now_ns = wall_ns
        self._wall_ns = wall_ns()
        self._virtual_ns = 0
        self._polled_ns = 0
        self._look_ahead()

    def serve(self, running: Callable[[], bool]) -> None:
        """Runs the world while ``running()``; returns soon after it turned false."""
        while running():
            if not self.step():
                self._wait(FOREVER_NS)

    def step(self) -> bool:
        """Waits for the next event, as long as one look outside takes, and lets it happen when its time has come.

        False when there is none before the limit of the run.
        """
        when_ns = self.next_ns
        if when_ns is None or when_ns > self._limit_ns:
            return False
        self._wait(when_ns)
        # While it waited, the outside may have put something in front, or taken this back.
        when_ns = self.next_ns
        if when_ns is not None and when_ns <= self.now_ns:
            super().step()
        return True

    def reach(self, when_ns: int) -> bool:
        """As for the virtual clock, once the wall clock is there."""
        return when_ns <= self._due_ns() and super().reach(when_ns)

    def catch_up(self) -> None:
        """Moves time on to where the wall clock is, though not past anything that is still to happen.

        For whoever polls, between waiting and handing in: what comes from outside bears the time at which it came.
        """
        when_ns = min(self._due_ns(), self._limit_ns)
        if (next_ns := self.next_ns) is not None:
            when_ns = min(when_ns, next_ns)
        self._move_to(when_ns)

    def _move_to(self, when_ns: int) -> None:
        if when_ns > self.now_ns:
            self.now_ns = when_ns
            self._look_ahead()

    def _elapse(self, when_ns: int) -> bool:
        if not self.now_ns < when_ns < FOREVER_NS:
            return True
        self._wait(when_ns)
        return False

    def _wait(self, when_ns: int) -> None:
        """One look outside, until ``when_ns`` at the longest; time moves on as far as the wall clock has come."""
        worked_ns = min(when_ns, self.busy_until_ns)
        if self._skips_work and self._due_ns() < worked_ns:
            self._begin_at(worked_ns)
        late_ns = self._due_ns() - max(when_ns, self.now_ns)
        if late_ns > CATCH_UP_NS * self._speed:
            self._begin_at(max(when_ns, self.now_ns))
        wait_ns = (when_ns - self._due_ns()) / self._speed
        wall_ns = self._wall_now_ns()
        if wait_ns > 0 or wall_ns - self._polled_ns > POLL_EVERY_NS:
            self._polled_ns = wall_ns
            self._poll(min(max(wait_ns / 1e9, 0.0), LONGEST_WAIT_S))
        self._move_to(min(self._due_ns(), when_ns))

    def _due_ns(self) -> int:
        """Where virtual time should be by the wall clock."""
        return self._virtual_ns + int((self._wall_now_ns() - self._wall_ns) * self._speed)

    def _begin_at(self, virtual_ns: int) -> None:
        """Ties ``virtual_ns`` to the present moment of the wall clock."""
        self._wall_ns = self._wall_now_ns()
        self._virtual_ns = virtual_ns
