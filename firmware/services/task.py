"""Opens and closes the network services, and gives each connection a task.

::

    certificate in use?   no:  HTTP                      (the ports of HTTPS and SIPS refuse connections)
                          yes: HTTP, HTTPS, SIPS         (again looked at whenever the certificate changes)

A connection keeps what it began with: trust and certificate changes concern new ones only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from firmware.errors import FirmwareError
from firmware.hal import Costs, Entropy, Listener, Network, Stream
from firmware.http import Router, serve_http
from firmware.kernel import Kernel, Priority
from firmware.net import ByteStream, TcpStream
from firmware.sip import serve_sip
from firmware.tls import DEFAULT_PROFILE, ContextCache, Credentials, Profile, TlsStatistics, accept_tls
from firmware.tls.errors import TlsError

HTTP_PORT = 80
HTTPS_PORT = 443
SIPS_PORT = 5061
"""IANA's assignments; 5061 is the vendor's default for SIP over TLS as well."""

LARGEST_NUMBER_OF_CONNECTIONS = 64
"""At once, per service: a browser opens 6, and each TLS connection holds some 60 KiB."""

Serve = Callable[[ByteStream], Awaitable[None]]


@dataclass
class Service:
    """One port, and what is served there."""

    name: str
    port: int
    secure: bool
    serve: Serve
    listener: Listener | None = None
    connections: int = 0

    @property
    def running(self) -> bool:
        return self.listener is not None


class Services:
    """All services of the box.

    Args:
        credentials: what TLS presents now; None while the box has no certificate.
        why_not: in words, why the secure ones are off.
        say: where a line goes that says which service is on or off.
        log: where a line about a connection goes.
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
        why_not: Callable[[], str],
        now_s: Callable[[], int | None],
        say: Callable[[str], None],
        log: Callable[[str], None],
    ) -> None:
        self.statistics = TlsStatistics()
        self.profile: Profile = DEFAULT_PROFILE
        self.contexts = ContextCache()
        self._kernel = kernel
        self._costs = costs
        self._network = network
        self._credentials = credentials
        self._presented: Credentials | None = None
        self._why_not = why_not
        self._say = say
        self._log = log

        async def http(stream: ByteStream) -> None:
            await serve_http(kernel, costs, stream, router, server, now_s, log)

        async def sip(stream: ByteStream) -> None:
            await serve_sip(kernel, costs, stream, entropy, server, log)

        self.all = (
            Service("HTTP", HTTP_PORT, False, http),
            Service("HTTPS", HTTPS_PORT, True, http),
            Service("SIPS", SIPS_PORT, True, sip),
        )

    def update(self) -> None:
        """Opens what can be served now, and closes what cannot; call it whenever the certificate may have changed."""
        credentials = self._credentials()
        if credentials != self._presented:
            self.contexts.clear()
            self._presented = credentials
        for service in self.all:
            wanted = credentials is not None or not service.secure
            if wanted and service.listener is None:
                service.listener = self._network.listen(service.port, self._acceptor(service))
                self._say(f"{service.name} is on, port {service.port}")
            elif not wanted and service.listener is not None:
                service.listener.close()
                service.listener = None
                self._say(f"{service.name} is off: {self._why_not()}")

    def set_profile(self, profile: Profile) -> None:
        """What new TLS connections may use."""
        self.profile = profile
        self.contexts.clear()

    def _acceptor(self, service: Service) -> Callable[[Stream], None]:
        def accept(stream: Stream) -> None:
            if service.connections >= LARGEST_NUMBER_OF_CONNECTIONS:
                stream.close()
                return
            service.connections += 1
            self._kernel.spawn(self._connection(service, stream), service.name.lower(), Priority.SERVICE)

        return accept

    async def _connection(self, service: Service, stream: Stream) -> None:
        wire = TcpStream(self._kernel, stream)
        try:
            await service.serve(await self._secured(wire) if service.secure else wire)
        except TlsError:
            pass  # the log knows, and the peer got its alert
        except FirmwareError as error:
            self._log(f"{service.name} connection with {wire.peer}: {error}")
        finally:
            wire.drop()
            service.connections -= 1

    async def _secured(self, wire: TcpStream) -> ByteStream:
        credentials = self._presented
        if credentials is None:
            raise TlsError("no certificate")
        return await accept_tls(
            self._kernel, self._costs, wire, self.contexts, credentials, self.profile, self.statistics, self._log
        )
