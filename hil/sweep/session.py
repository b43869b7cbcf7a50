"""One sweep from its grid to its results: runs what the journal does not have, and writes the columns at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from hil.errors import EnvironmentRefused
from hil.sweep.case import Case, Result
from hil.sweep.columns import require_format, write_results
from hil.sweep.engine import Engine, closing, results
from hil.sweep.grid import Grid
from hil.sweep.journal import Journal
from hil.sweep.scenario import Scenario
from hil.sweep.summary import Progress

__all__ = ["Finished", "run_sweep"]


@dataclass(frozen=True)
class Finished:
    """A sweep that has ended.

    Attributes:
        results: of the grid, in its order.
        ran: how many of them were run this time.
        wall_s: how long that took.
        interrupted: Ctrl-C ended it; results are those that there are.
    """

    results: list[Result]
    ran: int
    wall_s: float
    interrupted: bool = False


def run_sweep(
    scenario: Scenario,
    grid: Grid,
    make_engine: Callable[[], Engine],
    *,
    out: Path | None = None,
    fresh: bool = False,
    retry_errors: bool = False,
    progress_to: TextIO | None = None,
) -> Finished:
    """Runs all cases of the grid that are not in the journal of ``out``; without ``out`` all of them.

    Args:
        fresh: forget the journal, and begin anew.
        retry_errors: run those again that ended with an error (not those that failed: they would again).

    Raises:
        RackMisuse: the journal is of another experiment.
        EnvironmentRefused: files cannot be written, or there is no engine; if that is in the middle, results are kept.
    """
    with ExitStack() as stack:
        journal: Journal | None = None
        known: dict[Case, Result] = {}
        if out is not None:
            require_format(out)
            journal = stack.enter_context(Journal(out, scenario, grid, fresh=fresh))
            known = {
                case: result
                for case, result in journal.results.items()
                if result.outcome != "error" or not retry_errors
            }
        cases = list(grid)
        missing = [case for case in cases if case not in known]
        done: dict[Case, Result] = {case: known[case] for case in cases if case in known}
        progress = Progress(progress_to or sys.stderr, len(missing), len(done))
        began_s = time.monotonic()

        def keep(batch: list[Result]) -> None:
            if journal is not None:
                journal.add(batch)
            done.update((result.case, result) for result in batch)
            progress.add(batch)

        try:
            whole = _run(make_engine, scenario, missing, keep)
            wall_s = time.monotonic() - began_s
            if journal is not None and out is not None and whole:
                write_results(out, journal.results.values(), {"gatebench.scenario": scenario.name})
        except EnvironmentRefused as refusal:
            kept = ""
            if journal is not None:
                kept = f"; {len(done):,} of {len(cases):,} cases are kept in {journal.path}: the same command goes on"
            raise EnvironmentRefused(f"{refusal}{kept}") from refusal
        finally:
            progress.end()
        ran = len(done) - len(cases) + len(missing)
        return Finished([done[case] for case in cases if case in done], ran, wall_s, not whole)


def _run(
    make_engine: Callable[[], Engine], scenario: Scenario, cases: list[Case], keep: Callable[[list[Result]], None]
) -> bool:
    """Runs cases; ``keep`` hears of each batch of results. False when Ctrl-C ended it."""
    try:
        if cases:
            with closing(make_engine()) as engine:
                for batch in results(engine, scenario, cases):
                    keep(batch)
    except KeyboardInterrupt:
        return False
    return True
