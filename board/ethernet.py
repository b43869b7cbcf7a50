"""The Ethernet port, at the height of TCP connections: listeners, and streams of bytes in both directions.

::

    board A  Stream --- wire: latency, window --- Stream  board B, or a socket of the host (hil)

A stream's bytes leave at the sender's time and arrive ``latency_ns`` later, in order. Each direction holds at most
``WINDOW_BYTES`` that the other end has not read, as far as the sender has heard. A port nobody listens at refuses.
Where the wire is a LAN (``board/lan.py``) that delays, loses or is cut, a ``Route`` says when things arrive.

::

    connecting --accepted--> open --both directions ended, or close()--> closed
        |                     |
        +--refused, timed out +--abort(), the other end broke off, or cannot be reached any more--> reset

Not modelled: packets, congestion, IP addresses beyond a name per port, ARP, DNS; the silence of a board that lost power
or was reset: the other ends of its open connections hear of it at once, where they would only when they send next.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

from board.clock import VirtualClock

Status = Literal["connecting", "open", "refused", "reset", "closed"]

Kind = Literal["data", "segment", "room", "reset"]
"""What is sent: bytes; something else that is sent again until it arrives (a SYN's answer, a FIN); news of room in the
window; a reset, which is sent once."""

WINDOW_BYTES = 65_535
"""Largest receive window of TCP without scaling (RFC 9293 3.1)."""

LATENCY_NS = 100_000
"""One way on a quiet 100 Mbit/s segment with two stacks in it; an assumption."""

FIRST_EPHEMERAL_PORT = 49_152
"""RFC 6335 6: dynamic ports."""


class Moment(Protocol):
    """Whose time counts when something is sent: a CPU (local time) or the world outside."""

    @property
    def now_ns(self) -> int: ...

    def interrupt(self) -> None: ...


class Outside:
    """The moment of whoever is not a CPU: world time, and nobody to interrupt."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    @property
    def now_ns(self) -> int:
        return self._clock.now_ns

    def interrupt(self) -> None:
        """Nobody waits."""


class Route(Protocol):
    """One direction of a connection through a network where more happens than a constant latency."""

    @property
    def calm(self) -> bool:
        """Whether nothing but a latency happens at present, which then is the stream's: no need to ask more."""

    def carry(self, now_ns: int, arrival: Callable[[], None], kind: Kind, data: bytes) -> None:
        """Sends something at ``now_ns``, and has ``Stream.land`` make it arrive: ``data`` perhaps in several parts."""

    def bind(self, stream: Stream) -> None:
        """Tells it whose way out it is."""


class Stream:
    """One end of a connection, never blocking. Made by ``join`` or ``Ethernet.connect``.

    Attributes:
        peer: ``host:port`` of the other end.
        local_port: our own.
        status: how the connection is.
        latency_ns: one way, of what is sent next.
        failure: why it failed, as an errno: ECONNREFUSED, ECONNRESET, ETIMEDOUT; 0 while it has not.
        unheard: the other end has not heard that this one is dead: what it sends is answered with a reset.
    """

    __slots__ = (
        "_arrives_ns",
        "_clock",
        "_ended_in",
        "_ended_out",
        "_handler",
        "_home",
        "_inbox",
        "_moment",
        "_reads",
        "_route",
        "_unread_bytes",
        "_wants_room",
        "failure",
        "latency_ns",
        "local_port",
        "other",
        "peer",
        "status",
        "unheard",
    )

    def __init__(self, clock: VirtualClock, moment: Moment, peer: str, local_port: int, latency_ns: int) -> None:
        self.peer = peer
        self.local_port = local_port
        self.status: Status = "connecting"
        self.failure = 0
        self.other: Stream | None = None
        self.unheard = False
        self._clock = clock
        self._moment = moment
        self.latency_ns = latency_ns
        self._route: Route | None = None
        self._home: dict[Stream, None] | None = None
        self._inbox = bytearray()
        self._unread_bytes = 0  # sent, and not read over there as far as we have heard
        self._reads: deque[tuple[int, int]] = deque()  # when we shall hear of what was read over there, and how much
        self._wants_room = False
        self._arrives_ns = 0
        self._ended_in = False
        self._ended_out = False
        self._handler: Callable[[], None] | None = None

    def read(self, nbytes: int = -1, /) -> bytes | None:
        """What has arrived; None when nothing has; ``b""`` when the other end has closed and all was read."""
        inbox = self._inbox
        if not inbox:
            return b"" if self._ended_in or self.status in ("refused", "reset", "closed") else None
        if nbytes < 0 or nbytes >= len(inbox):
            data = bytes(inbox)
            inbox.clear()
        else:
            data = bytes(inbox[:nbytes])
            del inbox[:nbytes]
        if self.other is not None and data:
            self._tell_room(self.other, len(data))
        return data

    def write(self, buf: bytes, /) -> int:
        """Number of bytes taken; 0 while the window is full.

        OSError EPIPE when the connection is not open, or our direction was ended; ETIMEDOUT when it was given up.
        """
        other = self.other
        if self.status != "open" or self._ended_out or other is None:
            if self.failure == errno.ETIMEDOUT:
                raise OSError(errno.ETIMEDOUT, f"connection to {self.peer} timed out")
            raise OSError(errno.EPIPE, f"connection to {self.peer} is {self.status}")
        if self._reads:
            self._hear()
        taken = bytes(buf[: WINDOW_BYTES - self._unread_bytes])
        self._wants_room = len(taken) < len(buf)
        if self._wants_room and self._reads:
            self._clock.at(self._reads[0][0], self._room_came)
        if taken:
            self._unread_bytes += len(taken)
            self._send(partial(other.deliver, taken), "data", taken)
        return len(taken)

    def any(self) -> int:
        """Number of bytes that can be read at once."""
        return len(self._inbox)

    def end(self) -> None:
        """Ends our direction alone (a TCP FIN): what was written still arrives, and we can go on reading."""
        other = self.other
        if other is not None and self.status == "open" and not self._ended_out:
            self._ended_out = True
            self._send(other._end)
            if self._ended_in:
                self._finish("closed")

    def close(self) -> None:
        """Ends our direction, and listens no more: what arrives from now on is answered with a reset."""
        self._handler = None
        if self.status in ("connecting", "open"):
            self.end()
            self._finish("closed")

    def abort(self) -> None:
        """Breaks the connection off (a TCP reset): what has not been read over there is lost."""
        if self.status in ("refused", "reset", "closed"):
            return
        self._finish("reset")
        self._handler = None
        other = self.other
        if other is not None:
            self._send(other._reset, "reset")

    def irq(self, handler: Callable[[], None] | None) -> None:
        """``handler()`` is called when something arrived, room came free, or ``status`` changed."""
        self._handler = handler

    def travel(self, route: Route | None) -> None:
        """Sends by a route from now on."""
        self._route = route
        if route is not None:
            route.bind(self)

    def land(self, when_ns: int, arrival: Callable[[], None]) -> None:
        """Lets something happen at the other end at a time, and behind all that was sent before."""
        if when_ns > self._arrives_ns:
            self._arrives_ns = when_ns
        self._clock.at(self._arrives_ns, arrival)

    def deliver(self, data: bytes) -> None:
        """Bytes arrive here."""
        if self.status == "open":
            self._inbox += data
            self._notify()
        elif self.status == "closed" or self.unheard:
            self._refuse_more()

    def give_up(self) -> None:
        """Ends the connection here, because nothing of ours arrives over there; nobody there hears of it."""
        if self.status in ("connecting", "open"):
            self._fail(errno.ETIMEDOUT)
        self.unheard = True

    def _send(self, arrival: Callable[[], None], kind: Kind = "segment", data: bytes = b"") -> None:
        """Lets something happen at the other end, after the latency and behind all that was sent before."""
        now_ns = max(self._moment.now_ns, self._clock.now_ns)
        route = self._route
        if route is None or route.calm:
            self.land(now_ns + self.latency_ns, arrival)
        else:
            route.carry(now_ns, arrival, kind, data)

    def _end(self) -> None:
        if self.unheard:
            self._refuse_more()
            return
        self._ended_in = True
        if self.status == "open" and self._ended_out:
            self._finish("closed")
        self._notify()

    def _reset(self) -> None:
        if self.status in ("connecting", "open"):
            self._inbox.clear()
            self._fail(errno.ECONNREFUSED if self.status == "connecting" else errno.ECONNRESET)

    def _fail(self, failure: int) -> None:
        self.failure = failure
        self._finish("refused" if self.status == "connecting" else "reset")
        self._notify()

    def _finish(self, status: Status) -> None:
        """Gives it its last status; the board that it belongs to need not think of it any more."""
        self.status = status
        if self._home is not None:
            self._home.pop(self, None)

    def _opened(self) -> None:
        if self.status == "connecting":
            self.status = "open"
            self._notify()
        else:
            self._refuse_more()

    def _refuse_more(self) -> None:
        """Whatever comes for an end that was given up is answered with a reset (RFC 9293 3.10.7.1)."""
        if self.other is not None:
            self._send(self.other._reset)

    def _tell_room(self, other: Stream, count: int) -> None:
        """Tells the other end that something was read. It only has to happen there when somebody waits for room."""
        now_ns = max(self._moment.now_ns, self._clock.now_ns)
        route = self._route
        if route is None or route.calm:
            self._arrives_ns = max(now_ns + self.latency_ns, self._arrives_ns)
            other._reads.append((self._arrives_ns, count))
            if other._wants_room:
                self._clock.at(self._arrives_ns, other._room_came)
        else:
            route.carry(now_ns, lambda: other._room_came(count), "room", b"")

    def _hear(self) -> None:
        """Takes note of what was read over there, as far as word of it has arrived."""
        while self._reads and self._reads[0][0] <= self._clock.now_ns:
            self._unread_bytes -= self._reads.popleft()[1]

    def _room_came(self, count: int = 0) -> None:
        self._hear()
        self._unread_bytes -= count
        if self._wants_room:
            self._wants_room = False
            self._notify()

    def _notify(self) -> None:
        if self._handler is not None:
            self._handler()
            self._moment.interrupt()


class Listener:
    """A port at which connections are accepted, until it is closed."""

    def __init__(self, ethernet: Ethernet, port: int, handler: Callable[[Stream], None]) -> None:
        self.port = port
        self.handler = handler
        self._ethernet = ethernet

    def close(self) -> None:
        """Refuses from now on; open connections live on."""
        self._ethernet._unlisten(self)


class Ethernet:
    """The port of one board, with the TCP stack behind it."""

    def __init__(self, clock: VirtualClock, moment: Moment, address: str, latency_ns: int = LATENCY_NS) -> None:
        self.address = address
        self.latency_ns = latency_ns
        self._clock = clock
        self._moment = moment
        self._listeners: dict[int, Listener] = {}
        self._streams: dict[Stream, None] = {}
        """Those that are not over, in the order in which they began."""
        self._next_port = FIRST_EPHEMERAL_PORT
        self._watch: Callable[[int, bool], None] | None = None
        self._outbound: Callable[[Stream, str, int], None] | None = None
        self._inbound: Callable[[Stream, str, int], None] = self.admit

    def listen(self, port: int, handler: Callable[[Stream], None]) -> Listener:
        """``handler(stream)`` is called for each accepted connection. OSError EADDRINUSE."""
        if port in self._listeners:
            raise OSError(errno.EADDRINUSE, f"port {port} is in use")
        listener = self._listeners[port] = Listener(self, port, handler)
        if self._watch is not None:
            self._watch(port, True)
        return listener

    def connect(self, host: str, port: int) -> Stream:
        """A connection to somebody on the network; ``status`` tells how it goes."""
        stream = self._new_stream(f"{host}:{port}", self._ephemeral_port(), self._moment)
        stream._send(lambda: self._depart(stream, host, port))
        return stream

    def accept(self, peer: str, port: int, moment: Moment | None = None) -> Stream:
        """A connection from outside to our ``port``; the end given back is the caller's.

        It is refused, visible in its ``status``, when nobody listens.
        """
        theirs = Stream(self._clock, moment or Outside(self._clock), f"{self.address}:{port}", 0, self.latency_ns)
        theirs._send(lambda: self._inbound(theirs, peer, port))
        return theirs

    def admit(self, theirs: Stream, peer: str, port: int, route: Route | None = None) -> None:
        """Lets a connection attempt arrive now: ``theirs`` is joined to a stream of ours, or refused.

        Args:
            route: the way back; None for the constant latency.
        """
        listener = self._listeners.get(port)
        if listener is None:
            refuse(theirs)
            return
        ours = self._new_stream(peer, port, self._moment)
        ours.travel(route)
        join(ours, theirs)
        listener.handler(ours)
        self._moment.interrupt()

    @property
    def ports(self) -> frozenset[int]:
        """The ports that are listened at."""
        return frozenset(self._listeners)

    def watch(self, handler: Callable[[int, bool], None] | None) -> None:
        """``handler(port, listening)`` is called whenever a port opens or closes: what a bridge to the host needs."""
        self._watch = handler

    def on_connect(self, handler: Callable[[Stream, str, int], None] | None) -> None:
        """``handler(stream, host, port)`` gets every connection that the board begins: a LAN or a bridge."""
        self._outbound = handler

    def on_accept(self, handler: Callable[[Stream, str, int], None]) -> None:
        """``handler(theirs, peer, port)`` gets every connection that comes from outside, to ``admit`` it: a LAN."""
        self._inbound = handler

    def power_off(self) -> None:
        """Loses everything: the other ends see their connections reset."""
        for listener in list(self._listeners.values()):
            listener.close()
        for stream in list(self._streams):
            stream.abort()

    def _depart(self, stream: Stream, host: str, port: int) -> None:
        if stream.status != "connecting":
            return  # given up, or power went
        if self._outbound is not None:
            self._outbound(stream, host, port)
        else:
            refuse(stream)

    def _unlisten(self, listener: Listener) -> None:
        if self._listeners.get(listener.port) is listener:
            del self._listeners[listener.port]
            if self._watch is not None:
                self._watch(listener.port, False)

    def _new_stream(self, peer: str, local_port: int, moment: Moment) -> Stream:
        stream = Stream(self._clock, moment, peer, local_port, self.latency_ns)
        stream._home = self._streams
        self._streams[stream] = None
        return stream

    def _ephemeral_port(self) -> int:
        port, self._next_port = self._next_port, self._next_port + 1
        if self._next_port > 65_535:
            self._next_port = FIRST_EPHEMERAL_PORT
        return port


def join(ours: Stream, theirs: Stream) -> None:
    """Makes two ends one open connection; the far end learns of it after its latency."""
    ours.other, theirs.other = theirs, ours
    ours._opened()
    ours._send(theirs._opened)


def refuse(stream: Stream) -> None:
    """Answers a connection attempt with a reset, which takes the way back."""
    stream._send(stream._reset)
