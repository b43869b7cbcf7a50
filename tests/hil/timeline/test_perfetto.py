"""The timeline for trace viewers, held against the format's documented rules ("Trace Event Format", Google)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from board import Board
from firmware.kernel import Kernel, Priority
from firmware.kernel.spans import span
from hil.bench import Bench
from hil.errors import EnvironmentRefused
from hil.tlsclient import TlsClient

MS = 1_000_000
CYCLES_PER_MS = 200_000

Event = dict[str, Any]


def checked_events(text: str) -> list[Event]:
    """The events of a file that keeps all rules: fields by phase, pairing, nesting, times that do not go back."""
    events: list[Event] = json.loads(text)
    names: set[tuple[int, int]] = set()
    open_slices: dict[tuple[int, int], list[float]] = defaultdict(list)
    ends: dict[tuple[int, int], list[float]] = defaultdict(list)
    spans: dict[tuple[str, str], list[str]] = defaultdict(list)
    counters: dict[tuple[int, str], float] = defaultdict(float)
    last: dict[tuple[Any, ...], float] = defaultdict(float)
    for event in events:
        phase, track = event["ph"], (event["pid"], event.get("tid", 0))
        if phase == "M":
            assert event["name"] in {"process_name", "process_sort_index", "thread_name", "thread_sort_index"}
            names.add(track)
            continue
        assert event["ts"] >= 0
        if phase in "BEXi":
            assert track in names, f"{event}: a track without a name"
        if phase == "X":
            assert event["dur"] >= 0
            stack = ends[track]
            while stack and stack[-1] <= event["ts"] + 1e-6:
                stack.pop()
            end = event["ts"] + event["dur"]
            assert not stack or end <= stack[-1] + 1e-6, f"{event}: longer than what it lies in"
            stack.append(end)
        elif phase == "B":
            open_slices[track].append(event["ts"])
        elif phase == "E":
            assert open_slices[track], f"{event}: ends what never began"
            assert open_slices[track].pop() <= event["ts"]
        elif phase == "b":
            spans[event["cat"], event["id"]].append(event["name"])
        elif phase == "e":
            assert spans[event["cat"], event["id"]].pop() == event["name"], f"{event}: not the innermost"
        elif phase == "C":
            assert event["args"]
            assert all(isinstance(value, int | float) for value in event["args"].values())
            assert counters[event["pid"], event["name"]] <= event["ts"]
            counters[event["pid"], event["name"]] = event["ts"]
        else:
            assert phase == "i"
            assert event["s"] in "tpg"
        key = ("span", event["id"]) if phase in "be" else (phase == "C", *track, event["name"] if phase == "C" else "")
        assert last[key] <= event["ts"], f"{event}: before {last[key]}"
        last[key] = event["ts"]
    assert not any(open_slices.values()), "a slice never ends"
    assert not any(spans.values()), "a span never ends"
    return events


def tracks(events: list[Event]) -> dict[tuple[int, str], list[Event]]:
    """Events by board and name of their track."""
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    found: dict[tuple[int, str], list[Event]] = defaultdict(list)
    for event in events:
        if (event["pid"], event.get("tid")) in names and event["ph"] != "M":
            found[event["pid"], names[event["pid"], event["tid"]]].append(event)
    return found


def kernel_program(begin: Callable[[Board, Kernel], None]) -> Callable[[Board], Kernel]:
    def start(board: Board) -> Kernel:
        kernel = Kernel(board.cpu, board.trace, switch_cycles=1_000)
        begin(board, kernel)
        return kernel

    return start


@pytest.fixture(scope="module")
def gateway_file(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """The timeline of a real gateway: boot, login, a TLS connection, a Root CA on the card, a power cut, boot again."""
    path = tmp_path_factory.mktemp("timeline") / "run.json"
    with Bench(seed=7) as bench:
        gateway = bench.gateway("ip800", card="ram")
        bench.save_timeline(path)
        gateway.power_on()
        gateway.console.login()
        with TlsClient(gateway.connect(443)) as client:
            client.handshake()
            client.request()
        gateway.console.run("x509 rootca-create /key 1024-bit /years 10 /dn-cn Test%20CA", timeout_ms=600_000)
        gateway.remove_card()
        gateway.power_cycle()
        gateway.console.login()
    return checked_events(path.read_text())


def test_a_gateway_has_its_tasks_parts_and_console_on_tracks(gateway_file: list[Event]) -> None:
    found = tracks(gateway_file)
    assert {
        "power",
        "serial line, out",
        "card slot",
        "boot",
        "https",
        "console",
        "card",
        "led ready",
        "pin",
    } <= {name for _, name in found}
    process = next(event for event in gateway_file if event.get("name") == "process_name")
    assert process["args"]["name"] == "IP800-06-11-ac (ip800, 200 MHz)"
    lines = [event["name"] for event in found[1, "serial line, out"] if event["ph"] == "X"]
    assert any("firmware" in line for line in lines)
    assert any(event.get("name", "").startswith("rx ") for event in found[1, "serial line, in"])
    assert any(event["name"].startswith("write ") for event in found[1, "card slot"])
    assert found[1, "card slot"][-1]["name"] == "remove 1"
    assert [event["ph"] for event in found[1, "power"]] == ["B", "E", "B", "E"]


def test_what_is_typed_is_counted_and_not_told(gateway_file: list[Event]) -> None:
    assert sum(event["ph"] == "i" for event in tracks(gateway_file)[1, "serial line, in"]) > 5
    assert "ip800" not in {event.get("name") for event in gateway_file}, "the password"


def test_handshake_steps_nest_in_the_handshake_and_charges_in_the_steps(gateway_file: list[Event]) -> None:
    nested: list[str] = []
    depth = 0
    for event in gateway_file:
        if event["ph"] == "b":
            nested.append("  " * depth + event["name"])
            depth += 1
        elif event["ph"] == "e":
            depth -= 1
    assert nested[:2] == ["tls server handshake", "  <ClientHello >ServerHello >Certificate >ServerHelloDone"]
    assert "    rsa-private" in nested
    private = next(e for e in gateway_file if e["ph"] == "b" and e.get("name") == "rsa-private")
    done = next(e for e in gateway_file if e["ph"] == "e" and e.get("name") == "rsa-private")
    # 10 million cycles at 200 MHz, and a dispatch for every 2 ms of them.
    assert done["ts"] - private["ts"] == pytest.approx(50_000, rel=0.01)


def test_charges_bear_their_kinds_and_add_up_to_the_load(gateway_file: list[Event]) -> None:
    kinds = {event["name"] for event in gateway_file if event.get("cat") == "charge"}
    assert {"rsa-private", "keygen", "hash", "flash", "card", "tls"} <= kinds
    charged = sum(e["dur"] for e in gateway_file if e.get("cat") == "charge" and e.get("name") == "rsa-private")
    told, since = 0.0, 0.0
    share = 0.0
    for event in gateway_file:
        if event["ph"] == "C" and event.get("name") == "cpu load by kind %":
            told += share * (event["ts"] - since) / 100
            since, share = event["ts"], event["args"].get("rsa-private", 0.0)
    assert told == pytest.approx(charged, rel=0.01)


def test_a_run_with_a_timeline_is_the_same_run(tmp_path: Path) -> None:
    digests = set()
    for traced in (False, True):
        with Bench(seed=4) as bench:
            gateway = bench.gateway()
            if traced:
                bench.save_timeline(tmp_path / "a.json")
                bench.save_vcd(tmp_path / "a.vcd")
            gateway.power_on()
            gateway.console.login()
            with TlsClient(gateway.connect(443)) as client:
                client.handshake()
            bench.run_for(ms=2_000)
            digests.add(bench.trace.digest())
    assert len(digests) == 1


def test_turns_without_a_gap_are_one_slice_and_others_are_not(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def long() -> None:
            await kernel.work(50 * CYCLES_PER_MS, "keygen")
            await kernel.sleep_ms(10)
            await kernel.work(50 * CYCLES_PER_MS, "keygen")
            await kernel.work(4 * CYCLES_PER_MS, "hash")

        kernel.spawn(long(), "long")

    with Bench(seed=1, program=kernel_program(begin)) as bench:
        gateway = bench.gateway()
        bench.save_timeline(tmp_path / "t.json")
        gateway.power_on()
        bench.run_for(ms=1_000)
    slices = [e for e in checked_events((tmp_path / "t.json").read_text()) if e.get("cat") == "charge"]
    by_kind = {kind: [e for e in slices if e.get("name") == kind] for kind in ("keygen", "hash")}
    assert sum(e.get("args", {"turns": 1})["turns"] for e in by_kind["keygen"]) == 50
    assert sum(e.get("args", {"turns": 1})["turns"] for e in by_kind["hash"]) == 2
    assert 2 <= len(by_kind["keygen"]) <= 6  # and cut where the file was written
    assert sum(e["dur"] for e in by_kind["keygen"]) == pytest.approx(100_000, rel=0.01)


def test_two_connections_of_one_peer_do_not_mix_their_spans(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def connection(length_ms: int) -> None:
            with span(kernel, "peer", "handshake"):
                for step in ("hello", "key"):
                    with span(kernel, "peer", step):
                        await kernel.sleep_ms(length_ms)

        for length_ms in (3, 5, 7):
            kernel.spawn(connection(length_ms), "https")

    with Bench(seed=1, program=kernel_program(begin)) as bench:
        gateway = bench.gateway()
        bench.save_timeline(tmp_path / "t.json")
        gateway.power_on()
        bench.run_for(ms=100)
    events = checked_events((tmp_path / "t.json").read_text())
    assert len({event["id"] for event in events if event["ph"] == "b"}) == 3


def test_a_power_cut_ends_what_goes_on_and_unmakes_what_the_cpu_did_beyond_it(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def long() -> None:
            with span(kernel, "peer", "step"):
                await kernel.sleep_ms(10)
                kernel.charge(80 * CYCLES_PER_MS, "hash")
                board.leds["ready"].set("red")
                await kernel.sleep_ms(1_000)

        if board.clock.now_ns < MS:
            kernel.spawn(long(), "long")

    with Bench(seed=1, program=kernel_program(begin)) as bench:
        gateway = bench.gateway()
        bench.save_timeline(tmp_path / "t.json")
        gateway.power_on()
        bench.clock.at(20 * MS, gateway.power_off)
        bench.run_for(ms=50)
        gateway.power_on()
        bench.run_for(ms=50)
    events = checked_events((tmp_path / "t.json").read_text())
    (turn,) = (event for event in events if event.get("cat") == "charge")
    assert (turn["name"], turn["ts"] + turn["dur"]) == ("hash", 20_000)
    assert not any(event.get("name") == "red" for event in events)
    assert [event["ts"] for event in events if event["ph"] == "e"] == [20_000]


def test_a_watchdog_reset_shows_the_turn_that_it_ended(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def hog() -> None:
            board.wdt.feed()
            kernel.charge(9_000 * CYCLES_PER_MS, "parse")

        if board.reset_cause == "power-on":
            kernel.spawn(hog(), "hog")

    with Bench(seed=1, program=kernel_program(begin)) as bench:
        gateway = bench.gateway()
        bench.save_timeline(tmp_path / "t.json")
        gateway.power_on()
        bench.run_for(ms=20_000)
    found = tracks(checked_events((tmp_path / "t.json").read_text()))
    assert [event["name"] for event in found[1, "hog"]] == ["parse"]
    assert found[1, "hog"][0]["dur"] == pytest.approx(9_000_000, rel=0.001)
    assert {"expired 5000", "reset: watchdog"} <= {event.get("name") for event in found[1, "power"]}


def test_every_board_is_a_process_also_one_that_comes_later(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def tick() -> None:
            kernel.charge(CYCLES_PER_MS, "parse")

        kernel.spawn(tick(), "tick")

    with Bench(seed=1, program=kernel_program(begin)) as bench:
        bench.save_timeline(tmp_path / "t.json")
        for name in ("north", "south"):
            bench.gateway(name=name).power_on()
            bench.run_for(ms=10)
    events = checked_events((tmp_path / "t.json").read_text())
    processes = {
        event["pid"]: event["args"]["name"].split()[0] for event in events if event.get("name") == "process_name"
    }
    assert processes == {1: "north", 2: "south"}
    assert {pid for pid, name in tracks(events) if name == "tick"} == {1, 2}


def test_asked_for_afterwards_it_begins_where_the_trace_does(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def tick() -> None:
            while True:
                kernel.charge(CYCLES_PER_MS, "parse")
                await kernel.sleep_ms(50)

        kernel.spawn(tick(), "tick", Priority.SERVICE)

    with Bench(seed=1, program=kernel_program(begin)) as bench:
        gateway = bench.gateway()
        gateway.power_on()
        bench.run_for(ms=500)
        bench.save_timeline(tmp_path / "late.json")
        bench.run_for(ms=500)
    ticks = tracks(checked_events((tmp_path / "late.json").read_text()))[1, "tick"]
    assert ticks[0]["ts"] == 0
    assert len(ticks) == pytest.approx(1_000 / 51, abs=1.5)


def test_a_file_that_cannot_be_written_is_the_hosts_fault_in_one_line(tmp_path: Path) -> None:
    with (
        Bench(seed=1) as bench,
        pytest.raises(EnvironmentRefused, match=r"timeline .* cannot be written: no such file"),
    ):
        bench.save_timeline(tmp_path / "nowhere" / "t.json")


def test_a_long_run_goes_to_the_file_as_it_comes(tmp_path: Path) -> None:
    def begin(board: Board, kernel: Kernel) -> None:
        async def tick() -> None:
            while True:
                kernel.charge(CYCLES_PER_MS, "parse")
                await kernel.sleep_ms(3)

        kernel.spawn(tick(), "tick")

    path = tmp_path / "t.json"
    with Bench(seed=1, program=kernel_program(begin)) as bench:
        bench.save_timeline(path)
        bench.gateway().power_on()
        sizes = []
        for _ in range(5):
            bench.run_for(ms=2_000)
            sizes.append(path.stat().st_size)
        (timeline,) = bench._timelines
        assert len(timeline._pending) < 200
    assert all(later - earlier > 10_000 for earlier, later in pairwise(sizes))


KILLED = """
import sys
from hil import Bench
with Bench(seed=1) as bench:
    gateway = bench.gateway()
    bench.save_timeline(sys.argv[1])
    gateway.power_on()
    gateway.console.login()
    while True:
        gateway.console.run("info")
        print("on", flush=True)
"""


def test_a_run_that_is_killed_leaves_whole_events_that_lack_only_the_bracket(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        deadline = time.monotonic() + 30
        while (not path.exists() or path.stat().st_size < 50_000) and time.monotonic() < deadline:
            assert process.stdout.readline()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    text = path.read_text()
    assert text.endswith("}")
    assert len(json.loads(text + "]")) > 300
