"""Rules at work: which of them are due at an event, what state their machine is in, and what fired.

They belong to a slot rather than to a card: a card that is pulled and put in again finds them as they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from cfcard.rules import FIRST_STATE, Event, Fault, Rule

__all__ = ["Armed", "ArmedRules", "Hit", "fixed_noise"]

LISTED = 64
"""Times that one rule is listed as fired; a slow card would fill the record. All of them are counted."""

Noise = Callable[[int], bytes]
"""Gives so many random bytes."""


class Hit(NamedTuple):
    """A fault happened."""

    time_ns: int
    rule: Rule
    sector: int | None
    """None where the event has none."""


@dataclass(slots=True)
class Armed:
    """One rule, and what became of it."""

    rule: Rule
    seen: int = 0
    """Events that fitted."""
    fired: int = 0
    mended: set[int] = field(default_factory=set)
    """Sectors that were written since: what was unreadable is not any more."""

    @property
    def spent(self) -> bool:
        """Whether it will never fire again."""
        return bool(self.rule.once) and self.fired > 0


class ArmedRules:
    """The rules that are armed, in the order in which they were.

    Args:
        noise: where probabilities, garbage and the choice of lost writes come from; the same bytes, the same faults.
            Without one the same in every run.
        now: what a hit is dated with.

    Attributes:
        hits: what fired, in order.
        on_hit: called with each of them, before it takes effect.
    """

    def __init__(self, noise: Noise | None = None, now: Callable[[], int] = lambda: 0) -> None:
        self.noise = noise or fixed_noise()
        self.hits: list[Hit] = []
        self.on_hit: Callable[[Hit], None] | None = None
        self.state = FIRST_STATE
        self._now = now
        self._rules: tuple[Armed, ...] = ()
        self._by_event: dict[Event, tuple[Armed, ...]] = {}

    @property
    def rules(self) -> tuple[Armed, ...]:
        """All of them, spent ones too."""
        return self._rules

    def arm(self, rule: Rule) -> None:
        """Adds one."""
        self._rules = (*self._rules, Armed(rule))
        self._sort()

    def disarm(self, *, keep: frozenset[Fault] = frozenset()) -> None:
        """Forgets the rules but those of ``keep``, and the machine's state; what fired stays on record."""
        self._rules = tuple(armed for armed in self._rules if armed.rule.fault in keep)
        self.state = FIRST_STATE
        self._sort()

    def waiting(self, event: Event) -> bool:
        """Whether anything is to happen at such an event."""
        return event in self._by_event

    def pending(self, *faults: Fault) -> list[Armed]:
        """Those with one of these faults that can still fire."""
        return [armed for group in self._by_event.values() for armed in group if armed.rule.fault in faults]

    def due(self, event: Event, lba: int | None, *, slow: bool = False) -> Rule | None:
        """Counts one event, and gives the rule that makes it go wrong; the first armed wins, the next one waits.

        Args:
            slow: asks for the rules that cost time, and no others: they go by a count of their own, because time
                passes before a sector does.
        """
        found: Armed | None = None
        state = self.state
        for armed in self._by_event.get(event, ()):
            rule = armed.rule
            if (rule.fault is Fault.SLOW) != slow or rule.state not in (0, state) or not rule.covers(lba):
                continue
            if lba in armed.mended:
                continue
            armed.seen += 1
            if armed.seen < rule.at or not self._chance(rule.probability):
                continue
            if rule.fault is Fault.STATE:
                self.fire(armed, lba)
            elif found is None:
                found = armed
        if found is None:
            return None
        self.fire(found, lba)
        return found.rule

    def fire(self, armed: Armed, lba: int | None) -> None:
        """Records that a rule fired."""
        armed.fired += 1
        if armed.spent:
            self._sort()
        if armed.rule.new_state is not None:
            self.state = armed.rule.new_state
        if armed.fired > LISTED:
            return
        hit = Hit(self._now(), armed.rule, lba)
        self.hits.append(hit)
        if self.on_hit is not None:
            self.on_hit(hit)

    def note_written(self, lba: int) -> None:
        """A sector was written: what could not be read there can be read again."""
        for armed in self._by_event.get(Event.READ, ()):
            if armed.rule.fault is Fault.READ_ALWAYS and armed.rule.covers(lba):
                armed.mended.add(lba)

    def number(self, below: int) -> int:
        """A number from 0, drawn from the noise."""
        return int.from_bytes(self.noise(8), "big") % below

    def _chance(self, probability: float) -> bool:
        # Nothing is drawn where nothing depends on it.
        return probability >= 1 or self.number(1 << 32) < probability * (1 << 32)

    def _sort(self) -> None:
        groups: dict[Event, list[Armed]] = {}
        for armed in self._rules:
            if not armed.spent:
                assert armed.rule.event is not None
                groups.setdefault(armed.rule.event, []).append(armed)
        self._by_event = {event: tuple(group) for event, group in groups.items()}


def fixed_noise(seed: str = "") -> Noise:
    """The same bytes in every run: SHA-256 over a counter."""
    counter = 0

    def noise(count: int) -> bytes:
        nonlocal counter
        out = b""
        while len(out) < count:
            out += hashlib.sha256(f"{seed}/{counter}".encode()).digest()
            counter += 1
        return out[:count]

    return noise
