"""A layer that remembers what passed: every sector written, in order, and every sync between them."""

from __future__ import annotations

from dataclasses import dataclass

from cfcard.blockdev import SECTOR_BYTES, SYNC, BlockDevice, Layer, Readable

__all__ = ["LogLayer", "SectorWritten", "Synced"]


@dataclass(frozen=True, slots=True)
class SectorWritten:
    """One sector reached the device."""

    lba: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Synced:
    """Everything before this had to be on the card before anything after it."""


class LogLayer(Layer):
    """Counts calls and sectors; keeps the written content too when ``keep`` is set."""

    def __init__(self, inner: BlockDevice, *, keep: bool = True) -> None:
        super().__init__(inner)
        self.keep = keep
        self.events: list[SectorWritten | Synced] = []
        self.read_calls = self.read_sectors = self.write_calls = self.write_sectors = self.syncs = 0

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        self.inner.readblocks(block_num, buf, offset)
        self.read_calls += 1
        self.read_sectors += len(buf) // SECTOR_BYTES

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        self.inner.writeblocks(block_num, buf, offset)
        self.write_calls += 1
        self.write_sectors += len(buf) // SECTOR_BYTES
        if self.keep:
            data = bytes(buf)
            for i in range(0, len(data), SECTOR_BYTES):
                self.events.append(SectorWritten(block_num + i // SECTOR_BYTES, data[i : i + SECTOR_BYTES]))

    def ioctl(self, op: int, arg: int, /) -> int | None:
        result = self.inner.ioctl(op, arg)
        if op == SYNC:
            self.syncs += 1
            if self.keep:
                self.events.append(Synced())
        return result

    def clear(self) -> None:
        """Forgets everything."""
        self.events.clear()
        self.read_calls = self.read_sectors = self.write_calls = self.write_sectors = self.syncs = 0
