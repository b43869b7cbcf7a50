"""NOR flash on the board, as a block device whose blocks are erase sectors (MicroPython's extended protocol).

::

    sector (4 KiB, erase: all bits 1)  =  16 pages of 256 bytes (program: bits go from 1 to 0, never back)

Times are the typical ones of the Winbond W25Q64 data sheets (3 V, 64 Mbit serial NOR): 0.7 ms to program a page, 45 ms
to erase a sector. The CPU waits for them, and the world catches up at each step, so power can go in the middle of one.

Unlike MicroPython's flash drivers, writing without an offset does not erase first: it means offset 0.

Not modelled: bits that read differently from time to time after a torn step, the limit of 100,000 erasures (counted in
``wear``, never reached), read disturb, suspend of an erasure, block protection bits.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable
from typing import Protocol

from board.cpu import Cpu
from board.errors import BoardError
from board.trace import BoardTrace

SECTOR_BYTES = 4096
PAGE_BYTES = 256

READ_NS_PER_BYTE = 20
"""Quad read at 100 MHz, 50 MB/s; the transfer alone."""

PROGRAM_NS = 700_000
"""One page, typical (W25Q64 data sheets)."""

ERASE_NS = 45_000_000
"""One sector, typical (W25Q64 data sheets)."""

StepHook = Callable[[str, int, int], None]
"""``hook(kind, address, size_bytes)``, with ``kind`` ``program`` or ``erase``."""


class Storage(Protocol):
    """Bytes that can be sliced and overwritten in place: a ``bytearray``, an ``mmap``, a ``SparseStorage``."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: slice, /) -> bytes | bytearray: ...

    def __setitem__(self, key: slice, value: bytes, /) -> None: ...


class Tear(enum.Enum):
    """What a step leaves behind that was cut short."""

    UNTOUCHED = "untouched"
    """Nothing: power went just before it."""
    HALF = "half"
    """The first half of the page is programmed, the first half of the sector is erased."""
    PREPROGRAMMED = "preprogrammed"
    """An erasure had only begun: NOR programs all bits to 0 before it erases them. A page is left half programmed."""
    COMPLETE = "complete"
    """Everything is done, but the firmware never learned."""


class Flash:
    """One flash chip.

    Args:
        storage: its content; opening, checking and flushing a file behind it is the owner's business.
        trace: gets a ``flash`` event for every step: ``program`` or ``erase`` with the address.
    """

    def __init__(
        self,
        storage: Storage,
        cpu: Cpu,
        *,
        read_ns_per_byte: int = READ_NS_PER_BYTE,
        program_ns: int = PROGRAM_NS,
        erase_ns: int = ERASE_NS,
        trace: BoardTrace | None = None,
    ) -> None:
        if not len(storage) or len(storage) % SECTOR_BYTES:
            raise BoardError(f"flash of {len(storage)} bytes: must be a positive multiple of {SECTOR_BYTES}")
        self._storage = storage
        self._cpu = cpu
        self._trace = trace
        self.read_ns_per_byte = read_ns_per_byte
        self.program_ns = program_ns
        self.erase_ns = erase_ns
        self.size_bytes = len(storage)
        self.steps = 0
        """Program and erase steps begun so far: what a sweep of power cuts counts."""
        self.wear = [0] * (len(storage) // SECTOR_BYTES)
        """Erasures per sector since the chip was made here."""
        self.before_step: StepHook | None = None
        """Called before each step. What it raises cuts the step, as ``tear`` says, and goes on to the firmware."""
        self.tear = Tear.UNTOUCHED

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        """Fills ``buf`` from ``offset`` bytes into sector ``block_num`` on. OSError EINVAL outside the chip."""
        address = self._address(block_num, offset, len(buf))
        self._cpu.spend_ns(len(buf) * self.read_ns_per_byte)
        buf[:] = self._storage[address : address + len(buf)]

    def writeblocks(self, block_num: int, buf: bytes | bytearray | memoryview, offset: int = 0, /) -> None:
        """Programs ``buf``, page by page: each bit becomes old AND new. OSError EINVAL outside the chip."""
        address = self._address(block_num, offset, len(buf))
        data = bytes(buf)
        begin = 0
        # A page program must not cross a page boundary: the chip's address would wrap within the page.
        while begin < len(data):
            end = min(len(data), begin + PAGE_BYTES - (address + begin) % PAGE_BYTES)
            self._program(address + begin, data[begin:end])
            begin = end

    def ioctl(self, op: int, arg: int = 0, /) -> int | None:
        """1 init, 2 deinit, 3 sync (nothing to do), 4 sector count, 5 sector size in bytes, 6 erase sector ``arg``."""
        if op in (1, 2, 3):
            return 0
        if op == 4:
            return len(self.wear)
        if op == 5:
            return SECTOR_BYTES
        if op == 6:
            self._erase(self._address(arg, 0, SECTOR_BYTES))
            return 0
        return None

    def _program(self, address: int, data: bytes) -> None:
        before = bytes(self._storage[address : address + len(data)])
        after = _and(before, data)
        half = len(data) // 2
        torn = after[:half] + before[half:]
        remains = {
            Tear.UNTOUCHED: before,
            Tear.HALF: torn,
            Tear.PREPROGRAMMED: torn,
            Tear.COMPLETE: after,
        }
        self._step("program", address, self.program_ns, after, remains)

    def _erase(self, address: int) -> None:
        before = bytes(self._storage[address : address + SECTOR_BYTES])
        after = b"\xff" * SECTOR_BYTES
        half = SECTOR_BYTES // 2
        self.wear[address // SECTOR_BYTES] += 1
        remains = {
            Tear.UNTOUCHED: before,
            Tear.HALF: after[:half] + before[half:],
            Tear.PREPROGRAMMED: bytes(SECTOR_BYTES),
            Tear.COMPLETE: after,
        }
        self._step("erase", address, self.erase_ns, after, remains)

    def _step(self, kind: str, address: int, duration_ns: int, after: bytes, remains: dict[Tear, bytes]) -> None:
        """Does one step, or leaves what remains of it. The chip's reset hangs on the CPU's: any unwinding cuts it."""
        self.steps += 1
        try:
            if self.before_step is not None:
                self.before_step(kind, address, len(after))
            self._cpu.spend_ns(duration_ns)
            self._cpu.sync()
        except BaseException:
            self._storage[address : address + len(after)] = remains[self.tear]
            raise
        self._storage[address : address + len(after)] = after
        if self._trace is not None:
            self._trace(self._cpu.now_ns, "flash", kind, address)

    def _address(self, block_num: int, offset: int, size_bytes: int) -> int:
        address = block_num * SECTOR_BYTES + offset
        if block_num < 0 or offset < 0 or address + size_bytes > self.size_bytes:
            place = f"sector {block_num} offset {offset} size {size_bytes}"
            raise OSError(errno.EINVAL, f"flash access outside the chip: {place}, {len(self.wear)} sectors")
        return address


def _and(before: bytes, data: bytes) -> bytes:
    both = int.from_bytes(before, "little") & int.from_bytes(data, "little")
    return both.to_bytes(len(data), "little")
