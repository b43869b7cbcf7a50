"""The journal of a sweep: results as they come, in a file beside the one that they end in.

::

    results.parquet.journal
        {"journal": 2, "scenario": "certificates", "code": ...}                       what the results are of
        {"input": "pull.toml", "sha256": ...}                                         and of which files
        {"seed": 17, "model": "ip305", ..., "outcome": "ok", "values": {...}}         one line per case
        {"seed": 18, "mod                                                             a line that was being written

A line counts when it is whole. Whoever kills us loses what was running; whoever pulls the plug, half a second besides.
The same scenario goes on with the same journal, whatever the grid: cases that are in it are not run again, and others
come in beside them. What is not the same thing any more (another text of the scenario, of a plan or of a model, another
gatebench) is refused: a column must not mix two experiments.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror
from hil.sweep.case import OUTCOMES, Case, Result
from hil.sweep.grid import Grid
from hil.sweep.scenario import Scenario
from hil.sweep.work import code_fingerprint

__all__ = ["Journal", "journal_path"]

FORMAT = 2

SYNC_S = 0.5
"""At most so often is the disk waited for."""

_HEAD = {
    "journal": "it is of format {}, this program writes {}",
    "scenario": "it is of the scenario {}, not of {}",
    "program": "the scenario's file has changed since",
    "code": "it was made by another gatebench than this one",
}
"""What must be the same, and what is said where it is not."""


def journal_path(out: Path) -> Path:
    """Where the journal of a results file is."""
    return out.with_name(out.name + ".journal")


class Journal:
    """The journal of one sweep, open for more. As a context manager it is closed at its end.

    Attributes:
        results: what is in it, by case.

    Args:
        out: the results file that it belongs to.
        fresh: forget what there is, and begin anew.

    Raises:
        RackMisuse: it is of another experiment, or damaged; or there are results without a journal.
        EnvironmentRefused: another sweep is writing it, or the host does not let us.
    """

    def __init__(self, out: Path, scenario: Scenario, grid: Grid, *, fresh: bool = False) -> None:
        self.path = journal_path(out)
        self.results: dict[Case, Result] = {}
        self._unsynced_since_s: float | None = None
        if out.exists() and not self.path.exists() and not fresh:
            raise RackMisuse(f"{out} is there, but not its journal {self.path.name}: name another file, or use --fresh")
        head = {
            "journal": FORMAT,
            "scenario": scenario.name,
            "program": scenario.fingerprint,
            "code": code_fingerprint(),
        }
        try:
            # Closed by close(), and by what follows where that fails.
            # Without a buffer: what a full disk does not take would be tried again at the end, and break that, too.
            self._file = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise self._refusal(error) from error
        try:
            _lock(self._file.fileno(), self.path)
            if fresh:
                self._file.truncate(0)
            self._begin(head, grid.inputs)
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise self._refusal(error) from error
            raise

    def add(self, results: Iterable[Result]) -> None:
        """Writes results down. EnvironmentRefused when the host does not let us; none of them counts then."""
        batch = list(results)
        if batch:
            self._write(b"".join(_line(_json_from_result(result)) for result in batch))
            self.results.update((result.case, result) for result in batch)

    def sync(self) -> None:
        """Waits until all of it is on the disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._refusal(error) from error
        self._unsynced_since_s = None

    def close(self) -> None:
        """Closes it, with all that there is on the disk."""
        try:
            self.sync()
        finally:
            self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self.close()
        except EnvironmentRefused:
            if error is None:
                raise  # else something else has been said, and most likely of the same disk

    def _begin(self, head: dict[str, Any], inputs: Mapping[str, str]) -> None:
        """Reads what there is, and writes what is missing of the beginning."""
        self._file.seek(0)
        data = self._file.readall()
        lines = data.split(b"\n")[:-1]  # what follows the last line break is a line that was being written
        self._file.truncate(sum(len(line) + 1 for line in lines))
        known: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            try:
                self._read_line(json.loads(line), head if number == 1 else None, known)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise RackMisuse(f"journal {self.path}: line {number} is damaged: --fresh begins anew") from error
        for name, fingerprint in inputs.items():
            if known.get(name, fingerprint) != fingerprint:
                self._refuse(f"{name} has changed since")
        beginning = [] if lines else [head]
        beginning += [{"input": name, "sha256": inputs[name]} for name in inputs if name not in known]
        if beginning:
            self._write(b"".join(_line(values) for values in beginning))
            self.sync()

    def _read_line(self, values: dict[str, Any], head: dict[str, Any] | None, known: dict[str, str]) -> None:
        if head is not None:
            for name, what in _HEAD.items():
                if values[name] != head[name]:
                    self._refuse(what.format(values[name], head[name]))
        elif "input" in values:
            known[values["input"]] = values["sha256"]
        else:
            result = _result_from_json(values)
            self.results[result.case] = result

    def _refuse(self, why: str) -> NoReturn:
        raise RackMisuse(f"journal {self.path}: {why}: name another --out, or begin anew with --fresh")

    def _refusal(self, error: OSError) -> EnvironmentRefused:
        return EnvironmentRefused(f"journal {self.path}: cannot be written: {reason_from_oserror(error)}")

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise self._refusal(error) from error
        now_s = time.monotonic()
        if self._unsynced_since_s is None:
            self._unsynced_since_s = now_s
        elif now_s - self._unsynced_since_s > SYNC_S:
            self.sync()


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _json_from_result(result: Result) -> dict[str, Any]:
    values = {field.name: getattr(result, field.name) for field in fields(Result)}
    case = result.case
    return {
        **{field.name: getattr(case, field.name) for field in fields(Case) if field.compare},
        **{name: value for name, value in values.items() if name != "case"},
    }


def _result_from_json(values: dict[str, Any]) -> Result:
    """KeyError, TypeError or ValueError where it is none."""
    case = {field.name: values.pop(field.name) for field in fields(Case) if field.compare}
    for axes in ("extra", "digests"):
        case[axes] = tuple((name, text) for name, text in case[axes])
    if values["outcome"] not in OUTCOMES:
        raise ValueError(values["outcome"])
    return Result(Case(**case), **values)


def _lock(file: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows; two sweeps on one file are rare enough
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise EnvironmentRefused(f"journal {path}: another sweep is writing it") from error
