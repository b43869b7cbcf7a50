"""A volume's own window onto a block device: sector 0 is the volume's boot sector, and nothing reaches outside."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from io import BytesIO
from typing import NoReturn

from cfcard.blockdev import SECTOR_BYTES, SYNC, BlockDevice, Readable
from cfcard.errors import NoCard, VolumeCorrupt

__all__ = ["Sectors", "used_bytes"]


class Sectors:
    """``count`` sectors of ``device`` from ``first`` on.

    Once the device said ENODEV it is never asked again: a volume belongs to one card, and what comes after may be
    another.
    """

    def __init__(self, device: BlockDevice, first: int, count: int) -> None:
        self.device = device
        self.first = first
        self.count = count
        self.gone = False
        self.failures = 0
        """Writes that did not end well: whoever keeps a copy of sectors in memory must read them again."""

    def read(self, lba: int, count: int = 1) -> bytearray:
        """The bytes of ``count`` sectors, in one call of the device."""
        buf = bytearray(count * SECTOR_BYTES)
        self.read_into(lba, buf)
        return buf

    def read_into(self, lba: int, buf: bytearray | memoryview) -> None:
        if self.gone or not 0 <= lba <= self.count - len(buf) // SECTOR_BYTES:
            self._refuse(lba, len(buf) // SECTOR_BYTES)
        try:
            self.device.readblocks(self.first + lba, buf)
        except OSError as error:
            self._note(error)
            raise

    def gather(self, spans: Iterable[tuple[int, int, int]], size: int) -> BytesIO:
        """``size`` bytes read from several places.

        The result is a stream because that is the one way to hand out ``bytes`` that were read in place: ``getvalue``
        does not copy. Large files take a tenth of the time that a bytearray and its copy do.

        Args:
            spans: (sector, offset into the result, bytes) of each transfer.
            size: whole sectors.
        """
        stream = BytesIO()
        stream.seek(size - 1)
        stream.write(b"\0")
        with stream.getbuffer() as view:
            for lba, at, length in spans:
                self.read_into(lba, view[at : at + length])
        return stream

    def write(self, lba: int, data: Readable) -> None:
        if self.gone or not 0 <= lba <= self.count - len(data) // SECTOR_BYTES:
            self._refuse(lba, len(data) // SECTOR_BYTES)
        try:
            self.device.writeblocks(self.first + lba, data)
        except BaseException as error:
            self.failures += 1
            self._note(error)
            raise

    def sync(self) -> None:
        """A barrier: what was written is on the card before anything that follows."""
        if self.gone:
            raise NoCard
        try:
            self.device.ioctl(SYNC, 0)
        except OSError as error:
            self._note(error)
            raise

    def _refuse(self, lba: int, count: int) -> NoReturn:
        if self.gone:
            raise NoCard
        raise VolumeCorrupt(f"sector {lba}", f"a sector below {self.count}", f"{count} sectors from there")

    def _note(self, error: BaseException) -> None:
        if isinstance(error, OSError) and error.errno == errno.ENODEV:
            self.gone = True


def used_bytes(data: bytes | bytearray) -> int:
    """How much of ``data`` comes before the zeros at its end. By halves: a FAT may be megabytes, and most is free."""
    low, high = 0, len(data)
    while high - low > SECTOR_BYTES:
        middle = (low + high) // 2
        if data[middle:high] == bytes(high - middle):
            high = middle
        else:
            low = middle
    return low + len(bytes(data[low:high]).rstrip(b"\0")) if any(data[low:high]) else low
