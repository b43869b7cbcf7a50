"""Copies everything on a FAT image into a folder, by dissect.fat: ``dissect_reader.py IMAGE FOLDER``.

A process of its own, because dissect.fat is under the AGPL: nothing of gatebench is ever loaded together with it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dissect.fat.fat import FATFS, DirectoryEntry


def copy(entry: DirectoryEntry, folder: Path) -> None:
    for child in entry.iterdir():
        if child.is_volume_id() or child.name in (".", ".."):
            continue
        path = folder / child.name
        if child.is_directory():
            path.mkdir()
            copy(child, path)
        else:
            path.write_bytes(child.open().read() if child.size else b"")


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as image:
        copy(FATFS(image).root, Path(sys.argv[2]))
