"""A directory as ``survey`` found it, and as it is to be."""

from __future__ import annotations

from dataclasses import dataclass, field

from cfcard.blockdev import SECTOR_BYTES
from cfcard.fat.entry import DELETED, SLOT_BYTES
from cfcard.fat.misnamed import FreeNames

__all__ = ["SLOTS_PER_SECTOR", "Folder"]

SLOTS_PER_SECTOR = SECTOR_BYTES // SLOT_BYTES


@dataclass(slots=True)
class Folder:
    """A directory as it was found and as it is to be."""

    path: str
    start: int
    parent: int
    places: list[int] = field(default_factory=list)
    """Its sectors."""
    data: bytearray = field(default_factory=bytearray)
    changed: set[int] = field(default_factory=set)
    """Sectors (counted within it) to be written."""
    whole: bool = True
    """Whether all of it could be found."""
    names: FreeNames | None = None
    """Those it has left, once somebody has asked."""

    def erase(self, first: int, last: int) -> None:
        for slot in range(first, last + 1):
            self.data[slot * SLOT_BYTES] = DELETED
            self.changed.add(slot // SLOTS_PER_SECTOR)
