"""Strict reading of the board's TOML files: every value has a type and limits, and nothing may be left over.

Errors are ``ModelError`` and name file, field, value and limit::

    ip800.toml: cpu.mhz = 0: must be a whole number from 1 to 5000
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from board.errors import ModelError

MAXIMUM = 1 << 62


class Table:
    """One table of a TOML file. Each field is asked for once; ``finish`` complains of those nobody asked for."""

    def __init__(self, values: Mapping[str, object], file: str, prefix: str = "") -> None:
        self._left = dict(values)
        self._file = file
        self._prefix = prefix

    def names(self) -> list[str]:
        """Fields that were not asked for yet."""
        return list(self._left)

    def integer(self, name: str, low: int = 0, high: int = MAXIMUM, default: int | None = None) -> int:
        """A whole number from ``low`` to ``high``."""
        value = self._take(name, default)
        if type(value) is not int or not low <= value <= high:
            self.refuse(name, value, f"must be a whole number from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        """A number from ``low`` to ``high``."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.refuse(name, value, f"must be a number from {low} to {high}")
        return float(value)

    def text(self, name: str, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self._take(name, default)
        if not isinstance(value, str) or not value:
            self.refuse(name, value, "must be a text that is not empty")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        """true or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            self.refuse(name, value, "must be true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of different texts; may be empty."""
        value = self._take(name)
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            self.refuse(name, value, "must be a list of texts")
        if len(set(value)) != len(value):
            self.refuse(name, value, "must not repeat anything")
        return tuple(value)

    def table(self, name: str) -> Table:
        """A table inside this one."""
        value = self._take(name)
        if not isinstance(value, dict):
            self.refuse(name, value, "must be a table")
        return Table(value, self._file, f"{self._prefix}{name}.")

    def finish(self) -> None:
        """Refuses fields that nobody asked for: a misspelt name must not pass as a default."""
        for name, value in self._left.items():
            self.refuse(name, value, "there is no such field")

    def refuse(self, name: str, value: object, limit: str) -> NoReturn:
        """Raises the error about one field."""
        raise ModelError(f"{self._file}: {self._prefix}{name} = {value!r}: {limit}")

    def _take(self, name: str, default: object = None) -> object:
        value = self._left.pop(name, default)
        if value is None:
            raise ModelError(f"{self._file}: {self._prefix}{name} is missing")
        return value


def table_from_file(path: Path) -> Table:
    """The top table of a TOML file. ModelError when it cannot be read or is not TOML."""
    try:
        return Table(tomllib.loads(path.read_text(encoding="utf-8")), path.name)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: is not a TOML file: {error}") from error
