"""What happened on all boards of a world, in the order in which it happened, and one digest of it.

Two runs with the same seed have the same digest: that is how repeatability is tested. Values are times, sizes, names
and states, never the bytes of a key or of an encrypted session.

Not modelled: merging by time. Events stand in the order in which they were recorded; a CPU that runs ahead of the world
records its own at local time.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterator
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


Listener = Callable[[TraceEvent], None]

Taker = Callable[[int, list[TraceEvent]], None]
"""Must not keep the list."""


class _Told(dict[str, tuple[Listener, ...]]):
    """Who is told of a board's events, by kind; found out when the first of a kind comes."""

    def __init__(self, trace: Trace, board: str) -> None:
        super().__init__()
        self._trace = trace
        self._board = board

    def __missing__(self, kind: str) -> tuple[Listener, ...]:
        self[kind] = told = self._trace.listeners(self._board, kind)
        return told


BoardTrace = Callable[[int, str, str, int | str], None]
"""A trace for one board: ``trace(now_ns, kind, name, value)``. Called for every turn of every task."""

_new = tuple.__new__
"""Makes a named tuple in half the time."""

_LINE = "%s\t%s\t%s\t%s\t%s\n"
"""As ``TraceEvent.line``, for events without anything to be escaped."""

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
        self._hashed = 0
        self._listeners: tuple[tuple[Listener, str | None, frozenset[str] | None], ...] = ()
        self._told: list[_Told] = []
        self._takers: tuple[Taker, ...] = ()

    def for_board(self, board: str) -> BoardTrace:
        """What the parts of one board are given to record with."""
        told = _Told(self, board)
        self._told.append(told)
        fresh, add, settle = self._fresh, self._fresh.append, self.settle

        def record(now_ns: int, kind: str, name: str, value: int | str) -> None:
            event = _new(TraceEvent, (now_ns, board, kind, name, value))
            add(event)
            for listen in told[kind]:
                listen(event)
            if len(fresh) >= BATCH:
                settle()

        return record

    @property
    def count(self) -> int:
        """Number of events so far."""
        return self._hashed + len(self._fresh)

    def listen(self, listener: Listener, *, board: str | None = None, kinds: Collection[str] | None = None) -> None:
        """Has ``listener(event)`` called with every event from now on; of one board and of these kinds, where told."""
        self._listeners = (*self._listeners, (listener, board, None if kinds is None else frozenset(kinds)))
        self._forget()

    def take(self, taker: Taker) -> None:
        """Has ``taker(number, events)`` called with many events at a time, at the latest by ``settle``.

        ``number`` is how many came before them. Costs next to nothing while things happen.
        """
        self.settle()
        self._takers = (*self._takers, taker)

    def untake(self, taker: Taker) -> None:
        """Ends what ``take`` began, after the last events."""
        self.settle()
        self._takers = tuple(other for other in self._takers if other != taker)

    def unlisten(self, listener: Listener) -> None:
        """Ends what ``listen`` began; without effect on one that does not listen."""
        self._listeners = tuple(entry for entry in self._listeners if entry[0] != listener)
        self._forget()

    def listeners(self, board: str, kind: str) -> tuple[Listener, ...]:
        """Those that are to be told of such an event, in the order in which they began to listen."""
        return tuple(
            listener
            for listener, of, kinds in self._listeners
            if of in (None, board) and (kinds is None or kind in kinds)
        )

    def digest(self) -> str:
        """SHA-256 over all events so far, in hexadecimal."""
        self.settle()
        return self._hash.hexdigest()

    def tail(self, number_of_lines: int = 20) -> list[str]:
        """The newest lines, oldest first."""
        if number_of_lines <= 0:
            return []
        return [event.line() for event in list(self)[-number_of_lines:]]

    def __iter__(self) -> Iterator[TraceEvent]:
        self.settle()
        return iter(self._events)

    def __len__(self) -> int:
        self.settle()
        return len(self._events)

    def settle(self) -> None:
        """Hashes the fresh events, puts them with the others, and tells the takers."""
        fresh = self._fresh
        if fresh:
            # Nearly always nothing is to be escaped: written at once, and looked whether that was so.
            text = "".join(map(_LINE.__mod__, fresh))
            if "\\" in text or "\r" in text or text.count("\n") + text.count("\t") != 5 * len(fresh):
                text = "".join(event.line() + "\n" for event in fresh)
            self._hash.update(text.encode())
            number, self._hashed = self._hashed, self._hashed + len(fresh)
            self._events.extend(fresh)
            events = fresh[:] if self._takers else []
            fresh.clear()
            for taker in self._takers:
                taker(number, events)

    def _forget(self) -> None:
        for told in self._told:
            told.clear()


def _escaped(value: int | str) -> int | str:
    if isinstance(value, int) or (value.isprintable() and "\\" not in value):
        return value
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
