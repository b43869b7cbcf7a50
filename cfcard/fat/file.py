"""An open file: a position in a chain of clusters.

Whole sectors pass between caller and card directly, neighbouring clusters in one transfer; a sector that is only partly
read or written is kept in a window of one sector. New clusters are put by (``claims``); ``flush`` links those that are
used, and brings everything to the card in the order data, FAT, directory entry: an entry never promises more than there
is.
"""

from __future__ import annotations

import contextlib
import errno
import os
from types import TracebackType
from typing import TYPE_CHECKING

from cfcard.blockdev import SECTOR_BYTES, Readable
from cfcard.errors import SectorError
from cfcard.fat.chain import Chain
from cfcard.fat.claims import Run
from cfcard.fat.directory import Directory
from cfcard.fat.entry import Entry

if TYPE_CHECKING:
    from cfcard.fat.volume import Volume

__all__ = ["MAX_FILE_BYTES", "File"]

MAX_FILE_BYTES = 0xFFFF_FFFF
"""The size field has 32 bits."""

ZEROS = bytes(64 * 1024)

FEW_SECTORS = 32
"""So many are copied faster than they are gathered in place."""


class File:
    """A file of a mounted volume, in binary mode; made by ``Volume.open``."""

    def __init__(
        self, volume: Volume, directory: Directory, entry: Entry, *, write: bool, append: bool, created: bool
    ) -> None:
        self._volume = volume
        self._cluster_bytes = volume.bpb.cluster_bytes
        self._directory = directory
        self._entry = entry
        self._writable = write
        self._append = append
        self._failures = volume.sectors.failures
        self._size = entry.size
        self._position = 0
        self._changed = created
        """Whether the directory entry must be written."""
        self._window = bytearray(SECTOR_BYTES)
        self._window_sector = -1
        """Which sector of the file is in the window."""
        self._window_dirty = False
        self.closed = False
        runs: list[Run] = []
        if entry.size:
            runs = volume.runs_of(entry)
        elif entry.cluster:  # nothing in it, yet a chain: legal for some systems; it is kept and written to
            runs = volume.table.runs(entry.cluster)
        self._chain = Chain(volume.table, runs)

    # Reading

    def read(self, nbytes: int = -1, /) -> bytes:
        """At most ``nbytes`` from the position on; all there is for a negative number."""
        self._require_usable()
        left = max(0, self._size - self._position)
        count = left if nbytes is None or nbytes < 0 else min(nbytes, left)
        if count == 0:
            return b""
        first, skip = divmod(self._position, SECTOR_BYTES)
        sectors = -(-(skip + count) // SECTOR_BYTES)
        if sectors == 1:
            self._open_window(first)
            data = bytes(self._window[skip : skip + count])
        else:
            self._write_window()
            data = self._read_row(first, skip, sectors, count)
        self._position += count
        return data

    def _read_row(self, first: int, skip: int, sectors: int, count: int) -> bytes:
        """``count`` bytes from ``skip`` on in the row of ``sectors``."""
        lba, row = self._chain.place(first)
        if sectors <= row and sectors <= FEW_SECTORS:
            buf = self._volume.sectors.read(lba, sectors)
            return bytes(buf) if count == len(buf) else bytes(memoryview(buf)[skip : skip + count])
        stream = self._volume.sectors.gather(self._chain.spans(first, sectors), sectors * SECTOR_BYTES)
        stream.truncate(skip + count)
        return stream.getvalue() if skip == 0 else stream.getvalue()[skip:]

    def readinto(self, buf: bytearray | memoryview, /) -> int:
        """Fills ``buf`` as far as the file goes; returns how far."""
        data = self.read(len(buf))
        buf[: len(data)] = data
        return len(data)

    # Writing

    def write(self, buf: Readable, /) -> int:
        """Writes all of ``buf`` at the position.

        Raises:
            VolumeFull: it does not fit; nothing of it was written then.
        """
        self._require_usable()
        if not self._writable:
            raise OSError(errno.EBADF, "file is open for reading", self._entry.name)
        data = buf if type(buf) is bytes else memoryview(buf).cast("B")
        size = len(data)
        if self._append:
            self._position = self._size
        position = self._position
        end = position + size
        if end > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, f"a file has at most {MAX_FILE_BYTES} bytes", self._entry.name)
        if not size:
            return 0
        clusters = -(-end // self._cluster_bytes)
        if clusters > self._chain.used:
            self._chain.require(clusters)
        if position > self._size:
            self._fill_gap(position)
        if position % SECTOR_BYTES or size % SECTOR_BYTES:
            self._put(position, memoryview(data))
        else:
            self._put_whole(position // SECTOR_BYTES, data)
        if end > self._size:
            self._size = end
        self._position = end
        return size

    def _put(self, position: int, data: memoryview) -> None:
        """Data into clusters that are there already."""
        skip = position % SECTOR_BYTES
        if skip or len(data) < SECTOR_BYTES:
            head = min(SECTOR_BYTES - skip, len(data))
            self._put_part(position, data[:head])
            position, data = position + head, data[head:]
        rest = len(data) % SECTOR_BYTES
        if len(data) > rest:
            self._put_whole(position // SECTOR_BYTES, data[:-rest] if rest else data)
            position += len(data) - rest
        # The size moves on before the rest is put: its sector then counts as one that holds data.
        if position > self._size:
            self._size = position
        if rest:
            self._put_part(position, data[-rest:])
            self._size = max(self._size, position + rest)

    def _put_whole(self, first: int, data: bytes | memoryview) -> None:
        self._changed = True
        stop = first + len(data) // SECTOR_BYTES
        if first <= self._window_sector < stop:
            self._window_sector, self._window_dirty = -1, False
        lba, row = self._chain.place(first)
        if first + row < stop:
            data = memoryview(data)  # to be cut without a copy
        while first + row < stop:
            self._volume.sectors.write(lba, data[: row * SECTOR_BYTES])
            first, data = first + row, data[row * SECTOR_BYTES :]
            lba, row = self._chain.place(first)
        self._volume.sectors.write(lba, data)

    def _put_part(self, position: int, piece: memoryview) -> None:
        sector, skip = divmod(position, SECTOR_BYTES)
        self._open_window(sector)
        self._window[skip : skip + len(piece)] = piece
        self._window_dirty = self._changed = True

    def _fill_gap(self, position: int) -> None:
        """FAT has no holes: what was jumped over is written as zeros."""
        while self._size < position:
            step = min(len(ZEROS) - self._size % SECTOR_BYTES, position - self._size)
            self._put(self._size, memoryview(ZEROS)[:step])

    # Position

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves the position: from the start, from here, or from the end; returns it."""
        self._require_usable()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}.get(whence)
        if base is None or base + offset < 0:
            raise OSError(errno.EINVAL, f"no position {offset} from {whence}", self._entry.name)
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position, in bytes from the start."""
        return self._position

    # To the card

    def flush(self) -> None:
        """Brings everything written so far to the card."""
        self._require_usable()
        if not self._changed and not self._window_dirty:
            return
        self._write_window()
        volume = self._volume
        self._chain.settle()
        volume.table.flush()
        volume.sectors.sync()
        if self._changed:
            cluster = self._chain.first if self._size else self._entry.cluster
            self._directory.update(self._entry, cluster, self._size, volume.stamp())
            self._directory.commit()
        volume.finish()
        self._changed = False

    def close(self) -> None:
        """Flushes and ends; a second call does nothing."""
        if self.closed:
            return
        try:
            if self._writable:
                self.flush()
        finally:
            self.closed = True
            self._volume.tree.note_closed(self._directory, self._entry)

    def __enter__(self) -> File:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        with contextlib.suppress(OSError):  # what is already on its way says why; closing fails as well after it
            self.close()

    # Sectors

    def _open_window(self, sector: int) -> None:
        if sector == self._window_sector:
            return
        self._write_window()
        self._window_sector = -1
        if sector * SECTOR_BYTES >= self._size:
            self._window[:] = bytes(SECTOR_BYTES)
        else:
            lba, _ = self._chain.place(sector)
            self._volume.sectors.read_into(lba, self._window)
        self._window_sector = sector

    def _write_window(self) -> None:
        if self._window_dirty:
            lba, _ = self._chain.place(self._window_sector)
            self._volume.sectors.write(lba, self._window)
            self._window_dirty = False

    def _require_usable(self) -> None:
        if self.closed:
            raise OSError(errno.EBADF, "file is closed", self._entry.name)
        if self._writable and self._failures != self._volume.sectors.failures:
            raise SectorError(f"{self._entry.name}: a write to this volume failed since the file was opened")
        self._volume.require_mounted()
