"""Foreign programs' word on a card: ``fsck.fat -n``, and the files as mtools read them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from cfcard import SECTOR_BYTES
from cfcard.blockdev import BLOCK_COUNT
from cfcard.fat.partition import find_volume
from hil.sweep.powerloss.device import RecordingDevice
from hil.sweep.powerloss.operations import Promise
from hil.sweep.powerloss.volumes import Format

__all__ = ["Peers"]

PIECE = 128
"""Sectors written at once; those that are all zero stay holes in the file."""
ZEROS = bytes(PIECE * SECTOR_BYTES)


class Peers:
    """A file for the programs to look at. As a context manager it removes the file."""

    def __init__(self, form: Format) -> None:
        self._fsck = shutil.which("fsck.fat") or shutil.which("fsck.fat", path="/usr/sbin:/sbin")
        self._mtype = None if form.short else shutil.which("mtype")
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Peers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._directory is not None:
            self._directory.cleanup()

    def judge(self, device: RecordingDevice, promise: Promise) -> list[str] | None:
        """What they find wrong; None when there is neither of them."""
        if self._fsck is None and self._mtype is None:
            return None
        image = self._image(device)
        wrong: list[str] = []
        if self._fsck is not None:
            found = subprocess.run([self._fsck, "-n", str(image)], capture_output=True, text=True, check=False)
            if found.returncode:
                wrong.append("fsck.fat: " + "; ".join(found.stdout.split("\n")[1:4]))
        if self._mtype is not None and not promise.formats:
            for path, content in promise.files.items():
                read = subprocess.run([self._mtype, "-i", str(image), f"::{path}"], capture_output=True, check=False)
                if read.stdout != content:
                    wrong.append(f"mtools reads something else as {path}: {read.stderr.decode(errors='replace')}")
        return wrong

    def _image(self, device: RecordingDevice) -> Path:
        """The volume, without a partition table before it, in a sparse file."""
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="gatebench-sweep-")
        path = Path(self._directory.name) / "card.img"
        card = device.frozen()  # an unreadable sector is a hole: the programs get a file
        start = find_volume(card)[0].first
        count = card.ioctl(BLOCK_COUNT, 0) or 0
        with path.open("wb") as file:
            buf = bytearray(PIECE * SECTOR_BYTES)
            for lba in range(start, count, PIECE):
                size = min(PIECE, count - lba) * SECTOR_BYTES
                piece = memoryview(buf)[:size]
                card.readblocks(lba, piece)
                if piece != ZEROS[:size]:
                    file.seek((lba - start) * SECTOR_BYTES)
                    file.write(piece)
            file.truncate((count - start) * SECTOR_BYTES)
        return path
