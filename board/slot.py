"""The CompactFlash slot: card-detect, and while a card is in, a block device.

::

    insert: contacts touch --- detect 1>0, bounces ---------------- settled at 0
    remove: card is dead at once, in the middle of a sector too --- detect 0>1, bounces --- settled at 1

``device`` is always the same object. It works with the card that was in at its first access; after a swap it answers
ENODEV until ``ioctl(1)`` initialises the new card, so that no driver writes one card's sectors onto another. A transfer
takes the card's time, sector by sector, its pauses included, and the world catches up before each: what is pulled or
loses power in sector n has got the sectors before n and nothing of n.

-CD1 and -CD2 are tied to ground inside the card and pulled up on the board (CompactFlash specification): ``detect`` is
both combined, 0 while a card is in.

Not modelled: the two contacts touching one after the other, True IDE mode, the card's power-up time, a sector that is
half written (a faulty card does that).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Protocol

from board.clock import VirtualClock
from board.cpu import Cpu
from board.errors import BoardError
from board.pin import Pin
from board.trace import BoardTrace

SECTOR_BYTES = 512

BOUNCE_US = (400, 700, 1_500, 1_650, 3_200, 3_300)
"""When the detect contact flips again after it first touched or parted: an assumption, within the 10 ms in which
mechanical contacts settle. Even in number, so that it ends where it began to go."""

FASTEST_BYTES_PER_S = 16_666_666
"""PIO mode 4: 16 bits in 120 ns."""

ActivityHook = Callable[[str], None]
"""``hook("read")`` or ``hook("write")``, once per transfer."""

CardHook = Callable[["Card", bool], None]
"""``hook(card, True)`` when a card was put in, ``hook(card, False)`` when it was pulled."""


class CardDevice(Protocol):
    """A card's sectors. What it raises goes on to the firmware."""

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None: ...

    def writeblocks(self, block_num: int, buf: bytes | bytearray | memoryview, offset: int = 0, /) -> None: ...

    def ioctl(self, op: int, arg: int, /) -> int | None: ...


class Card(Protocol):
    """What can be put into the slot."""

    @property
    def device(self) -> CardDevice: ...

    def identify(self) -> bytes:
        """The 512-byte IDENTIFY block."""
        ...

    def read_us(self, sectors: int, /) -> int:
        """How long a read of so many sectors takes, command included."""
        ...

    def write_us(self, sectors: int, /) -> int: ...

    def power_on(self, bus_bytes_per_s: int, /) -> None:
        """It was put in, and gets power; the slot moves so many bytes in a second at most."""
        ...

    def pause_ns(self, kind: str, lba: int, now_ns: int, base_ns: int, /) -> int:
        """What it takes beyond ``base_ns`` before this sector is read or written: it wakes up, erases, is slow.

        Asked once per sector, at the time ``now_ns`` at which the sector's turn has come.
        """
        ...


class SlotDevice:
    """The block device that the firmware sees."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        """Fills ``buf``, whole sectors. OSError ENODEV, EINVAL, or what the card raises."""
        view = memoryview(buf)
        self._slot._transfer("read", block_num, view, offset)

    def writeblocks(self, block_num: int, buf: bytes | bytearray | memoryview, offset: int = 0, /) -> None:
        """Writes ``buf``, whole sectors. OSError ENODEV, EROFS, EINVAL, or what the card raises."""
        view = memoryview(buf)
        self._slot._transfer("write", block_num, view, offset)

    def ioctl(self, op: int, arg: int = 0, /) -> int | None:
        """1 init, 2 deinit, 3 sync, 4 sector count, 5 sector size in bytes, 6 erase (nothing to do). OSError ENODEV."""
        if op == 2:
            # Stays bound: whoever still writes after an unmount must not hit the card that came meanwhile.
            return 0
        if op == 1:
            self._slot._bound = self._slot.insertions
        return self._slot._present().device.ioctl(op, arg)


class Slot:
    """One slot, empty to begin with.

    Args:
        detect: the card-detect pin, 1 while empty.
        bus_bytes_per_s: what the bus to the card moves at most.
        bounce_us: when the contact flips after each edge; an even number of rising times, () for a clean edge.
        trace: gets ``card`` events: ``insert``, ``remove``, and ``read`` or ``write`` with ``lba+count``.
    """

    def __init__(
        self,
        clock: VirtualClock,
        cpu: Cpu,
        detect: Pin,
        *,
        bus_bytes_per_s: int = FASTEST_BYTES_PER_S,
        bounce_us: Sequence[int] = BOUNCE_US,
        trace: BoardTrace | None = None,
    ) -> None:
        self._clock = clock
        self._cpu = cpu
        self._trace = trace
        self._card: Card | None = None
        self._bound: int | None = None
        self._edges = 0
        self.detect = detect
        self.device = SlotDevice(self)
        self.insertions = 0
        """How often a card was put in."""
        self.write_protected = False
        """A fault to inject: the card refuses writes, EROFS. CompactFlash cards have no switch for it."""
        self.on_activity: ActivityHook | None = None
        self._bus_bytes_per_s = bus_bytes_per_s
        self._hooks: tuple[CardHook, ...] = ()
        self.bounce(bounce_us)

    @property
    def card(self) -> Card | None:
        """The card in the slot."""
        return self._card

    def bounce(self, bounce_us: Sequence[int]) -> None:
        """Sets when the contact flips after each edge from now on. BoardError when the times do not rise or are odd."""
        times = tuple(bounce_us)
        rising = all(earlier < later for earlier, later in pairwise((0, *times)))
        if len(times) % 2 or not rising:
            raise BoardError(f"bounce times {times}: must rise from above 0 and be even in number")
        self._bounce_us = times

    def watch(self, hook: CardHook) -> None:
        """Has ``hook(card, present)`` called whenever a card was put in or pulled, by whomever."""
        self._hooks = (*self._hooks, hook)

    def insert(self, card: Card) -> None:
        """Puts a card in, at world time. BoardError when one is in."""
        if self._card is not None:
            raise BoardError("the slot has a card in it: remove it first")
        self._card = card
        self.insertions += 1
        card.power_on(self._bus_bytes_per_s)
        self._record(self._clock.now_ns, "insert", self.insertions)
        self._swing(0)
        for hook in self._hooks:
            hook(card, True)

    def remove(self) -> Card:
        """Pulls the card, at world time, and returns it. BoardError when none is in."""
        card = self._card
        if card is None:
            raise BoardError("the slot is empty: nothing to remove")
        self._card = None
        self._record(self._clock.now_ns, "remove", self.insertions)
        self._swing(1)
        for hook in self._hooks:
            hook(card, False)
        return card

    def identify(self) -> bytes:
        """The card's 512-byte IDENTIFY block. OSError ENODEV."""
        card = self._present()
        self._cpu.spend_ns(card.read_us(1) * 1_000)
        self._cpu.sync()
        return self._present().identify()

    def reset(self) -> None:
        """The CPU was reset, or power went: the handler on ``detect`` goes, the next access takes the card then in."""
        self._bound = None
        self.detect.reset()

    def _present(self) -> Card:
        """The card that the device works with. OSError ENODEV when there is none, or another than before."""
        if self._card is None:
            raise OSError(errno.ENODEV, "no card in the slot")
        if self._bound is None:
            self._bound = self.insertions
        if self._bound != self.insertions:
            raise OSError(errno.ENODEV, "the card was changed and is not initialised")
        return self._card

    def _transfer(self, kind: str, block_num: int, view: memoryview, offset: int) -> None:
        card = self._present()
        if offset or len(view) % SECTOR_BYTES:
            raise OSError(errno.EINVAL, f"{len(view)} bytes at offset {offset}: a card moves whole 512-byte sectors")
        if kind == "write" and self.write_protected:
            raise OSError(errno.EROFS, "the card is write-protected")
        count = len(view) // SECTOR_BYTES
        self._record(self._cpu.now_ns, kind, f"{block_num}+{count}")
        if self.on_activity is not None:
            self.on_activity(kind)
        total_ns = 1_000 * (card.read_us(count) if kind == "read" else card.write_us(count))
        for index in range(count):
            share_ns = total_ns * (index + 1) // count - total_ns * index // count
            pause_ns = card.pause_ns(kind, block_num + index, self._cpu.now_ns, share_ns)
            self._cpu.spend_ns(share_ns + pause_ns)
            self._cpu.sync()
            device = self._present().device
            sector = view[index * SECTOR_BYTES : (index + 1) * SECTOR_BYTES]
            if kind == "read":
                device.readblocks(block_num + index, sector)
            else:
                device.writeblocks(block_num + index, sector)

    def _swing(self, level: int) -> None:
        """Moves the contact to ``level``, with its bounces. A later insert or remove overtakes those still to come."""
        self._edges += 1
        this_edge = self._edges
        self.detect.line.drive(level)
        for number, delay_us in enumerate(self._bounce_us):
            bounced = level ^ 1 if number % 2 == 0 else level
            self._clock.at(self._clock.now_ns + delay_us * 1_000, partial(self._flip, this_edge, bounced))

    def _flip(self, edge: int, level: int) -> None:
        if edge == self._edges:
            self.detect.line.drive(level)

    def _record(self, now_ns: int, name: str, value: int | str) -> None:
        if self._trace is not None:
            self._trace(now_ns, "card", name, value)
