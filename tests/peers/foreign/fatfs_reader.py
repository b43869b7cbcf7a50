"""Copies everything on a FAT image into a folder, by fatfs-ng (ChaN's FatFs): ``fatfs_reader.py IMAGE FOLDER``.

A process of its own, because the table of mounted volumes belongs to the process and its places are never given back.
The distribution ``fatfs`` has the same import name, and cannot read.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fatfs import PartitionExtended, RamDisk
from fatfs.wrapper import Partition


def copy(partition: PartitionExtended, path: str, folder: Path) -> None:
    for name in partition.listdir(path or "/"):
        below = f"{path}/{name}"
        if partition.isdir(below):
            (folder / name).mkdir()
            copy(partition, below, folder / name)
        else:
            size = partition.stat(below)["size"]
            (folder / name).write_bytes(partition.read_file(below) if size else b"")


if __name__ == "__main__":
    disk = Partition(RamDisk(bytearray(Path(sys.argv[1]).read_bytes()), sector_size=512))
    disk.mount()
    copy(PartitionExtended(disk), "", Path(sys.argv[2]))
    disk.unmount()
