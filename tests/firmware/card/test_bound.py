"""A device that stays with the card that was noticed, whatever a file system asks of it."""

from __future__ import annotations

import errno

import pytest

from cfcard import RamDevice
from cfcard.blockdev import BLOCK_COUNT, INIT, SYNC, Layer
from firmware.card.bound import BoundDevice


class Asked(Layer):
    """Notes what it is asked; without a card it has none."""

    def __init__(self) -> None:
        super().__init__(RamDevice(1 << 20))
        self.operations: list[int] = []
        self.empty = False

    def ioctl(self, op: int, arg: int, /) -> int | None:
        self.operations.append(op)
        if self.empty:
            raise OSError(errno.ENODEV, "no card in the slot")
        return super().ioctl(op, arg)


def test_only_who_noticed_the_card_binds_to_it() -> None:
    slot = Asked()
    device = BoundDevice(slot)
    assert device.ioctl(INIT, 0) == 0
    assert slot.operations == []
    device.bind()
    assert slot.operations == [INIT]


def test_everything_else_reaches_the_card() -> None:
    slot = Asked()
    device = BoundDevice(slot)
    device.writeblocks(3, b"x" * 512)
    sector = bytearray(512)
    device.readblocks(3, sector)
    assert (sector, device.ioctl(BLOCK_COUNT, 0), device.ioctl(SYNC, 0)) == (b"x" * 512, 2048, 0)
    assert slot.operations == [BLOCK_COUNT, SYNC]


def test_a_card_that_has_gone_again_cannot_be_bound_to() -> None:
    slot = Asked()
    slot.empty = True
    with pytest.raises(OSError, match="no card in the slot"):
        BoundDevice(slot).bind()
