"""A run of erase blocks that holds one generation of the store: reading, programming and erasing inside it.

A bank's first block holds its header alone. It is erased last and programmed first, so *first block all FF* means
*whole bank erased*, and a mount need not read a bank that is not in use.
"""

from __future__ import annotations

from collections.abc import Callable

from firmware.hal import BlockDevice
from firmware.storage.errors import FlashWorn
from firmware.storage.records import BANK_HEADER_SIZE, BEGUN, bank_header, generation_from_header

__all__ = ["Bank", "is_blank"]

_ERASE = 6
"""``ioctl`` operation of MicroPython's block device protocol: erase block ``arg`` to FF."""


def is_blank(data: bytes) -> bool:
    """Whether ``data`` is as erasing leaves it."""
    return data.count(0xFF) == len(data)


class Bank:
    """Blocks ``first_block`` and following of ``device``. Offsets count from the bank's first byte.

    ``feed`` is called before every erase: one takes tens of milliseconds, and a watchdog may be waiting.
    """

    def __init__(
        self, device: BlockDevice, first_block: int, block_count: int, block_size: int, feed: Callable[[], None]
    ) -> None:
        self._device = device
        self._first_block = first_block
        self._block_count = block_count
        self._block_size = block_size
        self._feed = feed
        self._dirty_blocks = block_count  # so many from the first on may hold something; those behind are erased
        self.size = block_count * block_size
        self.data_offset = block_size
        """Where records begin."""

    def where(self, offset: int) -> str:
        """``offset`` in words, for messages."""
        block, rest = divmod(offset, self._block_size)
        return f"block {self._first_block + block} offset {rest:#06x}"

    def read(self, offset: int, size: int) -> bytes:
        parts = []
        for block, start, length in self._pieces(offset, size):
            part = bytearray(length)
            self._device.readblocks(block, part, start)
            parts.append(part)
        return b"".join(parts)

    def program(self, offset: int, data: bytes) -> None:
        """Clears the bits that are 0 in ``data``. Raises FlashWorn when it does not read back."""
        view, done = memoryview(data), 0
        for block, start, length in self._pieces(offset, len(data)):
            self._device.writeblocks(block, view[done : done + length], start)
            done += length
        if self.read(offset, len(data)) != data:
            raise FlashWorn(f"{self.where(offset)}: {len(data)} bytes do not read back as they were programmed")

    def zero(self, offset: int, size: int) -> bool:
        """Makes ``size`` bytes unreadable, which needs no erase. Returns whether there was anything to do."""
        if not any(self.read(offset, size)):
            return False
        self.program(offset, bytes(size))
        return True

    @property
    def header(self) -> bytes:
        return self.read(0, BANK_HEADER_SIZE)

    @property
    def generation(self) -> int | None:
        """What the header says; None when there is no valid header."""
        return generation_from_header(self.header, self._block_count, self._block_size)

    @property
    def is_clean(self) -> bool:
        """Whether the whole bank is erased; told from its first block alone."""
        return is_blank(self.read(0, self._block_size))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing behind the header. Reads the whole bank."""
        step = self._block_size
        return all(is_blank(self.read(offset, step)) for offset in range(self.data_offset, self.size, step))

    def begin(self) -> None:
        """Marks a clean bank as being filled: from here on it is dirty."""
        self._dirty_blocks = self._block_count
        self.program(0, BEGUN)

    def activate(self, generation: int) -> None:
        """Completes the header: from here on the bank counts."""
        self.program(len(BEGUN), bank_header(generation, self._block_count, self._block_size))

    def disown(self) -> None:
        """Makes the header void, so that the bank never counts again before it is erased."""
        self.program(0, bytes(BANK_HEADER_SIZE))

    def erase_next(self) -> bool:
        """Erases one block that is not blank, the header last. Returns whether there may be more."""
        if self.is_clean:
            return False
        while self._dirty_blocks:
            erased = self._erase_block(self._dirty_blocks - 1)
            self._dirty_blocks -= 1
            if erased:
                break
        return self._dirty_blocks > 0

    def erase_data(self) -> None:
        """Erases all but the header, whatever state the bank is in."""
        for block in reversed(range(1, self._block_count)):
            self._erase_block(block)
        self._dirty_blocks = 1

    def erase(self) -> None:
        """Erases everything, whatever state the bank is in."""
        self.erase_data()
        self.erase_next()

    def _erase_block(self, block: int) -> bool:
        if is_blank(self.read(block * self._block_size, self._block_size)):
            return False
        self._feed()
        self._device.ioctl(_ERASE, self._first_block + block)
        return True

    def _pieces(self, offset: int, size: int) -> list[tuple[int, int, int]]:
        """(block, offset in it, length) for every block that the range touches."""
        pieces = []
        while size > 0:
            block, start = divmod(offset, self._block_size)
            length = min(size, self._block_size - start)
            pieces.append((self._first_block + block, start, length))
            offset, size = offset + length, size - length
        return pieces
