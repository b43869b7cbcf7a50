"""The factory: programs a blank flash chip as the manufacturer would, before the board ever gets power.

``v7``: firmware, and a built-in certificate signed by the manufacturer's CA (what "newly manufactured devices with V7
firmware or higher come with", reference text, Default certificate). ``upgraded``: firmware alone, as on a board that
came from V6: it makes its own certificate at the first start.

``provision`` writes more into such a chip, as an installer's pre-staging does: a certificate from the customer's own
CA, whom to trust, who may register, settings. So a hundred phones need no console to be typed at.

The manufacturer's CA key lies beside this file, for everybody to see: an emulated manufacturer has no secrets. It was
made from seed 11 by our own key search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from board import Board, Cpu, Model, VirtualClock
from board.flash import SECTOR_BYTES, Flash
from board.sparse import SparseStorage
from firmware.naming import netbios_name
from hil.errors import RackMisuse

if TYPE_CHECKING:
    from firmware.pbx.devices import DeviceEntry
    from firmware.x509.certificate import Certificate
    from firmware.x509.identity import Identity

MANUFACTURER_FILE = Path(__file__).with_name("manufacturer_ca.pem")

MADE_S = 1_420_070_400
"""2015-01-01: the emulated boards' date of manufacture."""

BUILTIN_YEARS = 20

PROGRAMMER_HZ = 200_000_000


class Entropy(Protocol):
    """Random bytes for a board's keys."""

    def randbytes(self, n: int, /) -> bytes: ...


def netbios(model: Model, mac: bytes) -> str:
    """The name that a board of this model and address gives itself: ``IP800-06-11-ac``."""
    return netbios_name(model.product, mac)


def flash_storage(model: Model, mac: bytes, kind: str, entropy: Entropy) -> SparseStorage:
    """A factory-fresh chip for one board; ``kind`` is ``v7`` or ``upgraded``."""
    from firmware.storage import Store, flash_map
    from firmware.x509.cabinet import BUILTIN, Cabinet, is_secret

    storage = deepcopy(_programmed(model.flash_bytes))
    if kind == "v7":
        chip = _programmers_chip(storage)
        store = Store(chip, *flash_map(chip).store, secret=is_secret)
        store.mount()
        Cabinet(store).install(BUILTIN, builtin_identity(mac, entropy))
    return storage


@cache
def _programmed(flash_bytes: int) -> SparseStorage:
    """A chip of that size with firmware and an empty store: looking whether it is blank takes 10 ms, so once."""
    from firmware import VERSION
    from firmware.storage import Store, firmware_image, flash_map

    storage = SparseStorage(flash_bytes)
    chip = _programmers_chip(storage)
    regions = flash_map(chip)
    image = firmware_image(VERSION)
    address = regions.firmware.first_block * SECTOR_BYTES
    storage[address : address + len(image)] = image
    Store(chip, *regions.store).mount()
    return storage


def _programmers_chip(storage: SparseStorage) -> Flash:
    return Flash(storage, Cpu(VirtualClock(), PROGRAMMER_HZ))


@dataclass(frozen=True)
class Provisions:
    """What an installer puts on a box before it goes to its place."""

    identity: Identity | None = None
    """Its device certificate, instead of the built-in one."""
    trusted: Sequence[Certificate] = ()
    devices: Sequence[DeviceEntry] = ()
    """Who may register."""
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By module and option, as with ``config change MODULE /option value``."""


def provision(board: Board, provisions: Provisions) -> None:
    """Writes these into the flash of a board without power; what is there already stays. RackMisuse when it has power.

    A setting that the firmware does not know is dropped by it at the next start, as one of an older version is.
    """
    from firmware.commands.language import text_from_value
    from firmware.pbx.devices import DeviceList
    from firmware.storage import Store, flash_map
    from firmware.x509.cabinet import DEVICE, Cabinet, is_secret
    from firmware.x509.trust import TrustList

    if board.powered:
        raise RackMisuse("flash cannot be provisioned while the board has power")
    with _programmer(board.flash) as chip:
        store = Store(chip, *flash_map(chip).store, secret=is_secret)
        store.mount()
        draft = _Draft({name: store.get(name) for name in store.names()})
        if provisions.identity is not None:
            Cabinet(draft).install(DEVICE, provisions.identity)
        TrustList(draft).add(provisions.trusted)
        devices = DeviceList(draft)
        for entry in provisions.devices:
            devices.add(entry)
        for module, options in provisions.settings.items():
            text = " ".join(f"/{name} {text_from_value(value)}" for name, value in options.items())
            draft.commit({f"config/{module}": text.encode()})
        store.commit(draft.changes)


@contextmanager
def _programmer(chip: Flash) -> Iterator[Flash]:
    """The chip in its board, in a programmer's hands: what it takes is none of the world's time."""
    times = chip.read_ns_per_byte, chip.program_ns, chip.erase_ns
    chip.read_ns_per_byte = chip.program_ns = chip.erase_ns = 0
    try:
        yield chip
    finally:
        chip.read_ns_per_byte, chip.program_ns, chip.erase_ns = times


class _Draft:
    """A store's values with changes on top that are not written yet, so that all go to flash in one step."""

    def __init__(self, values: Mapping[str, bytes | None]) -> None:
        self._values = dict(values)
        self.changes: dict[str, bytes | None] = {}

    def get(self, name: str) -> bytes | None:
        return self._values.get(name)

    def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name, value in self._values.items() if value is not None and name.startswith(prefix))

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        self._values.update(changes)
        self.changes.update(changes)


def builtin_identity(mac: bytes, entropy: Entropy) -> Identity:
    """The certificate that the manufacturer gives a board: common name = serial number = MAC address without dashes."""
    from firmware.x509.builder import issued_certificate
    from firmware.x509.identity import Identity
    from firmware.x509.keygen import key_search
    from firmware.x509.name import DistinguishedName
    from firmware.x509.order import CertificateOrder

    order = CertificateOrder(
        DistinguishedName(common_name=mac.hex(), organization="gatebench"), 1024, "sha256", BUILTIN_YEARS
    )
    search = key_search(1024, entropy)
    while True:
        try:
            next(search)
        except StopIteration as found:
            key = found.value
            break
    authority = manufacturer()
    # The MAC address is the serial number, too: no two boards have the same, and every run gives the same.
    certificate = issued_certificate(
        order, key.public_key, authority.leaf, authority.key, int.from_bytes(mac, "big"), MADE_S
    )
    return Identity((certificate, authority.leaf), key)


@cache
def manufacturer() -> Identity:
    """The manufacturer's device certification authority."""
    from firmware.x509.identity import identity_from_file

    return identity_from_file(MANUFACTURER_FILE.read_bytes())
