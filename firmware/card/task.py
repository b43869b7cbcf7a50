"""The card task: watches the card-detect pin, mounts what is put in, and lends the volume to one user at a time.

::

    absent --pin low for 50 ms--> inserted --mount--> mounted     --"card unmount"--> unmounted
       ^                                   \\-------> unusable (no FAT volume, unreadable)
       +------ pin high, or an access says that the card is gone: from every state ------+

A volume belongs to the card it was mounted from: after a card came out, whoever still holds its volume gets ENODEV
from the slot, also when another card was put in meanwhile.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from firmware.card.errors import CardFailure, failure_from_oserror
from firmware.hal import CardSlot, CheckReport, FileSystem, Led, Volume
from firmware.kernel import Event, Kernel
from firmware.kernel.booking import booked

DEBOUNCE_MS = 50
"""Mechanical contacts bounce for a few milliseconds; a card that is being pushed in, for longer."""

SETTLE_LIMIT_MS = 1_000
"""A contact that bounces for longer is broken, and nobody should have to wait for it."""

CARD_PRESENT = 0
"""Level of the card-detect pin while a card is in: both detect pins are tied to ground in the card."""

TOLD = 8
"""Lines about a damaged volume at most: the first ones tell the story."""

SECTOR_BYTES = 512
INIT = 1
SECTOR_COUNT = 4
"""Operations of MicroPython's block device protocol."""


class CardTask:
    """The slot with whatever is in it.

    Args:
        say: where a line for the log and the console goes.
    """

    def __init__(
        self,
        kernel: Kernel,
        slot: CardSlot,
        filesystem: FileSystem,
        say: Callable[[str], None],
        led: Led | None = None,
    ) -> None:
        self.kernel = kernel
        self.slot = slot
        self.state = "absent"
        """``absent``, ``mounted``, ``unmounted`` or ``unusable``."""
        self.reason = ""
        """Why the card is unusable."""
        self.volume: Volume | None = None
        self.insertions = 0
        """How many cards were noticed since the start."""
        self._filesystem = filesystem
        self._say = say
        self._led = led
        self._changed = Event(kernel)
        self._steady = Event(kernel)
        self._user = ""
        slot.detect.irq(self._on_detect)

    def _on_detect(self, _: object) -> None:
        self._steady.clear()
        self._changed.set()

    async def settle(self) -> None:
        """Waits for the contacts to stop bouncing: what was put in or pulled a moment ago is known afterwards."""
        await self._steady.wait(SETTLE_LIMIT_MS)

    async def run(self) -> None:
        """Serves the slot for ever."""
        while True:
            self._changed.clear()
            present = await self._settled()
            if present and self.state == "absent":
                self._noticed_in()
            elif not present and self.state != "absent":
                self._noticed_out()
            elif present and not self._same_card():
                self._noticed_out()
                self._noticed_in()
            if not self._changed.is_set:
                self._steady.set()
            await self._changed.wait()

    async def _settled(self) -> bool:
        """The level of the pin once it has stopped bouncing."""
        while True:
            level = self.slot.detect.value()
            self._changed.clear()
            await self.kernel.sleep_ms(DEBOUNCE_MS)
            if not self._changed.is_set and self.slot.detect.value() == level:
                return level == CARD_PRESENT

    def _same_card(self) -> bool:
        """Whether the card that was noticed is still the one: out and in again can be quicker than the debouncing."""
        if self.state in ("absent", "unusable"):
            return True
        try:
            self.slot.device.readblocks(0, bytearray(SECTOR_BYTES))
        except OSError as error:
            return error.errno != errno.ENODEV
        return True

    def _noticed_in(self) -> None:
        self.insertions += 1
        try:
            self._mount()
        except CardFailure as failure:
            self._say(f"card inserted: {failure}")
        else:
            self._say(f"card inserted: {self.size_bytes() // 1_048_576} MiB, mounted")
        self._show()

    def _noticed_out(self) -> None:
        was_used = f" while {self._user} was using it" if self._user else ""
        self.state = "absent"
        self.reason = ""
        self.volume = None
        self._say(f"card removed{was_used}")
        self._show()

    def _mount(self) -> None:
        try:
            with booked(self.kernel, "card"):
                self.slot.device.ioctl(INIT, 0)
                report = self._filesystem.repair(self.slot.device)
                self.volume = self._filesystem.mount(self.slot.device)
        except OSError as error:
            self.volume = None
            failure = failure_from_oserror(error)
            self.state, self.reason = "unusable", str(failure)
            raise failure from None
        self.state, self.reason = "mounted", ""
        self._tell("repaired", report.done)
        self._tell("damaged", report.left)

    def _tell(self, what: str, lines: tuple[str, ...]) -> None:
        for line in lines[:TOLD]:
            self._say(f"card {what}: {line}")
        if len(lines) > TOLD:
            self._say(f"card {what}: {len(lines) - TOLD} lines more")

    def _show(self) -> None:
        if self._led is not None:
            colours = {"mounted": "green", "unmounted": "off", "unusable": "red", "absent": "off"}
            self._led.set(colours[self.state])

    @contextmanager
    def use(self, who: str) -> Iterator[Volume]:
        """Lends the mounted volume to ``who`` alone, for a block that may await.

        Raises CardFailure when there is no usable card or somebody else has it; turns what the card does inside the
        block into CardFailure, too.
        """
        volume = self._mounted()
        if self._user:
            raise CardFailure(f"the card is in use by {self._user}")
        self._user = who
        try:
            yield volume
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.ENOMEDIUM):
                raise CardFailure(f"{who}: the card was removed") from None
            raise failure_from_oserror(error, who) from None
        finally:
            self._user = ""

    def _mounted(self) -> Volume:
        if self.state == "absent":
            raise CardFailure("no card in the slot")
        if self.state == "unmounted":
            raise CardFailure("the card is not mounted: card mount")
        if self.volume is None:
            raise CardFailure(self.reason)
        return self.volume

    def size_bytes(self) -> int:
        """Size of the card; 0 when it cannot be asked."""
        try:
            return (self.slot.device.ioctl(SECTOR_COUNT, 0) or 0) * SECTOR_BYTES
        except OSError:
            return 0

    def mount(self) -> None:
        """Mounts the card that is in. CardFailure says why not."""
        if self.state == "absent":
            raise CardFailure("no card in the slot")
        if self.state != "mounted":
            self._mount()
            self._show()

    def unmount(self) -> None:
        """Lets go of the card, so that it can be taken out. CardFailure when somebody uses it."""
        volume = self._mounted()
        if self._user:
            raise CardFailure(f"the card is in use by {self._user}")
        try:
            volume.umount()
        except OSError as error:
            raise failure_from_oserror(error) from None
        self.volume = None
        self.state = "unmounted"
        self._show()

    def format(self, fat: int | None, serial: int) -> None:
        """Makes a new file system on the card that is in, and mounts it. Everything on it is lost."""
        if self.state == "absent":
            raise CardFailure("no card in the slot")
        if self._user:
            raise CardFailure(f"the card is in use by {self._user}")
        self.volume = None
        try:
            with booked(self.kernel, "card"):
                self.slot.device.ioctl(INIT, 0)
                self._filesystem.mkfs(self.slot.device, fat=fat, serial=serial)
        except ValueError as error:
            raise CardFailure(str(error)) from None
        except OSError as error:
            raise failure_from_oserror(error) from None
        finally:
            self.state, self.reason = "unmounted", ""
        self._mount()
        self._show()

    def check(self) -> CheckReport:
        """Looks the whole volume over. CardFailure when the card cannot be read at all."""
        if self.state == "absent":
            raise CardFailure("no card in the slot")
        try:
            with booked(self.kernel, "card"):
                return self._filesystem.check(self.slot.device)
        except OSError as error:
            raise failure_from_oserror(error) from None
