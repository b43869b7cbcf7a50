"""A deadline: a block of a task that ends in a TimeoutError when it takes too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware.kernel.timers import Timed

if TYPE_CHECKING:
    from types import TracebackType

    from firmware.kernel.scheduler import Kernel
    from firmware.kernel.task import Task


class Expired(BaseException):
    """Thrown by a deadline, and turned into TimeoutError where the deadline was set: nobody in between may catch it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Deadline(Timed):
    """Made by ``Kernel.deadline_ms``; a class, as every wait for a peer has one."""

    __slots__ = ("_kernel", "_number", "_task", "_timeout_ms")

    def __init__(self, kernel: Kernel, task: Task, number: int, timeout_ms: int) -> None:
        super().__init__(self._expire)
        self._kernel = kernel
        self._task = task
        self._number = number
        self._timeout_ms = timeout_ms

    def __enter__(self) -> None:
        self._kernel.arm(self, self._timeout_ms)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kernel.disarm(self)
        if isinstance(error, Expired) and error.number == self._number:
            raise TimeoutError(f"not done within {self._timeout_ms} ms") from None

    def _expire(self, _: object) -> None:
        # Timers fire between two turns, so the task is at an await when this one does.
        self._kernel.interrupt(self._task, Expired(self._number))
