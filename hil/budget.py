"""What a gateway's CPU did, as a subject of tests: how long a task held it, how loaded it was, how long tasks waited.

::

    budget = gateway.budget                     # from here on latencies are measured
    ...                                         # the work
    budget.assert_never_held(ms=20)             # no turn of any task was longer
    budget.assert_load_below(80, over_ms=1_000) # in no second, wherever it began
    budget.assert_latency(p99_ms=10)            # services: from ready to dispatch

Turns and charges are known as far back as the bench's trace reaches, latencies since the budget was first asked for.
A failure says which turn it was, of which task, when, and what was charged in it. A budget that nobody asks for costs
nothing.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from firmware.kernel import Kernel, Priority, Task
from hil.errors import LAST_EVENTS, DeviceFailure, RackMisuse, seconds_text

if TYPE_CHECKING:
    from hil.gateway import Gateway

NAMED = 3
"""How many tasks, or kinds of charges, a failure names."""

MS = 1_000_000


@dataclass(frozen=True)
class Turn:
    """One turn of a task: from its dispatch to its next await."""

    task: str
    began_ns: int
    held_ns: int
    charges: tuple[tuple[str, int], ...]
    """(kind, cycles), in their order."""

    def __str__(self) -> str:
        charged = _kinds(self.charges)
        return f"task {self.task} at {seconds_text(self.began_ns)} for {_ms(self.held_ns)}, charging {charged}"


@dataclass(frozen=True)
class Latency:
    """How long tasks waited from ready to dispatch. Percentiles are values that occurred (nearest rank)."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Budget:
    """The measurements of one gateway. Made by ``Gateway.budget``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._ready: dict[Task, int] = {}
        self.restart()
        trace = gateway.bench.trace
        first = next(iter(trace), None)
        self._since_ns = first.time_ns if first is not None and len(trace) < trace.count else 0
        for event in trace:
            if event.board == gateway.name:
                self._note(event.time_ns, event.kind, event.name, event.value)
        gateway.bench.on_start.append(self._attach)
        self._attach(gateway)

    def restart(self) -> None:
        """Forgets what was measured so far: only what comes now counts."""
        self._since_ns = self._gateway.bench.now_ns
        self._turns = _Columns("qqL")  # began, held, task
        self._charges = _Columns("qqL")  # time, cycles, kind
        self._waits = _Columns("qqLB")  # ready, waited, task, priority

    # -- how long one task held the CPU

    @property
    def longest(self) -> Turn | None:
        """The longest turn so far; None before the first."""
        held = self._turns[1]
        return self._turn(max(range(len(held)), key=held.__getitem__)) if held else None

    def assert_never_held(self, ms: float) -> None:
        """No task held the CPU for longer than ``ms`` between two awaits.

        Raises:
            DeviceFailure: one did.
            RackMisuse: nothing ran since the measurement began.
        """
        __tracebackhide__ = True
        longest = self.longest
        if longest is None:
            raise RackMisuse(f"nothing ran on {self._gateway.name} since the measurement began")
        if longest.held_ns > ms * MS:
            held = self._turns[1]
            many = sum(held_ns > ms * MS for held_ns in held)
            self._fail(
                f"no task to hold the cpu for longer than {ms:g} ms",
                f"{longest}; {many} of {len(held)} turns were too long",
                longest.began_ns,
            )

    # -- load

    def assert_load_below(self, percent: float, over_ms: float = 1_000) -> None:
        """In no window of ``over_ms``, wherever it began, was the CPU busy for ``percent`` of it or more.

        Raises:
            DeviceFailure: in one it was.
            RackMisuse: less than ``over_ms`` was measured.
        """
        __tracebackhide__ = True
        span_ns = int(over_ms * MS)
        until_ns = self._gateway.bench.now_ns
        if until_ns - self._since_ns < span_ns:
            measured_ms = max(0, until_ns - self._since_ns) / MS
            raise RackMisuse(f"load over {over_ms:g} ms: only {measured_ms:g} ms were measured")
        began_ns, busy_ns = self._busiest(span_ns, until_ns)
        load = 100 * busy_ns / span_ns
        if load >= percent:
            turns = range(*self._turns_within(began_ns, began_ns + span_ns))
            longest = max(turns, key=self._turns[1].__getitem__)
            self._fail(
                f"a load below {percent:g} % over {over_ms:g} ms",
                f"{load:.1f} % from {seconds_text(began_ns)} on: {self._by_task(turns, began_ns, began_ns + span_ns)}; "
                f"the longest turn was {self._turn(longest)}",
                began_ns,
            )

    # -- how long tasks waited for it

    def latency(self, task: str | None = None, priority: Priority | None = None) -> Latency:
        """How long tasks waited from ready to dispatch: those called ``task``, or those of a priority.

        Without either: services (TLS, HTTP, SIP), which is signalling. RackMisuse when none of them became ready.
        """
        waits = sorted(self._waits[1][index] for index in self._selected(task, priority))

        def percentile(rank: float) -> float:
            return waits[max(0, math.ceil(rank * len(waits)) - 1)] / MS

        return Latency(len(waits), percentile(0.5), percentile(0.9), percentile(0.99), waits[-1] / MS)

    def assert_latency(
        self,
        p99_ms: float | None = None,
        *,
        p50_ms: float | None = None,
        max_ms: float | None = None,
        task: str | None = None,
        priority: Priority | None = None,
    ) -> None:
        """These tasks (as for ``latency``) waited for the CPU no longer than that.

        Raises:
            DeviceFailure: they waited longer; it names the turn that they waited for.
            RackMisuse: no limit is given, or none of them became ready.
        """
        __tracebackhide__ = True
        limits = {"p50": p50_ms, "p99": p99_ms, "max": max_ms}
        if all(limit is None for limit in limits.values()):
            raise RackMisuse("no limit: give p99_ms, p50_ms or max_ms")
        measured = self.latency(task, priority)
        who = f"task {task}" if task is not None else f"{(priority or Priority.SERVICE).name.lower()} tasks"
        for name, limit_ms in limits.items():
            value_ms = getattr(measured, f"{name}_ms")
            if limit_ms is not None and value_ms > limit_ms:
                worst = max(self._selected(task, priority), key=self._waits[1].__getitem__)
                self._fail(
                    f"{who} to wait for the cpu no longer than {limit_ms:g} ms ({name})",
                    f"{value_ms:.3f} ms ({name} of {measured.count}); {self._wait_text(worst)}",
                    self._waits[0][worst],
                )

    # -- recording

    def _attach(self, gateway: Gateway) -> None:
        """A program was started, or is running: its kernel tells us from now on."""
        kernel = gateway.kernel
        if gateway is not self._gateway or kernel is None:
            return
        self._ready.clear()
        self._forget_future(kernel.cpu.now_ns)
        kernel.watch_ready(self._became_ready_in(kernel))
        told = kernel.trace

        def tell(now_ns: int, kind: str, name: str, value: int | str) -> None:
            if kind == "task":
                self._dispatched(kernel.current, now_ns)
            self._note(now_ns, kind, name, value)
            if told is not None:
                told(now_ns, kind, name, value)

        kernel.trace = tell

    def _became_ready_in(self, kernel: Kernel) -> Callable[[Task, int], None]:
        clock = self._gateway.bench.clock

        def watch(task: Task, due_ns: int) -> None:
            # What interrupts wake is ready at the world's time: the CPU may be ahead of it, or have rested since.
            self._ready[task] = due_ns or (clock.now_ns if kernel.current is None else kernel.now_ns)

        return watch

    def _dispatched(self, task: Task | None, now_ns: int) -> None:
        if task is None:
            return
        ready_ns = self._ready.pop(task, None)
        if ready_ns is not None and ready_ns >= self._since_ns:
            self._waits.add(ready_ns, max(0, now_ns - ready_ns), self._number(task.name), task.priority)

    def _note(self, now_ns: int, kind: str, name: str, value: int | str) -> None:
        """One event of the trace."""
        if now_ns < self._since_ns:
            return
        if kind == "task":
            self._turns.add(now_ns, int(value), self._number(name))
        elif kind.startswith("charge:"):
            self._charges.add(now_ns, int(value), self._number(kind.removeprefix("charge:")))
        elif kind == "power":
            self._forget_future(now_ns)

    def _forget_future(self, now_ns: int) -> None:
        """Power came or went: what the CPU would have done later never was."""
        self._turns.cut(now_ns)
        self._charges.cut(now_ns)
        began, held = self._turns[0], self._turns[1]
        if began and began[-1] + held[-1] > now_ns:
            held[-1] = now_ns - began[-1]

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._names)
            self._names.append(name)
        return number

    # -- looking up

    def _turn(self, index: int) -> Turn:
        began_ns, held_ns, task = (column[index] for column in self._turns)
        times, cycles, kinds = self._charges
        first = bisect_left(times, began_ns)
        last = bisect_left(times, began_ns + held_ns, first)
        charges = tuple((self._names[kinds[at]], cycles[at]) for at in range(first, last))
        return Turn(self._names[task], began_ns, held_ns, charges)

    def _turns_within(self, began_ns: int, ended_ns: int) -> tuple[int, int]:
        """First and last + 1 of the turns that lie, at least in part, between those times."""
        began, held, _ = self._turns
        first = bisect_right(began, began_ns)
        if first and began[first - 1] + held[first - 1] > began_ns:
            first -= 1
        return first, bisect_left(began, ended_ns, first)

    def _busiest(self, span_ns: int, until_ns: int) -> tuple[int, int]:
        """Where the busiest window of that length begins, and how busy it is.

        Sliding a window, its busy time rises or falls until an end of it meets an end of a turn: those are looked at.
        """
        began, held, _ = self._turns
        before = [0]
        for held_ns in held:
            before.append(before[-1] + held_ns)

        def busy_until(when_ns: int) -> int:
            index = bisect_right(began, when_ns)
            if not index:
                return 0
            return before[index] - max(0, began[index - 1] + held[index - 1] - when_ns)

        first_ns, last_ns = self._since_ns, until_ns - span_ns
        starts = {first_ns, last_ns}
        for begin_ns, held_ns in zip(began, held, strict=True):
            starts.add(min(max(begin_ns, first_ns), last_ns))
            starts.add(min(max(begin_ns + held_ns - span_ns, first_ns), last_ns))
        busy_ns, begin_ns = max((busy_until(start + span_ns) - busy_until(start), -start) for start in starts)
        return -begin_ns, busy_ns

    def _selected(self, task: str | None, priority: Priority | None) -> Sequence[int]:
        """The waits in question. RackMisuse when there are none."""
        names, priorities = self._waits[2], self._waits[3]
        if task is not None:
            number = self._numbers.get(task, -1)
            chosen = [index for index, name in enumerate(names) if name == number]
        else:
            wanted = Priority.SERVICE if priority is None else priority
            chosen = [index for index, found in enumerate(priorities) if found == wanted]
        if not chosen:
            who = f"task {task!r}" if task is not None else f"task of priority {wanted.name}"
            raise RackMisuse(f"no {who} became ready since the budget was asked for: ask before the work begins")
        return chosen

    def _wait_text(self, index: int) -> str:
        ready_ns, waited_ns, task, _ = (column[index] for column in self._waits)
        turns = range(*self._turns_within(ready_ns, ready_ns + waited_ns))
        text = f"the longest was task {self._names[task]}, ready at {seconds_text(ready_ns)}, for {_ms(waited_ns)}"
        if not turns:
            return text
        longest = max(turns, key=self._turns[1].__getitem__)
        by_task = self._by_task(turns, ready_ns, ready_ns + waited_ns)
        return f"{text}; meanwhile ran {by_task}; the longest turn was {self._turn(longest)}"

    def _by_task(self, turns: Iterable[int], began_ns: int, ended_ns: int) -> str:
        """Who had the CPU between those times, for how long, the longest first."""
        began, held, tasks = self._turns
        spent: dict[int, int] = {}
        for index in turns:
            part_ns = min(began[index] + held[index], ended_ns) - max(began[index], began_ns)
            spent[tasks[index]] = spent.get(tasks[index], 0) + part_ns
        ordered = sorted(spent.items(), key=lambda entry: -entry[1])
        return _some([f"{self._names[task]} {_ms(spent_ns)}" for task, spent_ns in ordered])

    def _fail(self, expected: str, got: str, time_ns: int) -> NoReturn:
        __tracebackhide__ = True
        bench = self._gateway.bench
        raise DeviceFailure(
            expected,
            got,
            time_ns=bench.now_ns,
            events=self._events_around(time_ns) or bench.last_events(LAST_EVENTS),
            seed=bench.seed,
            repeat=bench.repeat,
        )

    def _events_around(self, time_ns: int) -> list[str]:
        """Trace lines from that time on, as far as they are kept: what led to a failure may be long ago."""
        name = self._gateway.name
        lines: list[str] = []
        for event in self._gateway.bench.trace:
            if event.board == name and event.time_ns >= time_ns:
                lines.append(event.line())
                if len(lines) == LAST_EVENTS:
                    break
        return lines


class _Columns(tuple["array[int]", ...]):
    """Columns of integers, sorted by the first, which is a time; a row takes some 20 bytes."""

    __slots__ = ()

    def __new__(cls, types: str) -> _Columns:
        return super().__new__(cls, (array(type_) for type_ in types))

    def add(self, *row: int) -> None:
        times = self[0]
        # What a device took is told when it is over, after what was charged meanwhile.
        at = len(times) if not times or times[-1] <= row[0] else bisect_right(times, row[0])
        for column, value in zip(self, row, strict=True):
            column.insert(at, value)

    def cut(self, when_ns: int) -> None:
        """Drops rows at ``when_ns`` and later."""
        first = bisect_left(self[0], when_ns)
        for column in self:
            del column[first:]


def _ms(duration_ns: int) -> str:
    return f"{duration_ns / MS:.3f} ms"


def _kinds(charges: Sequence[tuple[str, int]]) -> str:
    """Cycles by kind, the most first."""
    by_kind: dict[str, int] = {}
    for kind, cycles in charges:
        by_kind[kind] = by_kind.get(kind, 0) + cycles
    ordered = sorted(by_kind.items(), key=lambda entry: -entry[1])
    return _some([f"{kind} {cycles:,} cycles" for kind, cycles in ordered]) if ordered else "nothing"


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - NAMED
    return ", ".join(texts[:NAMED]) + (f" and {more} more" if more > 0 else "")
