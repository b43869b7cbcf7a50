"""A saved gateway: flash, card, clock and configuration in one file, from which it can be started again.

::

    saved.zip
        gateway.json    what it is: model, MAC address, name, clock, whether it had power, format version
        flash.bin       the flash chip, byte by byte: firmware, configuration, variables, keys, certificates
        card.img        the card in its slot, sector by sector; absent when the slot was empty
        model/          lab.toml and costs/lab.toml, as they were read, of a model of the user's own; absent for ours

It holds what outlives a power cut, and the clock; not RAM: a gateway that is started from it boots. PRIVATE KEYS are in
it, as they are in the flash itself.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from board import Model
from cfcard import SECTOR_BYTES, CompactFlash, RamDevice
from hil.errors import EnvironmentRefused, RackMisuse, reason_from_damage, reason_from_oserror
from hil.models import is_model_file

FORMAT = 1

MODEL_FOLDER = "model/"

LARGEST_CARD_BYTES = 2 * 1024**3
"""What is read into memory; the cards of this family's time were smaller."""

COMPRESSION_LEVEL = 1
"""Most of a flash and a card is empty: the quickest level finds that out as well as the best."""


@dataclass(frozen=True)
class Facts:
    """The part of a saved gateway that is not an image."""

    format: int
    model: str
    """Its name; of a model of the user's own, the name of its file."""
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
    model_files: Mapping[str, str] = field(default_factory=dict)
    """Of a model of the user's own: texts by their place beside each other."""

    @property
    def model_facts(self) -> dict[str, Any]:
        """What a bench is told of the model (``hil/record/modelfiles.py``)."""
        files = {"files": dict(self.model_files)} if self.model_files else {}
        return {"model": self.facts.model, **files}

    def model(self, path: str | Path) -> Model:
        """The model, its files read as they were saved.

        EnvironmentRefused, which names the saved gateway's ``path``, when it is none, or not known here.
        """
        from hil.record.modelfiles import model_from_facts

        try:
            return model_from_facts(self.model_facts)
        except (EnvironmentRefused, OSError, ValueError) as error:
            raise EnvironmentRefused(f"saved gateway {path}: {error}") from error

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
                for name, text in self.model_files.items():
                    _add(archive, MODEL_FOLDER + name, text.encode())
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
        EnvironmentRefused: it is not a saved gateway, is damaged, or one of a later format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            facts = _facts_from_json(archive.read("gateway.json"))
            card = archive.read("card.img") if "card.img" in archive.namelist() else None
            if card is not None and (not card or len(card) % SECTOR_BYTES):
                raise ValueError(f"its card has {len(card)} bytes")
            return Saved(facts, archive.read("flash.bin"), card, _model_files(archive, facts.model))
    except OSError as error:
        raise EnvironmentRefused(f"saved gateway {path}: {reason_from_oserror(error)}") from error
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise EnvironmentRefused(f"{path} is not a saved gateway: {reason_from_damage(error)}") from error


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


def _model_files(archive: zipfile.ZipFile, model: str) -> dict[str, str]:
    """The files of the user's model. ValueError when it is one, and they are not there."""
    names = [name for name in archive.namelist() if name.startswith(MODEL_FOLDER) and not name.endswith("/")]
    files = {name.removeprefix(MODEL_FOLDER): archive.read(name).decode() for name in names}
    # A path in here must not lead to a file of the host's.
    if (files or is_model_file(model)) and model not in files:
        raise ValueError(f"the file of its model {model!r} is missing")
    return files


def _facts_from_json(content: bytes) -> Facts:
    values = json.loads(content)
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}, this program knows {FORMAT}")
    if set(values) != {field.name for field in fields(Facts)}:
        raise ValueError("its facts are not complete")
    if not isinstance(values["model"], str):
        raise ValueError(f"model {values['model']!r}")
    if len(bytes.fromhex(values["mac"])) != 6:
        raise ValueError(f"MAC address {values['mac']!r}")
    return Facts(**values)
