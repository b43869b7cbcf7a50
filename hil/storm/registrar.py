"""What a storm does to the registrar, heard from its trace and its spans: load by kind, queues, TLS handshakes.

Spans begin and end in a task, so what that task used in between is what a handshake cost. Whether it was worth it, only
the phone can tell: one that has lost its patience meanwhile begins anew, and what was spent on it was spent in vain,
even where the registrar does not know.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from board.trace import TraceEvent
from firmware.kernel import Priority
from hil.storm.gauge import Gauge, Levels
from hil.timeline.load import LoadCounter

if TYPE_CHECKING:
    from firmware.kernel import Kernel, Task
    from hil.gateway import Gateway

HANDSHAKE = "tls server handshake"

SAMPLE_NS = 10_000_000
"""Queue lengths are sampled this often in virtual time."""

CHARGE = "charge:"

ENDS = ("task", "reset")
"""With these a turn is over."""

LONGEST_ROW_NS = 10_000_000
"""Turns that follow one another are reckoned as one up to that length: a tenth of what the load is told by."""

BATCH = 2_000
"""So many events are reckoned at a time."""

SAMPLE = "sample"
"""Kind of our own entries among a board's events."""

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


@dataclass
class Row:
    """Turns of any tasks that followed one another without a gap."""

    began_ns: int
    until_ns: int = 0
    cycles: dict[str, int] = field(default_factory=dict)
    """By kind of charge."""

    def __post_init__(self) -> None:
        self.until_ns = self.began_ns


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
        self._fresh: list[TraceEvent] = []
        self._open: dict[str, Shake] = {}  # by peer
        self._latest: dict[str, Shake] = {}  # by the peer's host
        self._kernel: Kernel | None = None
        self._ready = tuple(self.queues[name] for name in READY)
        self._sample_ns = 0
        self._until_ns = zero_ns  # end of the last turn
        self._waiting = self.queues["handshakes"]
        self.attach()

    def attach(self) -> None:
        """Its program was started, or is running: its spans are ours from now on."""
        self._give_up()
        kernel = self._kernel = self._gateway.kernel
        if kernel is None:
            return
        told = kernel.spans

        def span(now_ns: int, kind: str, name: str, value: int | str) -> None:
            self._span(now_ns - self._zero_ns, kind, name, value)
            if told is not None:
                told(now_ns, kind, name, value)

        kernel.spans = span

    def event(self, event: TraceEvent) -> None:
        """One event of its trace. Turns come by the ten thousand, so they are only kept here, and reckoned later."""
        self._fresh.append(event)
        if event[0] >= self._sample_ns:
            self._sample(event[0])

    def close(self) -> None:
        """The end: what is open stays so."""
        self._settle()
        self._rest()
        self._load.close()

    # -- the CPU

    def _sample(self, now_ns: int) -> None:
        """Looks how long the queues are, which is told in its place among the events; reckons what has come."""
        self._sample_ns = now_ns + SAMPLE_NS
        if self._kernel is not None:
            counts = " ".join(map(str, self._kernel.queued))
            self._fresh.append(TraceEvent(now_ns, "", SAMPLE, counts, 0))
        if len(self._fresh) >= BATCH:
            self._settle()

    def _settle(self) -> None:
        """Reckons whole turns; what is charged in the one that is going on waits for its end."""
        fresh = self._fresh
        whole = len(fresh)
        while whole and fresh[whole - 1].kind not in ENDS:
            whole -= 1
        self._fresh = fresh[whole:]
        del fresh[whole:]
        row = Row(self._until_ns)  # turns without a gap: reckoned as one
        charges: list[tuple[str, int]] = []
        for time_ns, _, kind, name, value in fresh:
            if kind == "task":
                if time_ns != row.until_ns or row.until_ns - row.began_ns > LONGEST_ROW_NS:
                    self._reckon(row)
                    row = Row(time_ns)
                row.until_ns = time_ns + value  # type: ignore[operator]
                cycles = row.cycles
                for charged, amount in charges:
                    cycles[charged] = cycles.get(charged, 0) + amount
                charges.clear()
            elif kind[:7] == CHARGE:
                charges.append((kind, value))  # type: ignore[arg-type]
            elif kind == SAMPLE:
                for gauge, number in zip(self._ready, name.split(), strict=True):
                    gauge.set(time_ns - self._zero_ns, int(number))
            elif kind == "reset":
                self.resets[name] += 1
                charges.clear()
        self._reckon(row)

    def _reckon(self, row: Row) -> None:
        """Books turns that followed one another."""
        held_ns = row.until_ns - row.began_ns
        if not held_ns:
            return
        began_ns = row.began_ns - self._zero_ns
        if row.began_ns > self._until_ns:
            self._rest()
        self._until_ns = row.until_ns
        self.busy_ns += held_ns
        charges: list[tuple[int, str, str, int]] = []
        at_ns = began_ns
        for kind, cycles in row.cycles.items():
            duration_ns = cycles * 1_000_000_000 // self._hz
            charges.append((at_ns, "", kind[len(CHARGE) :], duration_ns))
            at_ns += duration_ns
        rest_ns = began_ns + held_ns - at_ns
        if rest_ns > 0:
            charges.append((at_ns, "", SWITCH, rest_ns))
        for _, _, kind, duration_ns in charges:
            self.cpu_ns[kind] += duration_ns
        self._load.add(began_ns, held_ns, charges)

    def _rest(self) -> None:
        """The CPU had nothing to do until now: nobody was ready when the last turn ended."""
        for gauge in self._ready:
            if gauge.value:
                gauge.set(self._until_ns - self._zero_ns, 0)

    def _charged_ns(self) -> int:
        """What was charged so far in the turn that is going on."""
        cycles = 0
        for _, _, kind, _, value in reversed(self._fresh):
            if kind == "task":
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

    def _span(self, now_ns: int, kind: str, of: str, label: int | str) -> None:
        if label != HANDSHAKE:
            return
        kernel = self._kernel
        task = None if kernel is None else kernel.current
        if kind == "begin":
            if task is not None:
                shake = Shake(task, task.busy_ns + self._charged_ns())
                self.shakes.append(shake)
                self._open[of] = self._latest[of.rpartition(":")[0]] = shake
        else:
            self._end(self._open.pop(of, None))
        self._waiting.set(now_ns, len(self._open))

    def _give_up(self) -> None:
        """Power went, or a reset came, in the middle of these."""
        for of in list(self._open):
            self._end(self._open.pop(of))

    def _end(self, shake: Shake | None) -> None:
        """A task's turn is booked when it ends; what is charged so far in the one that is going on comes on top."""
        if shake is not None and shake.task is not None:
            shake.cpu_ns = shake.task.busy_ns + self._charged_ns() - shake.used_ns
            shake.task = None
