"""What the firmware does to a card, each as a card to begin with, what was promised of it, and one run on a record.

The coroutines are the firmware's own (``firmware.rootca.task``); a mark in the record stands where the firmware would
tell somebody: from there on the promise holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cfcard import RamDevice
from cfcard.fat import Fat
from cfcard.fat.partition import find_volume
from firmware.rootca.files import BACKUP, COPY, KEY, PRIMARY, SERIAL
from firmware.rootca.task import RootCa
from firmware.x509.serial_file import serial_file_from_number
from hil.sweep.powerloss.core import authority, finish, new_kernel
from hil.sweep.powerloss.device import RecordingDevice
from hil.sweep.powerloss.volumes import BYSTANDERS, Format, new_card

__all__ = ["OPERATIONS", "Operation", "Promise"]

CA = "Sweep CA"


@dataclass(frozen=True, slots=True)
class Promise:
    """What must be true of a card."""

    has_ca: bool = False
    """Whether the CA was reported: then it must be there for ever."""
    next_serial: int = 1
    """No number below this one may be issued again."""
    files: dict[str, bytes] = field(default_factory=lambda: dict(BYSTANDERS))
    """Files with their content."""
    formats: bool = False
    """The card is being formatted: all of the files, or none."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the firmware does.

    Attributes:
        prepare: makes the card that it begins with, and says what holds of it.
        act: does it, on a record.
        root: whether it writes the root directory of a card that holds a CA. The sector that names ``/CA`` and its copy
            is one; an operation that must write it stakes both, which is why no other does.
    """

    name: str
    prepare: Callable[[RecordingDevice], Promise]
    act: Callable[[RecordingDevice], None]
    root: bool = False

    def begin(self, form: Format) -> tuple[RamDevice, Promise]:
        """The card before it."""
        device = RecordingDevice(new_card(form))
        promise = self.prepare(device)
        return device.frozen(), promise


def _bare(device: RecordingDevice) -> Promise:
    return Promise()


def _laid_out(device: RecordingDevice) -> Promise:
    volume = Fat().mount(device)
    volume.mkdir(PRIMARY)
    volume.mkdir(COPY)
    return Promise()


def _with_ca(device: RecordingDevice) -> Promise:
    _laid_out(device)
    kernel = new_kernel()
    finish(kernel, RootCa(kernel).store(Fat().mount(device), *authority(CA)))
    return Promise(has_ca=True)


def _create(device: RecordingDevice) -> None:
    kernel = new_kernel()
    rootca, volume = RootCa(kernel), Fat().mount(device)

    async def work() -> None:
        await rootca.require_empty(volume)
        await rootca.store(volume, *authority(CA))
        device.mark("ca", CA)

    finish(kernel, work())


def _before_more_digits(device: RecordingDevice) -> Promise:
    _with_ca(device)
    volume = Fat().mount(device)
    for directory in (COPY, PRIMARY):
        volume.replace(f"{directory}/{SERIAL}", serial_file_from_number(0xFF))
    return Promise(has_ca=True, next_serial=0xFF)


def _take(count: int) -> Callable[[RecordingDevice], None]:
    def act(device: RecordingDevice) -> None:
        kernel = new_kernel()
        rootca, volume = RootCa(kernel), Fat().mount(device)

        async def work() -> None:
            for _ in range(count):
                ca = await rootca.load(volume)
                device.mark("serial", await rootca.take_serial(volume, ca))

        finish(kernel, work())

    return act


def _with_backup(device: RecordingDevice) -> Promise:
    _with_ca(device)
    kernel, earlier = new_kernel(), "earlier device " * 90
    path = finish(kernel, RootCa(kernel).backup(Fat().mount(device), "IP800-06-11-ac-00", earlier))
    return Promise(has_ca=True, files={**BYSTANDERS, path: earlier.encode()})


def _with_many_backups(device: RecordingDevice) -> Promise:
    """So many that the next one makes the directory longer."""
    _with_ca(device)
    volume = Fat().mount(device)
    slots = volume.bpb.cluster_bytes // 32
    count = 0
    while (2 + 4 * count) % slots + 4 <= slots and count < slots:
        volume.replace(f"{BACKUP}/IP800-06-11-ac-{count:03X}0 of before.pem", b"")
        count += 1
    return Promise(has_ca=True)


def _issue(device: RecordingDevice) -> None:
    kernel = new_kernel()
    rootca, volume = RootCa(kernel), Fat().mount(device)
    content = "certificate and key " * 130

    async def work() -> None:
        ca = await rootca.load(volume)
        serial = await rootca.take_serial(volume, ca)
        device.mark("serial", serial)
        path = await rootca.backup(volume, f"IP800-06-11-ac-{serial:02X}", content)
        device.mark("file", (path, content.encode()))

    finish(kernel, work())


def _without_primary(device: RecordingDevice) -> Promise:
    """A PC removed key and serial number from ``/CA``."""
    _with_ca(device)
    volume = Fat().mount(device)
    volume.remove(f"{PRIMARY}/{KEY}")
    volume.remove(f"{PRIMARY}/{SERIAL}")
    return Promise(has_ca=True)


def _without_copy(device: RecordingDevice) -> Promise:
    """A PC removed the copy, or made the CA itself."""
    _with_ca(device)
    volume = Fat().mount(device)
    for name, *_ in list(volume.ilistdir(COPY)):
        volume.remove(f"{COPY}/{name}")
    volume.remove(COPY)
    volume.remove(BACKUP)
    return Promise(has_ca=True)


def _pc_ahead(device: RecordingDevice) -> Promise:
    """``openssl ca`` on a PC has issued 40h certificates meanwhile, and renamed the file as it does."""
    _with_ca(device)
    volume = Fat().mount(device)
    volume.rename(f"{PRIMARY}/{SERIAL}", f"{PRIMARY}/{SERIAL}.old")
    volume.replace(f"{PRIMARY}/{SERIAL}", b"41\n")
    return Promise(has_ca=True, next_serial=0x41)


def _left_by_pc(device: RecordingDevice) -> Promise:
    """Taken out of a PC too early: dirty, the second FAT behind the first, clusters that nobody names."""
    promise = _with_ca(device)
    sectors, bpb = find_volume(device)
    volume = Fat().mount(device)
    volume.replace("/half.txt", b"half " * 1000)
    parent, entry = volume.tree.existing("/half.txt")
    parent.erase(entry)
    parent.commit()
    if bpb.fats == 2:
        before = RecordingDevice(device.base)
        _with_ca(before)
        old = find_volume(before)[0].read(bpb.reserved + bpb.fat_sectors)
        sectors.write(bpb.reserved + bpb.fat_sectors, old)
    if bpb.kind != 12:
        at = 3 if bpb.kind == 16 else 7
        for copy in range(bpb.fats):
            first = sectors.read(bpb.reserved + copy * bpb.fat_sectors)
            first[at] &= 0x7F if bpb.kind == 16 else 0xF7
            sectors.write(bpb.reserved + copy * bpb.fat_sectors, first)
    return promise


def _mount(device: RecordingDevice) -> None:
    Fat().repair(device)
    Fat().mount(device)


def _load(device: RecordingDevice) -> None:
    kernel = new_kernel()
    finish(kernel, RootCa(kernel).load(Fat().mount(device)))


def _formatted(device: RecordingDevice) -> Promise:
    _with_ca(device)
    return Promise(formats=True)


def _format(device: RecordingDevice) -> None:
    Fat().mkfs(device, serial=0x5EED_0002)
    Fat().mount(device)


OPERATIONS = (
    Operation("create", _laid_out, _create, root=True),
    Operation("create-bare", _bare, _create, root=True),
    Operation("serial", _with_ca, _take(3)),
    Operation("serial-digits", _before_more_digits, _take(2)),
    Operation("issue-backup", _with_backup, _issue),
    Operation("backup-grows", _with_many_backups, _issue),
    Operation("recover-ca", _without_primary, _load),
    Operation("recover-copy", _without_copy, _load, root=True),
    Operation("pc-ahead", _pc_ahead, _take(1)),
    Operation("mount", _left_by_pc, _mount),
    Operation("format", _formatted, _format),
)
"""In the order of a card's life."""
