"""What a failed test leaves behind: its record, and per board the console's log, the images and the saved gateway.

::

    .gatebench/                        beside the tests, or the folder that --gatebench-artifacts names
        failures/
            test_it.py-test_bad/
                record.zip             everything again: gatebench repeat
                trace.tsv              the newest trace events
                NAME.console.log       NAME.flash   NAME.card.img   NAME.saved.zip   (gatebench run --from)

PRIVATE KEYS are in it, where the boards had any: those of a seeded run are worth nothing.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.bench import Bench
    from hil.gateway import Gateway

DEFAULT_FOLDER = ".gatebench"

RECORD, TRACE = "record.zip", "trace.tsv"

KEPT = 10
"""Failures that the default folder holds, the newest: a flash and a card each take some megabytes."""

HOLE_BYTES = 64 * 1024
"""Zeros in a row of this size are not written: most of a card is empty."""


def folder_name(nodeid: str) -> str:
    """A test's name as that of a folder: the same test leaves the same one again."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", nodeid).strip("-")[-150:]


def leave(bench: Bench, folder: Path) -> list[Path]:
    """Writes all of it, in the place of what an earlier run left there. OSError when the host does not let us."""
    if (folder / TRACE).is_file():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    left = []
    if bench.recorder is not None:
        bench.save_record(folder / RECORD)
        left.append(folder / RECORD)
    for gateway in bench.gateways:
        left += _leave_gateway(gateway, folder)
    trace = folder / TRACE
    trace.write_text("".join(event.line() + "\n" for event in bench.trace), encoding="utf-8")
    return [*left, trace]


def prune(folder: Path, keep: int = KEPT) -> None:
    """Removes the oldest failures from a folder of ours; and tells git to leave it alone."""
    ages = sorted((_age_ns(entry / TRACE), entry) for entry in (folder / "failures").iterdir())
    ours = [entry for age_ns, entry in ages if age_ns]
    for entry in ours[:-keep]:
        shutil.rmtree(entry, ignore_errors=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("# Made by gatebench.\n*\n", encoding="utf-8")


def _age_ns(trace: Path) -> int:
    """When it was written; 0 for what is not there: somebody else's folder, or one that another process removes."""
    try:
        return trace.stat().st_mtime_ns
    except OSError:
        return 0


def _leave_gateway(gateway: Gateway, folder: Path) -> list[Path]:
    log, flash, saved = (folder / f"{gateway.name}.{kind}" for kind in ("console.log", "flash", "saved.zip"))
    log.write_text(gateway.console.transcript(), encoding="utf-8")
    flash.write_bytes(gateway.flash_image)
    gateway.save(saved)
    if gateway.card is None:
        return [log, flash, saved]
    from hil.cards import image_bytes

    image = folder / f"{gateway.name}.card.img"
    _write_sparse(image, image_bytes(gateway.card))
    return [log, flash, saved, image]


def _write_sparse(path: Path, content: bytes) -> None:
    hole = bytes(HOLE_BYTES)
    with path.open("wb") as file:
        for begin in range(0, len(content), HOLE_BYTES):
            piece = content[begin : begin + HOLE_BYTES]
            if piece != hole:
                file.seek(begin)
                file.write(piece)
        file.truncate(len(content))
