"""A TLS client in virtual time, made of Python's own ``ssl`` on memory buffers: an implementation that is not ours.

It accepts whatever the board shows (no verification, security level 0), because what the board shows is the subject of
the tests; give it a trust anchor to have it verify.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h11

from hil.netclient import TIMEOUT_MS, NetClient
from hil.record.streams import RecordedStream, TlsEnds

CIPHERS = "ALL:@SECLEVEL=0"
"""Everything, RSA key exchange and 1024-bit keys included."""

READ_BYTES = 16_384
"""One TLS record."""


@dataclass(frozen=True)
class Response:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class ClientContext(ssl.SSLContext):
    """A context that knows again what it was given, for the record: OpenSSL does not give it back."""

    ciphers = ""
    """OpenSSL's cipher string."""
    client_chain = ""
    """PEM of the client's own certificates, and of its key."""
    protocols: Sequence[str] = ()

    def set_ciphers(self, cipherlist: str) -> None:
        """As SSLContext's."""
        super().set_ciphers(cipherlist)
        self.ciphers = cipherlist

    def load_cert_chain(self, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
        """As SSLContext's."""
        super().load_cert_chain(certfile, keyfile, password)
        files = [certfile] if keyfile is None else [certfile, keyfile]
        self.client_chain = "".join(Path(file).read_text(encoding="ascii", errors="replace") for file in files)

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """As SSLContext's."""
        self.protocols = list(alpn_protocols)
        super().set_alpn_protocols(self.protocols)


def client_context(
    *,
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1,
    maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    ciphers: str = CIPHERS,
    trust_anchor: str | None = None,
) -> ssl.SSLContext:
    """A context that takes everything.

    Args:
        ciphers: OpenSSL's cipher string for TLS 1.2 and below.
        trust_anchor: PEM; with it the board's chain is verified, without host name.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        # TLS 1.0 and 1.1 are what this family of devices speaks.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = minimum
        context.maximum_version = maximum
    context.set_ciphers(ciphers)
    if trust_anchor is not None:
        context.load_verify_locations(cadata=trust_anchor)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class TlsClient:
    """TLS over a ``NetClient``.

    Args:
        server_name: for SNI; None sends none.
        context: what is offered and verified; everything and nothing unless told.
    """

    def __init__(
        self, net: NetClient, *, server_name: str | None = None, context: ssl.SSLContext | None = None
    ) -> None:
        self.net = net
        used = context or client_context()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = TlsEnds(used.wrap_bio(incoming, outgoing, server_hostname=server_name), incoming, outgoing)
        if net.recorder is not None and isinstance(net.stream, RecordedStream):
            ends = net.recorder.watch_tls(net.stream, ends, used, server_name)
        self._tls, self._incoming, self._outgoing = ends

    def handshake(self, timeout_ms: float = TIMEOUT_MS) -> TlsClient:
        """Shakes hands.

        Raises:
            ssl.SSLError: the board or we refused; ``reason`` names the alert.
            ConnectionResetError: the board broke off without one.
            DeviceFailure: the board went silent.
        """
        self._pump(self._tls.do_handshake, timeout_ms)
        return self

    @property
    def version(self) -> str:
        """For example ``TLSv1.2``."""
        return self._tls.version() or ""

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the cipher suite."""
        cipher = self._tls.cipher()
        return cipher[0] if cipher else ""

    @property
    def peer_chain(self) -> list[bytes]:
        """What the board showed, in its order, DER; the leaf alone where Python gives no more."""
        # Public from Python 3.13 on; before that the same method sits on the inner object.
        for holder in (self._tls, getattr(self._tls, "_sslobj", None)):
            get_chain: Any = getattr(holder, "get_unverified_chain", None)
            if get_chain is not None:
                return [_der(certificate) for certificate in get_chain() or ()]
        leaf = self._tls.getpeercert(binary_form=True)
        return [leaf] if leaf else []

    def write(self, data: bytes, timeout_ms: float = TIMEOUT_MS) -> None:
        """Sends ``data``."""
        self._pump(lambda: self._tls.write(data), timeout_ms)

    def read(self, timeout_ms: float = TIMEOUT_MS) -> bytes:
        """What has arrived, once there is something; ``b""`` after the board's close_notify."""
        try:
            return bytes(self._pump(lambda: self._tls.read(READ_BYTES), timeout_ms))
        except ssl.SSLZeroReturnError:
            return b""

    def request(
        self,
        method: str = "GET",
        target: str = "/",
        *,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        timeout_ms: float = TIMEOUT_MS,
    ) -> Response:
        """One HTTP/1.1 request and its answer, on this connection."""
        connection = h11.Connection(h11.CLIENT)
        fields = {"host": "gateway", "connection": "close", **(headers or {})}
        if body:
            fields.setdefault("content-length", str(len(body)))
        sent = [h11.Request(method=method, target=target, headers=list(fields.items()))]
        out = b"".join(connection.send(event) or b"" for event in sent)
        if body:
            out += connection.send(h11.Data(data=body)) or b""
        out += connection.send(h11.EndOfMessage()) or b""
        self.write(out, timeout_ms)
        return self._response(connection, timeout_ms)

    def close(self) -> None:
        """Says close_notify, as far as that goes, and closes the connection."""
        try:
            self._tls.unwrap()
        except (ssl.SSLError, OSError, ValueError):
            pass
        try:
            self._flush(TIMEOUT_MS)
        except OSError:
            pass
        self.net.close()

    def __enter__(self) -> TlsClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _response(self, connection: h11.Connection, timeout_ms: float) -> Response:
        head: h11.Response | None = None
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(self.read(timeout_ms))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                headers = {name.decode().lower(): value.decode() for name, value in head.headers}
                return Response(head.status_code, headers, bytes(body))

    def _pump(self, step: Any, timeout_ms: float) -> Any:
        """Does one step of TLS, with as many exchanges as it takes."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush(timeout_ms)
                self._feed(timeout_ms)
            except ssl.SSLError:
                # Our alert has to leave before the failure is told.
                self._flush(timeout_ms)
                raise
            else:
                self._flush(timeout_ms)
                return result

    def _flush(self, timeout_ms: float) -> None:
        data = self._outgoing.read()
        if data:
            self.net.write(data, timeout_ms)

    def _feed(self, timeout_ms: float) -> None:
        data = self.net.read(timeout_ms=timeout_ms)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def _der(certificate: Any) -> bytes:
    """Python 3.13 gives DER; before, an object that can be asked for it (1 is ``_ssl.ENCODING_PEM``, 2 is DER)."""
    return certificate if isinstance(certificate, bytes) else bytes(certificate.public_bytes(2))
