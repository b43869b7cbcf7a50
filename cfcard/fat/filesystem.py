"""The FAT code as one object: makes, mounts, checks and mends volumes. This is what a board's firmware is handed."""

from __future__ import annotations

from collections.abc import Generator

from cfcard.blockdev import INIT, BlockDevice
from cfcard.fat.check import CheckReport, check_steps
from cfcard.fat.mkfs import mkfs_steps
from cfcard.fat.partition import find_volume
from cfcard.fat.repair import RepairReport, repair_steps
from cfcard.fat.stamp import Clock
from cfcard.fat.steps import run_steps
from cfcard.fat.volume import Volume

__all__ = ["Fat"]


class Fat:
    """FAT12, FAT16 and FAT32 with long names.

    Args:
        now: local time for file times, for all volumes mounted here; None writes 1980-01-01.
        pages: pages of the FAT (8 KiB each) that a volume keeps in memory.
        directories: directories that a volume keeps in memory. Every access that memory does not serve is a transfer of
            the device, and takes its time.
    """

    def __init__(self, now: Clock | None = None, *, pages: int = 64, directories: int = 16) -> None:
        self.now = now
        self._pages = pages
        self._directories = directories

    def mount(self, device: BlockDevice, /, *, now: Clock | None = None) -> Volume:
        """The first FAT volume on ``device``.

        Raises:
            NoCard: there is none, or it was pulled.
            VolumeCorrupt: there is no usable FAT volume; the text says why.
            OSError: the device failed.
        """
        device.ioctl(INIT, 0)
        sectors, bpb = find_volume(device)
        return Volume(sectors, bpb, now=now or self.now, pages=self._pages, directories=self._directories)

    def mount_steps(self, device: BlockDevice, /, *, now: Clock | None = None) -> Generator[None, None, Volume]:
        """``mount`` in steps of some ten sectors: free clusters are counted, and no later call reads the whole FAT."""
        volume = self.mount(device, now=now)
        yield
        yield from volume.count_steps()
        return volume

    def mkfs(self, device: BlockDevice, /, *, fat: int | None = None, serial: int = 0, label: str = "") -> None:
        """Formats: keeps an existing MBR, else superfloppy; two FATs; ``fat`` 12, 16, 32 or None for the size's own."""
        run_steps(self.mkfs_steps(device, fat=fat, serial=serial, label=label))

    def mkfs_steps(
        self, device: BlockDevice, /, *, fat: int | None = None, serial: int = 0, label: str = ""
    ) -> Generator[None, None, None]:
        """``mkfs`` in steps of some ten sectors; the first one judges, and writes nothing."""
        device.ioctl(INIT, 0)
        yield from mkfs_steps(device, fat=fat, serial=serial, label=label)

    def check(self, device: BlockDevice, /) -> CheckReport:
        """Looks at every structure of the volume and changes nothing.

        Raises:
            OSError: the device failed; damage to the volume is in the report instead.
        """
        return run_steps(self.check_steps(device))

    def check_steps(self, device: BlockDevice, /) -> Generator[None, None, CheckReport]:
        """``check`` in steps of some ten sectors."""
        device.ioctl(INIT, 0)
        return (yield from check_steps(device))

    def repair(self, device: BlockDevice, /) -> RepairReport:
        """Mends what a cut left, before a mount; writes nothing to a volume that is in order. May be cut anywhere.

        Raises:
            OSError: as ``mount``; what was mended so far stays so.
        """
        return run_steps(self.repair_steps(device))

    def repair_steps(self, device: BlockDevice, /) -> Generator[None, None, RepairReport]:
        """``repair`` in steps of some ten sectors. Giving up after any is a cut there."""
        device.ioctl(INIT, 0)
        return (yield from repair_steps(device))
