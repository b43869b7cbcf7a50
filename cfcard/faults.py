"""A layer that breaks things on purpose: each fault is a named mode, armed at a place that can be counted to.

Sectors are counted one by one, also where a call writes many, because a card dies between any two of them::

    device.arm(Fault.CUT, at=7)      writes 1..6 reach the card, the 7th and everything later does not
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from cfcard.blockdev import SECTOR_BYTES, BlockDevice, Layer, Readable
from cfcard.errors import CardProtected, NoCard, SectorError

__all__ = ["Fault", "FaultyDevice"]


class Fault(enum.Enum):
    """What goes wrong."""

    CUT = "cut"  # the card is gone at write number `at`; that sector keeps its old content
    TEAR_HEAD = "tear-head"  # gone while writing: the first half of the sector is new, the second half old
    TEAR_TAIL = "tear-tail"  # gone while writing: the first half is old, the second half new
    BURN_ONES = "burn-ones"  # gone while writing: the sector reads as all FFh, as erased flash does
    BURN_ZEROS = "burn-zeros"  # gone while writing: the sector reads as all zero
    UNREADABLE = "unreadable"  # gone while writing: the sector can no longer be read until it is written again
    LOSE = "lose"  # write number `at` is reported as done and never happens
    MISDIRECT = "misdirect"  # write number `at` lands in the next sector and is reported as done
    WRITE_ERROR = "write-error"  # write number `at` fails with EIO and changes nothing; the card lives on
    READ_ONCE = "read-once"  # the first read of sector `at` fails, later ones work
    READ_ALWAYS = "read-always"  # every read of sector `at` fails until it is written
    PROTECT = "protect"  # from write number `at` on, the card refuses writes


_CUTS = frozenset(
    (Fault.CUT, Fault.TEAR_HEAD, Fault.TEAR_TAIL, Fault.BURN_ONES, Fault.BURN_ZEROS, Fault.UNREADABLE),
)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    at: int
    """Which write (counted from 1 since it was armed), or which sector for the read faults."""
    seen: int = 0


class FaultyDevice(Layer):
    """Sectors that fail on demand.

    Args:
        inner: where the sectors are; after a cut it holds what would be on the card.
        cut: makes the exception that a cut raises: ``NoCard`` for a card that was pulled (the default), or whatever
            ends the emulated firmware when the whole board loses its power (a ``BaseException`` of the caller's).

    Attributes:
        fired: the faults that happened, in order. A sweep goes on until a run leaves this empty.

    Not modelled: reordering of writes.
    """

    def __init__(self, inner: BlockDevice, *, cut: Callable[[], BaseException] = NoCard) -> None:
        super().__init__(inner)
        self.fired: list[Fault] = []
        self._cut = cut
        self._armed: list[_Armed] = []
        self._unreadable: set[int] = set()
        self._read_once: set[int] = set()
        self._protected = False
        self._gone = False

    def arm(self, fault: Fault, at: int = 1) -> None:
        """Makes ``fault`` happen at write number ``at`` from now on, or at sector ``at`` for a read fault."""
        if fault is Fault.READ_ALWAYS:
            self._unreadable.add(at)
        elif fault is Fault.READ_ONCE:
            self._read_once.add(at)
        else:
            self._armed.append(_Armed(fault, at))

    def heal(self) -> None:
        """Power is back, the card is in again: nothing is armed, sectors that became unreadable stay so."""
        self._armed.clear()
        self._read_once.clear()
        self._protected = self._gone = False

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        self._require_card()
        if self._unreadable or self._read_once:
            for lba in range(block_num, block_num + len(buf) // SECTOR_BYTES):
                self._read_fault(lba)
        self.inner.readblocks(block_num, buf, offset)

    def _read_fault(self, lba: int) -> None:
        if lba in self._unreadable:
            self.fired.append(Fault.READ_ALWAYS)
            raise SectorError(f"sector {lba} unreadable")
        if lba in self._read_once:
            self._read_once.discard(lba)
            self.fired.append(Fault.READ_ONCE)
            raise SectorError(f"sector {lba} unreadable")

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        self._require_card()
        if not (self._armed or self._unreadable or self._protected):
            self.inner.writeblocks(block_num, buf, offset)
            return
        view = memoryview(buf)
        for i in range(len(buf) // SECTOR_BYTES):
            self._write(block_num + i, view[i * SECTOR_BYTES : (i + 1) * SECTOR_BYTES])

    def ioctl(self, op: int, arg: int, /) -> int | None:
        self._require_card()
        return self.inner.ioctl(op, arg)

    def _write(self, lba: int, data: memoryview) -> None:
        if self._protected:
            raise CardProtected
        due = self._due()
        if due is not None:
            self.fired.append(due)
        if due is not None and due in _CUTS:
            self._die(due, lba, data)
        if due is Fault.WRITE_ERROR:
            raise SectorError(f"sector {lba} cannot be written")
        if due is Fault.PROTECT:
            self._protected = True
            raise CardProtected
        self._unreadable.discard(lba)
        if due is not Fault.LOSE:
            self.inner.writeblocks(lba + (due is Fault.MISDIRECT), data)

    def _due(self) -> Fault | None:
        due = None
        for armed in tuple(self._armed):
            armed.seen += 1
            if armed.seen == armed.at and due is None:
                due = armed.fault
                self._armed.remove(armed)
        return due

    def _die(self, fault: Fault, lba: int, data: memoryview) -> NoReturn:
        """Leaves in sector ``lba`` what ``fault`` leaves there, and ends the caller."""
        half = SECTOR_BYTES // 2
        old = bytearray(SECTOR_BYTES)
        self.inner.readblocks(lba, old)
        if fault is Fault.TEAR_HEAD:
            self.inner.writeblocks(lba, bytes(data[:half]) + old[half:])
        elif fault is Fault.TEAR_TAIL:
            self.inner.writeblocks(lba, bytes(old[:half]) + data[half:])
        elif fault is Fault.BURN_ONES:
            self.inner.writeblocks(lba, b"\xff" * SECTOR_BYTES)
        elif fault is Fault.BURN_ZEROS:
            self.inner.writeblocks(lba, bytes(SECTOR_BYTES))
        elif fault is Fault.UNREADABLE:
            self._unreadable.add(lba)
        self._gone = True
        raise self._cut()

    def _require_card(self) -> None:
        # After a cut, clean-up code of the unwinding caller must not reach the card either.
        if self._gone:
            raise NoCard
