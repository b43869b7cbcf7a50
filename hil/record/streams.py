"""The outer end of a connection, with what is done at it noted; and TLS clients, by what they do.

A connection's bytes are recorded as they are. Those of a TLS client cannot be repeated: both ends draw from OpenSSL's
generator, which nobody seeds, so the same ciphertext would be garbage to the board the second time. What repeats is
what the client does (its settings, handshake, the plaintext that it writes, its close); a client of the same settings
does it again, at the same places, and its records have the same sizes, which is all that a trace knows of them::

    recorded    tls settings · do handshake · write 517 bytes · read 1,394 · feed 1,394 · do handshake ...
    repeated    a client of our own: do handshake, take 517 bytes, write them; read, feed; do handshake ...
"""

from __future__ import annotations

import ssl
import tempfile
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from board.ethernet import Status, Stream

if TYPE_CHECKING:
    from hil.record.recorder import Recorder

Note = Callable[..., Any]

READ_BYTES = 16_384
"""One TLS record, as a client reads."""

KINDS = ("handshake", "write", "read", "unwrap")
"""What is done with a TLS object."""


class RecordedStream:
    """As ``Stream``; what is done at it is noted, as far as it has an effect on the other end."""

    def __init__(self, stream: Stream, number: int, recorder: Recorder) -> None:
        self.stream = stream
        self.number = number
        self.ciphertext = bytearray()
        """What a TLS client has made and not sent yet."""
        self._recorder = recorder

    @property
    def peer(self) -> str:
        return self.stream.peer

    @property
    def local_port(self) -> int:
        return self.stream.local_port

    @property
    def status(self) -> Status:
        return self.stream.status

    @property
    def failure(self) -> int:
        return self.stream.failure

    def read(self, nbytes: int = -1, /) -> bytes | None:
        data = self._recorder.do(lambda: self.stream.read(nbytes))
        if data:
            self._recorder.note("read", self.number, len(data))
        return data

    def write(self, buf: bytes, /) -> int:
        taken = self._recorder.do(lambda: self.stream.write(buf))
        if taken and self.ciphertext and self.ciphertext.startswith(buf):
            del self.ciphertext[:taken]
            self._recorder.note("write-tls", self.number, taken)
        elif taken:
            self._recorder.note("write", self.number, bytes(buf[:taken]))
        return taken

    def any(self) -> int:
        return self.stream.any()

    def end(self) -> None:
        self._recorder.note("end", self.number)
        self._recorder.do(self.stream.end)

    def close(self) -> None:
        self._recorder.note("close", self.number)
        self._recorder.do(self.stream.close)

    def abort(self) -> None:
        self._recorder.note("abort", self.number)
        self._recorder.do(self.stream.abort)

    def irq(self, handler: Callable[[], None] | None) -> None:
        self.stream.irq(handler)


class TlsEnds(NamedTuple):
    """A TLS object of Python's ``ssl`` and the two buffers that it works on."""

    tls: Any
    incoming: Any
    outgoing: Any

    def watched(self, stream: RecordedStream, note: Note) -> TlsEnds:
        """The same, with what is done noted."""
        return TlsEnds(
            _NotedTls(self.tls, stream, note), _NotedIncoming(self.incoming, stream, note), _Outgoing(self, stream)
        )


class _NotedTls:
    """As ``ssl.SSLObject``."""

    def __init__(self, tls: Any, stream: RecordedStream, note: Note) -> None:
        self._tls = tls
        self._stream = stream
        self._note = note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tls, name)

    def do_handshake(self) -> None:
        self._note("tls-do", self._stream.number, "handshake", b"")
        self._tls.do_handshake()

    def write(self, data: bytes) -> int:
        self._note("tls-do", self._stream.number, "write", bytes(data))
        return int(self._tls.write(data))

    def read(self, size: int = READ_BYTES) -> bytes:
        self._note("tls-do", self._stream.number, "read", b"")
        return bytes(self._tls.read(size))

    def unwrap(self) -> None:
        self._note("tls-do", self._stream.number, "unwrap", b"")
        self._tls.unwrap()


class _NotedIncoming:
    """As ``ssl.MemoryBIO``, the one that what arrives is put into."""

    def __init__(self, buffer: Any, stream: RecordedStream, note: Note) -> None:
        self._buffer = buffer
        self._stream = stream
        self._note = note

    def write(self, data: bytes) -> int:
        self._note("tls-feed", self._stream.number, len(data))
        return int(self._buffer.write(data))

    def write_eof(self) -> None:
        self._note("tls-eof", self._stream.number)
        self._buffer.write_eof()


class _Outgoing:
    """As ``ssl.MemoryBIO``, the one that what is to be sent is taken from: the stream shall know it again."""

    def __init__(self, ends: TlsEnds, stream: RecordedStream) -> None:
        self._buffer = ends.outgoing
        self._stream = stream

    def read(self) -> bytes:
        data = bytes(self._buffer.read())
        self._stream.ciphertext += data
        return data


class RepeatedTls:
    """A client that does what a recorded one did. KeyError, TypeError or ValueError for settings that are none.

    Args:
        watch: gets ends, context and server name, and gives ends that are watched.
    """

    def __init__(
        self, settings: dict[str, Any], watch: Callable[[TlsEnds, ssl.SSLContext, str | None], TlsEnds]
    ) -> None:
        context, name = context_from(settings), settings["server_name"]
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = TlsEnds(context.wrap_bio(incoming, outgoing, server_hostname=name), incoming, outgoing)
        self._tls, self._incoming, self._outgoing = watch(ends, context, name)
        self._arrived = bytearray()
        self._made = bytearray()

    def do(self, kind: str, data: bytes) -> None:
        """One step; what it raises, the recorded one has met too."""
        steps: dict[str, Callable[[], object]] = {
            "handshake": self._tls.do_handshake,
            "write": lambda: self._tls.write(data),
            "read": lambda: self._tls.read(READ_BYTES),
            "unwrap": self._tls.unwrap,
        }
        try:
            steps[kind]()
        except (ssl.SSLError, OSError, ValueError):
            pass

    def arrived(self, data: bytes) -> None:
        """Bytes came from the board."""
        self._arrived += data

    def feed(self, size: int) -> None:
        """Gives the next of them to TLS."""
        self._incoming.write(bytes(self._arrived[:size]))
        del self._arrived[:size]

    def feed_eof(self) -> None:
        """Tells TLS that nothing more will come."""
        self._incoming.write_eof()

    def take(self, size: int) -> bytes:
        """The next bytes to be sent; fewer when there are no more."""
        self._made += self._outgoing.read()
        data = bytes(self._made[:size])
        del self._made[:size]
        return data


def settings_of(context: ssl.SSLContext, server_name: str | None) -> tuple[dict[str, Any], str | None]:
    """What a client offers and verifies, as plain values; and what of it cannot be known."""
    settings = {
        "server_name": server_name,
        "minimum": int(context.minimum_version),
        "maximum": int(context.maximum_version),
        "ciphers": getattr(context, "ciphers", "") or _ciphers_of(context),
        "options": int(context.options),
        "verify": int(context.verify_mode),
        "trust_anchors": [anchor.hex() for anchor in context.get_ca_certs(binary_form=True)],
        "chain": getattr(context, "client_chain", ""),
        "protocols": list(getattr(context, "protocols", ())),
    }
    known = hasattr(context, "client_chain")
    return settings, None if known else "a TLS context that client_context did not make: parts of it are not recorded"


def _ciphers_of(context: ssl.SSLContext) -> str:
    legacy = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    return ":".join([*legacy, f"@SECLEVEL={context.security_level}"])


def context_from(settings: dict[str, Any]) -> ssl.SSLContext:
    """A context of these settings."""
    from hil.tlsclient import ClientContext

    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.VerifyMode(settings["verify"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion(settings["minimum"])
        context.maximum_version = ssl.TLSVersion(settings["maximum"])
        context.options = ssl.Options(settings["options"])
    context.set_ciphers(settings["ciphers"])
    for anchor in settings["trust_anchors"]:
        context.load_verify_locations(cadata=bytes.fromhex(anchor))
    if settings["chain"]:
        _load_chain(context, settings["chain"])
    if settings["protocols"]:
        context.set_alpn_protocols(settings["protocols"])
    context.client_chain = settings["chain"]
    return context


def _load_chain(context: ssl.SSLContext, pem: str) -> None:
    """``ssl`` reads certificates of a client's own from files alone."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
