"""A network peer in virtual time: one TCP connection to a board, from outside.

Reads and writes let the world go on until there is something to read, or room to write; the board's answers come when
its CPU has had the time to make them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from board.clock import VirtualClock
from board.ethernet import Status, Stream
from hil.errors import DeviceFailure

if TYPE_CHECKING:
    from hil.record.recorder import Recorder
    from hil.record.streams import RecordedStream

TIMEOUT_MS = 10_000
"""Enough for a whole handshake with a 4096-bit key on the slowest model."""


class NetClient:
    """The outer end of a connection. Made by ``Gateway.connect``."""

    def __init__(self, clock: VirtualClock, stream: Stream | RecordedStream, recorder: Recorder | None = None) -> None:
        self._clock = clock
        self._stream = stream
        self.recorder = recorder
        """Who wants to know what a TLS client does on it: its ciphertext alone cannot be repeated."""

    @property
    def stream(self) -> Stream | RecordedStream:
        """Our end of the connection."""
        return self._stream

    @property
    def status(self) -> Status:
        """``connecting``, ``open``, ``refused``, ``reset`` or ``closed``."""
        return self._stream.status

    def wait_open(self, timeout_ms: float = TIMEOUT_MS) -> bool:
        """Lets time pass until the board has accepted or refused. True when it has accepted."""
        self._run_while(lambda: self._stream.status == "connecting", timeout_ms)
        return self._stream.status == "open"

    def read(self, nbytes: int = -1, timeout_ms: float = TIMEOUT_MS) -> bytes:
        """What has arrived, once there is something; ``b""`` when the board has ended its direction.

        Raises:
            DeviceFailure: nothing came in time.
            ConnectionResetError: the board broke the connection off.
        """
        received: list[bytes] = []

        def unfinished() -> bool:
            data = self._stream.read(nbytes)
            if data is not None:
                received.append(data)
            return data is None

        if not self._run_while(unfinished, timeout_ms):
            raise self._failure(f"data from {self._stream.peer} within {timeout_ms:g} ms", "nothing")
        if not received[0] and self._stream.status in ("reset", "refused"):
            raise ConnectionResetError(f"connection to {self._stream.peer} was {self._stream.status}")
        return received[0]

    def read_all(self, timeout_ms: float = TIMEOUT_MS) -> bytes:
        """Everything until the board ends its direction."""
        pieces = []
        while piece := self.read(timeout_ms=timeout_ms):
            pieces.append(piece)
        return b"".join(pieces)

    def write(self, data: bytes, timeout_ms: float = TIMEOUT_MS) -> None:
        """Sends ``data``, waiting for room where the board does not read.

        Raises:
            DeviceFailure: the board made no room in time.
            OSError: EPIPE, the connection is not open.
        """
        self.wait_open(timeout_ms)
        rest = data

        def unfinished() -> bool:
            nonlocal rest
            rest = rest[self._stream.write(rest) :]
            return bool(rest)

        if not self._run_while(unfinished, timeout_ms):
            raise self._failure(f"{self._stream.peer} to take {len(data)} bytes", f"{len(rest)} of them left")

    def end(self) -> None:
        """Ends our direction alone."""
        self._stream.end()

    def close(self) -> None:
        """Closes the connection."""
        self._stream.close()

    def abort(self) -> None:
        """Breaks it off with a reset."""
        self._stream.abort()

    def __enter__(self) -> NetClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run_while(self, unfinished: Callable[[], bool], timeout_ms: float) -> bool:
        return self._clock.run_while(unfinished, int(timeout_ms * 1_000_000))

    def _failure(self, expected: str, got: str) -> DeviceFailure:
        return DeviceFailure(expected, got, time_ns=self._clock.now_ns)
