"""The block device protocol, and the thin layer that everything between a volume and its sectors derives from.

The protocol is MicroPython's (``vfs.AbstractBlockDev``), with whole sectors only, as a CompactFlash card has them::

    volume  ->  log  ->  faults  ->  card  ->  RAM or image file
                each of them: readblocks / writeblocks / ioctl

A call that fails raises ``OSError``; the return value of a transfer is always None. (MicroPython's own C code takes
``True`` for success, so nothing here ever returns a truth value.)
"""

from __future__ import annotations

import errno
from typing import Protocol

from cfcard.errors import CardError

__all__ = [
    "BLOCK_COUNT",
    "BLOCK_SIZE",
    "DEINIT",
    "ERASE",
    "INIT",
    "SECTOR_BYTES",
    "SYNC",
    "BlockDevice",
    "Layer",
    "Readable",
    "ioctl_answer",
    "sector_count",
    "sectors_of",
]

SECTOR_BYTES = 512
"""The only sector size a CompactFlash card has."""

INIT, DEINIT, SYNC, BLOCK_COUNT, BLOCK_SIZE, ERASE = 1, 2, 3, 4, 5, 6
"""The operations of ``ioctl``; ERASE of one block is accepted and does nothing, as a card erases by itself."""

Readable = bytes | bytearray | memoryview


class BlockDevice(Protocol):
    """Numbered sectors of 512 bytes."""

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None: ...

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None: ...

    def ioctl(self, op: int, arg: int, /) -> int | None: ...


class Layer:
    """A block device that hands everything on; a subclass changes one thing about it."""

    def __init__(self, inner: BlockDevice) -> None:
        self.inner = inner

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        self.inner.readblocks(block_num, buf, offset)

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        self.inner.writeblocks(block_num, buf, offset)

    def ioctl(self, op: int, arg: int, /) -> int | None:
        return self.inner.ioctl(op, arg)


def ioctl_answer(op: int, sectors: int) -> int:
    """What a device of so many sectors answers to ``ioctl``, once it has done what the operation asks for."""
    if op == BLOCK_COUNT:
        return sectors
    return SECTOR_BYTES if op == BLOCK_SIZE else 0


def sector_count(device: BlockDevice) -> int:
    """Number of sectors of ``device``."""
    return device.ioctl(BLOCK_COUNT, 0) or 0


def sectors_of(block_num: int, size_bytes: int, offset: int, limit: int) -> int:
    """Number of whole sectors in a transfer of ``size_bytes``.

    Raises:
        CardError: EINVAL when the transfer is not made of whole sectors that exist; that is the caller's mistake.
    """
    count = size_bytes // SECTOR_BYTES
    if offset or count * SECTOR_BYTES != size_bytes:
        raise CardError(f"transfer of {size_bytes} bytes at offset {offset}: not whole sectors", errno.EINVAL)
    if block_num < 0 or block_num + count > limit:
        raise CardError(f"sectors {block_num} to {block_num + count - 1}: the device has {limit}", errno.EINVAL)
    return count
