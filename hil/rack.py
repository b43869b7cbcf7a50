"""The rack file: which board the tests run on, so that the same tests run on another by naming another file.

::

    [board]
    kind = "emulated"        # "serial": a real one, not supported so far
    model = "ip800"          # the rest: the arguments of Bench.gateway
    factory = "v7"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil.errors import RackMisuse, lowered, reason_from_oserror

KINDS = ("emulated", "serial")

ARGUMENTS: Mapping[str, type] = {
    "model": str,
    "factory": str,
    "card": str,
    "card_size": str,
    "time": str,
    "name": str,
}
"""What an emulated board can be told, and of which type it is."""


@dataclass(frozen=True)
class Rack:
    """One board, and how to get at it."""

    kind: str = "emulated"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """For ``Bench.gateway``."""
    reason: str = ""
    """Why tests of this board are skipped."""


DEFAULT_RACK = Rack()


def rack_from_file(path: Path) -> Rack:
    """Reads a rack file. RackMisuse names file, field and value."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RackMisuse(f"rack file {path}: {reason_from_oserror(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RackMisuse(f"rack file {path}: not TOML: {lowered(str(error))}") from error
    board = content.pop("board", None)
    if not isinstance(board, dict) or content:
        raise RackMisuse(f"rack file {path}: must hold one table [board], and nothing else")
    kind = board.pop("kind", "emulated")
    if kind not in KINDS:
        raise RackMisuse(f"rack file {path}: kind {kind!r} must be one of {', '.join(KINDS)}")
    if kind == "serial":
        return Rack(kind, board, f"rack file {path}: boards of kind serial are not supported by this fixture so far")
    for name, value in board.items():
        if name not in ARGUMENTS:
            raise RackMisuse(f"rack file {path}: unknown field {name!r}, must be one of {', '.join(sorted(ARGUMENTS))}")
        if not isinstance(value, ARGUMENTS[name]):
            raise RackMisuse(f"rack file {path}: {name} = {value!r} must be of type {ARGUMENTS[name].__name__}")
    return Rack(kind, board)
