"""Scenarios by name: ours, a user's file, and what is refused before any work begins."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from hil.errors import EnvironmentRefused, RackMisuse
from hil.sweep.case import Case, CaseBench
from hil.sweep.scenario import BUILT_IN, scenario_named


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_of_ours_can_be_loaded(name: str) -> None:
    assert callable(scenario_named(name).function)


def test_a_users_function_is_found_and_travels_as_text(mine: Path) -> None:
    scenario = scenario_named("mine.py:quick")
    arrived = pickle.loads(pickle.dumps(scenario))
    mine.write_text("def quick(case, bench):\n    return {'x': 'changed since'}\n")
    case = Case("mine.py:quick", 5)
    assert arrived.function(case, CaseBench(case)) == {"x": 5}
    assert scenario_named("mine.py:quick").fingerprint != scenario.fingerprint


def test_a_users_file_may_have_dataclasses_and_import_what_lies_beside_it(mine: Path) -> None:
    (mine.parent / "gatebench_test_neighbour.py").write_text("ANSWER = 42\n")
    mine.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from gatebench_test_neighbour import ANSWER\n"
        "@dataclass\nclass Measured:\n    x: int\n"
        "def look(case, bench):\n    return vars(Measured(ANSWER))\n"
    )
    case = Case("mine.py:look", 1)
    assert scenario_named("mine.py:look").function(case, CaseBench(case)) == {"x": 42}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("certificats", "scenario 'certificats': must be certificates, storm, or path/to/file.py:function"),
        ("mine.py", r"scenario 'mine\.py': must be"),
        ("mine.py:", r"scenario 'mine\.py:': must be"),
        ("mine.py:no-name", "must be"),
        ("mine.py:gone", r"scenario mine\.py:gone: there is no function 'gone' in mine\.py"),
        ("mine.py:time", "there is no function 'time'"),
    ],
)
def test_a_scenario_that_is_not_there_is_refused(mine: Path, name: str, message: str) -> None:
    with pytest.raises(RackMisuse, match=message):
        scenario_named(name)


def test_a_file_that_cannot_be_run_is_refused_with_its_error(mine: Path) -> None:
    mine.write_text("1 / 0\n")
    with pytest.raises(RackMisuse, match=r"scenario file mine\.py: ZeroDivisionError: division by zero"):
        scenario_named("mine.py:quick")
    mine.write_text("def quick(:\n")
    with pytest.raises(RackMisuse, match=r"scenario file mine\.py: SyntaxError"):
        scenario_named("mine.py:quick")
    mine.write_text("")
    with pytest.raises(RackMisuse, match="no function"):
        scenario_named("mine.py:quick")


def test_a_file_that_cannot_be_read_is_refused(mine: Path) -> None:
    with pytest.raises(EnvironmentRefused, match=r"scenario file gone\.py: no such file"):
        scenario_named("gone.py:quick")
    mine.write_bytes(b"\xff")
    with pytest.raises(EnvironmentRefused, match="is not UTF-8"):
        scenario_named("mine.py:quick")
