"""Mends what a cut left on a volume: at mount, before anybody trusts it. What it cannot mend it names and leaves alone.

A cut of ours leaves little (``volume`` draws the order of writes): copies of the FAT that differ, clusters that nobody
names; and, where the card destroyed the sector it was writing, one sector of a FAT or of a directory that holds
anything. A card that forgets what it acknowledged can also leave an entry whose chain was never linked.

::

    look     both FATs and the whole tree, once for each copy of the FAT; the copy with fewer contradictions counts
    1 FATs   the other copy is made equal to it, before anything else changes: from here on there are two again
    2 FATs   broken chains are linked anew where their clusters are free
    3 tree   slots that make no sense are erased, "." and ".." put back, unreadable sectors written anew; an impossible
             8.3 name of what is sound otherwise becomes a possible one (``misnamed``): a flipped bit loses no key
    4 FATs   lost clusters are freed, when they are no more than an interrupted update of ours leaves
    5 hints  FSInfo's count; the dirty flags, last, and only when nothing is left to be mended

Each step follows a sync, changes one copy of one thing at a time, and leaves a volume from which this can begin again:
so it may itself be cut anywhere. A FAT sector that is lost on a volume without a second FAT is made anew from the
directories: exact for files of one cluster, a guess (neighbours) for longer ones.

There are two dirty flags, and each has its readers: Windows sets bits in entry 1 of the FAT, Linux the byte in the boot
sector, at each mount, and takes it away at each unmount, unless it was there before: then it stays until ``fsck.fat``
has looked, which clears it, too. So both are cleared. The boot sector is the one sector that FAT12 and FAT16 have no
copy of: it is written last, only where the flag is set (a PC has left the card in a hurry, ours never set it), and one
bit of it changes, so that a torn write harms nothing. A card that destroys the sector in that very write is one that a
PC would have lost at its next mount.
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from dataclasses import dataclass

from cfcard.blockdev import SECTOR_BYTES, BlockDevice
from cfcard.errors import SectorError
from cfcard.fat.bpb import Bpb
from cfcard.fat.copies import MAX_FAT_SECTORS, Copies, FatCopy, read_copies
from cfcard.fat.fsinfo import UNKNOWN, fsinfo_from_sector, fsinfo_sector
from cfcard.fat.partition import find_volume
from cfcard.fat.sectors import Sectors
from cfcard.fat.steps import run_steps
from cfcard.fat.survey import MAX_TREE_SECTORS, Survey, TooLarge

__all__ = ["RepairReport", "repair", "repair_steps"]

MAX_FREED_BYTES = 64 * 1024
MAX_FREED_CLUSTERS = 2
"""An interrupted update of ours leaves no more than the larger of the two: a small file and a longer directory. More
may be somebody's files, which a PC can still save."""

WRITES = 8
"""Single sectors written per step: some 7 ms of a card's time, as ``READ_SECTORS`` read in one transfer."""


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
    return run_steps(repair_steps(device))


def repair_steps(device: BlockDevice, /) -> Generator[None, None, RepairReport]:
    """The same in steps, for whoever has other things to do meanwhile. Giving up after any is a cut there."""
    sectors, bpb = find_volume(device)
    if bpb.fat_sectors > MAX_FAT_SECTORS:
        text = f"FAT of {bpb.fat_sectors} sectors: not looked at for damage, {MAX_FAT_SECTORS} is the longest that is"
        return RepairReport(left=(text,))
    try:
        return (yield from _Repair(sectors, bpb).run())
    except TooLarge:
        return RepairReport(
            left=(f"more than {MAX_TREE_SECTORS} sectors of directories: too many to be looked at here",)
        )
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return RepairReport(left=("it is write-protected: nothing was mended",))


class _Repair:
    """One repair."""

    def __init__(self, sectors: Sectors, bpb: Bpb) -> None:
        self._sectors = sectors
        self._bpb = bpb
        self._done: list[str] = []

    def run(self) -> Generator[None, None, RepairReport]:
        bpb = self._bpb
        copies = yield from read_copies(self._sectors, bpb)
        cache: dict[int, bytes | None] = {}
        surveys = [Survey(self._sectors, bpb, fat, cache) for fat in copies.candidates()]
        for survey in surveys:
            yield from survey.walk()
        best = min(surveys, key=lambda survey: (survey.trouble, len(survey.orphans())))
        yield from self._equal_copies(copies, best)
        left = list(best.left)
        yield from self._mend(best)
        left += yield from self._free(best)
        self._hints(best)
        if not left:
            yield from self._clear_dirty(best)
        return RepairReport(tuple(self._done), tuple(left))

    def _equal_copies(self, copies: Copies, best: Survey) -> Generator[None, None, None]:
        """Step 1: each copy that differs becomes equal to the one that counts."""
        for number in reversed(range(self._bpb.fats)):
            places = copies.different(number, best.fat.raw)
            for count, place in enumerate(places):
                self._write_fat(number, place, best.fat.raw)
                if count % WRITES == WRITES - 1:
                    yield
            if places:
                self._sectors.sync()
                self._done.append(f"FAT {number + 1}: {len(places)} sectors restored")

    def _write_fat(self, copy: int, place: int, raw: bytearray) -> None:
        at = place * SECTOR_BYTES
        lba = self._bpb.reserved + copy * self._bpb.fat_sectors + place
        self._sectors.write(lba, raw[at : at + SECTOR_BYTES])

    def _flush(self, fat: FatCopy) -> Generator[None, None, None]:
        for copy in reversed(range(self._bpb.fats)):
            for count, place in enumerate(sorted(fat.dirty)):
                self._write_fat(copy, place, fat.raw)
                if count % WRITES == WRITES - 1:
                    yield
            # Where power can still go, one of the two must be whole.
            self._sectors.sync()
        fat.dirty.clear()

    def _mend(self, best: Survey) -> Generator[None, None, None]:
        """Steps 2 and 3: chains, then directories."""
        fat = best.fat
        self._heads(fat)
        for chain in best.links:
            for cluster, following in zip(chain, [*chain[1:], fat.end + 7], strict=True):
                if fat.get(cluster) != following:
                    fat.put(cluster, following)
        for cluster in best.cuts:
            fat.put(cluster, fat.end + 7)
        if fat.dirty and not (yield from best.may_miss_directories()):
            # In the same write: half of it torn, a sector that was destroyed would no longer look it.
            for cluster in best.orphans():
                if fat.is_erased(cluster) or fat.sectors_of(cluster) & fat.lost:
                    fat.put(cluster, 0)
        self._done += best.notes
        if fat.dirty:
            yield from self._flush(fat)
        changed = [(folder, number) for folder in best.folders for number in sorted(folder.changed, reverse=True)]
        for count, (folder, number) in enumerate(changed):
            at = number * SECTOR_BYTES
            self._sectors.write(folder.places[number], folder.data[at : at + SECTOR_BYTES])
            if count % WRITES == WRITES - 1:
                yield
        if changed:
            self._sectors.sync()

    def _heads(self, fat: FatCopy) -> None:
        """Entries 0 and 1 belong to nobody: media byte, and the marks of a volume that is in order."""
        if fat.get(0) & 0xFF != self._bpb.media or fat.get(0) < fat.bad - 7 or 0 in fat.lost:
            fat.put(0, fat.end & ~0xFF | self._bpb.media)
            fat.put(1, fat.end + 7)
            if 0 not in fat.lost:
                self._done.append("FAT: first entries restored")

    def _free(self, best: Survey) -> Generator[None, None, list[str]]:
        """Step 4: what nobody names. Gives what is left."""
        fat, orphans = best.fat, best.orphans()
        if not orphans:
            return []
        if (yield from best.may_miss_directories()):
            return [f"{len(orphans)} lost clusters: a directory is incomplete"]
        # A FAT sector that was made anew has entries that mean nothing: they are nobody's.
        counted = [c for c in orphans if not fat.sectors_of(c) & best.suspect and not fat.is_erased(c)]
        if len(counted) > max(MAX_FREED_CLUSTERS, MAX_FREED_BYTES // self._bpb.cluster_bytes):
            return [f"{len(orphans)} lost clusters, the first is {orphans[0]}: a PC can turn them into files"]
        for cluster in orphans:
            fat.put(cluster, 0)
        yield from self._flush(fat)
        self._done.append(f"{len(orphans)} lost clusters freed")
        return []

    def _hints(self, best: Survey) -> None:
        """Step 5: FAT32's count of free clusters."""
        if not self._bpb.fsinfo:
            return
        fat = best.fat
        free = fat.count_free()
        try:
            said = fsinfo_from_sector(self._sectors.read(self._bpb.fsinfo))
        except SectorError:
            said = None
        if said is None or said[0] not in (free, UNKNOWN):
            self._sectors.write(self._bpb.fsinfo, fsinfo_sector(free, UNKNOWN))
            self._sectors.sync()
            self._done.append("FSInfo: count of free clusters set")

    def _clear_dirty(self, best: Survey) -> Generator[None, None, None]:
        """Step 5: the flags of a PC that did not eject the card; first the one that the card has twice."""
        bpb, fat = self._bpb, best.fat
        clean = {12: 0, 16: 0x8000, 32: 0x0800_0000}[bpb.kind]
        was_dirty = fat.get(1) & clean != clean
        if was_dirty:
            fat.put(1, fat.get(1) | clean)
            yield from self._flush(fat)
        if bpb.dirty:
            boot = self._sectors.read(0)
            boot[bpb.flags_offset] &= ~1
            self._sectors.write(0, boot)
            self._sectors.sync()
        if was_dirty or bpb.dirty:
            self._done.append("dirty flag cleared")
