"""The log: the last lines, kept in RAM, and who wants to see new ones.

A line reads ``YYYYMMDD-HHMMSS MODULE text``, as the family's command log does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from firmware.hal import Rtc

__all__ = ["KEPT_LINES", "EventLog"]

KEPT_LINES = 1_000
"""Lines kept: some hundred kilobytes of the board's RAM."""

LINE_LIMIT = 1_000
"""Characters of a line's text: nobody shall push the others out with one."""


class EventLog:
    """A bounded list of lines, oldest first."""

    def __init__(self, rtc: Rtc) -> None:
        self._rtc = rtc
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._listeners: list[Callable[[str], None]] = []

    def write(self, module: str, text: str) -> None:
        """Adds a line with the board's time. What is not printable in ``text`` becomes a question mark."""
        year, month, day, _, hour, minute, second, _ = self._rtc.datetime()
        printable = text[:LINE_LIMIT]
        if not printable.isprintable():
            printable = "".join(character if character.isprintable() else "?" for character in printable)
        line = f"{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02} {module} {printable}"
        self._lines.append(line)
        for listener in self._listeners:
            listener(line)

    def last(self, count: int = KEPT_LINES) -> Sequence[str]:
        """The newest ``count`` lines, oldest of them first."""
        return list(islice(self._lines, max(0, len(self._lines) - count), None))

    def listen(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Has ``listener(line)`` called with every new line. Gives what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
