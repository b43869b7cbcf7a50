"""Makes FAT volumes as PCs make them on cards: two FATs, clusters of 4 KiB in the usual sizes.

::

    superfloppy    | volume ........................................................ |
    mbr            | MBR | 2,047 empty sectors | volume ............................. |   (1 MiB: whole erase blocks)

The FAT follows from the size: FAT12 below 16 MiB, FAT16 below 512 MiB, FAT32 from there on. Two FATs and clusters no
smaller than a key file matter for safety: a file of one cluster can be read without any FAT.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Generator
from dataclasses import dataclass

from cfcard.blockdev import SECTOR_BYTES, SYNC, BlockDevice, sector_count
from cfcard.errors import CardError, NoCard, SectorError
from cfcard.fat.bpb import EXTENDED, FAT12_CLUSTERS, FAT16_CLUSTERS, SIGNATURE
from cfcard.fat.fsinfo import fsinfo_sector
from cfcard.fat.partition import TABLE_AT, mbr_entry, partition_start, partition_type
from cfcard.fat.steps import run_steps
from cfcard.identify import Geometry, geometry_from_sectors

__all__ = ["mkfs", "mkfs_steps", "write_mbr"]

MIB = 2048
"""Sectors in a MiB."""

FAT12_BELOW = 16 * MIB
FAT32_FROM = 512 * MIB

MAX_CLUSTER_SECTORS = 128
"""Clusters of 64 KiB: Windows NT and its successors, Linux and mtools read them; there are none larger."""

MARGIN = 16
"""Distance in clusters from the borders between the FATs: some systems are off by a few (FAT specification)."""

ROOT_ENTRIES = 512
FATS = 2
MEDIA = 0xF8
ALIGNMENT = MIB
"""First sector of the partition in a new MBR."""

CHUNK = bytes(32 * 1024)
"""Written in one step: some 7 ms of a card's time."""

BOOT_CODE = b"\xfa\xf4\xeb\xfd"
"""cli; hlt; jmp back: a PC that boots from the card stops."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The figures of the volume to be."""

    fat: int
    total: int
    hidden: int
    per_cluster: int
    reserved: int
    root_entries: int
    fat_sectors: int
    serial: int
    label: bytes
    geometry: Geometry

    @property
    def clusters(self) -> int:
        overhead = self.reserved + FATS * self.fat_sectors + self.root_entries * 32 // SECTOR_BYTES
        return (self.total - overhead) // self.per_cluster


def mkfs(device: BlockDevice, /, *, fat: int | None = None, serial: int = 0, label: str = "") -> None:
    """Formats ``device``: inside its MBR's FAT partition when there is one, else the whole of it.

    Args:
        device: everything on the volume is lost.
        fat: 12, 16 or 32; None takes what fits the size.
        serial: volume serial number; the caller draws it.
        label: volume label, 11 characters at most.

    Raises:
        CardError: EINVAL when that FAT is not possible at this size, or the label is too long; nothing is written then.
    """
    run_steps(mkfs_steps(device, fat=fat, serial=serial, label=label))


def mkfs_steps(
    device: BlockDevice, /, *, fat: int | None = None, serial: int = 0, label: str = ""
) -> Generator[None, None, None]:
    """The same in steps, for whoever has other things to do meanwhile. The first one judges, and writes nothing."""
    count = sector_count(device)
    if count < 1:
        raise NoCard
    first = bytearray(SECTOR_BYTES)
    try:
        device.readblocks(0, first)
    except SectorError:
        pass  # an interrupted format may leave it so; writing makes it readable
    start, size = _place(first, count)
    plan = _plan(size, start, fat, serial, _label_bytes(label), geometry_from_sectors(count))
    yield
    yield from _write(device, start, plan)
    if start:
        # The type byte follows the FAT: some systems refuse a partition that says otherwise.
        at = TABLE_AT + _entry_index(first, start) * 16
        first[at + 4] = partition_type(plan.fat, size)
        device.writeblocks(0, first)
    device.ioctl(SYNC, 0)


def write_mbr(device: BlockDevice, /, *, serial: int = 0) -> None:
    """Gives a new card a partition table with one partition; ``mkfs`` then formats that."""
    count = sector_count(device)
    start = ALIGNMENT if count > 8 * ALIGNMENT else 63
    if count <= start + 64:
        raise CardError(f"a card of {count} sectors is too small for a partition table", errno.EINVAL)
    size = count - start
    kind = partition_type(_default_fat(size), size)
    sector = bytearray(SECTOR_BYTES)
    sector[0 : len(BOOT_CODE)] = BOOT_CODE
    sector[440:444] = serial.to_bytes(4, "little")
    sector[TABLE_AT : TABLE_AT + 16] = mbr_entry(kind, start, size, geometry_from_sectors(count))
    sector[510:512] = SIGNATURE
    device.writeblocks(0, sector)
    device.ioctl(SYNC, 0)


def _place(first: bytearray, count: int) -> tuple[int, int]:
    """(first sector, sectors) of the place for the volume."""
    looks_like_boot = first[0] in (0xEB, 0xE9) and first[11:13] == b"\x00\x02"
    start = None if looks_like_boot else partition_start(first, count)
    if start is None:
        return 0, count
    said = struct.unpack_from("<I", first, TABLE_AT + _entry_index(first, start) * 16 + 12)[0]
    return start, min(said, count - start) or count - start


def _entry_index(first: bytearray, start: int) -> int:
    return next(i for i in range(4) if struct.unpack_from("<I", first, TABLE_AT + i * 16 + 8)[0] == start)


def _label_bytes(label: str) -> bytes:
    raw = label.upper().encode("cp437", "replace")
    if len(raw) > 11 or any(c < 0x20 or c in b'"*+,./:;<=>?[\\]|' for c in raw):
        raise CardError(f"label {label!r}: at most 11 characters, no punctuation", errno.EINVAL)
    return raw.ljust(11) if raw.strip() else b"NO NAME    "


def _default_fat(size: int) -> int:
    return 12 if size < FAT12_BELOW else 16 if size < FAT32_FROM else 32


def _usual_cluster(fat: int, size: int) -> int:
    """Sectors per cluster that PCs take: 4 KiB in the usual sizes, more where there would be too many clusters.

    Above 128 GiB they stay at 32 KiB. The largest that they read, 64 KiB, makes a FAT that can still be checked.
    """
    steps = ((8_192, 8), (16_384, 16), (32_768, 32), (131_072, 64)) if fat == 32 else ()
    return next((sectors for mib, sectors in steps if size <= mib * MIB), MAX_CLUSTER_SECTORS if steps else 8)


def _plan(size: int, start: int, fat: int | None, serial: int, label: bytes, geometry: Geometry) -> _Plan:
    kind = _default_fat(size) if fat is None else fat
    if kind not in (12, 16, 32):
        raise CardError(f"FAT{kind}: there are 12, 16 and 32", errno.EINVAL)
    usual = _usual_cluster(kind, size)
    low, high = {
        12: (1, FAT12_CLUSTERS - MARGIN),
        16: (FAT12_CLUSTERS + MARGIN, FAT16_CLUSTERS - MARGIN),
        32: (FAT16_CLUSTERS + MARGIN, 0x0FFF_FFF4),
    }[kind]
    # From the usual cluster size to the largest one, and only then to smaller ones, which a small card may need.
    larger = [c for c in (1, 2, 4, 8, 16, 32, 64) if c > usual]
    for per_cluster in [usual, *larger, *(c for c in (4, 2, 1) if c < usual)]:
        plan = _sized(kind, size, start, per_cluster, serial, label, geometry)
        if plan is not None and low <= plan.clusters <= high:
            return plan
    raise CardError(f"FAT{kind} is not possible on {size} sectors", errno.EINVAL)


def _sized(kind: int, size: int, start: int, per: int, serial: int, label: bytes, geometry: Geometry) -> _Plan | None:
    """The plan with clusters of ``per`` sectors; data begins at a whole cluster of the card."""
    root = 0 if kind == 32 else ROOT_ENTRIES
    reserved = 32 if kind == 32 else 1
    clusters = max(1, (size - reserved) // per)
    fat_sectors = -(-((clusters + 2) * kind) // (8 * SECTOR_BYTES))
    overhead = reserved + FATS * fat_sectors + root * 32 // SECTOR_BYTES
    reserved += -(start + overhead) % per
    if size - (overhead + per) < per:
        return None
    return _Plan(kind, size, start, per, reserved, root, fat_sectors, serial, label, geometry)


def _write(device: BlockDevice, start: int, plan: _Plan) -> Generator[None, None, None]:
    """The boot sector goes last: a format that is cut short leaves no volume rather than a wrong one."""
    device.writeblocks(start, bytes(SECTOR_BYTES))
    device.ioctl(SYNC, 0)  # the old boot sector must not come back with new FATs
    fats = start + plan.reserved
    after = fats + FATS * plan.fat_sectors
    root = plan.root_entries * 32 // SECTOR_BYTES or plan.per_cluster
    yield from _zero(device, start + 1, after + root)
    for copy in range(FATS):
        device.writeblocks(fats + copy * plan.fat_sectors, _first_fat_sector(plan.fat))
    if plan.label.strip() != b"NO NAME":
        device.writeblocks(after, (plan.label + b"\x08" + bytes(10) + b"\x00\x00\x21\x00").ljust(SECTOR_BYTES, b"\0"))
    boot = _boot_sector(plan)
    if plan.fat == 32:
        info = fsinfo_sector(plan.clusters - 1, 3)
        device.writeblocks(start + 1, info)
        device.writeblocks(start + 7, info)
        device.writeblocks(start + 6, boot)
    device.ioctl(SYNC, 0)
    device.writeblocks(start, boot)


def _zero(device: BlockDevice, first: int, stop: int) -> Generator[None, None, None]:
    step = len(CHUNK) // SECTOR_BYTES
    for at in range(first, stop, step):
        device.writeblocks(at, memoryview(CHUNK)[: min(step, stop - at) * SECTOR_BYTES])
        yield


def _first_fat_sector(fat: int) -> bytes:
    head = {12: b"\xf8\xff\xff", 16: b"\xf8\xff\xff\xff", 32: b"\xf8\xff\xff\x0f\xff\xff\xff\x0f\xf8\xff\xff\x0f"}[fat]
    return head.ljust(SECTOR_BYTES, b"\0")


def _boot_sector(plan: _Plan) -> bytes:
    sector = bytearray(SECTOR_BYTES)
    small = plan.total if plan.total < 65_536 and plan.fat != 32 else 0
    wide = plan.fat == 32
    sector[0:11] = (b"\xeb\x58\x90" if wide else b"\xeb\x3c\x90") + b"GATEBNCH"
    counts = (SECTOR_BYTES, plan.per_cluster, plan.reserved, FATS, plan.root_entries, small, MEDIA)
    tracks = (plan.geometry.sectors, plan.geometry.heads, plan.hidden)
    fat_sectors = 0 if wide else plan.fat_sectors
    struct.pack_into("<HBHBHHBHHHII", sector, 11, *counts, fat_sectors, *tracks, 0 if small else plan.total)
    if wide:
        struct.pack_into("<IHHIHH", sector, 36, plan.fat_sectors, 0, 0, 2, 1, 6)
    at = 64 if wide else 36
    name = f"FAT{plan.fat}".ljust(8).encode("ascii")
    sector[at : at + 3] = bytes((0x80, 0, EXTENDED))
    sector[at + 3 : at + 26] = (plan.serial & 0xFFFF_FFFF).to_bytes(4, "little") + plan.label + name
    sector[at + 26 : at + 26 + len(BOOT_CODE)] = BOOT_CODE
    sector[510:512] = SIGNATURE
    return bytes(sector)
