"""The card benchmark's work done by other people's FAT code, each in a process of its own; prints JSON.

``card_peers.py fatfs``: sectors that FatFs moves for the small files. ``card_peers.py pyfatfs``: milliseconds for the
large file. A library that cannot be imported prints nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cfcard import ImageDevice, RamDevice
from cfcard.fat import Fat

SMALL_FILES, SMALL_BYTES = 1_000, 1_024
BIG_BYTES = 16 << 20
CARD_BYTES = 64 << 20


def fatfs() -> dict[str, int]:
    """Sectors read and written by FatFs, by way of fatfs-ng, on a volume and with names like ours."""
    from fatfs import RamDisk
    from fatfs.wrapper import Partition

    class Counter(RamDisk):
        def __init__(self, storage: bytearray) -> None:
            super().__init__(storage, sector_size=512)
            self.clear()

        def clear(self) -> None:
            self.read_sectors = self.write_sectors = 0

        def read(self, sector: int, count: int) -> bytes:
            self.read_sectors += count // 512
            return bytes(super().read(sector, count))

        def write(self, sector: int, count: int, buff: bytes) -> None:
            self.write_sectors += count // 512
            super().write(sector, count, buff)

    device = RamDevice(CARD_BYTES)
    Fat().mkfs(device, fat=16)
    Fat().mount(device).mkdir("/D")
    image = bytearray(CARD_BYTES)
    device.readblocks(0, image)
    disk = Counter(image)
    partition = Partition(disk)
    partition.mount()
    disk.clear()
    for i in range(SMALL_FILES):
        with partition.open(f"/D/file{i}.bin", "wb") as file:
            file.write(bytes((i & 255,)) * SMALL_BYTES)
    return {"read": disk.read_sectors, "written": disk.write_sectors}


def pyfatfs() -> dict[str, float]:
    """Milliseconds to write and to read 16 MiB in one go, on an image file."""
    warnings.simplefilter("ignore")
    from pyfatfs.PyFatFS import PyFatFS

    content = bytes(range(256)) * (BIG_BYTES // 256)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "card.img"
        device = ImageDevice.create(path, CARD_BYTES)
        Fat().mkfs(device, fat=16)
        device.close()
        volume = PyFatFS(str(path))
        write = timed(lambda: volume.writebytes("/BIG", content))
        read = timed(lambda: volume.readbytes("/BIG"))
        volume.close()
    return {"write": write, "read": read}


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1_000


if __name__ == "__main__":
    try:
        print(json.dumps({"fatfs": fatfs, "pyfatfs": pyfatfs}[sys.argv[1]]()))
    except ImportError as error:
        print(error, file=sys.stderr)
