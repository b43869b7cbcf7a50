"""The assembled board: who gets the CPU when, and what power, resets and hands do to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from board import Board, BoardError, VirtualClock, model_named
from board.trace import Trace
from firmware.kernel import Event, Kernel

MAC = bytes.fromhex("0090330611ac")
MS = 1_000_000


class FakeEntropy:
    """Zeroes. Not modelled: chance."""

    secret = False

    def randbytes(self, n: int, /) -> bytes:
        return bytes(n)


class FeedingKernel(Kernel):
    """A kernel that feeds the watchdog whenever the board calls it, as the firmware's loop does."""

    def __init__(self, board: Board) -> None:
        super().__init__(board.cpu)
        self._wdt = board.wdt

    def run(self) -> int | None:
        self._wdt.feed()
        return super().run()


class FakeFirmware:
    """A kernel with whatever tasks a test gives it."""

    def __init__(self, begin: Callable[[Board, Kernel], None]) -> None:
        self.starts = 0
        self._begin = begin

    def __call__(self, board: Board) -> FeedingKernel:
        self.starts += 1
        kernel = FeedingKernel(board)
        self._begin(board, kernel)
        return kernel


def make(
    begin: Callable[[Board, Kernel], None], model: str = "ip800", trace: Trace | None = None
) -> tuple[VirtualClock, Board, FakeFirmware]:
    clock = VirtualClock()
    firmware = FakeFirmware(begin)
    board = Board(
        model_named(model),
        clock,
        firmware,
        mac=MAC,
        entropy=lambda name: FakeEntropy(),
        trace=trace.for_board("b") if trace is not None else None,
    )
    return clock, board, firmware


def idle(board: Board, kernel: Kernel) -> None:
    """A firmware that waits for ever."""


def test_nothing_runs_before_power_comes() -> None:
    clock, board, firmware = make(idle)
    clock.run_for(10 * MS)
    assert firmware.starts == 0
    board.power_on()
    clock.run_for(MS)
    assert (firmware.starts, board.reset_cause) == (1, "power-on")


def test_power_comes_only_once() -> None:
    _, board, _ = make(idle)
    board.power_on()
    with pytest.raises(BoardError, match="power is on already"):
        board.power_on()
    board.power_off()
    board.power_off()


def test_a_task_wakes_at_its_time_however_idle_the_world_is() -> None:
    woken: list[int] = []

    def begin(board: Board, kernel: Kernel) -> None:
        async def sleeper() -> None:
            await kernel.sleep_ms(7_000)
            woken.append(kernel.now_ns // MS)

        kernel.spawn(sleeper(), "sleeper")

    clock, board, _ = make(begin)
    board.power_on()
    clock.run_for(6_999 * MS)
    assert woken == []
    clock.run_for(2 * MS)
    assert woken == [7_000]


def test_an_interrupt_gets_the_cpu_at_once_when_it_idles_and_afterwards_when_it_works() -> None:
    served: list[int] = []

    def begin(board: Board, kernel: Kernel) -> None:
        pressed = Event(kernel)
        board.button.irq(lambda _: pressed.set())

        async def serve() -> None:
            while True:
                pressed.clear()
                await pressed.wait()
                served.append(kernel.now_ns // MS)
                kernel.charge(kernel.cpu.hz // 20, "work")

        kernel.spawn(serve(), "serve")

    clock, board, _ = make(begin)
    board.power_on()
    clock.run_for(100 * MS)
    board.button.line.drive(0)
    clock.run_for(20 * MS)
    board.button.line.drive(1)
    clock.run_for(200 * MS)
    assert served == [100, 150], "the second waits until the first 50 ms of work are used up"


def served_at_once(also: Callable[[Board], None]) -> tuple[list[str], Board]:
    """What happens when the button is pressed and, at the same time, something else; ``also`` in the same event."""
    happened: list[str] = []

    def begin(board: Board, kernel: Kernel) -> None:
        pressed = Event(kernel)
        board.button.irq(lambda _: pressed.set())

        async def serve() -> None:
            await pressed.wait()
            happened.append("served")

        kernel.spawn(serve(), "serve")

    def press() -> None:
        board.button.line.drive(0)
        happened.append("pressed")
        also(board)

    clock, board, _ = make(begin)
    board.power_on()
    clock.at(100 * MS, press)
    clock.at(100 * MS, lambda: happened.append("something else"))
    clock.run_for(200 * MS)
    return happened, board


def belled() -> tuple[VirtualClock, Board, Callable[[], None], list[int]]:
    """A board that notes when, in milliseconds, it is served by its CPU after a call of ``ring()``."""
    served: list[int] = []
    bells: list[Event] = []

    def begin(board: Board, kernel: Kernel) -> None:
        bell = Event(kernel)
        bells.append(bell)

        async def serve() -> None:
            while True:
                await bell.wait()
                bell.clear()
                served.append(kernel.now_ns // MS)

        kernel.spawn(serve(), "serve")

    def ring() -> None:
        bells[-1].set()
        board.cpu.interrupt()

    clock, board, _ = make(begin)
    board.power_on()
    clock.run_for(10 * MS)
    return clock, board, ring, served


def test_an_interrupt_is_lost_neither_in_an_event_that_fails_nor_after_it() -> None:
    clock, _, ring, served = belled()

    def fail() -> None:
        ring()
        raise RuntimeError("broken")

    clock.at(100 * MS, fail)
    with pytest.raises(RuntimeError, match="broken"):
        clock.run_until(200 * MS)
    clock.run_until(200 * MS)
    ring()
    clock.run_until(300 * MS)
    assert served == [100, 200]


def test_an_interrupt_waits_for_work_that_the_cpu_is_given_at_the_same_moment() -> None:
    clock, board, ring, served = belled()

    def occupy() -> None:
        ring()
        board.cpu.rest()
        board.cpu.spend_ns(50 * MS)

    clock.at(100 * MS, occupy)
    clock.run_until(200 * MS)
    assert served == [150]


def test_an_idle_cpu_takes_an_interrupt_before_anything_else_of_that_time() -> None:
    assert served_at_once(lambda board: None)[0] == ["pressed", "served", "something else"]


def test_an_interrupt_is_nobodys_when_power_goes_at_the_same_moment() -> None:
    happened, board = served_at_once(Board.power_off)
    assert (happened, board.powered) == (["pressed", "something else"], False)


def test_a_board_that_loses_power_for_no_time_at_all_begins_anew() -> None:
    def blink(board: Board) -> None:
        board.power_off()
        board.power_on()

    happened, board = served_at_once(blink)
    assert (happened, board.powered) == (["pressed", "something else"], True)


@pytest.mark.parametrize("cause", ["software", "fault"])
def test_a_reset_starts_the_program_anew_with_its_cause_and_keeps_noinit_ram(cause: str) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def resetting() -> None:
            await kernel.sleep_ms(5)
            board.noinit[0] = 42
            board.reset(cause)

        if board.resets == 0:
            kernel.spawn(resetting(), "resetting")

    clock, board, firmware = make(begin)
    board.power_on()
    clock.run_for(20 * MS)
    assert (firmware.starts, board.resets, board.reset_cause) == (2, 1, cause)
    assert board.noinit[0] == 42
    board.power_off()
    assert board.noinit[0] == 0


def test_tasks_that_a_reset_ends_run_their_finally_blocks_at_once() -> None:
    ended: list[str] = []

    def begin(board: Board, kernel: Kernel) -> None:
        async def tidy() -> None:
            try:
                await Event(kernel).wait()
            finally:
                ended.append("tidy")

        kernel.spawn(tidy(), "tidy")

    clock, board, _ = make(begin)
    board.power_on()
    clock.run_for(MS)
    board.power_off()
    assert ended == ["tidy"]


def test_power_that_goes_in_the_middle_of_a_device_access_ends_it_there() -> None:
    reached: list[str] = []

    def begin(board: Board, kernel: Kernel) -> None:
        async def erasing() -> None:
            board.flash.ioctl(6, 0)
            reached.append("after")

        kernel.spawn(erasing(), "erasing")

    clock, board, _ = make(begin)
    board.power_on()
    clock.at(10 * MS, board.power_off)
    clock.run_for(100 * MS)
    assert reached == []
    assert not board.powered


def test_power_that_comes_back_before_the_cpu_noticed_starts_the_program_once() -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def erasing() -> None:
            board.flash.ioctl(6, 0)

        if board.reset_cause == "power-on" and not erased:
            erased.append(1)
            kernel.spawn(erasing(), "erasing")

    erased: list[int] = []
    clock, board, firmware = make(begin)
    board.power_on()

    def flicker() -> None:
        board.power_off()
        board.power_on()

    clock.at(10 * MS, flicker)
    clock.run_for(100 * MS)
    assert board.powered
    assert (firmware.starts, board.resets) == (2, 0)


def test_the_watchdog_bites_a_task_that_keeps_the_cpu_and_never_one_that_idles() -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def hog() -> None:
            await kernel.sleep_ms(60_000)
            while True:
                kernel.charge(kernel.cpu.hz, "hog")

        if board.resets == 0:
            kernel.spawn(hog(), "hog")

    clock, board, _ = make(begin)
    board.power_on()
    clock.run_for(59_000 * MS)
    assert board.resets == 0
    clock.run_for(10_000 * MS)
    assert (board.resets, board.reset_cause) == (1, "watchdog")


def test_idle_time_inside_a_run_is_not_taken_for_work() -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def nap() -> None:
            while True:
                await kernel.sleep_ns(100_000)

        kernel.spawn(nap(), "nap")

    clock, board, _ = make(begin)
    board.power_on()
    clock.run_for(1_000 * MS)
    assert clock.busy_until_ns < 1_000 * MS


def test_a_model_without_a_slot_takes_no_card() -> None:
    _, board, _ = make(idle, model="ip232")
    assert board.slot is None
    with pytest.raises(BoardError, match="IP232 has no card slot"):
        board.remove_card()


def test_a_mac_address_has_six_bytes() -> None:
    with pytest.raises(BoardError, match="5 bytes, must be 6"):
        Board(
            model_named("ip800"), VirtualClock(), FakeFirmware(idle), mac=bytes(5), entropy=lambda name: FakeEntropy()
        )


def test_a_program_that_fails_at_its_start_is_reset_again_and_again_as_time_goes_on() -> None:
    clock, board, firmware = make(lambda board, kernel: board.reset("fault"))
    board.power_on()
    clock.run_for(100 * MS)
    assert firmware.starts == board.resets == 101
