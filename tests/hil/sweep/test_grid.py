"""The grid: axes as they are typed, the cases that they make, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.errors import EnvironmentRefused, RackMisuse
from hil.sweep.case import Case, value_from_text
from hil.sweep.grid import grid_from_texts, seeds_from_text


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pull.toml"
    path.write_text('[[fault]]\nfault = "pull"\nat = 40\n')
    return path


def test_every_combination_is_a_case_once_and_seeds_change_slowest() -> None:
    grid = grid_from_texts("s", seeds="0:2", models="ip800,ip305", keys="1024,4096", hashes="sha1,SHA512")
    cases = list(grid)
    assert len(cases) == len(set(cases)) == len(grid) == 2 * 2 * 2 * 2
    assert [case.seed for case in cases] == [0] * 8 + [1] * 8
    assert cases[0] == Case("s", 0, "ip800", 1024, "SHA1")
    assert cases[-1] == Case("s", 1, "ip305", 4096, "SHA512")


def test_axes_of_a_users_own_multiply_the_grid() -> None:
    grid = grid_from_texts("s", seeds="7", settings=["phones=10,100", "lossy=true"])
    assert [case.extra for case in grid] == [
        (("phones", "10"), ("lossy", "true")),
        (("phones", "100"), ("lossy", "true")),
    ]
    case = next(iter(grid))
    assert (case["phones"], case["lossy"]) == (10, True)
    with pytest.raises(KeyError):
        case["other"]


def test_a_fault_plan_is_read_and_travels_with_its_cases(plan: Path) -> None:
    grid = grid_from_texts("s", seeds="1", faults="none,pull.toml")
    first, second = grid
    assert (first.faults, first.plan) == ("none", None)
    assert second.faults == "pull.toml"
    assert second.plan is not None
    assert list(grid.inputs) == ["pull.toml"]
    before = grid.inputs["pull.toml"]
    plan.write_text('[[fault]]\nfault = "pull"\nat = 41\n')
    assert grid_from_texts("s", faults="pull.toml").inputs["pull.toml"] != before


def test_a_model_file_is_told_by_what_it_says(tmp_path: Path) -> None:
    from board.model import MODELS

    (tmp_path / "costs").mkdir()
    (tmp_path / "costs" / "ppc.toml").write_text((MODELS / "costs" / "ppc.toml").read_text())
    lab = tmp_path / "lab.toml"
    text = (MODELS / "ip800.toml").read_text().replace('"ip800"', '"lab"', 1)
    fingerprints = []
    for content in (text, "# a remark\n" + text, text.replace("mhz = 200", "mhz = 201")):
        lab.write_text(content)
        fingerprints.append(grid_from_texts("s", models=str(lab)).inputs[str(lab)])
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("17", [17]),
        ("0:4", [0, 1, 2, 3]),
        ("0:10:4", [0, 4, 8]),
        ("3,1,2", [3, 1, 2]),
        ("5, 4:7", [5, 4, 6]),
    ],
)
def test_seeds_are_lists_and_ranges_without_their_end(text: str, seeds: list[int]) -> None:
    assert seeds_from_text(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "-1", "1:1", "5:3", "0:9:0", "1,,2", "1:2:3:4", "²", "0:9999999999"])
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(RackMisuse, match="--seeds"):
        seeds_from_text(text)


@pytest.mark.parametrize(
    ("axis", "value", "message"),
    [
        ("models", "ip999", "ip999"),
        ("models", "", "--models ''"),
        ("keys", "1024,3072", "--keys 3072: must be of 1024, 2048, 4096"),
        ("hashes", "SHA3", "--hashes SHA3: must be of MD5, SHA1, SHA224, SHA256, SHA384, SHA512"),
        ("settings", ["phones"], "--set phones: must be NAME=VALUE"),
        ("settings", ["two words=1"], "--set two words=1: must be NAME=VALUE"),
        ("settings", ["seed=1"], "--set seed=1: every row has a column seed already"),
        ("settings", ["a=1", "a=2"], "--set a=2: a is given twice"),
        ("seeds", "0:900000", "a grid of 1,800,000 cases: at most 1,000,000"),
    ],
)
def test_a_value_that_is_none_of_its_axis_is_named(axis: str, value: object, message: str) -> None:
    axes = {"keys": "1024,2048"} if axis == "seeds" else {}
    with pytest.raises(RackMisuse, match=message.replace("(", r"\(")):
        grid_from_texts("s", **{**axes, axis: value})  # type: ignore[arg-type]


def test_faults_of_a_card_need_a_slot(plan: Path) -> None:
    with pytest.raises(RackMisuse, match=r"--faults pull\.toml: ip232 has no card slot"):
        grid_from_texts("s", models="ip800,ip232", faults="pull.toml")


def test_a_fault_plan_that_is_none_or_is_not_there_is_refused(plan: Path) -> None:
    plan.write_text('[[fault]]\nfault = "flood"\n')
    with pytest.raises(RackMisuse, match=r"pull\.toml"):
        grid_from_texts("s", faults="pull.toml")
    with pytest.raises(EnvironmentRefused, match=r"fault plan gone\.toml: no such file"):
        grid_from_texts("s", faults="gone.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("10", 10), ("-3", -3), ("2.5", 2.5), ("1e3", 1000.0), (".5", 0.5), ("true", True), ("false", False)),
        *(("x", "x"), ("1_000", "1_000"), ("", ""), ("9" * 30, 1e30), ("True", "True"), ("nan", "nan")),
    ],
)
def test_a_value_is_a_number_or_a_truth_value_where_its_text_is_one(text: str, value: object) -> None:
    found = value_from_text(text)
    assert (found, type(found)) == (value, type(value))


def test_the_repeat_command_names_every_axis_and_is_safe_in_a_shell() -> None:
    case = Case("my file.py:f", 17, "ip305", 2048, "SHA1", "a plan.toml", (("phones", "1;rm"),))
    assert case.repeat == (
        "gatebench sweep 'my file.py:f' --seeds 17 --models ip305 --keys 2048 --hashes SHA1 "
        "--faults 'a plan.toml' --set 'phones=1;rm'"
    )
    assert Case("storm", 17, extra=(("phone_key", "2048"),)).repeat == (
        "gatebench sweep storm --seeds 17 --models ip800 --keys 1024 --hashes SHA256 --phone-key 2048"
    )
