"""Model files travel with the cases: whoever runs them needs no such file, and gets the same."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from board.model import MODELS
from hil.bench import Bench
from hil.cli import main
from hil.errors import RackMisuse
from hil.sweep.case import Case, Result
from hil.sweep.grid import grid_from_texts
from hil.sweep.models import case_here
from hil.sweep.scenario import scenario_named
from hil.sweep.storm import AXES
from hil.sweep.work import run_case

Write = Callable[..., Path]


@pytest.fixture
def write_model(mine: Path) -> Write:
    """``write_model("lab", mhz=400, costs=True)``: a model file beside ``mine.py``, with a cost table of its own."""

    def write(name: str, base: str = "ip800", mhz: int = 200, costs: bool = False) -> Path:
        text = (MODELS / f"{base}.toml").read_text().replace(f'"{base}"', f'"{name}"', 1)
        if costs:
            (mine.parent / "costs").mkdir(exist_ok=True)
            table = (MODELS / "costs" / "ppc.toml").read_text().replace('"ppc"', f'"{name}"', 1)
            (mine.parent / "costs" / f"{name}.toml").write_text(table)
            text = text.replace('cost_table = "ppc"', f'cost_table = "{name}"')
        path = mine.parent / f"{name}.toml"
        path.write_text(text.replace("mhz = 200", f"mhz = {mhz}"))
        return path

    return write


def sent(case: Case) -> Case:
    """As it arrives at a worker."""
    arrived: Case = pickle.loads(pickle.dumps(case))
    return arrived


def but_for_host_time(result: Result) -> tuple[Any, ...]:
    return result.case, result.outcome, result.message, result.virtual_ms, result.digest, result.values


def test_a_worker_without_the_file_gives_the_same(
    write_model: Write, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model("lab", mhz=400, costs=True)
    scenario = scenario_named("mine.py:boot")
    (case,) = grid_from_texts(scenario.name, seeds="7", models="lab.toml")
    here = run_case(scenario, case)
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    (mine.parent / "lab.toml").unlink()
    shutil.rmtree(mine.parent / "costs")
    with pytest.raises(RackMisuse):
        grid_from_texts(scenario.name, models="lab.toml")
    result = run_case(scenario, sent(case))
    assert (result.outcome, result.message) == ("ok", "")
    assert but_for_host_time(result) == but_for_host_time(here)
    assert result.case.model == "lab.toml", "as it was named, not where it lay"


def test_a_file_that_is_changed_in_the_middle_of_a_sweep_changes_nothing(write_model: Write) -> None:
    write_model("lab", mhz=400)
    scenario = scenario_named("mine.py:boot")
    (case,) = grid_from_texts(scenario.name, seeds="7", models="lab.toml")
    first = run_case(scenario, case)
    write_model("lab", mhz=100)
    assert run_case(scenario, case).digest == first.digest
    (changed,) = grid_from_texts(scenario.name, seeds="7", models="lab.toml")
    assert changed != case
    assert run_case(scenario, changed).digest != first.digest


def test_a_scenario_finds_the_model_by_the_path_that_its_case_names(write_model: Write) -> None:
    write_model("lab")
    (case,) = grid_from_texts("s", seeds="7", models="lab.toml")
    here = case_here(sent(case))
    assert Path(here.model).is_file()
    assert Path(here.model).name == "lab.toml"
    assert case_here(sent(case)).model == here.model, "laid out once in a process"
    with Bench(1) as bench:
        assert bench.gateway(here.model).model.name == "lab"


def test_our_models_and_results_carry_no_files(write_model: Write) -> None:
    write_model("lab")
    ours, theirs = grid_from_texts("s", seeds="7", models="ip800,lab.toml")
    assert (ours.files, ours.digests) == ({}, ())
    assert case_here(ours) is ours
    assert theirs.files
    result = run_case(scenario_named("mine.py:quick"), theirs)
    assert result.case == theirs
    assert result.case.files == {}


def test_what_a_model_file_said_is_in_the_row_and_stays_there(
    write_model: Write, fake_engine: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hil.sweep.engine.LocalEngine", lambda jobs: fake_engine())
    write_model("lab", mhz=400)
    words = ["sweep", "mine.py:quick", "--seeds", "1", "--models", "lab.toml,ip800", "--out", "r.jsonl"]
    digest = grid_from_texts("s", models="lab.toml").inputs["lab.toml"]
    for said in ("2 ok, 0 failed, 0 errors; 0.0 s", "2 were there before"):
        assert main(words) == 0
        assert said in capsys.readouterr().out
        found = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
        assert {row["model"]: row["model_sha256"] for row in found} == {"lab.toml": digest, "ip800": None}
    write_model("lab", mhz=200)
    assert main(words) == 2
    assert "lab.toml has changed since" in capsys.readouterr().err


def test_models_of_a_scenarios_own_axes_travel_too(
    write_model: Write, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def storms(**axes: str) -> list[Case]:
        own: Mapping[Any, Any] = {axis: axes.pop(axis.name, axis.default) for axis in AXES}
        return list(grid_from_texts("storm", seeds="3", own=own, **axes))

    write_model("lab", costs=True)
    write_model("desk", base="ip232")
    axes = {"models": "./lab.toml", "phone_model": "desk.toml,ip232", "phones": "1"}
    mixed, ours = storms(**axes)
    assert [axis for axis, _ in mixed.digests] == ["model", "phone_model"]
    assert [axis for axis, _ in ours.digests] == ["model"]
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    for path in mine.parent.glob("*.toml"):
        path.unlink()
    first, second = (run_case(scenario_named("storm"), sent(case)) for case in (mixed, ours))
    assert (first.outcome, second.outcome) == ("ok", "ok"), first.message + second.message
    assert "--models ./lab.toml" in first.case.repeat
    assert "--phone-model desk.toml" in first.case.repeat
    assert first.values == second.values, "a desk phone of another name, and otherwise the same"
