"""The record's file.

::

    record.zip
        record.json     format, seed, where the run ended (events, time, trace events, digest), versions, doubts
        actions.jsonl   what came from outside, one line each: [events, now_ns, by, kind, argument ...]
        trace.tsv       the newest trace events, so that the first one that differs can be named
        blobs/SHA256    contents of flash chips and cards, and whatever else is long

``events`` and ``now_ns`` are the place of an action: so many events of the clock had happened, and it was that time.
``by`` says from where it was done: 0 between two events; n > 0 when alarm n went off, which the outside had set; n < 0
from a hook in the middle of an event, after trace event -n - 1.

PRIVATE KEYS are in it, where a chip or a client's certificate had any.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from hil.errors import EnvironmentRefused, reason_from_damage, reason_from_oserror

FORMAT = 1

INLINE_BYTES = 4_096
"""Longer pieces of bytes get a file of their own in the record."""

LARGEST_BYTES = 4 * 1024**3
"""Of a record, unpacked: a damaged or hostile file must not fill the memory."""

COMPRESSION_LEVEL = 1

BETWEEN = 0
"""``by`` of what was done between two events."""


class Action(NamedTuple):
    """One thing that came from outside."""

    events: int
    now_ns: int
    by: int
    kind: str
    arguments: tuple[Any, ...]


ARGUMENTS: Mapping[str, tuple[type | tuple[type, ...], ...]] = {
    "gateway": (dict, bytes),  # facts, flash content or nothing
    "go": (int,),  # the clock is driven up to a limit
    "stop": (int, str, str),  # and rests: trace events, digest or nothing, exception or nothing
    "alarm": (int, int),  # the outside sets alarm number .. to a time
    "cancel": (int,),
    "power": (int, bool),
    "rtc": (int, int),
    "type": (int, bytes),
    "break": (int, int),
    "framing": (int, int),
    "press": (int, int),  # ms; 0: until it is let go
    "release": (int,),
    "button": (int, int),
    "insert": (int, int, dict, list, bytes),  # board, card, what it is, pieces that differ, their content
    "remove": (int,),
    "bounce": (int, list),
    "flash": (int, int, int, int, bytes, list),  # board, CPU time, block, offset, data or nothing to erase, times
    "tear": (int, str),  # what a step of the flash leaves behind that is cut
    "strike": (int, int, bool, list),  # board, step of its flash that was cut, whether power is on, by what
    "faults": (int, list, bool),
    "disarm": (int,),
    "lan": (str, list, dict),  # verb, arguments by position and by name
    "connect": (int, int, str, int),  # board, stream, peer, port
    "write": (int, bytes),
    "write-tls": (int, int),
    "read": (int, int),
    "end": (int,),
    "close": (int,),
    "abort": (int,),
    "tls": (int, dict),  # a TLS client on a stream
    "tls-do": (int, str, bytes),
    "tls-feed": (int, int),
    "tls-eof": (int,),
}
"""What there is to be done, and what it takes."""


@dataclass(frozen=True)
class Facts:
    """What a record says of its run as a whole."""

    format: int
    seed: int
    program: str
    """Name of what the boards ran instead of the firmware; empty for the firmware."""
    events: int
    now_ns: int
    trace_events: int
    digest: str
    repeat: str
    """The command that repeats the run from its beginning; empty when there is none."""
    versions: dict[str, str]
    doubts: list[str]
    """What was done that cannot be repeated."""


@dataclass(frozen=True)
class Record:
    """A run, as far as the outside had its hands in it."""

    facts: Facts
    actions: Sequence[Action]
    trace: Sequence[str] = ()
    """Lines of the newest trace events."""
    source: str = field(default="record", compare=False)

    @property
    def first_traced(self) -> int:
        """Number of the trace event that the first of ``trace`` is, counted from 1."""
        return self.facts.trace_events - len(self.trace) + 1

    def to_file(self, path: str | Path) -> None:
        """Writes it whole or not at all. OSError when the host does not let us."""
        place = Path(path)
        draft = place.with_name(f".{place.name}.{os.getpid()}")
        blobs: dict[str, bytes] = {}
        lines = "".join(_line(action, blobs) for action in self.actions)
        try:
            with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as archive:
                _add(archive, "record.json", json.dumps(asdict(self.facts), indent=2).encode() + b"\n")
                _add(archive, "actions.jsonl", lines.encode())
                _add(archive, "trace.tsv", "".join(line + "\n" for line in self.trace).encode())
                for name, content in blobs.items():
                    _add(archive, f"blobs/{name}", content)
            os.replace(draft, place)
        finally:
            draft.unlink(missing_ok=True)


def record_from_file(path: str | Path) -> Record:
    """Reads a record.

    Raises:
        EnvironmentRefused: the file cannot be opened; it is no record, is damaged, or one of a later format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size_bytes = sum(info.file_size for info in archive.infolist())
            if size_bytes > LARGEST_BYTES:
                raise ValueError(f"{size_bytes} bytes unpacked, at most {LARGEST_BYTES}")
            facts = _facts_from_json(archive.read("record.json"))
            lines = archive.read("actions.jsonl").decode().splitlines()
            actions = tuple(_actions(lines, archive, facts))
            trace = archive.read("trace.tsv").decode().split("\n")[:-1]
        if len(trace) > facts.trace_events:
            raise ValueError(f"{len(trace)} trace events of {facts.trace_events}")
    except OSError as error:
        raise EnvironmentRefused(f"record {path}: {reason_from_oserror(error)}") from error
    except (KeyError, ValueError, TypeError, EOFError, RecursionError, NotImplementedError) as error:
        raise EnvironmentRefused(f"{path} is not a record: {reason_from_damage(error)}") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, zlib.error) as error:
        raise EnvironmentRefused(f"{path} is not a record, or damaged: {reason_from_damage(error)}") from error
    return Record(facts, actions, trace, str(path))


def _facts_from_json(content: bytes) -> Facts:
    values = json.loads(content)
    if not isinstance(values, dict) or "format" not in values:
        raise ValueError("record.json says no format")
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}, this program knows {FORMAT}")
    names = {entry.name for entry in fields(Facts)}
    if set(values) != names:
        raise ValueError(f"record.json must have {', '.join(sorted(names))}")
    for name in ("seed", "events", "now_ns", "trace_events"):
        _require(values[name], int, name)
    for name in ("program", "digest", "repeat"):
        _require(values[name], str, name)
    _require(values["versions"], dict, "versions")
    _require(values["doubts"], list, "doubts")
    return Facts(**values)


def _actions(lines: Iterable[str], archive: zipfile.ZipFile, facts: Facts) -> Iterable[Action]:
    """The actions, with their bytes; each is looked at before any is done. ValueError says which is wrong."""
    events = now_ns = 0
    for number, line in enumerate(lines, 1):
        try:
            action = _action(json.loads(line), archive)
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"action {number}: {reason_from_damage(error)}") from error
        if not events <= action.events <= facts.events or not now_ns <= action.now_ns <= facts.now_ns:
            raise ValueError(f"action {number}: event {action.events} at {action.now_ns} ns is out of order")
        events, now_ns = action.events, action.now_ns
        yield action


def _action(values: Any, archive: zipfile.ZipFile) -> Action:
    _require(values, list, "an action")
    if len(values) < 4:
        raise ValueError(f"{len(values)} values, at least 4")
    events, now_ns, by, kind, *arguments = values
    for value in (events, now_ns, by):
        _require(value, int, "its place")
    if kind not in ARGUMENTS:
        raise ValueError(f"unknown kind {kind!r}")
    types = ARGUMENTS[kind]
    if len(arguments) != len(types):
        raise ValueError(f"{kind} with {len(arguments)} arguments, must be {len(types)}")
    pairs = zip(arguments, types, strict=True)
    decoded = tuple(_decoded(value, archive) if wanted is bytes else value for value, wanted in pairs)
    for value, wanted in zip(decoded, types, strict=True):
        _require(value, wanted, f"an argument of {kind}")
    return Action(events, now_ns, by, kind, decoded)


def _require(value: object, wanted: type | tuple[type, ...], what: str) -> None:
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
        raise ValueError(
            f"{what} is {type(value).__name__} {str(value)[:40]!r}, must be {getattr(wanted, '__name__', wanted)}"
        )


def _line(action: Action, blobs: dict[str, bytes]) -> str:
    arguments = [_encoded(value, blobs) if isinstance(value, bytes) else value for value in action.arguments]
    return json.dumps([action.events, action.now_ns, action.by, action.kind, *arguments]) + "\n"


def _encoded(data: bytes, blobs: dict[str, bytes]) -> str | dict[str, str]:
    """Short bytes as text of the characters 0 to 255, which shows what was typed; long ones by their digest."""
    if len(data) <= INLINE_BYTES:
        return data.decode("latin-1")
    name = hashlib.sha256(data).hexdigest()
    blobs[name] = data
    return {"blob": name}


def _decoded(value: Any, archive: zipfile.ZipFile) -> bytes:
    if isinstance(value, str):
        return value.encode("latin-1")
    _require(value, dict, "bytes")
    data = archive.read(f"blobs/{value['blob']}")
    if hashlib.sha256(data).hexdigest() != value["blob"]:
        raise ValueError(f"blob {value['blob'][:12]} does not have its digest")
    return data


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # The dates in a zip are not those of a world with its own clock: leave them at their beginning.
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    archive.writestr(info, content, compresslevel=COMPRESSION_LEVEL)
