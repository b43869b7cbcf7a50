"""Disks of a Linux host, as sysfs and procfs tell of them: readable by everybody, nothing is opened.

::

    /sys/dev/block/8:16 -> ../../devices/pci.../usb1/1-2/.../block/sdb
                                               |                   |-- size, ro, removable, dev
                                               |                   |-- device/vendor, device/model, device/type
                                               a USB ancestor      |-- queue/logical_block_size
                                                                   |-- sdb1/partition, sdb1/holders/dm-0
    /proc/self/mountinfo, /proc/swaps                              what is mounted from it, and swapped to

The kernel looks at a reader's slot when somebody opens the device, or every two seconds where udev told it to; so a
size may be that of the card before.

Not modelled: mounts in other mount namespaces (containers); an exclusive open fails on those all the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Disk", "disk_numbered", "disks", "parent_of_partition"]

SIZE_UNIT_BYTES = 512
"""Of sysfs ``size``, whatever the sectors of the device are."""

CD_ROM = "5"
"""SCSI peripheral device type: removable, and no card."""

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole disk, or a slot of a card reader, as it is at this moment.

    Attributes:
        name: the kernel's, for example ``sdb``.
        size_bytes: 0 while there is no card.
        usb: it hangs on a USB port.
        mounts: where it, a partition of it, or what is stacked upon one (LVM, LUKS, RAID) is mounted.
        swap: it, or a part of it, is swapped to.
        holders: kernel names of what is stacked upon it.
    """

    name: str
    vendor: str
    model: str
    size_bytes: int
    sector_bytes: int
    write_protected: bool
    removable: bool
    usb: bool
    mounts: tuple[str, ...]
    swap: bool
    holders: tuple[str, ...]

    @property
    def device(self) -> str:
        return "/dev/" + self.name.replace("!", "/")  # sysfs cannot have a slash in a name

    @property
    def title(self) -> str:
        """Vendor and model, as far as the reader tells them."""
        return f"{self.vendor} {self.model}".strip() or "unnamed"


def disks(root: Path) -> list[Disk]:
    """The disks and card readers of the host whose ``/`` is ``root``, by name. CD drives are left out."""
    try:
        names = sorted(os.listdir(root / "sys/block"), key=lambda name: (len(name), name))
    except OSError:
        return []
    folders = ((name, root / "sys/block" / name) for name in names)
    return [_disk(name, folder, root) for name, folder in folders if _text(folder / "device/type") != CD_ROM]


def disk_numbered(rdev: int, root: Path) -> Disk | None:
    """The whole disk with this device number. None when there is none, or it is that of a partition."""
    folder = _folder_of(rdev, root)
    if folder is None or (folder / "partition").exists():
        return None
    return _disk(folder.name, folder, root)


def parent_of_partition(rdev: int, root: Path) -> str | None:
    """``/dev/sdb`` for the device number of ``/dev/sdb1``. None when it is that of no partition."""
    folder = _folder_of(rdev, root)
    return f"/dev/{folder.parent.name}" if folder is not None and (folder / "partition").exists() else None


def _folder_of(rdev: int, root: Path) -> Path | None:
    link = root / f"sys/dev/block/{os.major(rdev)}:{os.minor(rdev)}"
    return Path(os.path.realpath(link)) if link.exists() else None


def _disk(name: str, folder: Path, root: Path) -> Disk:
    stack = dict(_stack(folder, root))
    return Disk(
        name=name,
        vendor=_text(folder / "device/vendor"),
        model=_text(folder / "device/model"),
        size_bytes=_number(folder / "size") * SIZE_UNIT_BYTES,
        sector_bytes=_number(folder / "queue/logical_block_size"),
        write_protected=_number(folder / "ro") == 1,
        removable=_number(folder / "removable") == 1,
        usb=_hangs_on_usb(folder, root),
        mounts=tuple(_mounts(set(stack), set(stack.values()), root)),
        swap=any(f"/dev/{part}" in _swaps(root) for part in stack),
        holders=tuple(sorted(part for part in stack if not part.startswith(name))),
    )


def _stack(folder: Path, root: Path) -> Iterator[tuple[str, str]]:
    """(name, device number) of a disk, its partitions, and whatever is built upon any of them."""
    waiting, seen = [folder], set()
    while waiting:
        place = waiting.pop()
        if place.name in seen:
            continue
        seen.add(place.name)
        yield place.name, _text(place / "dev")
        waiting += [part for part in _children(place) if (part / "partition").exists()]
        waiting += [root / "sys/block" / holder.name for holder in _children(place / "holders")]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # it went meanwhile
        return []


def _hangs_on_usb(folder: Path, root: Path) -> bool:
    place = os.path.relpath(os.path.realpath(folder), os.path.realpath(root))
    return any(re.fullmatch(r"usb[0-9]+", part) for part in place.split("/"))


def _mounts(names: set[str], numbers: set[str], root: Path) -> Iterator[str]:
    """Mount points (proc(5), ``/proc/pid/mountinfo``); by number, and by source, as btrfs shows numbers of its own."""
    sources = {f"/dev/{name}" for name in names}
    for line in _text(root / "proc/self/mountinfo", lines=True).splitlines():
        before, _, after = line.partition(" - ")
        fields, source = before.split(" "), after.split(" ")[1:2]
        if len(fields) > 4 and (fields[2] in numbers or sources.intersection(source)):
            yield _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4])


def _swaps(root: Path) -> set[str]:
    lines = _text(root / "proc/swaps", lines=True).splitlines()[1:]
    return {line.split()[0] for line in lines if line.strip()}


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isascii() and text.isdigit() else 0


def _text(path: Path, *, lines: bool = False) -> str:
    """A file's text, '' when there is none. What a device says of itself goes to terminals: only printable characters
    stay.
    """
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
    return text if lines else "".join(character for character in text if character.isprintable()).strip()
