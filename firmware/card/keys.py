"""Private keys on a card: what a format must not take away unless it is told to, and overwrites when it is."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from firmware.hal import Volume

WIPED_BYTES = 16_384
"""A larger file is no key."""

UNREADABLE = (errno.EIO, errno.EILSEQ)

FILE = 0x8000
"""Type of a file in MicroPython's ``ilistdir``."""


@dataclass(frozen=True)
class KeyKind:
    """Keys of one kind."""

    what: str
    """``a root CA's key``."""
    option: str
    """The option of a format that gives them up."""
    paths: tuple[str, ...] = ()
    folder: str = ""
    """A directory each of whose files with ``ending`` holds one."""
    ending: str = ""


def keys_found(volume: Volume, kind: KeyKind) -> list[str]:
    """Paths of the keys that are there, or may be: what cannot be read is not known to be gone."""
    found = []
    for path in kind.paths:
        try:
            volume.stat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                continue
            if error.errno not in UNREADABLE:
                raise
        found.append(path)
    return [*found, *_in_folder(volume, kind)]


def first_kept(found: Sequence[tuple[KeyKind, Sequence[str]]], given_up: Sequence[str]) -> str | None:
    """Why there is to be no format: a key whose option was not given; None when there may be one."""
    for kind, paths in found:
        if paths and kind.option not in given_up:
            return f"the card holds {kind.what} ({paths[0]}): /{kind.option} gives it up"
    return None


def wiped(volume: Volume, path: str) -> bool:
    """Overwrites a key's sectors. False when that cannot be done: it is damaged, read-only, or no key at that size.

    What the card's own wear levelling keeps of it is out of anybody's reach but a laboratory's.
    """
    try:
        size_bytes = volume.stat(path)[6]
        if size_bytes > WIPED_BYTES:
            return False
        volume.overwrite(path, bytes(size_bytes))
    except OSError as error:
        if error.errno not in (*UNREADABLE, errno.EACCES, errno.ENOENT):
            raise
        return False
    return True


def _in_folder(volume: Volume, kind: KeyKind) -> Iterator[str]:
    if not kind.folder:
        return
    try:
        entries = list(volume.ilistdir(kind.folder))
    except OSError as error:
        if error.errno in UNREADABLE:
            yield f"{kind.folder}/*{kind.ending}"
        elif error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return
    for name, type_, *_ in entries:
        if type_ == FILE and name.lower().endswith(kind.ending):
            yield f"{kind.folder}/{name}"
