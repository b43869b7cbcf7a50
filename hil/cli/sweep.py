"""``gatebench sweep``: things tried in every way there is, and counted."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.sweep.engine import Engine
    from hil.sweep.scenario import Scenario

__all__ = ["add_parser"]

OK, FAILED = 0, 1

MOST_BOARDS = 10_000
"""Cuts of whole boards in one sweep: each takes a tenth of a second or more."""

EXAMPLES = """\
scenarios:
  certificates        a box's life with its certificates: keys, a CA on the card, a connection, a power cycle
  storm               all phones of a registrar come back after a power cut, as with gatebench storm
  powerloss           every operation on card and flash, cut at every write, under every failure model
  FILE.py:FUNCTION    your own: function(case, bench) gives a mapping of names to numbers and texts

Each scenario has its own options: gatebench sweep certificates --help

examples:
  gatebench sweep certificates --seeds 0:100 --models ip800,ip305 --keys 1024,2048 --out results.parquet
  gatebench sweep certificates --seeds 0:50 --faults none,pull.toml --out results.csv
  gatebench sweep storm --seeds 0:20 --keys 1024,2048,4096 --phones 50,200 --mutual true,false --out storms.parquet
  gatebench sweep phones.py:register --seeds 0:20 --set phones=10,100 --cluster tcp://10.0.0.1:8786
  gatebench sweep powerloss --full
"""

GRID_EXAMPLES = """\
Every combination of the axes is a case. With --out, results are kept while the sweep runs, in FILE.journal: broken off
however, the same command goes on where it was, and a larger grid adds to it. FILE is written at the end.
"""

POWERLOSS_EXAMPLES = """\
examples:
  gatebench sweep powerloss                   a first impression
  gatebench sweep powerloss --full            every card and flash operation, cut everywhere
  gatebench sweep powerloss --seed 7 --only fat16/create/ones/12/0
                                              one state again, as a failure prints it
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers ``sweep``. Its scenarios are not known by name, so each is parsed when it is."""
    parser = subparsers.add_parser(
        "sweep",
        help="try something over seeds, models, keys and faults; or cut the power at every write",
        description="Try something in every way there is, and count.",
        usage="gatebench sweep SCENARIO [OPTIONS]",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="what is done in each case")
    options = parser.add_argument("options", nargs=argparse.REMAINDER, metavar="OPTIONS", help="of the scenario")
    options.required = False  # or it would be called so where the scenario is missing
    parser.set_defaults(run=lambda args: _run(args, type(parser)))


def _run(args: argparse.Namespace, parser_class: type[argparse.ArgumentParser]) -> int:
    from hil.sweep.scenario import BUILT_IN

    powerloss = args.scenario == "powerloss"
    scenario = BUILT_IN.get(args.scenario)
    parser = parser_class(
        prog=f"gatebench sweep {args.scenario}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=POWERLOSS_EXAMPLES if powerloss else GRID_EXAMPLES,
        allow_abbrev=False,
    )
    if powerloss:
        _add_powerloss_options(parser)
    else:
        _add_grid_options(parser, scenario)
    try:
        options = parser.parse_args(args.options)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 2
    return _powerloss(options) if powerloss else _sweep(args.scenario, options)


# -- grids


def _add_grid_options(parser: argparse.ArgumentParser, scenario: Scenario | None) -> None:
    """Those of one of our scenarios, or, without one, of a user's."""
    from hil.sweep.case import NO_FAULTS, option_of_axis

    parser.description = None if scenario is None else scenario.about
    axes = parser.add_argument_group("the grid")
    axes.add_argument("--seeds", metavar="LIST", default="0:10", help="0:100 (without 100), 1,2,7 (default: 0:10)")
    axes.add_argument("--models", metavar="LIST", default="ip800", help="models, or model files (default: ip800)")
    axes.add_argument("--keys", metavar="LIST", default="1024", help="of 1024, 2048, 4096 (default: 1024)")
    axes.add_argument("--hashes", metavar="LIST", default="SHA256", help="MD5 to SHA512 (default: SHA256)")
    if scenario is None or scenario.faults:
        axes.add_argument(
            "--faults", metavar="LIST", default=NO_FAULTS, help="fault plans: TOML files, none (default: none)"
        )
    for axis in () if scenario is None else scenario.axes:
        default = f" (default: {axis.default})" if axis.default else ""
        axes.add_argument(option_of_axis(axis.name), metavar="LIST", default=axis.default, help=axis.about + default)
    about = "a further axis, for a scenario of your own" if scenario is None else argparse.SUPPRESS
    axes.add_argument("--set", metavar="NAME=LIST", action="append", default=[], help=about)
    output = parser.add_argument_group("results")
    output.add_argument("--out", metavar="FILE", type=Path, help=".parquet (needs gatebench[sweep]), .csv or .jsonl")
    output.add_argument("--fresh", action="store_true", help="forget what FILE and its journal hold")
    output.add_argument("--retry-errors", action="store_true", help="run those cases of the journal again")
    work = parser.add_argument_group("workers")
    work.add_argument("--jobs", metavar="N", type=_jobs, help="processes (default: one per core)")
    work.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, help="host time that a case may take (default: any)"
    )
    work.add_argument(
        "--cluster", metavar="ADDRESS", help="a Dask scheduler's, tcp://HOST:8786; local starts one (gatebench[sweep])"
    )


def _sweep(name: str, args: argparse.Namespace) -> int:
    from hil.errors import RackMisuse
    from hil.sweep.case import NO_FAULTS
    from hil.sweep.grid import grid_from_texts
    from hil.sweep.scenario import scenario_named
    from hil.sweep.session import run_sweep
    from hil.sweep.summary import counts_text, failures_text, table_text

    scenario = replace(scenario_named(name), limit_s=args.timeout)
    if args.set and not scenario.own_axes:
        raise RackMisuse(f"--set {args.set[0]}: the scenario {name} has no axes of its own")
    if args.out is None and (args.fresh or args.retry_errors):
        raise RackMisuse("--fresh and --retry-errors are about the file of --out, and there is none")
    grid = grid_from_texts(
        name,
        seeds=args.seeds,
        models=args.models,
        keys=args.keys,
        hashes=args.hashes,
        faults=args.faults if scenario.faults else NO_FAULTS,
        settings=args.set,
        own={axis: getattr(args, axis.name) for axis in scenario.axes},
    )
    with _ended_like_ctrl_c():
        finished = run_sweep(
            scenario, grid, _engine(args), out=args.out, fresh=args.fresh, retry_errors=args.retry_errors
        )
    if finished.results:
        print(table_text(finished.results, scenario.measures))
    failures = failures_text(finished.results)
    if failures:
        print(f"\n{failures}")
    print(f"\n{counts_text(finished.results, finished.ran, finished.wall_s)}")
    sys.stdout.flush()
    if finished.interrupted:
        kept = "nothing is kept without --out" if args.out is None else "what is done is kept: the same command goes on"
        print(f"gatebench: interrupted after {len(finished.results):,} of {len(grid):,} cases; {kept}", file=sys.stderr)
        return FAILED
    if args.out is not None:
        print(f"written: {args.out}")
    return FAILED if failures else OK


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Within, SIGTERM ends a sweep as Ctrl-C does: it says how it goes on, and leaves nothing behind."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _engine(args: argparse.Namespace) -> Callable[[], Engine]:
    def make() -> Engine:
        if args.cluster is not None:
            from hil.sweep.cluster import ClusterEngine

            return ClusterEngine(args.cluster, args.jobs)
        from hil.sweep.engine import LocalEngine

        return LocalEngine(args.jobs)

    return make


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no time limit: above 0, up to 1000000 s")
    return value


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 1_024:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes: 1 to 1024")
    return int(text)


# -- power losses


def _add_powerloss_options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Cut every operation on card and flash at write 1, 2, 3 ..., under every failure model."
    parser.add_argument("--full", action="store_true", help="all volumes and more samples: two minutes or so")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report there, too")
    parser.add_argument("--seed", type=_seed, metavar="N", help="of what is drawn (default: a new one, which is told)")
    parser.add_argument("--only", metavar="STATE", help="judge this one state again")
    parser.add_argument("--jobs", type=_jobs, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--boards", type=_boards, default=12, metavar="N", help="cuts of whole boards (default: 12)")


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed: a whole number from 0")
    return int(text)


def _boards(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) <= MOST_BOARDS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of cuts: 0 to {MOST_BOARDS}")
    return int(text)


def _powerloss(args: argparse.Namespace) -> int:
    from hil.outputs import require_writable, write_output
    from hil.sweep.powerloss import FULL, REDUCED, json_from_tally, text_from_tally
    from hil.sweep.powerloss.job import draw_seed
    from hil.sweep.powerloss.run import repeat, sweep

    require_writable({"--json": args.json})
    seed = draw_seed() if args.seed is None else args.seed
    began = time.perf_counter()
    try:
        with _ended_like_ctrl_c():
            if args.only:
                tally = repeat(args.only, FULL, seed)
            else:
                effort = FULL if args.full else REDUCED
                boards = args.boards if args.full else min(args.boards, 2)
                tally = sweep(effort, seed, processes=args.jobs, boards=boards)
    except KeyboardInterrupt:
        print("gatebench: interrupted: power losses are counted as a whole, nothing is kept", file=sys.stderr)
        return FAILED
    wall_s = time.perf_counter() - began
    print(text_from_tally(tally, seed, wall_s))
    if args.json is not None:
        write_output(args.json, json.dumps(json_from_tally(tally, seed, wall_s), indent=2) + "\n")
    sys.stdout.flush()
    return FAILED if tally.failures else OK
