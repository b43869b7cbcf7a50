"""What a value may be: the kinds of options and arguments, each with its limits.

A kind turns the decoded text of a value into what the handler gets, or raises ``ValueError`` with the limit inside; the
language puts the option's name and the value in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Choice", "Hex", "Kind", "Number", "Text"]

TEXT_LIMIT = 255
"""Characters of a text value: the longest DNS name (RFC 1035 2.3.4) fits."""


class Kind(Protocol):
    """One kind of value."""

    @property
    def shape(self) -> str:
        """A word for the help text: ``TEXT``, ``1..99`` or ``a|b|c``."""
        ...

    @property
    def values(self) -> tuple[str, ...]:
        """Everything that is allowed, where that can be listed; else empty."""
        ...

    def parse(self, text: str) -> Any:
        """What the handler gets. ValueError whose text begins with ``must be``."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """Any text without control characters."""

    limit: int = TEXT_LIMIT
    shape: str = "TEXT"

    @property
    def values(self) -> tuple[str, ...]:
        return ()

    def parse(self, text: str) -> str:
        if len(text) > self.limit:
            raise ValueError(f"must be at most {self.limit} characters, is {len(text)}")
        if any(character < " " or character == "\x7f" for character in text):
            raise ValueError("must be without control characters")
        return text


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number in decimal digits."""

    least: int
    most: int

    @property
    def shape(self) -> str:
        return f"{self.least}..{self.most}"

    @property
    def values(self) -> tuple[str, ...]:
        return ()

    def parse(self, text: str) -> int:
        # int() would also take "1_0", " 1" and digits of other scripts; longer texts would be slow to convert.
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
            raise ValueError(f"must be a number from {self.least} to {self.most}")
        number = int(text)
        if not self.least <= number <= self.most:
            raise ValueError(f"must be {self.least} to {self.most}")
        return number


class Choice:
    """One of a few words; upper and lower case count the same, the handler gets the registered spelling."""

    __slots__ = ("values",)

    def __init__(self, *values: str) -> None:
        self.values = values

    @property
    def shape(self) -> str:
        return "|".join(value.replace(" ", "%20") for value in self.values)

    def parse(self, text: str) -> str:
        for value in self.values:
            if value.lower() == text.lower():
                return value
        raise ValueError(f"must be one of {', '.join(value.replace(' ', '%20') for value in self.values)}")


@dataclass(frozen=True, slots=True)
class Hex:
    """Bytes in hexadecimal digits, with ``:`` or ``-`` between the pairs or nothing.

    Attributes:
        sizes: the sizes in bytes that are allowed; empty: any up to ``limit``.
    """

    sizes: tuple[int, ...] = ()
    limit: int = 65_536

    @property
    def shape(self) -> str:
        return "HEX"

    @property
    def values(self) -> tuple[str, ...]:
        return ()

    def parse(self, text: str) -> bytes:
        digits = text.replace(":", "").replace("-", "")
        try:
            if not digits.isalnum() and digits:
                raise ValueError
            data = bytes.fromhex(digits)
        except ValueError:
            raise ValueError("must be pairs of hexadecimal digits") from None
        if self.sizes and len(data) not in self.sizes:
            digit_counts = " or ".join(str(2 * size) for size in self.sizes)
            raise ValueError(f"must be {digit_counts} hexadecimal digits, is {len(digits)}")
        if len(data) > self.limit:
            raise ValueError(f"must be at most {self.limit} bytes, is {len(data)}")
        return data
