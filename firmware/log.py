"""The board's log in RAM, and the crash note that outlives a reset.

The log is a ring: the newest entries stay, the number of those that went is known. Times are the uptime, which always
runs, and the wall time, which the board may not know. RAM loses it with every reset, except for one *crash note* in
memory that a reset leaves alone: it is written in the watchdog's pre-timeout interrupt and logged by the next boot. ::

    crash note, little-endian
      0  magic   4   "GBCN"
      4  crc     4   CRC-32 of all that follows
      8  uptime  8   milliseconds
     16  cause, task, kind of the last charge: each 1 byte of length and 47 bytes of UTF-8, padded with 00
"""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple
from zlib import crc32

from firmware.errors import FirmwareError

__all__ = [
    "ENTRY_LIMIT",
    "NOTE_SIZE",
    "TEXT_LIMIT",
    "CrashNote",
    "Log",
    "LogEntry",
    "line_from_entry",
    "log_json",
    "log_text",
    "note_from_bytes",
    "put_note",
    "take_note",
]

ENTRY_LIMIT = 500
"""Entries that a log keeps: some 60 KiB of the board's RAM."""
TEXT_LIMIT = 400
"""Characters of an entry: a distinguished name and a reason fit."""

Subscriber = Callable[["LogEntry"], None]


class LogEntry(NamedTuple):
    """One line of the log."""

    number: int
    """Counts from 1 since power-on or reset; a gap in what is shown means that entries went."""
    uptime_ms: int
    wall_s: int | None
    """Unix seconds; None while the board does not know the time."""
    facility: str
    """Upper case: the module that speaks, for example ``X509``."""
    text: str


class Log:
    """The newest ``limit`` entries.

    Args:
        uptime_ms: Milliseconds since power-on or reset.
        wall_s: Unix seconds, or None while the time is not set.
        limit: Entries to keep.
    """

    def __init__(
        self, uptime_ms: Callable[[], int], wall_s: Callable[[], int | None], limit: int = ENTRY_LIMIT
    ) -> None:
        self._uptime_ms = uptime_ms
        self._wall_s = wall_s
        self._entries: deque[LogEntry] = deque(maxlen=limit)
        self._subscribers: list[Subscriber] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def gone(self) -> int:
        """How many entries the ring no longer holds."""
        return self._count - len(self._entries)

    def write(self, facility: str, text: str) -> LogEntry:
        """Adds an entry and hands it to the subscribers. What cannot be printed is escaped, what is long is cut."""
        self._count += 1
        entry = LogEntry(self._count, self._uptime_ms(), self._wall_s(), facility, _printable(text))
        self._entries.append(entry)
        for subscriber in tuple(self._subscribers):
            subscriber(entry)
        return entry

    def entries(self, facility: str | None = None) -> list[LogEntry]:
        """The entries, oldest first; of one facility or of all."""
        return [entry for entry in self._entries if facility in (None, entry.facility)]

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Calls ``subscriber(entry)`` for every entry from now on, inside ``write``: it must neither raise nor write.

        Returns:
            What ends the subscription; calling it again does nothing.
        """
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe


def line_from_entry(entry: LogEntry) -> str:
    """Uptime in seconds, wall time (``-`` when not known), facility, text."""
    seconds, milliseconds = divmod(entry.uptime_ms, 1000)
    return f"{seconds:>7}.{milliseconds:03} {_iso8601(entry.wall_s) or '-':<20} {entry.facility:<8} {entry.text}"


def log_text(entries: Iterable[LogEntry], gone: int = 0) -> str:
    """The answer to ``log``: one line per entry, and a first line if there were more."""
    lines = [f"{gone} older entries are gone"] if gone else []
    return "\n".join([*lines, *map(line_from_entry, entries)])


def log_json(entries: Iterable[LogEntry], gone: int = 0) -> str:
    """The answer to ``log /json``: one line."""
    rows = [
        {
            "number": entry.number,
            "uptime_ms": entry.uptime_ms,
            "time": _iso8601(entry.wall_s),
            "facility": entry.facility,
            "text": entry.text,
        }
        for entry in entries
    ]
    return json.dumps({"gone": gone, "entries": rows}, separators=(",", ":"))


def _iso8601(wall_s: int | None) -> str | None:
    return None if wall_s is None else datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _printable(text: str) -> str:
    # Names in certificates and lines of peers come here: no such text may forge a second entry or steer a terminal.
    clean = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return clean if len(clean) <= TEXT_LIMIT else clean[: TEXT_LIMIT - 3] + "..."


class CrashNote(NamedTuple):
    """Why the CPU was reset, as the last moments before it knew."""

    cause: str
    """As ``Hardware.reset_cause`` has it."""
    task: str
    """Name of the task that held the CPU."""
    kind: str
    """Kind of the cycles that were charged last."""
    uptime_ms: int

    def __str__(self) -> str:
        seconds, milliseconds = divmod(self.uptime_ms, 1000)
        return f"{self.cause} reset after {seconds}.{milliseconds:03} s in task {self.task}, last charge {self.kind}"


_NOTE_MAGIC = b"GBCN"
_TEXT_SIZE = 48
_FRAME = struct.Struct("<4sI")
_BODY = struct.Struct(f"<Q{_TEXT_SIZE}p{_TEXT_SIZE}p{_TEXT_SIZE}p")

NOTE_SIZE = _FRAME.size + _BODY.size
"""Bytes of memory that a crash note takes."""


def put_note(memory: bytearray, note: CrashNote) -> None:
    """Writes ``note`` at the start of ``memory``; long names are cut.

    The checksum goes in last, so that a reset in the middle leaves no note rather than a wrong one.
    Raises FirmwareError when ``memory`` is too small.
    """
    if len(memory) < NOTE_SIZE:
        raise FirmwareError(f"memory of {len(memory)} bytes for a crash note, {NOTE_SIZE} are needed")
    body = _BODY.pack(note.uptime_ms, *(text.encode() for text in (note.cause, note.task, note.kind)))
    memory[: _FRAME.size] = bytes(_FRAME.size)
    memory[_FRAME.size : NOTE_SIZE] = body
    memory[: _FRAME.size] = _FRAME.pack(_NOTE_MAGIC, crc32(body))


def note_from_bytes(memory: bytes | bytearray) -> CrashNote | None:
    """The note at the start of ``memory``; None when there is none, or its checksum does not fit."""
    if len(memory) < NOTE_SIZE:
        return None
    magic, crc = _FRAME.unpack_from(memory)
    body = memory[_FRAME.size : NOTE_SIZE]
    if magic != _NOTE_MAGIC or crc != crc32(body):
        return None
    uptime_ms, *texts = _BODY.unpack(body)
    # A name that was cut within a character ends before it.
    cause, task, kind = (text.decode(errors="ignore") for text in texts)
    return CrashNote(cause, task, kind, uptime_ms)


def take_note(memory: bytearray) -> CrashNote | None:
    """Reads the note and wipes it, so that it is logged once."""
    note = note_from_bytes(memory)
    memory[:NOTE_SIZE] = bytes(min(NOTE_SIZE, len(memory)))
    return note
