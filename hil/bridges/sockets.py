"""The console on TCP: raw bytes, or telnet with RFC 2217; several clients at once, all of whom see everything.

Nothing that was said before a client came is sent to it. A client that does not read loses output, is told so, and
holds nobody up.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from hil.bridges.console import ConsoleHub
from hil.bridges.outlet import Outlet
from hil.bridges.tcp import begin_listening, claimed_socket, url_host
from hil.poller import READ, Poller

READ_BYTES = 4096

MAX_CLIENTS = 32


class SocketClient:
    """One client, in raw bytes."""

    def __init__(
        self, poller: Poller, hub: ConsoleHub, connection: socket.socket, ended: Callable[[SocketClient], None]
    ) -> None:
        self._poller = poller
        self.hub = hub
        self._socket = connection
        self._ended = ended
        self._writes = 0
        self._closed = False
        connection.setblocking(False)
        # Without it, Nagle's algorithm and delayed acknowledgements make 44 ms of every keystroke's 0.1 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.out = Outlet(poller, connection.fileno(), self.close, write=connection.send, on_watch=self._watch_writes)
        hub.attach(self.said, self._watch)
        self._watch()

    def said(self, data: bytes) -> None:
        """The board said something."""
        self.out.send(data)

    def typed(self, data: bytes) -> None:
        """The client sent something."""
        self.hub.type(data)

    def close(self) -> None:
        """Ends the connection; what it typed is still going to arrive."""
        if self._closed:
            return
        self._closed = True
        self.hub.detach(self.said, self._watch)
        self._poller.forget(self._socket)
        self._socket.close()
        self._ended(self)

    def drain(self) -> None:
        """Sends what is left, as far as the client takes it."""
        if not self._closed:
            self.out.drain()

    def _watch_writes(self, events: int) -> None:
        self._writes = events
        self._watch()

    def _watch(self) -> None:
        if not self._closed:
            self._poller.watch(self._socket, self._writes | (READ if self.hub.ready else 0), self._ready)

    def _ready(self, events: int) -> None:
        if events & READ:
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                pass
            except OSError:
                self.close()
                return
            else:
                if not data:
                    self.close()
                    return
                self.typed(data)
        if not self._closed and events & ~READ:
            self.out.flush()
        self._watch()


ClientClass = Callable[[Poller, ConsoleHub, socket.socket, Callable[[SocketClient], None]], SocketClient]


class SocketConsole:
    """A TCP port where the console is.

    Args:
        port: 0 takes any that is free; ``port`` says which.
        client_class: what makes a client of a connection.
    """

    def __init__(
        self, poller: Poller, hub: ConsoleHub, address: str, port: int, client_class: ClientClass = SocketClient
    ) -> None:
        self._poller = poller
        self._hub = hub
        self._client_class = client_class
        self._clients: set[SocketClient] = set()
        self._socket = claimed_socket(address, port)
        begin_listening(self._socket)
        self.port: int = self._socket.getsockname()[1]
        self.host_port = f"{url_host(address)}:{self.port}"
        poller.watch(self._socket, READ, self._accept)

    def close(self) -> None:
        """Sends what is left, and ends all connections."""
        self._poller.forget(self._socket)
        self._socket.close()
        for client in list(self._clients):
            client.drain()
            client.close()

    def _accept(self, events: int) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        if len(self._clients) >= MAX_CLIENTS:
            connection.close()
            return
        self._clients.add(self._client_class(self._poller, self._hub, connection, self._clients.discard))
