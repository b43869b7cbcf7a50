"""The watchdog: MicroPython's ``machine.WDT``.

::

    reset --> off --feed--> armed: deadline = CPU time + timeout --feed--> armed: a later deadline
                              |
                              +-- CPU time passes the deadline --> pre-timeout handler --> reset of the CPU

It is off after a reset until the firmware feeds it for the first time, so the boot code may take its time; from then
on it cannot be turned off.

Not modelled: a windowed watchdog (feeding too early), and an oscillator of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from board.clock import FOREVER_NS
from board.cpu import Cpu
from board.errors import BoardError
from board.trace import BoardTrace


class Watchdog:
    """One watchdog.

    Args:
        expire: resets the CPU; never returns.
        trace: gets a ``watchdog`` event ``expired`` with the timeout.
    """

    def __init__(
        self, cpu: Cpu, expire: Callable[[], NoReturn], *, timeout_ms: int = 5_000, trace: BoardTrace | None = None
    ) -> None:
        if timeout_ms <= 0:
            raise BoardError(f"watchdog timeout {timeout_ms} ms: must be at least 1")
        self._cpu = cpu
        self._expire = expire
        self._trace = trace
        self._handler: Callable[[], None] | None = None
        self.timeout_ms = timeout_ms
        self.deadline_ns = FOREVER_NS
        """CPU time after which it resets; far away while it is off."""

    @property
    def armed(self) -> bool:
        return self.deadline_ns != FOREVER_NS

    def feed(self) -> None:
        """Puts the reset off for another ``timeout_ms`` of CPU time; the first time, arms it."""
        self.deadline_ns = self._cpu.now_ns + self.timeout_ms * 1_000_000

    def irq(self, handler: Callable[[], None] | None = None) -> None:
        """Has ``handler()`` called when the time is up: the last that runs before the reset, which it cannot avert."""
        self._handler = handler

    def check(self, now_ns: int) -> None:
        """Resets the CPU, by an exception that unwinds whatever runs, if the deadline lies before ``now_ns``."""
        if now_ns <= self.deadline_ns:
            return
        # Off before the handler runs: what the handler charges must not end up here again.
        self.deadline_ns = FOREVER_NS
        if self._trace is not None:
            self._trace(now_ns, "watchdog", "expired", self.timeout_ms)
        handler, self._handler = self._handler, None
        if handler is not None:
            handler()
        self._expire()

    def reset(self) -> None:
        """The CPU was reset, or power went: off, and without a handler."""
        self.deadline_ns = FOREVER_NS
        self._handler = None
