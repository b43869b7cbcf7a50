"""The clusters of an open file: where its sectors lie, and getting more of them.

::

    cluster of the file    0                        linked             used              taken
                           |  in the FAT (memory)     |  put by, data    |  put by, ahead  |
                           `--- settle() links up to here ---------------'                 |
                                                         give_back() frees from here on ---'
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from cfcard.blockdev import SECTOR_BYTES
from cfcard.fat.claims import Run
from cfcard.fat.table import Table

__all__ = ["Chain"]

MOST_AHEAD = 256
"""Clusters taken ahead at a time, at most: 1 MiB of clusters of 4 KiB."""


class Chain:
    """``runs`` of ``table`` as one row of sectors that can grow."""

    def __init__(self, table: Table, runs: list[Run]) -> None:
        self._table = table
        self._per = table.bpb.sectors_per_cluster
        self._runs: list[Run] = []
        self._starts: list[int] = []
        """Index within the file of each run's first cluster."""
        self._taken = 0
        self._low = self._high = self._shift = 0
        """The run used last: sectors of the file, and how far away they lie on the volume."""
        if runs:
            self._append(runs)
        self.used = self._linked = self._taken

    @property
    def first(self) -> int:
        """First cluster, 0 for none."""
        return self._runs[0][0] if self._runs else 0

    # Places

    def place(self, sector: int) -> tuple[int, int]:
        """(sector of the volume where ``sector`` of the file lies, how many lie there in a row)."""
        if not self._low <= sector < self._high:
            index = bisect_right(self._starts, sector // self._per) - 1
            cluster, count = self._runs[index]
            self._low = self._starts[index] * self._per
            self._high = self._low + count * self._per
            self._shift = self._table.bpb.sector_from_cluster(cluster) - self._low
        return sector + self._shift, self._high - sector

    def spans(self, first: int, count: int) -> Iterator[tuple[int, int, int]]:
        """(sector of the volume, offset in bytes from ``first``, bytes) of what one transfer can move."""
        at = 0
        while at < count:
            lba, row = self.place(first + at)
            step = min(row, count - at)
            yield lba, at * SECTOR_BYTES, step * SECTOR_BYTES
            at += step

    # Growing

    def require(self, clusters: int) -> None:
        """Sees to it that there are so many clusters.

        Raises:
            VolumeFull: there are not.
        """
        while self._taken < clusters:  # searching may make this very chain give back
            missing = clusters - self._taken
            self._append(self._table.find_free(missing + min(self._taken, MOST_AHEAD), enough=missing))
            self._put_by()
        if clusters > self.used:
            self.used = clusters

    def give_back(self) -> None:
        """Gives up what was taken ahead."""
        if self._taken == self.used:
            return
        index = bisect_left(self._starts, self.used)
        del self._runs[index:], self._starts[index:]
        self._taken = self.used
        if self._runs:
            start = self._starts[-1]
            self._runs[-1] = (self._runs[-1][0], self.used - start)
        self._low = self._high = 0
        self._put_by()

    def settle(self) -> None:
        """Links what is used and gives up the rest, in memory; nothing is put by afterwards."""
        if self._linked == self._taken:
            return
        self.give_back()
        after = self._cluster(self._linked - 1) if self._linked else 0
        self._table.link(self._from(self._linked), after)
        self._linked = self.used  # which is all that is left
        self._put_by()

    def _append(self, runs: list[Run]) -> None:
        for first, count in runs:
            if self._runs and sum(self._runs[-1]) == first:
                self._runs[-1] = (self._runs[-1][0], self._runs[-1][1] + count)
            else:
                self._runs.append((first, count))
                self._starts.append(self._taken)
            self._taken += count

    def claimed(self) -> list[Run]:
        """What is put by: taken, and not in the FAT yet."""
        return self._from(self._linked)

    def _put_by(self) -> None:
        self._table.claims.put(self, self._taken - self._linked)

    def _from(self, number: int) -> list[Run]:
        """The runs from cluster ``number`` of the file on."""
        if number >= self._taken:
            return []
        if number == 0:
            return self._runs.copy()
        index = bisect_right(self._starts, number) - 1
        first, count = self._runs[index]
        skip = number - self._starts[index]
        return [(first + skip, count - skip), *self._runs[index + 1 :]]

    def _cluster(self, number: int) -> int:
        """Cluster ``number`` of the file."""
        index = bisect_right(self._starts, number) - 1
        return self._runs[index][0] + number - self._starts[index]
