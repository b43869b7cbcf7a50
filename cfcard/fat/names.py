"""File names on FAT: what is allowed, the short 8.3 name, and the long one in UTF-16 around it.

A file has one 8.3 entry and, when its name is more than upper-case 8.3, long-name entries *before* it, last part
first::

    slot n      43 "e-name.txt"   part 3, last (40h)      each part holds 13 UTF-16 units at 1..10, 14..25, 28..31,
    slot n+1    02 "ficate-fil"   part 2                  0000 after the end, then FFFF;
    slot n+2    01 "my-certi"     part 1                  byte 11 = 0Fh (attribute), byte 13 = checksum of the 8.3 name
    slot n+3    "MY-CER~1TXT"     the 8.3 entry           which ties them together

Comparison ignores case, one character against one character, as Windows does it.
"""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Callable
from functools import lru_cache

__all__ = [
    "MAX_NAME_UNITS",
    "alias",
    "fold",
    "is_short",
    "long_slots",
    "parts_of",
    "require_valid",
    "short_checksum",
    "short_from_name",
    "text_from_long",
    "text_from_short",
    "units_from_slot",
    "wrong_in_long",
    "wrong_in_short",
]

MAX_NAME_UNITS = 255
"""Longest name, in UTF-16 units (Microsoft FAT32 File System Specification, Long Directory Entries)."""

LFN_ATTRIBUTE = 0x0F
LAST_PART = 0x40
BYTES_PER_SLOT = 26
LONG_SLOT = struct.Struct("<B10sBxB12s2x4s")

FORBIDDEN = re.compile(r'["*/:<>?\\|\x00-\x1f\x7f\ud800-\udfff]')
SHORT_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
SHORT_NAME = re.compile(r"[A-Z0-9!#$%&'()\-@^_`{}~]{1,8}(?:\.[A-Z0-9!#$%&'()\-@^_`{}~]{1,3})?")

WRONG_IN_SHORT = frozenset(b'"*+,./:;<=>?[\\]|\x7f') | frozenset(range(0x20))
"""Bytes that no 8.3 name has (FAT specification; DEL is ``fsck.fat``'s)."""

LOWER_BASE, LOWER_EXTENSION = 0x08, 0x10
"""Windows NT's bits in byte 12 of a short entry: base or extension are to be shown in lower case."""


def fold(name: str) -> str:
    """What two names that are the same to FAT have in common."""
    if name.isascii():
        return name.upper()
    return "".join(u if len(u := c.upper()) == 1 else c for c in name)


def require_valid(name: str) -> str:
    """``name``, when a file may be called so.

    Raises:
        OSError: EINVAL, with what is wrong in the text.
    """
    wrong = FORBIDDEN.search(name)
    if wrong:
        raise OSError(errno.EINVAL, f"character {wrong[0]!r} is not allowed in a file name", name)
    if not name.strip(". ") or name[-1] in ". " or name[0] == " ":
        raise OSError(errno.EINVAL, "file name must not be empty, begin with a blank, or end in a blank or dot", name)
    # A character takes two units at most.
    if len(name) * 2 > MAX_NAME_UNITS and len(name.encode("utf-16-le")) // 2 > MAX_NAME_UNITS:
        raise OSError(errno.ENAMETOOLONG, f"file name is longer than {MAX_NAME_UNITS} UTF-16 units", name)
    return name


def wrong_in_long(name: str) -> str | None:
    """The first character of a long name that none can have: control characters, lone surrogates, punctuation."""
    wrong = FORBIDDEN.search(name)
    return wrong[0] if wrong else None


def parts_of(path: str) -> list[str]:
    """The names along ``path``, from the root; ``.`` and ``..`` resolved."""
    parts = [part for part in path.split("/") if part and part != "."]
    while ".." in parts:
        at = parts.index("..")
        del parts[max(0, at - 1) : at + 1]
    return parts


# Short names

NAMES_REMEMBERED = 4_096
"""Mount, check and listing come by the same names again and again; what they read as follows from their bytes alone."""


def short_from_name(name: str) -> bytes | None:
    """The 11 bytes of a name that needs no long entries, upper-case 8.3; None for any other."""
    if SHORT_NAME.fullmatch(name) is None:
        return None
    base, _, extension = name.partition(".")
    return (base.ljust(8) + extension.ljust(3)).encode("ascii")


def wrong_in_short(short: bytes) -> list[int]:
    """Which of the 11 bytes no 8.3 name can have there; all are in order when there are none."""
    if short[0] > 0x20 and WRONG_IN_SHORT.isdisjoint(short):
        return []
    # 05h in the first place stands for E5h; a name does not begin with a blank.
    return [i for i, c in enumerate(short) if (c in WRONG_IN_SHORT and (i or c != 0x05)) or (c == 0x20 and not i)]


def is_short(short: bytes) -> bool:
    """Whether these 11 bytes can be a name."""
    return not wrong_in_short(short)


@lru_cache(NAMES_REMEMBERED)
def text_from_short(short: bytes, case: int = 0) -> str:
    """The name in the 11 bytes, as it is shown; ``case`` is byte 12 of its entry."""
    if short[0] == 0x05:
        short = b"\xe5" + short[1:]  # E5h in the first place means deleted, so that character is written as 05h
    base = short[:8].decode("cp437").rstrip(" ")
    extension = short[8:].decode("cp437").rstrip(" ")
    if case & LOWER_BASE:
        base = base.lower()
    if case & LOWER_EXTENSION:
        extension = extension.lower()
    return f"{base}.{extension}" if extension else base


def alias(name: str, taken: Callable[[bytes], bool], start: int = 1) -> tuple[bytes, int]:
    """A short name for a long one, and the number it got after the tilde (0 for none).

    Args:
        name: the long name.
        taken: tells whether a short name is in use in the directory already.
        start: where to begin counting; the caller remembers how far similar names have got.
    """
    plain = short_from_name(fold(name))  # nothing but case is lost
    if plain is not None and not taken(plain):
        return plain, 0
    base, extension = _basis(name)
    for number in range(start, 1_000_000):
        tail = f"~{number}"
        short = ((base[: 8 - len(tail)] + tail).ljust(8) + extension.ljust(3)).encode("ascii")
        if not taken(short):
            return short, number
    raise OSError(errno.EEXIST, "no short name is left for this one", name)


def _basis(name: str) -> tuple[str, str]:
    """(base, extension): the basis-name algorithm of the FAT specification."""
    upper = fold(name)
    stripped = upper.replace(" ", "").lstrip(".")
    base, dot, extension = stripped.rpartition(".")
    if not dot:
        base, extension = extension, ""
    mapped = _short_characters(base.replace(".", "")) or "_"
    return mapped, _short_characters(extension[:3])


def _short_characters(text: str) -> str:
    if SHORT_CHARACTERS.issuperset(text):
        return text
    return "".join(c if c in SHORT_CHARACTERS else "_" for c in text)


_ROTATED = bytes((value & 1) << 7 | value >> 1 for value in range(256))
"""Every byte rotated right by one bit."""


@lru_cache(NAMES_REMEMBERED)
def short_checksum(short: bytes) -> int:
    """What the long entries of a file carry of its short name."""
    total = 0
    for byte in short:
        total = _ROTATED[total] + byte & 0xFF
    return total


# Long names


@lru_cache(NAMES_REMEMBERED)
def text_from_long(raw: bytes) -> str:
    """The name in the bytes of all its long entries, up to its end."""
    return raw.decode("utf-16-le", "surrogatepass").partition("\0")[0]


def long_slots(name: str, short: bytes) -> bytes:
    """The long entries of ``name``, in the order in which they lie in the directory."""
    raw = name.encode("utf-16-le")
    last, rest = divmod(len(raw), BYTES_PER_SLOT)
    if rest:
        raw = (raw + b"\0\0").ljust((last + 1) * BYTES_PER_SLOT, b"\xff")
    else:
        last -= 1
    checksum = short_checksum(short)
    slots = b""
    order = last + 1 | LAST_PART
    for at in range(last * BYTES_PER_SLOT, -1, -BYTES_PER_SLOT):
        slots += LONG_SLOT.pack(
            order, raw[at : at + 10], LFN_ATTRIBUTE, checksum, raw[at + 10 : at + 22], raw[at + 22 : at + 26]
        )
        order = at // BYTES_PER_SLOT
    return slots


def units_from_slot(slot: bytes | bytearray) -> bytes:
    """The 26 bytes of name in a long entry."""
    return bytes(slot[1:11] + slot[14:26] + slot[28:32])
