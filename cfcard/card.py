"""A CompactFlash card: sectors, what it says of itself, and how long it takes.

::

    asleep --wake--> | command | sector | sector | ... | sector |        a transfer, told to the board as one duration
                                        ^                                  that it spends sector by sector,
                                        pause: an erase, a fault           and pauses before some of them

Figures: a 100x card in PIO mode 4. Bus limits of the PIO modes are 3.3/5.2/8.3/11.1/16.6 MB/s; measured cards of the
class reach about 5 MB/s; DRQ comes within 700 us after WRITE SECTOR, and a card falls asleep by itself after 5 ms
without a command (SanDisk CompactFlash product manual). Everything else is assumed: the command overheads; waking up,
for which the manual allows 2.5 ms before a write; and erasing, about which makers say nothing: a card that has run out
of erased blocks makes its host wait, in writes that take many times as long as the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cfcard.armed import ArmedRules
from cfcard.blockdev import SECTOR_BYTES, BlockDevice, Layer, Readable, sector_count
from cfcard.errors import CardProtected
from cfcard.faults import FaultyDevice
from cfcard.identify import Geometry, geometry_from_sectors, identify_block
from cfcard.rules import Event

__all__ = ["CompactFlash", "Timing"]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a card takes, in the two parts every transfer has."""

    read_command_us: int = 300
    """From the command to the first data request of a read."""
    write_command_us: int = 700
    """The same for a write, the flash programming time included."""
    bytes_per_s: int = 5_000_000
    """On the bus and in the card, once data flows."""
    wake_us: int = 2_000
    """Once, before the first sector after a sleep (assumed); 0 for a card that does not sleep."""
    sleep_after_us: int = 5_000
    """Without a command for so long, it sleeps. It wakes up for its first command, too."""
    erase_block_bytes: int = 128 * 1024
    """What is erased at once (assumed: makers of cards of single-level cells had tens to hundreds of KiB)."""
    erase_every: int = 64
    """Each so many-th erase block that is written to for the first time since the card was put in makes it erase
    (assumed); 0 for never."""
    erase_us: int = 5_000
    """How long it takes then (assumed)."""

    def transfer_us(self, sectors: int, bus_bytes_per_s: int = 0) -> int:
        """Microseconds on a bus that moves so many bytes in a second; 0 for one that never holds a card up."""
        bytes_per_s = min(self.bytes_per_s, bus_bytes_per_s or self.bytes_per_s)
        return -(-sectors * SECTOR_BYTES * 1_000_000 // bytes_per_s)


class _Pauses:
    """A card's memory of what makes it pause: when it last worked, and which of its blocks were written to."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._awake_until_ns = 0
        self._touched = bytearray()
        """One bit per erase block: 32 KiB for a card of 32 GiB."""
        self._count = 0

    def wake_ns(self, now_ns: int) -> int:
        """What waking up takes before a sector."""
        return self._timing.wake_us * 1_000 if now_ns >= self._awake_until_ns else 0

    def busy_until(self, now_ns: int) -> None:
        """The card works until then, and falls asleep some time later."""
        self._awake_until_ns = now_ns + self._timing.sleep_after_us * 1_000

    def erase_ns(self, lba: int) -> int:
        """What erasing takes before this sector is written."""
        timing = self._timing
        if not timing.erase_every:
            return 0
        place, bit = divmod(lba * SECTOR_BYTES // timing.erase_block_bytes, 8)
        if place >= len(self._touched):
            self._touched.extend(bytes(place + 1 - len(self._touched)))
        if self._touched[place] >> bit & 1:
            return 0
        self._touched[place] |= 1 << bit
        self._count += 1
        return 0 if self._count % timing.erase_every else timing.erase_us * 1_000

    def reset(self) -> None:
        """The card was put in."""
        self._awake_until_ns = 0
        self._touched.clear()
        self._count = 0


class _Guard(Layer):
    """The card's own device: write protection is the card's word, whatever holds the sectors.

    Between it and the backend there may be faults.
    """

    def __init__(self, inner: BlockDevice, card: CompactFlash) -> None:
        super().__init__(inner)
        self._card = card

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None:
        if self._card.write_protected:
            raise CardProtected
        self.inner.writeblocks(block_num, buf, offset)


class CompactFlash:
    """One card; it goes into a board's slot.

    Args:
        backend: holds the sectors: ``RamDevice``, ``ImageDevice``, or one of them under layers that break things.
        serial: serial number of the card, 20 characters at most.
        model: model number, 40 characters at most.
        timing: how long it takes.
        write_protected: refuse writes. Cards have no such switch; adapters, readers and worn-out cards do.

    Not modelled: wear levelling and how long which block really takes to erase, a shorter time for sectors that are in
    the card's cache, a board's power cut as a fresh start, the 50 ms (at most 400) from power-on to ready, the task
    file (a transfer names its sector by number; cylinder, head and sector are told and translated, not addressed by),
    True IDE mode, DMA, attribute memory (CIS).
    """

    def __init__(
        self,
        backend: BlockDevice,
        *,
        serial: str = "GB00000001",
        model: str = "GATEBENCH CF",
        timing: Timing | None = None,
        write_protected: bool = False,
    ) -> None:
        self.backend = backend
        self._guard = _Guard(backend, self)
        self.device: BlockDevice = self._guard
        self.faults: FaultyDevice | None = None
        """What breaks it, between its own device and the backend; see ``break_by``."""
        self.serial = serial
        self.model = model
        self.timing = timing or Timing()
        self._pauses = _Pauses(self.timing)
        self._bus_bytes_per_s = 0
        self.write_protected = write_protected or bool(getattr(backend, "write_protected", False))

    @property
    def sectors(self) -> int:
        return sector_count(self.backend)

    @property
    def geometry(self) -> Geometry:
        return geometry_from_sectors(self.sectors)

    def identify(self) -> bytes:
        """The 512 bytes of IDENTIFY DRIVE."""
        return identify_block(self.sectors, serial=self.serial, model=self.model)

    def read_us(self, sectors: int) -> int:
        """Microseconds that one command reading ``sectors`` sectors takes."""
        return self.timing.read_command_us + self.timing.transfer_us(sectors, self._bus_bytes_per_s)

    def write_us(self, sectors: int) -> int:
        """Microseconds that one command writing ``sectors`` sectors takes."""
        return self.timing.write_command_us + self.timing.transfer_us(sectors, self._bus_bytes_per_s)

    def pause_ns(self, kind: str, lba: int, now_ns: int, base_ns: int) -> int:
        """Nanoseconds that sector ``lba`` takes beyond ``base_ns``; to be asked once before each, in their order."""
        pause_ns = self._pauses.wake_ns(now_ns)
        if kind == "write":
            pause_ns += self._pauses.erase_ns(lba)
        if self.faults is not None:
            pause_ns += self.faults.delay_ns(Event(kind), lba, base_ns + pause_ns)
        self._pauses.busy_until(now_ns + pause_ns + base_ns)
        return pause_ns

    def power_on(self, bus_bytes_per_s: int = 0) -> None:
        """It was put into a slot with such a bus: it sleeps, and knows of no block that was written to."""
        self._bus_bytes_per_s = bus_bytes_per_s
        self._pauses.reset()

    def break_by(
        self, rules: ArmedRules, *, cut: Callable[[], BaseException], pull: Callable[[], BaseException]
    ) -> FaultyDevice:
        """Puts the card under these rules, in place of those it was under; what is unreadable stays so."""
        if self.faults is None:
            self.faults = FaultyDevice(self.backend)
            self._guard.inner = self.faults
        self.faults.obey(rules, cut=cut, pull=pull)
        return self.faults

    def close(self) -> None:
        """Closes the backend, where it has anything to close."""
        close = getattr(self.backend, "close", None)
        if close is not None:
            close()
