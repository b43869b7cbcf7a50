"""The store's byte formats, as pure functions: bank headers, and records with a table of names.

All integers are little-endian. Every CRC but that of a value starts from the bank's generation, so that bytes of an
earlier life of the same block never fit. ::

    bank header, in the first block of a bank (which holds nothing else)
      0  begun       4   00 once the bank is being filled; a block of FF alone means: bank erased
      4  magic       4   "GBST"
      8  generation  4   1, 2, 3 ...: the bank with the higher one counts
     12  geometry    4   blocks in the bank, bytes in a block (16 bits each)
     16  crc         4   of bytes 4..15

    record, from the second block on, one after the other, aligned to 4 bytes
      0  magic       4   "GBRC"
      4  table size  4
      8  body size   4   table and values
     12  crc         4   of bytes 0..11
     16  seal        4   FF.. not finished, 00.. finished
     20  table           per name: length of name 1, kind 1, size of value 4, crc of value 4, name; at the end crc 4
      .  values          in the table's order

A value's CRC stays the value's own when it is copied: a damaged value stays known as damaged.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "BANK_HEADER_SIZE",
    "BEGUN",
    "ENTRY_OVERHEAD",
    "HEADER_SIZE",
    "RECORD_OVERHEAD",
    "SEAL",
    "SEAL_OFFSET",
    "Entry",
    "Extent",
    "Kind",
    "bank_header",
    "entry_from_value",
    "generation_from_header",
    "is_sealed",
    "pack_record",
    "parse_extent",
    "parse_table",
    "record_size",
]

_BANK = struct.Struct("<4sIHHI")
_HEADER = struct.Struct("<4sIII")
_ENTRY = struct.Struct("<BBII")
_CRC = struct.Struct("<I")
_BANK_MAGIC = b"GBST"
_RECORD_MAGIC = b"GBRC"
_ALIGNMENT = 4

BEGUN = bytes(4)
BANK_HEADER_SIZE = len(BEGUN) + _BANK.size
SEAL = bytes(4)
SEAL_OFFSET = _HEADER.size
HEADER_SIZE = SEAL_OFFSET + len(SEAL)
ENTRY_OVERHEAD = _ENTRY.size
RECORD_OVERHEAD = HEADER_SIZE + _CRC.size + _ALIGNMENT - 1
"""Most that a record takes beside its entries."""


class Kind(IntEnum):
    """What a record says of a name."""

    VALUE = 1
    SECRET = 2
    """A value whose bytes are zeroed in place once it is replaced or removed."""
    REMOVED = 3


class Entry(NamedTuple):
    """One line of a record's table."""

    name: str
    kind: Kind
    size: int
    crc: int


class Extent(NamedTuple):
    """What a record's header says: how far the record reaches."""

    table_size: int
    body_size: int

    @property
    def size(self) -> int:
        """Bytes from this record's header to the next one's."""
        return -(-(HEADER_SIZE + self.body_size) // _ALIGNMENT) * _ALIGNMENT


def bank_header(generation: int, block_count: int, block_size: int) -> bytes:
    """Bytes 4.. of a bank's first block."""
    head = _BANK.pack(_BANK_MAGIC, generation, block_count, block_size, 0)[: -_CRC.size]
    return head + _CRC.pack(zlib.crc32(head))


def generation_from_header(data: bytes, block_count: int, block_size: int) -> int | None:
    """The generation that ``data``, the first bytes of a bank, names; None when it is no header of such a bank."""
    generation: int = _BANK.unpack_from(data, len(BEGUN))[1]
    fits = data[len(BEGUN) : BANK_HEADER_SIZE] == bank_header(generation, block_count, block_size)
    return generation if fits else None


def entry_from_value(name: str, value: bytes | None, *, secret: bool) -> Entry:
    """The line that stores ``value`` under ``name``, or removes ``name`` when ``value`` is None."""
    if value is None:
        return Entry(name, Kind.REMOVED, 0, 0)
    return Entry(name, Kind.SECRET if secret else Kind.VALUE, len(value), zlib.crc32(value))


def record_size(entries: Sequence[Entry]) -> int:
    """Bytes that a record of ``entries`` takes."""
    table_size = sum(ENTRY_OVERHEAD + len(entry.name.encode()) for entry in entries) + _CRC.size
    return Extent(table_size, table_size + sum(entry.size for entry in entries)).size


def pack_record(entries: Sequence[Entry], values: Sequence[bytes], generation: int, *, seal: bytes) -> bytes:
    """A whole record. ``values`` go with ``entries``, one by one; of a removed name it is ``b""``."""
    table = bytearray()
    for entry in entries:
        name = entry.name.encode()
        table += _ENTRY.pack(len(name), entry.kind, entry.size, entry.crc) + name
    table += _CRC.pack(zlib.crc32(table, generation))
    body = bytes(table) + b"".join(values)
    head = _HEADER.pack(_RECORD_MAGIC, len(table), len(body), 0)[: -_CRC.size]
    return head + _CRC.pack(zlib.crc32(head, generation)) + seal + body


def parse_extent(header: bytes, generation: int) -> Extent | None:
    """What a record's header says; None when it fails its checksum."""
    magic, table_size, body_size, crc = _HEADER.unpack_from(header)
    if magic != _RECORD_MAGIC or crc != zlib.crc32(header[: SEAL_OFFSET - _CRC.size], generation):
        return None
    return Extent(table_size, body_size)


def is_sealed(seal: bytes) -> bool:
    """Whether the seal was programmed: most of its bits are 0, so that one flipped bit does not turn the answer."""
    return int.from_bytes(seal, "little").bit_count() < 8 * len(seal) // 2


def parse_table(body: bytes, table_size: int, generation: int) -> list[tuple[Entry, int]] | None:
    """(entry, offset of its value in ``body``) in order; None when the table fails its checksum."""
    end = table_size - _CRC.size
    if _CRC.unpack_from(body, end)[0] != zlib.crc32(body[:end], generation):
        return None
    rows: list[tuple[Entry, int]] = []
    position, value_offset = 0, table_size
    while position < end:
        name_size, kind, size, crc = _ENTRY.unpack_from(body, position)
        position += ENTRY_OVERHEAD + name_size
        rows.append((Entry(body[position - name_size : position].decode(), Kind(kind), size, crc), value_offset))
        value_offset += size
    return rows
