"""What settings and variables need from the flash store: three calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Store"]


class Store(Protocol):
    """Named values that survive a power cut."""

    def get(self, name: str) -> bytes | None: ...

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets or, with None, removes several names in one step: after a power cut all of it is there or nothing."""
        ...

    def names(self, prefix: str = "") -> list[str]: ...
