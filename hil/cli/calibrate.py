"""``gatebench calibrate``: a board model from handshake times, those of a table or of a board that is measured now."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from board import Model
    from hil.livecalibration import Plan

__all__ = ["add_parser"]

EPILOG = """\
TABLE is a CSV file, one measured handshake per row (whole server handshake, RSA key exchange, no client certificate):

  key_bits,milliseconds,weight
  1024,52.6
  2048,315
  4096,1892.5,2

A weight is optional, several rows of a key length are welcome. With --live the table is measured and written: over its
console the board is told to make certificates (of a name of their own, taken away afterwards), and its handshakes are
timed.

examples:
  gatebench calibrate handshakes.csv --model lab
  gatebench calibrate --live 192.0.2.7:443 --console /dev/ttyUSB0 --model lab
  gatebench calibrate --live 192.0.2.7:443 --console rfc2217://rack:4322 --keys 1024,2048,4096 --model lab lab.csv
  gatebench run --model ./lab.toml                 a board with these costs
"""

DEFAULT_BASE = "ip800"

ONLY_LIVE = ("console", "keys", "count", "target", "user", "password", "baud")
"""Options that say nothing about a table that is there."""

DEFAULT_BAUD = 115_200


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers ``calibrate``."""
    parser = subparsers.add_parser(
        "calibrate",
        help="fit a board model's CPU costs to measured handshake times",
        description="Fit a board model's CPU costs to measured handshake times, and say how good the fit is.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=_run)
    parser.add_argument(
        "table",
        metavar="TABLE",
        nargs="?",
        help="CSV file: key_bits,milliseconds[,weight]; with --live it is written (default: NAME.csv)",
    )
    parser.add_argument("--model", metavar="NAME", required=True, help="what the calibrated model is called")
    parser.add_argument("--out", metavar="FILE", help="where it is written (default: NAME.toml); its costs/ beside it")
    parser.add_argument(
        "--base",
        metavar="MODEL",
        help=f"the model that all else is taken from (default: NAME if there is such a model, or {DEFAULT_BASE})",
    )
    parser.add_argument("--mhz", metavar="N", type=_mhz, help="the real board's clock rate, if you know it")
    live = parser.add_argument_group("measured live")
    live.add_argument("--live", metavar="HOST:PORT", type=_address, help="time handshakes with this HTTPS port")
    live.add_argument("--console", metavar="URL", help="the same board's: /dev/ttyUSB0, rfc2217://..., socket://...")
    live.add_argument("--keys", metavar="LIST", type=_keys, help="key lengths (default: 1024,2048)")
    live.add_argument("--count", metavar="N", type=_whole_number, help="handshakes per key length (default: 20)")
    live.add_argument(
        "--target", metavar="NAME", help="whose certificate is made: a domain, or device (default: calibration.invalid)"
    )
    live.add_argument("--user", metavar="NAME", help="who logs in (default: admin)")
    live.add_argument("--password", metavar="TEXT", help="- asks for it (default: the base model's name)")
    live.add_argument("--baud", metavar="N", type=_whole_number, help=f"of the serial line (default: {DEFAULT_BAUD})")


def _run(arguments: argparse.Namespace) -> int:
    from board import model_named
    from board.model import model_names
    from hil.calibrate import fit, handshake_overhead, measurements_from_file
    from hil.errors import RackMisuse
    from hil.modelfile import NAME, save_model
    from hil.outputs import require_writable

    name = arguments.model
    if not NAME.fullmatch(name):
        raise RackMisuse(f"--model {name}: must be lower-case letters, digits, - and _")
    out = Path(arguments.out if arguments.out is not None else f"{name}.toml")
    if out.name != f"{name}.toml":
        raise RackMisuse(f"--out {out}: a model is called as its file is, so it must be {name}.toml")
    # Better said before a measurement than after it.
    require_writable({"--out": out}, {} if arguments.table is None else {"the table": arguments.table})
    base_name = arguments.base or (name if name in model_names() else DEFAULT_BASE)
    if arguments.live is None:
        table = _given_table(arguments)
    else:
        table = _measured_table(arguments, model_named(base_name))
    measurements = measurements_from_file(table)
    base = model_named(base_name)
    calibration = fit(measurements, base, overhead=handshake_overhead(base_name), mhz=arguments.mhz)
    lengths = len({row.key_bits for row in measurements})
    quality = "" if calibration.r_squared is None else f", R² {calibration.r_squared:.6f}"
    source = f"fitted to {table.name}: {len(measurements)} handshakes, {lengths} key lengths{quality}"
    save_model(calibration, out, source)
    print("\n".join(calibration.report()))
    print(f"written: {out} and {out.parent / 'costs' / out.name}")
    return 0


def _given_table(arguments: argparse.Namespace) -> Path:
    from hil.errors import RackMisuse

    for option in ONLY_LIVE:
        if getattr(arguments, option) is not None:
            raise RackMisuse(f"--{option} is about --live HOST:PORT, and there is none")
    if arguments.table is None:
        raise RackMisuse("there is nothing to fit: name a TABLE, or measure one with --live HOST:PORT")
    return Path(arguments.table)


# -- measured live


def _measured_table(arguments: argparse.Namespace, base: Model) -> Path:
    """Measures, and prints medians and spread; what there is when it is broken off is kept."""
    from contextlib import closing

    from hil.console import Console
    from hil.handshakes import HostRoute
    from hil.links import SerialLink
    from hil.livecalibration import LiveTable, measure

    plan = _plan(arguments)
    url = _console_url(arguments)
    host, port = arguments.live
    path = Path(arguments.table if arguments.table is not None else f"{arguments.model}.csv")
    password = _password(arguments.password, base.name)
    user = arguments.user or "admin"
    link = SerialLink(url, DEFAULT_BAUD if arguments.baud is None else arguments.baud)
    with (
        Console(link, user=user, password=password) as console,
        LiveTable(path, f"handshakes with {host}:{port}, certificates for {plan.target}") as table,
        closing(measure(console, HostRoute(host, port), plan, _say)) as measured,
    ):
        for times in measured:
            table.add(times)
            print(times.line(), flush=True)
    print(f"written: {path}")
    return path


def _plan(arguments: argparse.Namespace) -> Plan:
    from hil.livecalibration import Plan

    given = {name: getattr(arguments, name) for name in ("keys", "count", "target")}
    return Plan(**{name: value for name, value in given.items() if value is not None})


def _console_url(arguments: argparse.Namespace) -> str:
    from hil.errors import RackMisuse

    url: str | None = arguments.console
    if url is None:
        raise RackMisuse("--live needs the board's console too: --console /dev/ttyUSB0, or another URL of pyserial's")
    if url.startswith("gatebench:"):
        raise RackMisuse(f"--console {url}: that board has no port on the network; gatebench run makes one that has")
    return url


def _password(given: str | None, factory: str) -> str:
    if given == "-":
        from getpass import getpass

        return getpass("password: ")
    return factory if given is None else given


def _say(line: str) -> None:
    import sys

    print(f"gatebench: {line}", file=sys.stderr, flush=True)


def _mhz(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 5_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a clock rate: 1 to 5000 MHz")
    return int(text)


def _address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, with or without ``https://`` in front, as a ready file has it."""
    host, _, port = text.removeprefix("https://").rstrip("/").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, with a port from 1 to 65535")
    return host, int(port)


def _keys(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of key lengths, as 1024,2048") from None


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number") from None
