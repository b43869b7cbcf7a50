"""A virtual clock that counts its events, and says when somebody from outside begins and ends to drive it.

Where something came from outside is said by two numbers: how many events had happened, and what time it was. Between
two events of the same time lies a place of its own, and that is where a repetition does it again.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Protocol

from board.clock import Alarm, VirtualClock


class Driver(Protocol):
    """Whoever wants to know how the clock is driven."""

    def begin(self, limit_ns: int) -> bool:
        """A run up to ``limit_ns`` is to begin. False when it is no concern of the outside's."""
        ...

    def end(self, raised: str | None) -> None:
        """It has ended; ``raised`` is the name of what it ended by, when that was an exception."""
        ...

    def notice(self) -> None:
        """The clock is to be stepped by hand: alarms set so far are the outside's."""
        ...

    def seen(self) -> None:
        """It was: those set meanwhile are not."""
        ...


class RecordedClock(VirtualClock):
    """A clock that may have a driver.

    Attributes:
        events: how many have happened.
        depth: how many are happening: one inside the other, where an event drives the clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events = 0
        self.depth = 0
        self.driver: Driver | None = None
        self._driven = 0

    def step(self) -> bool:
        """As VirtualClock's."""
        if not self._driven and self.driver is not None:
            return self._step_by_hand(self.driver)
        self.events += 1
        self.depth += 1
        try:
            if super().step():
                return True
        finally:
            self.depth -= 1
        self.events -= 1
        return False

    def _step_by_hand(self, driver: Driver) -> bool:
        driver.notice()
        self._driven += 1
        try:
            return self.step()
        finally:
            self._driven -= 1
            driver.seen()

    def run_until(self, when_ns: int) -> None:
        """As VirtualClock's."""
        driver = self.driver
        if driver is None or not driver.begin(min(when_ns, self._limit_ns)):
            super().run_until(when_ns)
            return
        raised = None
        self._driven += 1
        try:
            super().run_until(when_ns)
        except BaseException as error:
            raised = type(error).__name__
            raise
        finally:
            self._driven -= 1
            driver.end(raised)

    def run_while(self, unfinished: Callable[[], bool], timeout_ns: int) -> bool:
        """As VirtualClock's."""
        driver = self.driver
        if driver is None or not driver.begin(min(self.now_ns + timeout_ns, self._limit_ns)):
            return super().run_while(unfinished, timeout_ns)
        raised = None
        self._driven += 1
        try:
            return super().run_while(unfinished, timeout_ns)
        except BaseException as error:
            raised = type(error).__name__
            raise
        finally:
            self._driven -= 1
            driver.end(raised)

    @property
    def asked(self) -> int:
        """How many alarms were asked for so far."""
        return self._sequence

    def alarms_since(self, asked: int) -> list[Alarm]:
        """Those asked for since then that are still to come, in the order in which they were."""
        fresh = [(number, alarm) for _, number, alarm in self._heap if number > asked and alarm.pending]
        return [alarm for _, alarm in sorted(fresh, key=itemgetter(0))]
