"""Takes a volume's room away: what a full card is, for whoever wants to see what happens on one."""

from __future__ import annotations

import errno

from cfcard.blockdev import BlockDevice
from cfcard.errors import VolumeFull
from cfcard.fat.file import MAX_FILE_BYTES
from cfcard.fat.filesystem import Fat
from cfcard.fat.volume import Volume

__all__ = ["FILLER", "fill_volume", "require_fillable"]

FILLER = "/FULL.BIN"
"""The file that has the room; on a volume with more than 4 GiB free, ``/FULL2.BIN`` and so on beside it."""


def fill_volume(device: BlockDevice, free_clusters: int = 0) -> int:
    """Makes files of whatever the sectors hold, until ``free_clusters`` are free. Gives how many were free before.

    Nobody else may have the volume mounted. No data is written: a card of 32 GiB is full in no time.

    Raises:
        VolumeFull: fewer clusters are free already, or the root directory is full.
        VolumeCorrupt: there is no usable FAT volume.
        OSError: EEXIST when it was filled before.
    """
    volume = Fat().mount(device)
    before = _free(volume, free_clusters)
    left = before - free_clusters
    for number in range(1, before):
        if not left:
            break
        clusters = min(left, MAX_FILE_BYTES // volume.bpb.cluster_bytes)
        path = FILLER if number == 1 else f"/FULL{number}.BIN"
        volume.open(path, "xb").close()
        parent, entry = volume.tree.existing(path)
        runs = volume.table.find_free(clusters)
        volume.table.link(runs)
        volume.table.flush()
        parent.update(entry, runs[0][0], clusters * volume.bpb.cluster_bytes, volume.stamp())
        parent.commit()
        left -= clusters
    volume.umount()
    return before


def require_fillable(device: BlockDevice, free_clusters: int = 0) -> None:
    """Returns when ``fill_volume`` would do its work; raises what it would."""
    volume = Fat().mount(device)
    _free(volume, free_clusters)
    try:
        volume.stat(FILLER)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    else:
        raise OSError(errno.EEXIST, "it was filled before", FILLER)
    volume.umount()


def _free(volume: Volume, free_clusters: int) -> int:
    """Free clusters. VolumeFull when they are fewer than wanted."""
    free = volume.statvfs("/")[3]
    if free < free_clusters:
        raise VolumeFull(f"{free} clusters are free, fewer than the {free_clusters} that are to stay free")
    return free
