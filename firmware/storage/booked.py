"""A store whose reading and writing is counted as flash cycles of the CPU, for whoever has no kernel of its own."""

from __future__ import annotations

from collections.abc import Mapping

from firmware.kernel.booking import booked
from firmware.kernel.scheduler import Kernel
from firmware.storage.store import Store

__all__ = ["BookedStore"]


class BookedStore:
    """The calls of a ``Store`` that read and change values. Flash moves the CPU's time on by itself; this counts it."""

    def __init__(self, kernel: Kernel, store: Store) -> None:
        self._kernel = kernel
        self._store = store

    def get(self, name: str) -> bytes | None:
        with booked(self._kernel, "flash"):
            return self._store.get(name)

    def names(self, prefix: str = "") -> list[str]:
        return self._store.names(prefix)

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        with booked(self._kernel, "flash"):
            self._store.commit(changes)
