"""The timeline for waveform viewers, read with pyvcd, which is not ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from vcd.reader import TokenKind, tokenize

from board import Board
from firmware.kernel import Kernel
from hil.bench import Bench
from hil.errors import EnvironmentRefused

MS = 1_000_000
CYCLES_PER_MS = 200_000

Waves = dict[str, list[tuple[int, int | str]]]


def waves(path: Path) -> Waves:
    """Signal (``board.signal``) to its changes, (time, value), the initial one first. Times must not go back."""
    found: Waves = defaultdict(list)
    names: dict[str, str] = {}
    scopes: list[str] = []
    now_ns = 0
    with path.open("rb") as file:
        for token in tokenize(file):
            if token.kind is TokenKind.TIMESCALE:
                assert str(token.timescale) == "1 ns"
            elif token.kind is TokenKind.SCOPE:
                scopes.append(token.scope.ident)
            elif token.kind is TokenKind.UPSCOPE:
                scopes.pop()
            elif token.kind is TokenKind.VAR:
                names[token.var.id_code] = ".".join([*scopes, token.var.reference])
            elif token.kind is TokenKind.CHANGE_TIME:
                assert token.time_change > now_ns or (now_ns, token.time_change) == (0, 0)
                now_ns = token.time_change
            elif token.kind is TokenKind.CHANGE_SCALAR:
                value: int | str = token.scalar_change.value
                found[names[token.scalar_change.id_code]].append((now_ns, value))
            elif token.kind is TokenKind.CHANGE_VECTOR:
                found[names[token.vector_change.id_code]].append((now_ns, token.vector_change.value))
    for name, changes in found.items():
        values = [value for _, value in changes]
        if not name.endswith(".reset"):
            assert all(earlier != later for earlier, later in pairwise(values)), name
    return found


def program(begin: Callable[[Board, Kernel], None]) -> Callable[[Board], Kernel]:
    def start(board: Board) -> Kernel:
        kernel = Kernel(board.cpu, board.trace, switch_cycles=0)
        begin(board, kernel)
        return kernel

    return start


def test_busy_power_and_leds_are_where_they_were(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def work() -> None:
            await kernel.sleep_ms(10)
            board.leds["ready"].set("orange", 250)
            await kernel.work(5 * CYCLES_PER_MS, "hash")
            board.leds["ready"].set("green")
            await kernel.sleep_ms(10)
            kernel.charge(CYCLES_PER_MS, "hash")

        kernel.spawn(work(), "work")

    with Bench(seed=1, program=program(begin)) as bench:
        gateway = bench.gateway(name="box")
        bench.save_vcd(tmp_path / "t.vcd")
        bench.run_for(ms=5)
        gateway.power_on()
        bench.run_for(ms=95)
        gateway.power_off()
        bench.run_for(ms=100)
    found = waves(tmp_path / "t.vcd")
    assert found["box.power"] == [(0, "0"), (5 * MS, "1"), (100 * MS, "0")]
    assert found["box.cpu_busy"] == [
        (0, "0"),
        (15 * MS, "1"),
        (20 * MS, "0"),
        (30 * MS, "1"),
        (31 * MS, "0"),
    ]
    assert found["box.led_ready"] == [(0, 0b00), (15 * MS, 0b11), (20 * MS, 0b01), (100 * MS, 0b00)]
    assert found["box.led_ready_blink"] == [(0, "0"), (15 * MS, "1"), (20 * MS, "0")]


def test_the_card_contact_bounces_and_settles(tmp_path: Path) -> None:
    with Bench(seed=1, program=program(lambda board, kernel: None)) as bench:
        gateway = bench.gateway(name="box")
        bench.save_vcd(tmp_path / "t.vcd")
        gateway.power_on()
        bench.run_for(ms=10)
        gateway.insert_card("ram")
        bench.run_for(ms=10)
    changes = waves(tmp_path / "t.vcd")["box.card_detect"]
    assert changes[0] == (0, "1")
    assert changes[1] == (10 * MS, "0")
    assert (len(changes), changes[-1][1]) == (8, "0")


def test_uart_is_busy_while_bytes_are_on_the_wire_without_gaps_between_bursts(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def say() -> None:
            board.uart.write(bytes(100))

        kernel.spawn(say(), "say")

    with Bench(seed=1, program=program(begin)) as bench:
        gateway = bench.gateway(name="box")
        bench.save_vcd(tmp_path / "t.vcd")
        gateway.power_on()
        bench.run_for(ms=50)
    off, on, off_again = waves(tmp_path / "t.vcd")["box.uart_tx"]
    assert (off[1], on[1], off_again[1]) == ("0", "1", "0")
    assert off_again[0] - on[0] == pytest.approx(100 * 10 / 115_200 * 1e9, abs=2)


def test_a_reset_is_an_event_and_ends_the_turn_that_the_watchdog_bit(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def hog() -> None:
            board.wdt.feed()
            kernel.charge(9_000 * CYCLES_PER_MS, "parse")

        if board.resets < 2:
            kernel.spawn(hog(), "hog")

    with Bench(seed=1, program=program(begin)) as bench:
        gateway = bench.gateway(name="box")
        bench.save_vcd(tmp_path / "t.vcd")
        gateway.power_on()
        bench.run_for(ms=30_000)
    found = waves(tmp_path / "t.vcd")
    assert found["box.reset"] == [(9_000 * MS, "1"), (18_001 * MS, "1")]  # the line is held for a millisecond
    again = 9_001 * MS
    assert found["box.cpu_busy"] == [(0, "0"), (0, "1"), (9_000 * MS, "0"), (again, "1"), (again + 9_000 * MS, "0")]


def test_what_a_cpu_did_beyond_a_power_cut_never_was(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def long() -> None:
            kernel.charge(80 * CYCLES_PER_MS, "hash")
            board.leds["ready"].set("red")

        if board.clock.now_ns == 0:
            kernel.spawn(long(), "long")

    with Bench(seed=1, program=program(begin)) as bench:
        gateway = bench.gateway(name="box")
        bench.save_vcd(tmp_path / "t.vcd")
        gateway.power_on()
        bench.clock.at(20 * MS, gateway.power_off)
        bench.run_for(ms=200)
    found = waves(tmp_path / "t.vcd")
    assert found["box.cpu_busy"] == [(0, "0"), (0, "1"), (20 * MS, "0")]
    assert found["box.led_ready"] == [(0, 0)]


def test_the_waves_of_a_real_gateway_can_be_read(tmp_path: Path) -> None:
    with Bench(seed=7) as bench:
        gateway = bench.gateway("ip800", card="ram")
        second = bench.gateway("ip232")
        bench.save_vcd(tmp_path / "t.vcd")
        gateway.power_on()
        second.power_on()
        gateway.console.login()
        gateway.press_button(300)
        bench.run_for(ms=3_000)
    found = waves(tmp_path / "t.vcd")
    name = gateway.name
    assert [value for _, value in found[f"{name}.button"]] == ["1", "0", "1"]
    assert len(found[f"{name}.reset"]) == 1
    assert [value for _, value in found[f"{name}.uart_rx"]] == ["0", "1", "0", "1", "0"], "user, password"
    assert found[f"{name}.led_ready"][-1][1] == 0, "power was taken away at the end"
    assert f"{second.name}.card_detect" not in found, "a phone has no card slot"


def test_a_dump_without_a_run_is_a_whole_one(tmp_path: Path) -> None:
    with Bench(seed=1) as bench:
        bench.gateway(name="box")
        bench.save_vcd(tmp_path / "t.vcd")
    assert waves(tmp_path / "t.vcd")["box.power"] == [(0, "0")]


def test_a_file_that_cannot_be_written_is_the_hosts_fault_in_one_line(tmp_path: Path) -> None:
    with Bench(seed=1) as bench, pytest.raises(EnvironmentRefused, match=r"timeline .* cannot be written: is a dir"):
        bench.save_vcd(tmp_path)
