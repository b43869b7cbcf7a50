"""CompactFlash cards: the sectors, what holds them, what breaks them, and the FAT volume on them.

Light to import; the volume is a package of its own, ``cfcard.fat``.
"""

from __future__ import annotations

from cfcard.armed import ArmedRules, Hit
from cfcard.blockdev import SECTOR_BYTES, BlockDevice, Layer
from cfcard.card import CompactFlash, Timing
from cfcard.errors import CardError, CardProtected, NoCard, SectorError, VolumeCorrupt, VolumeFull
from cfcard.faults import Fault, FaultyDevice
from cfcard.identify import Geometry
from cfcard.image import ImageDevice
from cfcard.log import LogLayer
from cfcard.ram import RamDevice
from cfcard.reader import ReaderDevice
from cfcard.rules import Event, Rule, RuleError

__all__ = [
    "SECTOR_BYTES",
    "ArmedRules",
    "BlockDevice",
    "CardError",
    "CardProtected",
    "CompactFlash",
    "Event",
    "Fault",
    "FaultyDevice",
    "Geometry",
    "Hit",
    "ImageDevice",
    "Layer",
    "LogLayer",
    "NoCard",
    "RamDevice",
    "ReaderDevice",
    "Rule",
    "RuleError",
    "SectorError",
    "Timing",
    "VolumeCorrupt",
    "VolumeFull",
]
