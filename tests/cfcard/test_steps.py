"""Long operations in steps: short ones, the same result as in one go, and nothing written before the first."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator

import pytest

from cfcard import CompactFlash, Fault, FaultyDevice, RamDevice
from cfcard.blockdev import Readable
from cfcard.errors import CardError, SectorError, VolumeFull
from cfcard.fat import Fat
from cfcard.fat.fsinfo import UNKNOWN, fsinfo_sector
from cfcard.fat.steps import run_steps

STEP_US = 20_000
"""The longest that a step may keep a card busy."""


class TimedDevice:
    """Adds up how long a card of the usual speed is busy. Not modelled: everything but that."""

    def __init__(self, device: RamDevice) -> None:
        self._device = device
        self._card = CompactFlash(device)
        self.busy_us = 0
        self.writes = 0

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        self.busy_us += self._card.read_us(len(buf) // 512)
        self._device.readblocks(block_num, buf, offset)

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        self.busy_us += self._card.write_us(len(buf) // 512)
        self.writes += 1
        self._device.writeblocks(block_num, buf, offset)

    def ioctl(self, op: int, arg: int, /) -> int | None:
        return self._device.ioctl(op, arg)


def longest_us(device: TimedDevice, steps: Generator[None, None, object]) -> int:
    longest = 0
    while True:
        before = device.busy_us
        ended = next(steps, "ended") == "ended"
        longest = max(longest, device.busy_us - before)
        if ended:
            return longest


OPERATIONS: dict[str, Callable[[TimedDevice], Generator[None, None, object]]] = {
    "mkfs": lambda device: Fat().mkfs_steps(device),
    "check": lambda device: Fat().check_steps(device),
    "repair": lambda device: Fat().repair_steps(device),
}


def a_tree(card: RamDevice) -> None:
    volume = Fat().mount(card)
    volume.mkdir("/LONG")
    for number in range(700):
        volume.replace(f"/LONG/a file with a name that takes slots {number}.txt", b"")
    for number in range(40):
        volume.mkdir(f"/D{number}")
    volume.umount()


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_step_keeps_a_card_busy_for_long(card: RamDevice, name: str) -> None:
    a_tree(card)
    device = TimedDevice(card)
    assert 0 < longest_us(device, OPERATIONS[name](device)) < STEP_US
    assert device.busy_us > STEP_US // 4


def test_not_even_where_everything_has_to_be_mended(card: RamDevice) -> None:
    a_tree(card)
    sectors = Fat().mount(card).sectors
    bpb = Fat().mount(card).bpb
    for copy in range(bpb.fats):  # every chain is lost: directories are put together from their neighbours
        for sector in range(min(bpb.fat_sectors, 40)):
            sectors.write(bpb.reserved + copy * bpb.fat_sectors + sector, b"\xff" * 512)
    device = TimedDevice(card)
    assert longest_us(device, Fat().repair_steps(device)) < STEP_US
    assert device.writes


def test_the_first_step_of_a_format_judges_and_writes_nothing(card: RamDevice) -> None:
    device = TimedDevice(card)
    steps = Fat().mkfs_steps(device, label="TWELVE CHARS")
    with pytest.raises(CardError, match="at most 11"):
        next(steps)
    next(Fat().mkfs_steps(device))
    assert device.writes == 0
    assert Fat().check(card).clean


def test_a_tree_too_large_for_a_mount_is_left_alone_and_said_to_be(
    card: RamDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_tree(card)
    monkeypatch.setattr("cfcard.fat.survey.MAX_TREE_SECTORS", 10)
    device = TimedDevice(card)
    (line,) = Fat().repair(device).left
    assert "too many to be looked at" in line
    assert device.writes == 0


def test_a_fat_too_long_to_be_looked_at_is_left_alone_and_said_to_be(
    card: RamDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    sectors = Fat().mount(card).bpb.fat_sectors
    modules = [importlib.import_module(f"cfcard.fat.{name}") for name in ("check", "repair")]
    for module in modules:
        monkeypatch.setattr(module, "MAX_FAT_SECTORS", sectors - 1)
    device = TimedDevice(card)
    (line,) = Fat().repair(device).left
    assert f"FAT of {sectors} sectors" in line
    assert f"{sectors - 1} is the longest" in line
    (line,) = Fat().check(device).problems
    assert line == f"FAT: expected at most {sectors - 1} sectors, found {sectors}: neither checked nor mended"
    assert device.writes == 0
    for module in modules:
        monkeypatch.setattr(module, "MAX_FAT_SECTORS", sectors)
    assert Fat().repair(device).clean
    assert Fat().check(device).clean


def a_full_card() -> RamDevice:
    """FAT32 with 150,000 clusters and one free among the last; FSInfo knows nothing."""
    card = RamDevice(600 << 20)
    Fat().mkfs(card, fat=32)
    volume = Fat().mount(card)
    everything = volume.table.find_free(volume.table.count_free())
    volume.table.link(everything)
    volume.table.release([(volume.table.top - 10, 1)])
    volume.table.flush()
    volume.sectors.write(volume.bpb.fsinfo, fsinfo_sector(UNKNOWN, UNKNOWN))
    return card


def busy_us(device: TimedDevice, act: Callable[[], object]) -> int:
    before = device.busy_us
    act()
    return device.busy_us - before


def test_after_a_mount_in_steps_no_call_reads_the_whole_fat() -> None:
    device = TimedDevice(a_full_card())
    volume = Fat().mount(device)
    assert busy_us(device, lambda: volume.replace("/A", b"data")) > 5 * STEP_US, "it had to be looked for"
    volume.remove("/A")
    assert busy_us(device, Fat().mount(device).statvfs) > 5 * STEP_US

    assert longest_us(device, Fat().mount_steps(device)) < STEP_US
    volume = run_steps(Fat().mount_steps(device))
    assert busy_us(device, volume.statvfs) == 0
    assert volume.statvfs()[3] == 1
    assert busy_us(device, lambda: volume.replace("/A", b"data")) < STEP_US
    assert volume.statvfs()[3] == 0
    with pytest.raises(VolumeFull):
        volume.replace("/B", b"data")
    assert busy_us(device, lambda: volume.remove("/A")) < STEP_US
    assert volume.statvfs()[3] == 1
    volume.replace("/B", b"data")


def test_after_a_write_that_failed_only_what_it_may_have_changed_is_counted_again() -> None:
    device = TimedDevice(a_full_card())
    faulty = FaultyDevice(device)
    volume = run_steps(Fat().mount_steps(faulty))
    faulty.arm(Fault.WRITE_ERROR, at=2)  # the second sector is the FAT's
    with pytest.raises(SectorError):
        volume.replace("/A", b"data")
    assert 0 < busy_us(device, volume.statvfs) < STEP_US
    assert volume.statvfs()[3] == 1
