"""The one way in which a peripheral interrupts the CPU.

A handler runs at world time, in interrupt context: it may set an event or wake a task, and must not use up CPU time.
Afterwards the CPU is told, so that the kernel gets it as soon as it is free.

Not modelled: interrupt latency, priorities and masking; the time that a handler takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from board.cpu import Cpu

EVERY_CAUSE = 0
"""As a trigger: call the handler for every cause that the peripheral has."""

Handler = Callable[[Any], None]


class Irq:
    """The interrupt line of one peripheral; what MicroPython's ``irq()`` methods return."""

    __slots__ = ("_cpu", "_flags", "_handler", "_source", "_trigger")

    def __init__(self, cpu: Cpu, source: object) -> None:
        self._cpu = cpu
        self._source = source
        self._handler: Handler | None = None
        self._trigger = EVERY_CAUSE
        self._flags = 0

    def connect(self, handler: Handler | None, trigger: int = EVERY_CAUSE) -> None:
        """From now on ``handler(source)`` is called for the causes in ``trigger``. None disconnects."""
        self._handler = handler
        self._trigger = trigger

    def flags(self) -> int:
        """The causes of the last call."""
        return self._flags

    def trigger(self) -> int:
        """The causes asked for; 0 stands for all of them."""
        return self._trigger

    def fire(self, causes: int) -> None:
        """Calls the handler if it asked for any of ``causes``."""
        wanted = causes if self._trigger == EVERY_CAUSE else causes & self._trigger
        if self._handler is None or not wanted:
            return
        self._flags = wanted
        self._handler(self._source)
        self._cpu.interrupt()
