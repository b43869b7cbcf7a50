"""Volumes to test on: every FAT, on every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cfcard import BlockDevice, ImageDevice, RamDevice
from cfcard.fat import Fat

SIZES = {12: 4 << 20, 16: 32 << 20, 32: 36 << 20}
"""Small volumes of each FAT, in bytes."""


@pytest.fixture(params=[12, 16, 32], ids=["fat12", "fat16", "fat32"])
def fat(request: pytest.FixtureRequest) -> int:
    """12, 16 and 32 in turn."""
    return int(request.param)


@pytest.fixture
def make_ram() -> Callable[[int], RamDevice]:
    """Makes a formatted card in memory, of the FAT that is asked for."""

    def make(kind: int) -> RamDevice:
        device = RamDevice(SIZES[kind])
        Fat().mkfs(device, fat=kind, serial=0x1234_ABCD)
        return device

    return make


@pytest.fixture
def card(fat: int, make_ram: Callable[[int], RamDevice]) -> RamDevice:
    """A formatted card in memory, of every FAT in turn."""
    return make_ram(fat)


@pytest.fixture(params=["ram", "image"])
def blank(request: pytest.FixtureRequest, fat: int, tmp_path: Path) -> Iterator[BlockDevice]:
    """An unformatted card of a size that suits ``fat``, on every backend in turn."""
    if request.param == "ram":
        yield RamDevice(SIZES[fat])
        return
    device = ImageDevice.create(tmp_path / "card.img", SIZES[fat])
    try:
        yield device
    finally:
        device.close()
