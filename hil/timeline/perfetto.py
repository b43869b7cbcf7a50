"""A timeline for trace viewers: Chrome's JSON trace format, which Perfetto (ui.perfetto.dev) opens.

One process per board, and in it: a track per task with its turns and, in each, what it charged; tracks for power, LEDs,
console, card, flash and pins; TLS handshakes as nested asynchronous slices, because they go through many turns; and
counters for load, load by kind and queues.

A turn that is one charge is one slice, and turns of one kind that follow each other without a gap are drawn as one:
``turns`` says how many they were.

Written as the format's array, whose end may be missing: a run that is killed leaves a file that can be opened. Every
write ends with a whole event.

Not modelled: flow arrows between a sender's and a receiver's board.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from board.trace import Row, TraceEvent
from hil.timeline.feed import BEGIN, END, LINE, QUEUE
from hil.timeline.load import LoadCounter

if TYPE_CHECKING:
    from hil.gateway import Gateway

WRITE_EVENTS = 512
"""So many events, some 50 KB, are written at once."""

WRITE_NS = 1_000_000_000
"""And what there is at least once in a second of virtual time."""

INTERRUPTS = "interrupts"
"""Where charges stand that no task made."""

SERIAL_OUT, SERIAL_IN, SLOT = "serial line, out", "serial line, in", "card slot"

FIRST_TRACKS = ("power", SERIAL_OUT, SERIAL_IN, SLOT)
"""Tracks of the board's parts in this order; tasks and others follow as they come."""

QUEUES = ("urgent", "console", "service", "background")

DISPATCH_NS = 20_000
"""A turn that is longer than its only charge by no more than this is drawn as that charge: it was dispatched, too."""

Charge = tuple[int, str, str, int]
"""Begin, task, kind, duration; times in ns."""


def _time(time_ns: int) -> str:
    """Microseconds, as the format wants them, to the nanosecond: exact for the first hundred days."""
    return f"{time_ns / 1_000:.3f}"


class PerfettoSink:
    """Writes one file. OSError when it cannot."""

    spans = True

    def __init__(self, path: str | Path) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by close()
        self._file.write(b"[")
        self._out: list[str] = []
        self._write_ns = 0
        self._separator = "\n"
        self._boards: dict[str, _Board] = {}

    def board(self, gateway: Gateway) -> None:
        """A process of its own."""
        cpu = gateway.board.cpu
        title = f"{gateway.name} ({gateway.model.name}, {cpu.hz // 1_000_000} MHz)"
        self._boards[gateway.name] = _Board(len(self._boards) + 1, title, cpu.hz, self._out)

    def events(self, events: Sequence[Row]) -> None:
        """Puts each on its track."""
        name, board = "", None
        for event in events:
            if event[1] != name:  # many of one board follow one another
                name = event[1]
                board = self._boards.get(name)
                if board is not None:
                    turn, charge_kinds, charges = board.turn, board.charge_kinds, board.charges
            if board is None:
                continue
            kind = event[2]
            if kind == "task":
                turn(event)
            elif kind in charge_kinds:
                charges.append(event)  # its turn comes when it is over
            else:
                board.event(event)
        if len(self._out) >= WRITE_EVENTS:
            self._write()

    def settle(self, until_ns: int) -> None:
        """Writes now and then."""
        if until_ns >= self._write_ns:
            self._write_ns = until_ns + WRITE_NS
            self._write()

    def close(self, now_ns: int) -> None:
        """Ends what is still open, and the file."""
        for board in self._boards.values():
            board.close(now_ns)
        self._write()
        self._file.write(b"\n]\n")
        self._file.close()

    def _write(self) -> None:
        for board in self._boards.values():
            board.rest()
        if self._out:
            self._file.write((self._separator + ",\n".join(self._out)).encode())
            self._separator = ",\n"
            self._out.clear()


class _Board:
    """One process of the timeline."""

    def __init__(self, pid: int, title: str, hz: int, out: list[str]) -> None:
        self._pid = pid
        self._hz = hz
        self._out = out
        self._tracks: dict[tuple[str, str], int] = {}
        self._turn_heads: dict[str, str] = {}
        self._charge_heads: dict[tuple[str, str], str] = {}
        self.charges: list[Row] = []
        """Of the turn that is not over yet."""
        self.charge_kinds: dict[str, str] = {}
        """How a kind of charge is called in the trace, and here."""
        self._run: Charge | None = None  # turns of one task and kind without a gap, not written yet
        self._run_end_ns = 0
        self._run_turns = 0
        self._spans: dict[str, list[tuple[str, int]]] = {}
        self._open: dict[str, int] = {}  # tracks with a slice that has begun, and when
        self._load = LoadCounter(self._counter)
        self._handlers: dict[str, Callable[[TraceEvent], None]] = {
            "uart": self._uart,
            "led": self._led,
            "card": self._card,
            "power": self._power,
            "reset": self._reset,
            LINE: self._line,
            QUEUE: self._queue,
            BEGIN: self._begin,
            END: self._end,
        }
        self._meta("process_name", 0, f'"name":{json.dumps(title)}')
        self._meta("process_sort_index", 0, f'"sort_index":{pid}')
        for track in FIRST_TRACKS:
            self._tid(track)

    def event(self, event: Row) -> None:
        kind = event[2]
        handler = self._handlers.get(kind)
        if handler is None:
            if kind.startswith("charge:"):
                self.charge_kinds[kind] = kind[7:]
                self.charges.append(event)
                return
            handler = self._handlers[kind] = self._instant
        handler(TraceEvent._make(event))

    def close(self, now_ns: int) -> None:
        self._stop(now_ns)
        for track in list(self._open):
            self._finish(track, now_ns)
        self._load.close()

    # -- the CPU

    def turn(self, event: Row) -> None:
        """A turn is over, and ``charges`` were made in it, or in interrupts before it."""
        time_ns, _, _, task, held_ns = event
        charges = self.charges
        if len(charges) == 1:
            _, _, kind, owner, cycles = charges[0]
            if owner == task and held_ns - cycles * 1_000_000_000 // self._hz <= DISPATCH_NS:  # type: ignore[operator]
                charges.clear()
                kind = self.charge_kinds[kind]
                run = self._run
                if run is not None and time_ns == self._run_end_ns and run[2] == kind and run[1] == task:
                    self._run_turns += 1
                else:
                    self.rest()
                    self._run = (time_ns, task, kind, 0)
                    self._run_turns = 1
                self._run_end_ns = time_ns + held_ns  # type: ignore[operator]
                return
        self.rest()
        self._compound(time_ns, task, int(held_ns))

    def rest(self) -> None:
        """Writes the turns that are being drawn as one."""
        if self._run is None:
            return
        time_ns, task, kind, _ = self._run
        self._run = None
        duration_ns = self._run_end_ns - time_ns
        turns = self._run_turns
        self._slice((time_ns, task, kind, duration_ns), f',"args":{{"turns":{turns}}}' if turns > 1 else "")
        self._load.add(time_ns, duration_ns, ((time_ns, task, kind, duration_ns),))

    def _compound(self, time_ns: int, task: str, held_ns: int) -> None:
        """A turn, and within it what was charged."""
        head = self._turn_heads.get(task)
        if head is None:
            head = self._turn_heads[task] = f'{{"ph":"X",{self._place(task, "task")},"name":{json.dumps(task)},"ts":'
        self._out.append(f'{head}{time_ns / 1_000:.3f},"dur":{held_ns / 1_000:.3f}}}')
        charges = self._take_charges(time_ns + held_ns) if self.charges else []
        for charge in charges:
            self._slice(charge)
        self._load.add(time_ns, held_ns, charges)

    def _take_charges(self, end_ns: int) -> list[Charge]:
        """The charges so far, nested, and over by ``end_ns``: power may have gone before they were."""
        made = [
            (time_ns, task, self.charge_kinds[kind], int(cycles) * 1_000_000_000 // self._hz)
            for time_ns, _, kind, task, cycles in self.charges
        ]
        self.charges.clear()
        return _nested(made, end_ns)

    def _slice(self, charge: Charge, args: str = "") -> None:
        time_ns, task, kind, duration_ns = charge
        head = self._charge_heads.get((task, kind))
        if head is None:
            place = self._place(task or INTERRUPTS, "task" if task else "part")
            head = self._charge_heads[task, kind] = f'{{"ph":"X",{place},"cat":"charge","name":{json.dumps(kind)},"ts":'
        self._out.append(f'{head}{time_ns / 1_000:.3f},"dur":{duration_ns / 1_000:.3f}{args}}}')

    def _queue(self, event: TraceEvent) -> None:
        *ready, tasks = str(event.value).split()
        self._counter("tasks", event.time_ns, {"tasks": float(tasks)})
        self._counter("ready tasks", event.time_ns, dict(zip(QUEUES, map(float, ready), strict=True)))

    def _counter(self, name: str, time_ns: int, values: dict[str, float]) -> None:
        args = ",".join(f"{json.dumps(key)}:{value:g}" for key, value in values.items())
        self._out.append(
            f'{{"ph":"C","pid":{self._pid},"name":{json.dumps(name)},"ts":{_time(time_ns)},"args":{{{args}}}}}'
        )

    # -- what takes several turns

    def _begin(self, event: TraceEvent) -> None:
        self._spans.setdefault(event.name, []).append((str(event.value), event.time_ns))
        self._span("b", event.name, str(event.value), event.time_ns)

    def _end(self, event: TraceEvent) -> None:
        spans = self._spans.get(event.name)
        if spans:  # otherwise it began before anybody looked, or ended with the power
            label, began_ns = spans.pop()
            self._span("e", event.name, label, max(began_ns, event.time_ns))
            if not spans:
                del self._spans[event.name]

    def _span(self, phase: str, of: str, label: str, time_ns: int) -> None:
        self._out.append(
            f'{{"ph":"{phase}","cat":"span","pid":{self._pid},"tid":0,"id":{json.dumps(f"{self._pid} {of}")},'
            f'"name":{json.dumps(label)},"ts":{_time(time_ns)},"args":{{"of":{json.dumps(of)}}}}}'
        )

    # -- the other parts

    def _power(self, event: TraceEvent) -> None:
        if event.name == "on":
            self._start("power", "on", event.time_ns)
            return
        self._stop(event.time_ns)
        self._finish("power", event.time_ns)

    def _reset(self, event: TraceEvent) -> None:
        self._stop(event.time_ns)
        self._mark("power", event.time_ns, f"reset: {event.name}")

    def _led(self, event: TraceEvent) -> None:
        track = f"led {event.name}"
        self._finish(track, event.time_ns)
        if event.value != "off":
            self._start(track, str(event.value), event.time_ns)

    def _uart(self, event: TraceEvent) -> None:
        if not event.name.endswith(".tx"):  # what the board says is there line by line
            self._mark(SERIAL_IN, event.time_ns, f"{event.name.rpartition('.')[2]} {event.value} bytes")

    def _card(self, event: TraceEvent) -> None:
        # read or write is followed by first sector + count; insert and remove by how often a card was put in
        self._mark(SLOT, event.time_ns, f"{event.name} {event.value}")

    def _line(self, event: TraceEvent) -> None:
        self._out.append(
            f'{{"ph":"X",{self._place(SERIAL_OUT)},"cat":"line","name":{json.dumps(event.name)},'
            f'"ts":{_time(event.time_ns)},"dur":{_time(int(event.value))}}}'
        )

    def _instant(self, event: TraceEvent) -> None:
        """Whatever has no track of its own: flash, pins, the watchdog, what is still to come."""
        self._mark("power" if event.kind == "watchdog" else event.kind, event.time_ns, f"{event.name} {event.value}")

    # -- tracks

    def _stop(self, time_ns: int) -> None:
        """The CPU was reset, or power went: nothing goes on."""
        self.rest()
        for charge in self._take_charges(time_ns):
            self._slice(charge)
        for of, spans in self._spans.items():
            for label, began_ns in reversed(spans):
                self._span("e", of, label, max(began_ns, time_ns))
        self._spans.clear()

    def _start(self, track: str, name: str, time_ns: int) -> None:
        self._finish(track, time_ns)
        self._open[track] = time_ns
        self._out.append(f'{{"ph":"B",{self._place(track)},"name":{json.dumps(name)},"ts":{_time(time_ns)}}}')

    def _finish(self, track: str, time_ns: int) -> None:
        began_ns = self._open.pop(track, None)
        if began_ns is not None:
            self._out.append(f'{{"ph":"E",{self._place(track)},"ts":{_time(max(began_ns, time_ns))}}}')

    def _mark(self, track: str, time_ns: int, name: str) -> None:
        self._out.append(f'{{"ph":"i","s":"t",{self._place(track)},"name":{json.dumps(name)},"ts":{_time(time_ns)}}}')

    def _place(self, track: str, of: str = "part") -> str:
        return f'"pid":{self._pid},"tid":{self._tid(track, of)}'

    def _tid(self, track: str, of: str = "part") -> int:
        """The number of a track: a task may be called as one of the board's parts is."""
        tid = self._tracks.get((of, track))
        if tid is None:
            tid = self._tracks[of, track] = len(self._tracks) + 1
            self._meta("thread_name", tid, f'"name":{json.dumps(track)}')
            self._meta("thread_sort_index", tid, f'"sort_index":{tid}')
        return tid

    def _meta(self, what: str, tid: int, args: str) -> None:
        self._out.append(f'{{"ph":"M","pid":{self._pid},"tid":{tid},"name":"{what}","args":{{{args}}}}}')


def _nested(charges: list[Charge], limit_ns: int) -> list[Charge]:
    """In the order of their beginnings, outer before inner, and no inner one longer than its outer one.

    What a device took is known when it is over, after what was charged meanwhile; and cycles are whole, so the outer
    one may seem to end a few nanoseconds before the inner one.
    """
    nested: list[Charge] = []
    ends = [limit_ns]
    for began_ns, task, kind, duration_ns in sorted(charges, key=lambda charge: (charge[0], -charge[3])):
        while len(ends) > 1 and ends[-1] <= began_ns:
            ends.pop()
        end_ns = max(began_ns, min(began_ns + duration_ns, ends[-1]))
        ends.append(end_ns)
        nested.append((began_ns, task, kind, end_ns - began_ns))
    return nested
