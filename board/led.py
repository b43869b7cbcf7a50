"""A light with colours, and a blinker of its own as LED controllers have.

The firmware sets it at its CPU's time; whoever looks sees it change when the world gets there.

Not modelled: brightness, and the delay of the controller's bus.
"""

from __future__ import annotations

from board.clock import VirtualClock
from board.cpu import Cpu
from board.trace import BoardTrace

COLOURS = ("off", "green", "orange", "red")
"""A green and a red chip in one case: both together are orange."""


class Led:
    """One LED.

    Args:
        trace: gets a ``led`` event with the new state at every change.
    """

    def __init__(self, clock: VirtualClock, cpu: Cpu, *, trace: BoardTrace | None = None, name: str = "ready") -> None:
        self._clock = clock
        self._cpu = cpu
        self._trace = trace
        self._name = name
        self._history: list[tuple[int, str, int]] = [(0, "off", 0)]

    def set(self, colour: str, blink_ms: int = 0) -> None:
        """Shows ``colour``, steadily or blinking with the half period ``blink_ms``, lit half first.

        ValueError for a colour that the LED has not, or a negative period.
        """
        if colour not in COLOURS:
            raise ValueError(f"colour {colour!r}: must be one of {', '.join(COLOURS)}")
        if blink_ms < 0:
            raise ValueError(f"blink_ms {blink_ms}: must be 0 (steady) or more")
        self._change(self._cpu.now_ns, colour, blink_ms)

    def reset(self) -> None:
        """The CPU was reset, at its time: dark."""
        self._change(self._cpu.now_ns, "off", 0)

    def power_off(self) -> None:
        """Power goes, at world time: dark, and what a CPU ahead of the world would have shown never was."""
        self._change(self._clock.now_ns, "off", 0)

    def state(self) -> str:
        """What is to be seen now: ``off``, ``green``, ``orange blinking`` ..."""
        _, colour, blink_ms = self._current()
        return _state_text(colour, blink_ms)

    @property
    def lit(self) -> bool:
        """Whether light comes out at this instant."""
        since_ns, colour, blink_ms = self._current()
        if colour == "off":
            return False
        return blink_ms == 0 or (self._clock.now_ns - since_ns) // (blink_ms * 1_000_000) % 2 == 0

    def _current(self) -> tuple[int, str, int]:
        """The last change that the world has reached; older ones are dropped."""
        history, now_ns = self._history, self._clock.now_ns
        while len(history) > 1 and history[1][0] <= now_ns:
            del history[0]
        return history[0]

    def _change(self, when_ns: int, colour: str, blink_ms: int) -> None:
        self._current()
        while len(self._history) > 1 and self._history[-1][0] > when_ns:
            self._history.pop()
        if self._history[-1][1:] == (colour, blink_ms):
            return
        self._history.append((when_ns, colour, blink_ms))
        if self._trace is not None:
            self._trace(when_ns, "led", self._name, _state_text(colour, blink_ms))


def _state_text(colour: str, blink_ms: int) -> str:
    return f"{colour} blinking" if blink_ms and colour != "off" else colour
