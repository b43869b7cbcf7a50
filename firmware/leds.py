"""What the ready LED shows. Colours as in the vendor's course material on recovery."""

from __future__ import annotations

from collections.abc import Mapping

from firmware.hal import Led

BLINK_MS = 250
SLOW_BLINK_MS = 1_000

READY: Mapping[str, tuple[str, int]] = {
    "starting": ("off", 0),
    "operational": ("green", 0),
    "boot-code": ("orange", 0),
    "clearing": ("green", BLINK_MS),
    "firmware-defect": ("red", BLINK_MS),
}


class StatusLeds:
    """The lights of the front panel, by what the box is doing."""

    def __init__(self, leds: Mapping[str, Led]) -> None:
        self._leds = leds
        self.state = "starting"

    def show(self, state: str) -> None:
        """``operational``, ``boot-code``, ``clearing`` or ``firmware-defect``."""
        colour, blink_ms = READY[state]
        self.state = state
        self._leds["ready"].set(colour, blink_ms)

    def states(self) -> dict[str, str]:
        """What each light shows now."""
        return {name: led.state() for name, led in self._leds.items()}
