"""The file allocation table: one entry per cluster, which says what comes after it.

::

    entry of cluster n        FAT12      FAT16       FAT32 (28 bits, the upper 4 are left alone)
      free                    000        0000        00000000
      next cluster            002..FF6   0002..FFF6  00000002..0FFFFFF6
      bad, never used         FF7        FFF7        0FFFFFF7
      last of its chain       FF8..FFF   FFF8..FFFF  0FFFFFF8..0FFFFFFF

    entry 0: media byte      entry 1: end mark; FAT16 bit 15, FAT32 bit 27: unmounted cleanly
    FAT12: two entries in three bytes  AB CD EF  ->  DAB, EFC

A chain is handled as *runs*, (first cluster, number of clusters) of neighbours, because a run is one transfer of the
device.

Entries are cached in pages and changed in memory; ``flush`` writes the changed sectors through, the last copy first:
readers trust FAT 1, so it changes only when its copy is already right. When a write fails, the volume drops the cache
(``drop``), and what is on the card counts.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Generator, Iterator, Sequence

from cfcard.blockdev import SECTOR_BYTES
from cfcard.errors import SectorError, VolumeCorrupt, VolumeFull
from cfcard.fat.bpb import Bpb
from cfcard.fat.claims import Claims, Run
from cfcard.fat.sectors import Sectors
from cfcard.fat.tally import Tally

__all__ = ["Run", "Table", "fat_table"]

PAGE_SECTORS = 16
"""FAT sectors read by one call: enough for 8 or 16 MiB of clusters of 4 KiB, little to read for one small file."""

PAGES_PER_STEP = 4
"""Pages counted per step: some 7 ms of a card's time."""


class Table:
    """The FAT of a FAT16 or FAT32 volume.

    Args:
        sectors: the volume.
        bpb: its parameters.
        pages: how many pages of the FAT stay in memory; changed ones stay until they are flushed, whatever this says.
    """

    def __init__(self, sectors: Sectors, bpb: Bpb, pages: int = 64) -> None:
        self.bpb = bpb
        self.top = bpb.clusters + 2
        """One more than the highest cluster number."""
        self.mask = 0x0FFF_FFFF if bpb.kind == 32 else (1 << bpb.kind) - 1
        self.bad = self.mask - 8
        self.end = self.mask - 7
        """End marks are this and above."""
        self.hint = 2
        """Where to look for a free cluster first: after the last one taken, so that freed ones rest a while."""
        self.free_count: int | None = None
        """Number of clusters that are free in the FAT, None while nobody has counted."""
        self.changed = False
        """Whether a cluster was ever taken or freed here."""
        self.claims = Claims()
        self._sectors = sectors
        self._width = 4 if bpb.kind == 32 else 2
        self._code = ("I" if array("I").itemsize == 4 else "L") if bpb.kind == 32 else "H"
        self._per_page = PAGE_SECTORS * SECTOR_BYTES // self._width
        self._limit = max(1, pages)
        self._pages: dict[int, array[int]] = {}
        self._reserved: set[int] = set()
        """Pages that have bits set above the 28 of FAT32: these bits must survive."""
        self._dirty: set[int] = set()
        """FAT sectors that differ from what is on the card."""
        self._copies = tuple(bpb.reserved + copy * bpb.fat_sectors for copy in reversed(range(bpb.fats)))
        """First sector of each copy of the FAT, in the order in which they are written."""
        self._zeros = array(self._code, bytes(self._per_page * self._width))
        self._tally = Tally(self.top, self._per_page)

    # Entries

    def get(self, cluster: int) -> int:
        """The entry of ``cluster``, without reserved bits."""
        number, i = divmod(cluster, self._per_page)
        return self._page(number)[i] & self.mask

    def set(self, cluster: int, value: int) -> None:
        """Changes one entry, in memory."""
        number = cluster // self._per_page
        page = self._pages.get(number) or self._page(number)
        i = cluster - number * self._per_page
        page[i] = page[i] & ~self.mask | value
        self._dirty.add(cluster * self._width // SECTOR_BYTES)

    def _fill(self, cluster: int, values: array[int]) -> None:
        """Changes the entries from ``cluster`` on, in memory."""
        done = 0
        while done < len(values):
            number, i = divmod(cluster + done, self._per_page)
            page = self._page(number)
            piece = values[done : done + self._per_page - i]
            if number in self._reserved:
                for k, value in enumerate(piece):
                    page[i + k] = page[i + k] & ~self.mask | value
            else:
                page[i : i + len(piece)] = piece
            # At once: a page that is not known to be changed may have to give way to the next one.
            first, last = cluster + done, cluster + done + len(piece) - 1
            self._dirty.update(range(first * self._width // SECTOR_BYTES, last * self._width // SECTOR_BYTES + 1))
            done += len(piece)

    # Chains

    def runs(self, start: int, most: int | None = None) -> list[Run]:
        """The chain from ``start`` on, at most ``most`` clusters of it.

        Raises:
            VolumeCorrupt: it leaves the volume, runs into a free or bad cluster, or comes back to itself.
        """
        runs: list[Run] = []
        left = self.bpb.clusters if most is None else most
        firsts: set[int] = set()
        cluster = start
        while left > 0:
            if not 2 <= cluster < self.top:
                raise VolumeCorrupt(f"chain from cluster {start}", f"a cluster from 2 to {self.top - 1}", str(cluster))
            if cluster in firsts:
                raise VolumeCorrupt(f"chain from cluster {start}", "every cluster once", f"cluster {cluster} again")
            firsts.add(cluster)
            count, value = self._run(cluster, left)
            runs.append((cluster, count))
            left -= count
            if value >= self.end:
                return runs
            cluster = value
        if most is None:
            raise VolumeCorrupt(f"chain from cluster {start}", f"at most {self.bpb.clusters} clusters", "more")
        return runs

    def _run(self, cluster: int, most: int) -> tuple[int, int]:
        """(number of neighbours linked from ``cluster`` on, entry of the last of them)."""
        count, mask, per_page = 1, self.mask, self._per_page
        number, i = divmod(cluster, per_page)
        page = self._page(number)
        following = cluster + 1
        while True:
            value = page[i] & mask
            if value != following or count == most or following >= self.top:
                return count, value
            count, following, i = count + 1, following + 1, i + 1
            if i == per_page:
                number, i = number + 1, 0
                page = self._page(number)

    def link(self, runs: Sequence[Run], after: int = 0) -> None:
        """Makes one chain of ``runs``, hung to cluster ``after`` (0: a chain of its own). Nothing is written yet."""
        self.changed = True
        for k, (first, count) in enumerate(runs):
            following = runs[k + 1][0] if k + 1 < len(runs) else self.mask
            if count == 1:
                self.set(first, following)
            else:
                self._fill(first, array(self._code, (*range(first + 1, first + count), following)))
            self._tally.change(first, count, -1)
            if self.free_count is not None:
                self.free_count -= count
        if runs:
            self.hint = runs[-1][0] + runs[-1][1]
            if after:
                self.set(after, runs[0][0])

    def release(self, runs: Sequence[Run]) -> None:
        """Marks the clusters of ``runs`` free. Nothing is written yet."""
        self.changed = True
        for first, count in runs:
            for at in range(first, first + count, self._per_page):
                self._fill(at, self._zeros[: min(self._per_page, first + count - at)])
            self._tally.change(first, count, 1)
            if self.free_count is not None:
                self.free_count += count

    def chain_to_release(self, start: int) -> list[Run]:
        """What of the chain from ``start`` can be freed: all of it, or as far as it makes sense on a damaged volume."""
        if start == 0:
            return []
        try:
            return self.runs(start)
        except VolumeCorrupt:
            return []  # lost clusters are harmless, freeing somebody else's are not

    # Free clusters

    def find_free(self, count: int, *, enough: int | None = None) -> list[Run]:
        """``count`` free clusters in as few runs as a walk onwards from ``hint`` gives; they are not taken yet.

        Args:
            count: how many.
            enough: how many will do, when more would have to be searched for.

        Raises:
            VolumeFull: there are fewer.
        """
        hint = self.hint if 2 <= self.hint < self.top else 2
        if count == 1 and not self.claims.count and self.get(hint) == 0:
            return [(hint, 1)]  # the usual small file: no search
        enough = count if enough is None else enough
        runs: list[Run] = []
        got = 0
        for first, last in ((hint, self.top), (2, hint)):
            for start, found in self._free_runs(first, last, count):
                found = min(found, count - got)
                if runs and sum(runs[-1]) == start:
                    runs[-1] = (runs[-1][0], runs[-1][1] + found)
                else:
                    runs.append((start, found))
                got += found
                if got >= enough:
                    return runs
        if self.claims.reclaim():
            return self.find_free(count, enough=enough)
        self.free_count = got + self.claims.count
        raise VolumeFull(f"volume is full: {enough} clusters wanted, {got} free")

    def _free_runs(self, first: int, last: int, most: int) -> Iterator[Run]:
        """Runs of clusters nobody has from ``first`` to below ``last``, none longer than ``most`` or a page."""
        cluster = first
        while cluster < last:
            number, i = divmod(cluster, self._per_page)
            base = cluster - i
            if self._tally.is_full(number):
                cluster = base + self._per_page
                continue
            page = self._page(number)
            stop = min(self._per_page, last - base)
            try:
                i = page.index(0, i, stop)
            except ValueError:
                cluster = base + stop
                continue
            limit = min(stop, i + most)
            if self.claims.count:
                cluster, following = self.claims.around(base + i)
                if cluster > base + i:
                    continue
                limit = min(limit, following - base)
            j = i + 1
            if limit > j and page[j:limit] == self._zeros[: limit - j]:
                j = limit
            while j < limit and page[j] == 0:
                j += 1
            yield base + i, j - i
            cluster = base + j

    def count_free(self) -> int:
        """Number of clusters that a new file can have; reads the whole FAT when nobody has counted yet."""
        if self.free_count is None:
            for _ in self.count_steps():
                pass
        self.claims.reclaim()
        return (self.free_count or 0) - self.claims.count

    def count_steps(self) -> Generator[None, None, None]:
        """Counts the free clusters of every page, in steps: afterwards nobody searches a page that has none."""
        for done, number in enumerate(self._tally.unknown(), 1):
            self._tally.look(number, self._page(number))
            if done % PAGES_PER_STEP == 0:
                yield
        self.free_count = self._tally.total

    # Pages

    def _page(self, number: int) -> array[int]:
        page = self._pages.get(number)
        if page is None:
            self._make_room()
            page = self._pages[number] = self._load(number)
        return page

    def _make_room(self) -> None:
        if len(self._pages) < self._limit:
            return
        busy = {sector // PAGE_SECTORS for sector in self._dirty}
        for number in self._pages:
            if number not in busy:
                del self._pages[number]
                return

    def _load(self, number: int) -> array[int]:
        first = number * PAGE_SECTORS
        raw = self._read(first, min(PAGE_SECTORS, self.bpb.fat_sectors - first))
        page = array(self._code, bytes(raw))
        if sys.byteorder == "big":
            page.byteswap()
        if self.bpb.kind == 32 and max(page) > self.mask:
            self._reserved.add(number)
        return page

    def _read(self, first: int, count: int) -> bytearray:
        """FAT sectors from the first copy that can be read."""
        for copy in range(self.bpb.fats):
            try:
                return self._sectors.read(self.bpb.reserved + copy * self.bpb.fat_sectors + first, count)
            except SectorError:
                if copy == self.bpb.fats - 1:
                    raise
        raise AssertionError("a volume has a FAT")

    def _encode(self, first: int, count: int) -> bytes:
        """FAT sectors as they belong on the card; they lie in one page."""
        number, i = divmod(first, PAGE_SECTORS)
        per_sector = SECTOR_BYTES // self._width
        piece = self._pages[number][i * per_sector : (i + count) * per_sector]
        if sys.byteorder == "big":
            piece.byteswap()
        return piece.tobytes()

    def flush(self) -> bool:
        """Writes what changed, the last copy of the FAT first. Returns whether there was anything."""
        if not self._dirty:
            return False
        if len(self._dirty) == 1:
            (sector,) = self._dirty
            data = self._encode(sector, 1)
            for start in self._copies:
                self._sectors.write(start + sector, data)
            self._dirty.clear()
            return True
        runs = self._dirty_runs()
        pieces = [(first, self._encode(first, count)) for first, count in runs]
        for start in self._copies:
            for first, data in pieces:
                self._sectors.write(start + first, data)
        self._dirty.clear()
        return True

    def _dirty_runs(self) -> Iterator[Run]:
        """(first FAT sector, count) of neighbours that changed, page by page."""
        first = count = -1
        for sector in sorted(self._dirty):
            if sector == first + count and sector % PAGE_SECTORS:
                count += 1
                continue
            if count > 0:
                yield first, count
            first, count = sector, 1
        if count > 0:
            yield first, count

    def drop(self) -> None:
        """Forgets everything that is in memory: the card's own word counts again."""
        self._tally.forget({sector // PAGE_SECTORS for sector in self._dirty})
        self._pages.clear()
        self._reserved.clear()
        self._dirty.clear()
        self.claims.clear()
        self.free_count = None


class Table12(Table):
    """The FAT of a FAT12 volume, at most 6 KiB: one page, decoded, beside its bytes."""

    def __init__(self, sectors: Sectors, bpb: Bpb, pages: int = 64) -> None:
        super().__init__(sectors, bpb, pages)
        self._per_page = self.top + 1
        self._tally = Tally(self.top, self._per_page)
        self._zeros = array("H", bytes(2 * self._per_page))
        self._raw = bytearray()

    def set(self, cluster: int, value: int) -> None:
        self._fill(cluster, array("H", (value,)))

    def _fill(self, cluster: int, values: array[int]) -> None:
        page = self._page(0)
        page[cluster : cluster + len(values)] = values
        raw = self._raw
        for entry, value in enumerate(values, cluster):
            at = entry * 3 // 2
            if entry & 1:
                raw[at] = raw[at] & 0x0F | value << 4 & 0xF0
                raw[at + 1] = value >> 4
            else:
                raw[at] = value & 0xFF
                raw[at + 1] = raw[at + 1] & 0xF0 | value >> 8
        last = (cluster + len(values) - 1) * 3 // 2 + 1
        self._dirty.update(range(cluster * 3 // 2 // SECTOR_BYTES, last // SECTOR_BYTES + 1))

    def _load(self, number: int) -> array[int]:
        needed = -(-(self.top * 3 // 2 + 2) // SECTOR_BYTES)
        raw = self._raw = self._read(0, min(needed, self.bpb.fat_sectors))
        page = array("H", bytes(2 * self._per_page))
        for entry in range(self.top):
            at = entry * 3 // 2
            pair = raw[at] | raw[at + 1] << 8
            page[entry] = pair >> 4 if entry & 1 else pair & 0xFFF
        page[self.top] = self.bad  # a fence
        return page

    def _encode(self, first: int, count: int) -> bytes:
        return bytes(self._raw[first * SECTOR_BYTES : (first + count) * SECTOR_BYTES])


def fat_table(sectors: Sectors, bpb: Bpb, pages: int = 64) -> Table:
    """The table that fits the volume."""
    return (Table12 if bpb.kind == 12 else Table)(sectors, bpb, pages)
