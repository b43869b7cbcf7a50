"""The copies of the FAT in memory, for whoever mends a volume: what they say, where they differ, what is no good.

Of a FAT that is the same twice one copy is kept, and its entries are read where they lie: a card of 32 GiB has 8 MiB of
FAT, and takes little more than that here.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Generator, Iterable, Iterator

from cfcard.blockdev import SECTOR_BYTES
from cfcard.errors import SectorError
from cfcard.fat.bpb import Bpb
from cfcard.fat.sectors import Sectors, used_bytes

__all__ = ["MAX_FAT_SECTORS", "READ_SECTORS", "ROW", "SINGLES", "STRETCH", "Copies", "FatCopy", "read_copies"]

READ_SECTORS = 64
SINGLES = 16
"""Sectors per step, in one transfer or one by one: some 7 ms of a card's time."""

HALF = SECTOR_BYTES // 2

MAX_FAT_SECTORS = 32_769
"""FATs of 2**22 clusters, and the two entries before them: volumes up to 128 GiB as PCs format them, up to 256 GiB as
``mkfs`` does; 8 s of a card's time for both copies. Longer ones come from clusters smaller than any card needs; nobody
waits for them, and they would take more memory than all the rest."""

ROW = 1_024
"""Neighbours followed at once in a chain: those of large files mostly are."""

STRETCH = 8_192
"""Entries looked at at once: a list of all of them would take ten times the FAT's memory."""


class FatCopy:
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
        self._in_place = bpb.kind != 12 and sys.byteorder == "little"
        self._length = max(2, min(self.top, used_bytes(raw) * 8 // bpb.kind + 1))
        self._entries = self._decode()
        self._find_lost(bpb.media)
        halves = range(-(-self._length * self._kind // (8 * HALF)))
        self._erased = {number for number in halves if raw[number * HALF : (number + 1) * HALF] == b"\xff" * HALF}

    def __len__(self) -> int:
        """One more than the highest cluster that is not free."""
        return self._length

    def get(self, cluster: int) -> int:
        return self._entries[cluster] & self._mask if cluster < self._length else 0

    def put(self, cluster: int, value: int) -> None:
        self._length = max(self._length, cluster + 1)
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
        if not self._in_place:
            self._entries[cluster] = value & self._mask
        self.dirty.update((at // SECTOR_BYTES, (at + (1 if self._kind == 12 else 0)) // SECTOR_BYTES))

    def is_row(self, cluster: int) -> bool:
        """Whether the ``ROW`` clusters from ``cluster`` on are known to be linked each to its neighbour."""
        last = cluster + ROW - 1
        if last >= self._length or self._entries[last] != last + 1 or self.lost:
            return False
        return self._entries[cluster : last + 1].tolist() == list(range(cluster + 1, last + 2))

    def stretches(self) -> Iterator[tuple[int, list[int]]]:
        """(cluster, its entry and the following ones), from cluster 2 on, without stretches that are all free."""
        for first in range(2, self._length, STRETCH):
            values = self._entries[first : min(first + STRETCH, self._length)].tolist()
            most = max(values)
            if most > self._mask:
                values = [value & self._mask for value in values]
            if most:
                yield first, values

    def count_free(self) -> int:
        """Clusters that are free."""
        return self.top - 2 - sum(len(values) - values.count(0) for _, values in self.stretches())

    def sectors_of(self, cluster: int) -> set[int]:
        at = cluster * self._kind // 8
        return {at // SECTOR_BYTES, (at + (1 if self._kind == 12 else 0)) // SECTOR_BYTES}

    def is_lost(self, cluster: int) -> bool:
        """Whether the sector of an entry holds no FAT, or nothing at all."""
        sectors = self.sectors_of(cluster)
        return bool(sectors & self.lost) or not any(
            any(self.raw[number * SECTOR_BYTES : (number + 1) * SECTOR_BYTES]) for number in sectors
        )

    def is_erased(self, cluster: int) -> bool:
        """Whether the half sector around an entry came as all FFh: what a cut leaves, not what chains are."""
        return cluster * self._kind // 8 // HALF in self._erased

    def _decode(self) -> array[int] | memoryview:
        """All entries, with the reserved bits of FAT32."""
        raw = self.raw
        if self._kind == 12:
            pairs = (raw[e * 3 // 2] | raw[e * 3 // 2 + 1] << 8 for e in range(self._length))
            entries = array("H", [pair >> 4 if e & 1 else pair & 0xFFF for e, pair in enumerate(pairs)])
            return entries + array("H", bytes(2 * (self.top - self._length)))
        code = "H" if self._kind == 16 else "I" if array("I").itemsize == 4 else "L"
        if self._in_place:
            return memoryview(raw).cast(code)  # type: ignore[call-overload,no-any-return]
        values = array(code, bytes(raw))
        values.byteswap()
        return values

    def _find_lost(self, media: int) -> None:
        top, bad = self.top, self.bad
        for first, values in self.stretches():
            for cluster in [c for c, value in enumerate(values, first) if value == 1 or top <= value < bad]:
                self.lost |= self.sectors_of(cluster)
        if self.get(0) & 0xFF != media:
            self.lost.add(0)


class Copies:
    """Both FATs, or the one there is, as they are on the card."""

    def __init__(self, bpb: Bpb, raw: bytearray) -> None:
        self._bpb = bpb
        self._raw = raw
        """What the copies have in common."""
        self._own: list[dict[int, bytes | None]] = [{} for _ in range(bpb.fats)]
        """For each copy its sectors, where copies differ or cannot be read (None)."""

    def note(self, sector: int, contents: list[bytes | None]) -> None:
        """``sector`` of the FATs has ``contents``, one for each copy."""
        for own, content in zip(self._own, contents, strict=True):
            own[sector] = content

    def candidates(self) -> list[FatCopy]:
        """Each copy that differs from those before it; what it lacks is taken from the other, where that has it."""
        numbers = range(len(self._own) if self._own[0] else 1)
        return [self._filled(number) for number in reversed(numbers)][::-1]  # the first takes what they have in common

    def different(self, number: int, good: bytearray) -> list[int]:
        """The sectors of a copy that must be written for it to say what ``good`` says."""
        own = sorted(self._own[number].items())
        return [s for s, content in own if content is None or content != bytes(_sector(good, s))]

    def _filled(self, number: int) -> FatCopy:
        raw = bytearray(self._raw) if number else self._raw
        lost = []
        for sector, content in self._own[number].items():
            if content is None:
                content = self._own[-1 - number][sector]
            if content is None:
                lost.append(sector)
            raw[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES] = content or bytes(SECTOR_BYTES)
        return FatCopy(self._bpb, raw, lost)


def _sector(raw: bytearray, sector: int) -> bytearray:
    return raw[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES]


def read_copies(sectors: Sectors, bpb: Bpb) -> Generator[None, None, Copies]:
    """Reads the part of the FATs that their clusters use, in steps."""
    used = min(bpb.fat_sectors, -(-(bpb.clusters + 2) * bpb.kind // (8 * SECTOR_BYTES)))
    raw = bytearray(used * SECTOR_BYTES)
    lost = yield from _read(sectors, bpb.reserved, 0, memoryview(raw))
    copies = Copies(bpb, raw)
    if bpb.fats == 1:
        for sector in lost:
            copies.note(sector, [None])
        return copies
    for first in range(0, used, READ_SECTORS):
        mine = raw[first * SECTOR_BYTES : (first + READ_SECTORS) * SECTOR_BYTES]
        other = bytearray(len(mine))
        other_lost = yield from _read(sectors, bpb.reserved + bpb.fat_sectors, first, memoryview(other))
        if mine == other and not lost and not other_lost:
            continue
        for at in range(0, len(mine), SECTOR_BYTES):
            sector = first + at // SECTOR_BYTES
            one, two = bytes(mine[at : at + SECTOR_BYTES]), bytes(other[at : at + SECTOR_BYTES])
            if one != two or sector in lost or sector in other_lost:
                copies.note(sector, [None if sector in lost else one, None if sector in other_lost else two])
    return copies


def _read(sectors: Sectors, start: int, first: int, into: memoryview) -> Generator[None, None, set[int]]:
    """Fills ``into`` from sector ``first`` of the FAT at ``start`` on; gives what of it could not be read, as zeros."""
    lost: set[int] = set()
    for at in range(0, len(into), READ_SECTORS * SECTOR_BYTES):
        piece = into[at : at + READ_SECTORS * SECTOR_BYTES]
        sector = first + at // SECTOR_BYTES
        try:
            sectors.read_into(start + sector, piece)
        except SectorError:
            lost.update((yield from _read_singly(sectors, start, sector, piece)))
        yield
    return lost


def _read_singly(sectors: Sectors, start: int, first: int, piece: memoryview) -> Generator[None, None, list[int]]:
    lost = []
    for number in range(len(piece) // SECTOR_BYTES):
        at = number * SECTOR_BYTES
        try:
            sectors.read_into(start + first + number, piece[at : at + SECTOR_BYTES])
        except SectorError:
            piece[at : at + SECTOR_BYTES] = bytes(SECTOR_BYTES)
            lost.append(first + number)
        if number % SINGLES == 0:
            yield
    return lost
