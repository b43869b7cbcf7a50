"""A CompactFlash card: sectors, what it says of itself, and how long it takes.

Figures: a 100x card in PIO mode 4. Bus limits of the PIO modes are 3.3/5.2/8.3/11.1/16.6 MB/s; measured cards of the
class reach about 5 MB/s; DRQ comes within 700 us after WRITE SECTOR (SanDisk CompactFlash product manual; the command
overheads are assumed).
"""

from __future__ import annotations

from dataclasses import dataclass

from cfcard.blockdev import SECTOR_BYTES, BlockDevice, Layer, Readable, sector_count
from cfcard.errors import CardProtected
from cfcard.identify import Geometry, geometry_from_sectors, identify_block

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

    def transfer_us(self, sectors: int) -> int:
        return -(-sectors * SECTOR_BYTES * 1_000_000 // self.bytes_per_s)


class _Guard(Layer):
    """The card's own device: write protection is the card's word, whatever holds the sectors."""

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

    Not modelled: pauses for erasing, waking from sleep after 5 ms idle, True IDE mode, DMA, attribute memory (CIS).
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
        self.device: BlockDevice = _Guard(backend, self)
        self.serial = serial
        self.model = model
        self.timing = timing or Timing()
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
        return self.timing.read_command_us + self.timing.transfer_us(sectors)

    def write_us(self, sectors: int) -> int:
        """Microseconds that one command writing ``sectors`` sectors takes."""
        return self.timing.write_command_us + self.timing.transfer_us(sectors)

    def close(self) -> None:
        """Closes the backend, where it has anything to close."""
        close = getattr(self.backend, "close", None)
        if close is not None:
            close()
