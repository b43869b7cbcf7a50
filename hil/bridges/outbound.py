"""Connections that a board begins, as real sockets: to this machine only, unless more was allowed.

The board learns of every failure as a refused connection. Why it was refused, when it was not the other end that did,
only the host knows: that is told once per destination, in words for whoever runs the bench.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Callable

from board.clock import VirtualClock
from board.ethernet import Ethernet, Outside, Stream, join, refuse
from hil.bridges.tcp import Splice, url_host
from hil.errors import reason_from_oserror
from hil.poller import WRITE, Poller

MAX_CONNECTIONS = 100
"""At a time; more are refused, because ``select`` takes 1,024 descriptors in all."""

MOST_TOLD = 100
"""Lines at most: a board that tries one address after the other does not fill a terminal."""

ECHO_NS = 30_000_000
"""A command that asks for a destination is still being echoed on the same terminal: a line of 300 bytes takes 26 ms."""


class OutboundBridge:
    """Joins every connection that the board begins with a socket of the host.

    Args:
        anywhere: False refuses every address that is not this machine's own loopback.
        tell: gets a line about a destination that was refused, but not by itself.
    """

    def __init__(
        self,
        poller: Poller,
        clock: VirtualClock,
        network: Ethernet,
        *,
        anywhere: bool = False,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._poller = poller
        self._clock = clock
        self._anywhere = anywhere
        self._network = network
        self._pending: set[socket.socket] = set()
        self._splices: set[Splice] = set()
        self._tell = tell
        self._told: set[str] = set()
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
        place = f"{url_host(host)}:{port}"
        try:
            if len(self._pending) + len(self._splices) >= MAX_CONNECTIONS:
                raise _Refused(f"{MAX_CONNECTIONS} connections are open already, no more are made")
            made = _begun(self._address(host), port)
        except _Refused as reason:
            self._refuse(stream, place, str(reason))
            return
        self._pending.add(made)
        self._poller.watch(made, WRITE, lambda events: self._connected(made, stream, place))

    def _connected(self, made: socket.socket, stream: Stream, place: str) -> None:
        self._poller.forget(made)
        self._pending.discard(made)
        failure = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure or stream.status != "connecting":
            made.close()
            self._refuse(stream, place, _reason(OSError(failure, os.strerror(failure))) if failure else "")
            return
        ours = Stream(self._clock, Outside(self._clock), stream.peer, 0, self._network.latency_ns)
        join(ours, stream)
        self._splices.add(Splice(self._poller, made, ours, self._splices.discard))

    def _refuse(self, stream: Stream, place: str, reason: str) -> None:
        """Ends an attempt. ``reason`` is for people; empty when the other end refused, as the board will say itself."""
        if reason and place not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(place)
            self._clock.after(ECHO_NS, lambda: self._tell_and_refuse(stream, f"the board asked for {place}: {reason}"))
        else:
            refuse(stream)

    def _tell_and_refuse(self, stream: Stream, text: str) -> None:
        self._tell(text)
        refuse(stream)

    def _address(self, host: str) -> str:
        """The numeric address to connect to. _Refused when it is not allowed or not known."""
        if host == "localhost":
            return "127.0.0.1"
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            address = None
        if not self._anywhere and (address is None or not address.is_loopback):
            raise _Refused("connections to the outside are off, start with --allow-outbound")
        return host if address is not None else _looked_up(host)


class _Refused(Exception):
    """A connection that is not even tried, and why."""


def _begun(address: str, port: int) -> socket.socket:
    """A socket that is being connected. _Refused when the host refuses at once."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:  # a host without IPv6, or without a descriptor to spare
        raise _Refused(reason_from_oserror(error)) from error
    try:
        made.connect((address, port))
    except BlockingIOError:
        pass
    except (OSError, OverflowError) as error:
        made.close()
        raise _Refused(_reason(error) if isinstance(error, OSError) else str(error)) from error
    return made


def _looked_up(host: str) -> str:
    # Blocks the run for as long as the host's resolver takes: names are the exception.
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, ValueError):  # of a name that is none: UnicodeError, or plain where a zero byte is in it
        raise _Refused("this machine finds no address of that name") from None


def _reason(error: OSError) -> str:
    return "" if error.errno == errno.ECONNREFUSED else reason_from_oserror(error)
