"""A task: a coroutine with a name and a priority, and what it has used."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware.kernel.timers import NEVER_NS, Timed

if TYPE_CHECKING:
    from firmware.kernel.budget import Share
    from firmware.kernel.scheduler import Kernel

WAIT: Final = NEVER_NS
"""What a task yields to its kernel when somebody else will wake it. Less is a delay in ns; 0, or a time that has
passed, lets others run first."""


class Pause(tuple[int]):
    """Awaitable that yields what it holds. One object serves every await, and a tuple iterates without a frame."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __await__(self) -> Generator[int, None, None]: ...

    else:
        __await__ = tuple.__iter__


SWITCH = Pause((0,))


class Priority(IntEnum):
    """Who goes first when several tasks are ready; within a priority, first come, first served."""

    URGENT = 0  # the reset button, card detect
    CONSOLE = 1  # a person waits
    SERVICE = 2  # TLS, HTTP, SIP
    BACKGROUND = 3  # key generation, checks


class Cancelled(BaseException):
    """Thrown into a task that was cancelled, at its current await. Not an Exception, so that nobody swallows it."""


class TaskUse(NamedTuple):
    """What all tasks of one name have used since the start."""

    name: str
    priority: Priority
    busy_ns: int
    longest_ns: int
    """The longest that one of them held the CPU between two awaits."""


def add_use(uses: dict[str, TaskUse], name: str, use: TaskUse) -> None:
    """Adds a task's use to that of others of its name."""
    before = uses.get(name)
    busy_ns, longest_ns = (before.busy_ns, before.longest_ns) if before else (0, 0)
    uses[name] = TaskUse(name, use.priority, busy_ns + use.busy_ns, max(longest_ns, use.longest_ns))


class Task(Timed):
    """One coroutine under a kernel. Made by ``Kernel.spawn``."""

    __slots__ = (
        "_joiners",
        "_kernel",
        "_pending",
        "_resume",
        "_send",
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
        self._resume: Callable[[None], int] = coroutine.send  # what a turn is, when nothing is to be thrown
        self._send = self._resume
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

    async def join(self) -> Any:
        """Waits until the task is done. Gives its result, or raises what it raised (``Cancelled`` if it was).

        RuntimeError when a task waits for itself.
        """
        if not self.done:
            await _Joining(self)
        if self.error is not None:
            raise self.error
        return self.result

    def __await__(self) -> Generator[Any, None, Any]:
        return self.join().__await__()

    def _throw_pending(self, _: None) -> int:
        error, self._pending = self._pending, None
        self._send = self._resume
        assert error is not None
        return int(self.coroutine.throw(error))


class _Joining:
    def __init__(self, task: Task) -> None:
        self._task = task

    def __await__(self) -> Generator[int, None, None]:
        task = self._task
        current = task._kernel.current
        assert current is not None, "only a task can wait"
        if current is task:
            raise RuntimeError(f"task {task.name} waits for itself")
        task._joiners.append(current)
        try:
            while not task.done:
                yield WAIT
        finally:
            task._joiners.remove(current)
