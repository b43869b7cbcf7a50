"""One direction of an asynchronous serial wire: bytes that follow one another in exact time.

::

    put("ab")            put("c")                       put("d")
    |start|...a...|...b...|...c...|      (idle)          |...d...|
                  ^ ends at start + 1 byte time          ^ a new run: the wire had fallen silent

Bytes that follow without a gap form a run. The n-th byte of a run ends at ``start + n * bits * 10**9 // baudrate``,
reckoned from the run's start, so no rounding adds up however long it is.

Not modelled: noise, and anything within a byte.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

Kind = Literal["data", "break", "framing"]

BREAK_BITS = 13
"""Length of a break: longer than any frame. What LIN uses at least, and what STM32 parts send."""


@dataclass(frozen=True, slots=True)
class Burst:
    """What came over the wire: some bytes in a row, a break (no bytes), or a byte whose stop bit was missing."""

    kind: Kind
    data: bytes


class _Run:
    """Frames in a row, all of one kind. ``taken`` of them have been handed out already."""

    __slots__ = ("baudrate", "data", "kind", "scale", "start_ns", "taken")

    def __init__(self, kind: Kind, start_ns: int, frame_bits: int, baudrate: int, data: bytes) -> None:
        self.kind = kind
        self.start_ns = start_ns
        self.scale = frame_bits * 1_000_000_000
        self.baudrate = baudrate
        self.data = bytearray(data)
        self.taken = 0

    def end_ns(self, number_of_frames: int) -> int:
        return self.start_ns + number_of_frames * self.scale // self.baudrate

    def ended_by(self, now_ns: int) -> int:
        """How many frames have ended at ``now_ns``: the largest n with ``end_ns(n) <= now_ns``."""
        if now_ns < self.start_ns:
            return 0
        by_time = ((now_ns - self.start_ns + 1) * self.baudrate - 1) // self.scale
        return min(by_time, self.size)

    @property
    def size(self) -> int:
        return self.taken + len(self.data)

    def take(self, number_of_frames: int) -> bytes:
        data = bytes(self.data[:number_of_frames])
        del self.data[:number_of_frames]
        self.taken += number_of_frames
        return data


class Lane:
    """The wire from one transmitter to one receiver. A break is one frame of its own length."""

    def __init__(self, baudrate: int, frame_bits: int) -> None:
        self.baudrate = baudrate
        self.frame_bits = frame_bits
        self.busy_until_ns = 0
        """When the last bit so far has left."""
        self._runs: deque[_Run] = deque()

    def put(self, data: bytes, now_ns: int) -> None:
        """Sends ``data`` behind what is on its way already."""
        if data:
            self._append("data", data, self.frame_bits, now_ns)

    def put_break(self, now_ns: int, bits: int = BREAK_BITS) -> None:
        """Holds the wire low for ``bits`` bit times."""
        self._append("break", b"\0", bits, now_ns)

    def put_without_stop_bit(self, byte: int, now_ns: int) -> None:
        """Sends one byte with a framing error."""
        self._append("framing", bytes([byte]), self.frame_bits, now_ns)

    def take(self, now_ns: int) -> list[Burst]:
        """What has ended at ``now_ns`` and was not taken before."""
        bursts = []
        while self._runs:
            run = self._runs[0]
            number_of_frames = run.ended_by(now_ns) - run.taken
            if number_of_frames <= 0:
                break
            data = run.take(number_of_frames)
            bursts.append(Burst(run.kind, b"" if run.kind == "break" else data))
            if not run.data:
                self._runs.popleft()
        return bursts

    def next_ns(self, chunk_bytes: int) -> int | None:
        """When the next ``chunk_bytes`` bytes have ended, or the run if it is shorter; None while nothing is sent."""
        if not self._runs:
            return None
        run = self._runs[0]
        return run.end_ns(min(run.taken + chunk_bytes, run.size))

    def pending(self, now_ns: int) -> int:
        """Number of frames that have not ended at ``now_ns``."""
        return sum(run.size - max(run.taken, run.ended_by(now_ns)) for run in self._runs)

    def cut(self, now_ns: int) -> None:
        """Forgets whatever has not ended at ``now_ns``; what has can still be taken."""
        for run in self._runs:
            del run.data[max(run.ended_by(now_ns) - run.taken, 0) :]
        self._runs = deque(run for run in self._runs if run.data)
        self.busy_until_ns = min(self.busy_until_ns, now_ns)

    def _append(self, kind: Kind, data: bytes, frame_bits: int, now_ns: int) -> None:
        last = self._runs[-1] if self._runs else None
        if last is not None and self.busy_until_ns > now_ns and self._continues(last, kind, frame_bits):
            last.data += data
        else:
            last = _Run(kind, max(now_ns, self.busy_until_ns), frame_bits, self.baudrate, data)
            self._runs.append(last)
        self.busy_until_ns = last.end_ns(last.size)

    def _continues(self, run: _Run, kind: Kind, frame_bits: int) -> bool:
        same_timing = run.scale == frame_bits * 1_000_000_000 and run.baudrate == self.baudrate
        return run.kind == kind == "data" and same_timing
