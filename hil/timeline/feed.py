"""From a bench's trace to a timeline file, while the run goes on.

A CPU runs ahead of the world, and what it would have done after a power cut never was. So events wait here until world
time has passed their end, and only then go to the file::

    trace, spans, console lines --> pending --(world time passed their end)--> sink: Perfetto or VCD
                                       |
                                       +--(power cut before they came true)--> dropped, or cut short

What waits is bounded by how far a CPU runs ahead; the file is written as it comes. Nothing here wakes anybody or takes
virtual time: a run with a timeline has the same events, and the same digest, as one without.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from board.trace import Row, TraceEvent

if TYPE_CHECKING:
    from firmware.kernel import Kernel
    from hil.bench import Bench
    from hil.gateway import Gateway

SAMPLE_NS = 10_000_000
"""Queue lengths are sampled this often in virtual time."""

LOOK_NS = 500_000_000
"""And this often it is looked what has come true: some times as far as a CPU may run ahead of the world."""

LINE, QUEUE, BEGIN, END = "line", "queue", "begin", "end"
"""Kinds of events that are added to the trace's own: a console line (its text, how long it took), tasks that are ready
by priority and how many there are, and spans (whose, label)."""

CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x0c\x0e-\x1f]")
"""ANSI control sequences (ECMA-48 5.4), and control characters but the carriage return."""

LONGEST_LINE = 200
"""Characters of a console line that are kept: a screen's width and more."""


class Sink(Protocol):
    """A file that is being written."""

    spans: bool
    """Whether it shows spans; they are not even collected for one that does not."""

    def board(self, gateway: Gateway) -> None:
        """A gateway is there whose events may come."""
        ...

    def events(self, events: Sequence[Row]) -> None:
        """These have come true. Those of one board's CPU come in their order, turns after what happened in them."""
        ...

    def settle(self, until_ns: int) -> None:
        """Everything up to ``until_ns`` has come."""
        ...

    def close(self, now_ns: int) -> None:
        """The end."""
        ...


class Timeline:
    """Feeds one sink from a bench, from as far back as the bench's trace reaches until ``close``."""

    def __init__(self, bench: Bench, sink: Sink) -> None:
        self._bench = bench
        self._clock = bench.clock
        self._sink = sink
        self._kernels: dict[str, Kernel] = {}
        self._lines: dict[str, _Lines] = {}
        self._workers: dict[tuple[str, int], list[int]] = {}  # board and task: number, depth of its spans
        self._numbers = 0
        self._counts: dict[str, tuple[int, ...]] = {}
        self._pending: list[Row] = list(bench.trace)
        self._own: list[tuple[int, TraceEvent]] = []
        """Events that are not the trace's, each with the number of those of the trace that came before it."""
        self._sample_ns = 0
        self._look_ns = 0
        self._closed = False
        for gateway in bench.gateways:
            self._started(gateway)
        for event in [event for event in bench.trace if event.kind == "power"]:
            self._unmake(event)
        bench.trace.take(self._take)
        bench.trace.listen(self._power, kinds=("power",))
        bench.trace.listen_to_rows(self._turn, kinds=("task",))
        bench.on_start.append(self._started)

    def flush(self) -> None:
        """Writes what has come true so far, for whoever looks at the file meanwhile."""
        self._look(None)

    def close(self) -> None:
        """Writes the rest and closes the file. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._bench.trace.untake(self._take)
        self._bench.trace.unlisten(self._power)
        self._bench.trace.unlisten(self._turn)
        self._bench.on_start.remove(self._started)
        for kernel in self._kernels.values():
            kernel.spans = None
        for lines in self._lines.values():
            lines.detach()
        # What CPUs did ahead of the world is part of the run, as it is part of the trace: it was charged, and paid for.
        self._gather()
        self._sink.events(self._pending)
        end_ns = max((_end_ns(event) for event in self._pending), default=0)
        self._pending.clear()
        self._sink.close(max(end_ns, self._clock.now_ns))

    def _started(self, gateway: Gateway) -> None:
        """A program was started, or is running: its spans are ours, and so are its console's lines."""
        name = gateway.name
        if name not in self._lines:
            self._sink.board(gateway)
            self._lines[name] = _Lines(gateway, self._record)
        kernel = gateway.kernel
        if kernel is not None:
            self._kernels[name] = kernel
            if self._sink.spans:
                self._workers = {worker: spans for worker, spans in self._workers.items() if worker[0] != name}
                kernel.spans = partial(self._span, kernel, name)

    def _span(self, kernel: Kernel, board: str, now_ns: int, kind: str, of: str, label: int | str) -> None:
        """Spans nest within a task; two of the same peer, in two tasks, do not, and get a number each."""
        worker = (board, id(kernel.current))
        if worker not in self._workers:
            if kind == END:
                return  # it began before anybody looked, or its task was dropped with the power
            self._numbers += 1
            self._workers[worker] = [self._numbers, 0]
        spans = self._workers[worker]
        spans[1] += 1 if kind == BEGIN else -1
        if spans[1] == 0:
            del self._workers[worker]
        self._record(TraceEvent(now_ns, board, kind, f"{of} {spans[0]}", label))

    def _record(self, event: TraceEvent) -> None:
        """Adds one of ours."""
        self._own.append((self._bench.trace.count, event))

    def _take(self, number: int, events: list[Row]) -> None:
        """Puts those of the trace and ours in their order."""
        pending, begin = self._pending, 0
        for before, own in self._own:
            pending += events[begin : before - number]
            pending.append(own)
            begin = before - number
        self._own.clear()
        pending += events[begin:]

    def _gather(self) -> None:
        """Has everything so far in ``_pending``."""
        self._bench.trace.settle()
        self._pending += [own for _, own in self._own]
        self._own.clear()

    def _power(self, event: TraceEvent) -> None:
        self._gather()
        self._unmake(event)
        self._look(event)

    def _turn(self, event: Row) -> None:
        """Hears of each turn, and does something now and then."""
        if event[0] >= self._sample_ns:
            self._sample(event)
            if event[0] >= self._look_ns:
                self._look(event)

    def _look(self, event: Row | None) -> None:
        """Hands over what has come true."""
        self._gather()
        now_ns = self._clock.now_ns
        self._look_ns = LOOK_NS + (now_ns if event is None else event[0])
        settled: list[Row] = []
        pending: list[Row] = []
        settle, wait = settled.append, pending.append
        for waiting in self._pending:
            if waiting[0] > now_ns or (waiting[2] == "task" and waiting[0] + waiting[4] > now_ns):  # type: ignore[operator]
                wait(waiting)
            else:
                settle(waiting)
        self._pending = pending
        self._sink.events(settled)
        if not self._in_a_turn(event):
            self._sink.settle(min((waiting[0] for waiting in pending), default=now_ns))

    def _in_a_turn(self, event: Row | None) -> bool:
        """Whether some CPU is in the middle of a turn: when that began will only be known when it ends."""
        done = event[1] if event is not None and event[2] == "task" else None
        return any(kernel.current is not None and name != done for name, kernel in self._kernels.items())

    def _sample(self, turn: Row) -> None:
        time_ns, board, _, _, held_ns = turn
        self._sample_ns = time_ns + SAMPLE_NS
        kernel = self._kernels.get(board)
        if kernel is None:
            return
        counts = (*kernel.queued, len(kernel.tasks))
        if counts != self._counts.get(board):
            self._counts[board] = counts
            text = " ".join(map(str, counts))
            self._record(TraceEvent(time_ns + int(held_ns), board, QUEUE, "ready", text))

    def _unmake(self, power: TraceEvent) -> None:
        """Drops, or cuts short, what the board's CPU did beyond the moment at which power came or went."""
        kept: list[Row] = []
        for index, event in enumerate(self._pending):
            if event == power:
                kept += self._pending[index:]
                break
            time_ns, board, kind, name, _ = event
            if board != power.board or _end_ns(event) <= power.time_ns:
                kept.append(event)
            elif time_ns < power.time_ns:
                kept.append((time_ns, board, kind, name, power.time_ns - time_ns))
        self._pending = kept


def _end_ns(event: Row) -> int:
    time_ns, _, kind, _, value = event
    return time_ns + int(value) if kind == "task" else time_ns


def _seen(line: bytes | bytearray) -> str:
    """What stays to be seen of a line: the line editor draws it again and again."""
    text = CONTROLS.sub("", line.decode("utf-8", "replace")).strip("\r")
    return text.rpartition("\r")[2][:LONGEST_LINE]


class _Lines:
    """Makes lines of what a board's console says."""

    def __init__(self, gateway: Gateway, record: _Record) -> None:
        self._gateway = gateway
        self._record = record
        self._line = bytearray()
        self._began_ns = 0
        gateway.board.uart.line.on_receive(self._receive)

    def detach(self) -> None:
        self._gateway.board.uart.line.detach(self._receive)

    def _receive(self, data: bytes) -> None:
        now_ns = self._gateway.bench.now_ns
        *complete, rest = data.split(b"\n")
        for piece in complete:
            self._add(piece, now_ns)
            text = _seen(self._line)
            self._line.clear()
            if text:
                self._record(TraceEvent(self._began_ns, self._gateway.name, LINE, text, now_ns - self._began_ns))
        self._add(rest, now_ns)

    def _add(self, piece: bytes, now_ns: int) -> None:
        if not self._line:
            self._began_ns = now_ns
        self._line += piece


class _Record(Protocol):
    def __call__(self, event: TraceEvent, /) -> None: ...
