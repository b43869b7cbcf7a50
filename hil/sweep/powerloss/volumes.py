"""The cards of a sweep: every FAT, with two copies of it and with one, and what lies on them that is nobody's business.

Small, so that a state costs little; the clusters as PCs and ``mkfs`` make them, and once the smallest there are, where
every file is a chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from cfcard import SECTOR_BYTES, RamDevice
from cfcard.fat import Fat, write_mbr
from cfcard.fat.fsinfo import fsinfo_sector
from cfcard.fat.partition import find_volume

__all__ = ["BYSTANDERS", "VOLUMES", "Format", "blank", "new_card"]

MIB = 1 << 20
FEW_CLUSTERS = 4_096

BYSTANDERS: dict[str, bytes] = {
    "/README.TXT": b"This card belongs to somebody.\r\n",
    "/Documents of the owner/a letter.txt": b"Dear reader, " * 800,
    "/Documents of the owner/empty": b"",
}
"""Files that no operation of the firmware may touch."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a card is formatted."""

    name: str
    fat: int
    size_bytes: int
    fats: int = 2
    mbr: bool = False
    short: bool = False
    """FAT32 with fewer clusters than the specification has it: Linux, dosfstools and the firmware go by the fields of
    the boot sector, mtools does not. A state costs a fifth of what it costs on the smallest proper one."""
    weight: float = 1.0
    """How many samples are drawn here, of those asked for."""
    operations: tuple[str, ...] = ()
    """What is done on it; all when empty."""


SOME = ("create", "issue-backup", "mount", "format")

VOLUMES = (
    Format("fat12", 12, 1 * MIB),
    Format("fat12-one", 12, 1 * MIB, fats=1),
    Format("fat16", 16, 17 * MIB),
    Format("fat16-one", 16, 17 * MIB, fats=1),
    Format("fat16-mbr", 16, 18 * MIB, mbr=True, weight=0.3, operations=SOME),
    Format("fat16-tiny", 16, 3 * MIB, weight=0.6),
    Format("fat32", 32, 34 * MIB, weight=0.1, operations=SOME),
    Format("fat32-short", 32, 34 * MIB, short=True, weight=0.6),
    Format("fat32-one", 32, 34 * MIB, fats=1, short=True, weight=0.6),
)


def blank(form: Format) -> RamDevice:
    """A formatted card without any file."""
    card = RamDevice(form.size_bytes)
    if form.mbr:
        write_mbr(card, serial=0x5EED)
    Fat().mkfs(card, fat=form.fat, serial=0x5EED_0001)
    if form.short:
        _shorten(card)
    if form.fats == 1:
        _forget_first_fat(card)
    return card


def new_card(form: Format) -> RamDevice:
    """A formatted card with somebody's files on it."""
    card = blank(form)
    volume = Fat().mount(card)
    for path, content in BYSTANDERS.items():
        directory = path.rpartition("/")[0]
        if directory and directory[1:] not in {row[0] for row in volume.ilistdir("/")}:
            volume.mkdir(directory)
        volume.replace(path, content)
    volume.umount()
    return card


def _shorten(card: RamDevice) -> None:
    """Leaves a FAT32 volume 4,096 of its clusters."""
    sectors, bpb = find_volume(card)
    for lba in (0, bpb.backup):
        boot = sectors.read(lba)
        boot[32:36] = (bpb.data_start + FEW_CLUSTERS * bpb.sectors_per_cluster).to_bytes(4, "little")
        sectors.write(lba, boot)
    sectors.write(bpb.fsinfo, fsinfo_sector(FEW_CLUSTERS - 1, 3))


def _forget_first_fat(card: RamDevice) -> None:
    """Makes the first FAT part of the reserved sectors: what is left is a volume with one, as some firmware formats."""
    sectors, bpb = find_volume(card)
    for lba in {0, bpb.backup}:
        boot = sectors.read(lba)
        boot[14:16] = (bpb.reserved + bpb.fat_sectors).to_bytes(2, "little")
        boot[16] = 1
        sectors.write(lba, boot)
    assert len(boot) == SECTOR_BYTES
