"""What can go wrong with a card, and whose fault it is.

::

    OSError
     +-- CardError                    anything below; carries an errno, so the firmware catches OSError alone
          +-- SectorError    EIO      a sector cannot be read or written: worn-out flash, a torn write
          +-- NoCard         ENODEV   nobody is there: the slot is empty, the card was pulled in the middle of a write
          +-- CardProtected  EROFS    the card or its image must not be written to
          +-- VolumeFull     ENOSPC   no free cluster left, or no free place in the root directory
          +-- VolumeCorrupt  EILSEQ   the bytes on the card contradict each other: where, expected, found

A name that does not exist, a directory that is not empty and the like are plain ``OSError`` with ENOENT, ENOTEMPTY ...,
as with every file system.
"""

from __future__ import annotations

import errno
from typing import ClassVar

__all__ = ["CardError", "CardProtected", "NoCard", "SectorError", "VolumeCorrupt", "VolumeFull"]


class CardError(OSError):
    """A card or its volume failed; ``str()`` is one line for the user, without the number."""

    code: ClassVar[int] = errno.EIO

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(self.code if code is None else code, text)
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type[CardError], tuple[str, int | None]]:
        return type(self), (self.text, self.errno)


class SectorError(CardError):
    """A sector cannot be read or written."""

    code = errno.EIO

    def __init__(self, text: str = "sector unreadable", code: int | None = None) -> None:
        super().__init__(text, code)


class NoCard(CardError):
    """There is no card to talk to."""

    code = errno.ENODEV

    def __init__(self, text: str = "no card", code: int | None = None) -> None:
        super().__init__(text, code)


class CardProtected(CardError):
    """The card is write-protected."""

    code = errno.EROFS

    def __init__(self, text: str = "card is write-protected", code: int | None = None) -> None:
        super().__init__(text, code)


class VolumeFull(CardError):
    """No room is left on the volume."""

    code = errno.ENOSPC

    def __init__(self, text: str = "volume is full", code: int | None = None) -> None:
        super().__init__(text, code)


class VolumeCorrupt(CardError):
    """The volume's own structures contradict each other."""

    code = errno.EILSEQ

    def __init__(self, where: str, expected: str, found: str) -> None:
        super().__init__(f"{where}: expected {expected}, found {found}")
        self.where = where
        self.expected = expected
        self.found = found

    def __reduce__(self) -> tuple[type[VolumeCorrupt], tuple[str, str, str]]:  # type: ignore[override]
        return type(self), (self.where, self.expected, self.found)
