"""Mends what a cut left on a volume: at mount, before anybody trusts it. What it cannot mend it names and leaves alone.

A cut of ours leaves little (``volume`` draws the order of writes): copies of the FAT that differ, clusters that nobody
names; and, where the card destroyed the sector it was writing, one sector of a FAT or of a directory that holds
anything. A card that forgets what it acknowledged can also leave an entry whose chain was never linked.

::

    look     both FATs and the whole tree, once for each copy of the FAT; the copy with fewer contradictions counts
    1 FATs   the other copy is made equal to it, before anything else changes: from here on there are two again
    2 FATs   broken chains are linked anew where their clusters are free
    3 tree   slots that make no sense are erased, "." and ".." put back, unreadable sectors written anew
    4 FATs   lost clusters are freed, when they are no more than an interrupted update of ours leaves
    5 hints  FSInfo's count; the dirty flag, last

Each step follows a sync, changes one copy of one thing at a time, and leaves a volume from which this can begin again:
so it may itself be cut anywhere. A FAT sector that is lost on a volume without a second FAT is made anew from the
directories: exact for files of one cluster, a guess (neighbours) for longer ones.

The dirty flag in the boot sector is cleared only where a second boot sector exists (FAT32): rewriting the only one
would stake the whole volume on one write, and the flag does no harm here.
"""

from __future__ import annotations

import errno
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cfcard.blockdev import SECTOR_BYTES, BlockDevice
from cfcard.errors import SectorError
from cfcard.fat.bpb import Bpb
from cfcard.fat.directory import MAX_SLOTS
from cfcard.fat.entry import DELETED, DIRECTORY, LABEL, SLOT_BYTES, LongName
from cfcard.fat.fsinfo import UNKNOWN, fsinfo_from_sector, fsinfo_sector
from cfcard.fat.names import LFN_ATTRIBUTE
from cfcard.fat.partition import find_volume
from cfcard.fat.sectors import Sectors

__all__ = ["RepairReport", "repair"]

MAX_FAT_SECTORS = 4096
"""A larger FAT (volumes of 8 GiB and more) takes seconds to read, which a mount must not: ``check`` looks there."""

MAX_FREED_BYTES = 64 * 1024
"""An interrupted update of ours leaves fewer lost clusters; more may be somebody's files, which a PC can still save."""

READ_SECTORS = 128
HALF = SECTOR_BYTES // 2
SLOTS_PER_SECTOR = SECTOR_BYTES // SLOT_BYTES
BLANK_SECTOR = (bytes((DELETED,)) + bytes(SLOT_BYTES - 1)) * SLOTS_PER_SECTOR
"""Deleted slots: unlike zeros they let a reader on to the entries behind them."""

WRONG_IN_SHORT = frozenset(b'"*+,./:;<=>?[\\]|') | frozenset(range(0x20))


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did, and what it left; both empty for a volume in order."""

    done: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing is known to be wrong now."""
        return not self.left


def repair(device: BlockDevice, /) -> RepairReport:
    """Looks at the first FAT volume on ``device`` and mends it; writes nothing when it is in order.

    Raises:
        VolumeCorrupt: there is no usable FAT volume.
        OSError: the device failed; what was done so far is good.
    """
    sectors, bpb = find_volume(device)
    if bpb.fat_sectors > MAX_FAT_SECTORS:
        return RepairReport(left=(f"FAT of {bpb.fat_sectors} sectors: too long to be looked at here",))
    try:
        return _Repair(sectors, bpb).run()
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return RepairReport(left=("it is write-protected: nothing was mended",))


class _Fat:
    """One copy of the FAT, in memory: bytes and entries, and which sectors of it are no good."""

    def __init__(self, bpb: Bpb, raw: bytearray, unreadable: Iterable[int] = ()) -> None:
        self.raw = raw
        self.dirty: set[int] = set()
        self.lost = set(unreadable)
        """Sectors that hold no FAT: unreadable, or with entries that mean nothing. No link in them is believed."""
        self._kind = bpb.kind
        self._mask = 0x0FFF_FFFF if bpb.kind == 32 else (1 << bpb.kind) - 1
        self.top = bpb.clusters + 2
        self.end = self._mask - 7
        self.bad = self._mask - 8
        self._entries = self._decode()
        self._find_lost(bpb.media)

    def __len__(self) -> int:
        """One more than the highest cluster that is not free."""
        return len(self._entries)

    def get(self, cluster: int) -> int:
        return self._entries[cluster] if cluster < len(self._entries) else 0

    def put(self, cluster: int, value: int) -> None:
        if cluster >= len(self._entries):
            self._entries.extend([0] * (cluster + 1 - len(self._entries)))
        self._entries[cluster] = value & self._mask
        raw, at = self.raw, cluster * self._kind // 8
        if self._kind == 12:
            pair = raw[at] | raw[at + 1] << 8
            pair = pair & 0x000F | value << 4 & 0xFFF0 if cluster & 1 else pair & 0xF000 | value & 0x0FFF
            raw[at : at + 2] = pair.to_bytes(2, "little")
        else:
            width = self._kind // 8
            kept = raw[at + 3] & 0xF0 if self._kind == 32 else 0
            raw[at : at + width] = (value & self._mask).to_bytes(width, "little")
            if kept:
                raw[at + 3] |= kept
        self.dirty.update((at // SECTOR_BYTES, (at + (1 if self._kind == 12 else 0)) // SECTOR_BYTES))

    def sectors_of(self, cluster: int) -> set[int]:
        at = cluster * self._kind // 8
        return {at // SECTOR_BYTES, (at + (1 if self._kind == 12 else 0)) // SECTOR_BYTES}

    def is_erased(self, cluster: int) -> bool:
        """Whether the half sector around an entry is all FFh: what a cut leaves of a sector, not what chains are."""
        at = cluster * self._kind // 8 // HALF * HALF
        return self.raw[at : at + HALF] == b"\xff" * HALF

    def _decode(self) -> list[int]:
        """Entries up to the last one that is not free: most of a card is."""
        used = len(self.raw.rstrip(b"\0"))
        count = max(2, min(self.top, used * 8 // self._kind + 1))
        if self._kind == 12:
            raw = self.raw
            pairs = (raw[e * 3 // 2] | raw[e * 3 // 2 + 1] << 8 for e in range(count))
            return [pair >> 4 if e & 1 else pair & 0xFFF for e, pair in enumerate(pairs)]
        code = "H" if self._kind == 16 else "I" if array("I").itemsize == 4 else "L"
        values = array(code, bytes(self.raw[: count * self._kind // 8]))
        if sys.byteorder == "big":
            values.byteswap()
        return [value & self._mask for value in values]

    def _find_lost(self, media: int) -> None:
        for cluster, value in enumerate(self._entries):
            if cluster > 1 and (value == 1 or self.top <= value < self.bad):
                self.lost |= self.sectors_of(cluster)
        if self.get(0) & 0xFF != media:
            self.lost.add(0)


@dataclass(slots=True)
class _Folder:
    """A directory as it was found and as it is to be."""

    path: str
    start: int
    parent: int
    places: list[int] = field(default_factory=list)
    """Its sectors."""
    data: bytearray = field(default_factory=bytearray)
    changed: set[int] = field(default_factory=set)
    """Sectors (counted within it) to be written."""
    whole: bool = True
    """Whether all of it could be found."""

    def erase(self, first: int, last: int) -> None:
        for slot in range(first, last + 1):
            self.data[slot * SLOT_BYTES] = DELETED
            self.changed.add(slot // SLOTS_PER_SECTOR)


class _Survey:
    """The tree as one copy of the FAT shows it, and what would have to be done for it to be in order."""

    def __init__(self, sectors: Sectors, bpb: Bpb, fat: _Fat, cache: dict[int, bytes | None]) -> None:
        self.fat = fat
        self.folders: list[_Folder] = []
        self.trouble = len(fat.lost)
        """How much contradicts itself: the copy of the FAT with less of it counts."""
        self.notes: list[str] = []
        self.left: list[str] = []
        self.links: list[list[int]] = []
        """Chains to be linked anew."""
        self.cuts: list[int] = []
        """Clusters that shall be the last of their chain."""
        self.suspect = set(fat.lost)
        """FAT sectors in which a chain breaks off: what else is in them may mean nothing."""
        self._sectors = sectors
        self._bpb = bpb
        self._cache = cache
        self._claimed: set[int] = set()
        self._broken: list[tuple[str, int, int]] = []
        self._todo: list[_Folder] = []
        self._walk()

    def orphans(self) -> list[int]:
        """Clusters in use that nobody names."""
        fat, claimed = self.fat, self._claimed
        return [c for c in range(2, min(len(fat), fat.top)) if fat.get(c) not in (0, fat.bad) and c not in claimed]

    @property
    def used(self) -> int:
        return len(self._claimed)

    # The walk

    def _walk(self) -> None:
        bpb = self._bpb
        root = _Folder("/", 0, 0)
        if bpb.kind == 32:
            self._open(root, bpb.root_cluster)
        else:
            root.places = list(range(bpb.root_start, bpb.root_start + bpb.root_sectors))
            self._todo.append(root)
        while self._todo:
            folder = self._todo.pop()
            self._load(folder)
            self.folders.append(folder)
            self._slots(folder)
        for broken in self._broken:
            self._relink(*broken)

    def _open(self, folder: _Folder, start: int) -> None:
        """Finds the clusters of a directory; a chain that breaks off ends where it does."""
        chain, good = self._chain(start, MAX_SLOTS * SLOT_BYTES // self._bpb.cluster_bytes + 1)
        if not good:
            self.trouble += 1
            chain = self._neighbours(chain or [start])
            self.links.append(chain)
            self.suspect |= self.fat.sectors_of(chain[0])
            self.notes.append(f"{folder.path}: chain of the directory linked anew")
            folder.whole = False
        self._claimed.update(chain)
        per = self._bpb.sectors_per_cluster
        for cluster in chain:
            first = self._bpb.sector_from_cluster(cluster)
            folder.places.extend(range(first, first + per))
        self._todo.append(folder)

    def _neighbours(self, chain: list[int]) -> list[int]:
        """A directory's chain that breaks off goes on with its neighbours while there is no end mark."""
        per = self._bpb.sectors_per_cluster
        while chain[-1] + 1 < self.fat.top and chain[-1] + 1 not in self._claimed:
            last = self._sector(self._bpb.sector_from_cluster(chain[-1]) + per - 1)
            following = self._sector(self._bpb.sector_from_cluster(chain[-1] + 1))
            if last is None or following is None or last[-SLOT_BYTES] == 0 or not _is_slot(following):
                break
            chain.append(chain[-1] + 1)
        return chain

    def _chain(self, start: int, most: int) -> tuple[list[int], bool]:
        """(clusters of the chain as far as it can be followed, whether that is to its end)."""
        fat, cluster = self.fat, start
        chain: list[int] = []
        seen: set[int] = set()
        while 2 <= cluster < fat.top and cluster not in seen and cluster not in self._claimed and len(chain) < most:
            value = fat.get(cluster)
            if value in (0, fat.bad) or (fat.lost and fat.sectors_of(cluster) & fat.lost):
                break
            chain.append(cluster)
            seen.add(cluster)
            if value >= fat.end:
                return chain, True
            cluster = value
        return chain, False

    def _load(self, folder: _Folder) -> None:
        folder.data = self._content(folder)
        if folder.start:
            self._dots(folder)
        if not folder.whole and 0 in folder.data[0::SLOT_BYTES]:
            folder.whole = True  # its end mark is there: nothing of it is missing

    def _content(self, folder: _Folder) -> bytearray:
        """The bytes of a directory; sectors that cannot be read are to be written anew."""
        data, places = bytearray(), folder.places
        first = 0
        while first < len(places):
            last = first + 1
            while last < len(places) and places[last] == places[last - 1] + 1:
                last += 1
            try:
                data += self._sectors.read(places[first], last - first)
            except SectorError:
                for number in range(first, last):
                    sector = self._sector(places[number])
                    if sector is None:
                        folder.changed.add(number)
                    data += sector or BLANK_SECTOR
            first = last
        if folder.changed:
            self.notes.append(f"{folder.path}: unreadable sectors written anew")
        return data

    def _sector(self, lba: int) -> bytes | None:
        if lba not in self._cache:
            try:
                self._cache[lba] = bytes(self._sectors.read(lba))
            except SectorError:
                self._cache[lba] = None
        return self._cache[lba]

    def _dots(self, folder: _Folder) -> None:
        """The first two entries say where a directory and its parent are: without them the sector is no directory's."""
        data = folder.data
        wanted = [(b".          ", folder.start), (b"..         ", folder.parent)]
        if all(
            data[32 * n : 32 * n + 11] == name and self._cluster(data, n) == cluster
            for n, (name, cluster) in enumerate(wanted)
        ):
            return
        if data[:11] != wanted[0][0]:
            self.notes.append(f"{folder.path}: first sector of the directory made anew")
            if not any(data[:SECTOR_BYTES]):
                data[:SECTOR_BYTES] = BLANK_SECTOR
        for n, (name, cluster) in enumerate(wanted):
            slot = bytearray(SLOT_BYTES)
            slot[0:12] = name + bytes((DIRECTORY,))
            slot[20:22], slot[26:28] = (cluster >> 16).to_bytes(2, "little"), (cluster & 0xFFFF).to_bytes(2, "little")
            slot[24:26] = b"\x21\x00"
            data[32 * n : 32 * n + 32] = slot
        folder.changed.add(0)
        self.trouble += 1

    def _cluster(self, data: bytes | bytearray, slot: int) -> int:
        at = slot * SLOT_BYTES
        cluster = data[at + 26] | data[at + 27] << 8
        return cluster | (data[at + 20] | data[at + 21] << 8) << 16 if self._bpb.kind == 32 else cluster

    def _slots(self, folder: _Folder) -> None:
        data, long, waiting = folder.data, LongName(), -1
        for slot in range(2 if folder.start else 0, min(len(data) // SLOT_BYTES, MAX_SLOTS)):
            at = slot * SLOT_BYTES
            if data[at] == 0:
                break
            if data[at] != DELETED and data[at + 11] & 0x3F == LFN_ATTRIBUTE and not data[at + 11] & 0xC0:
                waiting = slot if waiting < 0 else waiting
                long.add(slot, data[at : at + SLOT_BYTES])
                continue
            named = data[at] != DELETED and long.name_for(bytes(data[at : at + 11])) is not None
            if waiting >= 0 and not (named and long.first == waiting):
                self._drop(folder, waiting, (long.first if named else slot) - 1)
            if data[at] != DELETED:
                self._entry(folder, slot, long.first if named else slot)
            waiting = -1
            long.clear()
        if waiting >= 0:
            self._drop(folder, waiting, slot - 1 if data[slot * SLOT_BYTES] == 0 else slot)

    def _drop(self, folder: _Folder, first: int, last: int) -> None:
        """Slots that make no sense."""
        self.trouble += 1
        line = f"{folder.path}: entries without meaning erased"
        if line not in self.notes:
            self.notes.append(line)
        folder.erase(first, last)

    def _entry(self, folder: _Folder, slot: int, begin: int) -> None:
        raw = bytes(folder.data[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES])
        attributes, short = raw[11], raw[:11]
        if attributes & 0xC0 or (attributes & LABEL and attributes & DIRECTORY):
            return self._drop(folder, begin, slot)
        if attributes & LABEL:
            return None
        if not _is_short(short):
            return self._drop(folder, begin, slot)
        cluster, size = self._cluster(raw, 0), int.from_bytes(raw[28:32], "little")
        needed = -(-size // self._bpb.cluster_bytes)
        if attributes & DIRECTORY:
            if size or not 2 <= cluster < self.fat.top or cluster in self._claimed:
                return self._drop(folder, begin, slot)
            self._open(_Folder(_path(folder, short), cluster, folder.start), cluster)
            return None
        if needed > self._bpb.clusters or not (cluster == 0 or 2 <= cluster < self.fat.top):
            return self._drop(folder, begin, slot)
        if cluster == 0:
            if needed:
                self.trouble += 1
                self.left.append(f"{_path(folder, short)}: {size} bytes and no cluster")
            return None
        if needed == 0:
            self.trouble += 1
            folder.data[slot * SLOT_BYTES + 20 : slot * SLOT_BYTES + 22] = b"\0\0"
            folder.data[slot * SLOT_BYTES + 26 : slot * SLOT_BYTES + 28] = b"\0\0"
            folder.changed.add(slot // SLOTS_PER_SECTOR)
            self.notes.append(f"{_path(folder, short)}: clusters of an empty file freed")
            return None
        chain, good = self._chain(cluster, needed + 1)
        if len(chain) > needed:
            self.trouble += 1
            chain, good = chain[:needed], True
            self.cuts.append(chain[-1])
            self.notes.append(f"{_path(folder, short)}: end of the chain set")
        if not good or len(chain) < needed:
            self.trouble += 1
            self.suspect |= self.fat.sectors_of(cluster)
            self._broken.append((_path(folder, short), cluster, needed))
            return None
        self._claimed.update(chain)
        return None

    def _relink(self, path: str, start: int, needed: int) -> None:
        """A file whose chain breaks off: the part that is there, then its neighbours, where nobody else has them."""
        chain, _ = self._chain(start, needed)
        if not chain:
            chain = [] if start in self._claimed else [start]
        while chain and len(chain) < needed:
            following = chain[-1] + 1
            if following >= self.fat.top or following in self._claimed or following in chain:
                break
            chain.append(following)
        if len(chain) < needed:
            self.left.append(f"{path}: clusters are missing or belong to another file")
            self._claimed.update(chain)
            return
        self._claimed.update(chain)
        self.links.append(chain)
        self.notes.append(f"{path}: chain linked anew")


class _Repair:
    """One repair."""

    def __init__(self, sectors: Sectors, bpb: Bpb) -> None:
        self._sectors = sectors
        self._bpb = bpb
        self._done: list[str] = []

    def run(self) -> RepairReport:
        bpb = self._bpb
        copies = [self._read_fat(number) for number in range(bpb.fats)]
        cache: dict[int, bytes | None] = {}
        (first, first_lost), (other, other_lost) = copies[0], copies[-1]
        differ = first != other or first_lost or other_lost
        fats = [_filled(bpb, first, first_lost, other, other_lost)]
        if differ and bpb.fats == 2:
            fats.append(_filled(bpb, other, other_lost, first, first_lost))
        surveys = [_Survey(self._sectors, bpb, fat, cache) for fat in fats]
        best = min(surveys, key=lambda survey: (survey.trouble, len(survey.orphans())))
        self._equal_copies(copies, best)
        left = list(best.left)
        self._mend(best)
        left += self._free(best)
        self._hints(best)
        if not left:
            self._clear_dirty(best)
        return RepairReport(tuple(self._done), tuple(left))

    def _read_fat(self, copy: int) -> tuple[bytearray, list[int]]:
        """(the part of a FAT that its clusters use, sectors of it that could not be read)."""
        used = min(self._bpb.fat_sectors, -(-(self._bpb.clusters + 2) * self._bpb.kind // (8 * SECTOR_BYTES)))
        start = self._bpb.reserved + copy * self._bpb.fat_sectors
        raw = bytearray(used * SECTOR_BYTES)
        lost: list[int] = []
        view = memoryview(raw)
        for first in range(0, used, READ_SECTORS):
            count = min(READ_SECTORS, used - first)
            piece = view[first * SECTOR_BYTES : (first + count) * SECTOR_BYTES]
            try:
                self._sectors.read_into(start + first, piece)
            except SectorError:
                lost += self._read_singly(start, first, piece)
        del view
        return raw, lost

    def _read_singly(self, start: int, first: int, piece: memoryview) -> Iterator[int]:
        for number in range(len(piece) // SECTOR_BYTES):
            at = number * SECTOR_BYTES
            try:
                self._sectors.read_into(start + first + number, piece[at : at + SECTOR_BYTES])
            except SectorError:
                piece[at : at + SECTOR_BYTES] = bytes(SECTOR_BYTES)
                yield first + number

    def _equal_copies(self, copies: list[tuple[bytearray, list[int]]], best: _Survey) -> None:
        """Step 1: each copy that differs becomes equal to the one that counts."""
        for number in reversed(range(len(copies))):
            raw, lost = copies[number]
            good = best.fat.raw
            places = (
                [
                    at // SECTOR_BYTES
                    for at in range(0, len(raw), SECTOR_BYTES)
                    if raw[at : at + SECTOR_BYTES] != good[at : at + SECTOR_BYTES] or at // SECTOR_BYTES in lost
                ]
                if raw != good or lost
                else []
            )
            for place in places:
                self._write_fat(number, place, good)
            if places:
                self._sectors.sync()
                self._done.append(f"FAT {number + 1}: {len(places)} sectors restored")

    def _write_fat(self, copy: int, place: int, raw: bytearray) -> None:
        at = place * SECTOR_BYTES
        lba = self._bpb.reserved + copy * self._bpb.fat_sectors + place
        self._sectors.write(lba, raw[at : at + SECTOR_BYTES])

    def _flush(self, fat: _Fat) -> None:
        for copy in reversed(range(self._bpb.fats)):
            for place in sorted(fat.dirty):
                self._write_fat(copy, place, fat.raw)
            # Where power can still go, one of the two must be whole.
            self._sectors.sync()
        fat.dirty.clear()

    def _mend(self, best: _Survey) -> None:
        """Steps 2 and 3: chains, then directories."""
        fat = best.fat
        self._heads(fat)
        for chain in best.links:
            for cluster, following in zip(chain, [*chain[1:], fat.end + 7], strict=True):
                if fat.get(cluster) != following:
                    fat.put(cluster, following)
        for cluster in best.cuts:
            fat.put(cluster, fat.end + 7)
        self._done += best.notes
        if fat.dirty:
            self._flush(fat)
        for folder in best.folders:
            for number in sorted(folder.changed, reverse=True):
                at = number * SECTOR_BYTES
                self._sectors.write(folder.places[number], folder.data[at : at + SECTOR_BYTES])
        if any(folder.changed for folder in best.folders):
            self._sectors.sync()

    def _heads(self, fat: _Fat) -> None:
        """Entries 0 and 1 belong to nobody: media byte, and the marks of a volume that is in order."""
        if fat.get(0) & 0xFF != self._bpb.media or fat.get(0) < fat.bad - 7 or 0 in fat.lost:
            fat.put(0, fat.end & ~0xFF | self._bpb.media)
            fat.put(1, fat.end + 7)
            if 0 not in fat.lost:
                self._done.append("FAT: first entries restored")

    def _free(self, best: _Survey) -> list[str]:
        """Step 4: what nobody names. Gives what is left."""
        fat, orphans = best.fat, best.orphans()
        if not orphans:
            return []
        if not all(folder.whole for folder in best.folders):
            return [f"{len(orphans)} lost clusters: a directory is incomplete"]
        # A FAT sector that was made anew has entries that mean nothing: they are nobody's.
        counted = [c for c in orphans if not fat.sectors_of(c) & best.suspect and not fat.is_erased(c)]
        if len(counted) * self._bpb.cluster_bytes > MAX_FREED_BYTES:
            return [f"{len(orphans)} lost clusters, the first is {orphans[0]}: a PC can turn them into files"]
        for cluster in orphans:
            fat.put(cluster, 0)
        self._flush(fat)
        self._done.append(f"{len(orphans)} lost clusters freed")
        return []

    def _hints(self, best: _Survey) -> None:
        """Step 5: FAT32's count of free clusters."""
        if not self._bpb.fsinfo:
            return
        fat = best.fat
        free = fat.top - 2 - sum(1 for c in range(2, min(len(fat), fat.top)) if fat.get(c))
        try:
            said = fsinfo_from_sector(self._sectors.read(self._bpb.fsinfo))
        except SectorError:
            said = None
        if said is None or said[0] not in (free, UNKNOWN):
            self._sectors.write(self._bpb.fsinfo, fsinfo_sector(free, UNKNOWN))
            self._sectors.sync()
            self._done.append("FSInfo: count of free clusters set")

    def _clear_dirty(self, best: _Survey) -> None:
        """Step 5: the flags of a PC that did not eject the card."""
        bpb, fat = self._bpb, best.fat
        clean = {12: 0, 16: 0x8000, 32: 0x0800_0000}[bpb.kind]
        if fat.get(1) & clean != clean:
            fat.put(1, fat.get(1) | clean)
            self._flush(fat)
            self._done.append("dirty flag cleared")
        if bpb.dirty and bpb.backup:
            self._clear_boot_flag()

    def _clear_boot_flag(self) -> None:
        boot, backup = self._sectors.read(0), self._sectors.read(self._bpb.backup)
        at = self._bpb.flags_offset
        boot[at] &= 0xFE
        if backup[:at] + backup[at + 1 :] != boot[:at] + boot[at + 1 :]:
            return
        self._sectors.write(0, boot)
        self._sectors.sync()
        self._done.append("dirty flag of the boot sector cleared")


def _path(folder: _Folder, short: bytes) -> str:
    """The name that a log can show: the short one."""
    return f"{folder.path.rstrip('/')}/{ascii(short.decode('cp437').rstrip())[1:-1]}"


def _is_short(short: bytes) -> bool:
    """Whether these 11 bytes can be a name."""
    return short[0] != 0x20 and not any(c in WRONG_IN_SHORT and (i or c != 0x05) for i, c in enumerate(short))


def _is_slot(sector: bytes) -> bool:
    """Whether a sector can go on with a directory: its first slot is deleted, a name, or part of a long one."""
    attributes = sector[11]
    if attributes & 0xC0:
        return False
    return sector[0] == DELETED or attributes & 0x3F == LFN_ATTRIBUTE or (bool(sector[0]) and _is_short(sector[:11]))


def _filled(bpb: Bpb, raw: bytearray, lost: list[int], other: bytearray, other_lost: list[int]) -> _Fat:
    """A copy of the FAT with its unreadable sectors taken from the other one, where that has them."""
    merged = bytearray(raw)
    still = []
    for number in lost:
        at = number * SECTOR_BYTES
        if number in other_lost:
            still.append(number)
        else:
            merged[at : at + SECTOR_BYTES] = other[at : at + SECTOR_BYTES]
    return _Fat(bpb, merged, still)
