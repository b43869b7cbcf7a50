"""Each fault does what its comment says, and nothing before or after."""

from __future__ import annotations

import pytest

from cfcard import CardProtected, Fault, FaultyDevice, NoCard, RamDevice, SectorError
from cfcard.blockdev import SYNC

OLD, NEW = b"o" * 512, b"n" * 512


class PowerOff(BaseException):
    """What a caller may give to be raised."""


@pytest.fixture
def ram() -> RamDevice:
    card = RamDevice(1 << 20)
    card.writeblocks(0, OLD * 16)
    return card


def sector(card: RamDevice | FaultyDevice, lba: int) -> bytes:
    buf = bytearray(512)
    card.readblocks(lba, buf)
    return bytes(buf)


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        (Fault.CUT, OLD),
        (Fault.TEAR_HEAD, NEW[:256] + OLD[256:]),
        (Fault.TEAR_TAIL, OLD[:256] + NEW[256:]),
        (Fault.BURN_ONES, b"\xff" * 512),
        (Fault.BURN_ZEROS, bytes(512)),
    ],
)
def test_cut_comes_at_the_write_that_was_named(ram: RamDevice, fault: Fault, left: bytes) -> None:
    device = FaultyDevice(ram)
    device.arm(fault, at=3)
    with pytest.raises(NoCard):
        device.writeblocks(4, NEW * 5)  # one call of five sectors: the third of them is hit
    assert [sector(ram, lba) for lba in range(3, 10)] == [OLD, NEW, NEW, left, OLD, OLD, OLD]
    assert device.fired == [fault]


def test_after_a_cut_nothing_reaches_the_card_until_it_is_healed(ram: RamDevice) -> None:
    device = FaultyDevice(ram, cut=PowerOff)
    device.arm(Fault.CUT, at=1)
    with pytest.raises(PowerOff):
        device.writeblocks(0, NEW)
    for act in (
        lambda: device.writeblocks(1, NEW),
        lambda: device.readblocks(1, bytearray(512)),
        lambda: device.ioctl(SYNC, 0),
    ):
        with pytest.raises(NoCard):
            act()
    assert sector(ram, 1) == OLD
    device.heal()
    device.writeblocks(1, NEW)
    assert sector(device, 1) == NEW


def test_unreadable_sector_is_readable_again_once_written(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.UNREADABLE, at=1)
    with pytest.raises(NoCard):
        device.writeblocks(7, NEW)
    device.heal()
    with pytest.raises(SectorError, match="sector 7 unreadable"):
        device.readblocks(6, bytearray(1024))
    device.writeblocks(7, NEW)
    assert sector(device, 7) == NEW


def test_read_errors_come_once_or_always(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.READ_ONCE, at=2)
    device.arm(Fault.READ_ALWAYS, at=3)
    with pytest.raises(SectorError):
        sector(device, 2)
    assert sector(device, 2) == OLD
    for _ in range(3):
        with pytest.raises(SectorError):
            sector(device, 3)
    assert sector(device, 4) == OLD


def test_write_error_changes_nothing_and_the_card_lives_on(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.WRITE_ERROR, at=2)
    with pytest.raises(SectorError, match="sector 1 cannot be written"):
        device.writeblocks(0, NEW * 3)
    assert [sector(device, lba) for lba in range(3)] == [NEW, OLD, OLD]
    device.writeblocks(1, NEW)
    assert sector(device, 1) == NEW


def test_lost_write_is_reported_as_done(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.LOSE, at=1)
    device.writeblocks(0, NEW * 2)
    assert [sector(device, 0), sector(device, 1)] == [OLD, NEW]


def test_misdirected_write_lands_beside_its_place(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.MISDIRECT, at=1)
    device.writeblocks(4, NEW)
    assert [sector(device, lba) for lba in (4, 5)] == [OLD, NEW]


def test_protection_begins_at_the_write_that_was_named(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.PROTECT, at=2)
    device.writeblocks(0, NEW)
    for _ in range(2):
        with pytest.raises(CardProtected):
            device.writeblocks(1, NEW)
    assert [sector(device, 0), sector(device, 1)] == [NEW, OLD]


def test_without_faults_it_is_invisible(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.CUT, at=4)
    device.writeblocks(0, NEW * 3)
    assert device.fired == []
    assert sector(ram, 2) == NEW
