"""A USB card reader that the kernel of the guest is both sides of."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Slot", "look", "wait_for"]

WAIT_S = 20
"""For a disk to appear or to go: a second or two, emulated."""


class Slot:
    """A card reader with one slot: a mass-storage gadget on the port that loops back into this kernel."""

    def __init__(self) -> None:
        self.gadget = Path("/sys/kernel/config/usb_gadget/reader")
        self.lun = self.gadget / "functions/mass_storage.0/lun.0"
        self.device = ""
        self.gadget.mkdir()
        for name, text in (("idVendor", "0x1d6b"), ("idProduct", "0x0104")):
            (self.gadget / name).write_text(text)
        (self.gadget / "strings/0x409").mkdir()
        (self.gadget / "strings/0x409/serialnumber").write_text("0001")
        (self.gadget / "functions/mass_storage.0").mkdir()
        (self.lun / "removable").write_text("1")
        (self.lun / "inquiry_string").write_text("Gadget  Card Reader     0001")
        (self.gadget / "configs/c.1").mkdir()
        (self.gadget / "configs/c.1/mass_storage.0").symlink_to(self.gadget / "functions/mass_storage.0")

    def plug(self) -> None:
        """Into the USB port; waits until the kernel has a disk for it."""
        before = set(os.listdir("/sys/block"))
        (self.gadget / "UDC").write_text(os.listdir("/sys/class/udc")[0])
        names = wait_for(lambda: [n for n in os.listdir("/sys/block") if n.startswith("sd") and n not in before])
        self.device = f"/dev/{names[0]}"
        wait_for(lambda: Path(self.device).exists())

    def unplug(self) -> None:
        (self.gadget / "UDC").write_text("\n")
        wait_for(lambda: not Path("/sys/block", Path(self.device).name).exists())

    def insert(self, card: Path) -> None:
        (self.lun / "file").write_text(str(card))

    def eject(self) -> None:
        """Pulled by hand: whether somebody uses the card or not."""
        (self.lun / "forced_eject").write_text("1")

    def protect(self, on: bool) -> None:
        (self.lun / "ro").write_text("1" if on else "0")

    def attribute(self, name: str) -> str:
        return Path("/sys/block", Path(self.device).name, name).read_text().strip()


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing for {WAIT_S} s")
        time.sleep(0.02)
    return value


def look(device: str) -> None:
    """What udev, a desktop or ``gatebench card readers`` does to a device."""
    os.close(os.open(device, os.O_RDONLY | os.O_NONBLOCK))
