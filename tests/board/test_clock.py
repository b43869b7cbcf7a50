"""The virtual clock: order, limits, horizon, and runs inside runs."""

from __future__ import annotations

import pytest

from board.clock import COMPACT_ABOVE, FOREVER_NS, QUANTUM_NS, VirtualClock

MS = 1_000_000


@pytest.fixture
def seen() -> list:
    return []


def note(clock, seen, what):
    return lambda: seen.append((clock.now_ns, what))


def test_events_happen_in_order_of_time_and_at_equal_times_in_the_order_of_asking(clock, seen):
    for when_ns, what in ((30, "c"), (10, "a1"), (20, "b"), (10, "a2"), (10, "a3")):
        clock.at(when_ns, note(clock, seen, what))
    clock.run_until(100)
    assert seen == [(10, "a1"), (10, "a2"), (10, "a3"), (20, "b"), (30, "c")]
    assert clock.now_ns == 100


def test_a_run_includes_its_last_instant_and_what_is_asked_for_at_it(clock, seen):
    clock.at(50, lambda: clock.at(50, note(clock, seen, "at the end")))
    clock.at(51, note(clock, seen, "too late"))
    clock.run_until(50)
    assert seen == [(50, "at the end")]
    assert clock.next_ns == 51


def test_a_time_that_has_passed_means_next(clock, seen):
    clock.run_until(100)
    clock.at(100, note(clock, seen, "first"))
    clock.at(10, note(clock, seen, "overdue"))
    clock.run_for(0)
    assert seen == [(100, "first"), (100, "overdue")]


def test_time_does_not_run_back(clock):
    clock.run_until(100)
    clock.run_until(50)
    assert clock.now_ns == 100


def test_an_alarm_that_was_cancelled_does_not_ring(clock, seen):
    alarm = clock.after(10, note(clock, seen, "no"))
    clock.after(5, alarm.cancel)
    assert alarm.pending
    clock.run_until(20)
    assert not alarm.pending
    assert seen == []


def test_cancelling_what_has_happened_or_was_cancelled_changes_nothing(clock, seen):
    alarms = [clock.at(10, lambda: alarms[0].cancel()), clock.at(20, note(clock, seen, "other"))]
    clock.run_until(15)
    for _ in range(3):
        alarms[0].cancel()
    clock.run_until(30)
    assert seen == [(20, "other")]
    assert clock.next_ns is None
    assert clock.step() is False


def test_cancelled_alarms_do_not_pile_up(clock, seen):
    clock.at(5_000_000, note(clock, seen, "kept"))
    for number in range(20 * COMPACT_ABOVE):
        clock.at(1_000_000 + number, note(clock, seen, "no")).cancel()
    assert len(clock._heap) <= 2 * COMPACT_ABOVE
    clock.run_until(6_000_000)
    assert seen == [(5_000_000, "kept")]


def test_the_horizon_is_the_next_event_the_limit_or_the_quantum_whichever_is_first(clock):
    horizons = []

    def look():
        horizons.append(clock.horizon_ns - clock.now_ns)

    clock.at(0, look)
    clock.at(40, look)
    clock.run_until(1_000)
    assert horizons == [40, 960]
    clock.at(2_000, look)
    clock.run_until(FOREVER_NS)
    assert horizons[2] == QUANTUM_NS


def test_a_new_event_draws_the_horizon_nearer_at_once(clock):
    horizons = []

    def look():
        clock.after(7, lambda: None)
        horizons.append(clock.horizon_ns)

    clock.at(3, look)
    clock.run_until(100)
    assert horizons == [10]


def test_running_to_the_end_of_time_stops_at_the_last_event(clock, seen):
    clock.at(70, note(clock, seen, "last"))
    clock.run_until(FOREVER_NS)
    assert clock.now_ns == 70


def test_the_world_can_catch_up_from_inside_an_event(clock, seen):
    def ahead():
        clock.run_until(50)
        seen.append((clock.now_ns, "caught up", clock.horizon_ns))

    clock.at(10, ahead)
    clock.at(30, note(clock, seen, "between"))
    clock.at(60, note(clock, seen, "after"))
    clock.run_until(100)
    assert seen == [(30, "between"), (50, "caught up", 60), (60, "after")]


def test_an_inner_run_goes_no_further_than_the_outer_one(clock, seen):
    clock.at(10, lambda: clock.run_until(500))
    clock.at(200, note(clock, seen, "later"))
    clock.run_until(100)
    assert clock.now_ns == 100
    assert seen == []
    clock.run_until(300)
    assert seen == [(200, "later")]


def test_an_exception_comes_out_and_the_clock_goes_on_afterwards(clock, seen):
    def fail():
        raise ValueError("broken")

    clock.at(10, fail)
    clock.at(20, note(clock, seen, "after"))
    with pytest.raises(ValueError, match="broken"):
        clock.run_until(15)
    clock.run_until(100)
    assert seen == [(20, "after")]


def test_run_while_ends_at_the_event_that_finishes_it(clock, seen):
    for when_ns in (10, 20, 30):
        clock.at(when_ns, note(clock, seen, ""))
    assert clock.run_while(lambda: len(seen) < 2, timeout_ns=1_000)
    assert clock.now_ns == 20


def test_run_while_gives_up_when_its_time_is_over(clock, seen):
    clock.at(2_000, note(clock, seen, ""))
    assert not clock.run_while(lambda: not seen, timeout_ns=1_000)
    assert clock.now_ns == 1_000
    assert seen == []


def test_run_while_has_nothing_to_do_when_it_is_finished_already(clock, seen):
    clock.at(0, note(clock, seen, ""))
    assert clock.run_while(lambda: False, timeout_ns=1_000)
    assert seen == []


def test_a_thousand_events_come_out_sorted():
    clock, times = VirtualClock(), []
    for number in range(1_000):
        clock.at(number * 7_919 % 1_000, lambda: times.append(clock.now_ns))
    clock.run_until(1_000)
    assert times == sorted(times)
    assert len(times) == 1_000


def test_what_follows_from_an_event_comes_before_anything_else_of_that_time(clock, seen):
    def happen():
        note(clock, seen, "event")()
        assert clock.then(note(clock, seen, "what follows"))
        assert clock.then(lambda: clock.then(note(clock, seen, "and from that")))

    clock.at(10, happen)
    clock.at(10, note(clock, seen, "another"))
    clock.run_until(10)
    assert seen == [(10, "event"), (10, "what follows"), (10, "and from that"), (10, "another")]


def test_nothing_follows_while_nothing_happens(clock, seen):
    assert not clock.then(note(clock, seen, "no"))

    def fail():
        raise RuntimeError("broken")

    clock.at(10, fail)
    with pytest.raises(RuntimeError, match="broken"):
        clock.run_until(20)
    assert not clock.then(note(clock, seen, "nor after one that failed"))
    clock.run_until(20)
    assert seen == []


def test_what_follows_from_an_event_that_fails_comes_next_all_the_same(clock, seen):
    def fail():
        clock.then(note(clock, seen, "what follows"))
        raise RuntimeError("broken")

    clock.at(10, fail)
    clock.at(10, note(clock, seen, "another"))
    with pytest.raises(RuntimeError, match="broken"):
        clock.run_until(20)
    assert clock.next_ns == 10
    clock.run_until(20)
    assert seen == [(10, "what follows"), (10, "another")]


def test_what_follows_from_an_event_that_drives_the_clock_waits_for_nothing(clock, seen):
    def drive():
        clock.then(note(clock, seen, "what follows"))
        clock.run_until(40)
        assert clock.then(note(clock, seen, "what follows afterwards"))

    clock.at(10, drive)
    clock.at(30, note(clock, seen, "another"))
    clock.run_until(50)
    assert seen == [(10, "what follows"), (30, "another"), (40, "what follows afterwards")]


def test_no_cpu_takes_the_world_along_past_what_is_to_follow(clock, seen):
    def work():
        clock.then(note(clock, seen, "what follows"))
        assert clock.horizon_ns == 10
        assert not clock.reach(20)

    clock.at(10, work)
    clock.run_until(50)
    assert seen == [(10, "what follows")]


def test_of_two_things_that_follow_the_first_does_not_run_ahead_of_the_second(clock):
    horizons = []

    def happen():
        clock.then(lambda: horizons.append(clock.horizon_ns))
        clock.then(lambda: horizons.append(clock.horizon_ns))

    clock.at(10, happen)
    clock.run_until(MS)
    assert horizons == [10, MS]
