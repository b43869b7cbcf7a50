"""Looks for damage on a volume, changes nothing: what ``fsck.fat -n`` looks for, and one line for each thing found.

::

    boot sector   its figures; the backup (FAT32); dirty flag
    FATs          the copies are the same; every entry is free, a cluster number, bad, or an end mark
    tree          from the root: every chain long enough for its size and no longer, nothing used twice, names that make
                  sense and differ, "." and ".." where they belong
    the rest      clusters in use that nothing names (lost); FSInfo's count (FAT32)
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Generator
from dataclasses import dataclass

from cfcard.blockdev import SECTOR_BYTES, BlockDevice
from cfcard.errors import SectorError, VolumeCorrupt
from cfcard.fat.bpb import Bpb
from cfcard.fat.copies import MAX_FAT_SECTORS, READ_SECTORS, ROW, STRETCH
from cfcard.fat.directory import MAX_SLOTS
from cfcard.fat.entry import DELETED, DIRECTORY, LABEL, SLOT_BYTES, LongName
from cfcard.fat.fsinfo import UNKNOWN, fsinfo_from_sector
from cfcard.fat.names import LFN_ATTRIBUTE, fold, is_short, text_from_short, wrong_in_long
from cfcard.fat.partition import find_volume
from cfcard.fat.sectors import Sectors, used_bytes
from cfcard.fat.steps import run_steps

__all__ = ["CheckReport", "check", "check_steps"]

MAX_PROBLEMS = 100
"""A volume of noise has thousands; the first ones tell the story."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found."""

    problems: tuple[str, ...] = ()
    """One line each: where, what was expected, what was found."""
    files: int = 0
    directories: int = 0
    """Without the root."""
    clusters: int = 0
    free_clusters: int = 0

    @property
    def clean(self) -> bool:
        return not self.problems


class _TooMany(Exception):
    """Enough has been found."""


def check(device: BlockDevice, /) -> CheckReport:
    """Checks the first FAT volume on ``device``.

    Raises:
        OSError: the device failed; damage is in the report.
    """
    return run_steps(check_steps(device))


def check_steps(device: BlockDevice, /) -> Generator[None, None, CheckReport]:
    """The same in steps of one transfer each, for whoever has other things to do meanwhile."""
    try:
        sectors, bpb = find_volume(device)
    except VolumeCorrupt as error:
        return CheckReport(problems=(str(error),))
    run = _Run(sectors, bpb)
    try:
        run.boot()
        yield
        if run.is_short_enough():
            yield from run.fats()
            yield from run.tree()
            run.rest()
    except _TooMany:
        run.problems.append("more problems than these: not looked at any further")
    return CheckReport(tuple(run.problems), run.files, run.directories, bpb.clusters, run.free)


@dataclass(frozen=True, slots=True)
class _Todo:
    """A directory still to be looked at."""

    path: str
    places: list[range]
    """Sectors of each part of it."""
    start: int
    parent: int


class _Run:
    """One check."""

    def __init__(self, sectors: Sectors, bpb: Bpb) -> None:
        self.problems: list[str] = []
        self.files = self.directories = self.free = 0
        self._sectors = sectors
        self._bpb = bpb
        self._mask = 0x0FFF_FFFF if bpb.kind == 32 else (1 << bpb.kind) - 1
        self._bad = self._mask - 8
        self._top = bpb.clusters + 2
        self._fat: array[int] = array("I")
        self._end = 0
        """From here on all clusters are free."""
        self._owners: array[int] = array("I", bytes(array("I").itemsize * self._top))
        self._paths = [""]
        """What owns clusters, by number; 0 is nobody."""
        self._todo: list[_Todo] = []

    def note(self, where: str, expected: object, found: object) -> None:
        self.problems.append(f"{where}: expected {expected}, found {found}")
        if len(self.problems) >= MAX_PROBLEMS:
            raise _TooMany

    # Boot sector and FATs

    def is_short_enough(self) -> bool:
        """Whether the FATs can be looked at: see ``MAX_FAT_SECTORS``."""
        if self._bpb.fat_sectors <= MAX_FAT_SECTORS:
            return True
        found = f"{self._bpb.fat_sectors}: neither checked nor mended"
        self.note("FAT", f"at most {MAX_FAT_SECTORS} sectors", found)
        return False

    def boot(self) -> None:
        if self._bpb.dirty:
            self.note("boot sector", "a volume taken out cleanly", "the dirty flag")
        if self._bpb.backup:
            boot, backup = self._sectors.read(0), self._sectors.read(self._bpb.backup)
            boot[self._bpb.flags_offset] = backup[self._bpb.flags_offset] = 0  # PCs mark the first one only
            if boot != backup:
                at = next(i for i in range(SECTOR_BYTES) if boot[i] != backup[i])
                self.note(f"backup boot sector, byte {at}", f"{boot[at]:02X}", f"{backup[at]:02X}")

    def fats(self) -> Generator[None, None, None]:
        bpb = self._bpb
        used = -(-self._top * bpb.kind // (8 * SECTOR_BYTES))
        raw = bytearray(used * SECTOR_BYTES)
        view = memoryview(raw)
        for first in range(0, used, READ_SECTORS):
            self._read_fat(0, first, view[first * SECTOR_BYTES : (first + READ_SECTORS) * SECTOR_BYTES])
            yield
        different: list[int] = []
        for first in range(0, used if bpb.fats == 2 else 0, READ_SECTORS):
            mine = raw[first * SECTOR_BYTES : (first + READ_SECTORS) * SECTOR_BYTES]
            other = bytearray(len(mine))
            self._read_fat(1, first, memoryview(other))
            if mine != other:
                steps = range(0, len(other), SECTOR_BYTES)
                different += [
                    first + i // SECTOR_BYTES
                    for i in steps
                    if mine[i : i + SECTOR_BYTES] != other[i : i + SECTOR_BYTES]
                ]
            yield
        if different:
            self.note("FAT copies", "the same", f"{len(different)} sectors different, the first is {different[0]}")
        self._fat, self._end = _entries(raw, bpb.kind, self._top)
        if self._fat[0] & 0xFF != bpb.media:
            self.note("FAT entry 0", f"media byte {bpb.media:02X}", f"{self._fat[0]:X}")
        clean = {12: 0, 16: 0x8000, 32: 0x0800_0000}[bpb.kind]
        if self._fat[1] & clean != clean:
            self.note("FAT entry 1", "a volume taken out cleanly", "the dirty flag")

    def _read_fat(self, copy: int, first: int, into: memoryview) -> None:
        try:
            self._sectors.read_into(self._bpb.reserved + copy * self._bpb.fat_sectors + first, into)
        except SectorError as error:
            self.note(f"FAT {copy + 1}", "readable sectors", str(error))

    # The tree

    def tree(self) -> Generator[None, None, None]:
        bpb = self._bpb
        if bpb.kind == 32:
            places = self._places("/", self._chain("/", bpb.root_cluster))
        else:
            places = [range(bpb.root_start, bpb.root_start + bpb.root_sectors)]
        self._todo.append(_Todo("/", places, 0, 0))
        while self._todo:
            todo = self._todo.pop()
            data = bytearray()
            for place in todo.places:
                for first in place[::READ_SECTORS]:
                    data += self._read(todo.path, first, min(READ_SECTORS, place.stop - first))
                    yield
            self._directory(todo, bytes(data))

    def _directory(self, todo: _Todo, data: bytes) -> None:
        long = LongName()
        open_long = -1  # slot of a long name that still waits for its 8.3 entry
        names: dict[str, str] = {}
        if todo.start and (data[0:11] != b".          " or data[32:43] != b"..         "):
            self.note(f"{todo.path}, first entries", '"." and ".."', ascii(bytes(data[0:11])))
        for slot in range(min(len(data) // SLOT_BYTES, MAX_SLOTS)):
            raw = data[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES]
            if raw[0] == 0:
                break
            if raw[0] != DELETED and raw[11] & 0x3F == LFN_ATTRIBUTE:
                if open_long < 0:
                    open_long = slot
                long.add(slot, bytearray(raw))
                continue
            if raw[0] != DELETED and not raw[11] & LABEL:
                self._entry(todo, slot, raw, long, names)
                name = long.name_for(raw[0:11])
                if name is not None and long.first == open_long:
                    open_long = -1
            if open_long >= 0:
                self.note(f"{todo.path}, entry {open_long}", "a long name with its file", "one without")
            long.clear()
            open_long = -1
        if open_long >= 0:
            self.note(f"{todo.path}, entry {open_long}", "a long name with its file", "one without")

    def _entry(self, todo: _Todo, slot: int, raw: bytes, long: LongName, names: dict[str, str]) -> None:
        cluster = raw[26] | raw[27] << 8
        if self._bpb.kind == 32:
            cluster |= raw[20] << 16 | raw[21] << 24
        size = int.from_bytes(raw[28:32], "little")
        if raw[0] == 0x2E and slot < 2 and todo.start:
            want = todo.start if slot == 0 else todo.parent
            if cluster != want:
                self.note(f"{todo.path}, {'.' * (slot + 1)}", f"cluster {want}", cluster)
            return
        name = long.name_for(raw[0:11])
        shown = name or text_from_short(bytes(raw[0:11]), raw[12])
        path = f"{todo.path.rstrip('/')}/{shown}"
        wrong = wrong_in_long(name or "")
        if wrong:
            # Reported only: the file is whole, and what the character was nobody can tell.
            self.note(f"{_printable(path)}, entry {slot}", "a long name", f"one with {wrong!a}")
        self._names(path, slot, raw, shown, names)
        if raw[11] & DIRECTORY:
            self._subdirectory(path, cluster, size, todo)
        else:
            self._file(path, cluster, size)

    def _names(self, path: str, slot: int, raw: bytes, shown: str, names: dict[str, str]) -> None:
        short = raw[0:11]
        if not is_short(short):
            self.note(f"{_printable(path)}, entry {slot}", "a short name", ascii(short))
        for key in {fold(shown), fold(text_from_short(short))}:
            if key in names:
                self.note(_printable(path), "names that differ", f"{_printable(names[key])} in the same directory")
            names[key] = shown

    def _subdirectory(self, path: str, cluster: int, size: int, todo: _Todo) -> None:
        self.directories += 1
        if size:
            self.note(_printable(path), "a directory without a size", f"{size} bytes")
        if not 2 <= cluster < self._top:
            self.note(_printable(path), f"a first cluster from 2 to {self._top - 1}", cluster)
            return
        before = self._owners[cluster]
        chain = self._chain(path, cluster)
        if not before:
            self._todo.append(_Todo(path, self._places(path, chain), cluster, todo.start))

    def _file(self, path: str, cluster: int, size: int) -> None:
        self.files += 1
        needed = -(-size // self._bpb.cluster_bytes)
        if cluster == 0:
            if needed:
                self.note(_printable(path), f"{needed} clusters for {size} bytes", "none")
            return
        if not 2 <= cluster < self._top:
            self.note(_printable(path), f"a first cluster from 2 to {self._top - 1}", cluster)
            return
        found = len(self._chain(path, cluster))
        if found != needed:
            self.note(_printable(path), f"{needed} clusters for {size} bytes", found)

    def _chain(self, path: str, start: int) -> array[int]:
        """Clusters of the chain, as far as it is good; they belong to ``path`` from now on."""
        fat, owners, top, mask = self._fat, self._owners, self._top, self._mask
        me = len(self._paths)
        self._paths.append(path)
        chain = array("I")
        cluster, row_at = start, 0
        while True:
            if len(chain) >= row_at and cluster + ROW < top and fat[cluster + ROW - 1] == cluster + ROW:
                if self._is_row(cluster):
                    owners[cluster : cluster + ROW] = array("I", (me,)) * ROW
                    chain.extend(range(cluster, cluster + ROW))
                    cluster += ROW
                    continue
                row_at = len(chain) + ROW  # not in vain for each of them
            if owners[cluster]:
                other = self._paths[owners[cluster]]
                found = "a chain that comes back to itself" if owners[cluster] == me else f"also in {_printable(other)}"
                self.note(f"{_printable(path)}, cluster {cluster}", "a cluster of its own", found)
                return chain
            value = fat[cluster]
            if value == 0 or value == self._bad:
                kind = "a free cluster" if value == 0 else "a bad cluster"
                self.note(f"{_printable(path)}, cluster {cluster}", "a cluster in use", kind)
                return chain
            owners[cluster] = me
            chain.append(cluster)
            if value > self._bad:
                return chain
            if not 2 <= value < top:
                self.note(f"FAT entry {cluster}", f"a cluster from 2 to {top - 1}, or an end mark", f"{value & mask:X}")
                return chain
            cluster = value

    def _is_row(self, cluster: int) -> bool:
        """Whether the ``ROW`` clusters from ``cluster`` on are nobody's and linked each to its neighbour."""
        stop = cluster + ROW
        if self._owners[cluster:stop].count(0) < ROW:
            return False
        return self._fat[cluster:stop].tolist() == list(range(cluster + 1, stop + 1))

    def _places(self, path: str, chain: array[int]) -> list[range]:
        """Where a directory's sectors are, cluster by cluster."""
        if len(chain) * self._bpb.cluster_bytes > MAX_SLOTS * SLOT_BYTES:
            self.note(
                _printable(path), f"at most {MAX_SLOTS} entries", len(chain) * self._bpb.cluster_bytes // SLOT_BYTES
            )
            chain = chain[: MAX_SLOTS * SLOT_BYTES // self._bpb.cluster_bytes]
        per = self._bpb.sectors_per_cluster
        firsts = map(self._bpb.sector_from_cluster, chain)
        return [range(first, first + per) for first in firsts]

    def _read(self, path: str, lba: int, count: int) -> bytearray:
        try:
            return self._sectors.read(lba, count)
        except SectorError as error:
            self.note(_printable(path), "readable sectors", str(error))
            return bytearray(count * SECTOR_BYTES)

    # The rest

    def rest(self) -> None:
        self.free = self._bpb.clusters
        lost = array("I")
        for first in range(2, self._end, STRETCH):
            stop = min(first + STRETCH, self._end)
            values, owners = self._fat[first:stop], self._owners[first:stop]
            self.free -= len(values) - values.count(0)
            if 0 in owners:
                mine = zip(values, owners, strict=True)
                lost.extend(
                    [c for c, (value, owner) in enumerate(mine, first) if not owner and value not in (0, self._bad)]
                )
        if lost:
            self.note("FAT", "every cluster in use named by a file", f"{len(lost)} lost, the first is {lost[0]}")
        if self._bpb.fsinfo:
            said = fsinfo_from_sector(self._sectors.read(self._bpb.fsinfo))
            if said is None:
                self.note("FSInfo", "its signatures", "others")
            elif said[0] not in (self.free, UNKNOWN):
                self.note("FSInfo, free clusters", self.free, said[0])


def _entries(raw: bytearray, kind: int, top: int) -> tuple[array[int], int]:
    """All entries of a FAT, reserved bits removed; and from which one on all are free."""
    code = "I" if array("I").itemsize == 4 else "L"
    # Most of a card is free: only what comes before that takes time.
    count = min(top, used_bytes(raw) * 8 // kind + 1)
    entries = array("H" if kind < 32 else code)
    if kind == 12:
        pairs = (raw[e * 3 // 2] | raw[e * 3 // 2 + 1] << 8 for e in range(count))
        entries.extend([pair >> 4 if e & 1 else pair & 0xFFF for e, pair in enumerate(pairs)])
    else:
        entries.frombytes(memoryview(raw)[: count * kind // 8])
        if sys.byteorder == "big":
            entries.byteswap()
        for first in range(0, count if kind == 32 else 0, STRETCH):
            values = entries[first : first + STRETCH]
            if max(values) > 0x0FFF_FFFF:
                entries[first : first + STRETCH] = array(code, [value & 0x0FFF_FFFF for value in values])
    entries.frombytes(bytes((top - count) * entries.itemsize))
    return entries, count


def _printable(path: str) -> str:
    """Names from a damaged directory may hold anything; a line of the report holds none of it."""
    return path if path.isprintable() else ascii(path)[1:-1]
