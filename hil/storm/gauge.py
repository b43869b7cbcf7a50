"""Figures over time, kept in tenths of a second and told in at most six hundred points."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hil.timeline.load import BUCKET_NS

MOST_POINTS = 600
"""A page is not wider."""


def bucket_from_span(span_ns: int) -> int:
    """Length in ns of the buckets into which so much time is told: whole tenths of a second."""
    return BUCKET_NS * max(1, math.ceil(span_ns / (MOST_POINTS * BUCKET_NS)))


def bucket_starts_s(span_ns: int, bucket_ns: int) -> tuple[float, ...]:
    """When the buckets begin, in seconds."""
    return tuple(round(index * bucket_ns / 1e9, 3) for index in range(max(1, math.ceil(span_ns / bucket_ns))))


class Gauge:
    """A length that changes from time to time; what is told is the longest within each bucket."""

    def __init__(self) -> None:
        self._peaks: list[int] = []  # by tenths of a second
        self.value = 0
        """What it is now."""

    def set(self, time_ns: int, value: int) -> None:
        """From then on it is ``value``. A time that lies a little back is taken as the newest."""
        if value == self.value:
            return
        peaks = self._peaks
        bucket = time_ns // BUCKET_NS
        if bucket >= len(peaks):
            peaks.extend([self.value] * (bucket + 1 - len(peaks)))
        if value > peaks[-1]:
            peaks[-1] = value
        self.value = value

    def points(self, span_ns: int, bucket_ns: int) -> tuple[float, ...]:
        """One per bucket."""
        width = bucket_ns // BUCKET_NS
        number = len(bucket_starts_s(span_ns, bucket_ns))
        peaks = self._peaks + [self.value] * (number * width - len(self._peaks))
        return tuple(max(peaks[index * width : (index + 1) * width]) for index in range(number))


class Levels:
    """Fractions by kind that hold until they are told anew, as ``LoadCounter`` tells them; averaged per bucket."""

    def __init__(self) -> None:
        self._changes: list[tuple[int, dict[str, float]]] = []

    def tell(self, _name: str, time_ns: int, values: dict[str, float]) -> None:
        """Takes a counter's values, in percent."""
        self._changes.append((time_ns, values))

    def points(self, span_ns: int, bucket_ns: int) -> dict[str, tuple[float, ...]]:
        """Fractions 0 to 1, one per bucket, by kind."""
        number = len(bucket_starts_s(span_ns, bucket_ns))
        spent: dict[str, list[float]] = {}
        ends = [time_ns for time_ns, _ in self._changes[1:]] + [span_ns] * bool(self._changes)
        for (begin_ns, values), end_ns in zip(self._changes, ends, strict=True):
            for kind, percent in values.items():
                if percent:
                    _spread(spent.setdefault(kind, [0.0] * number), begin_ns, end_ns, percent / 100, bucket_ns)
        return {
            kind: tuple(round(min(1.0, value / bucket_ns), 4) for value in spent[kind])
            for kind in sorted(spent, key=lambda kind: (-sum(spent[kind]), kind))
        }


def _spread(buckets: list[float], begin_ns: int, end_ns: int, level: float, bucket_ns: int) -> None:
    """Adds a level that held from begin to end to the buckets that it lies in."""
    index = begin_ns // bucket_ns
    while index < len(buckets) and begin_ns < end_ns:
        until_ns = min(end_ns, (index + 1) * bucket_ns)
        buckets[index] += level * (until_ns - begin_ns)
        begin_ns, index = until_ns, index + 1


def steps_from(changes: Sequence[tuple[int, int]], most: int) -> tuple[tuple[float, int], ...]:
    """(seconds, number from then on) of a number that goes up and down by one; ``most`` points, evenly chosen."""
    number, steps = 0, [(0.0, 0)]
    for time_ns, change in sorted(changes, key=lambda entry: entry[0]):
        number += change
        steps.append((round(time_ns / 1e9, 6), number))
    stride = math.ceil(len(steps) / most)
    return tuple(step for index, step in enumerate(steps) if index % stride == 0 or index == len(steps) - 1)
