"""One direction of one connection through a LAN that loses, delays or is cut: what TCP makes of it, seen from above.

::

    sent:     1  2  x  4  5  6              x is lost
    arrives:  1  2  .  .  .  .  3 4 5 6     what came behind the gap waits for it
                       ^  ^  ^  |
                       three duplicate acknowledgements: sent again a round trip later;
                       with fewer, or after a second loss: 1 s later, then 2 s, 4 s ... 60 s

Nothing is lost to whoever reads: bytes arrive late, in order and once, or the connection ends. A loss is drawn for each
segment of ``SEGMENT_BYTES``; what becomes of it is reckoned, not played out in packets, so that a write that meets no
loss costs one event, as on a quiet wire. After 100 s without success (180 s for a connection's first segment) the
sender's end gives up; the other end learns of it when it sends something itself.

Chance comes from a stream of each connection and direction, so that one connection's losses do not shift another's.

Not modelled: loss of acknowledgements (they are cumulative: the next one makes up for it), the congestion window and
slow start, a measured round trip (the retransmission time is its minimum of 1 s, where some stacks take 200 ms),
delayed acknowledgements, selective ones, segments that overtake one another.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from board.clock import Alarm, VirtualClock
from board.ethernet import Kind, Stream

SEGMENT_BYTES = 1_460
"""An Ethernet frame of 1,500 bytes without the headers of IPv4 and TCP (RFC 9293 3.7.1)."""

RTO_NS = 1_000_000_000
"""First retransmission time-out, and the least that a measured one may be (RFC 6298 2.1, 2.4). It doubles (5.5)."""

MOST_RTO_NS = 60_000_000_000
"""RFC 6298 2.5: an upper limit must be at least 60 s."""

DUPLICATES = 3
"""Duplicate acknowledgements after which a segment is taken for lost (RFC 5681 3.2)."""

GIVE_UP_NS = 100_000_000_000
"""R2 of RFC 1122 4.2.3.5: at least 100 s of retransmission before a connection is closed."""

SYN_GIVE_UP_NS = 180_000_000_000
"""The same, for a connection that is not open yet: at least 3 minutes."""


class Luck:
    """Numbers that depend on a key and a name alone: the same on every host, and cheap to begin."""

    __slots__ = ("_blocks", "_key", "_name", "_numbers")

    def __init__(self, key: bytes, name: str) -> None:
        self._key = key
        self._name = name
        self._blocks = 0
        self._numbers: Iterator[int] = iter(())

    def number(self) -> int:
        """The next one, below 2 to the power of 64."""
        for number in self._numbers:
            return number
        block = hashlib.blake2b(f"{self._name}/{self._blocks}".encode(), key=self._key).digest()
        self._blocks += 1
        self._numbers = iter(struct.unpack(">8Q", block))
        return next(self._numbers)

    def strikes(self, probability: float) -> bool:
        """Whether something of that probability happens."""
        return probability > 0 and self.number() < int(probability * (1 << 64))

    def below(self, limit: int) -> int:
        """A number from 0 to ``limit`` - 1."""
        return self.number() * limit >> 64


class Medium(Protocol):
    """A whole LAN."""

    calm: bool
    """Nothing happens on it but latency."""
    changes: int
    """How often its conditions were changed."""


class Path(Protocol):
    """What lies between two hosts, in one direction."""

    @property
    def medium(self) -> Medium:
        """What it is a part of."""

    @property
    def loss(self) -> float:
        """Probability that a segment is lost."""

    @property
    def latency_ns(self) -> int:
        """One way, without jitter."""

    def is_cut(self) -> bool: ...

    def is_down(self) -> bool:
        """Whether it is cut, or one of the hosts has no power."""

    def delay_ns(self, now_ns: int, size_bytes: int, luck: Luck) -> int:
        """How long this takes from now: latency, jitter, and the time on the line."""

    def record_lost(self, now_ns: int, size_bytes: int) -> None: ...


@dataclass(slots=True)
class Waiting:
    """A lost segment, or what was sent behind it."""

    arrival: Callable[[], None]
    size_bytes: int
    lost: bool
    arrives_ns: int
    """When it is there, to wait for what was lost before it; without meaning while it is lost itself."""


class Route:
    """One direction of one connection. ``board.ethernet.Stream`` sends through it while the LAN is not calm."""

    __slots__ = (
        "_alarm",
        "_changes",
        "_clock",
        "_duplicates",
        "_heard",
        "_luck",
        "_medium",
        "_path",
        "_rto_ns",
        "_since_ns",
        "_stream",
        "_timed_out",
        "_waiting",
    )

    def __init__(self, clock: VirtualClock, path: Path, luck: Luck) -> None:
        self._clock = clock
        self._path = path
        self._luck = luck
        self._medium = path.medium
        self._changes = -1
        self._waiting: deque[Waiting] | None = None
        self._alarm: Alarm | None = None
        self._since_ns = 0  # when what is first in the queue was first missed
        self._rto_ns = RTO_NS
        self._duplicates = 0
        self._heard = False  # the last that was sent again was acknowledged
        self._timed_out = False  # the next is sent again because nothing was heard, and not because of what was heard

    @property
    def calm(self) -> bool:
        """Whether nothing happens to what is sent but latency, and nothing waits that it would overtake."""
        medium = self._medium
        if self._changes != medium.changes:
            self._changes = medium.changes
            self._stream.latency_ns = self._path.latency_ns
        return medium.calm and not self._waiting and not self._stream.unheard

    def bind(self, stream: Stream) -> None:
        """Tells it whose way out it is."""
        self._stream: Stream = stream

    def carry(self, now_ns: int, arrival: Callable[[], None], kind: Kind, data: bytes = b"") -> None:
        """Sends something; it arrives through ``Stream.land``."""
        if kind == "data":
            self._carry_data(now_ns, arrival, data)
        elif kind == "room":
            self._tell(now_ns, arrival)
        elif kind == "reset":
            self._break_off(now_ns, arrival)
        else:
            self._pass(now_ns, arrival, 0, self._loses())

    # -- what is sent until it arrives

    def _carry_data(self, now_ns: int, arrival: Callable[[], None], data: bytes) -> None:
        fates = [self._loses() for _ in range(0, len(data), SEGMENT_BYTES)]
        if not any(fates):
            self._pass(now_ns, arrival, len(data), False)
            return
        other = self._stream.other
        assert other is not None
        for piece, lost in _pieces(data, fates):
            self._pass(now_ns, partial(other.deliver, piece), len(piece), lost)

    def _pass(self, now_ns: int, arrival: Callable[[], None], size_bytes: int, lost: bool) -> None:
        """Sends one segment, or several that none was lost of."""
        if not self._waiting and not lost:
            self._stream.land(now_ns + self._path.delay_ns(now_ns, size_bytes, self._luck), arrival)
            return
        if lost:
            self._path.record_lost(now_ns, size_bytes)
            self._queue(Waiting(arrival, size_bytes, True, 0), now_ns)
            return
        self._queue(Waiting(arrival, size_bytes, False, self._arrival_ns(now_ns, size_bytes)), now_ns)
        if self._duplicates < DUPLICATES <= self._duplicates + _segments(size_bytes):
            self._try_by(now_ns + 2 * self._path.latency_ns)
        self._duplicates += _segments(size_bytes)

    def _queue(self, entry: Waiting, now_ns: int) -> None:
        if self._waiting is None:
            self._waiting = deque()
        if not self._waiting:
            self._since_ns = now_ns
            self._duplicates = 0
            self._heard = False
            self._rto_ns = self._first_rto_ns()
            self._try_after(now_ns)
        self._waiting.append(entry)

    def _retransmit(self) -> None:
        """Sends again: the first that is missing after a silence, all once the other end was heard of again."""
        self._alarm = None
        waiting, now_ns = self._waiting, self._clock.now_ns
        if not waiting or self._is_over():
            self._forget()
            return
        for entry in list(waiting) if self._heard else [waiting[0]]:
            if entry.lost:
                self._send_again(entry, now_ns)
        if not waiting[0].lost:
            self._release(waiting, now_ns)
        elif now_ns >= self._last_ns():
            self._forget()
            self._stream.give_up()
        else:
            if self._timed_out:
                self._rto_ns = min(2 * self._rto_ns, MOST_RTO_NS)
            self._heard = False
            self._try_after(now_ns)

    def _send_again(self, entry: Waiting, now_ns: int) -> None:
        entry.lost = self._loses()
        if entry.lost:
            self._path.record_lost(now_ns, entry.size_bytes)
        else:
            entry.arrives_ns = self._arrival_ns(now_ns, entry.size_bytes)

    def _release(self, waiting: deque[Waiting], now_ns: int) -> None:
        """Lets arrive what waited for nothing else; the acknowledgement asks for what is missing next (RFC 6582)."""
        while waiting and not waiting[0].lost:
            entry = waiting.popleft()
            self._stream.land(entry.arrives_ns, entry.arrival)
        if waiting:
            self._since_ns = now_ns
            self._rto_ns = self._first_rto_ns()
            self._heard = True
            self._try_at(now_ns + 2 * self._path.latency_ns)

    def _try_after(self, now_ns: int) -> None:
        """Sends again after the retransmission time-out, the last time just before giving up."""
        self._try_at(min(now_ns + self._rto_ns, self._last_ns()))
        self._timed_out = True

    def _try_by(self, when_ns: int) -> None:
        if self._alarm is None or self._alarm.when_ns > when_ns:
            self._try_at(when_ns)

    def _try_at(self, when_ns: int) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._clock.at(when_ns, self._retransmit)
        self._timed_out = False

    def _first_rto_ns(self) -> int:
        return max(RTO_NS, 2 * self._path.latency_ns)

    def _last_ns(self) -> int:
        return self._since_ns + (SYN_GIVE_UP_NS if self._stream.status == "connecting" else GIVE_UP_NS)

    def _arrival_ns(self, now_ns: int, size_bytes: int) -> int:
        return now_ns + self._path.delay_ns(now_ns, size_bytes, self._luck)

    # -- what is not sent again

    def _tell(self, now_ns: int, arrival: Callable[[], None], wait_ns: int = RTO_NS) -> None:
        """News of room in the window: not in order with the data, and asked for again (RFC 9293 3.8.6.1) if need be."""
        if not self._path.is_down():
            self._clock.at(now_ns + self._path.latency_ns, arrival)
        elif self._stream.other is not None and self._stream.other.status == "open" and not self._is_over():
            again_ns = now_ns + wait_ns
            self._clock.at(again_ns, lambda: self._tell(again_ns, arrival, min(2 * wait_ns, MOST_RTO_NS)))

    def _break_off(self, now_ns: int, arrival: Callable[[], None]) -> None:
        """A reset, sent once: where it is lost, the other end goes on until it sends something itself."""
        self._forget()
        if self._path.is_cut() or self._luck.strikes(self._path.loss):
            self._path.record_lost(now_ns, 0)
            self._stream.unheard = True
        else:
            self._stream.land(self._arrival_ns(now_ns, 0), arrival)

    # -- how

    def _loses(self) -> bool:
        return self._path.is_down() or self._luck.strikes(self._path.loss)

    def _is_over(self) -> bool:
        """Whether our end has nothing to say any more: it is dead, or was closed before it was open."""
        end = self._stream
        return not end.unheard and (end.status in ("reset", "refused") or (end.status == "closed" and not end.other))

    def _forget(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._waiting = None


def _segments(size_bytes: int) -> int:
    return max(1, -(-size_bytes // SEGMENT_BYTES))


def _pieces(data: bytes, fates: list[bool]) -> Iterator[tuple[bytes, bool]]:
    """Cuts data into lost segments, and rows of segments that were not lost."""
    begin = 0
    for number, lost in enumerate(fates):
        at = number * SEGMENT_BYTES
        if lost:
            if begin < at:
                yield data[begin:at], False
            begin = at + SEGMENT_BYTES
            yield data[at:begin], True
    if begin < len(data):
        yield data[begin:], False
