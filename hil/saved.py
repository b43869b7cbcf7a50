"""A saved gateway: flash, card, clock and configuration in one file, from which it can be started again.

::

    saved.zip
        gateway.json    what it is: model, MAC address, name, clock, whether it had power, format version
        flash.bin       the flash chip, byte by byte: firmware, configuration, variables, keys, certificates
        card.img        the card in its slot, sector by sector; absent when the slot was empty

It holds what outlives a power cut, and the clock; not RAM: a gateway that is started from it boots. PRIVATE KEYS are in
it, as they are in the flash itself.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cfcard import SECTOR_BYTES, CompactFlash, RamDevice
from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror

FORMAT = 1

LARGEST_CARD_BYTES = 2 * 1024**3
"""What is read into memory; the cards of this family's time were smaller."""

COMPRESSION_LEVEL = 1
"""Most of a flash and a card is empty: the quickest level finds that out as well as the best."""


@dataclass(frozen=True)
class Facts:
    """The part of a saved gateway that is not an image."""

    format: int
    model: str
    mac: str
    """12 hexadecimal digits."""
    name: str
    powered: bool
    unix_ns: int | None
    """What its clock showed; None when it had no power."""


@dataclass(frozen=True)
class Saved:
    """A saved gateway."""

    facts: Facts
    flash: bytes
    card: bytes | None

    def to_file(self, path: str | Path) -> None:
        """Writes it whole or not at all. OSError when the host does not let us."""
        place = Path(path)
        draft = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            # The dates in a zip are not those of a world with its own clock: leave them at their beginning.
            with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as archive:
                _add(archive, "gateway.json", json.dumps(asdict(self.facts), indent=2).encode() + b"\n")
                _add(archive, "flash.bin", self.flash)
                if self.card is not None:
                    _add(archive, "card.img", self.card)
            os.replace(draft, place)
        finally:
            draft.unlink(missing_ok=True)

    def ram_card(self) -> CompactFlash | None:
        """The card, in memory; the saved file is never written to."""
        if self.card is None:
            return None
        device = RamDevice(len(self.card))
        device.writeblocks(0, self.card)
        return CompactFlash(device)


def saved_from_file(path: str | Path) -> Saved:
    """Reads a saved gateway.

    Raises:
        EnvironmentRefused: the file cannot be opened.
        EnvironmentRefused: it is not a saved gateway, or one of a later format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            facts = _facts_from_json(archive.read("gateway.json"))
            card = archive.read("card.img") if "card.img" in archive.namelist() else None
            if card is not None and (not card or len(card) % SECTOR_BYTES):
                raise ValueError(f"its card has {len(card)} bytes")
            return Saved(facts, archive.read("flash.bin"), card)
    except OSError as error:
        raise EnvironmentRefused(f"saved gateway {path}: {reason_from_oserror(error)}") from error
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise EnvironmentRefused(f"{path} is not a saved gateway: {error}") from error


def card_bytes(card: CompactFlash | None) -> bytes | None:
    """All sectors of a card. RackMisuse when it is too large to be saved."""
    from hil.cards import image_bytes

    if card is None:
        return None
    size_bytes = card.sectors * SECTOR_BYTES
    if size_bytes > LARGEST_CARD_BYTES:
        raise RackMisuse(f"card of {size_bytes} bytes: too large to be saved, at most {LARGEST_CARD_BYTES}")
    return image_bytes(card)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    archive.writestr(info, content, compresslevel=COMPRESSION_LEVEL)


def _facts_from_json(content: bytes) -> Facts:
    values = json.loads(content)
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}, this program knows {FORMAT}")
    if set(values) != {field.name for field in fields(Facts)}:
        raise ValueError("its facts are not complete")
    if len(bytes.fromhex(values["mac"])) != 6:
        raise ValueError(f"MAC address {values['mac']!r}")
    return Facts(**values)
