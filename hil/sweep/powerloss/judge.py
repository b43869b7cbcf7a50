"""Says whether a cut lost anything: looks at the card as a PC would, lets the firmware recover, and looks again.

=================  ============================================================================================
before recovery    the file system shows nothing but what ``fsck`` calls harmless (where nothing was destroyed)
                   after a clean cut a PC finds the three names of the CA, with a key and a certificate that fit
recovery           the firmware's: the file system's at mount, then the CA's at its first use
after it           the volume is in order, and a second recovery finds nothing to do
                   the CA that was reported is there, with its key; its next number was never used
                   every file of others is there, byte for byte
=================  ============================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cfcard.errors import VolumeCorrupt
from cfcard.fat import Fat, Volume
from cfcard.fat.names import parts_of
from firmware.card.errors import CardFailure
from firmware.errors import CertificateError
from firmware.rootca.files import CERTIFICATE, KEY, PRIMARY, SERIAL, CardCa
from firmware.rootca.task import RootCa
from firmware.x509.certificate import certificates_from_pem
from firmware.x509.key import private_key_from_file
from firmware.x509.serial_file import serial_from_file
from hil.sweep.powerloss.core import authority, finish, new_kernel
from hil.sweep.powerloss.device import Mark, RecordingDevice
from hil.sweep.powerloss.models import ORDERLY, Cut
from hil.sweep.powerloss.operations import CA, Promise

__all__ = ["judge", "promised", "recover"]

HARMLESS = (
    "FAT: expected every cluster in use named by a file",
    "FAT copies: expected the same",
    "FSInfo",
    "boot sector: expected a volume taken out cleanly",
    "FAT entry 1: expected a volume taken out cleanly",
)
"""What ``fsck.fat -a`` mends without asking. An orphaned long name is the last of them."""

AGAIN = 4
"""A second recovery is tried at every so many-th write: it costs as much as all else."""

HARMLESS_END = "expected a long name with its file, found one without"


def promised(promise: Promise, marks: Iterable[Mark]) -> Promise:
    """``promise`` with what was promised since."""
    for mark in marks:
        if mark.kind == "ca":
            promise = replace(promise, has_ca=True)
        elif mark.kind == "serial":
            assert isinstance(mark.value, int)
            promise = replace(promise, next_serial=max(promise.next_serial, mark.value + 1))
        else:
            assert isinstance(mark.value, tuple)
            path, content = mark.value
            promise = replace(promise, files={**promise.files, path: content})
    return promise


def recover(device: RecordingDevice) -> tuple[CardCa | None, str]:
    """What the firmware does with a card from insertion to the first use of its CA: the CA, or why there is none."""
    fat = Fat()
    fat.repair(device)
    volume, kernel = fat.mount(device), new_kernel()
    try:
        return finish(kernel, RootCa(kernel).load(volume)), ""
    except CardFailure as failure:
        return None, str(failure)


def judge(device: RecordingDevice, cut: Cut, promise: Promise, root: bool, before: Cut | None = None) -> list[str]:
    """What is wrong with one state; ``device`` is as recovered afterwards, and has recorded the recovery.

    Args:
        promise: what held when it was cut.
        root: whether the operation writes the root directory, and so may lose what is named there with its sector.
        before: for a cut of a recovery, the cut that made it necessary.
    """
    if promise.formats:
        return _judge_format(device, promise)
    wrong: list[str] = []
    if before is None:
        wrong += _as_found(device, cut, promise)
        device.events.clear()
    try:
        ca, why = recover(device)
    except OSError as error:
        return [*wrong, f"recovery ends with: {error}"]
    done = len(device.events)
    volume = Fat().mount(device)
    spoiled = {state.spoiled for state in (before, cut) if state is not None and state.spoiled is not None}
    spared = root and bool(spoiled & _sectors_of(volume, "/"))
    forgetful = "forget" in (cut.model, before.model if before is not None else "")
    wrong += [f"after recovery: {problem}" for problem in Fat().check(device).problems]
    if cut.at % AGAIN == 0:
        wrong += _once_more(device)
    if ca is None:
        wrong += _without_ca(device, why, promise, spared, forgetful)
    else:
        wrong += _with_ca(ca, promise)
    if not spared:
        wrong += _files(volume, promise, spoiled)
    del device.events[done:]
    return wrong


def _as_found(device: RecordingDevice, cut: Cut, promise: Promise) -> list[str]:
    wrong = []
    if cut.model in ORDERLY or cut.model == "reorder":
        for problem in Fat().check(device).problems:
            if not problem.startswith(HARMLESS) and not problem.endswith(HARMLESS_END):
                wrong.append(f"before recovery: {problem}")
    if cut.model == "clean" and promise.has_ca and cut.marks != ():
        wrong += _as_seen_by_pc(device)
    return wrong


def _as_seen_by_pc(device: RecordingDevice) -> list[str]:
    """The three names of the reference text, without any recovery."""
    volume = Fat().mount(device)
    try:
        certificate = certificates_from_pem(volume.read_file(f"{PRIMARY}/{CERTIFICATE}"))[0]
        key = private_key_from_file(volume.read_file(f"{PRIMARY}/{KEY}"))
        serial_from_file(volume.read_file(f"{PRIMARY}/{SERIAL}"))
    except (OSError, CertificateError) as error:
        return [f"a PC does not find the CA: {error}"]
    return [] if certificate.spki == key.spki() else ["a PC finds a key that does not fit the certificate"]


def _once_more(device: RecordingDevice) -> list[str]:
    """A recovery that was done needs no other."""
    again = Fat().repair(device)
    return [f"a second recovery finds: {'; '.join(again.done + again.left)}"] if again.done or again.left else []


def _with_ca(ca: CardCa, promise: Promise) -> list[str]:
    certificate, key = authority(CA)
    if ca.certificate.der != certificate.der or ca.key.modulus != key.modulus:
        return ["the CA is another one"]
    if ca.next_serial < promise.next_serial:
        return [f"serial number {ca.next_serial:X} would be issued again"]
    return []


def _without_ca(device: RecordingDevice, why: str, promise: Promise, spared: bool, forgetful: bool) -> list[str]:
    """A CA that was reported must be there; where none was, one can be made."""
    if promise.has_ca:
        return [] if spared else [f"the CA is lost: {why}"]
    return [] if forgetful else _can_begin_again(device)


def _can_begin_again(device: RecordingDevice) -> list[str]:
    kernel = new_kernel()
    try:
        finish(kernel, RootCa(kernel).require_empty(Fat().mount(device)))
    except CardFailure as failure:
        return [f"no new CA can be made: {failure}"]
    return []


def _files(volume: Volume, promise: Promise, spoiled: set[int]) -> list[str]:
    """Files that are not as promised; those aside whose own directory sector was the one destroyed."""
    wrong = []
    for path, content in promise.files.items():
        try:
            if volume.read_file(path) != content:
                wrong.append(f"{path} has another content")
        except OSError as error:
            if not (spoiled and spoiled & _sectors_of(volume, path.rpartition("/")[0] or "/")):
                wrong.append(f"{path} is lost: {error}")
    return wrong


def _sectors_of(volume: Volume, path: str) -> set[int]:
    """The sectors of a directory, as the device counts them."""
    bpb, first = volume.bpb, volume.sectors.first
    try:
        start = volume.tree.walk(parts_of(path)).start
    except OSError:
        return set()
    if start == 0:
        return set(range(first + bpb.root_start, first + bpb.data_start))
    per = bpb.sectors_per_cluster
    places = (first + bpb.sector_from_cluster(c) for run in volume.table.runs(start) for c in range(run[0], sum(run)))
    return {lba for place in places for lba in range(place, place + per)}


def _judge_format(device: RecordingDevice, promise: Promise) -> list[str]:
    """A format that was cut short leaves all as it was, or nothing; and it can be done again."""
    wrong = []
    try:
        Fat().repair(device)
        volume = Fat().mount(device)
        lost = _files(volume, promise, set())
        names = [row[0] for row in volume.ilistdir("/")]
        if lost and names:
            wrong.append(f"after half a format some files are there: {', '.join(names)}; {lost[0]}")
    except VolumeCorrupt:
        pass  # no volume: the board says so, and formats again
    except OSError as error:
        if "unreadable" not in str(error):
            wrong.append(f"mount ends with: {error}")
    try:
        Fat().mkfs(device, serial=0x5EED_0003)
        wrong += [f"after another format: {problem}" for problem in Fat().check(device).problems]
    except OSError as error:
        wrong.append(f"it cannot be formatted again: {error}")
    device.events.clear()
    return wrong
