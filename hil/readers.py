"""Real card readers on the bench: which names mean one, what is in it, and noticing that the card has left.

To everything above it is a card like any other: ``gatebench run --card /dev/sdb``, ``gatebench card ls /dev/sdb``.
Naming it is the user's consent to have it written to; what may be named at all, ``cfcard.reader`` decides.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cfcard import CompactFlash, ImageDevice
from cfcard.discovery import Disk, disks
from cfcard.errors import CardError
from cfcard.reader import CARDS, Policy, ReaderDevice
from hil.errors import EnvironmentRefused, reason_from_oserror

if TYPE_CHECKING:
    from board.clock import VirtualClock
    from hil.gateway import Gateway

__all__ = ["ReaderWatch", "backend_of", "is_reader", "look_into", "reader_card", "reader_text", "readers", "size_text"]

MEMORY_FOLDER = "/dev/shm/"
"""Where under /dev ordinary files live."""

LOOK_NS = 1_000_000_000
"""How often a card is asked whether it is still there."""


def is_reader(path: str | Path) -> bool:
    """Whether a path means a device. Below ``/dev`` nearly everything does: no image is to be made there by mistake."""
    text = os.fspath(path)
    below_dev = text.startswith("/dev/") and not text.startswith(MEMORY_FOLDER)
    try:
        mode = os.stat(text).st_mode
    except OSError:
        return below_dev
    return stat.S_ISBLK(mode) or (below_dev and not stat.S_ISREG(mode))


def backend_of(path: str | Path, *, writable: bool = True, policy: Policy = CARDS) -> ImageDevice | ReaderDevice:
    """The sectors behind a path: of the card in a reader, or of an image file. OSError where they cannot be had."""
    if is_reader(path):
        return ReaderDevice(path, writable=writable, policy=policy)
    return ImageDevice(path, writable=writable)


def reader_card(path: str, policy: Policy = CARDS) -> CompactFlash:
    """The card in a reader, for the slot of a board; it bears the reader's vendor and model.

    Raises:
        EnvironmentRefused: it cannot be had, with the reason.
    """
    try:
        device = ReaderDevice(path, policy=policy)
    except CardError as error:
        raise EnvironmentRefused(f"card {error}") from error
    except OSError as error:
        raise EnvironmentRefused(f"card {path}: {reason_from_oserror(error)}") from error
    return CompactFlash(device, model=device.disk.title)


def reader_text(backend: object) -> str | None:
    """``/dev/sdb: Generic STORAGE DEVICE, 64 MiB``, and whether it is write-protected; None when it is no reader."""
    if not isinstance(backend, ReaderDevice):
        return None
    protected = ", write-protected" if backend.disk.write_protected else ""
    return f"{backend.path}: {backend.disk.title}, {size_text(backend.size_bytes)}{protected}"


def readers(
    root: Path = Path("/"), policy: Policy = CARDS, *, look: Callable[[str], None] = lambda device: None
) -> list[tuple[Disk, str | None]]:
    """The host's card readers and other removable disks, each with why it would be refused; None when it would not.

    Args:
        root: where ``/sys`` and ``/proc`` are.
        look: called with each device that may be looked into, before its size is read; see ``look_into``.
    """

    def reason(disk: Disk) -> str | None:
        return policy.refusal_of_disk(disk) or policy.refusal_of_medium(disk)

    def seen() -> list[Disk]:
        return [disk for disk in disks(root) if disk.removable or disk.usb or disk.name in policy.also]

    for disk in seen():
        if policy.refusal_of_disk(disk) is None:
            look(disk.device)
    return [(disk, reason(disk)) for disk in seen()]


def look_into(device: str) -> None:
    """Makes the kernel look into a reader's slot: without it, sysfs tells of the card that was there last time.

    Without effect where that takes a permission that we have not.
    """
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        pass


def size_text(size_bytes: int) -> str:
    """``64 MiB``, ``3.7 GiB``."""
    for unit, text in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.3g} {text}"
    return f"{size_bytes} bytes"


class ReaderWatch:
    """Pulls the card out of the slot, for the board to notice, once it has left its reader. It never puts one in.

    Args:
        pull: what takes it out of the slot.
        say: told in one line.
        every_ns: virtual time between two looks.
    """

    def __init__(
        self,
        clock: VirtualClock,
        gateway: Gateway,
        pull: Callable[[], None],
        say: Callable[[str], None],
        *,
        every_ns: int = LOOK_NS,
    ) -> None:
        self._clock = clock
        self._gateway = gateway
        self._pull = pull
        self._say = say
        self._every_ns = every_ns
        self._clock.after(every_ns, self._look)

    def _look(self) -> None:
        card = self._gateway.card
        if card is not None and isinstance(card.backend, ReaderDevice) and not card.backend.present():
            self._pull()
            self._say(f"card {card.backend.path}: has left its reader; card in/out takes the one that is there then")
        self._clock.after(self._every_ns, self._look)
