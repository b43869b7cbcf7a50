"""Connections that the box begins: to a registrar, or to whom somebody at the console names.

Not modelled: several addresses of a name, source addresses, proxies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from firmware.hal import Costs, Network
from firmware.kernel import Kernel
from firmware.net import ByteStream, ConnectionLost, TcpStream
from firmware.services.task import Peers, Services
from firmware.tls import Credentials, TlsStream, client_stream

__all__ = ["Dialer", "NoAnswer"]

CONNECT_MS = 10_000
"""How long a host may take to accept a connection: three attempts of TCP (1, 2 and 4 s apart), and a bit."""


class NoAnswer(ConnectionLost):
    """Nobody accepted a connection, and nobody refused it either."""


class Dialer:
    """Connections that the box begins, with the profile and the certificates of its services.

    Args:
        application: what is presented to servers in the name of a domain; None where there is nothing for it.
        peers: judges servers.
        ready: awaited before a peer is judged: has the trust list read.
    """

    def __init__(
        self,
        kernel: Kernel,
        costs: Costs,
        network: Network,
        services: Services,
        application: Callable[[str | None], Credentials | None],
        peers: Peers,
        ready: Callable[[], Awaitable[None]],
        log: Callable[[str], None],
    ) -> None:
        self._kernel = kernel
        self._costs = costs
        self._network = network
        self._services = services
        self._application = application
        self._peers = peers
        self._ready = ready
        self._log = log

    async def reach(self, host: str, port: int) -> TcpStream:
        """A TCP connection. ConnectionLost when it is refused, NoAnswer when nobody answers."""
        await self._ready()
        wire = TcpStream(self._kernel, self._network.connect(host, port))
        try:
            with self._kernel.deadline_ms(CONNECT_MS):
                await wire.connected()
        except TimeoutError:
            wire.drop()
            raise NoAnswer(f"no answer from {wire.peer} within {CONNECT_MS // 1_000} s") from None
        except BaseException:
            wire.drop()
            raise
        return wire

    def presented(self, name: str | None) -> Credentials | None:
        """What we show to a server that asks, when the application gives this name; None: nothing."""
        return self._application(name) or self._services.presented

    def secure(self, wire: ByteStream, name: str | None) -> TlsStream:
        """TLS over a connection, its handshake still to be done.

        Args:
            name: whose certificate the server must show, what it is told that we look for, and the domain whose
                application certificate we show if it asks.

        Raises:
            TlsError: ``name`` can be no name, or our own certificate cannot be used.
        """
        return client_stream(
            self._kernel,
            self._costs,
            wire,
            self._services.contexts,
            name,
            self.presented(name),
            self._services.profile,
            self._log,
            check=self._peers.of_servers(name),
        )
