"""Bytes on the wire end to the nanosecond, however they are asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from board.lane import Burst, Lane


def lane() -> Lane:
    return Lane(115_200, 10)


def end_ns(number_of_bytes: int, start_ns: int = 0) -> int:
    return start_ns + number_of_bytes * 10 * 1_000_000_000 // 115_200


def test_a_byte_is_there_at_its_end_and_not_a_nanosecond_before() -> None:
    wire = lane()
    wire.put(b"ab", 1_000)
    assert wire.take(end_ns(1, 1_000) - 1) == []
    assert wire.take(end_ns(1, 1_000)) == [Burst("data", b"a")]
    assert wire.take(end_ns(2, 1_000) - 1) == []
    assert wire.take(end_ns(2, 1_000)) == [Burst("data", b"b")]


def test_a_million_bytes_end_without_drift() -> None:
    wire = lane()
    for _ in range(1_000):
        wire.put(bytes(1_000), 0)
    assert wire.busy_until_ns == 1_000_000 * 10_000_000_000 // 115_200
    assert wire.busy_until_ns != 1_000_000 * (10_000_000_000 // 115_200), "or the rounding could not show"


def test_bytes_that_follow_later_start_a_new_run() -> None:
    wire = lane()
    wire.put(b"a", 0)
    wire.put(b"b", 1_000_000)
    assert wire.take(999_999_999) == [Burst("data", b"a"), Burst("data", b"b")]
    assert wire.busy_until_ns == end_ns(1, 1_000_000)


def test_a_break_waits_for_the_bytes_before_it_and_delays_those_behind() -> None:
    wire = lane()
    wire.put(b"a", 0)
    wire.put_break(0, bits=20)
    wire.put(b"b", 0)
    break_end_ns = end_ns(1) + 20 * 1_000_000_000 // 115_200
    assert wire.take(break_end_ns - 1) == [Burst("data", b"a")]
    assert wire.take(break_end_ns) == [Burst("break", b"")]
    assert wire.take(end_ns(1, break_end_ns)) == [Burst("data", b"b")]


def test_next_chunk_ends_with_the_run_or_when_it_is_full() -> None:
    wire = lane()
    assert wire.next_ns(16) is None
    wire.put(bytes(20), 0)
    assert wire.next_ns(16) == end_ns(16)
    wire.take(end_ns(16))
    assert wire.next_ns(16) == end_ns(20)


def test_a_cut_forgets_what_has_not_ended_and_keeps_what_has() -> None:
    wire = lane()
    wire.put(b"abcd", 0)
    wire.cut(end_ns(2))
    assert wire.take(999_999_999) == [Burst("data", b"ab")]
    wire.put(b"x", end_ns(2))
    assert wire.busy_until_ns == end_ns(1, end_ns(2))


@given(st.lists(st.integers(0, 5_000_000), max_size=30), st.integers(50, 4_000_000))
def test_taking_in_steps_gives_what_taking_at_once_gives(steps: list[int], baudrate: int) -> None:
    stepwise, at_once = Lane(baudrate, 10), Lane(baudrate, 10)
    data = bytes(range(200))
    stepwise.put(data, 7)
    at_once.put(data, 7)
    now_ns, collected = 0, b""
    for step_ns in steps:
        now_ns += step_ns
        collected += b"".join(burst.data for burst in stepwise.take(now_ns))
        assert stepwise.pending(now_ns) == 200 - len(collected)
    assert collected == b"".join(burst.data for burst in at_once.take(now_ns))
