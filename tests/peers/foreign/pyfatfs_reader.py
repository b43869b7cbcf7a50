"""Copies everything on a FAT image into a folder, by pyfatfs: ``pyfatfs_reader.py IMAGE FOLDER``.

A process of its own, because importing it warns of packages that are gone by now.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyfatfs.PyFatFS import PyFatFS

if __name__ == "__main__":
    volume = PyFatFS(sys.argv[1], read_only=True)
    folder = Path(sys.argv[2])
    for path in volume.walk.dirs("/"):
        (folder / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for path in volume.walk.files("/"):
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(volume.readbytes(path))
    volume.close()
