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
        ends_ns = WAIT if timeout_ms is None else kernel.now_ns + timeout_ms * 1_000_000
        self._waiters.append(task)
        try:
            # ``set`` takes a waiter out; as long as it is in, it was woken by something else, or the time is up.
            while task in self._waiters and kernel.now_ns < ends_ns:
                yield WAIT if timeout_ms is None else ends_ns - kernel.now_ns
            return task not in self._waiters
        finally:
            if task in self._waiters:
                self._waiters.remove(task)


class Queue(Generic[T]):
    """A first-in first-out of at most ``limit`` items. Whoever waited first for an item, or for room, gets it first."""

    __slots__ = ("_getters", "_items", "_putters", "limit")

    def __init__(self, kernel: Kernel, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"queue limit is {limit}, must be at least 1")
        self.limit = limit
        self._items: deque[T] = deque()
        self._getters = _Line(kernel)
        self._putters = _Line(kernel)

    def __len__(self) -> int:
        return len(self._items)

    def put_nowait(self, item: T) -> None:
        """Adds an item; also from an interrupt handler. QueueFull when there is no room that nobody waits for."""
        if self._free <= 0:
            raise QueueFull(f"queue holds {len(self._items)} items, its limit is {self.limit}")
        self._add(item)

    async def put(self, item: T) -> None:
        """Adds an item, waiting for room."""
        if self._free <= 0:
            await self._putters.turn()
        self._add(item)

    async def get(self) -> T:
        """Takes the oldest item, waiting for one."""
        if len(self._items) <= self._getters.called:
            await self._getters.turn()
        item = self._items.popleft()
        self._putters.call()
        return item

    @property
    def _free(self) -> int:
        """Room that is not promised to a putter who was called already."""
        return self.limit - len(self._items) - self._putters.called

    def _add(self, item: T) -> None:
        self._items.append(item)
        self._getters.call()


class _Line:
    """Tasks in a line: each call lets the first of them have its turn, and the turn is kept until it has run."""

    __slots__ = ("_kernel", "_waiting", "called")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._waiting: deque[Task] = deque()
        self.called = 0
        """How many were called and have not run since."""

    def call(self) -> None:
        """Wakes the first who waits, if anybody does."""
        if self._waiting:
            self.called += 1
            self._kernel.wake(self._waiting.popleft())

    @coroutine
    def turn(self) -> Generator[int, None, None]:
        """Awaitable: waits until called."""
        task = self._kernel.current
        assert task is not None, "only a task can wait"
        self._waiting.append(task)
        try:
            while task in self._waiting:
                yield WAIT
        except BaseException:
            if task in self._waiting:
                self._waiting.remove(task)
            else:
                # Called, and interrupted before it ran: the next in line gets the turn.
                self.called -= 1
                self.call()
            raise
        self.called -= 1
