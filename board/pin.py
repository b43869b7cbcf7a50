"""A general-purpose pin: MicroPython's ``machine.Pin`` on one side, the copper on the other.

The firmware reads the level that the world has driven; an edge interrupts at the world time at which it happens.

Not modelled: pull resistors against a floating pin, drive strength, alternate functions, level-triggered interrupts.
"""

from __future__ import annotations

from collections.abc import Callable

from board.clock import VirtualClock
from board.cpu import Cpu
from board.irq import EVERY_CAUSE, Handler, Irq
from board.trace import BoardTrace


class PinLine:
    """The copper outside: what a button, a card's contact or a test drives."""

    def __init__(self, pin: Pin) -> None:
        self._pin = pin
        self._receivers: list[Callable[[int], None]] = []

    @property
    def level(self) -> int:
        """0 or 1."""
        return self._pin._level

    def drive(self, level: int) -> None:
        """Puts 0 or 1 on the pin; a change is an edge that may interrupt."""
        self._pin._drive(1 if level else 0)

    def on_change(self, handler: Callable[[int], None]) -> None:
        """Has ``handler(level)`` called at every change, whoever made it."""
        self._receivers.append(handler)


class Pin:
    """One pin.

    Args:
        level: what is on it to begin with; 1 for an input with a pull-up that nobody holds down.
        trace: gets a ``pin`` event with the new level at every change.
    """

    IN = 0
    OUT = 1
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(
        self,
        clock: VirtualClock,
        cpu: Cpu,
        *,
        mode: int = IN,
        level: int = 1,
        trace: BoardTrace | None = None,
        name: str = "pin",
    ) -> None:
        self._clock = clock
        self._cpu = cpu
        self._mode = mode
        self._level = level
        self._trace = trace
        self._name = name
        self._irq = Irq(cpu, self)
        self.line = PinLine(self)

    def init(self, mode: int = -1, pull: int = -1, *, value: int | None = None) -> None:
        """Sets the direction, and for an output its level. ``pull`` makes no difference here."""
        if mode != -1:
            self._mode = mode
        if value is not None:
            self.value(value)

    def value(self, x: int | None = None, /) -> int | None:
        """Without an argument: the level. With one: puts it out, at the CPU's time, if the pin is an output."""
        if x is None:
            return self._level
        if self._mode == self.OUT:
            self._set(1 if x else 0, self._cpu.now_ns)
        return None

    def __call__(self, x: int | None = None, /) -> int | None:
        """The same as ``value``."""
        return self.value(x)

    def on(self) -> None:
        """Puts out 1."""
        self.value(1)

    def off(self) -> None:
        """Puts out 0."""
        self.value(0)

    high, low = on, off

    def irq(self, handler: Handler | None = None, trigger: int = EVERY_CAUSE) -> Irq:
        """Has ``handler(pin)`` called at the edges in ``trigger``; 0 stands for both."""
        self._irq.connect(handler, trigger)
        return self._irq

    def reset(self) -> None:
        """The CPU was reset: the handler goes. The level stays, it belongs to the world."""
        self._irq.connect(None)

    def _drive(self, level: int) -> None:
        before = self._level
        self._set(level, self._clock.now_ns)
        if level != before:
            self._irq.fire(self.IRQ_RISING if level else self.IRQ_FALLING)

    def _set(self, level: int, now_ns: int) -> None:
        if level == self._level:
            return
        self._level = level
        if self._trace is not None:
            self._trace(now_ns, "pin", self._name, level)
        for receive in list(self.line._receivers):
            receive(level)
