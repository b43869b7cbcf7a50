"""The card that was noticed, as a block device: it never becomes another card.

``ioctl(1)`` makes the slot's device work with the card that is in at that instant. The file system says it before each
of its long operations, as it has to on any block device; but between a swap of cards and the moment in which the card
task notices, that would hand one card's operation, or its cached sectors, to the next card. So only the card task
says it, once for each card that it notices.
"""

from __future__ import annotations

from firmware.hal import BlockDevice, Readable

INIT = 1
"""Operation of MicroPython's block device protocol."""


class BoundDevice:
    """Hands everything on but INIT."""

    def __init__(self, device: BlockDevice) -> None:
        self._device = device

    def bind(self) -> None:
        """Works with the card that is in from now on. OSError ENODEV when none is."""
        self._device.ioctl(INIT, 0)

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        self._device.readblocks(block_num, buf, offset)

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        self._device.writeblocks(block_num, buf, offset)

    def ioctl(self, op: int, arg: int, /) -> int | None:
        return 0 if op == INIT else self._device.ioctl(op, arg)
