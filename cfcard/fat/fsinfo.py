"""The FSInfo sector of FAT32: how many clusters are free, and where to look for the next one.

::

    0 "RRaA"     484 "rrAa"     488 free clusters     492 next free     508 00 00 55 AA
                                    (FFFFFFFF: unknown, both)

It is a hint. After a crash it may be wrong, so nothing but ``statvfs`` and the place to start looking depends on it.
"""

from __future__ import annotations

import struct

from cfcard.blockdev import SECTOR_BYTES

__all__ = ["UNKNOWN", "fsinfo_from_sector", "fsinfo_sector"]

UNKNOWN = 0xFFFF_FFFF


def fsinfo_from_sector(sector: bytes | bytearray) -> tuple[int, int] | None:
    """(free clusters, next free), each possibly ``UNKNOWN``; None when this is no FSInfo sector."""
    if sector[0:4] != b"RRaA" or sector[484:488] != b"rrAa" or sector[510:512] != b"\x55\xaa":
        return None
    free, following = struct.unpack_from("<II", sector, 488)
    return int(free), int(following)


def fsinfo_sector(free: int, following: int) -> bytes:
    """The 512 bytes."""
    sector = bytearray(SECTOR_BYTES)
    sector[0:4] = b"RRaA"
    sector[484:488] = b"rrAa"
    struct.pack_into("<II", sector, 488, free, following)
    sector[510:512] = b"\x55\xaa"
    return bytes(sector)
