"""A directory: 32-byte slots, one or more per name.

::

    slot   0        1         2              3          4              5     6 ...
           .        ..        long name...   8.3 name   deleted (E5)   00    (anything)
                              `---- one name ----'                     end mark

What a reader sees changes with the write of a single sector: all slots of one name are kept within a sector, skipping
the rest of the last one where they would not fit, and where more than one sector must change, the later one is written
first (it lies behind the end mark until the earlier one lets the reader on).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from cfcard.blockdev import SECTOR_BYTES
from cfcard.errors import VolumeCorrupt, VolumeFull
from cfcard.fat.bpb import Bpb
from cfcard.fat.entry import (
    DELETED,
    LABEL,
    SLOT_BYTES,
    Entry,
    LongName,
    entry_from_slot,
    put_content,
    slot_bytes,
)
from cfcard.fat.names import LFN_ATTRIBUTE, alias, fold, long_slots, short_from_name
from cfcard.fat.sectors import Sectors
from cfcard.fat.stamp import Stamp
from cfcard.fat.table import Table

__all__ = ["MAX_SLOTS", "Directory", "Place"]

SLOTS_PER_SECTOR = SECTOR_BYTES // SLOT_BYTES
SLOTS_PER_HALF = SLOTS_PER_SECTOR // 2
"""Cards that lose power in a write often leave half a sector."""
MAX_SLOTS = 65_536
"""A directory may be 2 MiB long (FAT specification); a longer one is damage, and reading it would never end."""


class Place(NamedTuple):
    """Slots that a new entry can have."""

    name: str
    short: bytes
    slots: bytes
    """The long name's, empty for none."""
    first: int


class Directory:
    """The slots of one directory, in memory and on the card.

    Args:
        start: its first cluster; 0 for the root of FAT12/16, which has a place of its own.

    Raises:
        VolumeCorrupt: its chain is broken or too long.
    """

    def __init__(self, sectors: Sectors, bpb: Bpb, table: Table, start: int) -> None:
        self.start = start
        self.label = ""
        self._sectors = sectors
        self._bpb = bpb
        self._table = table
        self._clusters: list[int] = []
        self._data = bytearray()
        self._names: dict[str, Entry] = {}
        self._shorts: dict[bytes, Entry] = {}
        self._tails: dict[str, int] = {}
        """How far the numbers after the tilde have got, per beginning of the name."""
        self._end = 0
        """Slot of the end mark."""
        self._deleted = 0
        """Deleted slots before it."""
        self._searched: dict[int, int] = {}
        """Before which slot there is no hole, per number of slots; erasing makes holes anywhere."""
        self._touched: set[int] = set()
        """Sectors (counted within the directory) that differ from what is on the card."""
        self._load()
        for entry in self._parse():
            self._names.setdefault(fold(entry.name), entry)
            self._shorts.setdefault(entry.short, entry)

    # Looking

    def find(self, name: str) -> Entry | None:
        """The entry called ``name``, by its long or its short name."""
        key = fold(name)
        entry = self._names.get(key)
        if entry is None:
            short = short_from_name(key)
            if short is not None:
                return self._shorts.get(short)
        return entry

    def entries(self) -> list[Entry]:
        """All entries but ``.`` and ``..``, in the order in which they lie there."""
        return sorted(self._names.values(), key=lambda entry: entry.slot)

    @staticmethod
    def change_together(one: Entry, other: Entry) -> bool:
        """Whether one write changes both entries or none, even when it is torn in the middle of the sector."""
        return len({slot // SLOTS_PER_HALF for slot in (one.first, one.slot, other.first, other.slot)}) == 1

    @property
    def is_empty(self) -> bool:
        return not self._names

    def _load(self) -> None:
        if self.start == 0:
            self._data = self._sectors.read(self._bpb.root_start, self._bpb.root_sectors)
            return
        most = MAX_SLOTS * SLOT_BYTES // self._bpb.cluster_bytes + 1
        runs = self._table.runs(self.start, min(most + 1, self._bpb.clusters + 1))
        count = sum(length for _, length in runs)
        if count > most or count > self._bpb.clusters:
            raise VolumeCorrupt(f"directory at cluster {self.start}", f"at most {MAX_SLOTS} entries", "more")
        self._data = bytearray(count * self._bpb.cluster_bytes)
        view = memoryview(self._data)
        at = 0
        for first, length in runs:
            size = length * self._bpb.cluster_bytes
            self._sectors.read_into(self._bpb.sector_from_cluster(first), view[at : at + size])
            self._clusters.extend(range(first, first + length))
            at += size

    def _parse(self) -> Iterator[Entry]:
        data = self._data
        firsts = bytes(data[0::SLOT_BYTES])
        self._end = firsts.find(0)
        if self._end < 0:
            self._end = len(firsts)
        self._deleted = firsts.count(DELETED, 0, self._end)
        gathered = LongName()
        for slot in range(self._end):
            at = slot * SLOT_BYTES
            attributes = data[at + 11]
            if firsts[slot] == DELETED:
                gathered.clear()
            elif attributes & 0x3F == LFN_ATTRIBUTE:
                gathered.add(slot, data[at : at + SLOT_BYTES])
            else:
                if attributes & LABEL:
                    if not self.label:
                        self.label = bytes(data[at : at + 11]).decode("cp437").rstrip()
                elif firsts[slot] != 0x2E:  # "." and ".."
                    yield entry_from_slot(data[at : at + SLOT_BYTES], slot, gathered, wide=self._bpb.kind == 32)
                gathered.clear()

    # Changing: in memory first, then ``commit`` writes the sectors concerned

    def place_for(self, name: str) -> Place:
        """Where an entry of a name can go that is valid and not there yet; the directory grows for it where it must.

        Raises:
            VolumeFull: no slot is left, and the directory cannot grow.
        """
        short = short_from_name(name)
        if short is not None and short not in self._shorts:
            return Place(name, short, b"", self._reserve(1))
        short = self._alias(name)
        slots = long_slots(name, short)
        return Place(name, short, slots, self._reserve(len(slots) // SLOT_BYTES + 1))

    def insert(self, place: Place, attributes: int, cluster: int, size: int, stamp: Stamp) -> Entry:
        """Makes an entry at ``place``; nothing has changed here since that was found."""
        first, count = place.first, len(place.slots) // SLOT_BYTES + 1
        self._claim(first, count)
        entry = Entry(place.name, place.short, attributes, cluster, size, stamp, first, first + count - 1)
        self._data[first * SLOT_BYTES : (first + count) * SLOT_BYTES] = place.slots + slot_bytes(entry)
        self._touch(first, entry.slot)
        self._remember(entry)
        return entry

    def update(self, entry: Entry, cluster: int, size: int, stamp: Stamp) -> None:
        """Makes ``entry`` stand for other content: one sector changes."""
        entry.cluster, entry.size, entry.stamp = cluster, size, stamp
        at = entry.slot * SLOT_BYTES
        self._data[at + 11] = entry.attributes
        put_content(self._data, at, entry)
        self._touched.add(entry.slot // SLOTS_PER_SECTOR)

    def erase(self, entry: Entry) -> None:
        """Takes ``entry`` away; its clusters are the caller's."""
        self._delete(entry)
        self._forget(entry)

    def rename(self, entry: Entry, name: str) -> Entry:
        """Gives ``entry`` another name in this directory, on the card: by one write where nothing can tear it.

        Raises:
            VolumeFull: as ``place_for``; nothing has changed then.
        """
        self._forget(entry)  # its own short name may be used again
        try:
            made = self.insert(self.place_for(name), entry.attributes, entry.cluster, entry.size, entry.stamp)
        except VolumeFull:
            self._remember(entry)
            raise
        if not self.change_together(entry, made):
            self.commit()
            self._sectors.sync()
        self._delete(entry)
        self.commit()
        return made

    def set_parent(self, cluster: int) -> None:
        """Makes ``..`` of this directory point to another one (0 for the root)."""
        if self._data[32:43] == b"..         ":
            struct.pack_into("<H", self._data, 32 + 20, cluster >> 16)
            struct.pack_into("<H", self._data, 32 + 26, cluster & 0xFFFF)
            self._touch(1, 1)

    def commit(self) -> None:
        """Writes the sectors that changed, the last one first."""
        touched = self._touched
        for sector in sorted(touched, reverse=True) if len(touched) > 1 else touched:
            at = sector * SECTOR_BYTES
            self._sectors.write(self._lba(sector), self._data[at : at + SECTOR_BYTES])
        touched.clear()

    # Slots

    def _reserve(self, count: int) -> int:
        """First of ``count`` slots that a name can have."""
        at = self._end
        if count <= SLOTS_PER_SECTOR:  # more slots than a sector has are only safe behind the end mark
            hole = self._hole(count)
            if hole is not None:
                return hole
            if not _one_sector(at, count):
                at = -(-at // SLOTS_PER_SECTOR) * SLOTS_PER_SECTOR
        while at + count > len(self._data) // SLOT_BYTES:
            self._grow()
        return at

    def _hole(self, count: int) -> int | None:
        """First of ``count`` deleted slots of one sector, None when there are none."""
        start = self._searched.get(count, 0)
        if self._deleted < count or start + count > self._end:
            return None
        marks = self._data[start * SLOT_BYTES : self._end * SLOT_BYTES : SLOT_BYTES]
        wanted = bytes((DELETED,)) * count
        at = marks.find(wanted)
        while at >= 0 and not _one_sector(start + at, count):
            at = marks.find(wanted, at + 1)
        self._searched[count] = start + at if at >= 0 else max(start, self._end - count + 1)
        return start + at if at >= 0 else None

    def _claim(self, first: int, count: int) -> None:
        """Moves the end mark behind the slots, when they lie behind it now."""
        if first < self._end:
            self._deleted -= count
            return
        if first > self._end:
            for slot in range(self._end, first):
                self._data[slot * SLOT_BYTES] = DELETED
            self._deleted += first - self._end
            self._touch(self._end, first - 1)
        self._end = first + count
        # What lies behind an end mark may be anything; the next slot becomes the mark.
        at = self._end * SLOT_BYTES
        if at < len(self._data) and self._data[at] != 0:
            self._data[at] = 0
            self._touch(self._end, self._end)

    def _grow(self) -> None:
        """One more cluster: zeroed first, hung to the chain afterwards."""
        slots = len(self._data) // SLOT_BYTES
        if self.start == 0:
            raise VolumeFull(f"root directory is full: {slots} entries")
        if slots >= MAX_SLOTS:
            raise VolumeFull(f"directory is full: {MAX_SLOTS} entries")
        ((cluster, _),) = runs = self._table.find_free(1)
        self._sectors.write(self._bpb.sector_from_cluster(cluster), bytes(self._bpb.cluster_bytes))
        self._sectors.sync()  # linked before it is empty, it would show what was in it before
        self._table.link(runs)
        self._table.flush()
        self._sectors.sync()  # a torn sector of the FAT must not link to a cluster that is still free
        self._table.set(self._clusters[-1], cluster)
        self._table.flush()
        self._clusters.append(cluster)
        self._data += bytes(self._bpb.cluster_bytes)

    def _lba(self, sector: int) -> int:
        if self.start == 0:
            return self._bpb.root_start + sector
        index, rest = divmod(sector, self._bpb.sectors_per_cluster)
        return self._bpb.sector_from_cluster(self._clusters[index]) + rest

    def _touch(self, first: int, last: int) -> None:
        first, last = first // SLOTS_PER_SECTOR, last // SLOTS_PER_SECTOR
        if first == last:
            self._touched.add(first)
        else:
            self._touched.update(range(first, last + 1))

    def _delete(self, entry: Entry) -> None:
        for slot in range(entry.first, entry.slot + 1):
            self._data[slot * SLOT_BYTES] = DELETED
        self._deleted += entry.slot + 1 - entry.first
        self._touch(entry.first, entry.slot)
        self._searched.clear()

    # Names

    def _alias(self, name: str) -> bytes:
        key = name[:2].upper()  # no more than a hint: similar names count on from each other
        short, number = alias(name, self._shorts.__contains__, self._tails.get(key, 1))
        if number:
            self._tails[key] = number
        return short

    def _remember(self, entry: Entry) -> None:
        self._names[fold(entry.name)] = entry
        self._shorts[entry.short] = entry

    def _forget(self, entry: Entry) -> None:
        if self._names.get(fold(entry.name)) is entry:
            del self._names[fold(entry.name)]
        if self._shorts.get(entry.short) is entry:
            del self._shorts[entry.short]


def _one_sector(first: int, count: int) -> bool:
    return first // SLOTS_PER_SECTOR == (first + count - 1) // SLOTS_PER_SECTOR
