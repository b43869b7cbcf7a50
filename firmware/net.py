"""Byte streams as tasks use them: read and write with ``await``, over TCP or over TLS alike.

Not pure, and not a feature: this is the one place where a ``hal.Stream``'s interrupts become something to wait for.
"""

from __future__ import annotations

import errno
from typing import Protocol

from firmware.errors import FirmwareError
from firmware.hal import Stream
from firmware.kernel import Event, Kernel

__all__ = ["READ_BYTES", "ByteStream", "ConnectionLost", "TcpStream", "discard"]

READ_BYTES = 16_384
"""Taken from the network at once: one full TLS record (RFC 8446 5.1) or some ten Ethernet frames."""


DISCARD_BYTES = 262_144
DISCARD_MS = 1_000
"""How much, and for how long, is read on and thrown away before a connection is closed over unread bytes."""


class ConnectionLost(FirmwareError):
    """The connection ended in the middle: refused, reset, or closed while there was something to write."""


class ByteStream(Protocol):
    """What a protocol's task needs of its connection. One task uses it; a deadline may end any of its awaits."""

    peer: str
    """``host:port`` of the other end."""
    secure: bool
    """Whether the bytes travel through TLS."""

    async def read(self, nbytes: int = READ_BYTES) -> bytes:
        """Waits for bytes, at most ``nbytes``; ``b""`` at the end. ConnectionLost when it was cut."""
        ...

    async def write(self, data: bytes) -> None:
        """Waits until all is on its way. ConnectionLost when the peer takes no more."""
        ...

    async def close(self) -> None:
        """Ends the connection properly. Never raises for a peer that is already gone."""
        ...

    def drop(self) -> None:
        """Ends the connection at once, without ceremony; also on the way out of a cancelled task."""
        ...


class TcpStream:
    """A ``ByteStream`` over a TCP connection."""

    secure = False

    def __init__(self, kernel: Kernel, stream: Stream) -> None:
        self.peer = stream.peer
        self._stream = stream
        self._changed = Event(kernel)
        stream.irq(self._changed.set)

    async def connected(self) -> None:
        """Waits until a connection that we began is open. ConnectionLost when it is refused."""
        while self._stream.status == "connecting":
            await self._change()
        if self._stream.status != "open":
            raise self._lost()

    async def read(self, nbytes: int = READ_BYTES) -> bytes:
        while True:
            self._changed.clear()
            data = self._stream.read(nbytes)
            if data:
                return data
            if data is not None:
                if self._stream.status in ("reset", "refused"):
                    raise self._lost()
                return b""
            await self._changed.wait()

    async def write(self, data: bytes) -> None:
        while data:
            self._changed.clear()
            try:
                taken = self._stream.write(data)
            except OSError as error:
                if self._stream.failure == errno.ETIMEDOUT:
                    raise self._lost() from None
                raise ConnectionLost(f"connection to {self.peer} takes nothing more: {error.strerror}") from None
            data = data[taken:]
            if not taken:
                if self._stream.status != "open":
                    raise self._lost()
                await self._changed.wait()

    async def close(self) -> None:
        self.drop()

    def drop(self) -> None:
        self._stream.close()
        self._stream.irq(None)

    def _lost(self) -> ConnectionLost:
        stream = self._stream
        how = "timed out" if stream.failure == errno.ETIMEDOUT else f"was {stream.status}"
        return ConnectionLost(f"connection to {self.peer} {how}")

    async def _change(self) -> None:
        self._changed.clear()
        if self._stream.status == "connecting":
            await self._changed.wait()


async def discard(kernel: Kernel, stream: ByteStream) -> None:
    """Reads on for a moment: closing over unread bytes resets a connection, and the last answer is lost on its way."""
    left_bytes = DISCARD_BYTES
    try:
        with kernel.deadline_ms(DISCARD_MS):
            while left_bytes > 0 and (data := await stream.read()):
                left_bytes -= len(data)
    except TimeoutError:
        pass
