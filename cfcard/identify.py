"""Geometry of a CompactFlash card and the 512 bytes with which it answers IDENTIFY DRIVE (ATA command ECh).

256 words, each little-endian; strings hold two characters per word, the first one in the *high* byte, so they look
swapped in a dump (CF+ and CompactFlash specification, Identify Drive Information)::

    word   0        848Ah: CompactFlash signature, removable
           1        cylinders           3  heads           6  sectors per track      (default CHS)
           7-8      sectors of the card, word 7 is the HIGH half
          10-19     serial number, 20 characters, right-justified
          23-26     firmware revision, 8 characters
          27-46     model number, 40 characters, left-justified
          47        most sectors per READ/WRITE MULTIPLE
          49        capabilities: bit 9 = LBA
          51        PIO timing mode;  53  which of the later words are valid
          54-58     current CHS and its capacity (57 is the LOW half here)
          60-61     LBA sectors, low half first
          82-84     command sets supported, bit 2 of word 83 = CFA;  85-87 the same, enabled
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cfcard.blockdev import SECTOR_BYTES

__all__ = ["CF_SIGNATURE", "Geometry", "geometry_from_sectors", "identify_block", "string_from_identify"]

CF_SIGNATURE = 0x848A
"""Word 0 of a card in PC Card mode; a card in True IDE mode may say 044Ah, "fixed", instead."""

MAX_CYLINDERS = 16_383
"""What ATA lets a CHS translation claim; larger cards are reached by LBA only."""


_TRANSLATIONS = (
    (32_768, 2, 16),
    (65_536, 4, 16),
    (131_072, 4, 32),
    (262_144, 8, 32),
    (524_288, 16, 32),
    (1 << 32, 16, 63),
)
"""(sectors of the card at most, heads, sectors per track): 1,024 cylinders or fewer for as long as that is possible."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Cylinders, heads and sectors per track: a translation, not anything that exists in flash."""

    cylinders: int
    heads: int
    sectors: int

    @property
    def capacity_sectors(self) -> int:
        return self.cylinders * self.heads * self.sectors

    def chs_from_lba(self, lba: int) -> tuple[int, int, int]:
        """(cylinder, head, sector) as a partition table writes it; sectors count from 1."""
        track, sector = divmod(lba, self.sectors)
        cylinder, head = divmod(track, self.heads)
        return cylinder, head, sector + 1


def geometry_from_sectors(count: int) -> Geometry:
    """The translation that cards of ``count`` sectors commonly report: heads and track length grow with the card."""
    heads, sectors = next((h, s) for most, h, s in _TRANSLATIONS if count <= most)
    return Geometry(max(1, min(count // (heads * sectors), MAX_CYLINDERS)), heads, sectors)


def identify_block(count: int, *, serial: str, model: str, firmware: str = "GB 1.00", pio_mode: int = 4) -> bytes:
    """The IDENTIFY answer of a card with ``count`` sectors."""
    geometry = geometry_from_sectors(count)
    words = [0] * 256
    words[0] = CF_SIGNATURE
    words[1], words[3], words[6] = geometry.cylinders, geometry.heads, geometry.sectors
    words[7], words[8] = _halves(count)
    words[10:20] = _string_words(serial.rjust(20)[-20:], 20)
    words[20], words[21], words[22] = 2, 2, 4  # buffer type and size (1 KiB), ECC bytes of READ LONG
    words[23:27] = _string_words(firmware, 8)
    words[27:47] = _string_words(model, 40)
    words[47] = 1
    words[49] = 1 << 9
    words[51] = min(pio_mode, 2) << 8
    words[53] = 0b11
    words[54], words[55], words[56] = geometry.cylinders, geometry.heads, geometry.sectors
    words[58], words[57] = _halves(geometry.capacity_sectors)
    words[59] = 0x0100 | words[47]
    words[61], words[60] = _halves(count)
    words[64] = (1 << max(0, pio_mode - 2)) - 1  # bit 0 = mode 3, bit 1 = mode 4
    words[67] = words[68] = 120 if pio_mode >= 4 else 600  # shortest cycle in ns, without and with IORDY
    words[82], words[83], words[84] = 1 << 5, 1 << 14 | 1 << 2, 1 << 14
    words[85], words[86], words[87] = 1 << 5, 1 << 2, 1 << 14
    return struct.pack("<256H", *words)


def string_from_identify(block: bytes, word: int, count: int) -> str:
    """The text in ``count`` words from ``word`` on, its padding removed."""
    raw = bytearray(block[2 * word : 2 * (word + count)])
    raw[0::2], raw[1::2] = raw[1::2], raw[0::2]
    return raw.decode("ascii", "replace").strip(" \0")


def _halves(value: int) -> tuple[int, int]:
    """(high, low) 16 bits."""
    value = min(value, 0x0FFF_FFFF)  # 28 bits: all that LBA addresses of this class have
    return value >> 16, value & 0xFFFF


def _string_words(text: str, size: int) -> list[int]:
    raw = text.encode("ascii", "replace").ljust(size)[:size]
    return [raw[i] << 8 | raw[i + 1] for i in range(0, size, 2)]


assert struct.calcsize("<256H") == SECTOR_BYTES
