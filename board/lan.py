"""The LAN of a world: a switch, a cable to each host, and who is meant by a name.

::

    board A ---link--- [        ] ---link--- board B
                       [ switch ]
    board C ---link--- [        ] --- clients of the bench, which have no link of their own

Conditions are set on the whole segment (``lan.loss = 0.01``) and, on top of that, on a host's link
(``lan.link(host).latency_ms = 20``), at any time; they count for what is sent from then on, over connections that are
open already too. In the beginning there is the latency of an Ethernet port and nothing else, and latency alone costs
the host nothing. What a loss means to a connection is told in ``board/route.py``.

Whoever tries to reach a host that is cut off or has no power gets no answer, and goes on trying until he gives up or
the host is back; a host that has power answers, and refuses where it does not listen. An embedded stack behaves so:
lwIP does not tell TCP that nobody answers its ARP requests. A name that nobody has is refused, as a router would.

Not modelled: ARP and its caches (a host operating system would report EHOSTUNREACH after some 3 s, arp(7)), the
switch's queues and the receiver's side of a line's bandwidth, broadcast, a line that fails in one direction only, the
time in which a board that has power has no stack yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from board.clock import Alarm, VirtualClock
from board.errors import BoardError
from board.ethernet import LATENCY_NS, Ethernet, Stream, refuse
from board.route import SEGMENT_BYTES, Luck, Route
from board.trace import BoardTrace

MOST_MS = 60_000
"""Of latency and jitter. Longer than TCP waits for an answer, even to Mars."""

FRAME_BYTES = 78
"""What a segment takes on the line beside its data: IPv4, TCP, Ethernet with preamble and gap (IEEE 802.3 4.4.2)."""

NS_PER_MS = 1_000_000


class Entropy(Protocol):
    """A source of random bytes of one part's own."""

    def randbytes(self, n: int, /) -> bytes: ...


class Host(Protocol):
    """Whoever is plugged in: a board, or what holds one."""

    @property
    def network(self) -> Ethernet: ...

    @property
    def powered(self) -> bool: ...


class Conditions:
    """What happens to everything that comes along here. BoardError for what cannot be."""

    def __init__(self, changed: Callable[[], None], latency_ns: int = 0) -> None:
        self.latency_ns = latency_ns
        self.jitter_ns = 0
        self._loss = 0.0
        self._changed = changed

    @property
    def latency_ms(self) -> float:
        """One way."""
        return self.latency_ns / NS_PER_MS

    @latency_ms.setter
    def latency_ms(self, value: float) -> None:
        self.latency_ns = _ns_from_ms("latency_ms", value)
        self._changed()

    @property
    def jitter_ms(self) -> float:
        """The most that comes on top of the latency; evenly distributed. Nothing overtakes within a connection."""
        return self.jitter_ns / NS_PER_MS

    @jitter_ms.setter
    def jitter_ms(self, value: float) -> None:
        self.jitter_ns = _ns_from_ms("jitter_ms", value)
        self._changed()

    @property
    def loss(self) -> float:
        """Probability that a segment of at most 1,460 bytes is lost, in either direction."""
        return self._loss

    @loss.setter
    def loss(self, value: float) -> None:
        if not 0 <= value <= 1:
            raise BoardError(f"loss {value}: must be a probability from 0 to 1")
        self._loss = value
        self._changed()

    @property
    def steady(self) -> bool:
        """Whether nothing happens here but latency."""
        return not self.jitter_ns and not self._loss


class Link(Conditions):
    """The cable of one host: what it adds to the segment's latency, jitter and loss. Made by ``Lan.plug``."""

    def __init__(self, host: Host, name: str, trace: BoardTrace | None, changed: Callable[[Link], None]) -> None:
        super().__init__(lambda: changed(self))
        self.host = host
        self.name = name
        self.trace = trace
        self.connections = 0
        """How many it began, or was the first to hear of."""
        self.free_ns = 0
        """When its line has sent all that it was given."""


class Lan(Conditions):
    """The segment that all hosts of a world are on.

    Args:
        entropy: gives each named part its own stream; all chance of the LAN comes from ``lan``.
    """

    def __init__(self, clock: VirtualClock, entropy: Callable[[str], Entropy]) -> None:
        super().__init__(self._judge, LATENCY_NS)
        self.calm = True
        """Whether nothing happens anywhere on it but latency: no loss, no jitter, no limit of bandwidth, no cut."""
        self.changes = 0
        """How often something was set, cut or restored."""
        self._clock = clock
        self._entropy = entropy
        self._key = b""
        self._told_latency_ns = self.latency_ns
        self._paths: dict[tuple[Link | None, Link | None], LanPath] = {}
        self._bandwidth_mbit: float | None = None
        self._links: dict[Ethernet, Link] = {}
        self._names: dict[str, Link] = {}
        self._rough_links: set[Link] = set()
        self._cuts: dict[frozenset[Link], Alarm | None] = {}

    @property
    def bandwidth_mbit(self) -> float | None:
        """Of each host's line, for what it sends, in Mbit/s; None takes no time. 100 is Fast Ethernet."""
        return self._bandwidth_mbit

    @bandwidth_mbit.setter
    def bandwidth_mbit(self, value: float | None) -> None:
        if value is not None and not value > 0:
            raise BoardError(f"bandwidth_mbit {value}: must be more than 0, or None")
        self._bandwidth_mbit = value
        self._judge()

    def plug(self, host: Host, names: Sequence[str], trace: BoardTrace | None = None) -> Link:
        """Joins a host to the others.

        Args:
            names: whom others call so, in upper or lower case, reaches it, unless another was called so before. The
                first is what others see of it.
            trace: gets ``lan`` events: ``cut``, ``restore``, ``lost`` (bytes of a segment that it sent, or was sent
                from the bench).
        """
        link = self._links[host.network] = Link(host, names[0], trace, self._judge_link)
        for name in names:
            self._names.setdefault(name.lower(), link)
        host.network.latency_ns = self.latency_ns
        host.network.on_connect(partial(self._connect, link))
        host.network.on_accept(partial(self._attempt, None, link))
        return link

    def link(self, host: Host) -> Link:
        """The cable of a host, to set its latency, jitter and loss. BoardError when it is not plugged in."""
        try:
            return self._links[host.network]
        except KeyError:
            raise BoardError(f"{host.network.address} is not on this LAN") from None

    # -- cuts

    def cut(self, host: Host, other: Host | None = None, *, ms: float | None = None) -> None:
        """Cuts a host off from all, or from one other alone; what is on its way at this instant still arrives.

        Args:
            ms: restored by itself after so long. A later cut of the same takes the place of this one.
        """
        key = self._key_of(host, other)
        duration_ns = None if ms is None else _ns_from_ms("cut ms", ms, None)
        known = key in self._cuts
        alarm = self._cuts.get(key)
        if alarm is not None:
            alarm.cancel()
        self._cuts[key] = None if duration_ns is None else self._clock.after(duration_ns, lambda: self._restore(key))
        if not known:
            self._record(key, "cut")
        self._judge()

    def restore(self, host: Host, other: Host | None = None) -> None:
        """Ends a ``cut`` of the same hosts; without effect when there is none. TCP notices when it next sends again."""
        self._restore(self._key_of(host, other))

    @contextmanager
    def cut_off(self, host: Host, other: Host | None = None) -> Iterator[None]:
        """``cut``, and ``restore`` at the end of the ``with`` block."""
        self.cut(host, other)
        try:
            yield
        finally:
            self.restore(host, other)

    def is_cut(self, one: Link | None, other: Link | None) -> bool:
        """Whether nothing gets from one to the other; None is a client of the bench."""
        cuts = self._cuts
        if not cuts:
            return False
        ends = [link for link in (one, other) if link is not None]
        return any(frozenset((link,)) in cuts for link in ends) or frozenset(ends) in cuts

    def _key_of(self, host: Host, other: Host | None) -> frozenset[Link]:
        key = frozenset(self.link(end) for end in (host, other) if end is not None)
        if other is not None and len(key) == 1:
            raise BoardError(f"{host.network.address} cannot be cut off from itself")
        return key

    def _restore(self, key: frozenset[Link]) -> None:
        if key not in self._cuts:
            return
        alarm = self._cuts.pop(key)
        if alarm is not None:
            alarm.cancel()
        self._record(key, "restore")
        self._judge()

    def _record(self, key: frozenset[Link], name: str) -> None:
        for link in sorted(key, key=lambda link: link.name):
            others = "".join(other.name for other in key if other is not link)
            if link.trace is not None:
                link.trace(self._clock.now_ns, "lan", name, others)

    # -- connections

    def _connect(self, ours: Link, stream: Stream, host: str, port: int) -> None:
        other = self._names.get(host.lower())
        peer = f"{ours.name}:{stream.local_port}"
        if other is None:
            refuse(stream)
        elif other is ours:
            ours.host.network.admit(stream, peer, port)  # does not leave the board
        else:
            self._attempt(ours, other, stream, peer, port)

    def _attempt(self, ours: Link | None, other: Link, stream: Stream, peer: str, port: int) -> None:
        """Sends the first segment of a connection, whose port's latency has passed already."""
        begins = ours or other
        begins.connections += 1
        name = f"{'' if ours is None else ours.name}/{begins.connections}>{other.name}"
        path = self._path(ours, other)
        there = self._route(path, name)
        back = self._route(self._path(other, ours), name + "/back")
        stream.travel(there)
        network = other.host.network
        if self.calm and other.host.powered and path.latency_ns == self.latency_ns:
            network.admit(stream, peer, port, back)
            return
        sent_ns = self._clock.now_ns - network.latency_ns
        there.carry(sent_ns, lambda: network.admit(stream, peer, port, back), "segment")

    def _route(self, path: LanPath, name: str) -> Route:
        self._key = self._key or self._entropy("lan").randbytes(32)
        return Route(self._clock, path, Luck(self._key, name))

    def _path(self, sender: Link | None, receiver: Link | None) -> LanPath:
        path = self._paths.get((sender, receiver))
        if path is None:
            path = self._paths[sender, receiver] = LanPath(self, sender, receiver)
        return path

    # -- whether anything happens here but latency

    def _judge(self) -> None:
        self.changes += 1
        if self._told_latency_ns != self.latency_ns:
            self._told_latency_ns = self.latency_ns
            for network in self._links:
                network.latency_ns = self.latency_ns
        steady = self.steady and self._bandwidth_mbit is None
        self.calm = steady and not self._rough_links and not self._cuts

    def _judge_link(self, link: Link) -> None:
        if link.steady:
            self._rough_links.discard(link)
        else:
            self._rough_links.add(link)
        self._judge()


class LanPath:
    """What lies between two hosts, in one direction; None for a client of the bench.

    Attributes:
        medium: the LAN.
    """

    __slots__ = ("_parts", "_receiver", "_sender", "medium")

    def __init__(self, lan: Lan, sender: Link | None, receiver: Link | None) -> None:
        self.medium = lan
        self._sender = sender
        self._receiver = receiver
        self._parts: list[Conditions] = [part for part in (lan, sender, receiver) if part is not None]

    @property
    def loss(self) -> float:
        passes = 1.0
        for part in self._parts:
            if part.loss:
                passes *= 1.0 - part.loss
        return 1.0 - passes

    @property
    def latency_ns(self) -> int:
        return sum(part.latency_ns for part in self._parts)

    def is_cut(self) -> bool:
        return self.medium.is_cut(self._sender, self._receiver)

    def is_down(self) -> bool:
        one, other = self._sender, self._receiver
        if (one is not None and not one.host.powered) or (other is not None and not other.host.powered):
            return True
        return self.is_cut()

    def delay_ns(self, now_ns: int, size_bytes: int, luck: Luck) -> int:
        delay_ns = self.latency_ns + self._line_ns(now_ns, size_bytes)
        jitter_ns = sum(part.jitter_ns for part in self._parts)
        return delay_ns + luck.below(jitter_ns + 1) if jitter_ns else delay_ns

    def record_lost(self, now_ns: int, size_bytes: int) -> None:
        concerned = self._sender or self._receiver
        if concerned is not None and concerned.trace is not None:
            concerned.trace(now_ns, "lan", "lost", size_bytes)

    def _line_ns(self, now_ns: int, size_bytes: int) -> int:
        """Until the sender's line has sent it, behind all that it was given before."""
        mbit, link = self.medium.bandwidth_mbit, self._sender
        if mbit is None or link is None:
            return 0
        segments = max(1, -(-size_bytes // SEGMENT_BYTES))
        begin_ns = max(now_ns, link.free_ns)
        link.free_ns = begin_ns + int((size_bytes + segments * FRAME_BYTES) * 8_000 / mbit)
        return link.free_ns - now_ns


def _ns_from_ms(name: str, value: float, limit: float | None = MOST_MS) -> int:
    if not value >= 0 or (limit is not None and value > limit):
        raise BoardError(f"{name} {value}: must be at least 0" + ("" if limit is None else f" and at most {limit}"))
    return round(value * NS_PER_MS)
