"""The boot code's console: just enough to look at the board and to bring it back to life.

It asks for no password: whoever holds the reset button stands in front of the board.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from firmware.commands import (
    Call,
    Interpreter,
    Operation,
    Registry,
    Reply,
    Restart,
    register_help,
    register_info,
    register_leds,
    register_restart,
)
from firmware.commands.registry import TOP_LEVEL
from firmware.console import Accounts, Console, Lockout
from firmware.console.login import LoginState
from firmware.errors import CommandError
from firmware.hal import Hardware
from firmware.kernel import Kernel
from firmware.kernel.booking import booked
from firmware.leds import StatusLeds
from firmware.naming import mac_text
from firmware.storage import ImageInvalid, flash_map, verify_firmware, write_firmware


def boot_console(kernel: Kernel, hardware: Hardware, why: str, clear: Callable[[], None]) -> Console:
    """Starts the boot code's console.

    Args:
        why: in one line, why the firmware was not started.
        clear: brings the configuration back to factory state.
    """
    registry = Registry()
    register_help(registry)
    register_info(registry, lambda: facts(hardware, why))
    register_leds(registry, StatusLeds(hardware.leds).states)
    register_restart(registry, Restart(kernel, hardware.reset, list))

    async def clear_all(call: Call) -> Reply:
        with booked(kernel, "flash"):
            clear()
        return Reply("configuration cleared")

    async def load(call: Call) -> Reply:
        text = await call.session.paste("firmware image in base64")
        try:
            image = base64.b64decode("".join(text.split()), validate=True)
        except binascii.Error:
            raise CommandError("not base64: nothing was written") from None
        with booked(kernel, "flash"):
            header = write_firmware(hardware.flash, flash_map(hardware.flash).firmware, image)
        return Reply(f"firmware {header.version} written: reset starts it")

    registry.register(Operation(TOP_LEVEL, "clear", "clears the configuration, certificates too", clear_all))
    registry.register(Operation(TOP_LEVEL, "load", "takes a firmware image", load, paste=True))
    console = Console(
        kernel,
        hardware.uart,
        Interpreter(registry, kernel, hardware.costs),
        hardware.costs,
        Accounts(hardware.model.name, lambda: None),
        Lockout(lambda: kernel.now_ns),
        name="boot",
        banner=(f"{hardware.model.product} boot code: {why}",),
    )
    console.state = LoginState.LOGGED_IN
    console.idle_minutes = 0
    console.start()
    return console


def facts(hardware: Hardware, why: str) -> dict[str, object]:
    """What ``info`` says in the boot code."""
    try:
        firmware = verify_firmware(hardware.flash, flash_map(hardware.flash).firmware).version
    except ImageInvalid as error:
        firmware = str(error)
    return {
        "model": hardware.model.product,
        "mac": mac_text(hardware.mac),
        "state": f"boot code, {why}",
        "firmware": firmware,
        "reset_cause": hardware.reset_cause,
    }
