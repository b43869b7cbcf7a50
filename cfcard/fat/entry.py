"""What the 32-byte slots of a directory hold.

::

    the 8.3 entry      0 name (8+3)      11 attributes     12 case bits     13 created: 10 ms   14 time  16 date
                      18 accessed: date  20 cluster, high  22 written: time  24 date
                      26 cluster, low    28 size

    first byte         00 nothing here, nor later      E5 deleted      05 stands for E5
    attributes         01 read-only  02 hidden  04 system  08 volume label  10 directory  20 archive   0F long name

The long-name slots before it are drawn in ``names``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cfcard.fat.names import LAST_PART, short_checksum, text_from_long, text_from_short, units_from_slot
from cfcard.fat.stamp import Stamp

__all__ = [
    "ARCHIVE",
    "DELETED",
    "DIRECTORY",
    "LABEL",
    "READ_ONLY",
    "SLOT_BYTES",
    "Entry",
    "LongName",
    "entry_from_slot",
    "new_directory_data",
    "put_content",
    "slot_bytes",
]

SLOT_BYTES = 32
SLOT = struct.Struct("<11sB2xHHHHHHHI")
CONTENT = struct.Struct("<HHHHHI")
CONTENT_AT = 18

READ_ONLY, LABEL, DIRECTORY, ARCHIVE = 0x01, 0x08, 0x10, 0x20
"""Attributes that matter here; hidden (02h) and system (04h) are kept as they are."""

DELETED = 0xE5


@dataclass(slots=True)
class Entry:
    """One name of a directory and what it stands for."""

    name: str
    short: bytes
    attributes: int
    cluster: int
    """First cluster, 0 for an empty file."""
    size: int
    stamp: Stamp
    first: int
    """Slot where it begins."""
    slot: int
    """Slot of the 8.3 entry, the last one."""

    @property
    def is_directory(self) -> bool:
        return bool(self.attributes & DIRECTORY)


class LongName:
    """The long-name slots met so far; they count only when they are complete and belong to the 8.3 entry after them."""

    def __init__(self) -> None:
        self.first = 0
        self._parts: list[bytes] = []
        self._next = -1
        self._checksum = -1

    def clear(self) -> None:
        self._parts.clear()
        self._next = -1

    def add(self, slot: int, raw: bytearray) -> None:
        order = raw[0]
        if order & LAST_PART:
            self.clear()
            self.first, self._next, self._checksum = slot, order & 0x3F, raw[13]
        if self._next < 1 or order & 0x3F != self._next or raw[13] != self._checksum:
            self.clear()
            return
        self._parts.append(units_from_slot(raw))
        self._next -= 1

    def name_for(self, short: bytes) -> str | None:
        """The long name of the entry ``short``, None when it has none that makes sense."""
        return self.name if self._next == 0 and short_checksum(short) == self._checksum else None

    @property
    def name(self) -> str | None:
        """The name itself, whatever comes after it; None while it is not complete, or makes no sense."""
        if self._next != 0:
            return None
        name = text_from_long(b"".join(reversed(self._parts)))
        return name if name.strip(". ") and "/" not in name else None


def entry_from_slot(raw: bytes | bytearray, slot: int, long: LongName, *, wide: bool) -> Entry:
    """The entry in ``raw``, the slot numbered ``slot``.

    Args:
        raw: 32 bytes.
        slot: its place in the directory.
        long: the long-name slots met before it.
        wide: whether the cluster number has its high half (FAT32); elsewhere that field is somebody else's.
    """
    short = bytes(raw[0:11])
    high, time, date, low, size = struct.unpack_from("<HHHHI", raw, 20)
    name = long.name_for(short)
    return Entry(
        name=name or text_from_short(short, raw[12]),
        short=short,
        attributes=raw[11],
        cluster=low | (high << 16 if wide else 0),
        size=size,
        stamp=(date, time),
        first=long.first if name else slot,
        slot=slot,
    )


def put_content(data: bytearray, at: int, entry: Entry) -> None:
    """What changes with a file's content, into its 8.3 entry at ``at``."""
    date, time = entry.stamp
    cluster = entry.cluster
    CONTENT.pack_into(data, at + CONTENT_AT, date, cluster >> 16, time, date, cluster & 0xFFFF, entry.size)


def slot_bytes(entry: Entry) -> bytes:
    """The 8.3 entry."""
    date, time = entry.stamp
    cluster = entry.cluster
    return SLOT.pack(
        entry.short, entry.attributes, time, date, date, cluster >> 16, time, date, cluster & 0xFFFF, entry.size
    )


def new_directory_data(cluster: int, parent: int, stamp: Stamp, size: int) -> bytes:
    """The first ``size`` bytes of an empty directory: ``.``, ``..`` (0 where the parent is the root), end mark."""
    dot = Entry(".", b".          ", DIRECTORY, cluster, 0, stamp, 0, 0)
    dots = Entry("..", b"..         ", DIRECTORY, parent, 0, stamp, 1, 1)
    return (slot_bytes(dot) + slot_bytes(dots)).ljust(size, b"\0")
