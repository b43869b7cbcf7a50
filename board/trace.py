"""What happened on all boards of a world, in the order in which it happened, and one digest of it.

Two runs with the same seed have the same digest: that is how repeatability is tested. Values are times, sizes, names
and states, never the bytes of a key or of an encrypted session.

Not modelled: merging by time. Events stand in the order in which they were recorded; a CPU that runs ahead of the world
records its own at local time.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple


class TraceEvent(NamedTuple):
    """One thing that happened."""

    time_ns: int
    board: str
    kind: str
    name: str
    value: int | str

    def line(self) -> str:
        """One line of text, tab-separated; line breaks and tabs in a value are escaped."""
        value = self.value
        if isinstance(value, str):
            value = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
        return f"{self.time_ns}\t{self.board}\t{self.kind}\t{self.name}\t{value}"


class BoardTrace:
    """A trace for one board: ``trace(now_ns, kind, name, value)``."""

    __slots__ = ("_board", "_trace")

    def __init__(self, trace: Trace, board: str) -> None:
        self._trace = trace
        self._board = board

    def __call__(self, now_ns: int, kind: str, name: str, value: int | str) -> None:
        self._trace.record(TraceEvent(now_ns, self._board, kind, name, value))


class Trace:
    """Collects events.

    Args:
        limit: how many of the newest events are kept; None keeps all. The digest and the count cover all of them.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._events: deque[TraceEvent] = deque(maxlen=limit)
        self._hash = hashlib.sha256()
        self._listeners: tuple[Callable[[TraceEvent], None], ...] = ()
        self.count = 0

    def for_board(self, board: str) -> BoardTrace:
        """What the parts of one board are given to record with."""
        return BoardTrace(self, board)

    def record(self, event: TraceEvent) -> None:
        """Adds one event."""
        self._events.append(event)
        self._hash.update(event.line().encode())
        self._hash.update(b"\n")
        self.count += 1
        if self._listeners:
            for listen in self._listeners:
                listen(event)

    def listen(self, listener: Callable[[TraceEvent], None]) -> None:
        """Has ``listener(event)`` called with every event from now on."""
        self._listeners = (*self._listeners, listener)

    def unlisten(self, listener: Callable[[TraceEvent], None]) -> None:
        """Ends what ``listen`` began; without effect on one that does not listen."""
        self._listeners = tuple(other for other in self._listeners if other != listener)

    def digest(self) -> str:
        """SHA-256 over all events so far, in hexadecimal."""
        return self._hash.hexdigest()

    def tail(self, number_of_lines: int = 20) -> list[str]:
        """The newest lines, oldest first."""
        if number_of_lines <= 0:
            return []
        return [event.line() for event in list(self._events)[-number_of_lines:]]

    def __iter__(self) -> Iterator[TraceEvent]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)
