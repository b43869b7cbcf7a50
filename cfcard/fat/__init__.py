"""FAT12, FAT16 and FAT32 volumes: where to find which bytes.

=================  =============================================================
``partition``      sector 0: MBR or superfloppy
``bpb``            the boot sector
``table``          the file allocation table, chains, free clusters
``claims``         free clusters that open files have put by
``tally``          how many clusters are free, page by page
``fsinfo``         FAT32's count of free clusters
``tree``           finding a path; directories in memory; open files
``directory``      where entries go, and in which order
``entry``          the 32 bytes of an entry
``names``          8.3 names, long names, checksums
``stamp``          dates and times
``file``           an open file
``chain``          the clusters of an open file
``content``        a whole file at once
``rename``         another name or place
``volume``         a mounted volume; the order of writes
``mkfs``           makes volumes
``check``          looks for damage
``repair``         mends what a cut left
``survey``         what there is to mend
``copies``         both FATs in memory, for ``repair``
``sectors``        the volume's window onto its device
=================  =============================================================
"""

from __future__ import annotations

from cfcard.fat.check import CheckReport, check
from cfcard.fat.file import File
from cfcard.fat.filesystem import Fat
from cfcard.fat.mkfs import mkfs, write_mbr
from cfcard.fat.repair import RepairReport, repair
from cfcard.fat.volume import Volume

__all__ = ["CheckReport", "Fat", "File", "RepairReport", "Volume", "check", "mkfs", "repair", "write_mbr"]
