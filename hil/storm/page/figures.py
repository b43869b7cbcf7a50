"""What a planner wants to know of each setting, derived from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from hil.storm.result import INTERRUPTED, SettingResult, StormResult

MARGIN = 0.06
"""How much is drawn beyond the last registration, as a part of the time until then."""


class Verdict(Enum):
    """How a setting came through: a mark and a word, so that it does not depend on a colour."""

    CLEAN = ("✓", "without a failure")
    STRAINED = ("!", "failures on the way")
    LOST = ("!", "some were lost again")
    UNFINISHED = ("✕", "not all in time")
    INTERRUPTED = ("‖", "was interrupted")

    @property
    def mark(self) -> str:
        return self.value[0]

    @property
    def words(self) -> str:
        return self.value[1]


@dataclass(frozen=True)
class Figures:
    """One setting, with its place among the others."""

    number: int
    """From 1, in the report's order."""
    setting: SettingResult

    @property
    def label(self) -> str:
        return self.setting.label

    @property
    def end_s(self) -> float:
        return self.setting.end_ns / 1e9

    @property
    def all_s(self) -> float | None:
        """When the last phone was registered, after power came back; None: some never were."""
        return None if self.setting.all_registered_ns is None else self.setting.all_registered_ns / 1e9

    @property
    def span_s(self) -> float:
        """Until all were registered, or until it ended without that."""
        return self.end_s if self.all_s is None else self.all_s

    @cached_property
    def peak_registered(self) -> int:
        """The most phones that were registered at a time, as far as is known."""
        known = max((number for _, number in self.setting.registered), default=0)
        return max(known, self.setting.registered_at_end)

    @property
    def lost_at_end(self) -> int:
        """Phones that had been registered and were not at the end."""
        best = self.setting.phones if self.all_s is not None else self.peak_registered
        return best - self.setting.registered_at_end

    @property
    def shown_s(self) -> float:
        """What charts show: a little beyond the last registration, or all of it where phones were lost later."""
        if self.all_s is None or self.falls_later:
            return self.end_s
        return min(self.end_s, self.all_s * (1 + MARGIN))

    @cached_property
    def falls_later(self) -> bool:
        """Whether some lost their registration after all had had it."""
        if self.all_s is None:
            return False
        late = (number for time_s, number in self.setting.registered if time_s > self.span_s)
        return self.lost_at_end > 0 or any(number < self.setting.phones for number in late)

    @property
    def verdict(self) -> Verdict:
        if self.all_s is None:
            return Verdict.INTERRUPTED if self.setting.outcome == INTERRUPTED else Verdict.UNFINISHED
        if self.falls_later:
            return Verdict.LOST
        failed = sum(self.setting.failures.values()) or self.setting.watchdog_resets or self.setting.handshakes.failed
        return Verdict.STRAINED if failed else Verdict.CLEAN

    # -- attempts

    @property
    def connected(self) -> int:
        """Attempts that led to an open TLS connection."""
        return sum(self.setting.handshakes.histogram.counts)

    @property
    def fruitless(self) -> int:
        """Attempts that did not, or had not yet at the end."""
        return max(0, self.setting.attempts - self.connected)

    @property
    def attempts_each(self) -> float | None:
        """Attempts for each phone that got registered; None where none was."""
        reached = self.setting.phones if self.all_s is not None else self.peak_registered
        return self.setting.attempts / reached if reached else None

    # -- the CPU

    @property
    def wasted(self) -> float:
        """Fraction of the CPU's work that went into handshakes that came to nothing."""
        return self.setting.handshakes.wasted_cpu_s / self.setting.busy_s if self.setting.busy_s else 0.0

    @property
    def handshakes_per_minute(self) -> float | None:
        """As many as the CPU can do if it does nothing else."""
        cpu_ms = self.setting.handshakes.cpu_ms.p50
        return 60_000 / cpu_ms if cpu_ms else None

    @cached_property
    def load(self) -> tuple[float, ...]:
        """All kinds together, one fraction per bucket."""
        return tuple(min(1.0, sum(values)) for values in zip(*self.setting.load.kinds.values(), strict=True))

    @property
    def load_peak(self) -> float | None:
        """The busiest bucket of the whole run."""
        return max(self.load, default=None)

    @property
    def load_mean(self) -> float | None:
        """From the first attempt until all were registered, or the end."""
        first_ns = self.setting.first_attempt_ns
        begin_s = 0.0 if first_ns is None else first_ns / 1e9
        return mean_between(self.setting.load.t_s, self.load, begin_s, self.span_s, self.end_s)


def mean_between(
    starts_s: Sequence[float], values: Sequence[float], begin_s: float, until_s: float, end_s: float
) -> float | None:
    """Mean of buckets, weighted by how much of each lies in the span; the last one ends at ``end_s``."""
    total = weight = 0.0
    for start_s, stop_s, value in zip(starts_s, (*starts_s[1:], end_s), values, strict=False):
        inside_s = min(stop_s, until_s) - max(start_s, begin_s)
        if inside_s > 0:
            total += value * inside_s
            weight += inside_s
    return total / weight if weight else None


def figures_from_result(result: StormResult) -> tuple[Figures, ...]:
    """Of every setting, in the report's order."""
    return tuple(Figures(number, setting) for number, setting in enumerate(result.settings, 1))


def quickest(figures: Sequence[Figures]) -> Figures | None:
    """The setting that others are compared with: all registered soonest; None where none ever had all."""
    done = [each for each in figures if each.all_s is not None]
    return min(done, key=lambda each: (each.span_s, each.number), default=None)
