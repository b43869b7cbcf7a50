"""The system calls of a card reader, all of them in one small object, so that a test can hand in another kernel."""

from __future__ import annotations

import os
import struct

__all__ = ["BLKGETDISKSEQ", "BLKGETSIZE64", "BLKROGET", "BLKSSZGET", "OsPort"]

BLKROGET = 0x125E
"""Whether the device is read-only: an int (linux/fs.h)."""

BLKSSZGET = 0x1268
"""Logical sector size in bytes: an int."""

BLKGETSIZE64 = 0x8008_1272
"""Size in bytes: 64 bits. The number is that of x86, Arm and RISC-V; MIPS, PowerPC and SPARC count otherwise."""

BLKGETDISKSEQ = 0x8008_1280
"""A number that rises with each medium that comes or goes: 64 bits, from Linux 5.15 on, numbered like the one above."""

_FORMATS = {BLKROGET: "i", BLKSSZGET: "i", BLKGETSIZE64: "Q", BLKGETDISKSEQ: "Q"}


class OsPort:
    """The host's own system calls. All of them raise OSError."""

    def stat(self, path: str) -> os.stat_result:
        return os.stat(path)

    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC)

    def fstat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def ioctl(self, fd: int, request: int) -> int:
        """The number that one of the requests above gives."""
        import fcntl  # not on every host; whoever has block devices has it

        answer = bytearray(struct.calcsize(_FORMATS[request]))
        fcntl.ioctl(fd, request, answer)
        number: int = struct.unpack(_FORMATS[request], answer)[0]
        return number

    def pread(self, fd: int, view: memoryview, position: int) -> int:
        """Fills ``view`` from ``position`` on; how many bytes came."""
        return os.preadv(fd, [view], position)

    def pwrite(self, fd: int, view: memoryview, position: int) -> int:
        """How many bytes of ``view`` went to ``position``."""
        return os.pwrite(fd, view, position)

    def fsync(self, fd: int) -> None:
        """Empties the write cache of the device."""
        os.fsync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)
