"""Where on a card the volume is: the whole card ("superfloppy"), or a partition of it (MBR).

Cards come from the factory and from cameras with an MBR and one partition; a blank card formatted by some PCs has
none::

    MBR, sector 0:   0..445 code   446 entry 1   462 entry 2   478 entry 3   494 entry 4   510 55 AA
    an entry:        0 80h = active   1 CHS first   4 type   5 CHS last   8 LBA first (32 bit)   12 sectors (32 bit)

The sizes in partition tables of cards are often wrong; only the first sector is believed, and the size is the volume's
own.
"""

from __future__ import annotations

import struct

from cfcard.blockdev import SECTOR_BYTES, BlockDevice, sector_count
from cfcard.errors import NoCard, VolumeCorrupt
from cfcard.fat.bpb import SIGNATURE, Bpb, bpb_from_sector
from cfcard.fat.sectors import Sectors
from cfcard.identify import Geometry

__all__ = ["FAT_TYPES", "TABLE_AT", "find_volume", "mbr_entry", "partition_start", "partition_type"]

FAT_TYPES = frozenset((0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E))
"""FAT12, FAT16 below 32 MiB, FAT16, FAT32, FAT32 by LBA, FAT16 by LBA."""

TABLE_AT = 446
ENTRY_BYTES = 16


def find_volume(device: BlockDevice) -> tuple[Sectors, Bpb]:
    """The first FAT volume on ``device``.

    Raises:
        VolumeCorrupt: there is none; the text says what sector 0 lacks.
        OSError: the device failed.
    """
    count = sector_count(device)
    if count < 1:
        raise NoCard
    sector = bytearray(SECTOR_BYTES)
    device.readblocks(0, sector)
    try:
        return _window(device, 0, count, sector)
    except VolumeCorrupt as error:
        start = partition_start(sector, count)
        if start is None:
            raise error from None
    device.readblocks(start, sector)
    return _window(device, start, count, sector)


def partition_start(sector: bytes | bytearray, count: int) -> int | None:
    """First sector of the first FAT partition, None when sector 0 is no partition table or has none.

    A superfloppy's boot sector ends in the same signature: what lies at the place of the table there is boot code,
    which hardly ever reads as an entry with a valid status byte, a FAT type and a first sector on the card.
    """
    if sector[510:512] != SIGNATURE:
        return None
    for i in range(4):
        status, kind, first, _size = struct.unpack_from("<B3xB3xII", sector, TABLE_AT + i * ENTRY_BYTES)
        if status in (0x00, 0x80) and kind in FAT_TYPES and 0 < first < count:
            return int(first)
    return None


def partition_type(fat: int, sectors: int) -> int:
    """The type byte for a partition of ``sectors`` sectors that holds FAT ``fat``."""
    if fat == 12:
        return 0x01
    if fat == 16:
        return 0x04 if sectors < 65_536 else 0x0E
    return 0x0C


def mbr_entry(kind: int, first: int, sectors: int, geometry: Geometry) -> bytes:
    """The 16 bytes of a partition table entry, CHS fields included for those who read them."""
    head = b"\x00" + _chs(first, geometry) + bytes((kind,)) + _chs(first + sectors - 1, geometry)
    return head + struct.pack("<II", first, sectors)


def _chs(lba: int, geometry: Geometry) -> bytes:
    cylinder, head, sector = geometry.chs_from_lba(lba)
    if cylinder > 1023:
        return b"\xfe\xff\xff"  # beyond what 10 bits say: "use the LBA fields"
    return bytes((head, sector | cylinder >> 2 & 0xC0, cylinder & 0xFF))


def _window(device: BlockDevice, start: int, count: int, sector: bytearray) -> tuple[Sectors, Bpb]:
    bpb = bpb_from_sector(sector, count - start)
    return Sectors(device, start, bpb.total_sectors), bpb
