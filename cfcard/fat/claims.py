"""Free clusters that open files have put by: nobody else gets them, and on the card they are still free.

A file that is written piece by piece takes clusters in stretches, ahead of what it needs: its data lies together, and
most pieces cost no search. The FAT hears of them when the file is flushed, not before: a cut meanwhile leaves no trace.
When the volume runs full, what was taken ahead goes back first.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Protocol

__all__ = ["Claims", "Holder", "Run"]

Run = tuple[int, int]
"""(first cluster, number of clusters)."""

NOWHERE = 1 << 32
"""Behind the last cluster of any volume."""


class Holder(Protocol):
    """Who has clusters put by."""

    def claimed(self) -> list[Run]:
        """Which."""

    def give_back(self) -> None:
        """Gives up what it does not need yet, by ``Claims.put``."""


class Claims:
    """All clusters of a volume that are put by."""

    def __init__(self) -> None:
        self.count = 0
        """Their number."""
        self._counts: dict[Holder, int] = {}
        self._sorted: list[Run] | None = None
        """All claims in order; None while nobody has asked for them since they changed."""

    def put(self, holder: Holder, count: int) -> None:
        """``holder`` has ``count`` clusters from now on."""
        self.count += count - self._counts.pop(holder, 0)
        if count:
            self._counts[holder] = count
        self._sorted = None

    def around(self, cluster: int) -> tuple[int, int]:
        """(``cluster``, or the end of the claim that it is in; the first cluster of the next claim)."""
        claims = self._sorted
        if claims is None:
            claims = self._sorted = sorted([run for holder in self._counts for run in holder.claimed()])
        index = bisect_right(claims, (cluster, NOWHERE))
        following = claims[index][0] if index < len(claims) else NOWHERE
        end = sum(claims[index - 1]) if index else 0
        return max(cluster, end), following

    def reclaim(self) -> bool:
        """Has everybody give back what is not needed yet; whether that brought anything."""
        before = self.count
        for holder in tuple(self._counts):
            holder.give_back()
        return self.count < before

    def clear(self) -> None:
        """Forgets all claims; their holders must not use them any more."""
        self._counts.clear()
        self._sorted = None
        self.count = 0
