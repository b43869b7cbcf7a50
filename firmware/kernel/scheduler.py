"""The cooperative scheduler: tasks run to their next await, and the CPU's time is what they charge.

The kernel is passive. The board calls ``run()`` when the CPU is free; tasks run, by priority and then in order, until
nothing is ready or local time reaches the world's horizon; ``run()`` says when it wants to be called next::

    board: run() --> [timers due -> ready] -> take first ready task -> its next await -> charge --+
                          ^                                                                      |
                          +-------------------- local time < horizon ----------------------------+
           <-- time of the next call, or None: only an interrupt can make something ready

There is no preemption: a task keeps the CPU until it awaits. Long work goes through ``work``, which awaits between
slices.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from types import coroutine
from typing import TYPE_CHECKING, Any

from firmware.hal import Cpu, Trace
from firmware.kernel.budget import LoadMeter, Share
from firmware.kernel.task import NO_TIMER, QUEUED, WAIT, Cancelled, Priority, Task, Timed

SLICE_US = 2_000
"""Longest piece of ``work`` between two awaits: a person at the console does not notice it."""

SWITCH_CYCLES = 200
"""A dispatch, where no cost table says otherwise."""

NEVER_NS = 1 << 62
"""Later than anything that happens."""


class Pause(tuple[int]):
    """Awaitable that yields what it holds. One object serves every await, and a tuple iterates without a frame."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __await__(self) -> Generator[int, None, None]: ...

    else:
        __await__ = tuple.__iter__


SWITCH = Pause((0,))


class Kernel:
    """Tasks, timers and the accounting of one CPU."""

    def __init__(self, cpu: Cpu, trace: Trace | None = None, switch_cycles: int = SWITCH_CYCLES) -> None:
        self.cpu = cpu
        self.trace = trace
        self.cycles: defaultdict[str, int] = defaultdict(int)
        """Cycles charged so far, by kind; dispatches count as ``switch``."""
        self.tasks: dict[Task, None] = {}
        """The tasks that are not done, in the order in which they were spawned."""
        self.current: Task | None = None
        """The task that has the CPU; None in interrupt context."""
        self.last_charge = ""
        """Kind of the last charge: what a task was doing when the watchdog bit."""
        self.throttled_until_ns = 0
        """Until then some task waits only because its share is used up."""
        self.on_fault: Callable[[Task, Exception], None] | None = None
        """Called when a task dies of an exception that nobody joined for; without it the exception is raised."""
        self._switch_cycles = switch_cycles
        self._switch_ns = switch_cycles * 1_000_000_000 // cpu.hz
        self._slice_cycles = max(1, cpu.hz * SLICE_US // 1_000_000)
        self._ready: tuple[deque[Task], ...] = tuple(deque() for _ in Priority)
        self._timers: list[tuple[int, int, Timed]] = [(NEVER_NS, 0, Timed(_never))]  # the last one never comes
        self._sequence = 0
        self._load = LoadMeter(cpu.now_ns)

    @property
    def now_ns(self) -> int:
        """Local time of this CPU."""
        return self.cpu.now_ns

    def spawn(
        self,
        coro: Coroutine[Any, None, Any],
        name: str,
        priority: Priority = Priority.SERVICE,
        share: Share | None = None,
    ) -> Task:
        """Starts a task; it runs when the CPU comes to it."""
        task = Task(self, coro, name, priority, share, self._ready[priority].append)
        self.tasks[task] = None
        self._make_ready(task)
        return task

    def load(self, span_ms: int) -> float:
        """Busy fraction 0..1 of the CPU over the last 1000, 10000 or 60000 ms (whole tenths of a second)."""
        return self._load.over(span_ms)

    # -- what tasks call

    def charge(self, cycles: int, kind: str) -> None:
        """Uses up ``cycles`` at once: local time moves on, and nothing else runs on this CPU meanwhile."""
        self.cycles[kind] += cycles
        self.last_charge = kind
        began_ns = self.cpu.now_ns
        self.cpu.spend(cycles)
        if self.trace is not None:
            task = self.current
            self.trace(began_ns, f"charge:{kind}", task.name if task is not None else "", cycles)

    async def work(self, cycles: int, kind: str) -> None:
        """Uses up ``cycles`` in slices of 2 ms, and lets others run between them."""
        while cycles > self._slice_cycles:
            self.charge(self._slice_cycles, kind)
            cycles -= self._slice_cycles
            await SWITCH
        if cycles > 0:
            self.charge(cycles, kind)
            await SWITCH

    @contextmanager
    def booked(self, kind: str) -> Iterator[None]:
        """Books as ``kind`` the time that devices take inside the block: they hold the CPU, and charge nothing."""
        cpu = self.cpu
        began_ns = cpu.now_ns
        self.last_charge = kind
        try:
            yield
        finally:
            self.cycles[kind] += (cpu.now_ns - began_ns) * cpu.hz // 1_000_000_000

    @staticmethod
    @coroutine
    def sleep_ns(duration_ns: int) -> Generator[int, None, None]:
        """Awaitable: lets ``duration_ns`` of local time pass."""
        yield duration_ns

    @staticmethod
    @coroutine
    def sleep_ms(duration_ms: int) -> Generator[int, None, None]:
        """Awaitable: lets ``duration_ms`` of local time pass."""
        yield duration_ms * 1_000_000

    @staticmethod
    def switch() -> Pause:
        """Awaitable: lets the others of the same priority run."""
        return SWITCH

    @contextmanager
    def deadline_ms(self, timeout_ms: int) -> Iterator[None]:
        """Raises TimeoutError in this task, at whatever it awaits inside the block when ``timeout_ms`` are over."""
        task = self.current
        assert task is not None, "a deadline belongs to a task"
        deadline = Deadline(lambda expired: self.interrupt(task, Expired(expired)))
        self._arm(self.cpu.now_ns + timeout_ms * 1_000_000, deadline)
        try:
            yield
        except Expired as expired:
            if expired.deadline is not deadline:
                raise
            raise TimeoutError(f"not done within {timeout_ms} ms") from None
        finally:
            deadline._timer = NO_TIMER

    # -- waking

    def wake(self, task: Task) -> None:
        """Makes a waiting or sleeping task ready; also from an interrupt handler."""
        if task._timer != QUEUED and not task.done:
            self._make_ready(task)

    def wake_after(self, task: Task, delay_ns: int) -> None:
        """Makes a waiting task ready when ``delay_ns`` are over, unless something else wakes it first."""
        self._arm(self.cpu.now_ns + delay_ns, task)

    def interrupt(self, task: Task, error: BaseException) -> None:
        """Throws ``error`` into a task at its current await. A cancellation outweighs a deadline."""
        if task.done or isinstance(task._pending, Cancelled):
            return
        if task is self.current:
            # It is not at an await now; it will be when this comes back.
            self._arm(self.cpu.now_ns, Timed(lambda _: self.interrupt(task, error)))
            return
        task._pending = error
        task._send = self._throwing(task)
        self.wake(task)

    def _arm(self, when_ns: int, target: Timed) -> None:
        self._sequence = target._timer = sequence = self._sequence + 1
        heappush(self._timers, (when_ns, sequence, target))

    def _throwing(self, task: Task) -> Callable[[None], int]:
        def throw(_: None) -> int:
            error, task._pending = task._pending, None
            task._send = task.coroutine.send
            assert error is not None
            return int(task._throw(error))

        return throw

    def _make_ready(self, task: Task) -> None:
        task._timer = QUEUED
        task._enqueue(task)

    # -- what the board calls

    def run(self) -> int | None:
        """Runs tasks until local time reaches the horizon or nothing is ready.

        Returns the local time at which to call again; None when only an interrupt can make something ready.
        """
        cpu = self.cpu
        world = cpu.world
        trace = self.trace
        sample_ns = self._load.next_ns
        idle_ns = 0
        timers = self._timers
        switch_ns = self._switch_ns
        switches = 0
        urgent, console, service, background = self._ready
        now_ns = cpu.now_ns
        wake_ns: int | None
        self._load.rest(now_ns)
        while True:
            while timers[0][0] <= now_ns:
                _, sequence, target = heappop(timers)
                if target._timer == sequence:
                    target._timer = QUEUED
                    target._enqueue(target)
            if urgent:
                task = urgent.popleft()
            elif console:
                task = console.popleft()
            elif service:
                task = service.popleft()
            elif background:
                task = background.popleft()
            else:
                due_ns = timers[0][0]
                if due_ns >= world.horizon_ns:
                    wake_ns = self._next_timer_ns()
                    break
                idle_ns += due_ns - now_ns
                cpu.now_ns = now_ns = due_ns
                if now_ns >= sample_ns:
                    sample_ns = self._load.add(now_ns, idle_ns)
                    idle_ns = 0
                continue
            # One dispatch, written out here: this is the hottest path of the whole emulator.
            began_ns = now_ns
            self.current = task
            cpu.now_ns = now_ns + switch_ns
            switches += 1
            try:
                delay_ns = task._send(None)
            except BaseException as ending:
                delay_ns = self._end(task, ending)
            now_ns = cpu.now_ns
            held_ns = now_ns - began_ns
            task.busy_ns += held_ns
            if held_ns > task.longest_ns:
                task.longest_ns = held_ns
            if trace is not None:
                trace(began_ns, "task", task.name, held_ns)
            if task.share is not None:
                delay_ns = self._throttle(task, delay_ns, began_ns, now_ns)
            if delay_ns == 0:
                task._enqueue(task)
            elif delay_ns > 0:
                self._sequence = task._timer = sequence = self._sequence + 1
                heappush(timers, (now_ns + delay_ns, sequence, task))
            else:
                task._timer = NO_TIMER
            if now_ns >= world.horizon_ns:
                wake_ns = now_ns if self.ready else self._next_timer_ns()
                break
        self.current = None
        self.cycles["switch"] += switches * self._switch_cycles
        self._load.add(now_ns, idle_ns)
        return wake_ns

    @property
    def ready(self) -> bool:
        """Whether some task could run now."""
        urgent, console, service, background = self._ready
        return bool(urgent or console or service or background)

    def _throttle(self, task: Task, delay_ns: int, began_ns: int, now_ns: int) -> int:
        """Makes a task that used up its share wait for more, whatever it asked for."""
        assert task.share is not None
        free_ns = task.share.use(began_ns, now_ns)
        if delay_ns == WAIT or free_ns <= now_ns + delay_ns:
            return delay_ns
        self.throttled_until_ns = free_ns
        return free_ns - now_ns

    def _end(self, task: Task, ending: BaseException) -> int:
        """Books what a task ended with; what is not the task's own business (reset, power loss) goes on upwards."""
        if isinstance(ending, StopIteration):
            self._finish(task, ending.value, None)
        elif isinstance(ending, Cancelled):
            self._finish(task, None, ending)
        elif isinstance(ending, Exception):
            joined = bool(task._joiners)
            self._finish(task, None, ending)
            if not joined:
                if self.on_fault is None:
                    raise ending
                self.on_fault(task, ending)
        else:
            raise ending
        return WAIT

    def _finish(self, task: Task, result: Any, error: BaseException | None) -> None:
        task.done = True
        task.result = result
        task.error = error
        del self.tasks[task]
        for joiner in task._joiners:
            self.wake(joiner)

    def _next_timer_ns(self) -> int | None:
        timers = self._timers
        while True:
            when_ns, sequence, target = timers[0]
            if when_ns == NEVER_NS:
                return None
            if target._timer == sequence:
                return when_ns
            heappop(timers)


def _never(_: object) -> None:
    raise AssertionError("the last timer fell due")


class Deadline(Timed):
    """A time at which a task's await ends with a TimeoutError."""

    __slots__ = ()


class Expired(BaseException):
    """Thrown by a deadline, and turned into TimeoutError where the deadline was set: nobody in between may catch it."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self.deadline = deadline
