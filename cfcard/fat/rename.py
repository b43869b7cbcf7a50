"""Another name or place for a file or directory: there is never an instant without a good name.

::

    to a free name       the new entry | sync | the old one deleted    (one write, where nothing can tear it)
    over a file          its entry takes over the content | sync | the old entry deleted | sync | its old chain freed
    into a directory     the new entry | sync | ".." of a directory | the old entry deleted

A cut may leave both names, on the same clusters.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from cfcard.fat.directory import Directory
from cfcard.fat.entry import READ_ONLY, Entry
from cfcard.fat.names import require_valid

if TYPE_CHECKING:
    from cfcard.fat.volume import Volume

__all__ = ["rename"]


def rename(volume: Volume, old: str, new: str) -> None:
    """Gives what is called ``old`` the path ``new``; a file in the new place is replaced.

    Raises:
        OSError: ENOENT, EEXIST (a directory is in the way, or on its way onto a file), EACCES, EBUSY, EINVAL; nothing
            has changed then.
    """
    tree = volume.tree
    source_parent, source = tree.existing(old)
    parent, name, target = tree.lookup(new)
    require_valid(name)
    tree.require_free(source_parent, source)
    if target is source:
        if name != source.name:
            source_parent.rename(source, name)
            volume.finish()
        return
    if source.is_directory:
        tree.require_outside(source, new)
    if target is not None:
        _require_replaceable(volume, source, parent, target, new)
        _over(volume, source_parent, source, parent, target)
    elif source_parent is parent:
        source_parent.rename(source, name)
        volume.finish()
    else:
        _move(volume, source_parent, source, parent, name)


def _require_replaceable(volume: Volume, source: Entry, parent: Directory, target: Entry, path: str) -> None:
    if source.is_directory or target.is_directory:
        raise OSError(errno.EEXIST, "file or directory exists", path)
    if target.attributes & READ_ONLY:
        raise OSError(errno.EACCES, "file is read-only", path)
    volume.tree.require_free(parent, target)


def _over(volume: Volume, source_parent: Directory, source: Entry, parent: Directory, target: Entry) -> None:
    old_chain = target.cluster
    parent.update(target, source.cluster, source.size, source.stamp)
    if parent is not source_parent or not parent.change_together(source, target):
        parent.commit()
        volume.sectors.sync()
    source_parent.erase(source)
    source_parent.commit()
    volume.release(old_chain)


def _move(volume: Volume, source_parent: Directory, source: Entry, parent: Directory, name: str) -> None:
    parent.insert(parent.place_for(name), source.attributes, source.cluster, source.size, source.stamp)
    parent.commit()
    volume.sectors.sync()
    if source.is_directory:
        moved = volume.tree.below(source)
        moved.set_parent(volume.tree.dots_from(parent))
        moved.commit()
    source_parent.erase(source)
    source_parent.commit()
    volume.finish()
