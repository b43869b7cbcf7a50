"""The card task: watches the card-detect pin, mounts what is put in, and lends the volume to one user at a time.

::

    absent --pin low for 50 ms--> mounting --looked over--> mounted     --"card unmount"--> unmounted
       ^                                   \\-------> unusable (no FAT volume, unreadable, half formatted)
       +------ pin high, or an access says that the card is gone: from every state ------+

A volume belongs to the card it was mounted from: once a card was missed, whoever still holds its volume gets ENODEV,
also when another card was put in meanwhile. Between a swap and the moment in which it is noticed, accesses fail, too:
no card answers but the one that was noticed (``bound``).

What takes long (looking over, checking, formatting) comes from the file system as a generator of short steps. Each is
booked, and others run in between: in a task of its own, because this one is urgent and would let nobody in. A watchdog
is fed all the while, however large the card.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from firmware.card.bound import BoundDevice
from firmware.card.errors import CardFailure, failure_from_oserror
from firmware.card.keys import KeyKind, first_kept, keys_found, wiped
from firmware.hal import CardSlot, CheckReport, FileSystem, Led, RepairReport, Volume
from firmware.kernel import Cancelled, Event, Kernel, Priority, Task
from firmware.kernel.booking import booked

T = TypeVar("T")

DEBOUNCE_MS = 50
"""Mechanical contacts bounce for a few milliseconds; a card that is being pushed in, for longer."""

LOOK_LIMIT_MS = 60_000
"""Whoever wants the card waits so long for it to be looked over; the longest FATs that are looked at take twelve."""

SETTLE_LIMIT_MS = 1_000
"""A contact that bounces for longer is broken, and nobody should have to wait for it."""

CARD_PRESENT = 0
"""Level of the card-detect pin while a card is in: both detect pins are tied to ground in the card."""

TOLD = 8
"""Lines about a damaged volume at most: the first ones tell the story."""

GONE = "the card was removed"

SECTOR_BYTES = 512
SECTOR_COUNT = 4
"""Operation of MicroPython's block device protocol."""


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
        """``absent``, ``mounting``, ``mounted``, ``unmounted`` or ``unusable``."""
        self.reason = ""
        """Why the card is unusable."""
        self.volume: Volume | None = None
        self.insertions = 0
        """How many cards were noticed since the start."""
        self._device = BoundDevice(slot.device)
        self._filesystem = filesystem
        self._say = say
        self._led = led
        self._changed = Event(kernel)
        self._steady = Event(kernel)
        self._looked = Event(kernel)
        self._looked.set()
        self._mounting: Task | None = None
        self._user = ""
        slot.detect.irq(self._on_detect)

    def _on_detect(self, _: object) -> None:
        self._steady.clear()
        self._changed.set()

    async def settle(self) -> None:
        """Waits for the contacts to stop bouncing and for a new card to be looked over: what was put in or pulled a
        moment ago is known afterwards."""
        await self._steady.wait(SETTLE_LIMIT_MS)
        await self._looked.wait(LOOK_LIMIT_MS)

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
        if self.state == "absent":
            return True
        try:
            with booked(self.kernel, "card"):
                self._device.readblocks(0, bytearray(SECTOR_BYTES))
        except OSError as error:
            return error.errno != errno.ENODEV
        return True

    def _noticed_in(self) -> None:
        self.insertions += 1
        self.state = "mounting"
        with suppress(OSError):  # gone again: the first access says so
            self._device.bind()
        self._looked.clear()
        self._show()
        self._mounting = self.kernel.spawn(self._mount_inserted(), "card-mount", Priority.BACKGROUND)

    def _noticed_out(self) -> None:
        was_used = f" while {self._user} was using it" if self._user else ""
        if self._mounting is not None and not self._mounting.done:
            self._mounting.cancel()
        if self.volume is not None:
            # The device still refuses, whatever card is in by now: from here on the volume does, too.
            with suppress(OSError):
                self.volume.umount()
        self.state = "absent"
        self.reason = ""
        self.volume = None
        self._looked.set()
        self._say(f"card removed{was_used}")
        self._show()

    async def _mount_inserted(self) -> None:
        try:
            await self._mount()
        except CardFailure as failure:
            self._say(f"card inserted: {failure}")
        else:
            self._say(f"card inserted: {self.size_bytes() // 1_048_576} MiB, mounted")

    async def _mount(self) -> None:
        """Looks the volume over, mends it, and mounts it; nobody else has it meanwhile."""
        inserted = self.insertions
        self.state, self.reason = "mounting", ""
        self._looked.clear()
        try:
            report: RepairReport = await self._in_steps(self._filesystem.repair_steps(self._device))
            await self._attach()
        except OSError as error:
            failure = failure_from_oserror(error)
            if self._is_in(inserted):
                self.state, self.reason = "unusable", str(failure)
            raise failure from None
        finally:
            if self._is_in(inserted):
                if self.state == "mounting":  # interrupted
                    self.state = "unmounted"
                self._looked.set()
                self._show()
        self._tell("repaired", report.done)
        self._tell("damaged", report.left)

    async def _attach(self) -> None:
        self.volume = await self._in_steps(self._filesystem.mount_steps(self._device))
        self.state, self.reason = "mounted", ""

    async def _in_steps(self, steps: Generator[None, None, T]) -> T:
        """Runs a long operation of the file system to its end, and lets others run after each step.

        OSError as the operation, and ENODEV once the card it began with was missed: the next one is not its business.
        """
        inserted = self.insertions
        while self._is_in(inserted):
            with booked(self.kernel, "card"):
                try:
                    next(steps)
                except StopIteration as end:
                    result: T = end.value
                    return result
            await self.kernel.switch()
        raise OSError(errno.ENODEV, GONE)

    def _is_in(self, inserted: int) -> bool:
        """Whether the card is in that was the latest when ``insertions`` said so."""
        return self.state != "absent" and self.insertions == inserted

    async def _apart(self, work: Coroutine[Any, None, T], name: str) -> T:
        """Has a task of its own do what somebody waits for: it gives way to the console, and to network services."""
        task = self.kernel.spawn(work, name, Priority.SERVICE)
        try:
            result: T = await task.join()
            return result
        finally:
            if not task.done:
                task.cancel()

    def _tell(self, what: str, lines: tuple[str, ...]) -> None:
        for line in lines[:TOLD]:
            self._say(f"card {what}: {line}")
        if len(lines) > TOLD:
            self._say(f"card {what}: {len(lines) - TOLD} lines more")

    def _show(self) -> None:
        if self._led is not None:
            colours = {"mounted": "green", "unmounted": "off", "unusable": "red", "absent": "off", "mounting": "off"}
            self._led.set(colours[self.state])

    @contextmanager
    def use(self, who: str) -> Iterator[Volume]:
        """Lends the mounted volume to ``who`` alone, for a block that may await.

        Raises CardFailure when there is no usable card or somebody else has it; turns what the card does inside the
        block into CardFailure, too.
        """
        with self._reserved(who):
            volume = self._mounted()
            try:
                yield volume
            except OSError as error:
                if error.errno in (errno.ENODEV, errno.ENOMEDIUM):
                    raise CardFailure(f"{who}: the card was removed") from None
                raise failure_from_oserror(error, who) from None

    @contextmanager
    def _reserved(self, who: str) -> Iterator[None]:
        """Keeps everybody else from the card. CardFailure when there is none, or somebody has it."""
        if self.state == "absent":
            raise CardFailure("no card in the slot")
        if self.state == "mounting":
            raise CardFailure("the card is being looked over: try again in a moment")
        if self._user:
            raise CardFailure(f"the card is in use by {self._user}")
        self._user = who
        try:
            yield
        finally:
            self._user = ""

    def _mounted(self) -> Volume:
        if self.state == "unmounted":
            raise CardFailure("the card is not mounted: card mount")
        if self.volume is None:
            raise CardFailure(self.reason)
        return self.volume

    def size_bytes(self) -> int:
        """Size of the card; 0 when it cannot be asked."""
        try:
            return (self._device.ioctl(SECTOR_COUNT, 0) or 0) * SECTOR_BYTES
        except OSError:
            return 0

    async def mount(self) -> None:
        """Mounts the card that is in. CardFailure says why not."""
        with self._reserved("mount"):
            if self.state != "mounted":
                await self._apart(self._mount(), "card-mount")

    def unmount(self) -> None:
        """Lets go of the card, so that it can be taken out. CardFailure when somebody uses it."""
        with self._reserved("unmount"):
            volume = self._mounted()
            try:
                with booked(self.kernel, "card"):
                    volume.umount()
            except OSError as error:
                raise failure_from_oserror(error) from None
            self.volume = None
            self.state = "unmounted"
            self._show()

    async def format(
        self, fat: int | None, serial: int, *, keys: Sequence[KeyKind] = (), given_up: Sequence[str] = ()
    ) -> None:
        """Makes a new file system on the card that is in, and mounts it. Everything on it is lost.

        Args:
            fat: 12, 16, 32, or None for the size's own.
            serial: number of the new volume.
            keys: what nobody should lose by accident.
            given_up: options that say of a kind of keys that it may be lost; their sectors are then overwritten first.

        Raises:
            CardFailure: it cannot be done, and the card is as it was; or it failed on the way, and the card has no file
                system: then the state says so.
        """
        with self._reserved("format"):
            try:
                await self._apart(self._format(fat, serial, keys, given_up), "card-format")
            finally:
                self._show()

    async def _format(self, fat: int | None, serial: int, keys: Sequence[KeyKind], given_up: Sequence[str]) -> None:
        inserted = self.insertions
        steps = self._filesystem.mkfs_steps(self._device, fat=fat, serial=serial)
        try:
            with booked(self.kernel, "card"):
                volume = self._volume_to_lose()
                found = [(kind, keys_found(volume, kind)) for kind in keys] if volume is not None else []
                reason = first_kept(found, given_up)
                if reason is not None:
                    raise CardFailure(reason)
                next(steps)  # judges size and kind, and changes nothing
            if volume is not None:
                await self._wipe(volume, [path for _, paths in found for path in paths])
        except OSError as error:
            raise failure_from_oserror(error) from None
        mounted, self.volume = self.volume, None
        try:
            await self._in_steps(steps)
            await self._attach()
        except OSError as error:
            failure = failure_from_oserror(error)
            if error.errno == errno.EROFS:  # already the first write was refused
                self.volume = mounted
                raise failure from None
            self._half_formatted(inserted, "failed")
            raise failure from None
        except Cancelled:
            self._half_formatted(inserted, "was interrupted")
            raise

    def _volume_to_lose(self) -> Volume | None:
        """What a format would destroy; None when it is nothing that anybody can read."""
        if self.volume is not None:
            return self.volume
        try:
            return self._filesystem.mount(self._device)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise
            return None

    async def _wipe(self, volume: Volume, paths: Sequence[str]) -> None:
        for number, path in enumerate(paths):
            try:
                with booked(self.kernel, "card"):
                    done = wiped(volume, path)
                if not done:
                    self._say(f"card format: {path} could not be overwritten")
                await self.kernel.switch()
            except Cancelled:
                self._say(f"card format was interrupted: {number + 1} keys are overwritten")
                raise

    def _half_formatted(self, inserted: int, how: str) -> None:
        if self._is_in(inserted):
            self.volume = None
            self.state, self.reason = "unusable", f"a format {how}: the card has no file system until it is formatted"
            self._say(f"card format {how}: the card has no file system now")
            self._show()

    async def check(self) -> CheckReport:
        """Looks the whole volume over; nobody writes meanwhile. CardFailure when the card cannot be read at all."""
        with self._reserved("check"):
            try:
                return await self._apart(self._in_steps(self._filesystem.check_steps(self._device)), "card-check")
            except OSError as error:
                raise failure_from_oserror(error) from None
