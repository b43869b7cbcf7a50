"""Storms as a sweep: a row for each setting, the same as ``gatebench storm`` measures, to the digest."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hil.cli import main
from hil.errors import RackMisuse
from hil.storm import Parameters, SettingResult
from hil.storm.keys import find_keys
from hil.storm.run import run_storm
from hil.storm.world import key_names
from hil.sweep import storm as storm_module
from hil.sweep.case import Case, Result
from hil.sweep.grid import grid_from_texts
from hil.sweep.scenario import scenario_named
from hil.sweep.storm import AXES, KINDS, parameters_from, values_from
from hil.sweep.work import run_case

DEFAULTS = {axis.name: axis.default for axis in AXES}

Run = Callable[..., Result]


def cases_of(**axes: str) -> list[Case]:
    """The cases of a grid of storms; what is not said of an axis is its default."""
    own = {axis: axes.pop(axis.name, axis.default) for axis in AXES}
    return list(grid_from_texts("storm", own=own, **axes))


@pytest.fixture
def run() -> Run:
    """``run(seeds="3", phones="2", ...)``: the result of the one case of such a grid, run here."""

    def run_(**axes: str) -> Result:
        (case,) = cases_of(**{"seeds": "3", "phones": "2"} | axes)
        return run_case(scenario_named("storm"), case)

    return run_


@pytest.fixture
def command(
    tmp_path: Path, fake_engine: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """``command("--seeds", "3", ...)``: ``gatebench sweep storm`` in this process; exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hil.sweep.engine.LocalEngine", lambda jobs: fake_engine())

    def run_(*words: str) -> tuple[int, str, str]:
        code = main(["sweep", "storm", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_


@pytest.fixture(scope="module")
def setting() -> SettingResult:
    """What ``gatebench storm`` measures of two phones."""
    parameters = Parameters(phones=2, mutual=False)
    keys: Any = {}
    find_keys(key_names(parameters, 3), keys, jobs=1)
    return run_storm("two", parameters, 3, keys)


# -- axes


def test_without_axes_a_storm_is_the_one_of_the_storm_command() -> None:
    (case,) = cases_of(seeds="1")
    assert parameters_from(case) == Parameters()


def test_every_setting_of_a_storm_is_an_axis() -> None:
    own = {"model", "key", "hash"}  # every sweep has these, as --models, --keys, --hashes
    assert set(KINDS) | own == set(Parameters().to_json())


def test_every_combination_of_the_axes_is_a_setting() -> None:
    cases = cases_of(
        seeds="1,2", models="ip800,ip6000", keys="1024,4096", hashes="SHA1", phones="5,20", mutual="true,false"
    )
    settings = [parameters_from(case) for case in cases]
    assert len(set(settings)) == 16
    assert len(cases) == 32
    base = Parameters(hash="sha1")
    assert settings[0] == replace(base, phones=5)
    assert settings[-1] == replace(base, model="ip6000", key=4096, phones=20, mutual=False)


def test_values_of_an_axis_that_are_the_same_are_one_case() -> None:
    assert len(cases_of(seeds="1", phones="7,007", loss="0,0.0,0.10,0.1")) == 2


@pytest.mark.parametrize(
    ("axis", "value", "message"),
    [
        ("phones", "0", "phones 0: must be 1 to 1000"),
        ("phones", "many", "phones many: must be a whole number"),
        ("phones", "", "--phones '': must be values with commas"),
        ("phone_key", "512", "phone-key 512: must be one of 1024, 2048, 4096"),
        ("mutual", "yes", "mutual yes: must be true or false"),
        ("profile", "v9", "profile v9: must be one of v11, modern, legacy"),
        ("phone_model", "ip9", "no model 'ip9'"),
        ("arrival", "late", "arrival 'late': must be at-once, spread:SECONDS or backoff"),
        ("cut", "phones", "cut phones: must be one of all, registrar"),
        ("loss", "0.9", "loss 0.9: must be 0 to 0.5"),
        ("loss", "nan", "loss nan: must be 0 to 0.5"),
        ("latency_ms", "x", "latency-ms x: must be a number"),
        ("for_s", "0", "for 0: must be 1 to 86400"),
    ],
)
def test_a_value_that_no_storm_can_have_is_refused_before_any_work(axis: str, value: str, message: str) -> None:
    with pytest.raises(RackMisuse) as refusal:
        cases_of(seeds="1", **{axis: value})
    assert str(refusal.value).startswith(message)


# -- what is measured


def test_a_case_is_the_storm_of_the_storm_command_to_the_last_event(run: Run, setting: SettingResult) -> None:
    result = run(mutual="false")
    assert (result.outcome, result.message) == ("ok", "")
    assert result.digest == setting.digest
    assert result.virtual_ms == setting.end_ns / 1e6
    assert result.values == values_from(setting)


def test_the_row_has_the_figures_of_the_report(setting: SettingResult) -> None:
    values = values_from(setting)
    latency = setting.handshakes.latency_ms
    assert values["verdict"] == "without a failure"
    assert values["registered"] == 2
    assert values["all_registered_s"] == (setting.all_registered_ns or 0) / 1e9
    assert values["registered_50_s"] == setting.registration_s["50"]
    assert (values["handshakes"], values["attempts"], values["attempts_in_vain"]) == (2, 2, 0)
    assert (values["handshake_p50_ms"], values["handshake_max_ms"]) == (latency.p50, latency.max)
    assert values["handshake_cpu_ms"] == setting.handshakes.cpu_ms.p50
    assert values["peak_handshakes"] == max(setting.queues["handshakes"]) == 2
    assert values["busy_rsa_private_s"] == setting.cpu_s_by_kind["rsa-private"]
    assert 0 < float(values["load_mean_percent"]) <= float(values["load_peak_percent"]) <= 100


def test_another_seed_is_another_storm_and_the_same_one_is_the_same(run: Run) -> None:
    first, again, other = run(), run(), run(seeds="4")
    assert (first.digest, first.values) == (again.digest, again.values)
    assert other.digest != first.digest


def test_a_storm_that_does_not_end_in_its_time_has_failed_and_tells_its_figures(run: Run) -> None:
    result = run(arrival="spread:3600", for_s="1")
    assert (result.outcome, result.message) == ("failed", "not all phones were registered within 1 s")
    assert result.values["registered"] == 0
    assert result.values["verdict"] == "not all in time"
    assert "all_registered_s" not in result.values
    assert len(result.digest) == 64
    assert result.virtual_ms == 1_000


def test_settings_of_one_seed_share_their_phones_keys(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[Any] = []

    def find(names: Any, known: Any, jobs: int) -> None:
        wanted = list(names)
        searched.extend(name for name in wanted if name not in known)
        find_keys(wanted, known, jobs)

    monkeypatch.setattr(storm_module, "find_keys", find)
    monkeypatch.setattr(storm_module, "_keys", {})
    run(phones="1")
    run(phones="2", mutual="false")
    assert [name.name for name in searched] == ["ca", "registrar", "phone-0001", "phone-0002"]
    run(seeds="4", phones="1")
    assert {name.seed for name in storm_module._keys} == {4}, "keys of a seed that has passed are let go"


# -- from the command to the file


def test_a_sweep_of_storms_is_a_table_and_a_row_per_run(command: Any) -> None:
    words = ["--seeds", "3:5", "--phones", "1,2", "--mutual", "true,false"]
    code, out, err = command(*words, "--out", "r.csv")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("model  key_bits  phones  mutual  cases  failed  errors  all_registered_s")
    assert [line.split()[2:5] for line in lines[1:5]] == [
        ["1", "false", "2"],
        ["1", "true", "2"],
        ["2", "false", "2"],
        ["2", "true", "2"],
    ]
    assert command(*words, "--out", "r.csv")[1].splitlines()[-2].endswith("8 were there before")
    with open("r.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["phones"], row["mutual"], row["seed"]) for row in rows[:3]] == [
        ("1", "false", "3"),
        ("1", "false", "4"),
        ("1", "true", "3"),
    ]
    assert all(row[name] for row in rows for name in ("profile", "all_registered_s", "handshake_p99_ms", "busy_s"))


def test_parquet_csv_and_json_lines_have_the_same_rows(command: Any) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    for suffix in ("parquet", "csv", "jsonl"):
        assert command("--seeds", "3", "--phones", "1,2", "--out", f"r.{suffix}")[0] == 0
    rows = parquet.read_table("r.parquet").to_pylist()
    lines = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    with open("r.csv", newline="") as file:
        cells = list(csv.DictReader(file))
    for row, line, cell in zip(rows, lines, cells, strict=True):
        for column in row.keys() - {"host_s"}:
            assert row[column] == line[column]
            assert cell[column] in (str(row[column]), str(row[column]).lower(), "" if row[column] is None else None)


def test_the_command_of_a_failed_storm_repeats_it_exactly(command: Any) -> None:
    words = ["--seeds", "3", "--phones", "1", "--arrival", "at-once,spread:3600", "--for-s", "1"]
    code, out, _ = command(*words, "--out", "r.jsonl")
    assert code == 1
    good, bad = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert (good["outcome"], bad["outcome"]) == ("ok", "failed")
    assert f"    {bad['message']}\n  repeat: {bad['repeat']}\n" in out
    assert command(*shlex.split(bad["repeat"])[3:], "--out", "again.jsonl")[0] == 1
    again = json.loads(Path("again.jsonl").read_text())
    assert {**again, "host_s": 0} == {name: bad[name] for name in again} | {"host_s": 0}


def test_what_a_storm_does_not_have_is_not_offered(command: Any) -> None:
    _, out, _ = command("--help")
    assert "--latency-ms LIST" in out
    assert "--faults" not in out
    assert "--set" not in out
    code, _, err = command("--faults", "pull.toml")
    assert code == 2
    assert "unrecognized arguments: --faults pull.toml" in err
    code, _, err = command("--set", "phones=1")
    assert (code, err) == (2, "gatebench: --set phones=1: the scenario storm has no axes of its own\n")
