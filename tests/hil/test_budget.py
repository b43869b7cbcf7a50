"""The CPU's budget as a subject of tests: what passes, what fails, and what a failure names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from board import Board
from firmware.kernel import Kernel, Priority
from hil.bench import Bench
from hil.errors import DeviceFailure, RackMisuse
from hil.gateway import Gateway

MS = 1_000_000
CYCLES_PER_MS = 200_000

Begin = Callable[[Board, Kernel], None]


class FeedingKernel(Kernel):
    """A kernel that feeds the watchdog whenever the board calls it."""

    def __init__(self, board: Board) -> None:
        super().__init__(board.cpu, board.trace, switch_cycles=0)
        self._wdt = board.wdt

    def run(self) -> int | None:
        self._wdt.feed()
        return super().run()


@pytest.fixture
def make() -> Iterator[Callable[[Begin], Gateway]]:
    """``make(begin)``: a gateway that is off, whose program has the tasks that ``begin`` spawns."""
    benches: list[Bench] = []

    def made(begin: Begin) -> Gateway:
        def start(board: Board) -> Kernel:
            kernel = FeedingKernel(board)
            begin(board, kernel)
            return kernel

        benches.append(Bench(seed=3, program=start))
        return benches[-1].gateway()

    yield made
    for bench in benches:
        bench.close()


def periodic(kernel: Kernel, name: str, priority: Priority, *, every_ms: int, ms: float, kind: str = "parse") -> None:
    """A task that works for ``ms`` every ``every_ms``."""

    async def work() -> None:
        while True:
            await kernel.sleep_ms(every_ms)
            kernel.charge(int(ms * CYCLES_PER_MS), kind)

    kernel.spawn(work(), name, priority)


def signalling_and_hog(board: Board, kernel: Kernel) -> None:
    """Signalling every 10 ms, and somebody at the console who keeps the CPU for 30 ms once in a second."""
    periodic(kernel, "sips", Priority.SERVICE, every_ms=10, ms=1)
    periodic(kernel, "command", Priority.CONSOLE, every_ms=1_000, ms=30, kind="command")


def signalling(board: Board, kernel: Kernel) -> None:
    periodic(kernel, "sips", Priority.SERVICE, every_ms=10, ms=1)


def test_a_task_that_holds_the_cpu_too_long_is_named_with_time_and_charges(make: Callable[[Begin], Gateway]) -> None:
    gateway = make(signalling_and_hog)
    gateway.power_on()
    gateway.bench.run_for(ms=2_500)
    gateway.budget.assert_never_held(ms=30)
    with pytest.raises(DeviceFailure) as failure:
        gateway.budget.assert_never_held(ms=29.9)
    assert failure.value.expected == "no task to hold the cpu for longer than 29.9 ms"
    assert "task command at 1.000000000 s for 30.000 ms, charging command 6,000,000 cycles" in failure.value.got
    assert "2 of " in failure.value.got
    assert failure.value.seed == 3
    assert any("charge:command" in line for line in failure.value.events)


def test_a_watchdog_reset_is_the_turn_that_held_the_cpu(make: Callable[[Begin], Gateway]) -> None:
    def hog(board: Board, kernel: Kernel) -> None:
        if board.reset_cause == "power-on":
            periodic(kernel, "hog", Priority.SERVICE, every_ms=10, ms=60_000, kind="hash")

    gateway = make(hog)
    budget = gateway.budget
    gateway.power_on()
    gateway.bench.run_for(ms=100_000)
    assert gateway.board.reset_cause == "watchdog"
    with pytest.raises(DeviceFailure, match=r"task hog at 0\.010000000 s for 60000\.000 ms, charging hash"):
        budget.assert_never_held(ms=1_000)


def test_the_load_is_looked_at_in_every_window_wherever_it_begins(make: Callable[[Begin], Gateway]) -> None:
    gateway = make(signalling_and_hog)
    gateway.power_on()
    gateway.bench.run_for(ms=2_500)
    # 1 ms in every 11 ms, and once 30 ms: no second has more than 91 + 30 ms, some hundred ms have 30 + 7.
    gateway.budget.assert_load_below(13, over_ms=1_000)
    with pytest.raises(DeviceFailure) as failure:
        gateway.budget.assert_load_below(30, over_ms=100)
    assert "command 30.000 ms, sips" in failure.value.got
    load = float(failure.value.got.split(" %")[0])
    assert 36 <= load <= 38


def test_a_window_that_straddles_tenths_of_a_second_is_found(make: Callable[[Begin], Gateway]) -> None:
    def burst(board: Board, kernel: Kernel) -> None:
        periodic(kernel, "burst", Priority.SERVICE, every_ms=150, ms=100)

    gateway = make(burst)
    gateway.power_on()
    gateway.bench.run_for(ms=300)
    with pytest.raises(DeviceFailure, match=r"100\.0 % from 0\.150000000 s on: burst 100\.000 ms"):
        gateway.budget.assert_load_below(100, over_ms=100)
    gateway.budget.assert_load_below(67, over_ms=150)


def test_latency_is_measured_from_the_timer_not_from_when_the_kernel_looks(make: Callable[[Begin], Gateway]) -> None:
    gateway = make(signalling_and_hog)
    budget = gateway.budget
    gateway.power_on()
    gateway.bench.run_for(ms=2_500)
    measured = budget.latency()
    # At 1.000 s the hog takes 30 ms; signalling fell due within its 11 ms period, so it waited 19 ms or more.
    assert measured.p50_ms == 0
    assert 19 <= measured.max_ms <= 30
    assert measured.count > 200
    budget.assert_latency(p50_ms=1, max_ms=30)
    with pytest.raises(DeviceFailure) as failure:
        budget.assert_latency(max_ms=5)
    assert failure.value.expected == "service tasks to wait for the cpu no longer than 5 ms (max)"
    assert "the longest was task sips, ready at " in failure.value.got
    assert "meanwhile ran command " in failure.value.got
    assert "the longest turn was task command at " in failure.value.got
    assert "charging command 6,000,000 cycles" in failure.value.got


def test_without_the_hog_nobody_waits(make: Callable[[Begin], Gateway]) -> None:
    gateway = make(signalling)
    budget = gateway.budget
    gateway.power_on()
    gateway.bench.run_for(ms=2_500)
    budget.assert_latency(p99_ms=0, max_ms=0)
    budget.assert_latency(p99_ms=0, task="sips")


def test_an_interrupt_that_comes_while_the_cpu_is_busy_waits_from_world_time_on(
    make: Callable[[Begin], Gateway],
) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        periodic(kernel, "command", Priority.CONSOLE, every_ms=100, ms=50)

        async def receive() -> None:
            from firmware.kernel import Event

            pressed = Event(kernel)
            board.button.irq(lambda pin: pressed.set())
            while True:
                await pressed.wait()
                pressed.clear()

        kernel.spawn(receive(), "button", Priority.URGENT)

    gateway = make(begin)
    budget = gateway.budget
    gateway.power_on()
    gateway.bench.clock.at(120 * MS, lambda: gateway.board.press_button(5))
    gateway.bench.run_for(ms=140)
    gateway.bench.run_for(ms=100)
    # The CPU works from 100 to 150 ms; the button goes down at 120 and up at 125.
    assert budget.latency(priority=Priority.URGENT).max_ms == 30


def test_what_comes_after_a_reset_is_measured_too(make: Callable[[Begin], Gateway]) -> None:
    gateway = make(signalling)
    budget = gateway.budget
    gateway.power_on()
    gateway.bench.run_for(ms=100)
    before = budget.latency().count
    gateway.power_cycle()
    gateway.bench.run_for(ms=100)
    assert budget.latency().count == pytest.approx(2 * before, abs=1)


def test_a_restart_forgets_what_was_measured(make: Callable[[Begin], Gateway]) -> None:
    gateway = make(signalling_and_hog)
    gateway.power_on()
    gateway.bench.run_for(ms=1_500)
    gateway.budget.restart()
    with pytest.raises(RackMisuse, match="nothing ran"):
        gateway.budget.assert_never_held(ms=5)
    gateway.bench.run_for(ms=300)
    gateway.budget.assert_never_held(ms=5)


def test_an_assertion_on_nothing_is_wrong_usage_and_no_success(make: Callable[[Begin], Gateway]) -> None:
    gateway = make(signalling)
    with pytest.raises(RackMisuse, match="nothing ran on"):
        gateway.budget.assert_never_held(ms=5)
    with pytest.raises(RackMisuse, match="no task of priority SERVICE became ready"):
        gateway.budget.assert_latency(p99_ms=5)
    gateway.power_on()
    gateway.bench.run_for(ms=50)
    with pytest.raises(RackMisuse, match="no task 'sip' became ready"):
        gateway.budget.assert_latency(p99_ms=5, task="sip")
    with pytest.raises(RackMisuse, match="no limit"):
        gateway.budget.assert_latency()
    with pytest.raises(RackMisuse, match="only 50 ms were measured"):
        gateway.budget.assert_load_below(50, over_ms=1_000)


def test_turns_that_a_power_cut_unmade_do_not_count(make: Callable[[Begin], Gateway]) -> None:
    def long_once(board: Board, kernel: Kernel) -> None:
        if board.clock.now_ns < MS:
            periodic(kernel, "long", Priority.SERVICE, every_ms=10, ms=80)
        else:
            periodic(kernel, "short", Priority.SERVICE, every_ms=10, ms=1)

    gateway = make(long_once)
    budget = gateway.budget
    gateway.power_on()
    gateway.bench.clock.at(20 * MS, gateway.power_off)
    gateway.bench.run_for(ms=20)
    gateway.power_on()
    gateway.bench.run_for(ms=30)
    budget.assert_never_held(ms=10)
    assert budget.longest is not None
    assert (budget.longest.task, budget.longest.held_ns) == ("long", 10 * MS)


def test_who_never_asks_pays_nothing(make: Callable[[Begin], Gateway]) -> None:
    gateway = make(signalling)
    gateway.power_on()
    gateway.bench.run_for(ms=1)
    kernel = gateway.kernel
    assert kernel is not None
    assert kernel.trace is gateway.board.trace
    assert kernel.spans is None
    assert gateway.bench.on_start == []
