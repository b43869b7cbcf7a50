"""From power-on to services up.

::

    power-on or reset
        |
     boot code: note in RAM? firmware checksum?
        |                     |                        |
     start firmware     "boot code", "clear"     checksum wrong
        |                     |                        |
     mount store         (clear configuration)    LED red, blinking
        |                     |                        |
     console, card, button    +----> boot code console: just enough to look and to repair
        |
     certificate there? --no--> make the default one; HTTPS and SIPS stay off meanwhile
        |
     services on, LED green
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from firmware import VERSION
from firmware.bootcode import boot_console
from firmware.box import Box
from firmware.button.task import watch_button
from firmware.console import Accounts, Console, Lockout, login_fields
from firmware.expiry import watch_expiry
from firmware.hal import FileSystem, Hardware, Wdt
from firmware.kernel import Kernel, Priority, Task
from firmware.kernel.booking import booked
from firmware.leds import StatusLeds
from firmware.noinit import Note, Request, leave_note, take_note
from firmware.storage import ImageInvalid, StorageDamaged, Store, flash_map, verify_firmware
from firmware.x509.cabinet import BUILTIN, ROOT, is_secret

FACTORY_PREFIX = f"{ROOT}{BUILTIN}/"
"""What clearing the configuration leaves alone: the manufacturer's certificate and its key."""

ANNOUNCED = frozenset({"X509", "CARD", "SERVICES", "FLASH"})
"""Modules whose log lines appear on the console as they come."""

TIDY_PAUSE_MS = 500
"""Between two erasures of 45 ms, so that they take a tenth of the CPU."""
TIDY_LOOK_MS = 60_000


class Program:
    """What the board runs: the kernel, in a loop that feeds the watchdog.

    The board comes back here at least every tenth of a second of local time, unless a task keeps the CPU; a task that
    keeps it for as long as the watchdog's timeout is bitten.
    """

    def __init__(self, kernel: Kernel, wdt: Wdt) -> None:
        self.kernel = kernel
        self.box: Box | None = None
        """The firmware's parts, once it has started; None in the boot code."""
        self._wdt = wdt

    @property
    def throttled_until_ns(self) -> int:
        """Up to then some task waits only because its share of the CPU is used up, or works on undisturbed."""
        return self.kernel.throttled_until_ns

    @property
    def busy_ns(self) -> int:
        """CPU time used since the start."""
        return self.kernel.busy_ns

    def close(self) -> None:
        """Drops all tasks: their ``finally`` blocks run now."""
        self.kernel.close()

    def run(self) -> int | None:
        """Runs what is ready; gives the local time of the next call, or None."""
        self._wdt.feed()
        return self.kernel.run()


def start(hardware: Hardware, filesystem: FileSystem) -> Program:
    """The board's program: a kernel whose first task boots."""
    kernel = Kernel(hardware.cpu, hardware.trace, hardware.costs.switch)
    note = take_note(hardware.noinit)
    hardware.wdt.irq(lambda: leave_note(hardware.noinit, Note(text=_what_held(kernel, hardware))))
    kernel.on_fault = lambda task, error: _fault(hardware, task, error)
    program = Program(kernel, hardware.wdt)
    started = partial(setattr, program, "box")
    kernel.spawn(boot(kernel, hardware, filesystem, note, started), "boot", Priority.URGENT)
    return program


async def boot(
    kernel: Kernel, hardware: Hardware, filesystem: FileSystem, note: Note, started: Callable[[Box], None]
) -> None:
    """Decides what is started, and starts it; ``started`` gets the firmware's parts."""
    leds = StatusLeds(hardware.leds)
    regions = flash_map(hardware.flash)
    store = Store(hardware.flash, *regions.store, secret=is_secret, feed=hardware.wdt.feed)
    clear = partial(clear_configuration, store)
    kernel.spawn(watch_button(kernel, hardware), "button", Priority.URGENT)
    try:
        with booked(kernel, "flash"):
            verify_firmware(hardware.flash, regions.firmware)
    except ImageInvalid as error:
        leds.show("firmware-defect")
        boot_console(kernel, hardware, f"firmware defect: {error}", clear)
        return
    if note.request is Request.START:
        await _start_firmware(kernel, hardware, filesystem, store, note, started)
        return
    if note.request is Request.CLEAR:
        leds.show("clearing")
        await kernel.switch()
        with booked(kernel, "flash"):
            clear()
    leds.show("boot-code")
    cleared = "configuration cleared" if note.request is Request.CLEAR else "reset button held"
    boot_console(kernel, hardware, cleared, clear)


async def _start_firmware(
    kernel: Kernel,
    hardware: Hardware,
    filesystem: FileSystem,
    store: Store,
    note: Note,
    started: Callable[[Box], None],
) -> None:
    """Everything that a working gateway consists of."""
    try:
        with booked(kernel, "flash"):
            report = store.mount()
    except StorageDamaged as error:
        StatusLeds(hardware.leds).show("firmware-defect")
        boot_console(kernel, hardware, f"flash store damaged: {error}", partial(clear_configuration, store))
        return
    box = Box(kernel, hardware, filesystem, store)
    started(box)
    for line in (*report.repairs, *report.damaged):
        box.log.write("FLASH", line)
    if note.text:
        box.log.write("BOOT", note.text)
    box.log.write("BOOT", f"{box.netbios} started, reset cause {hardware.reset_cause}")
    console = _console(box)
    console.start()
    if box.card is not None:
        kernel.spawn(box.card.run(), "card", Priority.URGENT)
    kernel.spawn(tidy(kernel, store), "tidy", Priority.BACKGROUND)
    kernel.spawn(box.rollout.run(), "rollout", Priority.BACKGROUND)
    expiry = watch_expiry(kernel, box.x509, lambda line: box.log.write("X509", line))
    kernel.spawn(expiry, "expiry", Priority.BACKGROUND)
    await kernel.switch()
    box.x509.ensure_default()
    box.services.update()
    box.leds.show("operational")


async def tidy(kernel: Kernel, store: Store) -> None:
    """Erases what the store left behind, block by block, while nobody waits."""
    while True:
        with booked(kernel, "flash"):
            more = store.tidy()
        await kernel.sleep_ms(TIDY_PAUSE_MS if more else TIDY_LOOK_MS)


def _console(box: Box) -> Console:
    """The console of a started gateway: settings applied, and told what the log gets."""
    hardware, kernel, settings = box.hardware, box.kernel, box.settings
    settings.register(
        "CMD",
        login_fields(hardware.entropy("console").randbytes),
        lambda values: setattr(console, "idle_minutes", values["logout-min"]),
    )
    console = Console(
        kernel,
        hardware.uart,
        box.interpreter,
        hardware.costs,
        Accounts(hardware.model.name, lambda: settings.value("CMD", "password")),
        Lockout(lambda: kernel.now_ns),
        box.netbios,
        banner(box),
    )
    console.idle_minutes = settings.value("CMD", "logout-min")
    box.log.listen(lambda line: console.announce(line) if line.split(" ", 2)[1] in ANNOUNCED else None)
    return console


def banner(box: Box) -> list[str]:
    """What the console says before the login prompt."""
    lines = [f"{box.hardware.model.product} {box.netbios}, firmware {VERSION}"]
    if not box.time_known():
        lines.append("the time is not set: certificates cannot be judged (ctime sets it)")
    if box.notice:
        lines.append(box.notice)
    return lines


def clear_configuration(store: Store) -> None:
    """Factory state: everything that was configured or made here is gone."""
    try:
        store.mount()
    except StorageDamaged:
        store.format()
    else:
        store.clear(keep=FACTORY_PREFIX)


def _what_held(kernel: Kernel, hardware: Hardware) -> str:
    task = kernel.current
    held = f"task {task.name}" if task is not None else "an interrupt handler"
    return f"watchdog: {held} held the cpu for {hardware.wdt.timeout_ms} ms, last charge {kernel.last_charge or 'none'}"


def _fault(hardware: Hardware, task: Task, error: Exception) -> None:
    """A task died: nothing can be relied on, so the board starts again and says why."""
    leave_note(hardware.noinit, Note(text=f"fault: task {task.name}: {type(error).__name__}: {error}"))
    hardware.reset("fault")
