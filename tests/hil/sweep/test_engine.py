"""Handing cases to workers: in chunks, and what becomes of a worker that dies."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hil.errors import EnvironmentRefused
from hil.sweep.case import Case, Result
from hil.sweep.engine import LARGEST_CHUNK, LocalEngine, closing, results
from hil.sweep.scenario import Scenario, scenario_named


def cases(name: str, count: int) -> list[Case]:
    return [Case(name, seed) for seed in range(count)]


def run(engine: Any, scenario: Scenario, count: int) -> list[Result]:
    return [result for batch in results(engine, scenario, cases(scenario.name, count)) for result in batch]


def test_every_case_is_run_once_whatever_the_chunks(mine: Path, fake_engine: Any) -> None:
    engine = fake_engine()
    found = run(engine, scenario_named("mine.py:quick"), 500)
    assert sorted(result.case.seed for result in found) == list(range(500))
    assert sorted(seed for chunk in engine.chunks for seed in chunk) == list(range(500))


def test_chunks_grow_when_cases_are_quick_and_shrink_towards_the_end(mine: Path, fake_engine: Any) -> None:
    engine = fake_engine()
    run(engine, scenario_named("mine.py:quick"), 1_000)
    sizes = [len(chunk) for chunk in engine.chunks]
    assert sizes[0] == 1
    assert 1 < max(sizes) <= LARGEST_CHUNK
    assert sizes[-1] == 1


def test_slow_cases_are_handed_out_one_by_one(mine: Path, fake_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.sweep.engine.CHUNK_S", 1e-9)
    engine = fake_engine()
    run(engine, scenario_named("mine.py:quick"), 20)
    assert [len(chunk) for chunk in engine.chunks] == [1] * 20


def test_a_dead_worker_costs_its_case_alone_and_that_is_tried_twice(mine: Path, fake_engine: Any) -> None:
    engine = fake_engine(killers=[7])
    found = run(engine, scenario_named("mine.py:quick"), 30)
    assert len(found) == 30
    bad = [result for result in found if result.outcome != "ok"]
    assert [(result.case.seed, result.outcome, result.message) for result in bad] == [
        (7, "error", "its worker died: SIGSEGV")
    ]
    assert engine.tried_alone.count(7) == 1
    assert sum(chunk.count(7) for chunk in engine.chunks) == 1


def test_what_was_in_flight_beside_it_is_tried_again(mine: Path, fake_engine: Any) -> None:
    engine = fake_engine(killers=[40])
    found = run(engine, scenario_named("mine.py:quick"), 100)
    assert len(engine.tried_alone) > 1, "a chunk of several"
    assert sorted(result.case.seed for result in found) == list(range(100))


def test_workers_that_cannot_even_begin_do_not_hold_the_sweep_up_for_ever(mine: Path, fake_engine: Any) -> None:
    engine = fake_engine(killers=range(3))
    engine.broken = True
    assert [result.outcome for result in run(engine, scenario_named("mine.py:quick"), 3)] == ["error"] * 3


def test_a_cluster_that_goes_ends_the_sweep(mine: Path, fake_engine: Any) -> None:
    engine = fake_engine(lasts=5)
    with pytest.raises(EnvironmentRefused, match="gone"), closing(engine):
        run(engine, scenario_named("mine.py:quick"), 30)
    assert (engine.stopped, engine.closed) == (True, True)


def test_an_engine_is_closed_and_not_stopped_at_an_orderly_end(fake_engine: Any) -> None:
    engine = fake_engine()
    with closing(engine):
        pass
    assert (engine.stopped, engine.closed) == (False, True)


@pytest.mark.slow
def test_on_real_processes_two_cases_that_kill_theirs_are_told_with_the_reason(mine: Path) -> None:
    engine = LocalEngine(2)
    with closing(engine):
        found = run(engine, scenario_named("mine.py:dies"), 8)
    said = {result.case.seed: result.message for result in found if result.outcome == "error"}
    assert said == {2: "its worker died: SIGKILL, as when memory runs out", 5: "its worker died: exit code 7"}
    assert {result.case.seed: result.values for result in found if result.outcome == "ok"} == {
        seed: {"x": seed} for seed in (0, 1, 3, 4, 6, 7)
    }


@pytest.mark.slow
def test_workers_are_replaced_after_many_cases_and_none_is_lost(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.write_text("import os\ndef who(case, bench):\n    return {'pid': os.getpid()}\n")
    monkeypatch.setattr("hil.sweep.engine.LIFETIME_CASES", 4)
    monkeypatch.setattr("hil.sweep.engine.LARGEST_CHUNK", 2)
    engine = LocalEngine(1)
    with closing(engine):
        found = run(engine, scenario_named("mine.py:who"), 12)
    assert sorted(result.case.seed for result in found) == list(range(12))
    assert 2 <= len({result.values["pid"] for result in found}) <= 4


@pytest.mark.slow
def test_an_engine_that_is_stopped_waits_for_nobody(mine: Path) -> None:
    mine.write_text("import time\ndef forever(case, bench):\n    time.sleep(600)\n")
    engine = LocalEngine(1)
    began = time.monotonic()
    with suppress(KeyboardInterrupt), closing(engine):
        for _ in results(engine, scenario_named("mine.py:forever"), cases("mine.py:forever", 3)):
            raise KeyboardInterrupt
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_workers_end_when_the_process_that_started_them_is_killed(mine: Path) -> None:
    mine.write_text(
        "import os, time\n"
        "def waits(case, bench):\n"
        "    open(f'worker.{os.getpid()}', 'w').close()\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-m", "hil", "sweep", "mine.py:waits", "--seeds", "0:2", "--jobs", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        worker = int(_until(lambda: next(mine.parent.glob("worker.*"), None)).suffix[1:])
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    _until(lambda: _has_gone(worker))


def _has_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Dead, but nobody has asked for its exit code: in a container there may be nobody who does.
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def _until(look: Any) -> Any:
    """Waits for something that other processes do."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen within 60 s")


def test_without_room_for_temporary_files_nothing_begins(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    with (
        pytest.raises(EnvironmentRefused, match="temporary files of the workers: no space left on device"),
        closing(LocalEngine(1)) as engine,
    ):
        run(engine, scenario_named("mine.py:quick"), 3)


def test_a_workers_temporary_files_go_with_the_engine_though_it_is_killed(mine: Path) -> None:
    mine.write_text(
        "import os, tempfile\n"
        "def litters(case, bench):\n"
        "    tempfile.mkdtemp()\n"
        "    open('where', 'w').write(tempfile.gettempdir())\n"
        "    if case.seed == 1:\n        os._exit(1)\n"
        "    return {}\n"
    )
    with closing(LocalEngine(1)) as engine:
        assert [result.outcome for result in run(engine, scenario_named("mine.py:litters"), 2)] == ["ok", "error"]
    folder = Path(Path("where").read_text())
    assert folder.name.startswith("gatebench-sweep-")
    assert not folder.exists()
