"""The ``gatebench`` command: finds the subcommand, loads only that, and turns what went wrong into one line.

A subcommand is a module of this package with ``add_parser(subparsers)``, which sets ``run`` to a function of the parsed
arguments that gives the exit code.

Exit codes: 0 done, 1 the device or a check failed, 2 wrong usage, 3 the environment refused (a port is taken, a file is
in use, no permission).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import hil

__all__ = ["main"]

COMMANDS = {
    "run": "run one gateway at the wall clock's pace, with real sockets and a console",
    "card": "make, look into and check CompactFlash cards: images, or real ones in a reader",
    "calibrate": "fit a board model's CPU costs to measured handshake times",
    "repeat": "repeat a recorded run to the last event, or up to any instant",
    "storm": "let many phones register over TLS after a power cut, and see what certificates cost",
    "sweep": "try something over seeds, models, keys and faults; or cut the power at every write",
}
"""What each subcommand does; its module bears its name."""

OK, FAILED, USAGE, REFUSED = 0, 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``gatebench`` with ``argv`` (without the program's name; default: the process's own) to its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        parsed = _parser(arguments[0] if arguments else "").parse_args(arguments)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else USAGE
    try:
        return int(parsed.run(parsed))
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to be said to them.
        _forget_stdout()
        return FAILED
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        print(f"gatebench: {_one_line(error)}", file=sys.stderr)
        return code


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line: the value, the limit, and where help is."""

    def parse_known_args(  # type: ignore[override]  # typeshed has overloads for other namespaces
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """What is left over is an error here already: only the innermost parser knows what was meant instead."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._meant(unknown)}")
        return known, unknown

    def _meant(self, unknown: Sequence[str]) -> str:
        import difflib

        options = [option[2:] for option in self._option_string_actions if option.startswith("--")]
        for word in unknown:
            near = difflib.get_close_matches(word[2:].partition("=")[0], options, 1) if word.startswith("--") else []
            if near:
                return f", did you mean --{near[0]}?"
        return ""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"gatebench: {message} (see {self.prog} --help)\n")


def _parser(chosen: str) -> argparse.ArgumentParser:
    """The parser, with the arguments of the chosen subcommand alone: the others are not even imported."""
    parser = Parser(
        prog="gatebench",
        description="An emulated VoIP gateway with its certificate management, on a bench.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gatebench {hil.__version__}")
    subparsers = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    for name, help_text in COMMANDS.items():
        if name == chosen:
            import_module(f"hil.cli.{name}").add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=help_text)
    return parser


def _exit_code(error: Exception) -> int | None:
    """The exit code that says whose fault ``error`` is; None for a fault of ours, which deserves its traceback."""
    from board.errors import BoardError
    from hil.errors import DeviceFailure, EnvironmentRefused, RackMisuse

    if isinstance(error, (RackMisuse, BoardError)):
        return USAGE
    if isinstance(error, DeviceFailure):
        return FAILED
    if isinstance(error, (EnvironmentRefused, OSError)):
        return REFUSED
    return None


def _one_line(error: Exception) -> str:
    from hil.errors import reason_from_oserror

    if not isinstance(error, OSError):
        return " ".join(str(error).split())
    where = "" if error.filename is None else f"{error.filename}: "
    return where + " ".join(reason_from_oserror(error).split())


def _forget_stdout() -> None:
    """Keeps the interpreter from writing to the broken pipe once more at its end."""
    import os

    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
