"""Opens and closes the network services, and gives each connection a task.

::

    certificate in use?   no:  HTTP                      (the ports of HTTPS and SIPS refuse connections)
                          yes: HTTP, HTTPS, SIPS         (again looked at whenever the certificate changes)
    SIP /tcp on?          yes: SIP over TCP as well

How many connections there may be, and how many handshakes go on at once, is said in `capacity`. A connection keeps
what it began with: trust and certificate changes concern new ones only.

Not modelled: services on other ports than their own, filters by address, the real box's other services (Telnet, LDAP,
H.323, RTP).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Protocol

from firmware.commands.kinds import Choice, Number
from firmware.commands.settings import Field
from firmware.errors import FirmwareError
from firmware.hal import Costs, Entropy, Listener, Model, Network, Stream
from firmware.http import Router, serve_http
from firmware.kernel import Kernel, Priority
from firmware.net import READ_BYTES, ByteStream, TcpStream
from firmware.pbx.identity import common_name_from_peer
from firmware.services.capacity import (
    LONGEST_LINE,
    MOST_HANDSHAKES,
    connections_for_memory,
    handshakes_for_key,
    line_for_key,
)
from firmware.services.gate import Gate, LineFull
from firmware.sip import Registrar, serve_sip, teller
from firmware.tls import (
    DEFAULT_PROFILE,
    ContextCache,
    Credentials,
    PeerCheck,
    Profile,
    TlsStatistics,
    TlsStream,
    accept_tls,
)
from firmware.tls.errors import TlsError

HTTP_PORT = 80
HTTPS_PORT = 443
SIP_PORT = 5060
SIPS_PORT = 5061
"""IANA's assignments; 5061 is the vendor's default for SIP over TLS as well."""

LARGEST_NUMBER_OF_CONNECTIONS = 64
"""At once, per service for browsers: one opens 6, and each TLS connection holds some 60 KiB. How many phones there may
be is said by the memory."""

FIRST_WORD_MS = 30_000
"""How long a client may say nothing before its handshake: as long as during it."""

OFF, OPTIONAL, REQUIRED = "off", "optional", "required"

CLIENT_CERTIFICATE = {"HTTPS": OFF, "SIPS": OPTIONAL}
"""What secure services ask of their clients unless configured. Browsers would ask their user for a certificate, phones
have one that may decide about their registration."""

Serve = Callable[[ByteStream], Awaitable[None]]

SIP_FIELDS = (Field("tcp", Choice("off", "on"), "off", "whether devices may come without TLS, to port 5060"),)


def service_fields(service: str, model: Model) -> tuple[Field, ...]:
    """What can be configured of a secure service; counts for new connections.

    Args:
        model: the board's, which says how much memory it has.
    """
    choice = Choice(OFF, OPTIONAL, REQUIRED)
    what = "whether clients must show a certificate, and have it judged"
    fields = (Field("client-certificate", choice, CLIENT_CERTIFICATE[service], what),)
    if service != "SIPS":
        return fields
    most = connections_for_memory(model)
    return (
        *fields,
        Field("connections", Number(1, most), most, "at once; more are closed. The memory holds no more"),
        Field("handshakes", Number(0, MOST_HANDSHAKES), 0, "at once; more wait in line. 0: as the key's length allows"),
        Field("line", Number(0, LONGEST_LINE), 0, "how many may wait; more are closed. 0: as the key's length allows"),
    )


class Peers(Protocol):
    """Who judges those that we speak to."""

    def of_clients(self, required: bool) -> PeerCheck:
        """For a service whose clients may, or must, show a certificate."""
        ...

    def of_servers(self, name: str | None) -> PeerCheck:
        """For a connection to a server that must be ``name``."""
        ...


@dataclass
class Service:
    """One port, and what is served there."""

    name: str
    port: int
    secure: bool
    serve: Serve
    gate: Gate
    """Lets in whose handshake is worked at."""
    most: Callable[[], int]
    """How many connections there may be."""
    wanted: Callable[[], bool] = lambda: True
    listener: Listener | None = None
    connections: int = 0
    unfinished: int = 0
    """Connections whose handshake is not finished: those inside the gate, and those that wait before it."""

    @property
    def running(self) -> bool:
        return self.listener is not None

    @property
    def why_off(self) -> str:
        """In two words; empty while it is on."""
        if self.running:
            return ""
        return "no certificate" if self.secure else "as configured"


class Services:
    """All services of the box.

    Args:
        credentials: what TLS presents now; None while the box has no certificate.
        application: what it presents to those who ask for a domain, instead; None where there is nothing for it.
        peers: judges clients.
        ready: awaited before a peer is judged: has the trust list read.
        setting: what is configured of HTTPS or SIPS: the value of one of its ``service_fields``.
        registrar: takes the REGISTERs that come.
        why_not: in words, why the secure ones are off.
        say: where a line goes that says which service is on or off.
        log: where a line about a connection goes.
        updated: called behind each update: what can be served, or shown to others, may have changed.
    """

    def __init__(
        self,
        kernel: Kernel,
        costs: Costs,
        network: Network,
        router: Router,
        entropy: Entropy,
        *,
        server: str,
        credentials: Callable[[], Credentials | None],
        application: Callable[[str | None], Credentials | None],
        peers: Peers,
        ready: Callable[[], Awaitable[None]],
        setting: Callable[[str, str], object],
        registrar: Registrar,
        why_not: Callable[[], str],
        now_s: Callable[[], int | None],
        say: Callable[[str], None],
        log: Callable[[str], None],
        updated: Callable[[], None],
    ) -> None:
        self.statistics = TlsStatistics()
        self.profile: Profile = DEFAULT_PROFILE
        self.contexts = ContextCache()
        self._kernel = kernel
        self._costs = costs
        self._network = network
        self._credentials = credentials
        self._application = application
        self._peers = peers
        self._ready = ready
        self.plain_sip = False
        """Whether devices may come without TLS."""
        self.on_handshake: Callable[[str, bool], None] | None = None
        """Called, in its task, when the handshake with a peer begins (True) and when it ends; None: nobody looks."""
        self._setting = setting
        self._updated = updated
        self._tell = teller(kernel)
        self.presented: Credentials | None = None
        """What TLS presents to those who ask for no domain."""
        self._fitting = 1  # handshakes at once with the key of that
        self._line = 1  # and how many may wait
        self._why_not = why_not
        self._say = say
        self._log = log

        async def http(stream: ByteStream) -> None:
            await serve_http(kernel, costs, stream, router, server, now_s, log)

        async def sip(stream: ByteStream) -> None:
            secured = stream if isinstance(stream, TlsStream) else None
            name = common_name_from_peer(secured.judgement, secured.peer_chain_der) if secured is not None else None
            flow = registrar.flow("tls" if stream.secure else "tcp", name)
            await serve_sip(kernel, costs, stream, entropy, server, log, flow=flow, date=date)

        def date() -> str:
            seconds = now_s()
            return "" if seconds is None else date_from_seconds(seconds)

        def browsers() -> int:
            return LARGEST_NUMBER_OF_CONNECTIONS

        def phones() -> int:
            return int(str(setting("SIPS", "connections")))

        self.all = (
            Service("HTTP", HTTP_PORT, False, http, Gate(kernel, browsers), browsers),
            Service("HTTPS", HTTPS_PORT, True, http, Gate(kernel, browsers), browsers),
            Service("SIPS", SIPS_PORT, True, sip, Gate(kernel, self._handshakes, self._longest), phones),
            Service("SIP", SIP_PORT, False, sip, Gate(kernel, phones), phones, lambda: self.plain_sip),
        )

    def update(self) -> None:
        """Opens what can be served now, and closes what cannot; call it whenever the certificate may have changed."""
        credentials = self._credentials()
        self.contexts.clear()
        self.presented = credentials
        if credentials is not None:
            self._fitting = handshakes_for_key(self._kernel.cpu.hz, self._costs, credentials.key_bits)
            self._line = line_for_key(self._kernel.cpu.hz, self._costs, credentials.key_bits)
        for service in self.all:
            wanted = (credentials is not None or not service.secure) and service.wanted()
            if wanted and service.listener is None:
                service.listener = self._network.listen(service.port, self._acceptor(service))
                self._say(f"{service.name} is on, port {service.port}")
            elif not wanted and service.listener is not None:
                service.listener.close()
                service.listener = None
                self._say(f"{service.name} is off: {self._why_not() if service.secure else service.why_off}")
        self._updated()

    def allow_plain_sip(self, allowed: bool) -> None:
        """Opens or closes SIP over TCP."""
        self.plain_sip = allowed
        self.update()

    def set_profile(self, profile: Profile) -> None:
        """What new TLS connections may use."""
        self.profile = profile
        self.contexts.clear()

    def _acceptor(self, service: Service) -> Callable[[Stream], None]:
        def accept(stream: Stream) -> None:
            if service.connections >= service.most():
                if service.name == "SIPS":
                    self._tell("overflow", service.connections)
                stream.close()
                return
            service.connections += 1
            self._kernel.spawn(self._connection(service, stream), service.name.lower(), Priority.SERVICE)

        return accept

    async def _connection(self, service: Service, stream: Stream) -> None:
        wire = TcpStream(self._kernel, stream)
        try:
            await service.serve(await self._secured(service, wire) if service.secure else wire)
        except TlsError:
            pass  # the log knows, and the peer got its alert
        except FirmwareError as error:
            self._log(f"{service.name} connection with {wire.peer}: {error}")
        finally:
            wire.drop()
            service.connections -= 1

    async def _secured(self, service: Service, wire: TcpStream) -> ByteStream:
        self._count_unfinished(service, 1)
        try:
            begun = await self._begun(wire)
            turn = service.gate.come()
            try:
                await turn.wait()
                return await self._accepted(service, begun)
            finally:
                service.gate.leave(turn)
        except LineFull:
            self._tell("overflow", service.connections)
            raise
        finally:
            self._count_unfinished(service, -1)

    async def _begun(self, wire: TcpStream) -> BegunStream:
        """The connection once its client has begun to speak: one that says nothing takes nobody's turn."""
        try:
            with self._kernel.deadline_ms(FIRST_WORD_MS):
                return BegunStream(wire, await wire.read())
        except TimeoutError:
            self.statistics.failed += 1
            text = f"tls handshake with {wire.peer}: waited {FIRST_WORD_MS // 1_000} s for the peer"
            self._log(text)
            raise TlsError(text) from None

    async def _accepted(self, service: Service, wire: ByteStream) -> TlsStream:
        credentials = self.presented
        if credentials is None:
            raise TlsError("no certificate")
        asked = self._setting(service.name, "client-certificate")
        if asked != OFF:
            await self._ready()
        told = self.on_handshake
        if told is not None:
            told(wire.peer, True)
        try:
            return await accept_tls(
                self._kernel,
                self._costs,
                wire,
                self.contexts,
                credentials,
                self.profile,
                self.statistics,
                self._log,
                check=None if asked == OFF else self._peers.of_clients(required=asked == REQUIRED),
                credentials_for=self._application,
            )
        finally:
            if told is not None:
                told(wire.peer, False)

    def _count_unfinished(self, service: Service, step: int) -> None:
        service.unfinished += step
        if service.name == "SIPS":
            self._tell("queue", service.unfinished)

    def _handshakes(self) -> int:
        """How many phones' handshakes are worked at at once."""
        return int(str(self._setting("SIPS", "handshakes"))) or self._fitting

    def _longest(self) -> int:
        """How many phones may wait for that."""
        return int(str(self._setting("SIPS", "line"))) or self._line


@lru_cache(maxsize=16)
def date_from_seconds(seconds: int) -> str:
    """As in a Date header (RFC 3261 20.17). In a storm many ask within one second."""
    return formatdate(seconds, usegmt=True)


class BegunStream:
    """A connection whose first bytes, or whose end, were read already."""

    def __init__(self, wire: ByteStream, first: bytes) -> None:
        self.peer = wire.peer
        self.secure = wire.secure
        self._wire = wire
        self._first = first

    async def read(self, nbytes: int = READ_BYTES) -> bytes:
        if not self._first:
            return await self._wire.read(nbytes)
        data, self._first = self._first[:nbytes], self._first[nbytes:]
        return data

    async def write(self, data: bytes) -> None:
        await self._wire.write(data)

    async def close(self) -> None:
        await self._wire.close()

    def drop(self) -> None:
        self._wire.drop()
