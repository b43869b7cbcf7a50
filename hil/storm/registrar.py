"""What a storm does to the registrar, heard from its trace and its services: load by kind, queues, TLS handshakes.

A handshake begins and ends in a task, so what that task used in between is what it cost. Whether it was worth it, only
the phone can tell: one that has lost its patience meanwhile begins anew, and what was spent on it was spent in vain,
even where the registrar does not know.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress, count, pairwise
from operator import add, ne
from typing import TYPE_CHECKING, Any

from board.trace import Row
from firmware.kernel import Priority
from hil.storm.gauge import Gauge, Levels
from hil.timeline.load import BUCKET_NS, LoadCounter

if TYPE_CHECKING:
    from firmware.kernel import Task
    from firmware.services.task import Services
    from hil.gateway import Gateway

SAMPLE_NS = 10_000_000
"""Queue lengths are sampled this often in virtual time."""

CHARGE = "charge:"

TURN = "task"
"""Kind of the event with which a turn is over."""

LONGEST_ROW_NS = 10_000_000
"""Of turns that follow one another, so much is taken for evenly mixed: a tenth of what the load is told by."""

BATCH = 2_000
"""So many events are reckoned at a time."""

SWITCH = "switch"
"""What a turn took beyond its charges: dispatches, mostly."""

READY = tuple(f"ready {priority.name.lower()}" for priority in sorted(Priority))


@dataclass
class Shake:
    """One handshake, from the registrar's side."""

    task: Task | None
    """Whose it is, while it goes on."""
    used_ns: int
    """What the task had used before."""
    cpu_ns: int = 0
    served: bool = False
    """Whether the phone found the connection open in the end."""


class RegistrarMeter:
    """Listens to one gateway; times are counted from ``zero_ns``."""

    def __init__(self, gateway: Gateway, zero_ns: int) -> None:
        self.cpu_ns: Counter[str] = Counter()
        """By kind."""
        self.busy_ns = 0
        self.shakes: list[Shake] = []
        """All that were begun."""
        self.resets: Counter[str] = Counter()
        """By cause."""
        self.queues = {name: Gauge() for name in ("handshakes", *READY)}
        self.levels = Levels()
        self._gateway = gateway
        self._zero_ns = zero_ns
        self._hz = gateway.model.hz
        self._load = LoadCounter(self._told)
        self._fresh: list[Row] = []
        self._keep = self._fresh.append
        self._settled = 0  # events before those
        # Number of the event that each was taken at, time, queues.
        self._samples: deque[tuple[int, int, tuple[int, ...]]] = deque()
        self._names = _Names()
        self._open: dict[str, Shake] = {}  # by peer
        self._latest: dict[str, Shake] = {}  # by the peer's host
        self._kernel = gateway.kernel
        self._services: Services | None = None
        self._ready = tuple(self.queues[name] for name in READY)
        self._nobody = (0,) * len(READY)
        self._shown = self._nobody  # what those hold
        self._sample_ns = 0
        self._until_ns = zero_ns  # end of the last turn
        self._waiting = self.queues["handshakes"]

    def attach(self) -> None:
        """Its program was started: what was going on is over."""
        self._give_up()
        self._kernel = self._gateway.kernel
        self._services = None

    def serving(self) -> None:
        """A phone has come: its program serves, and the handshakes that follow are ours."""
        if self._services is None:
            self._services = getattr(getattr(self._gateway.program, "box", None), "services", None)
            if self._services is not None:
                self._services.on_handshake = self._shaking

    def event(self, event: Row) -> None:
        """One event of its trace. Turns come by the ten thousand, so they are only kept here, and reckoned later."""
        self._keep(event)
        if event[0] >= self._sample_ns:
            self._sample(event[0])

    def reset(self, cause: str) -> None:
        """What is charged in a turn that did not end was never spent."""
        self.resets[cause] += 1
        self._settle()
        self._settled += len(self._fresh)
        self._fresh.clear()

    def close(self) -> None:
        """The end: what is open stays so."""
        self._settle()
        self._rest()
        self._load.close()
        if self._services is not None:
            self._services.on_handshake = None

    # -- the CPU

    def _sample(self, now_ns: int) -> None:
        """Looks how long the queues are, which is told in its place among the events; reckons what has come."""
        self._sample_ns = now_ns + SAMPLE_NS
        if self._kernel is not None:
            self._samples.append((self._settled + len(self._fresh) - 1, now_ns, self._kernel.queued))
        if len(self._fresh) + len(self._samples) >= BATCH:
            self._settle()

    def _settle(self) -> None:
        """Reckons whole turns; what is charged in the one that is going on waits for its end.

        Looks at columns of events, not at each of them: nearly all are charges of the same few kinds.
        """
        if not self._fresh:
            return
        times, _, kinds, _, values = zip(*self._fresh, strict=True)
        turns = list(compress(count(), map(TURN.__eq__, kinds)))
        if not turns:
            return
        begins = list(map(times.__getitem__, turns))
        ends = list(map(add, begins, map(values.__getitem__, turns)))
        begin = 0
        for first, after in _spells(begins, ends, self._zero_ns):
            end = turns[after - 1]
            if begins[first] > self._until_ns:
                self._rest()
            self._show(self._settled + end)
            self._reckon(begins[first], ends[after - 1], kinds[begin:end], values[begin:end])
            begin = end + 1
        self._settled += begin
        del self._fresh[:begin]

    def _show(self, number: int) -> None:
        """Has the gauges say how long the queues were up to that event."""
        samples = self._samples
        while samples and samples[0][0] <= number:
            _, time_ns, counts = samples.popleft()
            if counts != self._shown:
                self._shown = counts
                for gauge, length in zip(self._ready, counts, strict=True):
                    gauge.set(time_ns - self._zero_ns, length)

    def _reckon(self, began_ns: int, until_ns: int, kinds: Sequence[str], values: Sequence[Any]) -> None:
        """Books turns that followed one another without a gap, and what was charged in them."""
        held_ns = until_ns - began_ns
        if not held_ns:
            return
        self._until_ns = until_ns
        self.busy_ns += held_ns
        began_ns -= self._zero_ns
        charges: list[tuple[int, str, str, int]] = []
        at_ns = began_ns
        for kind in dict.fromkeys(kinds):
            name = self._names[kind]
            if name:
                cycles = sum(compress(values, map(kind.__eq__, kinds)))
                duration_ns = cycles * 1_000_000_000 // self._hz
                charges.append((at_ns, "", name, duration_ns))
                self.cpu_ns[name] += duration_ns
                at_ns += duration_ns
        rest_ns = began_ns + held_ns - at_ns
        if rest_ns > 0:
            charges.append((at_ns, "", SWITCH, rest_ns))
            self.cpu_ns[SWITCH] += rest_ns
        self._load.add(began_ns, held_ns, charges)

    def _rest(self) -> None:
        """The CPU had nothing to do until now: nobody was ready when the last turn ended."""
        if self._shown != self._nobody:
            self._shown = self._nobody
            for gauge in self._ready:
                gauge.set(self._until_ns - self._zero_ns, 0)

    def _charged_ns(self) -> int:
        """What was charged so far in the turn that is going on."""
        cycles = 0
        for _, _, kind, _, value in reversed(self._fresh):
            if kind == TURN:
                break
            if kind[:7] == CHARGE:
                cycles += int(value)
        return cycles * 1_000_000_000 // self._hz

    def _told(self, name: str, time_ns: int, values: dict[str, float]) -> None:
        if "by kind" in name:
            self.levels.tell(name, time_ns, values)

    # -- handshakes

    def served(self, host: str) -> None:
        """That host says that its connection is open."""
        shake = self._latest.get(host)
        if shake is not None:
            shake.served = True

    @property
    def good(self) -> list[Shake]:
        """The handshakes that gave a phone its connection."""
        return [shake for shake in self.shakes if shake.served]

    @property
    def wasted(self) -> list[Shake]:
        """Those that came to nothing; one that is still going on is neither."""
        return [shake for shake in self.shakes if shake.task is None and not shake.served]

    def _shaking(self, peer: str, begins: bool) -> None:
        """The task that has the CPU begins a handshake, or ends it."""
        kernel = self._kernel
        if kernel is None:
            return
        task = kernel.current
        if not begins:
            self._end(self._open.pop(peer, None))
        elif task is not None:
            shake = Shake(task, task.busy_ns + self._charged_ns())
            self.shakes.append(shake)
            self._open[peer] = self._latest[peer.rpartition(":")[0]] = shake
        self._waiting.set(kernel.now_ns - self._zero_ns, len(self._open))

    def _give_up(self) -> None:
        """Power went, or a reset came, in the middle of these."""
        for of in list(self._open):
            self._end(self._open.pop(of))

    def _end(self, shake: Shake | None) -> None:
        """A task's turn is booked when it ends; what is charged so far in the one that is going on comes on top."""
        if shake is not None and shake.task is not None:
            shake.cpu_ns = shake.task.busy_ns + self._charged_ns() - shake.used_ns
            shake.task = None


class _Names(dict[str, str]):
    """What an event's kind says that was charged; empty where it is no charge."""

    def __missing__(self, kind: str) -> str:
        self[kind] = name = kind.removeprefix(CHARGE) if kind.startswith(CHARGE) else ""
        return name


def _spells(begins: Sequence[int], ends: Sequence[int], zero_ns: int) -> Iterator[tuple[int, int]]:
    """(first, behind the last) of turns that can be reckoned as one.

    They follow one another without a gap, and lie within one tenth of a second, as loads are told; a row that does not
    is a spell of its own.
    """
    gaps = compress(count(1), map(ne, begins[1:], ends))
    for first, stop in pairwise(chain((0,), gaps, (len(begins),))):
        edge_ns = _edge_ns(begins[first], zero_ns)
        row = first
        while row < stop:
            after = min(bisect_right(ends, begins[row] + LONGEST_ROW_NS, row, stop) + 1, stop)
            if ends[after - 1] > edge_ns:
                if first < row:
                    yield first, row
                yield row, after
                first = after
                edge_ns = _edge_ns(ends[after - 1], zero_ns)
            row = after
        if first < stop:
            yield first, stop


def _edge_ns(time_ns: int, zero_ns: int) -> int:
    """End of the tenth of a second in which that lies."""
    return time_ns + BUCKET_NS - (time_ns - zero_ns) % BUCKET_NS
