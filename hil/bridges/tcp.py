"""A TCP port of the host in front of a board's port: real clients talk to the emulated gateway.

::

    browser --- socket :8443 === Splice === Stream :443 --- firmware

The host's port belongs to us from the start, but is listened at only while the board listens: until then, and after,
connections are refused, as the board's own would be. Bytes are taken from one side only when the other side has room.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable

from board.ethernet import Ethernet, Stream
from hil.errors import EnvironmentRefused, lowered
from hil.poller import READ, WRITE, Poller

BACKLOG = 64

CHUNK_BYTES = 16_384

MAX_CONNECTIONS = 200
"""Per port: ``select`` takes 1,024 descriptors in all. The next client waits in the host's backlog."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with 0 seconds: ``close`` sends a reset."""


def bound_socket(address: str, port: int) -> socket.socket:
    """A TCP socket bound to ``address`` and ``port``, and not yet listening. EnvironmentRefused when it is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((address, port))
    except (OSError, OverflowError) as error:
        made.close()
        raise _refused(address, port, error) from error
    return made


def claimed_socket(address: str, port: int) -> socket.socket:
    """As ``bound_socket``, and sure that nobody else has the port, or gets it; with 0, any that is free.

    Two sockets that both allow reuse may be bound to one port as long as neither listens, so listen for a moment. What
    listens is to be begun with ``begin_listening``.
    """
    made = bound_socket(address, port)
    if not port:
        # A port that the host chose would be given back as soon as nobody listens: ask for it by its number.
        number = made.getsockname()[1]
        made.close()
        made = bound_socket(address, number)
    try:
        made.listen(1)
    except OSError as error:
        made.close()
        raise _refused(address, port, error) from error
    return deaf_socket(made)


def begin_listening(deaf: socket.socket) -> None:
    """Lets connections in. OSError when the host does not let us after all."""
    # Allowed again: connections of the port's past may not be quite over.
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deaf.listen(BACKLOG)


def deaf_socket(listening: socket.socket) -> socket.socket:
    """Ends the listening and keeps the port: connections are refused, and nobody else gets it."""
    try:
        # Linux: back to bound, and ready to listen again.
        listening.shutdown(socket.SHUT_RDWR)
        # Another run's socket, which allows reuse, would be bound to the port beside one that does so and is deaf.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        address, port = listening.getsockname()[:2]
        listening.close()
        return bound_socket(address, port)
    return listening


def url_host(address: str) -> str:
    """An address as URLs want it: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def _refused(address: str, port: int, error: Exception) -> EnvironmentRefused:
    number = error.errno if isinstance(error, OSError) else None
    reason = str(error) if number is None else lowered(os.strerror(number))
    return EnvironmentRefused(f"cannot use {url_host(address)}:{port}: {reason}")


class PortBridge:
    """One port of the host for one port of a board.

    Args:
        host_port: 0 takes any that is free; ``port`` says which.
    """

    def __init__(self, poller: Poller, network: Ethernet, board_port: int, address: str, host_port: int) -> None:
        self._poller = poller
        self._network = network
        self._board_port = board_port
        self._socket = claimed_socket(address, host_port)
        self.port: int = self._socket.getsockname()[1]
        self._splices: set[Splice] = set()
        self.listening = False

    def follow(self, listening: bool) -> None:
        """The board has begun, or ended, to listen."""
        if listening and not self.listening:
            begin_listening(self._socket)
            self.listening = True
            self._poller.watch(self._socket, READ, self._accept)
        elif self.listening and not listening:
            self._poller.forget(self._socket)
            self._socket = deaf_socket(self._socket)
            self.listening = False

    def close(self) -> None:
        """Gives the port free and breaks its connections off."""
        self._poller.forget(self._socket)
        self._socket.close()
        self.listening = False
        for splice in list(self._splices):
            splice.abort()

    def _accept(self, events: int) -> None:
        if len(self._splices) >= MAX_CONNECTIONS:
            self._poller.forget(self._socket)
            return
        try:
            client, peer = self._socket.accept()
        except OSError:
            # It went away again, or descriptors are short: the next one may fare better.
            return
        stream = self._network.accept(f"{url_host(peer[0])}:{peer[1]}", self._board_port)
        self._splices.add(Splice(self._poller, client, stream, self._ended))

    def _ended(self, splice: Splice) -> None:
        self._splices.discard(splice)
        if self.listening:
            self._poller.watch(self._socket, READ, self._accept)


class Splice:
    """Moves bytes between a socket and a board's stream, both ways, until both ways have ended."""

    def __init__(
        self, poller: Poller, host: socket.socket, stream: Stream, ended: Callable[[Splice], None] | None = None
    ) -> None:
        self._poller = poller
        self._host = host
        self._stream = stream
        self._ended = ended
        self._to_board = b""
        self._to_host = b""
        self._host_finished = False
        self._board_finished = False
        self._closed = False
        host.setblocking(False)
        # Without it, Nagle's algorithm and delayed acknowledgements add 40 ms to every exchange.
        host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.irq(self._pump)
        self._pump()

    def abort(self) -> None:
        """Breaks both sides off."""
        if not self._closed:
            self._stream.abort()
            self._finish(reset=True)

    def _ready(self, events: int) -> None:
        if events & READ:
            self._read_host()
        if not self._closed:
            self._pump()

    def _read_host(self) -> None:
        try:
            data = self._host.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        self._to_board += data
        self._host_finished = self._host_finished or not data

    def _pump(self) -> None:
        """Moves what can be moved, and watches for what is missing."""
        if self._closed:
            return
        if self._stream.status in ("refused", "reset"):
            self._finish(reset=True)
            return
        try:
            self._pump_to_board()
            self._pump_to_host()
        except OSError:
            self.abort()
            return
        if self._board_finished and not self._to_host and self._host_finished and not self._to_board:
            self._stream.close()
            self._finish()
            return
        self._watch()

    def _pump_to_board(self) -> None:
        if self._stream.status != "open":
            return
        if self._to_board:
            self._to_board = self._to_board[self._stream.write(self._to_board) :]
        if self._host_finished and not self._to_board:
            self._stream.end()

    def _pump_to_host(self) -> None:
        while True:
            if not self._to_host and not self._board_finished:
                data = self._stream.read(CHUNK_BYTES)
                if data == b"":
                    self._board_finished = True
                    self._shut_host()
                    return
                self._to_host = data or b""
            if not self._to_host:
                return
            try:
                self._to_host = self._to_host[self._host.send(self._to_host) :]
            except BlockingIOError:
                return

    def _shut_host(self) -> None:
        try:
            self._host.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def _watch(self) -> None:
        takes = self._stream.status == "open" and not self._host_finished and not self._to_board
        self._poller.watch(self._host, (READ if takes else 0) | (WRITE if self._to_host else 0), self._ready)

    def _finish(self, reset: bool = False) -> None:
        self._closed = True
        self._stream.irq(None)
        self._poller.forget(self._host)
        if reset:
            self._host.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._host.close()
        if self._ended is not None:
            self._ended(self)
