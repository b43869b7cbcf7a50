"""What survives a reset but not a power cut: why the board was reset, and what the next start is to do.

::

    0  magic    4  "GBNI"
    4  request  1  what the next start is to do
    5  size     1  of the text
    6  text     n  UTF-8: what the watchdog saw
    .. crc      4  CRC-32 of all before it

A note is read once: whoever takes it wipes it, so that it is not taken for the next reset's.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

MAGIC = b"GBNI"
LONGEST_TEXT_BYTES = 200


class Request(IntEnum):
    """What the next start is to do."""

    START = 0  # the firmware
    BOOT_CODE = 1  # stop in the boot code
    CLEAR = 2  # clear the configuration, then stop in the boot code


class Note(NamedTuple):
    """What was left for the next start."""

    request: Request = Request.START
    text: str = ""


def leave_note(noinit: bytearray, note: Note) -> None:
    """Writes a note over whatever is there."""
    text = note.text.encode()[:LONGEST_TEXT_BYTES]
    body = MAGIC + bytes([note.request, len(text)]) + text
    data = body + struct.pack("<I", crc32(body))
    noinit[: len(data)] = data


def take_note(noinit: bytearray) -> Note:
    """The note that was left, which is gone then; an empty one when there is none, or it is damaged."""
    size = noinit[5] if len(noinit) > 5 else 0
    body = bytes(noinit[: 6 + size])
    crc = bytes(noinit[6 + size : 10 + size])
    noinit[:] = bytes(len(noinit))
    if body[:4] != MAGIC or len(crc) != 4 or struct.unpack("<I", crc)[0] != crc32(body):
        return Note()
    request = Request(body[4]) if body[4] in list(Request) else Request.START
    return Note(request, body[6:].decode("utf-8", "replace"))
