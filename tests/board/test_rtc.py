"""The real-time clock: 1970 without a battery, and the CPU's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.clock import VirtualClock
from board.cpu import Cpu
from board.rtc import EPOCH, Rtc

SECOND = 1_000_000_000
LAST_MOMENT = datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def test_it_starts_at_1970_however_late_the_board_is_switched_on(clock: VirtualClock, cpu: Cpu) -> None:
    clock.run_until(90 * SECOND)
    cpu.restart()
    rtc = Rtc(clock, cpu)
    assert rtc.datetime() == (1970, 1, 1, 3, 0, 0, 0, 0)


def test_it_runs_on_the_time_of_the_cpu(clock: VirtualClock, cpu: Cpu) -> None:
    rtc = Rtc(clock, cpu)
    cpu.spend_ns(61 * SECOND + 5_000)
    assert rtc.datetime() == (1970, 1, 1, 3, 0, 1, 1, 5)


def test_it_is_set_and_reckons_the_weekday_itself(clock: VirtualClock, cpu: Cpu) -> None:
    rtc = Rtc(clock, cpu)
    rtc.datetime((2026, 2, 28, 0, 23, 59, 59, 0))
    cpu.spend_ns(SECOND)
    assert rtc.datetime() == (2026, 3, 1, 6, 0, 0, 0, 0), "a Sunday"


@pytest.mark.parametrize(
    "moment",
    [
        (1969, 12, 31, 0, 23, 59, 59, 0),
        (2100, 1, 1, 0, 0, 0, 0, 0),
        (2026, 2, 29, 0, 0, 0, 0, 0),
        (2026, 1, 1, 0, 24, 0, 0, 0),
        (2026, 1, 1, 0, 0, 0, 0, 1_000_000),
        (2026, 1, 1),
    ],
)
def test_a_time_that_is_none_is_refused_and_the_clock_goes_on(
    clock: VirtualClock, cpu: Cpu, moment: tuple[int, int, int, int, int, int, int, int]
) -> None:
    rtc = Rtc(clock, cpu)
    with pytest.raises(ValueError):
        rtc.datetime(moment)
    assert rtc.unix_ns() == 0


def test_power_loss_forgets_the_time_without_a_battery_and_keeps_it_with_one(clock: VirtualClock, cpu: Cpu) -> None:
    without, fitted = Rtc(clock, cpu), Rtc(clock, cpu, battery=True)
    for rtc in (without, fitted):
        rtc.set_unix_ns(1_000 * SECOND)
    clock.run_until(500 * SECOND)
    cpu.restart()
    for rtc in (without, fitted):
        rtc.power_on()
    assert (without.unix_ns(), fitted.unix_ns()) == (0, 1_500 * SECOND)


def test_the_bench_sets_it_at_world_time(clock: VirtualClock, cpu: Cpu) -> None:
    rtc = Rtc(clock, cpu)
    cpu.spend_ns(5 * SECOND)
    rtc.set_unix_ns(1_000 * SECOND)
    assert rtc.unix_ns() == 1_005 * SECOND, "the CPU is 5 s ahead of the world"
    with pytest.raises(ValueError, match="time -1 ns"):
        rtc.set_unix_ns(-1)


@given(st.integers(0, (LAST_MOMENT - EPOCH) // timedelta(microseconds=1)))
def test_every_time_that_is_set_is_read_back(unix_us: int) -> None:
    clock = VirtualClock()
    rtc = Rtc(clock, Cpu(clock, 1))
    moment = EPOCH + timedelta(microseconds=unix_us)
    date = (moment.year, moment.month, moment.day, moment.weekday())
    fields = (*date, moment.hour, moment.minute, moment.second, moment.microsecond)
    rtc.datetime(fields)
    assert rtc.datetime() == fields
    assert rtc.unix_ns() == unix_us * 1_000
