"""The button task: measures how long the reset button is held.

::

    pressed --released before 1 s-------> reset, the firmware starts again
            --released before 10 s------> reset into the boot code
            --still pressed after 10 s--> reset, the configuration is cleared, then boot code

Times from the vendor's "Bootcode functionality" page.
"""

from __future__ import annotations

from firmware.hal import Hardware
from firmware.kernel import Event, Kernel
from firmware.noinit import Note, Request, leave_note

SHORT_MS = 1_000
LONG_MS = 10_000

PRESSED, RELEASED = 0, 1
"""Levels of the pin."""


async def watch_button(kernel: Kernel, hardware: Hardware) -> None:
    """Waits for a press, and resets the board accordingly."""
    changed = Event(kernel)
    hardware.button.irq(lambda _: changed.set())
    # A button that is held when the firmware starts caused this very start: it means something again once released.
    for wanted in (RELEASED, PRESSED):
        while hardware.button.value() != wanted:
            changed.clear()
            await changed.wait()
    began_ns = kernel.now_ns
    while hardware.button.value() == PRESSED:
        changed.clear()
        left_ms = LONG_MS - (kernel.now_ns - began_ns) // 1_000_000
        if left_ms <= 0:
            break
        await changed.wait(left_ms)
    held_ms = (kernel.now_ns - began_ns) // 1_000_000
    leave_note(hardware.noinit, Note(request_from_press(held_ms)))
    hardware.reset("button")


def request_from_press(held_ms: int) -> Request:
    """What a press of that length asks for."""
    if held_ms < SHORT_MS:
        return Request.START
    return Request.BOOT_CODE if held_ms < LONG_MS else Request.CLEAR
