"""Cards for the slot: in memory, in an image file or in a real reader; and the card as a test holds it in its hand.

A test that reads or writes the card does it from the host, as with a card reader, through our FAT code on the card's
own sectors: past the slot, so at no cost of virtual time, and past the slot's faults.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cfcard import SECTOR_BYTES, CompactFlash, ImageDevice, RamDevice
from cfcard.errors import CardError
from cfcard.fat import Fat, Volume
from cfcard.layout import lay_out
from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror
from hil.readers import is_reader, reader_card

if TYPE_CHECKING:
    from board.board import Board

CARD_SIZE = "64M"
"""A common size of the cards that these gateways were used with."""

SERIAL = 0x0001_2345
"""Volume serial number of the cards that a bench makes: the same in every run, so that runs repeat."""

SMALLEST_BYTES, LARGEST_BYTES = 512 * 1024, 256 * 1024**3
"""CompactFlash cards exist from 2 MB; a little less serves for tests. A larger FAT volume than this is not checked."""

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def size_from_text(text: str) -> int:
    """Bytes from ``64M``, ``512K``, ``2G`` or a number of bytes. RackMisuse when it is none of a card's sizes."""
    found = re.fullmatch(r"([0-9]{1,15})([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size_bytes = int(found[1]) * _UNITS[found[2].upper()] if found else 0
    if not SMALLEST_BYTES <= size_bytes <= LARGEST_BYTES or size_bytes % SECTOR_BYTES:
        raise RackMisuse(f"card size {text!r}: must be 512K to 256G in whole sectors of 512 bytes, for example 64M")
    return size_bytes


def new_ram_card(size: str = CARD_SIZE, *, serial: int = SERIAL) -> CompactFlash:
    """A card in memory, with what a new card holds."""
    device = RamDevice(size_from_text(size))
    lay_out(device, serial=serial)
    return CompactFlash(device)


def image_card(path: str | Path, size: str = CARD_SIZE) -> CompactFlash:
    """The card in an image file; a file that is not there is made, of that size, with what a new card
    holds.

    Raises:
        EnvironmentRefused: it is in use, is no image, or cannot be opened.
    """
    place = Path(path)
    try:
        if place.exists():
            return CompactFlash(ImageDevice(place))
        device = ImageDevice.create(place, size_from_text(size))
        lay_out(device, serial=SERIAL)
        return CompactFlash(device)
    except CardError as error:
        raise EnvironmentRefused(f"card image {error}") from error
    except OSError as error:
        raise EnvironmentRefused(f"card image {place}: {reason_from_oserror(error)}") from error


def card_from_text(text: str, size: str = CARD_SIZE) -> CompactFlash | None:
    """The card that ``none``, ``ram``, the path of an image or a reader's device stands for. EnvironmentRefused."""
    if text == "none":
        return None
    if text == "ram":
        return new_ram_card(size)
    if is_reader(text):
        return reader_card(text)
    return image_card(text, size)


def image_bytes(card: CompactFlash) -> bytes:
    """All sectors of a card."""
    content = bytearray(card.sectors * SECTOR_BYTES)
    card.backend.readblocks(0, content)
    return bytes(content)


class CardPort:
    """A card and the slot it belongs to: what the ``card`` fixture gives.

    The same verbs fit a rack with a real card: in, out, and its content while the host has it.
    """

    def __init__(self, board: Board, card: CompactFlash) -> None:
        self._board = board
        self.card = card

    @property
    def inserted(self) -> bool:
        """Whether it is in the slot."""
        return self._board.slot is not None and self._board.slot.card is self.card

    def insert(self) -> None:
        """Puts it into the slot. BoardError when there is none, or a card is in."""
        self._board.insert_card(self.card)

    def remove(self) -> None:
        """Pulls it out, whatever the board does with it. RackMisuse when it is not in."""
        if not self.inserted:
            raise RackMisuse("this card is not in the slot")
        self._board.remove_card()

    @property
    def image(self) -> bytes:
        """All its sectors, as they are at this instant."""
        return image_bytes(self.card)

    def save_image(self, path: str | Path) -> Path:
        """Writes its sectors to a file, for mtools, fsck.fat or a loop mount."""
        place = Path(path)
        place.write_bytes(self.image)
        return place

    def volume(self) -> Volume:
        """Mounts it on the host's side. OSError EILSEQ when there is no usable volume.

        Write to it only while the card is out: the board does not expect anybody else on its volume.
        """
        return Fat().mount(self.card.backend)

    def read_file(self, path: str) -> bytes:
        """A file's content. OSError ENOENT."""
        volume = self.volume()
        try:
            return volume.read_file(path)
        finally:
            volume.umount()

    def listing(self, path: str = "/") -> list[str]:
        """The names in a folder, in alphabetical order."""
        volume = self.volume()
        try:
            return sorted(entry[0] for entry in volume.ilistdir(path))
        finally:
            volume.umount()

    def check(self) -> tuple[str, ...]:
        """What is wrong with the volume, one line each; () when nothing is."""
        return tuple(Fat().check(self.card.backend).problems)
