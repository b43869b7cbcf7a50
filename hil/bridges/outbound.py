"""Connections that a board begins, as real sockets: to this machine only, unless more was allowed."""

from __future__ import annotations

import ipaddress
import socket

from board.clock import VirtualClock
from board.ethernet import Ethernet, Outside, Stream, join, refuse
from hil.bridges.tcp import Splice
from hil.poller import WRITE, Poller

MAX_CONNECTIONS = 100
"""At a time; more are refused, because ``select`` takes 1,024 descriptors in all."""


class OutboundBridge:
    """Joins every connection that the board begins with a socket of the host.

    Args:
        anywhere: False refuses every address that is not this machine's own loopback.
    """

    def __init__(self, poller: Poller, clock: VirtualClock, network: Ethernet, *, anywhere: bool = False) -> None:
        self._poller = poller
        self._clock = clock
        self._anywhere = anywhere
        self._network = network
        self._pending: set[socket.socket] = set()
        self._splices: set[Splice] = set()
        network.on_connect(self._connect)

    def close(self) -> None:
        """Breaks all its connections off; later ones are refused."""
        self._network.on_connect(None)
        for splice in list(self._splices):
            splice.abort()
        for host in self._pending:
            self._poller.forget(host)
            host.close()
        self._pending.clear()

    def _connect(self, stream: Stream, host: str, port: int) -> None:
        address = self._address(host)
        if address is None or len(self._pending) + len(self._splices) >= MAX_CONNECTIONS:
            refuse(stream)
            return
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            made.connect((address, port))
        except BlockingIOError:
            pass
        except (OSError, OverflowError):
            made.close()
            refuse(stream)
            return
        self._pending.add(made)
        self._poller.watch(made, WRITE, lambda events: self._connected(made, stream))

    def _connected(self, made: socket.socket, stream: Stream) -> None:
        self._poller.forget(made)
        self._pending.discard(made)
        if made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or stream.status != "connecting":
            made.close()
            refuse(stream)
            return
        ours = Stream(self._clock, Outside(self._clock), stream.peer, 0, self._network.latency_ns)
        join(ours, stream)
        self._splices.add(Splice(self._poller, made, ours, self._splices.discard))

    def _address(self, host: str) -> str | None:
        """The numeric address to connect to; None when it is not allowed or not known."""
        if host == "localhost":
            return "127.0.0.1"
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return self._looked_up(host) if self._anywhere else None
        return host if self._anywhere or address.is_loopback else None

    def _looked_up(self, host: str) -> str | None:
        # Blocks the run for as long as the host's resolver takes: names are the exception.
        try:
            return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
        except OSError:
            return None
