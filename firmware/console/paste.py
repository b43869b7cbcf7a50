"""Paste mode: raw lines up to one that holds only a dot. Pure.

What is pasted is not echoed: it may hold a private key. What is too long is read to its end all the same, or the rest
of it would be taken for commands.
"""

from __future__ import annotations

from firmware.errors import CommandError

__all__ = ["PASTE_LIMIT", "Paste"]

PASTE_LIMIT = 256 * 1024
"""Bytes: a trust list of a hundred certificates fits."""


class Paste:
    """Collects pasted text."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._line = bytearray()
        self._size = 0
        self._after_cr = False
        self._lost = False
        self.done = False

    def push(self, data: bytes) -> bytes:
        """Adds what has arrived; gives what came behind the end."""
        for index, byte in enumerate(data):
            is_second = self._after_cr and byte == 0x0A
            self._after_cr = byte == 0x0D
            if is_second:
                continue
            if byte not in (0x0A, 0x0D):
                self._add(byte)
            elif self._end_line():
                # A line feed behind the last carriage return belongs to the dot's line.
                rest = data[index + 1 :]
                return rest[1:] if byte == 0x0D and rest[:1] == b"\n" else rest
        return b""

    def lose(self) -> None:
        """Bytes were lost on the line."""
        self._lost = True

    def text(self) -> str:
        """What was pasted, with LF line ends. CommandError when it did not come whole or is too long."""
        if self._lost:
            raise CommandError("bytes were lost on the line while pasting, nothing changed")
        if self._size > PASTE_LIMIT:
            raise CommandError(f"pasted text of {self._size} bytes: must be at most {PASTE_LIMIT}, nothing changed")
        return b"".join(line + b"\n" for line in self._lines).decode(errors="replace")

    def _add(self, byte: int) -> None:
        self._size += 1
        if self._size <= PASTE_LIMIT:
            self._line.append(byte)
        elif len(self._line) < 8:
            self._line.append(byte)  # enough to tell the dot by

    def _end_line(self) -> bool:
        """Whether this line was the dot."""
        line = bytes(self._line)
        self._line.clear()
        if line.strip() == b".":
            self._size -= len(line)
            self.done = True
            return True
        self._size += 1
        if self._size <= PASTE_LIMIT:
            self._lines.append(line)
        return False
