"""``gatebench run``: its options, and how they become a run."""

from __future__ import annotations

import argparse
import ipaddress
import math
import sys

__all__ = ["add_parser"]

EXAMPLES = """\
examples:
  gatebench run                                        a gateway in this terminal; Ctrl-] is the bench menu
  gatebench run --card ram --flash box.flash           with a card, and a flash that outlives the run
  gatebench run --card ram --faults pull.toml          the card is pulled while it is written to
  gatebench run --console pty --control 8088           for a rack: the first line of the output is the pty
  gatebench run --https 0 --http 0 --sips 0 --ready r.json --console none --tcp-console 0
"""

MAX_SPEED = 1_000_000

FACTORY_MADE = ("model", "factory")
"""Options that say what kind of gateway is made: one that was saved is made already."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers ``run``."""
    parser = subparsers.add_parser(
        "run",
        help="run one gateway at the wall clock's pace, with real sockets and a console",
        description="Run one gateway at the wall clock's pace, with real sockets and a console.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=_run)
    _add_board_options(parser.add_argument_group("the board"))
    _add_console_options(parser.add_argument_group("its console"))
    _add_network_options(parser.add_argument_group("its network"))
    _add_run_options(parser.add_argument_group("the run"))


def _add_board_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", help="board model, or the path of a model file (default: ip800)")
    group.add_argument("--name", help="what the bench calls it (default: its netbios name)")
    group.add_argument(
        "--factory",
        choices=("v7", "upgraded"),
        help="v7: built-in certificate; upgraded: none, it makes its own (default: v7)",
    )
    group.add_argument("--flash", metavar="FILE", help="file of the flash chip, made when missing (default: in memory)")
    group.add_argument(
        "--card",
        metavar="FILE|/dev/sdX|ram|none",
        default="none",
        help="CF card: an image, made when missing, or one in a reader (default: none)",
    )
    group.add_argument("--card-size", metavar="SIZE", default="64M", help="of a card that is made (default: 64M)")
    group.add_argument("--faults", metavar="FILE", help="what goes wrong with the card, and when: a fault plan (TOML)")
    group.add_argument(
        "--time", metavar="host|unset|ISO8601", help="real-time clock at power-on (default: host, or as saved)"
    )
    group.add_argument(
        "--from", dest="from_file", metavar="FILE", help="start a saved gateway: its model, flash, card and clock"
    )


def _add_console_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--console",
        choices=("stdio", "pty", "none"),
        default="stdio",
        help="where the serial line is; with pty the first line of the output is its path (default: stdio)",
    )
    group.add_argument("--pty-link", metavar="PATH", help="a symbolic link to the pty")
    group.add_argument("--rfc2217", metavar="PORT", type=_port, help="serve it as telnet with RFC 2217 as well")
    group.add_argument("--tcp-console", metavar="PORT", type=_port, help="serve it as raw TCP as well")


def _add_network_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--bind", metavar="ADDRESS", type=_address, default="127.0.0.1", help="default: 127.0.0.1")
    group.add_argument("--https", metavar="PORT", type=_port, default=8443, help="0 takes any (default: 8443)")
    group.add_argument("--http", metavar="PORT", type=_port, default=8080, help="default: 8080")
    group.add_argument("--sips", metavar="PORT", type=_port, default=5061, help="default: 5061")
    group.add_argument(
        "--h323", metavar="PORT", type=_port, help="taken, and nothing listens there: H.323 is not modelled"
    )
    group.add_argument(
        "--ntp", metavar="HOST:PORT", type=_ntp, help="refused: NTP is not modelled, see --time and the command ctime"
    )
    group.add_argument("--allow-outbound", action="store_true", help="let the board connect beyond this machine")


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--seed", metavar="N", type=_seed, help="make a run that repeats; its keys are NOT secret")
    group.add_argument(
        "--speed", metavar="X|max", type=_speed, default=1.0, help="virtual seconds per second; max skips CPU time"
    )
    group.add_argument("--control", metavar="PORT", type=_port, help="HTTP control face for power, card, button, LEDs")
    group.add_argument("--ready", metavar="FILE", help="write a JSON file when the console is reachable")
    group.add_argument("--trace", metavar="FILE", help="write a timeline for Perfetto (ui.perfetto.dev)")
    group.add_argument("--vcd", metavar="FILE", help="write LEDs, card, CPU, serial line for waveform viewers")
    group.add_argument("--for", dest="for_s", metavar="SECONDS", type=_seconds, help="stop after so much virtual time")


def _run(arguments: argparse.Namespace) -> int:
    from hil.errors import RackMisuse
    from hil.outputs import require_writable
    from hil.run import Run, RunOptions

    if arguments.h323 is not None:
        _say(f"--h323 {arguments.h323}: H.323 is not modelled, nothing listens there")
    if arguments.from_file is not None:
        for name in FACTORY_MADE:
            if getattr(arguments, name) is not None:
                raise RackMisuse(f"a saved gateway brings its {name} with it: leave out --{name}, or --from")
    read = {"--flash": arguments.flash, "--from": arguments.from_file, "--faults": arguments.faults}
    read["--card"] = None if arguments.card in ("ram", "none") else arguments.card
    outputs = {"--ready": arguments.ready, "--trace": arguments.trace, "--vcd": arguments.vcd}
    require_writable(outputs, {option: path for option, path in read.items() if path is not None})
    fields = {name: getattr(arguments, name) for name in RunOptions.__dataclass_fields__}
    for name in FACTORY_MADE:
        if fields[name] is None:
            del fields[name]
    return Run(RunOptions(**fields), _say).run()


def _say(text: str) -> None:
    for line in text.splitlines():
        print(f"gatebench: {line}", file=sys.stderr, flush=True)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def _ntp(text: str) -> str:
    # To go on without would leave a board without the time that was asked for, and nobody would know why.
    raise argparse.ArgumentTypeError(f"{text!r}: NTP is not modelled, --time or the command ctime set the clock")


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    return _number(text, "a speed", 0.001, MAX_SPEED)


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a seed: a whole number") from None


def _seconds(text: str) -> float:
    return _number(text, "seconds", 0.0, 1e9)


def _number(text: str, what: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}: {low:g} to {high:g}")
    return value
