"""Axes of a chart: from values to a square of 1000 by 1000 units, and marks at round values.

A chart is stretched to whatever place it gets; its labels are text of the page, put at a percentage, so that they are
as large on a phone as on a wide screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hil.storm.page.units import count, duration, significant

UNITS = 1_000
"""Of the square that everything is drawn in."""

STEPS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800,
    3_600, 7_200, 10_800, 21_600, 43_200,
)  # fmt: skip
"""Between two marks on an axis of time: round in seconds, minutes or hours."""

DECADES_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1_800, 3_600, 10_800, 36_000, 86_400)
"""Marks on a logarithmic axis of time."""

TIMES = ((1, 0.001, "ms"), (120, 1, "s"), (2 * 3_600, 60, "min"), (math.inf, 3_600, "h"))
"""Up to so many seconds: the unit's length and its name."""

MOST_MARKS = 7


@dataclass(frozen=True)
class Axis:
    """One axis. ``low`` lies at 0, ``high`` at 1000."""

    low: float
    high: float
    marks: tuple[tuple[float, str], ...]
    """Values, and what stands there."""
    unit: str = ""
    logarithmic: bool = False

    def at(self, value: float) -> int:
        """Where a value lies; what is beyond an end lies at that end."""
        value = min(self.high, max(self.low, value))
        if self.logarithmic:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return round(part * UNITS)

    def place(self, value: float) -> str:
        """The same as a percentage, for the style of a label."""
        return f"{self.at(value) / 10:g}%"


def time_axis(high_s: float) -> Axis:
    """From 0 to that time, in seconds, minutes or hours."""
    high_s = max(high_s, 0.001)
    step = next((step for step in STEPS_S if high_s / step <= MOST_MARKS), 86_400)
    length, unit = next((length, unit) for most, length, unit in TIMES if high_s <= most)
    marks = _marks(high_s, step, lambda value: significant(value / length))
    return Axis(0, high_s, marks, unit)


def log_time_axis(low_s: float, high_s: float) -> Axis:
    """Between two times above zero; the marks name their units."""
    low_s = max(low_s, DECADES_S[0])
    high_s = max(high_s, low_s * 2)
    # A mark below the first value, so that its curve does not begin at the very edge.
    low_s = max((mark for mark in DECADES_S if mark <= low_s), default=low_s)
    return Axis(
        low_s, high_s, tuple((mark, duration_mark(mark)) for mark in DECADES_S if low_s <= mark <= high_s), "", True
    )


def duration_mark(seconds: float) -> str:
    """``0.1 s``, ``10 min``: no more than a mark on an axis needs."""
    return duration(seconds).replace(".00", "").replace(".0", "")


def count_axis(high: float, unit: str = "") -> Axis:
    """From 0 to a round number of things: at least one."""
    high = max(1, math.ceil(high))
    power = 10 ** math.floor(math.log10(high))
    steps = (step * power // 10 for step in (1, 2, 5, 10, 20, 50) if step * power % 10 == 0)
    step = next((step for step in steps if high / step <= 5), power)
    return Axis(0, high, _marks(high, step, count), unit)


def percent_axis() -> Axis:
    """From 0 to 1, told in percent."""
    return Axis(0, 1, tuple((part / 4, f"{part * 25} %") for part in range(5)))


def _marks(high: float, step: float, told: Callable[[float], str]) -> tuple[tuple[float, str], ...]:
    return tuple((index * step, told(index * step)) for index in range(math.floor(high / step + 1e-9) + 1))


def coarser(
    starts_s: Sequence[float],
    values: Sequence[float],
    until_s: float,
    most: int,
    pick: Callable[[Sequence[float]], float],
) -> list[tuple[float, float]]:
    """(start, value) of buckets until a time, neighbours made one so that there are ``most`` at most."""
    number = sum(start_s < until_s for start_s in starts_s)
    stride = max(1, math.ceil(number / most))
    return [(starts_s[index], pick(values[index : min(index + stride, number)])) for index in range(0, number, stride)]


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
