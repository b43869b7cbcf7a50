"""A new 8.3 name for an entry whose own one cannot be: a flipped bit in a name is no reason to lose the file.

Where a long name lies before the entry, its slots carry a checksum of the 8.3 name, and of all values of one byte just
one fits it: so a single wrong byte comes back as it was. Where more is wrong, a name is sought that fits the checksum,
too. The long name holds in both cases, and no slot but the one changes: nothing to be torn between two sectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from cfcard.fat.entry import DELETED, LABEL, SLOT_BYTES, LongName
from cfcard.fat.names import LFN_ATTRIBUTE, fold, is_short, short_checksum, text_from_short, wrong_in_short

__all__ = ["FreeNames"]

DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""FSCK0000 and so on, as ``fsck.fat`` has it; with letters two places are enough for every checksum."""

MAX_GIVEN = 1_000
"""Per directory: more is nothing that flipped bits do, and each takes longer than the one before."""


class FreeNames:
    """The 8.3 names that a directory has left.

    Args:
        data: the whole directory.
    """

    def __init__(self, data: bytes | bytearray) -> None:
        self._taken = _taken(data)
        self._given = 0

    def choose(self, short: bytes, checksum: int | None) -> bytes | None:
        """The 11 bytes that an entry shall have instead of ``short``, which cannot be; from then on they are taken.

        Args:
            short: the impossible name.
            checksum: what its long name's slots carry; None when it has none.

        Returns:
            None when there is none, or too many were asked for.
        """
        if self._given >= MAX_GIVEN:
            return None
        for mended in _candidates(short, checksum):
            if (checksum is None or short_checksum(mended) == checksum) and is_short(mended) and mended[0] != DELETED:
                text = fold(text_from_short(mended))
                if text not in self._taken:
                    self._taken.add(text)
                    self._given += 1
                    return mended
        return None


def _candidates(short: bytes, checksum: int | None) -> Iterator[bytes]:
    wrong = wrong_in_short(short)
    if checksum is not None and len(wrong) == 1:
        for value in range(0x20, 0x100):
            yield short[: wrong[0]] + bytes((value,)) + short[wrong[0] + 1 :]
    mended = bytes(0x5F if at in wrong else c for at, c in enumerate(short))
    yield mended
    for last in product(DIGITS, repeat=3):
        yield b"FSCK0" + bytes(last) + mended[8:]


def _taken(data: bytes | bytearray) -> set[str]:
    """What the entries are called, short and long."""
    taken: set[str] = set()
    long = LongName()
    for at in range(0, len(data), SLOT_BYTES):
        if data[at] == 0:
            break
        if data[at] != DELETED and data[at + 11] & 0x3F == LFN_ATTRIBUTE:
            long.add(0, bytearray(data[at : at + SLOT_BYTES]))
            continue
        if data[at] != DELETED and not data[at + 11] & LABEL:
            short = bytes(data[at : at + 11])
            taken.add(fold(text_from_short(short)))
            taken.add(fold(long.name_for(short) or ""))
        long.clear()
    return taken
