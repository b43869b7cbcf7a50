"""Figures over time: peaks, levels and steps, told in as many points as a page shows."""

from __future__ import annotations

from hil.storm.gauge import MOST_POINTS, Gauge, Levels, bucket_from_span, bucket_starts_s, steps_from

S = 1_000_000_000
TENTH = 100_000_000


def test_buckets_are_whole_tenths_and_at_most_six_hundred() -> None:
    assert bucket_from_span(3 * S) == TENTH
    assert bucket_from_span(60 * S) == TENTH
    assert bucket_from_span(600 * S) == 10 * TENTH
    for span_ns in (1, S, 61 * S, 599 * S, 86_400 * S):
        assert len(bucket_starts_s(span_ns, bucket_from_span(span_ns))) <= MOST_POINTS


def test_a_gauge_tells_the_longest_of_each_bucket_and_holds_it_until_it_changes() -> None:
    gauge = Gauge()
    gauge.set(50_000_000, 3)
    gauge.set(60_000_000, 1)
    gauge.set(310_000_000, 0)
    assert gauge.points(5 * TENTH, TENTH) == (3, 1, 1, 1, 0)
    assert gauge.points(5 * TENTH, 2 * TENTH) == (3, 1, 0)


def test_a_gauge_that_was_never_set_is_zero() -> None:
    assert Gauge().points(3 * TENTH, TENTH) == (0, 0, 0)


def test_levels_hold_until_the_next_and_are_averaged_over_a_bucket() -> None:
    levels = Levels()
    levels.tell("", 0, {"rsa": 100.0})
    levels.tell("", TENTH, {"rsa": 50.0, "hash": 20.0})
    levels.tell("", 2 * TENTH, {"rsa": 0.0, "hash": 0.0})
    assert levels.points(4 * TENTH, TENTH) == {"rsa": (1.0, 0.5, 0.0, 0.0), "hash": (0.0, 0.2, 0.0, 0.0)}
    assert levels.points(4 * TENTH, 2 * TENTH) == {"rsa": (0.75, 0.0), "hash": (0.1, 0.0)}


def test_steps_go_up_and_down_in_the_order_of_time() -> None:
    assert steps_from([(2 * S, 1), (S, 1), (3 * S, -1)], 600) == ((0.0, 0), (1.0, 1), (2.0, 2), (3.0, 1))


def test_many_steps_are_thinned_but_the_last_one_stays() -> None:
    steps = steps_from([(number * S, 1) for number in range(1_000)], 100)
    assert len(steps) <= 101
    assert steps[-1] == (999.0, 1_000)
