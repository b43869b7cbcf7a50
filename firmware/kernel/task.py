"""A task: a coroutine with a name and a priority, and what it has used."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from firmware.kernel.budget import Share
    from firmware.kernel.scheduler import Kernel

WAIT: Final = -1
"""What a task yields to its kernel when somebody else will wake it; anything else is a delay in ns, 0 = at once."""

NO_TIMER: Final = 0
QUEUED: Final = -1
"""In place of a timer's number: neither sleeping nor ready; ready, or running."""


class Priority(IntEnum):
    """Who goes first when several tasks are ready; within a priority, first come, first served."""

    URGENT = 0  # the reset button, card detect
    CONSOLE = 1  # a person waits
    SERVICE = 2  # TLS, HTTP, SIP
    BACKGROUND = 3  # key generation, checks


class Cancelled(BaseException):
    """Thrown into a task that was cancelled, at its current await. Not an Exception, so that nobody swallows it."""


class Timed:
    """What can lie among a kernel's timers: when its time comes, it is put where ``_enqueue`` says."""

    __slots__ = ("_enqueue", "_timer")

    def __init__(self, enqueue: Callable[[Any], None]) -> None:
        self._enqueue = enqueue
        self._timer = NO_TIMER  # number of the timer that counts (any other was overtaken), NO_TIMER or QUEUED


class Task(Timed):
    """One coroutine under a kernel. Made by ``Kernel.spawn``."""

    __slots__ = (
        "_joiners",
        "_kernel",
        "_pending",
        "_send",
        "_throw",
        "busy_ns",
        "coroutine",
        "done",
        "error",
        "longest_ns",
        "name",
        "priority",
        "result",
        "share",
    )

    def __init__(
        self,
        kernel: Kernel,
        coroutine: Coroutine[Any, None, Any],
        name: str,
        priority: Priority,
        share: Share | None,
        enqueue: Callable[[Task], None],
    ) -> None:
        super().__init__(enqueue)
        self.coroutine = coroutine
        self.name = name
        self.priority = priority
        self.share = share
        self.busy_ns = 0
        """CPU time used so far, dispatches included."""
        self.longest_ns = 0
        """The longest that it held the CPU between two awaits."""
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._kernel = kernel
        self._send: Callable[[None], int] = coroutine.send
        self._throw = coroutine.throw
        self._pending: BaseException | None = None
        self._joiners: list[Task] = []

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    @property
    def cycles(self) -> int:
        """Cycles that its CPU time comes to."""
        return self.busy_ns * self._kernel.cpu.hz // 1_000_000_000

    def cancel(self) -> None:
        """Ends the task: ``Cancelled`` is thrown at its current await. Without effect on one that is done."""
        self._kernel.interrupt(self, Cancelled())

    def join(self) -> Generator[int, None, Any]:
        """Awaitable: waits until the task is done. Gives its result, or raises what it raised."""
        return _join(self).__await__()

    def __await__(self) -> Generator[int, None, Any]:
        return _join(self).__await__()


async def _join(task: Task) -> Any:
    if not task.done:
        await _Joining(task)
    if task.error is not None:
        raise task.error
    return task.result


class _Joining:
    def __init__(self, task: Task) -> None:
        self._task = task

    def __await__(self) -> Generator[int, None, None]:
        kernel = self._task._kernel
        current = kernel.current
        assert current is not None
        self._task._joiners.append(current)
        try:
            while not self._task.done:
                yield WAIT
        finally:
            if current in self._task._joiners:
                self._task._joiners.remove(current)
