"""CPU load over time, from turns: one figure per tenth of a second, as the kernel's load averages are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

BUCKET_NS = 100_000_000

Counter = Callable[[str, int, dict[str, float]], None]
"""Gets a counter's name, a time, and values that hold from then on."""


class LoadCounter:
    """Adds up turns and tells the load of each tenth of a second, altogether and by kind, in percent."""

    def __init__(self, tell: Counter) -> None:
        self._tell = tell
        self._began_ns = 0
        self._ends_ns = BUCKET_NS
        self._busy_ns = 0
        self._by_kind: dict[str, int] = {}
        self._told: dict[str, float] = {}
        self._resting = True

    def add(self, began_ns: int, held_ns: int, charges: Sequence[tuple[int, str, str, int]]) -> None:
        """One turn, and in it charges: (begin, task, kind, duration)."""
        if began_ns + held_ns <= self._ends_ns and began_ns >= self._began_ns:
            self._busy_ns += held_ns
            by_kind = self._by_kind
            for _, _, kind, duration_ns in charges:
                by_kind[kind] = by_kind.get(kind, 0) + duration_ns
            return
        if began_ns >= self._ends_ns or began_ns < self._began_ns:
            self._go_to(began_ns)
        while True:
            self._busy_ns += self._part(began_ns, held_ns)
            for begin_ns, _, kind, duration_ns in charges:
                self._by_kind[kind] = self._by_kind.get(kind, 0) + self._part(begin_ns, duration_ns)
            if began_ns + held_ns <= self._ends_ns:
                return
            self._go_to(self._ends_ns)

    def close(self) -> None:
        """Tells the last one, and that nothing follows."""
        self._go_to(self._ends_ns + BUCKET_NS)

    def _go_to(self, when_ns: int) -> None:
        """Tells this tenth, and goes on to the one of ``when_ns``."""
        if self._busy_ns:
            self._say(self._busy_ns, self._by_kind)
            self._resting = False
        began_ns = when_ns - when_ns % BUCKET_NS
        if began_ns > self._ends_ns and not self._resting:
            self._began_ns = self._ends_ns
            self._say(0, {})
            self._resting = True
        self._began_ns, self._ends_ns = began_ns, began_ns + BUCKET_NS
        self._busy_ns = 0
        self._by_kind = {}

    def _say(self, busy_ns: int, by_kind: dict[str, int]) -> None:
        self._tell("cpu load %", self._began_ns, {"busy": _percent(busy_ns)})
        shares = dict.fromkeys(self._told, 0.0) | {kind: _percent(spent_ns) for kind, spent_ns in by_kind.items()}
        if shares != self._told:
            self._told = shares
            self._tell("cpu load by kind %", self._began_ns, shares)

    def _part(self, began_ns: int, duration_ns: int) -> int:
        """How much of that lies in this tenth."""
        return max(0, min(began_ns + duration_ns, self._ends_ns) - max(began_ns, self._began_ns))


def _percent(spent_ns: int) -> float:
    return round(100 * spent_ns / BUCKET_NS, 2)
