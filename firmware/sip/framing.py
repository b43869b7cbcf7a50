"""Cutting a byte stream into SIP messages: bytes in, messages, pings and errors out (RFC 3261 18.3, RFC 5626 4.4.1).

Not modelled: datagrams, WebSocket frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from firmware.sip.errors import SipError
from firmware.sip.message import (
    KEEPALIVE,
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    PONG,
    SipRequest,
    SipResponse,
    parse_head,
)

__all__ = ["Fault", "Framer", "Ping"]

HEAD_END = b"\r\n\r\n"


class Ping(Enum):
    """A keep-alive of the peer's, or its answer to ours."""

    PING = "ping"
    PONG = "pong"


@dataclass(frozen=True)
class Fault:
    """A message that cannot be taken."""

    error: SipError
    fatal: bool
    """True when nobody can tell where the next message begins: answer if possible, then close."""


Item = SipRequest | SipResponse | Ping | Fault


class Framer:
    """Holds what has come of the message that is not complete yet; never more than head and body may have.

    Args:
        pinging: we are the end that pings: an empty line between messages is the answer (RFC 5626 4.4.1). Only the end
            that began the connection does so; the other one never sees a lone one that means anything.
    """

    def __init__(self, pinging: bool = False) -> None:
        self._pinging = pinging
        self._buffer = bytearray()
        self._searched = 0
        self._waiting: SipRequest | SipResponse | Fault | None = None
        self._body_bytes = 0
        self.broken = False
        """True once the stream cannot be cut into messages any more."""

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._waiting is not None or bool(self._buffer.strip(b"\r\n"))

    def feed(self, data: bytes) -> list[Item]:
        """Takes what came from the stream; gives what is complete now, in order."""
        if self.broken:
            return []
        self._buffer += data
        items: list[Item] = []
        while not self.broken and (item := self._next()) is not None:
            items.append(item)
            self.broken = isinstance(item, Fault) and item.fatal
        return items

    def _next(self) -> Item | None:
        if self._waiting is None:
            if not self._buffer:
                return None
            item = self._between() or self._head()
            if item is not None:
                return item
        if self._waiting is not None and len(self._buffer) >= self._body_bytes:
            return self._complete(self._waiting)
        return None

    def _between(self) -> Ping | None:
        """Empty lines between messages: two of them are a ping, one is to be passed over (RFC 3261 7.5)."""
        if not self._buffer.startswith(b"\r"):
            return None
        if self._pinging and self._buffer.startswith(PONG):
            del self._buffer[: len(PONG)]
            self._searched = 0
            return Ping.PONG
        if self._buffer.startswith(KEEPALIVE):
            del self._buffer[: len(KEEPALIVE)]
            self._searched = 0
            return Ping.PING
        if self._buffer.startswith(b"\r\n") and not KEEPALIVE.startswith(self._buffer[:4]):
            del self._buffer[:2]
            self._searched = 0
        return None

    def _head(self) -> Fault | None:
        """Reads a head as soon as it is complete. Gives only what is wrong beyond repair."""
        end = self._buffer.find(HEAD_END, self._searched, MAX_HEAD_BYTES)
        if end < 0:
            self._searched = max(0, len(self._buffer) - len(HEAD_END) + 1)
            if len(self._buffer) >= MAX_HEAD_BYTES:
                return self._too_long()
            return None
        head = bytes(self._buffer[:end])
        del self._buffer[: end + len(HEAD_END)]
        self._searched = 0
        return self._begin(head)

    def _begin(self, head: bytes) -> Fault | None:
        message: SipRequest | SipResponse | Fault
        readable: SipRequest | SipResponse | None
        try:
            message = readable = parse_head(head)
        except SipError as error:
            message, readable = Fault(error, fatal=False), error.request
        if readable is None:
            assert isinstance(message, Fault)
            return replace(message, fatal=True)
        try:
            self._body_bytes = readable.body_bytes
        except SipError as error:
            answerable = readable if isinstance(readable, SipRequest) else None
            return Fault(SipError(error.status, str(error), answerable), fatal=True)
        if self._body_bytes > MAX_BODY_BYTES:
            answerable = readable if isinstance(readable, SipRequest) else None
            text = f"body of {self._body_bytes} bytes, limit {MAX_BODY_BYTES}"
            return Fault(SipError(513, text, answerable), fatal=True)
        self._waiting = message
        return None

    def _complete(self, message: SipRequest | SipResponse | Fault) -> Item:
        self._waiting = None
        if not self._body_bytes:
            return message
        body = bytes(self._buffer[: self._body_bytes])
        del self._buffer[: self._body_bytes]
        return replace(message, body=body) if isinstance(message, SipRequest) else message

    def _too_long(self) -> Fault:
        """Answers from the part of the head that has come, as far as it goes."""
        head = bytes(self._buffer[:MAX_HEAD_BYTES]).rpartition(b"\r\n")[0]
        request = None
        try:
            parsed = parse_head(head)
            request = parsed if isinstance(parsed, SipRequest) else None
        except SipError as error:
            request = error.request
        self._buffer.clear()
        return Fault(SipError(513, f"head of more than {MAX_HEAD_BYTES} bytes", request), fatal=True)
