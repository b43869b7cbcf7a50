"""What a FAT volume would need to be in order, as one copy of its FAT shows it. Looks only; ``repair`` writes.

A copy of the FAT is judged by the tree that hangs from it: chains that break off, slots that make no sense, directories
without "." and "..". The copy with less of it is the one that counts.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterable

from cfcard.blockdev import SECTOR_BYTES
from cfcard.errors import SectorError
from cfcard.fat.bpb import Bpb
from cfcard.fat.copies import READ_SECTORS, ROW, SINGLES, STRETCH, FatCopy
from cfcard.fat.directory import MAX_SLOTS
from cfcard.fat.entry import DELETED, DIRECTORY, LABEL, SLOT_BYTES, LongName
from cfcard.fat.folder import SLOTS_PER_SECTOR, Folder
from cfcard.fat.misnamed import FreeNames
from cfcard.fat.names import LFN_ATTRIBUTE, is_short, text_from_short
from cfcard.fat.sectors import Sectors

__all__ = ["Survey", "TooLarge"]

MAX_TREE_SECTORS = 65_536
"""A tree with more sectors of directories takes half a minute to read, and nobody can use the card so long."""

MAX_ORPHANS = 4_096
"""Lost clusters that are looked into one by one: half a second of a card's time. More are nothing that a cut leaves."""

BLANK_SECTOR = (bytes((DELETED,)) + bytes(SLOT_BYTES - 1)) * SLOTS_PER_SECTOR
"""Deleted slots: unlike zeros they let a reader on to the entries behind them."""

DOT = b".          "
"""Short name of a directory's first entry, which stands for itself."""

RESERVED_ATTRIBUTES = 0xC0


class TooLarge(Exception):
    """The tree has more directories than are looked at before a mount."""


class Survey:
    """The tree as one copy of the FAT shows it, and what would have to be done for it to be in order."""

    def __init__(self, sectors: Sectors, bpb: Bpb, fat: FatCopy, cache: dict[int, bytes | None]) -> None:
        self.fat = fat
        self.folders: list[Folder] = []
        self.trouble = len(fat.lost)
        """How much contradicts itself: the copy of the FAT with less of it counts."""
        self.notes: list[str] = []
        self.left: list[str] = []
        self.links: list[array[int]] = []
        """Chains to be linked anew."""
        self.cuts: list[int] = []
        """Clusters that shall be the last of their chain."""
        self.suspect = set(fat.lost)
        """FAT sectors in which a chain breaks off: what else is in them may mean nothing."""
        self._sectors = sectors
        self._bpb = bpb
        self._cache = cache
        self._claimed = bytearray(fat.top)
        """1 for each cluster that somebody names."""
        self._broken: list[tuple[Folder, int, int, int]] = []
        self._misnamed: list[tuple[Folder, int, int]] = []
        """(folder, slot, slot where its long name begins): entries with a name that cannot be, and the rest sound."""
        self._todo: list[Folder] = []
        self._tree_sectors = 0

    def orphans(self) -> array[int]:
        """Clusters in use that nobody names."""
        bad, found = self.fat.bad, array("I")
        for first, values in self.fat.stretches():
            taken = self._claimed[first : first + len(values)]
            if 0 not in taken:
                continue
            mine = zip(values, taken, strict=True)
            found.extend(
                [c for c, (value, claimed) in enumerate(mine, first) if value and not claimed and value != bad]
            )
        return found

    def _claim(self, chain: Iterable[int]) -> None:
        for cluster in chain:
            self._claimed[cluster] = 1

    # The walk

    def walk(self) -> Generator[None, None, None]:
        """Looks at the whole tree, in steps. TooLarge when that would take too long."""
        bpb = self._bpb
        root = Folder("/", 0, 0)
        if bpb.kind == 32:
            yield from self._open(root, bpb.root_cluster)
        else:
            root.places = list(range(bpb.root_start, bpb.root_start + bpb.root_sectors))
            self._todo.append(root)
        while self._todo or self._misnamed:
            if not self._todo:
                # Last: what nobody else has named till now is theirs.
                yield from self._rename(*self._misnamed.pop())
                continue
            folder = self._todo.pop()
            yield from self._load(folder)
            self.folders.append(folder)
            yield from self._slots(folder)
            waiting = (entries and entries[-1][0] is folder for entries in (self._broken, self._misnamed))
            if not folder.changed and not any(waiting):
                folder.data, folder.places = bytearray(), []  # a card has more of it than the box has memory
        for broken in self._broken:
            self._relink(*broken)

    def _open(self, folder: Folder, start: int) -> Generator[None, None, None]:
        """Finds the clusters of a directory; a chain that breaks off ends where it does."""
        chain, good = self._chain(start, MAX_SLOTS * SLOT_BYTES // self._bpb.cluster_bytes + 1)
        if not good:
            self.trouble += 1
            chain = yield from self._neighbours(chain or array("I", (start,)))
            self.links.append(chain)
            self.suspect |= self.fat.sectors_of(chain[0])
            self.notes.append(f"{folder.path}: chain of the directory linked anew")
            folder.whole = False
        self._claim(chain)
        per = self._bpb.sectors_per_cluster
        self._tree_sectors += len(chain) * per
        if self._tree_sectors > MAX_TREE_SECTORS:
            raise TooLarge
        for cluster in chain:
            first = self._bpb.sector_from_cluster(cluster)
            folder.places.extend(range(first, first + per))
        self._todo.append(folder)

    def _neighbours(self, chain: array[int]) -> Generator[None, None, array[int]]:
        """A directory's chain that breaks off goes on with its neighbours while there is no end mark."""
        per = self._bpb.sectors_per_cluster
        while chain[-1] + 1 < self.fat.top and not self._claimed[chain[-1] + 1]:
            last = self._sector(self._bpb.sector_from_cluster(chain[-1]) + per - 1)
            following = self._sector(self._bpb.sector_from_cluster(chain[-1] + 1))
            yield
            if last is None or following is None or last[-SLOT_BYTES] == 0 or not _is_slot(following):
                break
            chain.append(chain[-1] + 1)
        return chain

    def may_miss_directories(self) -> Generator[None, None, bool]:
        """Whether part of a directory may be among the clusters that nobody names."""
        if all(folder.whole for folder in self.folders):
            return False
        orphans = self.orphans()
        if len(orphans) > MAX_ORPHANS:
            return True
        for cluster in orphans:
            sector = self._sector(self._bpb.sector_from_cluster(cluster))
            if sector is not None and _is_slot(sector):
                return True
            yield
        return False

    def _chain(self, start: int, most: int) -> tuple[array[int], bool]:
        """(clusters of the chain as far as it can be followed, whether that is to its end)."""
        fat, claimed, cluster = self.fat, self._claimed, start
        chain, ended = array("I"), False
        while 2 <= cluster < fat.top and not claimed[cluster] and len(chain) < most:
            if len(chain) + ROW <= most and fat.is_row(cluster) and claimed.find(1, cluster, cluster + ROW) < 0:
                chain.extend(range(cluster, cluster + ROW))
                claimed[cluster : cluster + ROW] = b"\1" * ROW
                cluster += ROW
                continue
            value = fat.get(cluster)
            if value in (0, fat.bad) or (fat.lost and fat.sectors_of(cluster) & fat.lost):
                break
            chain.append(cluster)
            claimed[cluster] = 1  # for now: a chain that comes back to itself ends there
            if value >= fat.end:
                ended = True
                break
            cluster = value
        for cluster in chain:
            claimed[cluster] = 0
        return chain, ended

    def _load(self, folder: Folder) -> Generator[None, None, None]:
        folder.data = yield from self._content(folder)
        if folder.start:
            self._dots(folder)
        if not folder.whole and 0 in folder.data[0::SLOT_BYTES]:
            folder.whole = True  # its end mark is there: nothing of it is missing

    def _content(self, folder: Folder) -> Generator[None, None, bytearray]:
        """The bytes of a directory; sectors that cannot be read are to be written anew."""
        data, places = bytearray(), folder.places
        first = 0
        while first < len(places):
            last = first + 1
            while last < min(len(places), first + READ_SECTORS) and places[last] == places[last - 1] + 1:
                last += 1
            try:
                data += self._sectors.read(places[first], last - first)
            except SectorError:
                for number in range(first, last):
                    sector = self._sector(places[number])
                    if sector is None:
                        folder.changed.add(number)
                    data += sector or BLANK_SECTOR
                    if number % SINGLES == 0:
                        yield
            first = last
            yield
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

    def _dots(self, folder: Folder) -> None:
        """The first two entries say where a directory and its parent are: without them the sector is no directory's."""
        data = folder.data
        wanted = [(DOT, folder.start), (b"..         ", folder.parent)]
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

    def _slots(self, folder: Folder) -> Generator[None, None, None]:
        data, long, waiting = folder.data, LongName(), -1
        for slot in range(2 if folder.start else 0, min(len(data) // SLOT_BYTES, MAX_SLOTS)):
            at = slot * SLOT_BYTES
            if data[at] == 0:
                break
            if data[at] != DELETED and data[at + 11] & 0x3F == LFN_ATTRIBUTE and not data[at + 11] & 0xC0:
                waiting = slot if waiting < 0 else waiting
                long.add(slot, data[at : at + SLOT_BYTES])
                continue
            short = bytes(data[at : at + 11])
            named = data[at] != DELETED and (long.name_for(short) if is_short(short) else long.name) is not None
            if waiting >= 0 and not (named and long.first == waiting):
                self._drop(folder, waiting, (long.first if named else slot) - 1)
            if data[at] != DELETED:
                yield from self._entry(folder, slot, long.first if named else slot)
            waiting = -1
            long.clear()
        if waiting >= 0:
            self._drop(folder, waiting, slot - 1 if data[slot * SLOT_BYTES] == 0 else slot)

    def _drop(self, folder: Folder, first: int, last: int) -> None:
        """Slots that make no sense."""
        self.trouble += 1
        line = f"{folder.path}: entries without meaning erased"
        if line not in self.notes:
            self.notes.append(line)
        folder.erase(first, last)

    def _entry(self, folder: Folder, slot: int, begin: int) -> Generator[None, None, None]:
        raw = bytes(folder.data[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES])
        attributes, short = raw[11], raw[:11]
        if attributes & LABEL and attributes & (DIRECTORY | RESERVED_ATTRIBUTES):
            return self._drop(folder, begin, slot)
        if attributes & LABEL:
            return None
        if attributes & RESERVED_ATTRIBUTES or not is_short(short):
            if not self._is_sound(raw, has_long_name=begin < slot):
                return self._drop(folder, begin, slot)
            return self._misnamed.append((folder, slot, begin))
        yield from self._clusters(folder, slot, begin)
        return None

    def _clusters(self, folder: Folder, slot: int, begin: int) -> Generator[None, None, None]:
        """What an entry stands for."""
        raw = bytes(folder.data[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES])
        attributes, short = raw[11], raw[:11]
        cluster, size = self._cluster(raw, 0), int.from_bytes(raw[28:32], "little")
        needed = -(-size // self._bpb.cluster_bytes)
        if attributes & DIRECTORY:
            if not 2 <= cluster < self.fat.top or self._claimed[cluster] or (size and not self._begins(cluster)):
                return self._drop(folder, begin, slot)
            if size:
                self._unsize(folder, slot)
            yield from self._open(Folder(_path(folder, short), cluster, folder.start), cluster)
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
            self._empty(folder, slot)
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
            self._broken.append((folder, slot, cluster, needed))
            return None
        self._claim(chain)
        if needed > STRETCH:
            yield
        return None

    def _is_sound(self, raw: bytes, *, has_long_name: bool) -> bool:
        """Whether an entry with an impossible name stands for something: noise does not get that far."""
        cluster, size = self._cluster(raw, 0), int.from_bytes(raw[28:32], "little")
        if cluster == 0:
            return size == 0 and has_long_name and not raw[11] & DIRECTORY
        if not 2 <= cluster < self.fat.top or self._claimed[cluster]:
            return False
        if raw[11] & DIRECTORY:
            return self._begins(cluster)
        needed = -(-size // self._bpb.cluster_bytes)
        if not 1 <= needed <= self._bpb.clusters:
            return False
        chain, good = self._chain(cluster, needed + 1)
        return good and len(chain) == needed

    def _rename(self, folder: Folder, slot: int, begin: int) -> Generator[None, None, None]:
        """Gives an entry the name and the attributes that it can have, where what it stands for is still nobody's."""
        at = slot * SLOT_BYTES
        raw = bytes(folder.data[at : at + SLOT_BYTES])
        if not self._is_sound(raw, has_long_name=begin < slot):
            return self._drop(folder, begin, slot)
        self.trouble += 1
        short: bytes | None = raw[:11]
        if not is_short(raw[:11]):
            folder.names = folder.names or FreeNames(folder.data)
            checksum = folder.data[begin * SLOT_BYTES + 13] if begin < slot else None
            short = folder.names.choose(raw[:11], checksum)
        if short is None:
            self.left.append(f"{_path(folder, raw[:11])}: an impossible name, and no other one for it")
        else:
            self.notes.append(f"{_path(folder, raw[:11])}: impossible entry mended, its short name is {_text(short)}")
            folder.data[at : at + 12] = short + bytes((raw[11] & ~RESERVED_ATTRIBUTES,))
            folder.changed.add(slot // SLOTS_PER_SECTOR)
        yield from self._clusters(folder, slot, begin)
        return None

    def _begins(self, cluster: int) -> bool:
        """Whether a directory begins there: its first entry says so, and where it is."""
        sector = self._sector(self._bpb.sector_from_cluster(cluster))
        return sector is not None and sector[:11] == DOT and self._cluster(sector, 0) == cluster

    def _unsize(self, folder: Folder, slot: int) -> None:
        """Some programs give a directory a size. It has none, and everything in it counts all the same."""
        at = slot * SLOT_BYTES
        self.trouble += 1
        self.notes.append(f"{_path(folder, bytes(folder.data[at : at + 11]))}: size of a directory set to 0")
        folder.data[at + 28 : at + 32] = bytes(4)
        folder.changed.add(slot // SLOTS_PER_SECTOR)

    @staticmethod
    def _empty(folder: Folder, slot: int) -> None:
        """Makes it a file without content."""
        at = slot * SLOT_BYTES
        folder.data[at + 20 : at + 22] = b"\0\0"
        folder.data[at + 26 : at + 32] = bytes(6)
        folder.changed.add(slot // SLOTS_PER_SECTOR)

    def _relink(self, folder: Folder, slot: int, start: int, needed: int) -> None:
        """A file whose chain breaks off: the part that is there, then its neighbours, where nobody else has them."""
        path = _path(folder, bytes(folder.data[slot * SLOT_BYTES : slot * SLOT_BYTES + 11]))
        chain, _ = self._chain(start, needed)
        is_free = self.fat.get(start) == 0 and not self.fat.is_lost(start)
        if not chain:
            chain = array("I", () if self._claimed[start] else (start,))
        while chain and len(chain) < needed:
            following = chain[-1] + 1
            if following >= self.fat.top or self._claimed[following] or following in chain:
                break
            chain.append(following)
        if len(chain) < needed and is_free:
            self.notes.append(f"{path}: emptied, none of its clusters was in use")
            self._empty(folder, slot)
            return
        if len(chain) < needed:
            self.left.append(f"{path}: clusters are missing or belong to another file")
            self._claim(chain)
            return
        self._claim(chain)
        self.links.append(chain)
        self.notes.append(f"{path}: chain linked anew")


def _path(folder: Folder, short: bytes) -> str:
    """The name that a log can show: the short one."""
    return f"{folder.path.rstrip('/')}/{ascii(short.decode('cp437').rstrip())[1:-1]}"


def _text(short: bytes) -> str:
    return ascii(text_from_short(short))[1:-1]


def _is_slot(sector: bytes) -> bool:
    """Whether a sector can go on with a directory: its first slot is deleted, a name, or part of a long one."""
    attributes = sector[11]
    if attributes & 0xC0:
        return False
    if sector[0] == DELETED or attributes & 0x3F == LFN_ATTRIBUTE:
        return True
    return sector[0] != 0 and is_short(sector[:11]) and not any(0x61 <= c <= 0x7A for c in sector[:11])
