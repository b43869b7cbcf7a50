"""What happened on all boards of a world, in the order in which it happened, and one digest of it.

Two runs with the same seed have the same digest: that is how repeatability is tested. Values are times, sizes, names
and states, never the bytes of a key or of an encrypted session.

Not modelled: merging by time. Events stand in the order in which they were recorded; a CPU that runs ahead of the world
records its own at local time.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple


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


Row = tuple[int, str, str, str, int | str]
"""An event without the names of its fields: for whoever looks at them by the ten thousand."""

Listener = Callable[[TraceEvent], None]

RowListener = Callable[[Row], None]

Taker = Callable[[int, list[Row]], None]
"""Must not keep the list."""


class _Listening(NamedTuple):
    """Somebody who listens, and to what; None means everything."""

    listener: Listener | RowListener
    tell: RowListener
    board: str | None
    kinds: frozenset[str] | None


class _Told(dict[str, tuple[RowListener, ...]]):
    """Who is told of a board's events, by kind; found out when the first of a kind comes."""

    def __init__(self, trace: Trace, board: str) -> None:
        super().__init__()
        self._trace = trace
        self._board = board

    def __missing__(self, kind: str) -> tuple[RowListener, ...]:
        self[kind] = told = self._trace.listeners(self._board, kind)
        return told


BoardTrace = Callable[[int, str, str, int | str], None]
"""A trace for one board: ``trace(now_ns, kind, name, value)``. Called for every turn of every task."""

_new = tuple.__new__
"""Makes a named tuple in half the time."""

_Fields = Sequence[Any]
"""Of many events, one behind the other: nothing in it that the host's garbage collector would look through, as it does
with whatever is made by the ten thousand. They become events when somebody looks."""

FIELDS = len(TraceEvent._fields)

_LINE = "%s\t%s\t%s\t%s\t%s\n"
"""As ``TraceEvent.line``, for events without anything to be escaped."""

BATCH = 256
"""So many events are hashed at a time: one by one, that would be most of what recording costs. More would be less
often, but out of the host's first-level cache by then."""

BATCH_FIELDS = BATCH * FIELDS

_LINES = _LINE * BATCH


class Trace:
    """Collects events.

    Args:
        limit: how many of the newest events are kept; None keeps all. The digest and the count cover all of them.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._batches: deque[_Fields] = deque()
        self._fresh: list[int | str] = []  # not hashed yet, and not among the others
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._kept = 0
        self._listeners: tuple[_Listening, ...] = ()
        self._told: list[_Told] = []
        self._takers: tuple[Taker, ...] = ()

    def for_board(self, board: str) -> BoardTrace:
        """What the parts of one board are given to record with."""
        told = _Told(self, board)
        self._told.append(told)
        fresh, add, settle = self._fresh, self._fresh.extend, self.settle

        def record(now_ns: int, kind: str, name: str, value: int | str) -> None:
            row = (now_ns, board, kind, name, value)
            add(row)
            for listen in told[kind]:
                listen(row)
            if len(fresh) >= BATCH_FIELDS:
                settle()

        return record

    @property
    def count(self) -> int:
        """Number of events so far."""
        return self._hashed + len(self._fresh) // FIELDS

    def listen(self, listener: Listener, *, board: str | None = None, kinds: Collection[str] | None = None) -> None:
        """Has ``listener(event)`` called with every event from now on; of one board and of these kinds, where told."""
        self._listen(listener, lambda row: listener(_new(TraceEvent, row)), board, kinds)

    def listen_to_rows(
        self, listener: RowListener, *, board: str | None = None, kinds: Collection[str] | None = None
    ) -> None:
        """As ``listen``, for ``listener(row)``, which costs half as much."""
        self._listen(listener, listener, board, kinds)

    def take(self, taker: Taker) -> None:
        """Has ``taker(number, rows)`` called with many events at a time, at the latest by ``settle``.

        ``number`` is how many came before them. Costs next to nothing while things happen.
        """
        self.settle()
        self._takers = (*self._takers, taker)

    def untake(self, taker: Taker) -> None:
        """Ends what ``take`` began, after the last events."""
        self.settle()
        self._takers = tuple(other for other in self._takers if other != taker)

    def unlisten(self, listener: Listener | RowListener) -> None:
        """Ends what ``listen`` began; without effect on one that does not listen."""
        self._listeners = tuple(entry for entry in self._listeners if entry.listener != listener)
        self._forget()

    def listeners(self, board: str, kind: str) -> tuple[RowListener, ...]:
        """Those that are to be told of such an event, in the order in which they began to listen."""
        return tuple(
            entry.tell
            for entry in self._listeners
            if entry.board in (None, board) and (entry.kinds is None or kind in entry.kinds)
        )

    def digest(self) -> str:
        """SHA-256 over all events so far, in hexadecimal."""
        self.settle()
        return self._hash.hexdigest()

    def tail(self, number_of_lines: int = 20) -> list[str]:
        """The newest lines, oldest first."""
        return [event.line() for event in self._newest(number_of_lines)]

    def __iter__(self) -> Iterator[TraceEvent]:
        return self._newest(len(self))

    def __len__(self) -> int:
        self.settle()
        return self._kept if self._limit is None else min(self._kept, self._limit)

    def settle(self) -> None:
        """Hashes the fresh events, puts them with the others, and tells the takers."""
        if not self._fresh:
            return
        fields = tuple(self._fresh)
        self._fresh.clear()
        number = len(fields) // FIELDS
        words = "".join({value for value in fields[FIELDS - 1 :: FIELDS] if value.__class__ is str})
        if words == _escaped(words):  # nearly always
            text = (_LINES if number == BATCH else _LINE * number) % fields
        else:
            text = "".join(event.line() + "\n" for event in _events(fields))
        self._hash.update(text.encode())
        before, self._hashed = self._hashed, self._hashed + number
        self._keep(fields)
        if self._takers:
            rows = [*_rows(fields)]
            for taker in self._takers:
                taker(before, rows)

    def _keep(self, fields: _Fields) -> None:
        self._batches.append(fields)
        self._kept += len(fields) // FIELDS
        while self._limit is not None and self._batches:
            others = self._kept - len(self._batches[0]) // FIELDS
            if others < self._limit:
                break
            self._batches.popleft()
            self._kept = others

    def _newest(self, count: int) -> Iterator[TraceEvent]:
        """The newest of those that are kept, oldest first; batches before them are not looked at."""
        surplus = -max(0, min(count, len(self)))
        batches: deque[_Fields] = deque()
        for fields in reversed(self._batches):
            if surplus >= 0:
                break
            batches.appendleft(fields)
            surplus += len(fields) // FIELDS
        return islice(chain.from_iterable(map(_events, batches)), surplus, None)

    def _listen(
        self, listener: Listener | RowListener, tell: RowListener, board: str | None, kinds: Collection[str] | None
    ) -> None:
        wanted = None if kinds is None else frozenset(kinds)
        self._listeners = (*self._listeners, _Listening(listener, tell, board, wanted))
        self._forget()

    def _forget(self) -> None:
        for told in self._told:
            told.clear()


def _rows(fields: _Fields) -> Iterator[Row]:
    return zip(*[iter(fields)] * FIELDS, strict=True)


def _events(fields: _Fields) -> Iterator[TraceEvent]:
    return map(TraceEvent._make, _rows(fields))


def _escaped(value: int | str) -> int | str:
    if isinstance(value, int) or (value.isprintable() and "\\" not in value):
        return value
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
