"""A block device in an image file: sparse, locked against a second run, durable after ``ioctl(SYNC)``."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from cfcard.blockdev import SECTOR_BYTES, SYNC, Readable, ioctl_answer, sectors_of
from cfcard.errors import CardError, CardProtected, NoCard, SectorError

try:
    import fcntl
except ImportError:  # pragma: no cover - hosts without flock have images, but no lock on them
    fcntl = None  # type: ignore[assignment]

__all__ = ["ImageDevice"]

_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


class ImageDevice:
    """The sectors of an image file, as ``dd`` makes it from a card.

    A file opened for writing is locked exclusively, a file opened for reading is shared with other readers; so two runs
    never write to one image. ``pread``/``pwrite`` rather than a memory map: a file cut short by somebody else is then a
    ``SectorError`` and not the end of the process.

    Args:
        path: the file.
        writable: False opens for reading only; writes then raise ``CardProtected``.

    Raises:
        OSError: ENOENT, EACCES, EISDIR from the host.
        CardError: EBUSY when another process holds the image; EINVAL when it is no file, or its size is not a multiple
            of 512 above 0.

    Not modelled: the card's own write cache; what ``writeblocks`` took survives a kill of this process at once, and a
    crash of the host after ``ioctl(SYNC)``.
    """

    def __init__(self, path: str | os.PathLike[str], *, writable: bool = True) -> None:
        self.path = Path(path)
        self.write_protected = not writable
        # A pipe has nobody at its other end: without O_NONBLOCK that would be waited for. It means nothing to a file.
        self._fd = os.open(self.path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | _NONBLOCK)
        self._unsynced = False
        try:
            self._lock(writable)
            self.size_bytes = self._size()
        except BaseException:
            os.close(self._fd)
            raise
        self._sectors = self.size_bytes // SECTOR_BYTES

    @classmethod
    def create(cls, path: str | os.PathLike[str], size_bytes: int) -> ImageDevice:
        """Makes a new, sparse image of ``size_bytes`` zeros and opens it.

        Raises:
            FileExistsError: there is a file of that name already; it is left alone.
            CardError: EINVAL when the size is not a positive multiple of 512.
        """
        if size_bytes <= 0 or size_bytes % SECTOR_BYTES:
            raise CardError(f"size {size_bytes} is not a multiple of {SECTOR_BYTES} above 0", errno.EINVAL)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            os.ftruncate(fd, size_bytes)
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        return cls(path)

    def _lock(self, writable: bool) -> None:
        if fcntl is None:  # pragma: no cover
            return
        try:
            fcntl.flock(self._fd, (fcntl.LOCK_EX if writable else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CardError(f"{self.path}: in use by another run", errno.EBUSY) from None

    def _size(self) -> int:
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            raise CardError(f"{self.path}: not a regular file", errno.EINVAL)
        if status.st_size == 0:
            raise CardError(f"{self.path}: not a card image, it is empty", errno.EINVAL)
        if status.st_size % SECTOR_BYTES:
            text = f"{self.path}: not a card image, size {status.st_size} is not a multiple of {SECTOR_BYTES}"
            raise CardError(text, errno.EINVAL)
        return status.st_size

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        sectors_of(block_num, len(buf), offset, self._sectors)
        self._require_open()
        view = memoryview(buf)
        position = block_num * SECTOR_BYTES
        while view:
            # One call moves 2 GiB at most, and a file that was cut short meanwhile gives less.
            got = os.preadv(self._fd, [view], position)
            if got == 0:
                raise SectorError(f"{self.path}: sector {position // SECTOR_BYTES} is gone, the file was cut short")
            view, position = view[got:], position + got

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        sectors_of(block_num, len(buf), offset, self._sectors)
        self._require_open()
        if self.write_protected:
            raise CardProtected(f"{self.path}: opened for reading only")
        view = memoryview(buf)
        position = block_num * SECTOR_BYTES
        self._unsynced = True
        while view:
            put = os.pwrite(self._fd, view, position)
            view, position = view[put:], position + put

    def ioctl(self, op: int, arg: int, /) -> int | None:
        if op == SYNC:
            self.sync()
        return ioctl_answer(op, self._sectors)

    def sync(self) -> None:
        """Makes everything written so far survive a crash of the host; costs a millisecond, so only when needed."""
        self._require_open()
        if self._unsynced:
            os.fdatasync(self._fd)
            self._unsynced = False

    def close(self) -> None:
        """Syncs, unlocks and closes; a second call does nothing."""
        if self._fd < 0:
            return
        try:
            self.sync()
        finally:
            os.close(self._fd)
            self._fd = -1

    def _require_open(self) -> None:
        if self._fd < 0:
            raise NoCard(f"{self.path}: image is closed")
