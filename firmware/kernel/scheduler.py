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
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from heapq import heappush, heapreplace
from types import coroutine
from typing import Any

from firmware.hal import Cpu, Trace
from firmware.kernel.budget import CHARGES, LoadMeter, Share
from firmware.kernel.deadline import Deadline, Expired
from firmware.kernel.task import SWITCH, WAIT, Cancelled, Pause, Priority, Task, TaskUse, add_use
from firmware.kernel.timers import NO_TIMER, QUEUED, Timed, Timers
from firmware.kernel.work import LONGEST_NS, MARGIN_NS, Slices, Stretch

SLICE_US = 2_000
"""Longest piece of ``work`` between two awaits: a person at the console does not notice it."""

MOST_NAMES = 64
"""Names under which the use of ended tasks is kept: more than the firmware has; the rest counts as ``other``."""

SWITCH_CYCLES = 200
"""A dispatch, where no cost table says otherwise."""


class Kernel:
    """Tasks, timers and the accounting of one CPU."""

    def __init__(self, cpu: Cpu, trace: Trace | None = None, switch_cycles: int = SWITCH_CYCLES) -> None:
        self.cpu = cpu
        self.trace = trace
        self.cycles: defaultdict[str, int] = defaultdict(int)
        """Cycles charged so far, by kind; dispatches count as ``switch``."""
        self.tasks: dict[Task, None] = {}
        """The tasks that are not done, in the order in which they were spawned."""
        self._ended: dict[str, TaskUse] = {}
        self.current: Task | None = None
        """The task that has the CPU; None in interrupt context, unless the world catches up while a task works."""
        self.last_charge = ""
        """Kind of the last charge: what a task was doing when the watchdog bit."""
        self.throttled_until_ns = 0
        """Until then some task waits only because its share is used up, or works on with nobody else ready."""
        self.on_fault: Callable[[Task, Exception], None] | None = None
        """Called when a task dies of an exception that nobody joined for; without it the exception is raised."""
        self.spans: Trace | None = None
        """Where begin and end of work go that takes several turns, a TLS handshake for example; None: nobody looks."""
        self._switch_cycles = switch_cycles
        self._switch_ns = switch_cycles * 1_000_000_000 // cpu.hz
        self._slice_cycles = max(1, cpu.hz * SLICE_US // 1_000_000)
        self._stride_ns = self._switch_ns + self._slice_cycles * 1_000_000_000 // cpu.hz
        self._stretch: Stretch | None = None
        self._ready: tuple[deque[Task], ...] = tuple(deque() for _ in Priority)
        self._enqueues: tuple[Callable[[Task], None], ...] = tuple(ready.append for ready in self._ready)
        self._timers = Timers()
        self._began_ns = cpu.now_ns  # of the turn that runs, its switch paid
        self._deadlines = 0
        self._idle_ns = 0  # since the load meter was told last
        self._load = LoadMeter(cpu.now_ns)

    @property
    def now_ns(self) -> int:
        """Local time of this CPU. While the CPU rests, this is when it last worked: an interrupt does not move it."""
        return self.cpu.now_ns

    @property
    def busy_ns(self) -> int:
        """CPU time used so far by all tasks together, up to the last return from ``run``."""
        return self._load.busy_ns

    @property
    def ready(self) -> bool:
        """Whether some task could run now."""
        return any(self._ready)

    @property
    def queued(self) -> tuple[int, ...]:
        """How many tasks are ready, by priority."""
        return tuple(map(len, self._ready))

    def spawn(
        self,
        coro: Coroutine[Any, None, Any],
        name: str,
        priority: Priority = Priority.SERVICE,
        share: Share | None = None,
    ) -> Task:
        """Starts a task; it runs when the CPU comes to it."""
        task = Task(self, coro, name, priority, share, self._enqueues[priority])
        if share is not None:
            task._resume = task._send = self._metered(share, coro.send)
        self.tasks[task] = None
        self._make_ready(task)
        return task

    def load(self, span_ms: int) -> float:
        """Busy fraction 0..1 of the CPU over the last 1000, 10000 or 60000 ms (whole tenths of a second)."""
        if self.current is None and not self._idle_ns:
            self._load.rest(self.cpu.now_ns)
        else:  # in the middle of a run, be it before its first turn
            self._book(self.cpu.now_ns)
        return self._load.over(span_ms)

    def use(self) -> list[TaskUse]:
        """What tasks have used since the start, those that ended included, one entry for all tasks of a name."""
        uses = dict(self._ended)
        for task in self.tasks:
            add_use(uses, task.name, TaskUse(task.name, task.priority, task.busy_ns, task.longest_ns))
        return list(uses.values())

    def close(self) -> None:
        """Drops every task, in the order in which they were spawned: the CPU was reset, or power is gone.

        Their ``finally`` blocks run here and now, not whenever the garbage collector comes. What these raise, for
        example because they touch parts that have no power any more, is dropped with them.
        """
        if self._stretch is not None:
            with suppress(BaseException):  # a watchdog that bites now bites nobody
                self._catch_up()
        tasks = list(self.tasks)
        self.tasks.clear()
        for task in tasks:
            task.done = True
            with suppress(BaseException):
                task.coroutine.close()

    # -- what tasks call

    def charge(self, cycles: int, kind: str) -> None:
        """Uses up ``cycles`` at once: local time moves on, and nothing else runs on this CPU meanwhile."""
        self.cycles[kind] += cycles
        self.last_charge = kind
        cpu, trace = self.cpu, self.trace
        if trace is not None:  # before it is spent: the watchdog may bite meanwhile
            task = self.current
            trace(cpu.now_ns, CHARGES[kind], task.name if task is not None else "", cycles)
        cpu.spend(cycles)

    @coroutine
    def work(self, cycles: int, kind: str) -> Generator[int, None, None]:
        """Awaitable: uses up ``cycles``, and lets others run whenever the task has had the CPU for 2 ms."""
        task = self.current
        assert task is not None, "work is done by a task"
        room = self._slice_cycles - (self.cpu.now_ns - self._began_ns) * self.cpu.hz // 1_000_000_000
        if cycles > room:
            if room > 0:
                self.charge(room, kind)
                cycles -= room
            slices = Slices(self, task, cycles, kind, self._slice_cycles)
            task._send = slices if task.share is None else self._metered(task.share, slices)
            yield 0
        elif cycles > 0:
            self.charge(cycles, kind)

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

    def deadline_ms(self, timeout_ms: int) -> Deadline:
        """Raises TimeoutError in this task, at whatever it awaits inside the block when ``timeout_ms`` are over."""
        assert self.current is not None, "a deadline belongs to a task"
        self._deadlines += 1
        return Deadline(self, self.current, self._deadlines, timeout_ms)

    def arm(self, timer: Timed, delay_ms: int) -> None:
        """Has the time of ``timer`` come in ``delay_ms``."""
        self._timers.arm(self.cpu.now_ns + delay_ms * 1_000_000, timer)

    def disarm(self, timer: Timed) -> None:
        """Takes that back."""
        self._timers.disarm(timer)

    # -- waking

    def wake(self, task: Task) -> None:
        """Makes a waiting or sleeping task ready; also from an interrupt handler."""
        if task._timer != QUEUED and not task.done:
            self._timers.disarm(task)
            self._make_ready(task)

    def watch_ready(self, watch: Callable[[Task, int], None] | None) -> None:
        """Has ``watch(task, due_ns)`` called when a task that slept or waited becomes ready; None ends that.

        ``due_ns`` is when its timer was due, which may have been while another task had the CPU; 0 when something else
        woke it, now. Whoever only let others run was never away. Costs nothing while nobody watches.
        """

        def watched(enqueue: Callable[[Task], None]) -> Callable[[Task], None]:
            def tell(task: Task) -> None:
                if watch is not None and task._timer != QUEUED:
                    watch(task, task._timer)
                enqueue(task)

            return enqueue if watch is None else tell

        self._enqueues = tuple(watched(ready.append) for ready in self._ready)
        for task in self.tasks:
            task._enqueue = self._enqueues[task.priority]

    def wake_after(self, task: Task, delay_ns: int) -> None:
        """Makes a waiting task ready when ``delay_ns`` are over, unless something else wakes it first."""
        if task._timer != QUEUED and not task.done:
            self._timers.disarm(task)
            self._timers.arm(self.cpu.now_ns + delay_ns, task)

    def interrupt(self, task: Task, error: BaseException) -> None:
        """Throws ``error`` into a task at its current await; at its next one, while it has the CPU.

        Of several, one gets through: a cancellation before all others, a deadline after all others.
        """
        if task is self.current:
            self._timers.arm(self.cpu.now_ns, Timed(lambda _: self._throw_in(task, error)))
        else:
            self._throw_in(task, error)

    def _throw_in(self, task: Task, error: BaseException) -> None:
        if not task.done and (task._pending is None or _outweighs(error, task._pending)):
            task._pending = error
            task._send = task._throw_pending
            self.wake(task)

    def _make_ready(self, task: Task) -> None:
        task._enqueue(task)
        task._timer = QUEUED

    def _metered(self, share: Share, send: Callable[[None], int]) -> Callable[[None], int]:
        """A turn of a task that lives on a share: put off while nothing is left of it, accounted for afterwards."""
        cpu = self.cpu

        def turn(value: None) -> int:
            began_ns = cpu.now_ns
            if share.free_ns > began_ns:
                self.throttled_until_ns = max(self.throttled_until_ns, share.free_ns)
                return share.free_ns - began_ns
            try:
                return send(value)
            finally:
                share.use(began_ns, cpu.now_ns)

        return turn

    # -- what the board calls

    def run(self) -> int | None:
        """Runs tasks until local time reaches the horizon or nothing is ready.

        Returns the local time at which to call again; None when only an interrupt can make something ready.
        """
        if self.current is not None:
            raise RuntimeError(f"task {self.current.name} has the CPU already")
        if self._stretch is None or not self._catch_up():
            self._rest()
            self._dispatch()
        return self._next_ns()

    def _rest(self) -> None:
        """Nothing ran since the last turn."""
        load, now_ns = self._load, self.cpu.now_ns
        if now_ns < load.next_ns:
            self._idle_ns += now_ns - load.now_ns  # told with the turn that follows
        else:
            load.rest(now_ns)

    def _next_ns(self) -> int | None:
        """Local time of the next turn, or of the end of a stretch; None when only an interrupt can bring one."""
        urgent, console, service, background = self._ready
        if not (urgent or console or service or background):
            return self._timers.next_ns()
        now_ns = self.cpu.now_ns
        if len(urgent) + len(console) + len(service) + len(background) == 1:
            alone = urgent or console or service or background
            slices = alone[0]._send
            if slices.__class__ is Slices:
                room_ns = min(self._timers.times[0] - now_ns - MARGIN_NS, LONGEST_NS)
                number = min(slices.whole, room_ns // self._stride_ns)
                if number > 1:
                    self._stretch = Stretch(self, alone[0], slices, number, now_ns)
                    self.throttled_until_ns = now_ns + number * self._stride_ns
                    return self.throttled_until_ns
        return now_ns

    def _catch_up(self) -> bool:
        """Makes up for what the task did that was alone. True when that took the CPU beyond where the world is."""
        stretch, self._stretch = self._stretch, None
        assert stretch is not None
        world_ns = self.cpu.now_ns
        try:
            self.cycles["switch"] += stretch.catch_up(self._switch_ns) * self._switch_cycles
        finally:
            self._book(self.cpu.now_ns)
        return self.cpu.now_ns > world_ns

    def _dispatch(self) -> None:
        """The hottest path of the whole emulator: what happens in every turn is written out here, timers included."""
        cpu = self.cpu
        world = cpu.world
        trace = self.trace
        timers = self._timers
        times, due = timers.times, timers.due
        fire, join, wake = timers.fire, timers.join, timers.wake
        switch_ns = self._switch_ns
        switches = 0
        urgent, console, service, background = self._ready
        now_ns = cpu.now_ns
        fire(now_ns)
        try:
            while True:
                if urgent:
                    task = urgent.popleft()
                elif console:
                    task = console.popleft()
                elif service:
                    task = service.popleft()
                elif background:
                    task = background.popleft()
                elif times[0] < world.horizon_ns:
                    now_ns = self._idle_until(times[0])
                    fire(now_ns)
                    continue
                else:
                    return
                began_ns = now_ns
                self.current = task
                cpu.now_ns = self._began_ns = now_ns + switch_ns
                switches += 1
                try:
                    delay_ns = task._send(None)
                except BaseException as ending:
                    delay_ns = self._end(task, ending, began_ns)
                now_ns = cpu.now_ns
                held_ns = now_ns - began_ns
                task.busy_ns += held_ns
                if held_ns > task.longest_ns:
                    task.longest_ns = held_ns
                if trace is not None:
                    trace(began_ns, "task", task.name, held_ns)
                if delay_ns <= 0:
                    if times[0] <= now_ns:
                        fire(now_ns)  # whoever fell due meanwhile was ready first
                    task._enqueue(task)
                elif delay_ns >= WAIT:
                    task._timer = NO_TIMER
                else:
                    task._timer = when_ns = now_ns + delay_ns
                    if due.setdefault(when_ns, task) is not task:
                        join(when_ns, task)
                    elif times[0] > now_ns:
                        heappush(times, when_ns)
                    else:  # one falls asleep as another wakes up: a single step of the heap
                        due_ns = heapreplace(times, when_ns)
                        target = due.pop(due_ns, None)
                        if target.__class__ is Task:
                            target._enqueue(target)
                            target._timer = QUEUED
                        else:
                            wake(due_ns, target)
                if times[0] <= now_ns:
                    fire(now_ns)
                if now_ns >= world.horizon_ns:
                    return
        finally:
            self.current = None
            self.cycles["switch"] += switches * self._switch_cycles
            self._book(cpu.now_ns)

    def _idle_until(self, when_ns: int) -> int:
        """Lets time pass in which no task runs."""
        now_ns = self.cpu.now_ns
        if when_ns >= self._load.next_ns:
            self._book(now_ns)
        self._idle_ns += when_ns - now_ns
        self.cpu.now_ns = when_ns
        if when_ns >= self._load.next_ns:
            self._book(when_ns)
        return when_ns

    def _book(self, now_ns: int) -> None:
        idle_ns, self._idle_ns = self._idle_ns, 0
        self._load.add(now_ns, idle_ns)

    def _end(self, task: Task, ending: BaseException, began_ns: int) -> int:
        """Books what a task ended with; what is not the task's own business (reset, power loss) goes on upwards."""
        if isinstance(ending, StopIteration):
            self._finish(task, ending.value, None, began_ns)
        elif isinstance(ending, Cancelled):
            self._finish(task, None, ending, began_ns)
        elif isinstance(ending, Exception):
            joined = bool(task._joiners)
            self._finish(task, None, ending, began_ns)
            if not joined:
                if self.on_fault is None:
                    raise ending
                self.on_fault(task, ending)
        else:
            if self.trace is not None:  # this turn ends here, and is the one that somebody will ask about
                self.trace(began_ns, "task", task.name, self.cpu.now_ns - began_ns)
            raise ending
        return WAIT

    def _finish(self, task: Task, result: Any, error: BaseException | None, began_ns: int) -> None:
        task.done = True
        task.result = result
        task.error = error
        del self.tasks[task]
        held_ns = self.cpu.now_ns - began_ns  # the turn that ends it is not booked yet
        use = TaskUse(task.name, task.priority, task.busy_ns + held_ns, max(task.longest_ns, held_ns))
        known = task.name in self._ended or len(self._ended) < MOST_NAMES
        add_use(self._ended, task.name if known else "other", use)
        for joiner in task._joiners:
            self.wake(joiner)


def _outweighs(error: BaseException, pending: BaseException) -> bool:
    """Whether an error takes the place of one that was to be thrown into the same task at the same await."""
    if isinstance(pending, Expired):
        # The outer deadline was set first; the inner one's block ends with it.
        return not isinstance(error, Expired) or error.number < pending.number
    return isinstance(error, Cancelled)  # everything else: first come, first served
