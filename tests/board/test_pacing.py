"""The paced clock against a wall clock of our own: nothing here waits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from board.clock import FOREVER_NS
from board.pacing import CATCH_UP_NS, LONGEST_WAIT_S, PACED_QUANTUM_NS, POLL_EVERY_NS, PacedClock

MS = 1_000_000
S = 1_000_000_000


class FakeHost:
    """A wall clock that moves while the paced clock polls, and an outside with visitors at wall times.

    Not modelled: time that the host's own work takes, unless a test moves ``wall_ns``.
    """

    def __init__(self, speed: float | None = 1.0, *, catches_up: bool = True) -> None:
        self.wall_ns = 123 * S
        self.began_ns = self.wall_ns
        self.waits: list[float] = []
        self.visitors: list[tuple[int, Callable[[], None]]] = []
        self.seen: list[tuple[float, float, str]] = []
        self._catches_up = catches_up
        self.clock = PacedClock(self.poll, speed=speed, wall_ns=lambda: self.wall_ns)

    @property
    def wall_ms(self) -> float:
        return (self.wall_ns - self.began_ns) / MS

    def poll(self, timeout_s: float) -> None:
        self.waits.append(timeout_s)
        ends_ns = self.wall_ns + max(1, int(timeout_s * 1e9))
        if self.visitors and self.began_ns + self.visitors[0][0] <= ends_ns:
            when_ns, visit = self.visitors.pop(0)
            self.wall_ns = max(self.wall_ns, self.began_ns + when_ns)
            if self._catches_up:
                self.clock.catch_up()
            visit()
        else:
            self.wall_ns = ends_ns

    def visit_ms(self, wall_ms: float, visit: Callable[[], None]) -> None:
        self.visitors.append((int(wall_ms * MS), visit))

    def note(self, what: str) -> Callable[[], None]:
        """Keeps wall and virtual time in ms."""
        return lambda: self.seen.append((round(self.wall_ms, 3), round(self.clock.now_ns / MS, 3), what))

    def at_ms(self, when_ms: float, what: str) -> None:
        self.clock.at(int(when_ms * MS), self.note(what))


@pytest.mark.parametrize(("speed", "wall_ms"), [(1.0, 200), (10.0, 20), (0.5, 400)])
def test_virtual_time_is_wall_time_times_speed(speed, wall_ms):
    host = FakeHost(speed)
    host.at_ms(100, "half-way")
    host.at_ms(200, "there")
    host.clock.run_until(300 * MS)
    assert host.seen == [
        (pytest.approx(wall_ms / 2, abs=0.01), 100, "half-way"),
        (pytest.approx(wall_ms, abs=0.01), 200, "there"),
    ]
    assert host.wall_ms == pytest.approx(300 / speed, abs=0.01)


def test_what_happens_and_in_which_order_is_the_same_as_without_pacing(clock):
    host = FakeHost(3.0)
    orders = {clock: [], host.clock: []}
    for world, order in orders.items():
        for number in range(50):
            world.at(number * 37 % 20 * MS, partial(order.append, number))
        world.run_until(20 * MS)
    assert orders[clock] == orders[host.clock]
    assert len(orders[clock]) == 50


def test_a_cpu_gets_no_further_ahead_of_the_wall_clock_than_the_quantum():
    host = FakeHost()
    horizons = []
    host.clock.at(5 * MS, lambda: horizons.append(host.clock.horizon_ns))
    host.clock.run_until(10 * MS)
    assert horizons == [5 * MS + PACED_QUANTUM_NS]


def test_what_comes_from_outside_bears_the_time_at_which_it_came():
    host = FakeHost()
    host.visit_ms(40, lambda: host.clock.after(2 * MS, host.note("answer")))
    host.at_ms(100, "later")
    host.clock.run_until(100 * MS)
    assert host.seen == [(42, 42, "answer"), (100, 100, "later")]


@pytest.mark.parametrize("catches_up", [True, False])
def test_what_comes_after_a_long_silence_does_not_set_virtual_time_back(catches_up):
    host = FakeHost(catches_up=catches_up)
    host.visit_ms(400, lambda: host.clock.after(0, host.note("key pressed")))
    host.visit_ms(450, lambda: host.clock.after(30 * MS, host.note("timer")))
    host.clock.run_until(1_000 * MS)
    assert [what for _, _, what in host.seen] == ["key pressed", "timer"]
    assert host.seen[0][:2] == (400, 400)
    assert host.wall_ms == pytest.approx(1_000, abs=0.01), "no wall time was lost"


def test_what_comes_up_while_a_run_lets_time_pass_happens_in_its_time():
    host = FakeHost()
    host.visit_ms(10, lambda: host.clock.after(20 * MS, host.note("soon")))
    host.clock.run_until(200 * MS)
    assert host.seen == [(30, 30, "soon")]
    assert host.clock.now_ns == 200 * MS


def test_catching_up_passes_nothing_that_is_still_to_happen():
    host = FakeHost()
    host.at_ms(30, "next")
    host.wall_ns += 20 * MS
    host.clock.catch_up()
    assert host.clock.now_ns == 20 * MS
    host.wall_ns += 20 * MS
    host.clock.catch_up()
    assert host.clock.now_ns == 30 * MS


def test_an_event_that_the_outside_takes_back_does_not_happen():
    host = FakeHost()
    alarm = host.clock.at(50 * MS, host.note("no"))
    host.visit_ms(49, alarm.cancel)
    host.clock.run_until(100 * MS)
    assert host.seen == []


def test_a_visitor_gets_in_front_of_what_was_waited_for():
    host = FakeHost()
    host.at_ms(50, "second")
    host.visit_ms(20, lambda: host.clock.after(0, host.note("first")))
    host.clock.run_until(60 * MS)
    assert [what for _, _, what in host.seen] == ["first", "second"]


def test_work_takes_its_time_at_speed_1():
    host = FakeHost()
    host.clock.busy_until_ns = 80 * MS
    host.at_ms(80, "work done")
    host.clock.run_until(100 * MS)
    assert host.seen == [(80, 80, "work done")]


def test_in_a_hurry_work_takes_no_time_and_idle_time_takes_its_own():
    host = FakeHost(None)
    host.clock.busy_until_ns = 80 * MS
    host.at_ms(40, "slice")
    host.at_ms(80, "work done")
    host.at_ms(100, "after 20 ms of rest")
    host.clock.run_until(100 * MS)
    assert host.seen == [(0, 40, "slice"), (0, 80, "work done"), (20, 100, "after 20 ms of rest")]


def test_in_a_hurry_the_worked_part_of_a_wait_is_skipped_and_the_rest_is_waited_for():
    host = FakeHost(None)
    host.clock.busy_until_ns = 80 * MS
    host.at_ms(100, "next")
    host.clock.run_until(100 * MS)
    assert host.seen == [(20, 100, "next")]


def test_a_host_that_lags_a_little_hurries_afterwards():
    host = FakeHost()

    def lag():
        host.wall_ns += CATCH_UP_NS - 10 * MS

    host.clock.at(10 * MS, lag)
    host.at_ms(20, "late")
    host.at_ms(200, "in time")
    host.clock.run_until(200 * MS)
    assert host.seen == [(50, 20, "late"), (200, 200, "in time")]


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_a_host_that_was_stopped_does_not_hurry_afterwards(speed):
    host = FakeHost(speed)

    def stop():
        host.wall_ns += 5 * S

    host.clock.at(0, stop)
    host.at_ms(100, "overdue")
    host.at_ms(200, "in its time")
    host.clock.run_until(200 * MS)
    assert host.seen == [(5_000, 100, "overdue"), (5_000 + 100 / speed, 200, "in its time")]


def test_the_limit_of_lagging_is_wall_time_at_any_speed():
    host = FakeHost(100.0)

    def lag():
        host.wall_ns += 20 * MS

    host.clock.at(0, lag)
    host.at_ms(10, "late")
    host.at_ms(10_000, "next")
    host.clock.run_until(10_000 * MS)
    assert host.seen[1:] == [(pytest.approx(100, abs=0.1), 10_000, "next")], "20 ms of wall time were caught up"


def test_a_busy_world_is_not_deaf():
    host = FakeHost()
    heard = []
    host.visit_ms(0, lambda: heard.append(host.clock.now_ns))

    def work():
        host.wall_ns += POLL_EVERY_NS  # the host needs longer for it than it takes in the world
        host.clock.after(1_000, work)

    host.clock.at(0, work)
    host.clock.run_until(200_000)
    assert heard
    assert len(host.waits) >= 100


def test_a_world_that_keeps_up_is_not_polled_for_every_event():
    host = FakeHost()
    for _ in range(100):
        host.clock.at(0, lambda: None)
    host.clock.run_until(0)
    assert len(host.waits) <= 1


def test_no_wait_is_longer_than_half_a_second():
    host = FakeHost(0.001)
    host.at_ms(5, "")
    host.clock.run_until(5 * MS)
    assert max(host.waits) <= LONGEST_WAIT_S


def test_serve_goes_on_with_nothing_to_do_until_it_is_told_to_stop():
    host = FakeHost()
    running = [True]
    host.visit_ms(1_700, lambda: running.clear())
    host.clock.serve(lambda: bool(running))
    assert host.wall_ms == 1_700
    assert host.clock.now_ns == 1_700 * MS


def test_the_world_can_catch_up_from_inside_an_event_at_the_wall_clocks_pace():
    host = FakeHost()

    def ahead():
        host.clock.run_until(30 * MS)
        host.note("caught up")()

    host.clock.at(10 * MS, ahead)
    host.visit_ms(20, lambda: host.clock.after(0, host.note("visitor")))
    host.clock.run_until(50 * MS)
    assert host.seen == [(20, 20, "visitor"), (30, 30, "caught up")]


def test_running_to_the_end_of_time_waits_for_the_last_event_only():
    host = FakeHost()
    host.at_ms(10, "last")
    host.clock.run_until(FOREVER_NS)
    assert host.wall_ms == pytest.approx(10, abs=0.01)


def test_run_while_gives_up_in_virtual_time():
    host = FakeHost(10.0)
    assert not host.clock.run_while(lambda: True, timeout_ns=500 * MS)
    assert host.wall_ms == pytest.approx(50, abs=0.01)


@pytest.mark.parametrize("speed", [0, -1.0, float("nan")])
def test_a_speed_that_goes_nowhere_is_refused(speed):
    with pytest.raises(ValueError, match="must be above 0"):
        PacedClock(lambda timeout_s: None, speed=speed)
