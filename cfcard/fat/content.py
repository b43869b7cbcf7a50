"""The content of a whole file: which clusters hold it, and moving it in as few transfers as there are runs."""

from __future__ import annotations

from collections.abc import Iterator

from cfcard.blockdev import SECTOR_BYTES
from cfcard.errors import VolumeCorrupt
from cfcard.fat.bpb import Bpb
from cfcard.fat.claims import Run
from cfcard.fat.entry import Entry
from cfcard.fat.sectors import Sectors
from cfcard.fat.table import Table

__all__ = ["read_runs", "runs_of", "write_runs"]

SMALL_BYTES = 64 * 1024
"""Up to here data is padded to whole sectors in memory, which saves a transfer; beyond, copying would cost more."""


def runs_of(table: Table, entry: Entry) -> list[Run]:
    """The clusters that hold the content of ``entry``.

    Raises:
        VolumeCorrupt: there are fewer than its size needs.
    """
    needed = -(-entry.size // table.bpb.cluster_bytes)
    if needed > table.bpb.clusters:
        raise VolumeCorrupt(f"file {entry.name}", f"at most {table.bpb.clusters} clusters", f"size {entry.size}")
    runs = table.runs(entry.cluster, needed)
    found = sum(count for _, count in runs)
    if found < needed:
        raise VolumeCorrupt(f"file {entry.name}", f"{needed} clusters for {entry.size} bytes", str(found))
    return runs


def read_runs(sectors: Sectors, bpb: Bpb, runs: list[Run], size: int) -> bytes:
    """The first ``size`` bytes of ``runs``."""
    if not size:
        return b""
    whole = -(-size // SECTOR_BYTES) * SECTOR_BYTES
    stream = sectors.gather(_spans(bpb, runs, whole), whole)
    stream.truncate(size)
    return stream.getvalue()


def write_runs(sectors: Sectors, bpb: Bpb, runs: list[Run], data: bytes) -> None:
    """``data`` into ``runs``, the rest of its last sector zero."""
    rest = len(data) % SECTOR_BYTES
    if rest and len(data) <= SMALL_BYTES:
        data, rest = data + bytes(SECTOR_BYTES - rest), 0
    if len(runs) == 1 and not rest:
        sectors.write(bpb.sector_from_cluster(runs[0][0]), data)
        return
    view = memoryview(data)
    for lba, at, length in _spans(bpb, runs, len(data)):
        whole = length - length % SECTOR_BYTES
        if whole:
            sectors.write(lba, view[at : at + whole])
        if length > whole:
            tail = bytes(view[at + whole : at + length]).ljust(SECTOR_BYTES, b"\0")
            sectors.write(lba + whole // SECTOR_BYTES, tail)


def _spans(bpb: Bpb, runs: list[Run], size: int) -> Iterator[tuple[int, int, int]]:
    """(sector, offset into the data, bytes) of each transfer."""
    at = 0
    for first, count in runs:
        length = min(count * bpb.cluster_bytes, size - at)
        if length <= 0:
            return
        yield bpb.sector_from_cluster(first), at, length
        at += length
