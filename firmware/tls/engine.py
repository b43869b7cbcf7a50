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

No session is ever resumed: each connection shows its certificates and pays for its key exchange, and a change of
certificate or trust list counts for the next connection at once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from firmware.tls.credentials import Credentials
from firmware.tls.errors import CredentialsError, TlsError
from firmware.tls.messages import (
    TLS_1_3,
    Alert,
    HandshakeEvent,
    TlsEvent,
    certificates_from_message,
    event_from_message,
)
from firmware.tls.profiles import DEFAULT_PROFILE, Profile

if TYPE_CHECKING:
    from OpenSSL import SSL

__all__ = ["ContextCache", "Engine", "Role", "State", "Step"]

CONTEXTS = 8
"""Contexts kept ready: the device certificate and a handful of application certificates. One takes about 0.4 ms and
some 50 KiB of the host to make."""

RECORD_BYTES = 16_384
"""Largest plaintext of one record, RFC 8446 5.1."""


class Role(Enum):
    """Which side of the handshake we are."""

    SERVER = "server"
    CLIENT = "client"


class State(Enum):
    """Where a connection is."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSED = "closed"
    FAILED = "failed"


@dataclass(frozen=True)
class Step:
    """What came of one call."""

    output: bytes
    """For the wire, to be sent in this order."""
    events: tuple[TlsEvent, ...]
    plaintext: bytes
    """What the peer said."""
    state: State


class ContextCache:
    """OpenSSL contexts, one per role, credentials and profile, made when first needed.

    A context holds the private key: ``clear`` when the identity changes. Connections that are open keep theirs.
    """

    def __init__(self) -> None:
        self._contexts: OrderedDict[tuple[Role, Credentials | None, Profile], SSL.Context] = OrderedDict()

    def __len__(self) -> int:
        return len(self._contexts)

    def server(self, credentials: Credentials, profile: Profile = DEFAULT_PROFILE) -> SSL.Context:
        """The context of a server that shows ``credentials``. CredentialsError when they cannot be used."""
        return self._get(Role.SERVER, credentials, profile)

    def client(self, credentials: Credentials | None = None, profile: Profile = DEFAULT_PROFILE) -> SSL.Context:
        """The context of a client, which shows ``credentials`` if the server asks for them."""
        return self._get(Role.CLIENT, credentials, profile)

    def clear(self) -> None:
        """Forgets every context and the keys in them: the next connection sees what is in force then."""
        self._contexts.clear()

    def _get(self, role: Role, credentials: Credentials | None, profile: Profile) -> SSL.Context:
        key = (role, credentials, profile)
        context = self._contexts.get(key)
        if context is None:
            context = make_context(credentials, profile)
            while len(self._contexts) >= CONTEXTS:
                self._contexts.popitem(last=False)
            self._contexts[key] = context
        else:
            self._contexts.move_to_end(key)
        return context


def make_context(credentials: Credentials | None, profile: Profile) -> SSL.Context:
    """A context that takes no session back and never renegotiates."""
    # Imported here, not above: a board that never speaks TLS need not load OpenSSL.
    from OpenSSL import SSL

    from firmware.tls import hooks

    context = SSL.Context(SSL.TLS_METHOD)
    # First of all, since it also sets the security level that certificates are measured by.
    context.set_cipher_list(profile.ciphers.encode("ascii"))
    context.set_tls13_ciphersuites(profile.ciphersuites.encode("ascii"))
    context.set_min_proto_version(profile.min_version)
    context.set_max_proto_version(profile.max_version)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_NONE)
    hooks.offer_groups(context, profile.groups)
    hooks.forward_messages(context)
    if credentials is not None:
        _present(context, credentials)
    return context


def _present(context: SSL.Context, credentials: Credentials) -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key
    from OpenSSL import SSL

    from firmware.tls import hooks

    if not credentials.chain_der:
        raise CredentialsError("there is no certificate in the chain")
    hooks.use_certificates(context, credentials.chain_der)
    try:
        # The primes are not tested again, which would take 0.4 s of the host for 4096 bits: that a key is sound was
        # settled when it was made or uploaded, and that it fits the certificate is checked below.
        key = load_der_private_key(credentials.key_der, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as error:
        raise CredentialsError(f"the private key cannot be read: {error}") from None
    if not isinstance(key, RSAPrivateKey):
        raise CredentialsError("the private key is not an RSA key")
    try:
        context.use_privatekey(key)
        context.check_privatekey()
    except SSL.Error:
        raise CredentialsError("the private key does not belong to the certificate") from None


class Engine:
    """One connection's protocol machine. Made from a context; ``step(b"")`` makes a client begin."""

    def __init__(self, context: SSL.Context, role: Role, server_name: str | None = None) -> None:
        from OpenSSL import SSL

        from firmware.tls import hooks

        self.role = role
        self.state = State.HANDSHAKE
        self.failure = ""
        """Why the connection failed; empty otherwise."""
        self.peer_chain_der: tuple[bytes, ...] = ()
        """What the peer showed, its own certificate first; known even when it is refused. Empty: it showed none."""
        self._connection = SSL.Connection(context, None)
        self._sink = hooks.listen_to(self._connection)
        self._errors = SSL
        if role is Role.SERVER:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if server_name is not None and not is_address(server_name):
                self._connection.set_tlsext_host_name(server_name.encode("idna"))

    @property
    def version(self) -> str:
        """Protocol version in use, for example ``TLSv1.2``."""
        return self._connection.get_protocol_version_name()

    @property
    def cipher(self) -> str:
        """Name of the cipher suite in OpenSSL's words; empty before it is chosen."""
        return self._connection.get_cipher_name() or ""

    def step(self, data: bytes) -> Step:
        """Takes what came from the wire, any number of bytes, and goes as far as that goes."""
        if data and self.state in (State.HANDSHAKE, State.OPEN):
            self._connection.bio_write(data)
        plaintext = b""
        if self.state is State.HANDSHAKE:
            self._handshake()
        if self.state is State.OPEN:
            plaintext = self._receive()
        return self._result(plaintext)

    def eof(self) -> Step:
        """The wire ended. Without a close_notify before it, that is a failure: the end may have been cut off."""
        if self.state is State.HANDSHAKE:
            self._fail("connection ended during the handshake")
        elif self.state is State.OPEN:
            self._fail("connection ended without close_notify")
        return self._result(b"")

    def send(self, plaintext: bytes) -> Step:
        """Encrypts ``plaintext``. TlsError unless the connection is open."""
        if self.state is not State.OPEN:
            raise TlsError(f"nothing can be sent, the connection is {self._described()}")
        view = memoryview(plaintext)
        try:
            for start in range(0, len(view), RECORD_BYTES):
                self._connection.sendall(view[start : start + RECORD_BYTES])
        except self._errors.Error as error:
            self._fail(_reason(error))
        return self._result(b"")

    def close(self) -> Step:
        """Says close_notify. Without effect on a connection that is not open."""
        if self.state is State.OPEN:
            try:
                self._connection.shutdown()
            except self._errors.Error as error:
                self._fail(_reason(error))
            else:
                self.state = State.CLOSED
        elif self.state is State.HANDSHAKE:
            self._fail("closed during the handshake")
        return self._result(b"")

    def _described(self) -> str:
        return f"failed: {self.failure}" if self.failure else self.state.value

    def _handshake(self) -> None:
        try:
            self._connection.do_handshake()
        except self._errors.WantReadError:
            return
        except self._errors.Error as error:
            self._fail(_reason(error))
        else:
            self.state = State.OPEN

    def _receive(self) -> bytes:
        chunks = []
        try:
            while True:
                chunks.append(self._connection.recv(RECORD_BYTES))
        except self._errors.WantReadError:
            pass
        except self._errors.ZeroReturnError:
            self._answer_close()
        except self._errors.Error as error:
            self._fail(_reason(error))
        return b"".join(chunks)

    def _answer_close(self) -> None:
        """RFC 5246 7.2.1: a close_notify is answered with one."""
        self.state = State.CLOSED
        try:
            self._connection.shutdown()
        except self._errors.Error:
            pass  # The peer closes anyhow.

    def _fail(self, reason: str) -> None:
        self.state = State.FAILED
        self.failure = reason

    def _result(self, plaintext: bytes) -> Step:
        events = self._events()
        if self.state is State.FAILED:
            # The alert says more, and in the standards' words, than OpenSSL's own reason.
            for alert in (event for event in events if isinstance(event, Alert) and event.fatal):
                self.failure = f"{'sent' if alert.sent else 'received'} alert {alert.name}, {self.failure}"
        return Step(self._output(), events, plaintext, self.state)

    def _events(self) -> tuple[TlsEvent, ...]:
        messages, self._sink.messages = self._sink.messages, []
        events = (event_from_message(*message) for message in messages)
        known = tuple(event for event in events if event is not None)
        for event in known:
            if isinstance(event, HandshakeEvent) and event.name == "Certificate" and not event.sent:
                tls13 = self._connection.get_protocol_version() >= TLS_1_3
                self.peer_chain_der = certificates_from_message(event.body, tls13)
        return known

    def _output(self) -> bytes:
        chunks = []
        try:
            while True:
                chunks.append(self._connection.bio_read(65_536))
        except self._errors.WantReadError:
            return b"".join(chunks)


def is_address(host: str) -> bool:
    """Whether a host is named by its IP address, which is no server name to indicate (RFC 6066 3)."""
    from ipaddress import ip_address

    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _reason(error: Exception) -> str:
    """OpenSSL's own words for what went wrong, in one line."""
    queue = error.args[0] if error.args else ()
    if isinstance(queue, (list, tuple)) and queue:
        return "; ".join(str(entry[-1]) for entry in queue if entry)
    return "protocol error"
