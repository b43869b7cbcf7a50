"""A mounted FAT volume: names, files, and the two updates that a power cut cannot spoil.

The order of writes is the whole point. Between any two sector writes the card may go, and what is on it then must be
the old state or the new one, with lost clusters at worst::

    replace     new clusters: data | FAT 2, FAT 1 | sync | ONE directory sector: start, size, time | sync | free old
    create      the same; the directory sector brings the name, also for a new file that is opened, written and closed
    remove      directory sector | sync | chain freed | sync
    mkdir       the new directory's cluster | FATs | sync | the parent's sector | sync
    overwrite   the file's own sectors, nothing else

The dirty flag is left as it was found: a PC sets it while it has a volume mounted; here every call ends in a state that
needs no repair, and an interrupted one leaves lost clusters at worst.

What is kept in memory (pages of the FAT, some directories) is written through at the end of each call. After a write
that failed all of it is dropped, and the card's own word counts.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator

from cfcard.errors import NoCard
from cfcard.fat.bpb import Bpb
from cfcard.fat.content import read_runs, runs_of, write_runs
from cfcard.fat.entry import ARCHIVE, DIRECTORY, READ_ONLY, Entry, new_directory_data
from cfcard.fat.file import MAX_FILE_BYTES, File
from cfcard.fat.fsinfo import UNKNOWN, fsinfo_from_sector, fsinfo_sector
from cfcard.fat.names import MAX_NAME_UNITS, parts_of, require_valid
from cfcard.fat.rename import rename
from cfcard.fat.sectors import Sectors
from cfcard.fat.stamp import Clock, Stamp, now_stamp, seconds_from_stamp
from cfcard.fat.table import Run, fat_table
from cfcard.fat.tree import Tree

__all__ = ["TYPE_DIRECTORY", "TYPE_FILE", "Volume"]

TYPE_DIRECTORY, TYPE_FILE = 0x4000, 0x8000
"""What ``ilistdir`` and ``stat`` say, as in MicroPython (and POSIX's S_IFDIR and S_IFREG)."""

_MODES = {kind + tail: (kind, "+" in tail) for kind in "rwax" for tail in ("", "b", "+", "b+", "+b")}
"""By what ``open`` is asked for: the letter, and whether it goes both ways."""


class Volume:
    """The volume on ``sectors``; made by ``Fat.mount``.

    Args:
        sectors: the volume's window onto its device.
        bpb: what its boot sector says.
        now: local time for file times; None writes 1980-01-01.
        pages: how many pages of the FAT (8 KiB each) stay in memory.
        directories: how many directories stay in memory.

    Not modelled: access times (they take the time of writing), hidden and system bits (kept, not set), code pages other
    than 437 for short names.
    """

    def __init__(
        self,
        sectors: Sectors,
        bpb: Bpb,
        *,
        now: Clock | None = None,
        pages: int = 64,
        directories: int = 16,
    ) -> None:
        self.sectors = sectors
        self.bpb = bpb
        self.table = fat_table(sectors, bpb, pages)
        self._now = now
        self.tree = Tree(sectors, bpb, self.table, directories)
        self._failures = 0
        self._mounted = True
        self._free_written: int | None = None
        """What FSInfo says on the card, None while that is not to be believed."""
        self._read_fsinfo()

    # About the volume

    @property
    def serial(self) -> int:
        """Volume serial number from the boot sector."""
        return self.bpb.serial

    @property
    def fat(self) -> int:
        """12, 16 or 32."""
        return self.bpb.kind

    @property
    def label(self) -> str:
        """Volume label: the root directory's, else the boot sector's; empty for none."""
        return self.tree.root().label or ("" if self.bpb.label == "NO NAME" else self.bpb.label)

    @property
    def dirty(self) -> bool:
        """Whether it was last taken out of a PC without being ejected: boot sector flag, or entry 1 of the FAT."""
        if self.bpb.kind == 12:
            return self.bpb.dirty
        return self.bpb.dirty or not self.table.get(1) & (0x8000 if self.bpb.kind == 16 else 0x0800_0000)

    def statvfs(self, path: str = "/", /) -> tuple[int, ...]:
        """(block size, fragment size, blocks, free, available, 0, 0, 0, flags, longest name); blocks are clusters."""
        self._begin()
        free, size = self.table.count_free(), self.bpb.cluster_bytes
        return (size, size, self.bpb.clusters, free, free, 0, 0, 0, 0, MAX_NAME_UNITS)

    def count_steps(self) -> Generator[None, None, None]:
        """Counts the free clusters in steps of some ten sectors, while nobody else uses the volume.

        Afterwards ``statvfs`` reads nothing, and no search for free clusters reads what has none: on a card of 32 GiB
        that is the difference between two seconds in one piece and a few milliseconds.
        """
        self._begin()
        yield from self.table.count_steps()

    def umount(self) -> None:
        """Ends; open files can no longer be used. A second call does nothing."""
        if not self._mounted:
            return
        try:
            if not self.sectors.gone:
                self.finish()
        finally:
            self._mounted = False

    # Directories

    def ilistdir(self, path: str = "/", /) -> Iterator[tuple[str, int, int, int]]:
        """(name, type, 0, size in bytes) per entry, in the order in which they lie on the card."""
        self._begin()
        parts = parts_of(path)
        directory = self.tree.walk(parts)
        rows = [
            (entry.name, TYPE_DIRECTORY if entry.is_directory else TYPE_FILE, 0, entry.size)
            for entry in directory.entries()
        ]
        return iter(rows)

    def stat(self, path: str, /) -> tuple[int, ...]:
        """(type, 0, 0, 0, 0, 0, size in bytes, then the time of writing three times, in seconds since 1970)."""
        self._begin()
        if not parts_of(path):
            return (TYPE_DIRECTORY, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        _, entry = self.tree.existing(path)
        seconds = seconds_from_stamp(entry.stamp)
        kind = TYPE_DIRECTORY if entry.is_directory else TYPE_FILE
        return (kind, 0, 0, 0, 0, 0, entry.size, seconds, seconds, seconds)

    def mkdir(self, path: str, /) -> None:
        """Makes a directory; its parent must be there."""
        self._begin()
        parent, name, entry = self.tree.lookup(path)
        if entry is not None:
            raise OSError(errno.EEXIST, "file or directory exists", path)
        require_valid(name)
        place = parent.place_for(name)
        runs = self.table.find_free(1)
        cluster = runs[0][0]
        stamp = self.stamp()
        data = new_directory_data(cluster, self.tree.dots_from(parent), stamp, self.bpb.cluster_bytes)
        self.sectors.write(self.bpb.sector_from_cluster(cluster), data)
        self.table.link(runs)
        self.table.flush()
        self.sectors.sync()
        parent.insert(place, DIRECTORY, cluster, 0, stamp)
        parent.commit()
        self.finish()

    def remove(self, path: str, /) -> None:
        """Removes a file or an empty directory."""
        self._begin()
        parent, entry = self.tree.existing(path)
        self.tree.require_free(parent, entry)
        if entry.is_directory:
            if not self.tree.below(entry).is_empty:
                raise OSError(errno.ENOTEMPTY, "directory is not empty", path)
            self.tree.forget(entry.cluster)
        elif entry.attributes & READ_ONLY:
            raise OSError(errno.EACCES, "file is read-only", path)
        parent.erase(entry)
        parent.commit()
        self.release(entry.cluster)

    def rmdir(self, path: str, /) -> None:
        """Removes an empty directory."""
        self._begin()
        _, entry = self.tree.existing(path)
        if not entry.is_directory:
            raise OSError(errno.ENOTDIR, "not a directory", path)
        self.remove(path)

    def rename(self, old: str, new: str, /) -> None:
        """Gives a file or directory another name or place; a file in the new place is replaced.

        There is never an instant without a good name: a cut may leave both, on the same clusters.
        """
        self._begin()
        rename(self, old, new)

    # Files

    def open(self, path: str, mode: str = "rb", /) -> File:
        """Opens a file in binary mode: ``r``, ``w``, ``a`` or ``x``, with ``+`` for both ways.

        A new file reaches the card when it is flushed or closed, name and content together. Writing into an existing
        one by ``w`` empties it first; ``replace`` is the way that survives a cut.
        """
        self._begin()
        if mode not in _MODES:
            raise OSError(errno.EINVAL, f"mode {mode!r}: files are binary, of r w a x and +", path)
        kind, update = _MODES[mode]
        parent, name, entry = self.tree.lookup(path)
        write = update or kind != "r"
        created = entry is None
        if entry is None:
            if kind == "r":
                raise OSError(errno.ENOENT, "no such file or directory", path)
            entry = parent.insert(parent.place_for(require_valid(name)), ARCHIVE, 0, 0, self.stamp())
        elif kind == "x":
            raise OSError(errno.EEXIST, "file or directory exists", path)
        self._require_file(entry, path, write=write)
        self.tree.require_free(parent, entry, for_reading=not write)
        if kind == "w" and entry.cluster:
            chain = entry.cluster
            parent.update(entry, 0, 0, self.stamp())
            parent.commit()
            self.release(chain)
        file = File(self, parent, entry, write=write, append=kind == "a", created=created)
        if kind == "a":
            file.seek(0, 2)
        self.tree.note_open(parent, entry, write=write)
        return file

    def read_file(self, path: str, /) -> bytes:
        """The whole file. OSError ENOENT when it is not there."""
        self._begin()
        _, entry = self.tree.existing(path)
        self._require_file(entry, path, write=False)
        return read_runs(self.sectors, self.bpb, self.runs_of(entry), entry.size)

    def replace(self, path: str, data: bytes, /) -> None:
        """Writes a whole file so that a cut at any sector leaves the old content or the new one under ``path``, and the
        name there for a PC at every instant; makes the file when it is missing.

        Raises:
            VolumeFull: old and new content do not fit side by side; nothing has changed then.
        """
        self._begin()
        if len(data) > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, f"a file has at most {MAX_FILE_BYTES} bytes", path)
        parent, name, entry = self.tree.lookup(path)
        if entry is None:
            place = parent.place_for(require_valid(name))
        else:
            self._require_file(entry, path, write=True)
            self.tree.require_free(parent, entry)
        runs = self.table.find_free(-(-len(data) // self.bpb.cluster_bytes)) if data else []
        write_runs(self.sectors, self.bpb, runs, data)
        self.table.link(runs)
        self.table.flush()
        self.sectors.sync()
        old_chain = entry.cluster if entry is not None else 0
        cluster = runs[0][0] if runs else 0
        if entry is None:
            parent.insert(place, ARCHIVE, cluster, len(data), self.stamp())
        else:
            parent.update(entry, cluster, len(data), self.stamp())
        parent.commit()
        self.release(old_chain)

    def overwrite(self, path: str, data: bytes, /) -> None:
        """Rewrites a file of the same size in its own sectors; touches neither directory nor FAT.

        Raises:
            OSError: EINVAL when ``data`` is not as long as the file.
        """
        self._begin()
        parent, entry = self.tree.existing(path)
        self._require_file(entry, path, write=True)
        self.tree.require_free(parent, entry)
        if len(data) != entry.size:
            raise OSError(errno.EINVAL, f"{len(data)} bytes over a file of {entry.size}", path)
        if data:
            write_runs(self.sectors, self.bpb, self.runs_of(entry), data)
            self.sectors.sync()

    # For its parts

    def stamp(self) -> Stamp:
        """The time for what is written now."""
        return now_stamp(self._now)

    def finish(self) -> None:
        """Ends a change: the hint about free clusters (FAT32), then a sync."""
        if self.bpb.fsinfo and self.table.changed:
            free = UNKNOWN if self.table.free_count is None else self.table.free_count
            if free != self._free_written:
                self.sectors.write(self.bpb.fsinfo, fsinfo_sector(free, min(self.table.hint, self.table.top - 1)))
                self._free_written = free
        self.sectors.sync()

    def runs_of(self, entry: Entry) -> list[Run]:
        """The clusters that hold the file's content."""
        return runs_of(self.table, entry)

    def release(self, chain: int) -> None:
        """Frees a chain that no entry names any more, and ends the change."""
        if chain:
            self.sectors.sync()
            self.table.release(self.table.chain_to_release(chain))
            self.table.flush()
        self.finish()

    def require_mounted(self) -> None:
        if not self._mounted:
            raise NoCard("volume is not mounted")

    # Inside

    def _begin(self) -> None:
        """Every public call starts here: memory and card agree, or memory is dropped."""
        self.require_mounted()
        if self.sectors.gone:
            raise NoCard
        if self._failures != self.sectors.failures:
            self._failures = self.sectors.failures
            self.table.drop()
            self.tree.drop()
        self.tree.trim()

    def _require_file(self, entry: Entry, path: str, *, write: bool) -> None:
        if entry.is_directory:
            raise OSError(errno.EISDIR, "is a directory", path)
        if write and entry.attributes & READ_ONLY:
            raise OSError(errno.EACCES, "file is read-only", path)

    def _read_fsinfo(self) -> None:
        """Takes over the hint about free clusters, unless the volume is dirty: then it may be stale."""
        if not self.bpb.fsinfo:
            return
        found = fsinfo_from_sector(self.sectors.read(self.bpb.fsinfo))
        if found is None:
            return
        free, following = found
        if free <= self.bpb.clusters and not self.dirty:
            self.table.free_count = self._free_written = free
        if 2 <= following < self.table.top:
            self.table.hint = following
