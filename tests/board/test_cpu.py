"""The CPU: cycles into time, exactly; the watchdog's eye on it; and catching up with the world."""

from __future__ import annotations

from functools import partial
from threading import Thread

import pytest
from greenlet import getcurrent

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


def test_a_cpu_that_rests_is_where_the_world_is_and_one_that_is_ahead_stays_there(clock, cpu):
    clock.run_until(500)
    cpu.rest()
    assert cpu.now_ns == 500
    cpu.spend_ns(100)
    cpu.rest()
    assert cpu.now_ns == 600


def test_sync_with_a_world_that_is_ahead_changes_nothing(clock, cpu):
    clock.run_until(500)
    cpu.sync()
    assert (clock.now_ns, cpu.now_ns) == (500, 0)


def test_cpus_that_ran_ahead_go_on_each_at_its_own_time_and_in_order(clock):
    cpus = [Cpu(clock, 1_000_000_000) for _ in range(1_000)]
    order = []

    def turn(number, cpu):
        cpu.spend(2_000 - number)
        cpu.sync()
        order.append((cpu.now_ns, clock.now_ns, number))

    for number, cpu in enumerate(cpus):
        clock.at(0, partial(cpu.run, partial(turn, number, cpu)))
    clock.run_until(10_000)
    assert order == [(2_000 - number, 2_000 - number, number) for number in reversed(range(1_000))]


def test_a_turn_waits_for_the_world_across_the_end_of_a_run(clock, cpu):
    reached = []

    def turn():
        cpu.spend(200)
        cpu.sync()
        reached.append(clock.now_ns)

    clock.at(500, lambda: None)
    clock.at(0, lambda: cpu.run(turn))
    clock.run_until(700)
    assert reached == []
    clock.run_until(2_000)
    assert reached == [1_000]


def test_what_waits_for_the_world_is_ended_at_once_by_a_power_cut(clock, cpu):
    ended = []

    def turn():
        cpu.spend(200)
        try:
            cpu.sync()
        except CpuReset as reset:
            ended.append((clock.now_ns, reset.cause))

    clock.at(300, lambda: cpu.stop("power-off"))
    clock.at(0, lambda: cpu.run(turn))
    clock.run_until(300)
    assert ended == [(300, "power-off")]
    clock.run_until(5_000)
    assert ended == [(300, "power-off")]


def test_a_turn_that_fails_tells_whoever_steps_the_clock_and_the_next_one_runs(clock, cpu):
    ran = []
    clock.at(0, lambda: cpu.run(lambda: 1 // 0))
    clock.at(1, lambda: cpu.run(lambda: ran.append(clock.now_ns)))
    with pytest.raises(ZeroDivisionError):
        clock.run_until(10)
    clock.run_until(10)
    assert ran == [1]


def test_the_world_may_be_stepped_by_another_thread_between_two_turns(clock, cpu):
    ran = []
    clock.at(0, lambda: cpu.run(lambda: ran.append(clock.now_ns)))
    clock.at(7, lambda: cpu.run(lambda: ran.append(clock.now_ns)))
    clock.run_until(1)
    thread = Thread(target=clock.run_until, args=(10,))
    thread.start()
    thread.join()
    assert ran == [0, 7]


def test_turns_that_end_share_a_stack_and_those_that_wait_have_their_own(clock):
    cpus = [Cpu(clock, 1_000_000_000) for _ in range(3)]
    stacks = []

    def turn(cpu, wait):
        stacks.append(getcurrent())
        if wait:
            cpu.spend(100)
            cpu.sync()

    clock.at(50, lambda: None)
    for when_ns, cpu, wait in ((0, cpus[0], False), (1, cpus[1], True), (2, cpus[2], False), (3, cpus[0], False)):
        clock.at(when_ns, partial(cpu.run, partial(turn, cpu, wait)))
    clock.run_until(1_000)
    first, waiting, *others = stacks
    assert waiting is first
    assert others == [others[0]] * 2
    assert others[0] is not first


def test_the_watchdog_is_asked_only_after_its_deadline(cpu):
    cpu.watchdog = watchdog = FakeWatchdog(deadline_ns=1_000)
    cpu.spend(200)
    assert watchdog.looked_ns == []
    with pytest.raises(CpuReset, match="watchdog"):
        cpu.spend(1)
    assert watchdog.looked_ns == [1_005]


def test_a_cpu_that_was_stopped_ends_at_its_next_sync_even_with_nothing_to_catch_up(clock, cpu):
    clock.at(300, lambda: cpu.stop("power-off"))
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
    cpu.stop("button")
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
