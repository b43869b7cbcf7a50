"""``gatebench sweep``: things tried in every way there is, and counted."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

__all__ = ["add_parser"]

OK, FAILED = 0, 1

EXAMPLES = """\
examples:
  gatebench sweep powerloss                   a first impression
  gatebench sweep powerloss --full            every card and flash operation, cut everywhere
  gatebench sweep powerloss --seed 7 --only fat16/create/ones/12/0
                                              one state again, as a failure prints it
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers ``sweep`` with its commands."""
    parser = subparsers.add_parser(
        "sweep",
        help="cut the power at every write of every operation, and count what is lost",
        description="Try something in every way there is, and count.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="sweep_command", metavar="COMMAND", required=True)
    text = "cut every operation on card and flash at write 1, 2, 3 ..., under every failure model"
    powerloss = commands.add_parser("powerloss", help=text, description=text[0].upper() + text[1:] + ".")
    powerloss.add_argument("--full", action="store_true", help="all volumes and more samples: two minutes or so")
    powerloss.add_argument("--json", metavar="FILE", type=Path, help="write the report there, too")
    powerloss.add_argument(
        "--seed", type=_seed, metavar="N", help="of what is drawn (default: a new one, which is told)"
    )
    powerloss.add_argument("--only", metavar="STATE", help="judge this one state again")
    powerloss.add_argument("--jobs", type=int, metavar="N", help="processes (default: one per core)")
    powerloss.add_argument("--boards", type=int, default=12, metavar="N", help="cuts of whole boards (default: 12)")
    powerloss.set_defaults(run=_powerloss)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed: a whole number from 0")
    return int(text)


def _powerloss(args: argparse.Namespace) -> int:
    from hil.sweep.powerloss import FULL, REDUCED, json_from_tally, text_from_tally
    from hil.sweep.powerloss.job import draw_seed
    from hil.sweep.powerloss.run import repeat, sweep

    seed = draw_seed() if args.seed is None else args.seed
    began = time.perf_counter()
    if args.only:
        tally = repeat(args.only, FULL, seed)
    else:
        effort = FULL if args.full else REDUCED
        tally = sweep(effort, seed, processes=args.jobs, boards=args.boards if args.full else min(args.boards, 2))
    wall_s = time.perf_counter() - began
    print(text_from_tally(tally, seed, wall_s))
    if args.json is not None:
        args.json.write_text(json.dumps(json_from_tally(tally, seed, wall_s), indent=2) + "\n")
    sys.stdout.flush()
    return FAILED if tally.failures else OK
