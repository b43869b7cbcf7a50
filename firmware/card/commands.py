"""The commands of module CARD."""

from __future__ import annotations

import errno
from collections.abc import Callable

from firmware.card.errors import failure_from_oserror
from firmware.card.identity import card_identity
from firmware.card.keys import KeyKind
from firmware.card.task import CardTask
from firmware.commands.kinds import Choice, Text
from firmware.commands.registry import Argument, Call, Operation, Option, Registry, Reply
from firmware.errors import CommandError
from firmware.hal import Volume
from firmware.kernel.booking import booked
from firmware.rootca.files import BACKUP, DIRECTORIES, KEY

MODULE = "CARD"

DIRECTORY = 0x4000
"""Type of a directory entry in MicroPython's ``ilistdir``."""

LISTED = 1_000
"""Entries that a listing shows at most: more would fill a terminal for minutes."""

KEYS = (
    KeyKind("a root CA's key", "discard-ca", tuple(f"{directory}/{KEY}" for directory in DIRECTORIES)),
    KeyKind("a device's key", "discard-backup", folder=BACKUP, ending=".pem"),
)
"""What a format does not take away unless it is told to."""


def register_card(registry: Registry, card: CardTask | None, draw_serial: Callable[[], int]) -> None:
    """Adds the module's operations. ``draw_serial`` gives the serial number of a new volume."""
    commands = CardCommands(card, draw_serial)
    fat = Option("fat", Choice("12", "16", "32"), "kind of FAT; without it, the size's own")
    discard = Option("discard-ca", None, "also when the card holds a root CA, whose key is overwritten")
    backup = Option("discard-backup", None, "also when it holds devices' keys in /BACKUP, which are overwritten")
    path = Argument("path", Text(), "directory", default="/", path=True)
    for operation in (
        Operation(MODULE, "info", "card, file system and free space", commands.info, query=True),
        Operation(MODULE, "ls", "files in a directory of the card", commands.ls, arguments=(path,), query=True),
        Operation(MODULE, "mount", "mounts the card that is in", commands.mount),
        Operation(MODULE, "unmount", "lets go of the card, so that it can be taken out", commands.unmount),
        Operation(
            MODULE,
            "format",
            "makes a new file system: everything on the card is lost",
            commands.format,
            (fat, discard, backup),
        ),
        Operation(MODULE, "check", "looks the whole file system over", commands.check, query=True),
    ):
        registry.register(operation)


class CardCommands:
    """Handlers, one per command."""

    def __init__(self, card: CardTask | None, draw_serial: Callable[[], int]) -> None:
        self._task = card
        self._draw_serial = draw_serial

    async def _card(self) -> CardTask:
        """The slot, once its contacts are at rest. CommandError where there is none."""
        if self._task is None:
            raise CommandError("this model has no card slot")
        await self._task.settle()
        return self._task

    async def info(self, call: Call) -> Reply:
        card = await self._card()
        data: dict[str, object] = {"state": card.state}
        if card.reason:
            data["reason"] = card.reason
        if card.state != "absent":
            try:
                with booked(card.kernel, "card"):
                    data |= card_identity(card.slot.identify())
            except OSError as error:
                raise failure_from_oserror(error) from None
        if card.volume is not None:
            with booked(card.kernel, "card"):
                data |= volume_view(card.volume)
        return Reply("\n".join(f"{name.replace('_', ' ')}: {_shown(value)}" for name, value in data.items()), data)

    async def ls(self, call: Call) -> Reply:
        path = call.text("path")
        card = await self._card()
        with card.use(f"ls {printable(path)}") as volume, booked(card.kernel, "card"):
            entries = []
            for name, kind, _, size_bytes in volume.ilistdir(path):
                entries.append({"name": name, "directory": kind == DIRECTORY, "size_bytes": size_bytes})
                if len(entries) == LISTED:
                    break
        lines = [
            f"{'<DIR>' if entry['directory'] else entry['size_bytes']:>10}  {printable(str(entry['name']))}"
            for entry in entries
        ]
        return Reply("\n".join(lines) or "empty", entries)

    async def mount(self, call: Call) -> Reply:
        await (await self._card()).mount()
        return Reply("mounted")

    async def unmount(self, call: Call) -> Reply:
        (await self._card()).unmount()
        return Reply("unmounted: the card can be taken out")

    async def format(self, call: Call) -> Reply:
        fat = call.get("fat")
        card = await self._card()
        given_up = [kind.option for kind in KEYS if call.flag(kind.option)]
        await card.format(int(fat) if fat else None, self._draw_serial(), keys=KEYS, given_up=given_up)
        return Reply("formatted and mounted")

    async def check(self, call: Call) -> Reply:
        report = await (await self._card()).check()
        data = {"clean": report.clean, "problems": list(report.problems)}
        return Reply("\n".join(report.problems) or "clean", data)


def printable(name: str) -> str:
    """A name for a terminal: what a damaged or hostile card has in its names must not move the cursor."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _shown(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def volume_view(volume: Volume) -> dict[str, object]:
    """Numbers of a mounted volume."""
    try:
        block_bytes, _, blocks, free, *_ = volume.statvfs("/")
    except OSError as error:
        if error.errno == errno.ENODEV:
            return {}
        raise failure_from_oserror(error) from None
    return {
        "volume_serial": f"{volume.serial:08X}",
        "cluster_bytes": block_bytes,
        "volume_bytes": block_bytes * blocks,
        "free_bytes": block_bytes * free,
    }
