"""The journal: nothing that was written is lost, nothing is run twice, and two experiments never mix."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hil.errors import EnvironmentRefused, RackMisuse
from hil.sweep import columns as columns_module
from hil.sweep import journal as journal_module
from hil.sweep.case import Case, Result
from hil.sweep.grid import Grid, grid_from_texts
from hil.sweep.journal import Journal, journal_path
from hil.sweep.scenario import scenario_named
from hil.sweep.session import run_sweep

Sweep = Callable[..., Any]


@pytest.fixture
def grid(mine: Path) -> Grid:
    return grid_from_texts("mine.py:quick", seeds="0:3")


@pytest.fixture
def out(mine: Path) -> Path:
    return Path("results.jsonl")


@pytest.fixture
def sweep(mine: Path, out: Path, fake_engine: Any) -> Sweep:
    """``sweep(seeds, **options)`` of the quick scenario; gives the seeds that were run this time."""

    def sweep_(seeds: str, name: str = "mine.py:quick", engine: Any = None, **options: Any) -> list[int]:
        engine = fake_engine() if engine is None else engine
        options = {"out": out, **options}
        run_sweep(scenario_named(name), grid_from_texts(name, seeds=seeds), lambda: engine, **options)
        return sorted([seed for chunk in engine.chunks for seed in chunk])

    return sweep_


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_what_is_added_is_there_when_it_is_opened_again(grid: Grid, out: Path, make_results: Any) -> None:
    scenario = scenario_named("mine.py:quick")
    results = make_results({"x": 1, "y": 2.5}, {"x": "ä\n", "z": True})
    with Journal(out, scenario, grid) as journal:
        journal.add(results[:1])
        journal.add(results[1:])
    with Journal(out, scenario, grid) as journal:
        assert list(journal.results.values()) == results
        assert list(journal.results) == [Case("mine.py:quick", 0), Case("mine.py:quick", 1)]


def test_every_axis_of_a_case_comes_back(grid: Grid, out: Path) -> None:
    extra, digests = (("phones", "10"), ("x", "1.0")), (("model", "abc"), ("phone_model", "def"))
    case = Case("mine.py:quick", 9, "lab.toml", 2048, "SHA1", "pull.toml", extra, digests)
    with Journal(out, scenario_named("mine.py:quick"), grid) as journal:
        journal.add([Result(case, "failed", "why\nand where", 1.5, 0.25, "abc", {})])
    with Journal(out, scenario_named("mine.py:quick"), grid) as journal:
        (result,) = journal.results.values()
    assert result.case == case
    assert (result.message, result.digest) == ("why\nand where", "abc")


def test_the_same_command_goes_on_where_it_was_and_a_larger_grid_adds_to_it(sweep: Sweep, out: Path) -> None:
    assert sweep("0:3") == [0, 1, 2]
    assert sweep("0:3") == []
    assert sweep("1:5") == [3, 4]
    assert [row["seed"] for row in rows(out)] == [0, 1, 2, 3, 4]


def test_a_line_that_was_being_written_is_dropped_and_its_case_run_again(sweep: Sweep, out: Path) -> None:
    sweep("0:3")
    journal = journal_path(out)
    whole = journal.read_bytes()
    for cut in (1, 20, len(whole.splitlines()[-1])):
        journal.write_bytes(whole[:-cut])
        assert sweep("0:3") == [2]
        assert sorted(journal.read_bytes().splitlines()) != []
        assert [row["x"] for row in rows(out)] == [0, 1, 2]


def test_a_journal_of_which_only_a_part_of_the_first_line_is_there_begins_anew(sweep: Sweep, out: Path) -> None:
    journal_path(out).write_bytes(b'{"journal": 1, "scen')
    assert sweep("0:2") == [0, 1]
    assert sweep("0:2") == []


@pytest.mark.parametrize("line", [b"not json\n", b"[]\n", b'{"seed": 1}\n', b'{"outcome": "fine", "seed": 1}\n'])
def test_a_damaged_line_is_refused_by_its_number(sweep: Sweep, out: Path, line: bytes) -> None:
    sweep("0:2")
    journal = journal_path(out)
    journal.write_bytes(journal.read_bytes() + line)
    with pytest.raises(RackMisuse, match=r"journal results\.jsonl\.journal: line 4 is damaged"):
        sweep("0:2")
    assert sweep("0:2", fresh=True) == [0, 1]


def test_another_scenario_on_the_same_file_is_refused(sweep: Sweep, mine: Path) -> None:
    sweep("0:2")
    with pytest.raises(RackMisuse, match=r"it is of the scenario mine\.py:quick, not of mine\.py:waits"):
        sweep("0:2", "mine.py:waits")
    mine.write_text(mine.read_text() + "# more\n")
    with pytest.raises(RackMisuse, match="the scenario's file has changed since: name another --out"):
        sweep("0:2")


def test_another_gatebench_is_refused(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep("0:2")
    monkeypatch.setattr(journal_module, "code_fingerprint", lambda: "other")
    with pytest.raises(RackMisuse, match="it was made by another gatebench than this one"):
        sweep("0:2")


def test_a_fault_plan_may_come_in_later_but_not_change(grid: Grid, out: Path, mine: Path) -> None:
    scenario = scenario_named("mine.py:quick")
    plan = mine.parent / "pull.toml"
    plan.write_text('[[fault]]\nfault = "pull"\n')
    with Journal(out, scenario, grid):
        pass
    for _ in range(2):
        with Journal(out, scenario, grid_from_texts("mine.py:quick", faults="pull.toml")):
            pass
    assert journal_path(out).read_text().count("pull.toml") == 1
    plan.write_text('[[fault]]\nfault = "cut"\n')
    with pytest.raises(RackMisuse, match=r"pull\.toml has changed since"):
        Journal(out, scenario, grid_from_texts("mine.py:quick", faults="pull.toml"))
    with Journal(out, scenario, grid):
        pass


def test_results_without_their_journal_are_not_written_over(sweep: Sweep, out: Path) -> None:
    out.write_text("mine\n")
    with pytest.raises(RackMisuse, match=r"results\.jsonl is there, but not its journal results\.jsonl\.journal"):
        sweep("0:2")
    assert out.read_text() == "mine\n"
    assert sweep("0:2", fresh=True) == [0, 1]


def test_two_sweeps_do_not_write_one_journal(grid: Grid, out: Path) -> None:
    scenario = scenario_named("mine.py:quick")
    with Journal(out, scenario, grid), pytest.raises(EnvironmentRefused, match="another sweep is writing it"):
        Journal(out, scenario, grid)
    with Journal(out, scenario, grid):
        pass


def test_a_journal_that_cannot_be_opened_is_refused(grid: Grid) -> None:
    with pytest.raises(EnvironmentRefused, match=r"journal gone/results\.csv\.journal: cannot be written: no such"):
        Journal(Path("gone/results.csv"), scenario_named("mine.py:quick"), grid)


class FakeDisk:
    """A file that takes ``room_bytes`` more, then nothing. Not modelled: space that comes back."""

    def __init__(self, file: Any, room_bytes: int) -> None:
        self._file = file
        self.room_bytes = room_bytes

    def write(self, data: bytes) -> int:
        if not self.room_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(len(data), self.room_bytes)
        self.room_bytes -= taken
        self._file.write(data[:taken])
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_full_disk_is_one_line_that_counts_what_is_kept_and_the_sweep_goes_on_later(
    sweep: Sweep, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Journal._begin

    def begin_(journal: Any, *arguments: Any) -> None:
        begin(journal, *arguments)
        journal._file = FakeDisk(journal._file, 1_000)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_begin", begin_)
        with pytest.raises(EnvironmentRefused) as refusal:
            sweep("0:30")
    counted = str(refusal.value).removeprefix(
        "journal results.jsonl.journal: cannot be written: no space left on device; "
    )
    written = journal_path(out).read_bytes().count(b"\n") - 1
    kept = int(counted.split()[0])
    assert counted == f"{kept} of 30 cases are kept in results.jsonl.journal: the same command goes on"
    assert 0 < kept <= written < 30, "of the batch that did not fit there may be a part"
    assert not journal_path(out).read_bytes().endswith(b"\n"), "the line for which there was no room"
    assert len(sweep("0:30")) == 30 - written
    assert [row["seed"] for row in rows(out)] == list(range(30))


def test_a_disk_that_is_full_when_the_results_are_to_be_written_loses_none(
    sweep: Sweep, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *rest: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setitem(columns_module.FORMATS, ".jsonl", full)
        with pytest.raises(EnvironmentRefused, match=r"--out results.jsonl: .*no space .*; 3 of 3 cases are kept in"):
            sweep("0:3")
    assert not out.exists()
    assert sweep("0:3") == []
    assert [row["seed"] for row in rows(out)] == [0, 1, 2]


def test_errors_are_kept_until_they_are_asked_to_be_tried_again(sweep: Sweep, mine: Path, out: Path) -> None:
    name = "mine.py:third_is_wrong"
    assert sweep("2:5", name) == [2, 3, 4]
    assert sweep("2:5", name) == []
    assert sweep("2:5", name, retry_errors=True) == [3]
    assert [(row["seed"], row["outcome"]) for row in rows(out)] == [(2, "ok"), (3, "error"), (4, "ok")]


def test_what_was_done_before_the_cluster_went_is_kept(sweep: Sweep, fake_engine: Any, out: Path) -> None:
    with pytest.raises(EnvironmentRefused, match=r"gone; \d+ of 30 cases are kept in results\.jsonl\.journal"):
        sweep("0:30", engine=fake_engine(lasts=5))
    assert not out.exists()
    again = sweep("0:30")
    assert 20 <= len(again) < 30
    assert [row["seed"] for row in rows(out)] == list(range(30))


def test_the_disk_is_waited_for_at_intervals_and_at_the_end(
    grid: Grid, out: Path, make_results: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, synced = [0.0], []
    monkeypatch.setattr(journal_module.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(journal_module.os, "fsync", lambda file: synced.append(now_s[0]))
    with Journal(out, scenario_named("mine.py:quick"), grid) as journal:
        assert synced == [0.0], "the first line"
        for tick in range(1, 13):
            now_s[0] = tick / 10
            journal.add(make_results({"x": tick}))
        assert synced == [0.0, 0.7]
        journal.add([])
        now_s[0] = 9.0
    assert synced == [0.0, 0.7, 9.0]
