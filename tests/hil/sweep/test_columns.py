"""Results as one file: columns, their types, and the same rows in all three formats."""

from __future__ import annotations

import builtins
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from hil.errors import EnvironmentRefused, RackMisuse
from hil.sweep.case import Case, Result
from hil.sweep.columns import FORMATS, require_format, rows_from_results, write_results

FIXED = ["scenario", "seed", "model", "key_bits", "hash", "faults"]
TOLD = ["outcome", "message", "virtual_ms", "host_s", "digest", "repeat"]


def test_columns_are_axes_then_outcome_then_values_in_their_order(make_results: Any) -> None:
    _, columns = rows_from_results(make_results({"b": 1, "a": 2}, {"c": 3}))
    assert list(columns) == [*FIXED, *TOLD, "b", "a", "c"]


def test_axes_of_a_users_own_follow_ours_though_only_some_rows_have_them() -> None:
    results = [
        Result(Case("s", 1), "ok", values={"x": 1}),
        Result(Case("s", 1, extra=(("phones", "10"),)), "ok", values={"x": 1}),
    ]
    rows, columns = rows_from_results(results)
    assert list(columns) == [*FIXED, "phones", *TOLD, "x"]
    assert [row.get("phones") for row in rows] == [None, 10]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1, 2), int),
        ((1, 2.5), float),
        ((2.5, 1), float),
        ((True, False), bool),
        ((True, 1), str),
        (("x", 1), str),
        ((1, 2.5, "x"), str),
    ],
)
def test_a_column_has_one_type(make_results: Any, values: tuple[Any, ...], kind: type) -> None:
    _, columns = rows_from_results(make_results(*({"v": value} for value in values)))
    assert columns["v"] is kind


def test_rows_are_sorted_by_model_key_and_seed_whoever_came_first(make_results: Any) -> None:
    results = [*make_results({"x": 0}, {"x": 1}, model="ip800"), *make_results({"x": 2}, {"x": 3}, model="ip305")]
    rows, _ = rows_from_results(reversed(results))
    assert [(row["model"], row["seed"]) for row in rows] == [("ip305", 0), ("ip305", 1), ("ip800", 0), ("ip800", 1)]


def test_rows_of_a_users_axis_are_sorted_by_what_its_values_are_worth() -> None:
    texts = ["200", "wide", "9", "50.5", "-1", "true", "1e2"]
    results = [Result(Case("s", 1, extra=(("phones", text),)), "ok") for text in texts]
    rows, _ = rows_from_results(results)
    assert [row["phones"] for row in rows] == [-1, True, 9, 50.5, 100.0, 200, "wide"]


def test_what_tells_model_files_apart_comes_after_what_all_rows_have() -> None:
    results = [
        Result(Case("s", 1), "ok", values={"x": 1}),
        Result(Case("s", 1, "./lab.toml", digests=(("model", "abc"),)), "ok", values={"x": 1}),
    ]
    rows, columns = rows_from_results(results)
    assert list(columns) == [*FIXED, *TOLD, "model_sha256", "x"]
    assert [(row["model"], row.get("model_sha256")) for row in rows] == [("./lab.toml", "abc"), ("ip800", None)]


def test_parquet_has_typed_columns_and_nulls(tmp_path: Path, make_results: Any) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    out = tmp_path / "r.parquet"
    results = make_results(
        {"n": 1, "f": 2, "t": "a", "b": True, "mixed": 1},
        {"n": (1 << 63) - 1, "f": 0.5, "t": "ä\n", "b": False, "mixed": "x"},
        {"n": -1},
    )
    write_results(out, results, {"gatebench.scenario": "mine.py:quick"})
    table = parquet.read_table(out)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert list(kinds) == [*FIXED, *TOLD, "n", "f", "t", "b", "mixed"]
    assert [kinds[name] for name in FIXED] == ["string", "int64", "string", "int64", "string", "string"]
    assert [kinds[name] for name in TOLD] == ["string", "string", "double", "double", "string", "string"]
    assert [kinds[name] for name in ("n", "f", "t", "b", "mixed")] == ["int64", "double", "string", "bool", "string"]
    rows = table.to_pylist()
    assert [row["n"] for row in rows] == [1, (1 << 63) - 1, -1]
    assert [row["f"] for row in rows] == [2.0, 0.5, None]
    assert [row["t"] for row in rows] == ["a", "ä\n", None]
    assert [row["b"] for row in rows] == [True, False, None]
    assert [row["mixed"] for row in rows] == ["1", "x", None]
    assert rows[0]["repeat"].startswith("gatebench sweep mine.py:quick --seeds 0 ")
    assert table.schema.metadata[b"gatebench.scenario"] == b"mine.py:quick"


def test_csv_and_json_lines_hold_the_same(tmp_path: Path, make_results: Any) -> None:
    results = make_results({"f": 2, "b": True, "t": 'a "b"\nc'}, {"f": 0.5})
    for suffix in (".csv", ".jsonl"):
        write_results(tmp_path / f"r{suffix}", results, {})
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line["f"] for line in lines] == [2.0, 0.5]
    assert [line["b"] for line in lines] == [True, None]
    with (tmp_path / "r.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [list(row) for row in cells] == [list(line) for line in lines]
    assert [(row["f"], row["b"], row["t"]) for row in cells] == [("2.0", "true", 'a "b"\nc'), ("0.5", "", "")]


def test_no_draft_is_left_where_writing_fails(
    tmp_path: Path, make_results: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *rest: Any) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(FORMATS, ".csv", full)
    with pytest.raises(EnvironmentRefused, match=r"r\.csv: cannot be written: no space left on device"):
        write_results(tmp_path / "r.csv", make_results({"x": 1}), {})
    assert list(tmp_path.iterdir()) == []


def test_another_suffix_is_refused_before_the_work_begins(tmp_path: Path) -> None:
    with pytest.raises(RackMisuse, match=r"--out r\.xlsx: must end in \.parquet, \.csv, \.jsonl"):
        require_format(Path("r.xlsx"))
    with pytest.raises(EnvironmentRefused, match="there is no folder gone"):
        require_format(Path("gone/r.csv"))


def test_without_pyarrow_parquet_is_refused_and_csv_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "pyarrow")
    with pytest.raises(EnvironmentRefused, match=r"pip install 'gatebench\[sweep\]', or name a file \.csv or \.jsonl"):
        require_format(Path("r.parquet"))
    require_format(Path("r.csv"))
    require_format(Path("r.jsonl"))


def _hide(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Makes a package missing."""
    from hil.sweep import columns

    def import_module(wanted: str) -> Any:
        if wanted.partition(".")[0] == name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return builtins.__import__(wanted)

    monkeypatch.setattr(columns, "import_module", import_module)


def test_a_folder_of_that_name_is_refused_before_the_work_begins(tmp_path: Path) -> None:
    (tmp_path / "r.csv").mkdir()
    with pytest.raises(EnvironmentRefused, match="is a directory"):
        require_format(tmp_path / "r.csv")
