"""What tasks wait for: events and bounded queues. Both may be fed from interrupt handlers."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from types import coroutine
from typing import Generic, TypeVar

from firmware.kernel.scheduler import Kernel
from firmware.kernel.task import WAIT, Task

T = TypeVar("T")


class QueueFull(Exception):
    """An item was offered to a bounded queue that had no room: whoever offered must drop it and say so."""


class Event:
    """A flag that tasks wait for. Stays set until cleared; waiters are woken in the order in which they came."""

    __slots__ = ("_kernel", "_waiters", "is_set")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._waiters: deque[Task] = deque()
        self.is_set = False

    def set(self) -> None:
        """Wakes everybody who waits; also from an interrupt handler."""
        self.is_set = True
        while self._waiters:
            self._kernel.wake(self._waiters.popleft())

    def clear(self) -> None:
        """Makes those who come from now on wait."""
        self.is_set = False

    @coroutine
    def wait(self, timeout_ms: int | None = None) -> Generator[int, None, bool]:
        """Awaitable: waits until the flag is set. False when ``timeout_ms`` were over first."""
        if self.is_set:
            return True
        kernel = self._kernel
        task = kernel.current
        assert task is not None, "only a task can wait"
        self._waiters.append(task)
        try:
            if timeout_ms is None:
                yield WAIT
            else:
                yield max(timeout_ms * 1_000_000, 1)
            return task not in self._waiters
        finally:
            if task in self._waiters:
                self._waiters.remove(task)


class Queue(Generic[T]):
    """A first-in first-out of at most ``limit`` items."""

    __slots__ = ("_filled", "_items", "_kernel", "_room", "limit")

    def __init__(self, kernel: Kernel, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"queue limit is {limit}, must be at least 1")
        self.limit = limit
        self._kernel = kernel
        self._items: deque[T] = deque()
        self._filled: deque[Task] = deque()
        self._room: deque[Task] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def put_nowait(self, item: T) -> None:
        """Adds an item; also from an interrupt handler. QueueFull when there is no room."""
        if len(self._items) >= self.limit:
            raise QueueFull(f"queue holds {self.limit} items")
        self._items.append(item)
        if self._filled:
            self._kernel.wake(self._filled.popleft())

    async def put(self, item: T) -> None:
        """Adds an item, waiting for room."""
        while len(self._items) >= self.limit:
            await self._wait_in(self._room)
        self.put_nowait(item)

    async def get(self) -> T:
        """Takes the oldest item, waiting for one."""
        while not self._items:
            await self._wait_in(self._filled)
        item = self._items.popleft()
        if self._room:
            self._kernel.wake(self._room.popleft())
        return item

    @coroutine
    def _wait_in(self, line: deque[Task]) -> Generator[int, None, None]:
        task = self._kernel.current
        assert task is not None, "only a task can wait"
        line.append(task)
        try:
            yield WAIT
        except BaseException:
            # Woken for an item or for room and interrupted before it ran: somebody else must have the turn.
            if task not in line and line:
                self._kernel.wake(line.popleft())
            raise
        finally:
            if task in line:
                line.remove(task)
