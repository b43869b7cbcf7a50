"""A block device in a real card reader: ``/dev/sdX`` of a Linux host.

A wrong name here costs somebody a disk. So it is opened only when all of this holds, and refused in one line otherwise:

::

    what it is     a block device, a whole one, removable or on USB, not the disk of ``/`` or of swap
    who has it     nothing of it mounted, and the kernel gives it to us alone (O_EXCL)
    what is in it  a card, of 64 GiB at most, with sectors of 512 bytes

Transfers go past the page cache (O_DIRECT). Through the cache, each sector that is written first reads and then writes
the 4 KiB around it: 200 single sectors became 1,600, so that a card pulled in the middle could tear seven neighbours
that nobody touched, and sectors left in another order than they were written; nor would a read see that the card has
gone. What was written is durable after ``ioctl(SYNC)``, one flush for all of it: O_DSYNC as well would flush per call,
at three to seven times the cost.

What the kernel does when hands are quicker than it, and what becomes of it here:

=====================================  ==========================================
card pulled                            EIO, ENOMEDIUM
another card in its place              EIO, until anybody looks into the slot
reader unplugged                       end of file on read, ENOSPC on write
one sector that cannot be read         EIO or ENODATA, while others can be read
=====================================  ==========================================

The first three are ``NoCard``, now and for ever: the descriptor is closed, and nothing that comes into the reader later
is touched until somebody opens it anew. The last is a ``SectorError``.

"Until anybody looks": any program that opens the device, exclusively or not, and udev's look every two seconds, make
the kernel take the new card for granted; from then on an old descriptor reads and writes **the new card** without any
error. What gives it away is the disk's sequence number, which rises with each card that comes or goes (Linux 5.15). So
it is compared before a write, and after every read, write and flush: what a stale descriptor gave is thrown away, and
it writes nothing. A kernel without the number opens cards for reading only.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from cfcard.blockdev import SECTOR_BYTES, SYNC, Readable, ioctl_answer, sectors_of
from cfcard.discovery import Disk, disk_numbered, parent_of_partition
from cfcard.errors import CardError, CardProtected, NoCard, SectorError
from cfcard.osport import BLKGETDISKSEQ, BLKGETSIZE64, BLKROGET, BLKSSZGET, OsPort

__all__ = ["CARDS", "LARGEST_BYTES", "Policy", "ReaderDevice"]

LARGEST_BYTES = 64 << 30
"""More than a gateway's card ever had, and less than most disks with work on them."""

CHUNK_BYTES = 128 * 1024
"""Of one transfer: what a USB reader moves with one command (``max_sectors`` is 240 sectors or more)."""

O_DIRECT = getattr(os, "O_DIRECT", 0)

GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM})
PROTECTED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@dataclass(frozen=True)
class Policy:
    """What is taken for a card reader.

    Args:
        largest_bytes: of a card.
        also: kernel names that are let through although they are neither removable nor on USB: loop devices, in tests.
    """

    largest_bytes: int = LARGEST_BYTES
    also: tuple[str, ...] = ()

    def refusal_of_disk(self, disk: Disk) -> str | None:
        """Why this disk is not to be opened, whatever is in it; None when it may be."""
        if "/" in disk.mounts:
            return "refused, this disk holds the root file system"
        if disk.swap:
            return "refused, this disk holds swap space"
        if not (disk.removable or disk.usb or disk.name in self.also):
            return "refused, neither removable nor on USB"
        if disk.mounts:
            return f"refused, mounted at {', '.join(disk.mounts)}"
        return None

    def refusal_of_medium(self, disk: Disk) -> str | None:
        """Why what is in it is not to be used; None when it may be, or there is nothing in it."""
        if disk.sector_bytes not in (0, SECTOR_BYTES):
            return f"refused, sectors of {disk.sector_bytes} bytes, a card has {SECTOR_BYTES}"
        if disk.size_bytes > self.largest_bytes:
            return f"refused, {disk.size_bytes >> 30} GiB is more than the {self.largest_bytes >> 30} GiB of a card"
        return None


CARDS = Policy()
"""Removable or on USB, and no larger than a card."""


class ReaderDevice:
    """The sectors of the card in a reader, exclusively opened.

    Args:
        path: the whole disk's device, or a link to it.
        writable: False opens for reading only; writes then raise ``CardProtected``.
        policy: what is let through.
        port: the system calls.
        root: where ``/sys`` and ``/proc`` are.

    Attributes:
        disk: vendor, model, size of what was opened.
        write_protected: the card's or the reader's word, or opened for reading only.

    Raises:
        OSError: ENOENT, or what else the host has against it.
        NoCard: ENOMEDIUM, the reader is empty.
        CardError: EPERM, EBUSY, EACCES ...: refused, with the reason.

    Not modelled: the card's own IDENTIFY block, which readers do not pass on; an I/O that hangs: the kernel gives a USB
    reader 30 s before it says EIO, and the caller waits for it; an exchange of cards, with a look of the kernel's, in
    the microseconds between the comparison and the write.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        writable: bool = True,
        policy: Policy = CARDS,
        port: OsPort | None = None,
        root: str | os.PathLike[str] = "/",
    ) -> None:
        self.path = os.fspath(path)
        self._port = OsPort() if port is None else port
        self._root = Path(root)
        self._gone: str | None = None
        self._unsynced = False
        rdev = self._device_number()
        self.disk = self._disk(rdev, policy)
        self._fd = self._open(writable)
        try:
            self._sequence = self._sequence_now()
            self._look_inside(rdev, policy)
            if self._sequence is None and writable and not self.disk.write_protected:
                text = "refused for writing, this kernel cannot tell one card from the next, Linux 5.15 can"
                raise CardError(f"{self.path}: {text}", errno.ENOTSUP)
        except BaseException:
            self._port.close(self._fd)
            raise
        self.write_protected = self.disk.write_protected or not writable
        self.size_bytes = self.disk.size_bytes
        self._sectors = self.size_bytes // SECTOR_BYTES
        # O_DIRECT wants memory that is aligned; a mapping begins on a page.
        self._buffer = mmap.mmap(-1, CHUNK_BYTES)

    # -- opening

    def _device_number(self) -> int:
        status = self._port.stat(self.path)
        if not stat.S_ISBLK(status.st_mode):
            raise CardError(f"{self.path}: not a block device", errno.ENOTBLK)
        return status.st_rdev

    def _disk(self, rdev: int, policy: Policy) -> Disk:
        disk = disk_numbered(rdev, self._root)
        if disk is None:
            whole = parent_of_partition(rdev, self._root)
            text = "the kernel knows no such disk" if whole is None else f"a partition, the card is {whole}"
            raise CardError(f"{self.path}: {text}", errno.ENXIO if whole is None else errno.EINVAL)
        reason = policy.refusal_of_disk(disk)
        if reason is not None:
            code = errno.EBUSY if disk.mounts else errno.EPERM
            raise CardError(f"{self.path}: {reason}", code)
        return disk

    def _open(self, writable: bool) -> int:
        """An exclusive descriptor; for reading only when the card is write-protected."""
        flags = os.O_EXCL | O_DIRECT
        try:
            return self._port.open(self.path, flags | (os.O_RDWR if writable else os.O_RDONLY))
        except OSError as error:
            refusal = self._refusal_from(error)
            if not writable or error.errno not in PROTECTED:
                raise refusal from error
        try:
            fd = self._port.open(self.path, flags | os.O_RDONLY)
        except OSError as error:
            raise self._refusal_from(error) from error
        if not self._port.ioctl(fd, BLKROGET):
            self._port.close(fd)
            raise refusal
        return fd

    def _refusal_from(self, error: OSError) -> CardError:
        code = error.errno or errno.EIO
        if code == errno.ENOMEDIUM:
            return NoCard(f"{self.path}: no card in the reader", code)
        if code == errno.EBUSY:
            holders = ", ".join(self.disk.holders)
            return CardError(f"{self.path}: in use by {holders or 'another program'}", code)
        if code in (errno.EACCES, errno.EPERM):
            return CardError(f"{self.path}: no permission, its group or root may open it", code)
        return CardError(f"{self.path}: {(error.strerror or 'cannot be opened').lower()}", code)

    def _look_inside(self, rdev: int, policy: Policy) -> None:
        """Looks at what was really opened: between name and descriptor another device may have got the name."""
        if self._port.fstat(self._fd).st_rdev != rdev:
            raise CardError(f"{self.path}: became another device meanwhile", errno.ENODEV)
        self.disk = replace(
            self.disk,
            size_bytes=self._port.ioctl(self._fd, BLKGETSIZE64),
            sector_bytes=self._port.ioctl(self._fd, BLKSSZGET),
            write_protected=bool(self._port.ioctl(self._fd, BLKROGET)),
        )
        if not self.disk.size_bytes:
            raise NoCard(f"{self.path}: no card in the reader", errno.ENOMEDIUM)
        reason = policy.refusal_of_medium(self.disk)
        if reason is not None:
            raise CardError(f"{self.path}: {reason}", errno.EPERM)

    # -- transfers

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        sectors_of(block_num, len(buf), offset, self._sectors)
        self._require_open()
        view = memoryview(buf)
        for at in range(0, len(view), CHUNK_BYTES):
            part = view[at : at + CHUNK_BYTES]
            self._read(block_num + at // SECTOR_BYTES, len(part))
            part[:] = self._buffer[: len(part)]

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        sectors_of(block_num, len(buf), offset, self._sectors)
        self._require_open()
        if self.write_protected:
            raise CardProtected(f"{self.path}: card is write-protected or opened for reading only")
        view = memoryview(buf)
        for at in range(0, len(view), CHUNK_BYTES):
            part = view[at : at + CHUNK_BYTES]
            self._buffer[: len(part)] = bytes(part)
            self._unsynced = True
            self._write(block_num + at // SECTOR_BYTES, len(part))

    def ioctl(self, op: int, arg: int, /) -> int | None:
        if op == SYNC:
            self.sync()
        return ioctl_answer(op, self._sectors)

    def sync(self) -> None:
        """Makes what was written so far survive the card's being pulled: empties the write cache of reader and card."""
        self._require_open()
        if not self._unsynced:
            return
        try:
            self._port.fsync(self._fd)
        except OSError as error:
            raise self._failure(error, "flush", 0, 0) from error
        self._require_same_card()
        self._unsynced = False

    def present(self) -> bool:
        """Whether the card that was opened is still there: asks the card itself, one sector."""
        if self._gone is None and self._fd >= 0:
            try:
                self._read(0, SECTOR_BYTES)
            except NoCard:
                return False
            except SectorError:
                return True
        return self._gone is None and self._fd >= 0

    def close(self) -> None:
        """Syncs and gives the device back; a second call does nothing.

        A card that is gone is no error here: what had to survive was synced before, and whoever wanted more was told.
        """
        if self._fd < 0:
            return
        try:
            self.sync()
        except NoCard:
            pass
        finally:
            self._release()

    # -- how

    def _read(self, lba: int, size_bytes: int) -> None:
        """Fills the buffer."""
        with memoryview(self._buffer) as whole, whole[:size_bytes] as view:
            done = 0
            while done < size_bytes:
                try:
                    got = self._port.pread(self._fd, view[done:], lba * SECTOR_BYTES + done)
                except OSError as error:
                    raise self._failure(error, "read", lba, size_bytes // SECTOR_BYTES) from error
                if not got:
                    raise self._lost("reader unplugged")
                done += got
        self._require_same_card()

    def _write(self, lba: int, size_bytes: int) -> None:
        """Writes what is in the buffer."""
        self._require_same_card()
        with memoryview(self._buffer) as whole, whole[:size_bytes] as view:
            done = 0
            while done < size_bytes:
                try:
                    put = self._port.pwrite(self._fd, view[done:], lba * SECTOR_BYTES + done)
                except OSError as error:
                    raise self._failure(error, "written", lba, size_bytes // SECTOR_BYTES) from error
                if not put:
                    raise self._lost("reader unplugged")
                done += put
        self._require_same_card()

    def _failure(self, error: OSError, verb: str, lba: int, count: int) -> CardError:
        """What ``error`` of a transfer means: the card is gone, is write-protected, or a sector is bad."""
        if verb != "read" and error.errno == errno.ENOSPC:
            return self._lost("reader unplugged")
        if verb != "read" and error.errno in PROTECTED:
            self.write_protected = True
            return CardProtected(f"{self.path}: card is write-protected")
        if error.errno in GONE or not self._answers(lba, count):
            return self._lost("pulled or changed")
        if verb == "flush":
            return SectorError(f"{self.path}: what was written may be lost, the card does not flush")
        which = f"sector {lba}" if count == 1 else f"sectors {lba} to {lba + count - 1}"
        return SectorError(f"{self.path}: {which} cannot be {verb}")

    def _answers(self, lba: int, count: int) -> bool:
        """Whether a sector of this card can be read that had no part in what failed: the first, or the last."""
        other = 0 if lba or not count else self._sectors - 1
        with memoryview(self._buffer) as whole, whole[:SECTOR_BYTES] as view:
            try:
                size_bytes = self._port.pread(self._fd, view, other * SECTOR_BYTES)
            except OSError:
                return False
        return size_bytes == SECTOR_BYTES and self._sequence_now() == self._sequence

    def _sequence_now(self) -> int | None:
        """The disk's sequence number; None where the kernel has none."""
        try:
            return self._port.ioctl(self._fd, BLKGETDISKSEQ)
        except OSError:
            return None

    def _require_same_card(self) -> None:
        if self._sequence_now() != self._sequence:
            raise self._lost("pulled or changed")

    def _lost(self, reason: str) -> NoCard:
        """Gives the card up for good; the descriptor too, as it would keep the next card from being opened."""
        self._gone = reason
        self._release()
        return NoCard(f"{self.path}: card is gone, {reason}")

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            self._port.close(fd)
        except OSError:
            pass  # the descriptor is free all the same (close(2)), and what could fail was told by sync

    def _require_open(self) -> None:
        if self._gone is not None:
            raise NoCard(f"{self.path}: card is gone, {self._gone}")
        if self._fd < 0:
            raise NoCard(f"{self.path}: reader is closed")
