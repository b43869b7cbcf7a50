"""The factory: programs a blank flash chip as the manufacturer would, before the board ever gets power.

``v7``: firmware, and a built-in certificate signed by the manufacturer's CA (what "newly manufactured devices with V7
firmware or higher come with", reference text, Default certificate). ``upgraded``: firmware alone, as on a board that
came from V6: it makes its own certificate at the first start.

The manufacturer's CA key lies beside this file, for everybody to see: an emulated manufacturer has no secrets. It was
made from seed 11 by our own key search.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from board import Cpu, Model, VirtualClock
from board.flash import Flash
from board.sparse import SparseStorage
from firmware.naming import netbios_name

if TYPE_CHECKING:
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
    from firmware import VERSION
    from firmware.storage import Store, firmware_image, flash_map
    from firmware.x509.cabinet import BUILTIN, Cabinet, is_secret

    storage = SparseStorage(model.flash_bytes)
    chip = Flash(storage, Cpu(VirtualClock(), PROGRAMMER_HZ))
    regions = flash_map(chip)
    image = firmware_image(VERSION)
    storage[regions.firmware.first_block : regions.firmware.first_block + len(image)] = image
    store = Store(chip, *regions.store, secret=is_secret)
    store.mount()
    if kind == "v7":
        Cabinet(store).install(BUILTIN, builtin_identity(mac, entropy))
    return storage


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
