"""``gatebench calibrate``: a board model from measured handshake times."""

from __future__ import annotations

import argparse

__all__ = ["add_parser"]

EPILOG = """\
TABLE is a CSV file, one measured handshake per row (whole server handshake, RSA key exchange, no client certificate):

  key_bits,milliseconds,weight
  1024,52.6
  2048,315
  4096,1892.5,2

A weight is optional, several rows of a key length are welcome. The model is used with

  gatebench run --model ./NAME.toml
"""

DEFAULT_BASE = "ip800"


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
    parser.add_argument("table", metavar="TABLE", help="CSV file: key_bits,milliseconds[,weight]")
    parser.add_argument("--model", metavar="NAME", required=True, help="what the calibrated model is called")
    parser.add_argument("--out", metavar="FILE", help="where it is written (default: NAME.toml); its costs/ beside it")
    parser.add_argument(
        "--base",
        metavar="MODEL",
        help=f"the model that all else is taken from (default: NAME if there is such a model, or {DEFAULT_BASE})",
    )
    parser.add_argument("--mhz", metavar="N", type=_mhz, help="the real board's clock rate, if you know it")


def _run(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from board import model_named
    from board.model import model_names
    from hil.calibrate import fit, handshake_overhead, measurements_from_file
    from hil.errors import RackMisuse
    from hil.modelfile import save_model

    out = Path(arguments.out if arguments.out is not None else f"{arguments.model}.toml")
    if out.name != f"{arguments.model}.toml":
        raise RackMisuse(f"--out {out}: a model is called as its file is, so it must be {arguments.model}.toml")
    measurements = measurements_from_file(arguments.table)
    base_name = arguments.base or (arguments.model if arguments.model in model_names() else DEFAULT_BASE)
    base = model_named(base_name)
    calibration = fit(measurements, base, overhead=handshake_overhead(base_name), mhz=arguments.mhz)
    lengths = len({row.key_bits for row in measurements})
    quality = "" if calibration.r_squared is None else f", R² {calibration.r_squared:.6f}"
    source = f"fitted to {Path(arguments.table).name}: {len(measurements)} handshakes, {lengths} key lengths{quality}"
    save_model(calibration, out, source)
    print("\n".join(calibration.report()))
    print(f"written: {out} and {out.parent / 'costs' / out.name}")
    return 0


def _mhz(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 5_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a clock rate: 1 to 5000 MHz")
    return int(text)
