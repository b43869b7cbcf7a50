"""The card of a sweep: sectors over a frozen card, whose writes are recorded, in their order, with what they promised.

One run of an operation gives a record; every cut of it is then a prefix, or some other choice, of that record laid over
the same frozen card. So a state costs no run of the operation, and no copy of a card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cfcard import SECTOR_BYTES, RamDevice, SectorError
from cfcard.blockdev import BLOCK_COUNT, BLOCK_SIZE, SYNC, Readable

__all__ = ["Mark", "Overlay", "RecordingDevice", "Sync", "Write"]

Overlay = Mapping[int, bytes | None]
"""Sectors that differ from the frozen card, by number; None for one that cannot be read until it is written."""


@dataclass(frozen=True, slots=True)
class Write:
    """One sector reached the card."""

    lba: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Sync:
    """What came before was to be on the card before what came after."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Here the firmware promised something: ``kind`` with ``value``."""

    kind: str
    value: object


class RecordingDevice:
    """A block device over ``base`` and ``overlay``, neither of which changes.

    Attributes:
        overlay: the sectors as they are now, where they differ from the base.
        events: what passed.

    Not modelled: time; a card that goes away.
    """

    def __init__(self, base: RamDevice, overlay: Overlay | None = None) -> None:
        self.base = base
        self.overlay: dict[int, bytes | None] = dict(overlay or {})
        self.events: list[Write | Sync | Mark] = []
        self._sectors = base.ioctl(BLOCK_COUNT, 0) or 0

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        self.base.readblocks(block_num, buf, offset)
        overlay = self.overlay
        last = block_num + len(buf) // SECTOR_BYTES
        for lba in overlay if len(overlay) < last - block_num else range(block_num, last):
            if block_num <= lba < last and lba in overlay:
                data = overlay[lba]
                if data is None:
                    raise SectorError(f"sector {lba} unreadable")
                at = (lba - block_num) * SECTOR_BYTES
                buf[at : at + SECTOR_BYTES] = data

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        data = bytes(buf)
        for at in range(0, len(data), SECTOR_BYTES):
            lba, sector = block_num + at // SECTOR_BYTES, data[at : at + SECTOR_BYTES]
            self.overlay[lba] = sector
            self.events.append(Write(lba, sector))

    def ioctl(self, op: int, arg: int, /) -> int | None:
        if op == SYNC:
            self.events.append(Sync())
        return self._sectors if op == BLOCK_COUNT else SECTOR_BYTES if op == BLOCK_SIZE else 0

    def mark(self, kind: str, value: object) -> None:
        """Notes a promise at this place of the record."""
        self.events.append(Mark(kind, value))

    def frozen(self) -> RamDevice:
        """A card with this content, to be the base of others. Unreadable sectors are zero there."""
        card = self.base.copy()
        for lba, data in self.overlay.items():
            card.writeblocks(lba, data or bytes(SECTOR_BYTES))
        return card
