"""Device entries of PBX objects: which hardware may register as which object.

A certificate only says who a device is. Whether it may register is written here, and taking the entry away ends that
right although the certificate stays good; that is why the box needs no list of revoked certificates (reference text,
Revoke List). One stored value per entry, named by its hardware id, so that each change is one atomic step::

    pbx/device/IP232-30-00-af   "tls alice"      or  "any alice"

Not modelled: the objects themselves (users, trunks, groups), their numbers and rights, replication between boxes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from firmware.errors import CommandError

PREFIX = "pbx/device/"

LARGEST_NUMBER = 1_000
"""The vendor rates its largest single boxes at some thousand users; an assumption for this one."""

LONGEST_HARDWARE_ID = 64
"""As many characters as a certificate's common name has (RFC 5280 A.1), which it is compared with."""

HARDWARE_ID = re.compile(r"[A-Za-z0-9._-]*")

TLS, ANY = "tls", "any"


class Store(Protocol):
    """What is needed of the flash store."""

    def get(self, name: str) -> bytes | None: ...

    def names(self, prefix: str = "") -> list[str]: ...

    def commit(self, changes: Mapping[str, bytes | None]) -> None: ...


@dataclass(frozen=True)
class DeviceEntry:
    """One device of an object."""

    hardware_id: str
    """For example ``IP232-30-00-af``; upper and lower case count the same."""
    name: str
    """The object that it may register as."""
    tls_only: bool
    """Whether it must come over TLS with a certificate in its name."""


class ObjectIndex:
    """Entries by object, in memory: who comes without a certificate is looked for by that, and flash reads take time.

    Shared by all lists of one store, so that what one of them changes, all know.
    """

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, DeviceEntry]] | None = None

    def of(self, name: str, read: Callable[[], Iterable[DeviceEntry]]) -> list[DeviceEntry]:
        """An object's entries, in the order of their hardware ids; ``read`` gives all there are, and is called once."""
        if self._objects is None:
            entries = list(read())  # which may fail
            self._objects = {}
            for entry in entries:
                self.put(entry)
        own = self._objects.get(name, {})
        return [own[hardware_id] for hardware_id in sorted(own)]

    def put(self, entry: DeviceEntry) -> None:
        """There is a new one."""
        if self._objects is not None:
            self._objects.setdefault(entry.name, {})[entry.hardware_id] = entry

    def drop(self, entry: DeviceEntry) -> None:
        """One is gone."""
        if self._objects is not None:
            del self._objects[entry.name][entry.hardware_id]
            if not self._objects[entry.name]:
                del self._objects[entry.name]


class DeviceList:
    """All device entries of the box.

    Args:
        index: that of the others who change the same store; one of its own where nobody else does.
    """

    def __init__(self, store: Store, index: ObjectIndex | None = None) -> None:
        self.index = index if index is not None else ObjectIndex()
        self._store = store

    def of(self, name: str) -> list[DeviceEntry]:
        """Those of one object, in the order of their hardware ids."""
        return self.index.of(name, self.entries)

    def entries(self) -> list[DeviceEntry]:
        """In the order of their hardware ids."""
        return [self.find(name.removeprefix(PREFIX)) for name in sorted(self._store.names(PREFIX))]

    def find(self, hardware_id: str) -> DeviceEntry:
        """The entry of a device. CommandError when it has none."""
        checked = _checked(hardware_id)
        value = self._store.get(PREFIX + checked)
        if value is None:
            raise CommandError(f"no device entry for {checked}")
        transport, _, name = value.decode().partition(" ")
        return DeviceEntry(checked, name, transport == TLS)

    def add(self, entry: DeviceEntry) -> None:
        """Lets a device register. CommandError when it has an entry already, or the list is full."""
        checked = _checked(entry.hardware_id)
        if self._store.get(PREFIX + checked) is not None:
            raise CommandError(f"{checked} has a device entry already: {self.find(checked).name}")
        if len(self._store.names(PREFIX)) >= LARGEST_NUMBER:
            raise CommandError(f"{LARGEST_NUMBER} device entries already, limit {LARGEST_NUMBER}")
        if not entry.name.strip():
            raise CommandError("a device entry needs the name of its object")
        self._store.commit({PREFIX + checked: f"{TLS if entry.tls_only else ANY} {entry.name}".encode()})
        self.index.put(DeviceEntry(checked, entry.name, entry.tls_only))

    def remove(self, hardware_id: str) -> DeviceEntry:
        """Ends a device's right to register. CommandError when it has no entry."""
        entry = self.find(hardware_id)
        self._store.commit({PREFIX + entry.hardware_id: None})
        self.index.drop(entry)
        return entry


def _checked(hardware_id: str) -> str:
    """The id as it is kept: product in upper case, the rest in lower case."""
    product, dash, rest = hardware_id.strip().partition("-")
    text = product.upper() + dash + rest.lower()
    if not 1 <= len(text) <= LONGEST_HARDWARE_ID:
        raise CommandError(f"hardware id has {len(text)} characters, must be 1 to {LONGEST_HARDWARE_ID}")
    if not HARDWARE_ID.fullmatch(text):
        raise CommandError(f"hardware id {text[:64]!r}: letters, digits, - _ and . only")
    return text
