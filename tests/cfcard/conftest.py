"""Volumes to test on: every FAT, on every backend; and a host's /sys and /proc to find card readers in."""

from __future__ import annotations

import os
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


class FakeHost:
    """The files by which a Linux host tells of its disks, below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("sys/block", "sys/dev/block", "proc/self"):
            (root / folder).mkdir(parents=True)
        self._mountinfo = root / "proc/self/mountinfo"
        self._mountinfo.write_text("22 27 0:21 / /proc rw,relatime - proc proc rw\n")
        self._swaps = root / "proc/swaps"
        self._swaps.write_text("Filename\tType\tSize\tUsed\tPriority\n")

    def add(
        self, name: str = "sdb", number: str = "8:16", *, bus: str = "pci0000:00/usb1/1-2", **facts: object
    ) -> Path:
        """A disk; ``facts`` are removable, ro, size (in 512 bytes), sector, vendor, model, type."""
        folder = self.root / f"sys/devices/{bus}/block/{name}"
        defaults = {"removable": 1, "ro": 0, "size": 131072, "sector": 512, "type": 0}
        known = defaults | {"vendor": "Generic ", "model": "STORAGE DEVICE  "} | facts
        for path, fact in {
            "dev": number,
            "removable": known["removable"],
            "ro": known["ro"],
            "size": known["size"],
            "queue/logical_block_size": known["sector"],
            "device/vendor": known["vendor"],
            "device/model": known["model"],
            "device/type": known["type"],
        }.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(f"{fact}\n")
        self._link(f"sys/block/{name}", folder)
        self._link(f"sys/dev/block/{number}", folder)
        return folder

    def add_partition(self, name: str, number: str, of: Path) -> Path:
        folder = of / name
        folder.mkdir()
        (folder / "dev").write_text(f"{number}\n")
        (folder / "partition").write_text("1\n")
        self._link(f"sys/dev/block/{number}", folder)
        return folder

    def hold(self, part: Path, holder: str) -> None:
        """``holder``, a disk of its own, is built upon ``part``."""
        (part / "holders" / holder).mkdir(parents=True)

    def mount(self, number: str, point: str, source: str = "/dev/root") -> None:
        escaped = point.replace(" ", "\\040")
        with self._mountinfo.open("a") as file:
            file.write(f"29 27 {number} / {escaped} rw shared:1 - ext4 {source} rw\n")

    def swap(self, device: str) -> None:
        with self._swaps.open("a") as file:
            file.write(f"{device} partition\t1048572\t0\t-2\n")

    def _link(self, path: str, folder: Path) -> None:
        link = self.root / path
        link.symlink_to(os.path.relpath(folder, link.parent))


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A host without any disk."""
    return FakeHost(tmp_path / "host")
