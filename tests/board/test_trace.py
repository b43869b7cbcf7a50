"""The trace and its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from board import trace as tracing
from board.trace import BATCH, Row, Trace, TraceEvent


def test_the_digest_is_that_of_the_lines() -> None:
    trace = Trace()
    trace.for_board("a")(5, "led", "ready", "green")
    trace.for_board("b")(7, "pin", "button", 0)
    text = "5\ta\tled\tready\tgreen\n7\tb\tpin\tbutton\t0\n"
    assert trace.digest() == hashlib.sha256(text.encode()).hexdigest()
    assert trace.tail() == text.splitlines()


def test_the_same_events_in_another_order_have_another_digest() -> None:
    digests = set()
    for order in ("ab", "ba"):
        trace = Trace()
        for board in order:
            trace.for_board(board)(5, "led", "ready", "green")
        digests.add(trace.digest())
    assert len(digests) == 2


def test_a_limit_keeps_the_newest_and_the_digest_of_all() -> None:
    bounded, unbounded = Trace(limit=2), Trace()
    for trace in (bounded, unbounded):
        for number in range(5):
            trace.for_board("a")(number, "k", "n", number)
    assert [event.value for event in bounded] == [3, 4]
    assert (len(bounded), bounded.count, len(unbounded)) == (2, 5, 5)
    assert bounded.digest() == unbounded.digest()


def test_a_value_cannot_forge_a_line() -> None:
    event = TraceEvent(5, "a", "log", "text", "one\n6\tb\tpin\\")
    assert event.line() == "5\ta\tlog\ttext\tone\\n6\\tb\\tpin\\\\"


def test_the_tail_is_as_long_as_asked() -> None:
    trace = Trace()
    for number in range(5):
        trace.for_board("a")(number, "k", "n", number)
    assert [line.split("\t")[0] for line in trace.tail(2)] == ["3", "4"]
    assert trace.tail(0) == []


def test_a_listener_gets_every_event_until_it_leaves() -> None:
    trace = Trace(limit=1)
    heard: list[TraceEvent] = []
    trace.listen(heard.append)
    for number in range(3):
        trace.for_board("a")(number, "k", "n", number)
    trace.unlisten(heard.append)
    trace.for_board("a")(3, "k", "n", 3)
    assert [event.value for event in heard] == [0, 1, 2]


def test_a_listener_hears_what_it_asked_for_alone() -> None:
    trace = Trace()
    first, second = trace.for_board("a"), trace.for_board("b")
    first(1, "led", "ready", "green")
    heard: dict[str, list[TraceEvent]] = {"all": [], "a": [], "leds of b": []}
    trace.listen(heard["all"].append)
    trace.listen(heard["a"].append, board="a")
    leds_of_b = heard["leds of b"].append
    trace.listen(leds_of_b, board="b", kinds={"led"})
    for number, tell in enumerate((first, second, second, trace.for_board("c"))):
        tell(2, "led" if number < 2 else "uart", "x", number)
    trace.unlisten(leds_of_b)
    second(3, "led", "x", 9)
    assert {name: [event.value for event in events] for name, events in heard.items()} == {
        "all": [0, 1, 2, 3, 9],
        "a": [0],
        "leds of b": [1],
    }


def test_a_taker_gets_everything_in_order_and_knows_how_much_came_before() -> None:
    trace = Trace(limit=3)
    tell = trace.for_board("a")
    tell(1, "led", "ready", 0)
    taken: list[tuple[int, list[int | str]]] = []

    def take(number: int, rows: list[Row]) -> None:
        taken.append((number, [value for *_, value in rows]))

    trace.take(take)
    for number in range(1, 3_000):
        tell(number, "led", "ready", number)
    trace.settle()
    trace.settle()
    assert [value for _, values in taken for value in values] == list(range(1, 3_000))
    assert [number for number, _ in taken] == [values[0] for _, values in taken]
    tell(3_000, "led", "ready", "last")
    trace.untake(take)
    tell(3_001, "led", "ready", "unheard")
    trace.settle()
    assert taken[-1] == (3_000, ["last"])


def test_events_come_back_as_they_were_however_many_there_are_and_whatever_is_kept() -> None:
    bounded, unbounded = Trace(limit=BATCH + 10), Trace()
    values: list[int | str] = [number if number % 3 else str(number) for number in range(3 * BATCH + 7)]
    for trace in (bounded, unbounded):
        record = trace.for_board("a")
        for value in values:
            record(7, "k", "n", value)
    assert [event.value for event in unbounded] == values
    assert [event.value for event in bounded] == values[-BATCH - 10 :]
    assert all(isinstance(event, TraceEvent) for event in bounded)
    assert bounded.digest() == unbounded.digest()


def test_a_limit_holds_when_somebody_looks_after_every_event() -> None:
    trace = Trace(limit=3)
    for number in range(10):
        trace.for_board("a")(number, "k", "n", number)
        assert [event.value for event in trace] == list(range(max(0, number - 2), number + 1))


def test_a_limit_of_none_at_all_keeps_nothing() -> None:
    trace = Trace(limit=0)
    trace.for_board("a")(1, "k", "n", 1)
    assert (list(trace), len(trace), trace.count) == ([], 0, 1)


def test_the_digest_of_what_must_be_escaped_is_that_of_the_lines_too() -> None:
    trace = Trace()
    for value in ("plain", "two\nlines", 7, "tab\there", "back\\slash", "return\r", "\x01"):
        trace.for_board("a")(5, "log", "text", value)
    text = "".join(event.line() + "\n" for event in trace)
    assert text.count("\n") == 7
    assert trace.digest() == hashlib.sha256(text.encode()).hexdigest()


def test_the_newest_lines_are_told_without_a_look_at_all_that_was_before(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace()
    record = trace.for_board("a")
    for number in range(10 * BATCH):
        record(number, "k", "n", number)
    assert trace.tail(10_000_000)[0].startswith("0\ta\t")
    looked_at: list[int] = []
    original = tracing._events

    def events(fields: Sequence[Any]) -> Iterator[TraceEvent]:
        looked_at.append(len(fields))
        return original(fields)

    monkeypatch.setattr(tracing, "_events", events)
    lines = trace.tail(BATCH + 1)
    assert [line.split("\t")[0] for line in lines] == [str(number) for number in range(9 * BATCH - 1, 10 * BATCH)]
    assert len(looked_at) == 2
    assert trace.tail(0) == trace.tail(-1) == []


def test_rows_are_events_without_names_and_end_like_them() -> None:
    trace = Trace()
    rows: list[object] = []
    events: list[TraceEvent] = []
    trace.listen_to_rows(rows.append, board="a", kinds=["k"])
    trace.listen(events.append, board="a", kinds=["k"])
    trace.for_board("a")(1, "k", "n", 2)
    trace.for_board("a")(1, "other", "n", 2)
    trace.for_board("b")(1, "k", "n", 2)
    trace.unlisten(rows.append)
    trace.for_board("a")(3, "k", "n", 4)
    assert rows == [(1, "a", "k", "n", 2)]
    assert [event.value for event in events] == [2, 4]
    assert type(rows[0]) is tuple
    assert type(events[0]) is TraceEvent
