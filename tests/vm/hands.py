"""Scenes of what hands do to a card and its reader while somebody has it open: pull, swap, protect, unplug."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gadget import Slot, look
from stage import Act, Facts, reader, scene
from views import WORK, card, name_on, outcome, sha256

from cfcard.fat import Fat
from cfcard.reader import ReaderDevice


@scene
def pulled(slot: Slot) -> Facts:
    a, b = card("a"), card("bb")
    slot.insert(a)
    facts: Facts = {}
    with reader(slot) as device:
        device.writeblocks(5_000, b"a" * 512)
        facts["present"] = [device.present()]
        slot.eject()
        facts["present"].append(device.present())
        facts["read"] = outcome(lambda: device.readblocks(0, bytearray(512)))
        facts["opened while empty"] = outcome(lambda: ReaderDevice(slot.device))
        slot.insert(b)
        facts["present"].append(device.present())
        facts["write"] = outcome(lambda: device.writeblocks(0, bytes(512)))
        facts["name"] = name_on(slot.device)
    slot.eject()
    slot.insert(a)
    facts["name again"] = name_on(slot.device)
    return facts


@scene
def pulled_while_writing(slot: Slot) -> Facts:
    slot.insert(card("a"))
    with reader(slot) as device:
        volume = Fat().mount(device)
        volume.replace("/CA/cakey.pem", b"k" * 1_704)
        slot.eject()
        update = outcome(lambda: volume.replace("/CA/cakey.pem", b"l" * 1_704))
    slot.insert(WORK / "a.img")
    with reader(slot) as device:
        kept = Fat().mount(device).read_file("/CA/cakey.pem") == b"k" * 1_704
    return {"update": update, "kept": kept}


@scene
def swapped(slot: Slot) -> Facts:
    """A card is exchanged while its reader is open; in between, the slot is looked into or not."""

    def nothing() -> None:
        pass

    def somebody_looks() -> None:
        look(slot.device)

    def kernel_polls() -> None:
        polling = Path("/sys/block", Path(slot.device).name, "events_poll_msecs")
        polling.write_text("50")
        time.sleep(0.5)
        polling.write_text("-1")

    def polled_and_looked() -> None:
        kernel_polls()
        somebody_looks()

    acts: dict[str, Act] = {
        "write": lambda device: device.writeblocks(4_000, b"stale" + bytes(507)),
        "large write": lambda device: device.writeblocks(4_000, b"stale" + bytes((1 << 20) - 5)),
        "read": lambda device: device.readblocks(0, bytearray(512)),
        "sync": lambda device: device.sync(),
        "present": lambda device: device.present(),
    }
    facts: Facts = {}
    for between in (nothing, somebody_looks, kernel_polls, polled_and_looked):
        for what, act in acts.items():
            facts[f"{what}, {between.__name__}"] = exchange(slot, between, act)
    return facts


@scene
def swapped_under_any_other_program(slot: Slot) -> Facts:
    """The same without ``ReaderDevice``: a descriptor of the kernel's, held as exclusively."""
    slot.insert(card("a"))
    b = card("b")
    before = sha256(b)
    fd = os.open(slot.device, os.O_RDWR | os.O_EXCL | os.O_DSYNC)
    try:
        os.pwrite(fd, bytes(4_096), 0)
        slot.eject()
        slot.insert(b)
        facts: Facts = {"not looked at": outcome(lambda: os.pwrite(fd, bytes(4_096), 1 << 20))}
        facts["touched"] = [sha256(b) != before]
        look(slot.device)
        facts["looked at"] = outcome(lambda: os.pwrite(fd, b"stale" * 1_024, 1 << 20))
        facts["touched"].append(sha256(b) != before)
    finally:
        os.close(fd)
    return facts


@scene
def looked_at(slot: Slot) -> Facts:
    """The same card all the time, however often anybody looks."""
    slot.insert(card("a"))
    polling = Path("/sys/block", Path(slot.device).name, "events_poll_msecs")
    polling.write_text("20")
    rounds = present = 0
    with reader(slot) as device:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            look(slot.device)
            device.writeblocks(4_000 + rounds % 100, bytes(512))
            rounds += 1
            present += device.present()
        device.sync()
    polling.write_text("-1")
    return {"rounds": rounds, "present": present}


def exchange(slot: Slot, between: Callable[[], None], act: Act) -> Facts:
    a, b = card("a"), card("b")
    slot.insert(a)
    with reader(slot) as device:
        device.writeblocks(5_000, b"unsynced" * 64)
        slot.eject()
        slot.insert(b)
        before = sha256(b)
        between()
        facts: Facts = {"first": outcome(lambda: act(device))}
        facts["write"] = outcome(lambda: device.writeblocks(6_000, b"stale" + bytes(507)))
        facts["present"] = device.present()
    facts["touched"] = sha256(b) != before
    facts["name"] = name_on(slot.device)
    slot.eject()
    return facts


@scene
def protected(slot: Slot) -> Facts:
    image = card("a")
    before = sha256(image)
    slot.protect(True)
    slot.insert(image)
    with reader(slot) as device:
        facts: Facts = {"protected": device.write_protected, "size": device.size_bytes}
        facts["write"] = outcome(lambda: device.writeblocks(0, bytes(512)))
        facts["name"] = Fat().mount(device).read_file("/CA/name").decode()
    slot.eject()
    facts["touched"] = sha256(image) != before
    slot.protect(False)
    slot.insert(image)
    with reader(slot) as device:
        facts["afterwards"] = device.write_protected
    return facts


@scene
def unplugged(slot: Slot) -> Facts:
    acts: dict[str, Act] = {
        "read": lambda device: device.readblocks(0, bytearray(512)),
        "write": lambda device: device.writeblocks(0, bytes(512)),
        "sync": lambda device: device.sync(),
    }
    image, facts = card("a"), {}
    for what, act in acts.items():
        slot.insert(image)
        with reader(slot) as device:
            device.writeblocks(5_000, bytes(512))
            slot.unplug()
            facts[what] = [outcome(partial(act, device)), device.present()]
        slot.plug()
        facts[what].append(name_on(slot.device))
        slot.eject()
    return facts
