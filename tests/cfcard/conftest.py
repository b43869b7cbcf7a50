"""Volumes to test on: every FAT, on every backend; and a host with a card reader, faked from its files to its calls."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cfcard import BlockDevice, ImageDevice, RamDevice, ReaderDevice
from cfcard.fat import Fat
from cfcard.osport import BLKGETDISKSEQ, BLKGETSIZE64, BLKROGET, BLKSSZGET, OsPort

SIZES = {12: 4 << 20, 16: 32 << 20, 32: 36 << 20}
"""Small volumes of each FAT, in bytes."""

READER_SECTORS = 131_072
SDB = os.makedev(8, 16)


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


class FakePort(OsPort):
    """A kernel with one device, ``/dev/sdb``, that behaves as measured on a USB reader; attributes set what is wrong.

    Not modelled: alignment that O_DIRECT wants, a page cache.
    """

    def __init__(self) -> None:
        self.content = bytearray(READER_SECTORS * 512)
        self.durable = bytes(0)
        self.mode = stat.S_IFBLK | 0o660
        self.rdev = self.rdev_opened = SDB
        self.sector_bytes = 512
        self.size_bytes = len(self.content)
        self.protected = False
        self.sequence: int | None = 7
        """Of the disk: rises as cards come and go; None before Linux 5.15."""
        self.open_errors: dict[int, int] = {}
        """errno by access mode, O_RDONLY or O_RDWR."""
        self.read_error = self.write_error = self.sync_error = 0
        self.bad_sectors: set[int] = set()
        self.unplugged = False
        self.shortest = 0
        """When not 0: how many bytes a transfer moves at most."""
        self.flags: list[int] = []
        self.opened: set[int] = set()
        self.calls: list[str] = []

    def stat(self, path: str) -> os.stat_result:
        if path != "/dev/sdb":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return _status(self.mode, self.rdev)

    def open(self, path: str, flags: int) -> int:
        self.calls.append("open")
        self.flags.append(flags)
        code = self.open_errors.get(flags & os.O_ACCMODE)
        if code:
            raise OSError(code, os.strerror(code), path)
        fd = 1_000 + len(self.flags)
        self.opened.add(fd)
        return fd

    def fstat(self, fd: int) -> os.stat_result:
        return _status(self.mode, self.rdev_opened)

    def ioctl(self, fd: int, request: int) -> int:
        assert fd in self.opened
        numbers = {BLKGETSIZE64: self.size_bytes, BLKSSZGET: self.sector_bytes, BLKROGET: int(self.protected)}
        if request == BLKGETDISKSEQ and self.sequence is None:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        return (numbers | {BLKGETDISKSEQ: self.sequence or 0})[request]

    def pread(self, fd: int, view: memoryview, position: int) -> int:
        self.calls.append("pread")
        size = self._transfer(fd, len(view), position, self.read_error)
        if not self.unplugged:
            view[:size] = self.content[position : position + size]
        return 0 if self.unplugged else size

    def pwrite(self, fd: int, view: memoryview, position: int) -> int:
        self.calls.append("pwrite")
        code = errno.ENOSPC if self.unplugged else errno.EPERM if self.protected else self.write_error
        size = self._transfer(fd, len(view), position, code)
        self.content[position : position + size] = view[:size]
        return size

    def fsync(self, fd: int) -> None:
        self.calls.append("fsync")
        assert fd in self.opened
        if self.sync_error:
            raise OSError(self.sync_error, os.strerror(self.sync_error))
        self.durable = bytes(self.content)

    def close(self, fd: int) -> None:
        self.opened.remove(fd)

    def _transfer(self, fd: int, size: int, position: int, code: int) -> int:
        assert fd in self.opened
        size = min(size, self.shortest or size)
        sectors = range(position // 512, (position + size) // 512)
        if code or (not self.unplugged and self.bad_sectors.intersection(sectors)):
            raise OSError(code or errno.EIO, os.strerror(code or errno.EIO))
        return size


def _status(mode: int, rdev: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, 0, 6, 0, 0, 0, 0), {"st_rdev": rdev})


@pytest.fixture
def port(host: FakeHost) -> FakePort:
    """The kernel of ``host``, which has a USB reader with a card as ``/dev/sdb``."""
    host.add(size=READER_SECTORS)
    return FakePort()


@pytest.fixture
def opened(host: FakeHost, port: FakePort) -> Callable[..., ReaderDevice]:
    """Opens the reader."""

    def call(path: str = "/dev/sdb", **options: Any) -> ReaderDevice:
        return ReaderDevice(path, port=port, root=host.root, **options)

    return call
