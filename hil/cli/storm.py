"""``gatebench storm``: what certificates cost a registrar when all its phones come at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hil.storm.result import SettingResult

__all__ = ["add_parser"]

OK, FAILED = 0, 1

DEFAULT_SEED = 1
"""The same for everybody, so that the results of two calls can be compared."""

LARGEST_SEED = (1 << 63) - 1

DEFAULTS: dict[str, Any] = {
    "key": [1024],
    "phone_key": 1024,
    "hash": ["sha256"],
    "profile": ["v11"],
    "model": ["ip800"],
    "phone_model": "ip232",
    "arrival": ["at-once"],
    "cut": "all",
    "share": 50,
    "line": [0],
    "loss": 0.0,
    "latency_ms": 0.1,
    "for_s": None,
}
"""Of the options that make a setting."""

EXAMPLES = """\
several values, separated by commas, for --key, --hash, --profile, --model, --arrival and --line, or both --mutual
and --no-mutual, are compared: one run each, one table, one page.

the table is in seconds, cpu each in milliseconds. 50 % to 100 %: registered so long after the power came back; storm:
from the first attempt to the last registration; cpu each: of one handshake.

examples:
  gatebench storm --phones 200 --key 1024,2048,4096 --html storm.html
  gatebench storm --key 2048 --arrival at-once,spread:60,backoff
  gatebench storm --cut registrar --loss 0.01 --latency-ms 20 --for 300 --json storm.json
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers ``storm``."""
    parser = subparsers.add_parser(
        "storm",
        help="let many phones register over TLS after a power cut, and see what certificates cost",
        description="After a power cut phones connect to a registrar over TLS and register. How long does it take, and "
        "what is the CPU spent on?",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=_run)
    add = parser.add_argument
    add("--phones", type=_whole, default=50, metavar="N", help="1 to 1000 (default: 50)")
    add(
        "--key",
        type=_numbers,
        default=DEFAULTS["key"],
        metavar="BITS",
        help="of the registrar's key: 1024 (default), 2048, 4096",
    )
    add(
        "--phone-key",
        type=_whole,
        default=DEFAULTS["phone_key"],
        metavar="BITS",
        help="of the phones' keys (default: 1024)",
    )
    add(
        "--hash",
        type=_words,
        default=DEFAULTS["hash"],
        metavar="NAME",
        help="in the certificates' signatures (default: sha256)",
    )
    add("--mutual", action="append_const", const=True, dest="mutual", help="phones must show certificates (default)")
    add("--no-mutual", action="append_const", const=False, dest="mutual", help="only the registrar shows one")
    add(
        "--profile",
        type=_words,
        default=DEFAULTS["profile"],
        metavar="NAME",
        help="of TLS: v11 (default), modern, legacy",
    )
    add("--model", type=_words, default=DEFAULTS["model"], metavar="NAME", help="the registrar (default: ip800)")
    add("--phone-model", default=DEFAULTS["phone_model"], metavar="NAME", help="the phones (default: ip232)")
    add(
        "--arrival",
        type=_words,
        default=DEFAULTS["arrival"],
        metavar="HOW",
        help="at-once (default), spread:SECONDS, backoff",
    )
    add("--cut", default=DEFAULTS["cut"], metavar="WHO", help="had no power: all (default), or the registrar alone")
    add(
        "--share",
        type=_whole,
        default=DEFAULTS["share"],
        metavar="PERCENT",
        help="of the CPU for background work (default: 50)",
    )
    add(
        "--line",
        type=_numbers,
        default=DEFAULTS["line"],
        metavar="N",
        help="phones that may wait for a handshake, more are sent away (default: 0, as the registrar sees fit)",
    )
    add(
        "--loss",
        type=_fraction,
        default=DEFAULTS["loss"],
        metavar="P",
        help="probability that a packet is lost, 0 (default) to 0.5",
    )
    add(
        "--latency-ms",
        type=_fraction,
        default=DEFAULTS["latency_ms"],
        metavar="MS",
        help="of the network, one way (default: 0.1)",
    )
    add("--seed", type=_whole, default=DEFAULT_SEED, metavar="N", help=f"of what is drawn (default: {DEFAULT_SEED})")
    add(
        "--for",
        type=_fraction,
        dest="for_s",
        metavar="SECONDS",
        help="virtual time (default: a minute past the last, 600 at most)",
    )
    add("--html", type=Path, metavar="FILE", help="write the report as a page")
    add("--json", type=Path, metavar="FILE", help="write the report as JSON")
    add("--trace", type=Path, metavar="FILE", help="write a Perfetto timeline; of one setting only")
    add("--jobs", type=_whole, metavar="N", help="processes for several settings (default: one per core)")


def _run(arguments: argparse.Namespace) -> int:
    import os

    from hil.errors import DeviceFailure, EnvironmentRefused, RackMisuse
    from hil.outputs import require_writable
    from hil.storm.comparison import compare
    from hil.storm.parameters import Parameters, variations
    from hil.storm.progress import ProgressLines

    given = vars(arguments)
    if not 0 <= arguments.seed <= LARGEST_SEED:
        raise RackMisuse(f"seed {arguments.seed}: must be 0 to {LARGEST_SEED}")
    jobs = os.cpu_count() or 1 if arguments.jobs is None else arguments.jobs
    if not 1 <= jobs <= 256:
        raise RackMisuse(f"jobs {jobs}: must be 1 to 256")
    plain = ("phones", "phone_key", "phone_model", "cut", "share", "loss", "latency_ms", "for_s")
    axes: dict[str, list[Any]] = {
        name: given[name] for name in ("model", "profile", "arrival", "line", "hash", "key") if given[name]
    }
    axes["mutual"] = given["mutual"] or [True]
    settings = variations(Parameters(**{name: given[name] for name in plain}), axes)
    if arguments.trace is not None and len(settings) > 1:
        raise RackMisuse(f"trace {arguments.trace}: {len(settings)} settings, a timeline holds 1")
    require_writable({"--json": arguments.json, "--html": arguments.html, "--trace": arguments.trace})
    lines = ProgressLines([label for label, _ in settings], sys.stderr)
    kept: dict[str, SettingResult] = {}
    try:
        try:
            results = compare(
                settings,
                arguments.seed,
                jobs=jobs,
                watch=lines.watch,
                keep=lambda result: kept.update({result.label: result}),
                trace=arguments.trace,
            )
        finally:
            lines.close()
    except (DeviceFailure, EnvironmentRefused):
        if kept:  # one setting fails, and the hours that the others took are not lost
            _report(arguments, [kept[label] for label, _ in settings if label in kept], interrupted=True)
        raise
    interrupted = len(results) < len(settings) or any(result.outcome == "interrupted" for result in results)
    _report(arguments, results, interrupted)
    return FAILED if interrupted else OK


def _report(arguments: argparse.Namespace, results: Sequence[SettingResult], interrupted: bool) -> None:
    """Prints what was measured, and writes the files that were asked for."""
    from hil.outputs import write_output
    from hil.storm.result import StormResult
    from hil.storm.table import text_from_result

    report = StormResult(_command(arguments), arguments.seed, tuple(results), interrupted)
    print(text_from_result(report), flush=True)
    if arguments.json is not None:
        write_output(arguments.json, report.text())
    if arguments.html is not None and results:
        _write_page(report, arguments.html)


def _write_page(report: Any, path: Path) -> None:
    from hil.outputs import write_output
    from hil.storm.page import page_from_result

    write_output(path, page_from_result(report))


def _command(arguments: argparse.Namespace) -> str:
    """The command that makes the same report again: what differs from the defaults, and the seed."""
    words = ["gatebench", "storm", "--phones", str(arguments.phones)]
    for name, default in DEFAULTS.items():
        value = getattr(arguments, name)
        if value != default and value is not None:
            text = ",".join(map(str, value)) if isinstance(value, list) else f"{value:g}" if name == "for_s" else value
            words += ["--for" if name == "for_s" else f"--{name.replace('_', '-')}", str(text)]
    words += ["--mutual" if mutual else "--no-mutual" for mutual in arguments.mutual or []]
    return " ".join([*words, "--seed", str(arguments.seed)])


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _numbers(text: str) -> list[int]:
    return [_whole(word) for word in _words(text)]


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise argparse.ArgumentTypeError(f"{text!r}: must be values with commas between them, none of them empty")
    return words


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return value
