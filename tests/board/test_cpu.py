"""The CPU: cycles into time, exactly; the watchdog's eye on it; and catching up with the world."""

from __future__ import annotations

import pytest

from board.cpu import Cpu, CpuReset


class FakeWatchdog:
    """Bites when told to look after its deadline. Not modelled: feeding."""

    def __init__(self, deadline_ns: int) -> None:
        self.deadline_ns = deadline_ns
        self.looked_ns: list[int] = []

    def check(self, now_ns: int) -> None:
        self.looked_ns.append(now_ns)
        raise CpuReset("watchdog")


@pytest.mark.parametrize("hz", [1, 3, 7, 66_000_000, 200_000_000, 333_333_333])
def test_no_fraction_of_a_nanosecond_is_lost_however_the_work_is_cut(clock, hz):
    cpu = Cpu(clock, hz)
    pieces = [1, 2, 3, 5, 1_000, 77_777] * 20
    for piece in pieces:
        cpu.spend(piece)
    assert cpu.now_ns == sum(pieces) * 1_000_000_000 // hz


def test_spending_moves_local_time_alone(clock, cpu):
    cpu.spend(200)
    assert (cpu.now_ns, clock.now_ns) == (1_000, 0)
    cpu.spend_ns(50)
    assert cpu.now_ns == 1_050


def test_sync_lets_the_world_catch_up_and_what_falls_due_happen(clock, cpu):
    seen = []
    clock.at(400, lambda: seen.append(clock.now_ns))
    clock.at(1_001, lambda: seen.append("too early"))
    cpu.spend(200)
    cpu.sync()
    assert clock.now_ns == 1_000
    assert seen == [400]


def test_sync_with_a_world_that_is_ahead_changes_nothing(clock, cpu):
    clock.run_until(500)
    cpu.sync()
    assert (clock.now_ns, cpu.now_ns) == (500, 0)


def test_two_cpus_that_ran_ahead_do_not_wait_for_each_other(clock):
    first, second = Cpu(clock, 1_000_000_000), Cpu(clock, 1_000_000_000)
    order = []

    def run_second():
        second.now_ns = clock.now_ns
        second.spend(1_000)
        second.sync()
        order.append(("second", clock.now_ns))

    def run_first():
        first.spend(100)
        first.sync()
        order.append(("first", clock.now_ns))

    clock.at(0, run_first)
    clock.at(50, run_second)
    clock.run_until(10_000)
    assert order == [("second", 100), ("first", 100)]


def test_the_watchdog_is_asked_only_after_its_deadline(cpu):
    cpu.watchdog = watchdog = FakeWatchdog(deadline_ns=1_000)
    cpu.spend(200)
    assert watchdog.looked_ns == []
    with pytest.raises(CpuReset, match="watchdog"):
        cpu.spend(1)
    assert watchdog.looked_ns == [1_005]


def test_a_cpu_that_is_doomed_ends_at_its_next_sync_even_with_nothing_to_catch_up(clock, cpu):
    clock.at(300, lambda: cpu.doom("power-off"))
    cpu.spend(200)
    with pytest.raises(CpuReset) as caught:
        cpu.sync()
    assert caught.value.cause == "power-off"
    with pytest.raises(CpuReset):
        cpu.sync()


def test_a_reset_is_no_exception_that_firmware_could_catch():
    assert not issubclass(CpuReset, Exception)


def test_a_restart_begins_at_world_time_with_nothing_owed(clock):
    cpu = Cpu(clock, 3)
    cpu.doom("button")
    cpu.spend(1)
    clock.run_until(7)
    cpu.restart()
    cpu.sync()
    assert cpu.now_ns == 7
    cpu.spend(2)
    assert cpu.now_ns == 7 + 666_666_666


def test_an_interrupt_reaches_whoever_gives_out_the_cpu(cpu):
    calls = []
    cpu.interrupt()
    cpu.on_interrupt(lambda: calls.append("wake"))
    cpu.interrupt()
    cpu.on_interrupt(None)
    cpu.interrupt()
    assert calls == ["wake"]
