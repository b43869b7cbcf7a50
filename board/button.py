"""The reset button: a finger on a pin that is 0 while it is pressed.

What a short or a long press means is the boot code's business (reference text's family: under 1 s reboots, 1 to 10 s
stops in the boot code, longer clears the configuration).

Not modelled: contact bounce; the button's own filter has removed it.
"""

from __future__ import annotations

from board.clock import Alarm, VirtualClock
from board.errors import BoardError
from board.pin import Pin


class Button:
    """One push button."""

    def __init__(self, clock: VirtualClock, pin: Pin) -> None:
        self._clock = clock
        self._release: Alarm | None = None
        self.pin = pin

    @property
    def pressed(self) -> bool:
        return self.pin.line.level == 0

    def press(self, duration_ms: int | None = None) -> None:
        """Presses, and lets go after ``duration_ms``; None holds on until ``release``. Replaces an earlier press.

        BoardError when the duration is not positive.
        """
        if duration_ms is not None and duration_ms <= 0:
            raise BoardError(f"a press of {duration_ms} ms: must be at least 1")
        self._forget_release()
        self.pin.line.drive(0)
        if duration_ms is not None:
            self._release = self._clock.at(self._clock.now_ns + duration_ms * 1_000_000, self.release)

    def release(self) -> None:
        """Lets go."""
        self._forget_release()
        self.pin.line.drive(1)

    def _forget_release(self) -> None:
        if self._release is not None:
            self._release.cancel()
            self._release = None
