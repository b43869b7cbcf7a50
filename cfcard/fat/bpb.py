"""The boot sector: where everything else on a FAT volume is.

::

    sector  0          reserved           +fat            +fat             +root          data
            +----------+------------------+---------------+----------------+--------------+------------------
            | boot     | FSInfo, backup   | FAT 1         | FAT 2          | root dir     | cluster 2, 3, 4 ...
            | sector   | (FAT32 only)     |               | (if there)     | (not FAT32)  |
            +----------+------------------+---------------+----------------+--------------+------------------

    offset  FAT12/16            FAT32
      0     jump EB xx 90 or E9 xx xx
     11     bytes per sector (512)               13  sectors per cluster (power of two)
     14     reserved sectors                     16  number of FATs
     17     root entries        0                19  total sectors, 16 bit (0: see 32)
     21     media byte                           22  sectors per FAT     0 (see 36)
     28     hidden sectors                       32  total sectors, 32 bit
     36     -                   36  sectors per FAT      44  root cluster   48  FSInfo sector   50  backup boot sector
     37     flags, bit 0 dirty  65  flags
     38     29h                 66  29h
     39     volume serial       67  volume serial
     43     label               71  label
    510     55 AA

Which FAT it is follows from the number of clusters alone: below 4,085 FAT12, below 65,525 FAT16, else FAT32 (Microsoft
FAT32 File System Specification, FAT Type Determination). A volume without a 16-bit FAT size is FAT32 whatever it
counts, as Linux and mtools take it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from cfcard.blockdev import SECTOR_BYTES
from cfcard.errors import VolumeCorrupt

__all__ = ["FAT12_CLUSTERS", "FAT16_CLUSTERS", "Bpb", "bpb_from_sector"]

FAT12_CLUSTERS = 4_085
"""A volume with fewer clusters is FAT12."""
FAT16_CLUSTERS = 65_525
"""A volume with fewer clusters (and no fewer than ``FAT12_CLUSTERS``) is FAT16."""

SIGNATURE = b"\x55\xaa"
EXTENDED = 0x29
"""Says that serial number and label follow."""


@dataclass(frozen=True, slots=True)
class Bpb:
    """The BIOS parameter block, checked; sector numbers count from the volume's first sector."""

    kind: int
    """12, 16 or 32."""
    sectors_per_cluster: int
    reserved: int
    fats: int
    root_entries: int
    total_sectors: int
    media: int
    fat_sectors: int
    hidden: int
    root_cluster: int
    """First cluster of the root directory; 0 where it is not a chain (FAT12/16)."""
    fsinfo: int
    """Sector of the FSInfo structure, 0 for none."""
    backup: int
    """Sector of the second boot sector, 0 for none."""
    dirty: bool
    serial: int
    label: str
    clusters: int
    """Number of data clusters; they are numbered 2 to ``clusters + 1``."""

    cluster_bytes: int = field(init=False)
    data_start: int = field(init=False)
    """First sector of cluster 2."""

    def __post_init__(self) -> None:
        # Worked out once: every transfer asks for them.
        object.__setattr__(self, "cluster_bytes", self.sectors_per_cluster * SECTOR_BYTES)
        object.__setattr__(self, "data_start", self.root_start + self.root_sectors)

    @property
    def root_start(self) -> int:
        return self.reserved + self.fats * self.fat_sectors

    @property
    def root_sectors(self) -> int:
        return -(-self.root_entries * 32 // SECTOR_BYTES)

    def sector_from_cluster(self, cluster: int) -> int:
        return self.data_start + (cluster - 2) * self.sectors_per_cluster

    @property
    def flags_offset(self) -> int:
        """Where in the boot sector the dirty flag (bit 0) is."""
        return 65 if self.kind == 32 else 37


def bpb_from_sector(sector: bytes | bytearray, available: int) -> Bpb:
    """The parameters of the volume that starts with ``sector``.

    Args:
        sector: the first 512 bytes of the volume.
        available: number of sectors there are from here to the end of the device.

    Raises:
        VolumeCorrupt: this is no FAT boot sector, or its figures cannot all be true.
    """
    if sector[510:512] != SIGNATURE:
        raise VolumeCorrupt("boot sector", "signature 55AA at 510", bytes(sector[510:512]).hex().upper())
    (size, per_cluster, reserved, fats, root_entries, total16, media, fat16, _track, _heads, hidden, total32) = (
        struct.unpack_from("<HBHBHHBHHHII", sector, 11)
    )
    (fat32, flags, _version, root_cluster, fsinfo, backup) = struct.unpack_from("<IHHIHH", sector, 36)
    wide = fat16 == 0
    fat_sectors = fat32 if wide else fat16
    total = total16 or total32
    _require(size == SECTOR_BYTES, "bytes per sector", SECTOR_BYTES, size)
    _require(per_cluster and per_cluster & (per_cluster - 1) == 0, "sectors per cluster", "a power of two", per_cluster)
    _require(reserved >= 1, "reserved sectors", "at least 1", reserved)
    _require(fats in (1, 2), "number of FATs", "1 or 2", fats)
    _require(fat_sectors >= 1, "sectors per FAT", "at least 1", fat_sectors)
    _require(wide or root_entries > 0, "root entries", "at least 1", root_entries)
    _require(total <= available, "total sectors", f"at most {available}, the size of the card", total)
    root_entries = 0 if wide else root_entries
    overhead = reserved + fats * fat_sectors + -(-root_entries * 32 // SECTOR_BYTES)
    counted = (total - overhead) // per_cluster if total > overhead else 0
    _require(counted >= 1, "total sectors", f"more than {overhead}, what the FATs and root take", total)
    kind = 32 if wide else 12 if counted < FAT12_CLUSTERS else 16
    _require(kind == 32 or counted < FAT16_CLUSTERS, "clusters", f"fewer than {FAT16_CLUSTERS} for FAT16", counted)
    # A FAT too short for all the clusters leaves the rest of them out of use, as Linux does it.
    clusters = min(counted, fat_sectors * SECTOR_BYTES * 8 // kind - 2, 0x0FFF_FFF5)
    _require(clusters >= 1, "sectors per FAT", "room for one cluster", fat_sectors)
    if wide:
        _require(2 <= root_cluster < clusters + 2, "root cluster", f"2 to {clusters + 1}", root_cluster)
        # Bit 7: the FATs are no mirrors of each other. Nobody formats so; taking FAT 1 for the truth would lose files.
        _require(not flags & 0x80, "FAT mirroring", "on", "off")
    at = 65 if wide else 37
    extended = sector[at + 1] == EXTENDED
    return Bpb(
        kind=kind,
        sectors_per_cluster=per_cluster,
        reserved=reserved,
        fats=fats,
        root_entries=root_entries,
        total_sectors=total,
        media=media,
        fat_sectors=fat_sectors,
        hidden=hidden,
        root_cluster=root_cluster if wide else 0,
        fsinfo=fsinfo if wide and 0 < fsinfo < reserved else 0,
        backup=backup if wide and 0 < backup < reserved else 0,
        dirty=bool(sector[at] & 1),
        serial=int.from_bytes(sector[at + 2 : at + 6], "little") if extended else 0,
        label=bytes(sector[at + 6 : at + 17]).decode("cp437").rstrip() if extended else "",
        clusters=clusters,
    )


def _require(true: object, what: str, expected: object, found: object) -> None:
    if not true:
        raise VolumeCorrupt(f"boot sector, {what}", str(expected), str(found))
