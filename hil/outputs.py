"""Files that a command is to write: looked at before the work, so that a mistyped name does not cost hours of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror

__all__ = ["require_writable", "write_output"]


def require_writable(outputs: Mapping[str, str | Path | None], sources: Mapping[str, str | Path] | None = None) -> None:
    """Returns when all these files can be written; leaves nothing behind.

    Args:
        outputs: files by the option that names them; None where it was not given.
        sources: files that are read, by what they are called: none of them may be written over.

    Raises:
        RackMisuse: two of them are the same file.
        EnvironmentRefused: the host does not let us.
    """
    known = {Path(path).resolve(): name for name, path in (sources or {}).items()}
    for option, given in outputs.items():
        if given is None:
            continue
        path = Path(given)
        place = path.resolve()
        if place in known:
            raise RackMisuse(f"{option} {path}: is the same file as {known[place]}")
        if place.exists() and not place.is_file() and not place.is_dir():
            continue  # a terminal, a pipe: nobody knows before it is tried, and each may be written twice
        known[place] = option
        _try(option, path)


def write_output(path: Path, text: str) -> None:
    """Writes a file of text in UTF-8. EnvironmentRefused when the host does not let us."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentRefused(_refusal(str(path), error)) from error


def _try(option: str, path: Path) -> None:
    try:
        if os.path.lexists(path):
            path.open("ab").close()
        else:  # tried beside it: who waits for the file, as racks do for --ready, must not find an empty one
            tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.").close()
    except OSError as error:
        raise EnvironmentRefused(_refusal(f"{option} {path}", error)) from error


def _refusal(name: str, error: OSError) -> str:
    return f"{name}: cannot be written: {reason_from_oserror(error)}"
