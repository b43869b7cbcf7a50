"""Results as one file: a row per case, a column per axis and per value; Parquet, or CSV or JSON lines by the suffix.

The columns, in this order: the axes, ``outcome``, ``message``, ``virtual_ms``, ``host_s``, ``digest``, ``repeat``,
``model_sha256`` where a model file was among the models, and what the scenario measured, in the order in which it first
did. A value that a case does not have is null (CSV: empty).
Rows are sorted by their axes; but for ``host_s`` the same sweep gives the same file, whoever ran it.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror
from hil.sweep.case import Result, Value, value_from_text

__all__ = ["FORMATS", "require_format", "rows_from_results", "write_results"]

PARQUET = ".parquet"

Row = dict[str, Value]
Columns = Mapping[str, type]
"""Each column's type, in their order."""


def require_format(out: Path) -> None:
    """Returns when results can be written to such a file here; it is asked before the work begins.

    Raises:
        RackMisuse: the suffix is none of ours.
        EnvironmentRefused: what it takes is not installed, or there is no such folder, or one of that name.
    """
    if out.suffix not in FORMATS:
        raise RackMisuse(f"--out {out}: must end in {', '.join(FORMATS)}")
    if not out.parent.is_dir():
        raise EnvironmentRefused(f"--out {out}: there is no folder {out.parent}")
    if out.is_dir():
        raise EnvironmentRefused(f"--out {out}: is a directory")
    if out.suffix == PARQUET:
        _pyarrow()


def rows_from_results(results: Iterable[Result]) -> tuple[list[Row], dict[str, type]]:
    """Rows and columns of results, sorted by their axes."""
    rows: list[Row] = []
    axes: dict[str, type] = {}
    ours: dict[str, type] = {}
    measured: dict[str, type] = {}
    for result in sorted(results, key=_order):
        case = result.case
        told: Row = {
            "outcome": result.outcome,
            "message": result.message,
            "virtual_ms": result.virtual_ms,
            "host_s": result.host_s,
            "digest": result.digest,
            "repeat": case.repeat,
        }
        told.update((f"{axis}_sha256", digest) for axis, digest in case.digests)
        for columns, values in ((axes, case.axes), (ours, told), (measured, result.values)):
            _merge(columns, values)
        rows.append({**case.axes, **told, **result.values})
    return rows, {**axes, **ours, **measured}


def write_results(out: Path, results: Iterable[Result], facts: Mapping[str, str]) -> None:
    """Writes the file, whole or not at all.

    Args:
        facts: about the sweep; Parquet keeps them with the columns.

    Raises:
        EnvironmentRefused: the host does not let us.
    """
    rows, columns = rows_from_results(results)
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        FORMATS[out.suffix](draft, rows, columns, facts)
        os.replace(draft, out)
    except OSError as error:
        raise EnvironmentRefused(f"--out {out}: cannot be written: {reason_from_oserror(error)}") from error
    finally:
        draft.unlink(missing_ok=True)


def _order(result: Result) -> Any:
    case = result.case
    extra = [(name, _rank(text)) for name, text in case.extra]
    return case.scenario, case.model, case.key_bits, case.hash, case.faults, extra, case.seed


def _rank(text: str) -> tuple[bool, Value, str]:
    """Numbers before texts, and by what they are worth: 50 phones before 200."""
    value = value_from_text(text)
    return isinstance(value, str), value, text


def _merge(columns: dict[str, type], values: Mapping[str, Value]) -> None:
    """Adds a row's values to the columns: int and float are float together, anything else together is text."""
    for name, value in values.items():
        known, new = columns.get(name, type(value)), type(value)
        if known is not new:
            known = float if {known, new} == {int, float} else str
        columns[name] = known


def _cell(value: Value | None, kind: type) -> Value | None:
    if value is None or type(value) is kind:
        return value
    return float(value) if kind is float else json.dumps(value)


def _write_parquet(path: Path, rows: list[Row], columns: Columns, facts: Mapping[str, str]) -> None:
    pa = _pyarrow()
    kinds = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()], metadata=dict(facts))
    cells = {name: [_cell(row.get(name), kind) for row in rows] for name, kind in columns.items()}
    with path.open("wb") as file:  # by a file of ours, whose errors are told in Python's words
        pa.parquet.write_table(pa.table(cells, schema=schema), file)


def _write_csv(path: Path, rows: list[Row], columns: Columns, facts: Mapping[str, str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for row in rows:
            table.writerow(_csv_cell(_cell(row.get(name), kind)) for name, kind in columns.items())


def _csv_cell(value: Value | None) -> Value | None:
    return ("false", "true")[value] if isinstance(value, bool) else value


def _write_jsonl(path: Path, rows: list[Row], columns: Columns, facts: Mapping[str, str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            cells = {name: _cell(row.get(name), kind) for name, kind in columns.items()}
            file.write(json.dumps(cells, ensure_ascii=False) + "\n")


def _pyarrow() -> Any:
    """pyarrow with its Parquet part. Loaded only when Parquet is written; it has no types."""
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError as error:
        text = "Parquet needs pyarrow: pip install 'gatebench[sweep]', or name a file .csv or .jsonl"
        raise EnvironmentRefused(text) from error


FORMATS: dict[str, Callable[[Path, list[Row], Columns, Mapping[str, str]], None]] = {
    PARQUET: _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
}
"""How each suffix is written."""
