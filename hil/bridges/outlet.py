"""Output to a descriptor that may be slow: bounded, never blocking, and honest about what was dropped."""

from __future__ import annotations

import os
from collections.abc import Callable

from hil.poller import WRITE, Poller

LIMIT_BYTES = 256 * 1024
"""What is kept for a reader that does not read: more than twenty seconds of a busy console."""

PIECE_BYTES = 512
"""At most this much in one write: a blocking descriptor that ``select`` calls ready takes it without waiting (a pipe
has PIPE_BUF bytes of room then)."""


class Outlet:
    """Sends bytes to ``fd`` as fast as it takes them.

    Args:
        events: what else ``fd`` is watched for, and who handles it.
        write: how bytes are sent; ``os.write`` unless told.
        broken: called when the other end is gone.
    """

    def __init__(
        self,
        poller: Poller,
        fd: int,
        broken: Callable[[], None],
        *,
        write: Callable[[bytes], int] | None = None,
        on_watch: Callable[[int], None] | None = None,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._poller = poller
        self._fd = fd
        self._broken = broken
        self._write = write or (lambda data: os.write(fd, data))
        self._on_watch = on_watch
        self._limit_bytes = limit_bytes
        self._pending = bytearray()
        self._dropped = 0

    def send(self, data: bytes) -> None:
        """Sends ``data``, now or when there is room; drops it when too much waits already, and says so later."""
        if len(self._pending) + len(data) > self._limit_bytes:
            self._dropped += len(data)
        else:
            self._mention_drops()
            self._pending += data
        self._watch()

    @property
    def pending(self) -> int:
        """Number of bytes that wait."""
        return len(self._pending)

    def flush(self) -> None:
        """Writes one piece: for when the descriptor is ready."""
        if not self._pending:
            return
        try:
            sent = self._write(bytes(self._pending[:PIECE_BYTES]))
        except BlockingIOError:
            return
        except OSError:
            self._pending.clear()
            self._broken()
            return
        del self._pending[:sent]
        if not self._pending:
            self._mention_drops()
        self._watch()

    def drain(self, attempts: int = 1_000) -> None:
        """Writes what is left, at the end of a run, as far as the descriptor takes it without waiting."""
        import select

        while self._pending and attempts and select.select([], [self._fd], [], 0.05)[1]:
            attempts -= 1
            self.flush()

    def _mention_drops(self) -> None:
        if self._dropped:
            self._pending += b"\r\n[gatebench: %d bytes dropped, the reader is too slow]\r\n" % self._dropped
            self._dropped = 0

    def _watch(self) -> None:
        events = WRITE if self._pending else 0
        if self._on_watch is not None:
            self._on_watch(events)
        else:
            self._poller.watch(self._fd, events, lambda ready: self.flush())
