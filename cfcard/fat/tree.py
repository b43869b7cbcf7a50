"""The directories of a volume: finding a path in them, and keeping some of them in memory."""

from __future__ import annotations

import errno

from cfcard.errors import VolumeCorrupt
from cfcard.fat.bpb import Bpb
from cfcard.fat.directory import Directory
from cfcard.fat.entry import Entry
from cfcard.fat.names import parts_of
from cfcard.fat.sectors import Sectors
from cfcard.fat.table import Table

__all__ = ["Tree"]


class Tree:
    """All directories from the root on.

    Args:
        limit: how many of them stay in memory; those with open files stay in any case.
    """

    def __init__(self, sectors: Sectors, bpb: Bpb, table: Table, limit: int) -> None:
        self._sectors = sectors
        self._bpb = bpb
        self._table = table
        self._limit = max(1, limit)
        self._directories: dict[int, Directory] = {}
        """By first cluster, the least recently used one first."""
        self._open: dict[tuple[int, int], int] = {}
        """(directory, slot) of each open file: number of readers, or -1 for the one writer."""

    # Finding

    def root(self) -> Directory:
        return self.directory(self._bpb.root_cluster)

    def directory(self, start: int) -> Directory:
        """The directory whose first cluster is ``start``."""
        directory = self._directories.pop(start, None)
        if directory is None:
            directory = Directory(self._sectors, self._bpb, self._table, start)
        self._directories[start] = directory
        return directory

    def trim(self) -> None:
        """Gives memory back. Only between calls of the volume: within one, a directory must not exist twice."""
        spare = len(self._directories) - self._limit
        if spare > 0:
            busy = {key[0] for key in self._open}
            for start in [key for key in self._directories if key not in busy][:spare]:
                del self._directories[start]

    def below(self, entry: Entry) -> Directory:
        """The directory that ``entry`` names."""
        if not 2 <= entry.cluster < self._table.top:
            expected = f"a first cluster from 2 to {self._table.top - 1}"
            raise VolumeCorrupt(f"directory {entry.name}", expected, str(entry.cluster))
        return self.directory(entry.cluster)

    def walk(self, parts: list[str]) -> Directory:
        """The directory at ``parts``. OSError ENOENT or ENOTDIR with the part of the path that is wrong."""
        directory = self.root()
        for depth, part in enumerate(parts, 1):
            entry = directory.find(part)
            if entry is None:
                raise OSError(errno.ENOENT, "no such file or directory", "/" + "/".join(parts[:depth]))
            if not entry.is_directory:
                raise OSError(errno.ENOTDIR, "not a directory", "/" + "/".join(parts[:depth]))
            directory = self.below(entry)
        return directory

    def lookup(self, path: str) -> tuple[Directory, str, Entry | None]:
        """(parent directory, last name, entry or None)."""
        parts = parts_of(path)
        if not parts:
            raise OSError(errno.EISDIR, "this is the root directory", path)
        parent = self.walk(parts[:-1])
        return parent, parts[-1], parent.find(parts[-1])

    def existing(self, path: str) -> tuple[Directory, Entry]:
        """(parent directory, entry). OSError ENOENT."""
        parent, _, entry = self.lookup(path)
        if entry is None:
            raise OSError(errno.ENOENT, "no such file or directory", path)
        return parent, entry

    def require_outside(self, entry: Entry, path: str) -> None:
        """A directory cannot move to a ``path`` inside itself: OSError EINVAL."""
        directory = self.root()
        for part in parts_of(path)[:-1]:
            step = directory.find(part)
            if step is None or not step.is_directory:
                return
            if step.cluster == entry.cluster:
                raise OSError(errno.EINVAL, "a directory cannot move into itself", path)
            directory = self.below(step)

    def dots_from(self, parent: Directory) -> int:
        """What ``..`` holds in a directory below ``parent``: 0 for the root, also where that is a chain."""
        return 0 if parent.start in (0, self._bpb.root_cluster) else parent.start

    def forget(self, start: int) -> None:
        """The directory at ``start`` is no more."""
        self._directories.pop(start, None)

    def drop(self) -> None:
        """Forgets everything that is in memory."""
        self._directories.clear()
        self._open.clear()

    # Open files

    def require_free(self, parent: Directory, entry: Entry, *, for_reading: bool = False) -> None:
        """OSError EBUSY when the file is open (for reading: when it is open for writing)."""
        users = self._open.get((parent.start, entry.slot), 0)
        if users < 0 or (users and not for_reading):
            raise OSError(errno.EBUSY, "file is open", entry.name)

    def note_open(self, parent: Directory, entry: Entry, *, write: bool) -> None:
        key = (parent.start, entry.slot)
        self._open[key] = -1 if write else self._open.get(key, 0) + 1

    def note_closed(self, parent: Directory, entry: Entry) -> None:
        key = (parent.start, entry.slot)
        users = self._open.pop(key, 0)
        if users > 1:
            self._open[key] = users - 1
