"""A timeline for waveform viewers (GTKWave, PulseView, Surfer): a value change dump, IEEE 1364-2005 18.

One scope per board::

    power        1 while it has power                 reset       an event at every reset of the CPU
    cpu_busy     1 while a task has the CPU           uart_tx     1 while bytes leave; uart_rx: while they arrive
    card_detect  the slot's pin: 0 while a card is in, bounces included            button: its pin, 0 while pressed
    led_NAME     two bits, red and green (orange is both); led_NAME_blink: 1 while it blinks by itself

A dump's times must not go back, and a CPU's turn is known when it is over: changes lie in a heap until nothing earlier
can come. Which boards there are must be said at the top, so only those appear that are on the bench when it begins.

Not modelled: bits on the serial line, the blinking itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING

from board.trace import Row

if TYPE_CHECKING:
    from hil.gateway import Gateway

BURST_NS = 10_000_000
"""How long a burst of the UART takes that is known when it is over: 64 bytes at 115200 baud take 5.6 ms. At lower rates
the dump shows its end alone."""

WRITE_CHANGES = 4_096
"""So many changes, some 50 KB, are written at once."""

WRITE_NS = 1_000_000_000
"""And what there is at least once in a second of virtual time."""

COLOURS = {"off": "00", "green": "01", "red": "10", "orange": "11"}

EVENT = "1"
MORE, LESS = "+", "-"
"""One thing more, or less, goes on: such a signal is 1 while anything does."""

PINS = {"cd": "card_detect", "button": "button"}

FRAME_BITS = 10


class VcdSink:
    """Writes one file. OSError when it cannot."""

    spans = False

    def __init__(self, path: str | Path) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by close()
        self._boards: dict[str, _Board] = {}
        self._identifiers = _identifiers()
        self._changes: list[tuple[int, int, str, str]] = []  # time, sequence, identifier, value
        self._sequence = 0
        self._values: dict[str, str] = {}
        self._depths: dict[str, int] = {}
        self._out: list[str] = []
        self._time_ns = -1
        self._began = False
        self._write_ns = 0

    def board(self, gateway: Gateway) -> None:
        """A scope of its own, as long as the dump has not begun."""
        if not self._began:
            self._boards[gateway.name] = _Board(gateway, self._identifiers)

    def events(self, events: Sequence[Row]) -> None:
        """Turns events into changes."""
        for event in events:
            self._event(event)

    def _event(self, event: Row) -> None:
        board = self._boards.get(event[1])
        if board is None:
            return
        time_ns, _, kind, name, value = event
        if kind == "task":
            busy = board.signals["cpu_busy"]
            self._change(time_ns, busy, MORE)
            self._change(time_ns + int(value), busy, LESS)
        elif kind == "uart":
            signal = board.signals.get(f"uart_{name.rpartition('.')[2]}")
            if signal is not None:
                # A nanosecond too long rather than too short: bursts that follow each other leave no gap.
                burst_ns = min(int(value) * FRAME_BITS * 1_000_000_000 // board.baudrate + 1, BURST_NS)
                self._change(time_ns - burst_ns, signal, MORE)
                self._change(time_ns, signal, LESS)
        elif kind == "led":
            colour, _, blinking = str(value).partition(" ")
            self._change(time_ns, board.signals[f"led_{name}"], COLOURS[colour])
            self._change(time_ns, board.signals[f"led_{name}_blink"], "1" if blinking else "0")
        elif kind == "pin" and name in PINS:
            self._change(time_ns, board.signals[PINS[name]], str(value))
        elif kind == "power":
            self._change(time_ns, board.signals["power"], "1" if name == "on" else "0")
        elif kind == "reset":
            self._change(time_ns, board.signals["reset"], EVENT)

    def settle(self, until_ns: int) -> None:
        """Writes what nothing earlier can come before: turns began after that, but bursts may have."""
        self._advance(until_ns - BURST_NS)
        if len(self._out) >= WRITE_CHANGES or until_ns >= self._write_ns:
            self._write_ns = until_ns + WRITE_NS
            self._write()

    def close(self, now_ns: int) -> None:
        """Writes the rest, and the time of the end."""
        self._advance(now_ns)
        self._begin()
        if now_ns > self._time_ns:
            self._out.append(f"#{now_ns}")
        self._write()
        self._file.close()

    def _change(self, time_ns: int, identifier: str, value: str) -> None:
        self._sequence += 1
        heappush(self._changes, (time_ns, self._sequence, identifier, value))

    def _advance(self, until_ns: int) -> None:
        """Moves changes up to ``until_ns`` from the heap to the output, several of one signal at a time as one."""
        changes = self._changes
        while changes and changes[0][0] <= until_ns:
            self._begin()
            time_ns = changes[0][0]
            now: dict[str, str] = {}
            while changes and changes[0][0] == time_ns:
                _, _, identifier, value = heappop(changes)
                if value in (MORE, LESS):
                    depth = self._depths[identifier] = self._depths.get(identifier, 0) + (1 if value == MORE else -1)
                    value = "1" if depth > 0 else "0"
                now[identifier] = value
            self._put(max(time_ns, self._time_ns, 0), now)

    def _put(self, time_ns: int, now: dict[str, str]) -> None:
        values, out = self._values, self._out
        changed = [(identifier, value) for identifier, value in now.items() if values[identifier] != value]
        if not changed:
            return
        if time_ns > self._time_ns:
            out.append(f"#{time_ns}")
            self._time_ns = time_ns
        for identifier, value in changed:
            if values[identifier] != EVENT_SIGNAL:
                values[identifier] = value
            out.append(_change_text(identifier, value))

    def _begin(self) -> None:
        """The header, once the boards are known."""
        if self._began:
            return
        self._began = True
        out = self._out
        out += ["$version gatebench $end", "$timescale 1 ns $end"]
        for name, board in self._boards.items():
            out.append(f"$scope module {name} $end")
            for signal, identifier in board.signals.items():
                width = 2 if signal in board.leds else 1
                kind = "event" if signal == "reset" else "wire"
                reference = f"{signal} [1:0]" if width == 2 else signal
                out.append(f"$var {kind} {width} {identifier} {reference} $end")
                self._values[identifier] = EVENT_SIGNAL if signal == "reset" else board.initial(signal) * width
            out.append("$upscope $end")
        out += ["$enddefinitions $end", "$dumpvars"]
        out += [_change_text(identifier, value) for identifier, value in self._values.items() if value != EVENT_SIGNAL]
        out.append("$end")

    def _write(self) -> None:
        if self._out:
            self._file.write(("\n".join(self._out) + "\n").encode())
            self._out.clear()


EVENT_SIGNAL = "event"
"""In place of a value: an event has none, every one of its changes counts."""


class _Board:
    """One scope: its signals, each with the short identifier that stands for it in the dump."""

    def __init__(self, gateway: Gateway, identifiers: Iterator[str]) -> None:
        board = gateway.board
        self.baudrate = board.uart.baudrate
        self.leds = [f"led_{name}" for name in board.leds]
        names = ["power", "reset", "cpu_busy", "uart_tx", "uart_rx", "button"]
        if board.slot is not None:
            names.append("card_detect")
        names += [signal for led in self.leds for signal in (led, f"{led}_blink")]
        self.signals = {name: next(identifiers) for name in names}
        self._whole = len(gateway.bench.trace) == gateway.bench.trace.count

    def initial(self, signal: str) -> str:
        """What each bit of a signal is before anything happens; unknown when the trace has lost its beginning."""
        if not self._whole:
            return "x"
        return "1" if signal in PINS.values() else "0"


def _change_text(identifier: str, value: str) -> str:
    return f"{value}{identifier}" if len(value) == 1 else f"b{value} {identifier}"


def _identifiers() -> Iterator[str]:
    """``!``, ``"``, ... ``~``, and then of two characters, three ... (IEEE 1364-2005 18.2.1: printable ASCII)."""
    signs = [chr(code) for code in range(33, 127)]
    length = 1
    while True:
        for number in range(len(signs) ** length):
            text = ""
            for _ in range(length):
                number, digit = divmod(number, len(signs))
                text = signs[digit] + text
            yield text
        length += 1
