"""TLS over memory buffers: bytes in, bytes and events out; no socket, no clock, no scheduler.

::

               step(bytes from the wire)                    send(plaintext)   close()
                          |                                        |            |
                          v                                        v            v
    HANDSHAKE ----- handshake done -----> OPEN ------ close_notify from either ------> CLOSED
        |                                  |
        +--- fatal alert, either way ------+-----------------------------------------> FAILED

Every call returns a ``Step``: what must go onto the wire, what happened (the handshake messages and alerts, in order),
and what the peer said. Nothing leaves by itself, so whoever owns the engine can charge the CPU for the events of a step
before its output leaves the board.

No session is ever resumed: each connection shows its certificates, has its peer judged, and pays for its key exchange,
and a change of certificate or trust list counts for the next connection at once.

With a judge (`judgement`), the peer's certificates are judged in the middle of the handshake: a refused peer gets the
fitting alert, and what it had shown is known completely. Without one, a server asks for no certificate, and a client
takes any.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from firmware.tls.contexts import ClientContext
from firmware.tls.errors import TlsError
from firmware.tls.judgement import Judge, Judgement, Role
from firmware.tls.messages import CERTIFICATE, TLS_1_3, Alert, HandshakeEvent, TlsEvent, certificates_from_message

if TYPE_CHECKING:
    from OpenSSL import SSL

    from firmware.tls.connection import Connection

__all__ = ["Engine", "State", "Step"]

LONGEST_NAME_BYTES = 253
"""RFC 1035 2.3.4, without the length bytes at both ends."""


class State(Enum):
    """Where a connection is."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSED = "closed"
    FAILED = "failed"


HANDSHAKE, OPEN, CLOSED, FAILED = State
# By these names below: on Python 3.11 an Enum looks its members up with a call, and a connection asks often.


class Step(NamedTuple):
    """What came of one call."""

    output: bytes
    """For the wire, to be sent in this order."""
    events: tuple[TlsEvent, ...]
    alerts: tuple[Alert, ...]
    """Those among the events."""
    plaintext: bytes
    """What the peer said."""
    state: State


NO_EVENTS: tuple[TlsEvent, ...] = ()
NO_ALERTS: tuple[Alert, ...] = ()


class Engine:
    """One connection's protocol machine. Made from a context; ``step(b"")`` makes a client begin.

    Args:
        server_name: of a client: whom it asks for (RFC 6066 3). TlsError when it can be no name.
        judge: looks at the peer's certificates. The context must have been made for it.
        context_for_name: of a server: which context serves a client that asks for a name, or for none. What it raises
            comes out of ``step``.
    """

    def __init__(
        self,
        context: SSL.Context | ClientContext,
        role: Role,
        server_name: str | None = None,
        *,
        judge: Judge | None = None,
        context_for_name: Callable[[str | None], SSL.Context] | None = None,
    ) -> None:
        openssl = _openssl()

        self.role = role
        self.state = HANDSHAKE
        self.failure = ""
        """Why the connection failed; empty otherwise."""
        self.peer_chain_der: tuple[bytes, ...] = ()
        """What the peer showed, its own certificate first; known even when it is refused. Empty: it showed none."""
        self.judgement: Judgement | None = None
        """What the judge said; None: nobody was asked, or there was nothing to judge."""
        self._judge = judge
        self._context_for_name = context_for_name
        self._error: BaseException | None = None
        shared, shown = context if isinstance(context, ClientContext) else (context, None)
        self._connection: Connection = openssl.Connection(shared, self, shown)
        self._heard = self._connection.heard
        self._failed, self._peer_closed = openssl.Failed, openssl.PeerClosed
        if role is Role.SERVER:
            self._connection.accept()
        else:
            named = server_name is not None and not is_address(server_name)
            self._connection.connect(_wire_name(server_name) if named else None)

    @property
    def version(self) -> str:
        """Protocol version in use, for example ``TLSv1.2``."""
        return self._connection.version_name

    @property
    def cipher(self) -> str:
        """Name of the cipher suite in OpenSSL's words; empty before it is chosen."""
        return self._connection.cipher_name

    def step(self, data: bytes) -> Step:
        """Takes what came from the wire, any number of bytes, and goes as far as that goes."""
        if data and (self.state is OPEN or self.state is HANDSHAKE):
            self._connection.feed(data)
        if self.state is HANDSHAKE:
            self._handshake()
        return self._result(self._receive() if self.state is OPEN else b"")

    def eof(self) -> Step:
        """The wire ended. Without a close_notify before it, that is a failure: the end may have been cut off."""
        if self.state is HANDSHAKE:
            self._fail("connection ended during the handshake")
        elif self.state is OPEN:
            self._fail("connection ended without close_notify")
        return self._result(b"")

    def send(self, plaintext: bytes) -> Step:
        """Encrypts ``plaintext``. TlsError unless the connection is open."""
        if self.state is not OPEN:
            raise TlsError(f"nothing can be sent, the connection is {self._described()}")
        try:
            self._connection.send(plaintext)
        except self._failed as error:
            self._fail(str(error))
        return self._result(b"")

    def close(self) -> Step:
        """Says close_notify. Without effect on a connection that is not open."""
        if self.state is OPEN:
            try:
                self._connection.close()
            except self._failed as error:
                self._fail(str(error))
            else:
                self.state = CLOSED
        elif self.state is HANDSHAKE:
            self._fail("closed during the handshake")
        return self._result(b"")

    def _described(self) -> str:
        return f"failed: {self.failure}" if self.failure else self.state.value

    def _handshake(self) -> None:
        try:
            if self._connection.shake_hands():
                self.state = OPEN
        except (self._failed, self._peer_closed) as error:
            self._raise_own_error()
            self._fail(str(error) or "protocol error")

    def _raise_own_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._judge = None  # who would only fail again
            self._fail("given up")
            raise error

    # -- what OpenSSL asks in the middle of a handshake (`hooks.Owner`)

    def alert_for_peer(self) -> int | None:
        """Asks the judge. An alert's code, or None: accepted."""
        if self._judge is None:
            return None
        self._note_chain()
        self.judgement = self._judge(self.peer_chain_der)
        return None if self.judgement.ok else self.judgement.alert

    def serve_name(self, name: str | None) -> None:
        """Turns to the context for a name that a client asks for."""
        if self._context_for_name is not None:
            self._connection.turn_to(self._context_for_name(name))

    def fail(self, error: BaseException) -> None:
        """Keeps what a judge or a lookup raised until OpenSSL has returned."""
        self._error = error

    def _note_chain(self) -> None:
        """What the peer showed, if it did so since the last step."""
        for event in reversed(self._heard.events):
            if not event.sent and isinstance(event, HandshakeEvent) and event.kind == CERTIFICATE:
                self.peer_chain_der = certificates_from_message(event.body, self._connection.version >= TLS_1_3)
                return

    def _receive(self) -> bytes:
        plaintext = b""
        try:
            while (piece := self._connection.receive()) is not None:
                plaintext += piece
        except self._peer_closed:
            self._answer_close()
        except self._failed as error:
            self._fail(str(error))
        return plaintext

    def _answer_close(self) -> None:
        """RFC 5246 7.2.1: a close_notify is answered with one."""
        self.state = CLOSED
        try:
            self._connection.close()
        except self._failed:
            pass  # The peer closes anyhow.

    def _fail(self, reason: str) -> None:
        self.state = FAILED
        self.failure = reason

    def _result(self, plaintext: bytes) -> Step:
        heard, events, alerts = self._heard, NO_EVENTS, NO_ALERTS
        if heard.events:
            if self._judge is None or self.state is FAILED:  # else it is noted when the judge is asked
                self._note_chain()
            events, heard.events = tuple(heard.events), []
            if heard.alerts:
                alerts, heard.alerts = tuple(heard.alerts), []
        if self.state is FAILED:
            self._explain(alerts)
        return Step(self._connection.drain(), events, alerts, plaintext, self.state)

    def _explain(self, alerts: tuple[Alert, ...]) -> None:
        if self._judge is not None and self.judgement is None and self.peer_chain_der:
            # OpenSSL could not read what the peer showed, and has refused it: our judge can say what is wrong with it.
            self.judgement = self._judge(self.peer_chain_der)
        # The alert says more, and in the standards' words, than OpenSSL's own reason.
        for alert in alerts:
            if alert.fatal and alert.sent:
                self.failure = f"sent alert {alert.name}, {self._refusal or self.failure}"
            elif alert.fatal:
                self.failure = f"received alert {alert.name}"  # OpenSSL's reason says the same in older words

    @property
    def _refusal(self) -> str:
        return "" if self.judgement is None or self.judgement.ok else self.judgement.sentence


@cache
def _openssl() -> Any:
    """Our end of OpenSSL. Loaded late: a board that never speaks TLS need not do that."""
    from firmware.tls import connection

    return connection


@lru_cache(maxsize=64)
def _wire_name(name: str) -> bytes:
    """A server name as it is sent. TlsError when it can be none."""
    try:
        encoded = name.removesuffix(".").encode("idna")
    except UnicodeError as error:
        raise TlsError(f"{name[:64]!r} is no host name: {error}") from None
    if not encoded or len(encoded) > LONGEST_NAME_BYTES:
        raise TlsError(f"{name[:64]!r} is no host name: {len(encoded)} bytes, limits 1 and {LONGEST_NAME_BYTES}")
    return encoded


@lru_cache(maxsize=64)
def is_address(host: str) -> bool:
    """Whether a host is named by its IP address, which is no server name to indicate (RFC 6066 3)."""
    from ipaddress import ip_address

    if not host[:1].isdigit() and ":" not in host:
        return False
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
