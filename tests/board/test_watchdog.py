"""The watchdog bites when nobody feeds it, and says so first."""

from __future__ import annotations

from typing import NoReturn

import pytest

from board.cpu import Cpu, CpuReset
from board.errors import BoardError
from board.trace import BoardTrace, Trace
from board.watchdog import Watchdog

MS = 1_000_000


def expire() -> NoReturn:
    raise CpuReset("watchdog")


@pytest.fixture
def watchdog(cpu: Cpu, trace: BoardTrace) -> Watchdog:
    watchdog = Watchdog(cpu, expire, timeout_ms=100, trace=trace)
    cpu.watchdog = watchdog
    return watchdog


def test_it_is_off_until_it_is_fed_for_the_first_time(cpu: Cpu, watchdog: Watchdog) -> None:
    cpu.spend_ns(3_600_000 * MS)
    assert not watchdog.armed
    watchdog.feed()
    assert watchdog.armed


def test_work_up_to_the_limit_passes_and_a_nanosecond_more_does_not(cpu: Cpu, watchdog: Watchdog) -> None:
    watchdog.feed()
    cpu.spend_ns(100 * MS)
    with pytest.raises(CpuReset, match="watchdog"):
        cpu.spend_ns(1)


def test_feeding_puts_it_off(cpu: Cpu, watchdog: Watchdog) -> None:
    for _ in range(50):
        watchdog.feed()
        cpu.spend_ns(90 * MS)
    assert watchdog.armed


def test_the_handler_runs_last_and_cannot_avert_the_reset(cpu: Cpu, watchdog: Watchdog) -> None:
    seen: list[int] = []

    def note() -> None:
        cpu.spend_ns(1_000 * MS)
        watchdog.feed()
        seen.append(cpu.now_ns)

    watchdog.irq(note)
    watchdog.feed()
    with pytest.raises(CpuReset):
        cpu.spend_ns(150 * MS)
    assert seen == [1_150 * MS]


def test_after_a_reset_it_is_off_and_its_handler_gone(cpu: Cpu, watchdog: Watchdog) -> None:
    seen: list[str] = []
    watchdog.irq(lambda: seen.append("handler"))
    watchdog.feed()
    watchdog.reset()
    cpu.spend_ns(1_000 * MS)
    watchdog.feed()
    with pytest.raises(CpuReset):
        cpu.spend_ns(1_000 * MS)
    assert seen == []


def test_the_expiry_is_in_the_trace(cpu: Cpu, watchdog: Watchdog, events: Trace) -> None:
    watchdog.feed()
    with pytest.raises(CpuReset):
        cpu.spend_ns(101 * MS)
    assert [event.line() for event in events] == [f"{101 * MS}\tb1\twatchdog\texpired\t100"]


def test_a_timeout_of_nothing_is_refused(cpu: Cpu) -> None:
    with pytest.raises(BoardError, match="watchdog timeout 0 ms: must be at least 1"):
        Watchdog(cpu, expire, timeout_ms=0)
