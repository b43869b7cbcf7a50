"""Where in a run something was done, how far a repetition goes, and what it says when it cannot be the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from board import VirtualClock
from board.trace import TraceEvent
from hil.bench import Bench
from hil.errors import DeviceFailure, EnvironmentRefused, RackMisuse
from hil.gateway import Gateway
from hil.record import Record, Repeat, RepeatDiffers

pytestmark = pytest.mark.usefixtures("benches_closed")

MS = 1_000_000

Check = Callable[[Bench], Bench]
Boot = Callable[..., Gateway]
Told = Callable[[Bench], Record]


# The place of what was done


def test_the_order_of_things_at_one_instant_is_kept(bench: Bench, repeated: Check, booted: Boot) -> None:
    gateway = booted(bench, card="ram")
    for _ in range(40):
        bench.clock.step()
        gateway.console.send(b"x")
    gateway.remove_card()
    gateway.insert_card("ram", "1M")
    gateway.power_off()
    gateway.power_on()
    bench.run_for(ms=100)
    repeated(bench)


def test_alarms_that_a_test_sets_act_at_their_place(
    bench: Bench, repeated: Check, booted: Boot, record_of: Told
) -> None:
    gateway = booted(bench, card="ram")

    def pull() -> None:
        gateway.remove_card()
        bench.clock.after(3 * MS, lambda: gateway.insert_card("ram", "1M"))

    cancelled = bench.clock.after(5 * MS, gateway.power_off)
    bench.clock.after(20 * MS, pull)
    gateway.console.send_line("card ls")
    cancelled.cancel()
    bench.clock.after(400 * MS, lambda: None)
    bench.run_for(ms=500)
    kinds = [action.kind for action in record_of(bench).actions]
    assert (kinds.count("alarm"), kinds.count("cancel")) == (4, 1)
    repeated(bench)


def test_what_a_hook_does_in_the_middle_of_an_event_is_done_there_again(
    bench: Bench, repeated: Check, booted: Boot
) -> None:
    gateway = booted(bench, card="ram")
    writes = 0

    def look(event: TraceEvent) -> None:
        nonlocal writes
        writes += (event.kind, event.name) == ("card", "write")
        if writes == 7 and gateway.card is not None:
            gateway.remove_card()

    bench.trace.listen(look)
    gateway.console.send_line("x509 rootca-create /key 1024-bit /dn-cn Pulled")
    bench.run_for(ms=30_000)
    assert gateway.card is None
    repeated(bench)


def test_a_predicate_may_act(bench: Bench, repeated: Check, booted: Boot) -> None:
    gateway = booted(bench)
    looks = 0

    def nosy() -> bool:
        nonlocal looks
        looks += 1
        if looks % 5 == 0:
            gateway.console.send(b"y")
        return looks > 30

    gateway.console.send_line("help")
    assert bench.run_until(nosy)
    repeated(bench)


def test_what_was_refused_is_not_recorded(bench: Bench, repeated: Check, booted: Boot, record_of: Told) -> None:
    gateway = booted(bench)
    before = len(record_of(bench).actions)
    for refused in (gateway.power_on, gateway.remove_card, lambda: gateway.board.press_button(0)):
        with pytest.raises(Exception, match=r"power|slot|press"):
            refused()
    assert len(record_of(bench).actions) == before
    repeated(bench)


def test_how_a_test_drives_the_clock_makes_no_difference_to_the_trace() -> None:
    def one_go(bench: Bench) -> None:
        bench.run_for(ms=4_000)

    def pieces(bench: Bench) -> None:
        while bench.now_ns < 4_000 * MS:
            bench.clock.run_until(min(bench.now_ns + 7_777_777, 4_000 * MS))

    def steps(bench: Bench) -> None:
        while (next_ns := bench.clock.next_ns) is not None and next_ns <= 4_000 * MS:
            bench.clock.step()
        bench.clock.run_until(4_000 * MS)

    digests = []
    for drive in (one_go, pieces, steps):
        with Bench(seed=9) as bench:
            gateway = bench.gateway(card="ram", factory="upgraded")
            gateway.power_on()
            drive(bench)
            digests.append((bench.trace.count, bench.trace.digest()))
    assert digests[0] == digests[1] == digests[2]


# Up to any instant


def test_it_stops_at_any_instant_and_the_bench_is_what_it_was_then(bench: Bench, tmp_path: Path, booted: Boot) -> None:
    seen: list[tuple[int, int, dict[str, Any]]] = []

    def go_on(ms: float) -> None:
        bench.run_for(ms=ms)
        seen.append((bench.now_ns, bench.trace.count, gateway.state()))

    gateway = booted(bench, card="ram")
    gateway.console.run("card ls")
    go_on(0.013)
    go_on(1_000)
    gateway.power_cycle()
    go_on(1)
    gateway.console.send_line("admin")
    go_on(0.7)
    gateway.remove_card()
    go_on(2_000)
    bench.save_record(tmp_path / "record.zip")
    for now_ns, count, state in seen:
        again = Bench.repeat_of(tmp_path / "record.zip", until_ns=now_ns)
        # What was done at that very time, after it had come, is part of it.
        assert again.trace.count - count <= 3
        assert again.now_ns == now_ns
        if again.trace.count == count:
            assert again.gateways[0].state() == state
        assert Bench.repeat_of(tmp_path / "record.zip", until_event=count).trace.count >= count
    whole = [event.line() for event in bench.trace]
    for ms in (0, 0.5, 5, 17.3, 77.7, 333, 1_017.25, 1_500):
        again = Bench.repeat_of(tmp_path / "record.zip", until_ns=int(ms * MS))
        assert again.now_ns == int(ms * MS)
        assert [event.line() for event in again.trace] == whole[: again.trace.count]


def test_an_instant_after_the_end_is_the_end(bench: Bench, booted: Boot, record_of: Told) -> None:
    booted(bench)
    repeat = Repeat(record_of(bench))
    repeat.run(until_ns=10**18)
    assert repeat.at_end
    assert repeat.bench.now_ns == bench.now_ns


# What cannot be


def test_only_a_seeded_free_running_bench_can_be_recorded() -> None:
    with pytest.raises(RackMisuse, match="without a seed cannot be recorded"):
        Bench(record=True)
    with pytest.raises(RackMisuse, match="clock of the caller's"):
        Bench(seed=1, clock=VirtualClock(), record=True)
    with Bench(seed=1) as bench, pytest.raises(RackMisuse, match="was not recorded"):
        bench.save_record("nowhere.zip")


def test_a_path_is_written_when_the_bench_is_closed(tmp_path: Path, booted: Boot) -> None:
    path = tmp_path / "record.zip"
    with Bench(seed=6, record=path) as bench:
        booted(bench)
        digest = bench.trace.digest()
        assert not path.exists()
    bench.close()
    again = Bench.repeat_of(path)
    assert again.trace.digest() == digest
    assert again.gateways[0].powered
    with Bench(seed=6, record=tmp_path / "none" / "record.zip") as bench, pytest.raises(EnvironmentRefused):
        bench.close()


def test_a_program_of_the_tests_own_is_repeated_with_it_at_hand(
    fake_program: Any, tmp_path: Path, booted: Boot
) -> None:
    path = tmp_path / "record.zip"
    with Bench(seed=7, program=fake_program, record=path) as bench:
        gateway = booted(bench)
        gateway.console.run("say hello")
        digest = bench.trace.digest()
    assert Bench.repeat_of(path, program=fake_program).trace.digest() == digest
    with pytest.raises(RackMisuse, match="FakeProgram: repeat it from Python"):
        Bench.repeat_of(path)


def test_another_run_is_told_by_its_first_different_event(fake_program: Any, booted: Boot, record_of: Told) -> None:
    class Slower(fake_program):  # type: ignore[misc]
        def _shell(self, line: str) -> None:
            super()._shell("say something longer" if line == "say it" else line)

    with Bench(seed=7, program=fake_program, record=True) as bench:
        gateway = booted(bench)
        gateway.console.run("say it")
        bench.run_for(ms=1_000)
        record = record_of(bench)
    repeat = Repeat(record, program=Slower)
    with pytest.raises(RepeatDiffers) as caught:
        repeat.run()
    number = repeat.bench.trace.count
    assert f"expected trace event {number}: " in str(caught.value)
    assert isinstance(caught.value, DeviceFailure)
    lines = [event.line() for event in repeat.bench.trace]
    assert lines[:-1] == list(record.trace)[: number - 1]
    assert lines[-1] != record.trace[number - 1]


def test_a_difference_beyond_the_kept_trace_is_found_by_digests(
    fake_program: Any, booted: Boot, record_of: Told
) -> None:
    with Bench(seed=7, program=fake_program, record=True) as bench:
        gateway = booted(bench)
        for _ in range(1_200):
            gateway.console.run("say it")
        record = record_of(bench)
    checked = next(action for action in record.actions if action.kind == "stop" and action.arguments[1])
    count, digest, raised = checked.arguments
    assert count < record.facts.trace_events
    other = checked._replace(arguments=(count, digest[::-1], raised))
    actions = [other if action is checked else action for action in record.actions]
    with pytest.raises(RepeatDiffers, match=f"{digest[::-1]} after {count} trace events"):
        Repeat(Record(record.facts, actions), program=fake_program).run()


def test_a_run_that_goes_on_differently_is_found_by_the_end_at_the_latest(
    fake_program: Any, booted: Boot, record_of: Told
) -> None:
    with Bench(seed=7, program=fake_program, record=True) as bench:
        booted(bench)
        record = record_of(bench)
    for facts in (replace(record.facts, digest="0" * 64), replace(record.facts, events=record.facts.events + 1_000)):
        with pytest.raises(RepeatDiffers):
            Repeat(Record(facts, record.actions), program=fake_program).run()


def test_what_is_not_recorded_is_named_among_the_reasons(bench: Bench, booted: Boot, record_of: Told) -> None:
    gateway = booted(bench)
    gateway.network.on_connect(lambda stream, host, port: None)
    record = record_of(bench)
    assert "answered by the test" in record.facts.doubts[0]
    assert Repeat(record).reasons() == record.facts.doubts
