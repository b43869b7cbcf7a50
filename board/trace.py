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
        return f"{self.time_ns}\t{self.board}\t{self.kind}\t{self.name}\t{_escaped(self.value)}"


class BoardTrace:
    """A trace for one board: ``trace(now_ns, kind, name, value)``. Called for every turn of every task."""

    __slots__ = ("_board", "_record")

    def __init__(self, trace: Trace, board: str) -> None:
        self._record = trace.record
        self._board = board

    def __call__(self, now_ns: int, kind: str, name: str, value: int | str) -> None:
        self._record(_new(TraceEvent, (now_ns, self._board, kind, name, value)))


_new = tuple.__new__
"""Makes a named tuple in half the time."""

BATCH = 1_024
"""So many events are hashed at a time: one by one, that would be most of what recording costs."""


class Trace:
    """Collects events.

    Args:
        limit: how many of the newest events are kept; None keeps all. The digest and the count cover all of them.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._events: deque[TraceEvent] = deque(maxlen=limit)
        self._fresh: list[TraceEvent] = []  # not hashed yet, and not among the others
        self._hash = hashlib.sha256()
        self._listeners: tuple[Callable[[TraceEvent], None], ...] = ()
        self._hashed = 0

    def for_board(self, board: str) -> BoardTrace:
        """What the parts of one board are given to record with."""
        return BoardTrace(self, board)

    def record(self, event: TraceEvent) -> None:
        """Adds one event."""
        fresh = self._fresh
        fresh.append(event)
        if self._listeners:
            for listen in self._listeners:
                listen(event)
        if len(fresh) >= BATCH:
            self._settle()

    @property
    def count(self) -> int:
        """Number of events so far."""
        return self._hashed + len(self._fresh)

    def listen(self, listener: Callable[[TraceEvent], None]) -> None:
        """Has ``listener(event)`` called with every event from now on."""
        self._listeners = (*self._listeners, listener)

    def unlisten(self, listener: Callable[[TraceEvent], None]) -> None:
        """Ends what ``listen`` began; without effect on one that does not listen."""
        self._listeners = tuple(other for other in self._listeners if other != listener)

    def digest(self) -> str:
        """SHA-256 over all events so far, in hexadecimal."""
        self._settle()
        return self._hash.hexdigest()

    def tail(self, number_of_lines: int = 20) -> list[str]:
        """The newest lines, oldest first."""
        if number_of_lines <= 0:
            return []
        return [event.line() for event in list(self)[-number_of_lines:]]

    def __iter__(self) -> Iterator[TraceEvent]:
        self._settle()
        return iter(self._events)

    def __len__(self) -> int:
        self._settle()
        return len(self._events)

    def _settle(self) -> None:
        """Hashes the fresh events, and puts them with the others."""
        fresh = self._fresh
        if fresh:
            # ``line`` written out: this is most of what recording costs.
            lines = [
                f"{time_ns}\t{board}\t{kind}\t{name}\t{value if value.__class__ is int else _escaped(value)}\n"
                for time_ns, board, kind, name, value in fresh
            ]
            self._hash.update("".join(lines).encode())
            self._hashed += len(fresh)
            self._events.extend(fresh)
            fresh.clear()


def _escaped(value: int | str) -> int | str:
    if isinstance(value, int) or (value.isprintable() and "\\" not in value):
        return value
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
