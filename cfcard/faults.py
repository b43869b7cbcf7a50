"""A layer that breaks things on purpose: named faults, at places that can be counted to.

Sectors are counted one by one, also where a call moves many, because a card dies between any two of them::

    device.arm(Fault.CUT, at=7)                                   writes 1..6 reach the card, nothing later does
    device.arm(Rule(Fault.ERROR, Event.READ, sector=(32, 63)))    a stretch of the card cannot be read

``rules`` is the vocabulary. A fault after which the card is gone ends the caller with an exception: until ``revive``
nothing reaches the sectors any more, so that no clean-up code of the unwinding caller does.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import NoReturn

from cfcard.armed import ArmedRules
from cfcard.blockdev import SECTOR_BYTES, SYNC, BlockDevice, Layer, Readable
from cfcard.errors import CardError, CardProtected, NoCard, SectorError
from cfcard.journal import Journal
from cfcard.rules import ENDING, Event, Fault, Rule

__all__ = ["Fault", "FaultyDevice"]

_BY_SECTOR = frozenset((Fault.READ_ONCE, Fault.READ_ALWAYS))
_TAKEN_BACK = (Fault.REORDER, Fault.FORGET)
_LASTING = frozenset((Fault.READ_ALWAYS,))

HALF = SECTOR_BYTES // 2


class FaultyDevice(Layer):
    """Sectors that fail on demand.

    Args:
        inner: where the sectors are; after a cut it holds what would be on the card.
        cut: makes the exception that a power cut raises: ``NoCard`` (the default), or whatever ends the emulated
            firmware when the whole board loses its power (a ``BaseException`` of the caller's).
        pull: the same where only the card goes.
        rules: those that are armed already, on a slot that had another card before.

    Not modelled: errors that come and go with temperature, wear, or the pattern of the data; reads that give another
    sector's content.
    """

    def __init__(
        self,
        inner: BlockDevice,
        *,
        cut: Callable[[], BaseException] = NoCard,
        pull: Callable[[], BaseException] = NoCard,
        rules: ArmedRules | None = None,
    ) -> None:
        super().__init__(inner)
        self.rules = ArmedRules() if rules is None else rules
        self._cut = cut
        self._pull = pull
        self._journal = Journal()
        self._unreadable: set[int] = set()
        self._protected = False
        self._gone = False

    @property
    def fired(self) -> list[Fault]:
        """The faults that happened, in order. A sweep goes on until a run leaves this empty."""
        return [hit.rule.fault for hit in self.rules.hits]

    def arm(self, what: Fault | Rule, at: int = 1) -> None:
        """Makes a rule hold from now on; a bare fault happens at write number ``at``, or at sector ``at`` for
        ``READ_ONCE`` and ``READ_ALWAYS``."""
        if isinstance(what, Fault):
            what = Rule(what, sector=at) if what in _BY_SECTOR else Rule(what, at=at)
        self.rules.arm(what)
        self.prepare()

    def prepare(self) -> None:
        """Does what a rule wants done as soon as there is a card: fills its volume. OSError when that is impossible."""
        for armed in self.rules.pending(Fault.FULL):
            from cfcard.fat.fill import fill_volume

            fill_volume(self.inner, armed.rule.free_clusters)
            self.rules.fire(armed, None)

    def obey(
        self,
        rules: ArmedRules,
        *,
        cut: Callable[[], BaseException] = NoCard,
        pull: Callable[[], BaseException] = NoCard,
    ) -> None:
        """Goes by other rules from now on, of the slot that the card is in."""
        self.rules, self._cut, self._pull = rules, cut, pull
        self.revive()

    def revive(self) -> None:
        """Power is back, or the card is in again: it answers."""
        self._gone = False
        self._journal.clear()

    def heal(self) -> None:
        """The same, and nothing is armed any more; sectors that became unreadable stay so."""
        self.revive()
        self.rules.disarm(keep=_LASTING)
        self._protected = False

    def delay_ns(self, event: Event, lba: int, base_ns: int) -> int:
        """What this sector takes beyond ``base_ns``. To be asked once, before the sector is read or written."""
        if self._gone or not self.rules.waiting(event):
            return 0
        rule = self.rules.due(event, lba, slow=True)
        return 0 if rule is None else int(rule.delay_ms * 1_000_000 + base_ns * (rule.factor - 1))

    # -- the block device

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        self._require_card()
        if self._unreadable or self.rules.waiting(Event.READ):
            for lba in range(block_num, block_num + len(buf) // SECTOR_BYTES):
                self._read(lba)
        self.inner.readblocks(block_num, buf, offset)

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        self._require_card()
        rules = self.rules
        quiet = not (self._unreadable or self._protected or rules.waiting(Event.WRITE) or rules.waiting(Event.READ))
        if quiet and not rules.pending(*_TAKEN_BACK):
            self.inner.writeblocks(block_num, buf, offset)
            return
        view = memoryview(buf)
        for i in range(len(buf) // SECTOR_BYTES):
            self._write(block_num + i, view[i * SECTOR_BYTES : (i + 1) * SECTOR_BYTES])

    def ioctl(self, op: int, arg: int, /) -> int | None:
        self._require_card()
        if op != SYNC:
            return self.inner.ioctl(op, arg)
        rule = self.rules.due(Event.FLUSH, None)
        if rule is not None and rule.fault in ENDING:
            self._die(rule, None, None)
        if rule is not None:
            raise _failure(rule, "what was written may be lost, the card does not flush")
        answer = self.inner.ioctl(op, arg)
        self._journal.flush()
        return answer

    # -- how

    def _read(self, lba: int) -> None:
        if lba in self._unreadable:
            raise SectorError(f"sector {lba} unreadable")
        rule = self.rules.due(Event.READ, lba)
        if rule is None:
            return
        if rule.fault in ENDING:
            self._die(rule, lba, None)
        raise _failure(rule, f"sector {lba} unreadable")

    def _write(self, lba: int, data: memoryview) -> None:
        if self._protected:
            raise CardProtected
        rule = self.rules.due(Event.WRITE, lba)
        fault = None if rule is None else rule.fault
        if rule is not None and fault in ENDING:
            self._die(rule, lba, data)
        if fault is Fault.PROTECT:
            self._protected = True
            raise CardProtected
        if rule is not None and fault not in (Fault.LOSE, Fault.MISDIRECT):
            raise _failure(rule, f"sector {lba} cannot be written")
        self._unreadable.discard(lba)
        self.rules.note_written(lba)
        if fault is not Fault.LOSE:
            self._put(lba + (fault is Fault.MISDIRECT), data)

    def _put(self, lba: int, data: Readable) -> None:
        if self.rules.pending(*_TAKEN_BACK):
            self._journal.note(lba, self._content(lba), bytes(data))
        self.inner.writeblocks(lba, data)

    def _die(self, rule: Rule, lba: int | None, data: memoryview | None) -> NoReturn:
        """Leaves on the card what the fault leaves there, and ends the caller."""
        if lba is not None and data is not None:
            self._spoil(rule, lba, data)
        if rule.fault is Fault.FORGET:
            self._take_back(self._journal.forgotten(rule.count, self.rules.number))
        elif rule.fault is Fault.REORDER:
            if lba is not None and data is not None:
                self._journal.note(lba, self._content(lba), bytes(data))
            self._take_back(self._journal.reordered(self.rules.number))
        self._gone = True
        raise (self._pull if rule.pulls else self._cut)()

    def _spoil(self, rule: Rule, lba: int, data: memoryview) -> None:
        """What becomes of the sector that is being written."""
        remains: bytes | None = None
        if rule.fault is Fault.TEAR_HEAD:
            remains = bytes(data[:HALF]) + self._content(lba)[HALF:]
        elif rule.fault is Fault.TEAR_TAIL:
            remains = self._content(lba)[:HALF] + bytes(data[HALF:])
        elif rule.fault is Fault.BURN_ONES:
            remains = b"\xff" * SECTOR_BYTES
        elif rule.fault is Fault.BURN_ZEROS:
            remains = bytes(SECTOR_BYTES)
        elif rule.fault is Fault.GARBAGE:
            remains = self.rules.noise(SECTOR_BYTES)
        elif rule.fault is Fault.UNREADABLE:
            self._unreadable.add(lba)
        if remains is not None:
            self.inner.writeblocks(lba, remains)

    def _take_back(self, content: Mapping[int, bytes]) -> None:
        for lba, data in content.items():
            self.inner.writeblocks(lba, data)

    def _content(self, lba: int) -> bytes:
        old = bytearray(SECTOR_BYTES)
        self.inner.readblocks(lba, old)
        return bytes(old)

    def _require_card(self) -> None:
        # After a cut, clean-up code of the unwinding caller must not reach the card either.
        if self._gone:
            raise NoCard


def _failure(rule: Rule, text: str) -> CardError:
    """The exception of a rule that fails an access."""
    if rule.errno == errno.EIO:
        return SectorError(text)
    if rule.errno == errno.EROFS:
        return CardProtected()
    if rule.errno == errno.ENODEV:
        return NoCard()
    return CardError(text, rule.errno)
