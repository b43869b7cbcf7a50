"""A block device in memory, sparse: a card of 32 GiB takes only what was written to it."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from cfcard.blockdev import SECTOR_BYTES, Readable, ioctl_answer, sectors_of
from cfcard.errors import CardError, CardProtected

__all__ = ["RamDevice"]

CHUNK_BYTES = 64 * 1024
"""Memory is taken in pieces of this size: large enough to copy a file in few steps, small enough to be sparse."""

CHUNK_SECTORS = CHUNK_BYTES // SECTOR_BYTES

_ZEROS = bytes(CHUNK_BYTES)


class RamDevice:
    """Sectors in memory; those never written read as zero.

    Not modelled: wear, bad blocks, time. The layers above it and ``CompactFlash`` add what a test asks for.
    """

    def __init__(self, size_bytes: int, *, write_protected: bool = False) -> None:
        if size_bytes <= 0 or size_bytes % SECTOR_BYTES:
            raise CardError(f"size {size_bytes} is not a multiple of {SECTOR_BYTES} above 0", errno.EINVAL)
        self.size_bytes = size_bytes
        self.write_protected = write_protected
        self._sectors = size_bytes // SECTOR_BYTES
        self._chunks: dict[int, bytearray] = {}

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        size = len(buf)
        sectors_of(block_num, size, offset, self._sectors)
        number = block_num // CHUNK_SECTORS
        start = (block_num - number * CHUNK_SECTORS) * SECTOR_BYTES
        if start + size <= CHUNK_BYTES:
            chunk = self._chunks.get(number)
            buf[:] = _ZEROS[:size] if chunk is None else memoryview(chunk)[start : start + size]
            return
        view = memoryview(buf)
        position = 0
        while position < size:
            step = min(CHUNK_BYTES - start, size - position)
            chunk = self._chunks.get(number)
            view[position : position + step] = (_ZEROS if chunk is None else memoryview(chunk))[start : start + step]
            position, number, start = position + step, number + 1, 0

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        size = len(buf)
        if offset or size % SECTOR_BYTES or not 0 <= block_num <= self._sectors - size // SECTOR_BYTES:
            sectors_of(block_num, size, offset, self._sectors)  # says what is wrong
        if self.write_protected:
            raise CardProtected
        number = block_num // CHUNK_SECTORS
        start = (block_num - number * CHUNK_SECTORS) * SECTOR_BYTES
        chunk = self._chunks.get(number) if start + size <= CHUNK_BYTES else None
        if chunk is not None:
            chunk[start : start + size] = buf
            return
        view = memoryview(buf)
        position = 0
        while position < size:
            step = min(CHUNK_BYTES - start, size - position)
            self._put(number, start, view[position : position + step])
            position, number, start = position + step, number + 1, 0

    def _put(self, number: int, start: int, piece: memoryview) -> None:
        chunk = self._chunks.get(number)
        if chunk is None:
            # Formatting writes megabytes of zeros: they need no memory.
            if piece == _ZEROS[: len(piece)]:
                return
            chunk = self._chunks[number] = bytearray(CHUNK_BYTES)
        chunk[start : start + len(piece)] = piece

    def ioctl(self, op: int, arg: int, /) -> int | None:
        return ioctl_answer(op, self._sectors)

    def close(self) -> None:
        """Nothing to give back; the content stays."""

    def copy(self) -> RamDevice:
        """A second device with the same content; neither sees later changes of the other."""
        other = RamDevice(self.size_bytes, write_protected=self.write_protected)
        other._chunks = {number: bytearray(chunk) for number, chunk in self._chunks.items()}
        return other

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """What was written to, in pieces of ``CHUNK_BYTES``: number and content, in order. The rest is zero."""
        for number in sorted(self._chunks):
            begin = number * CHUNK_BYTES
            yield number, bytes(self._chunks[number][: self.size_bytes - begin])

    @property
    def used_bytes(self) -> int:
        """Memory that the content takes."""
        return len(self._chunks) * CHUNK_BYTES
