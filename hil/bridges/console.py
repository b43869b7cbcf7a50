"""The serial console's far end, shared: everybody who is attached sees all output, and everybody may type.

What clients type goes onto the wire at the wire's speed, in the order in which it came, so that a file pasted into a
fast socket does not overrun the board any more than a terminal would.
"""

from __future__ import annotations

from collections.abc import Callable

from board.clock import VirtualClock
from board.uart import Uart

FEED_BYTES = 32
"""Handed to the wire at once: two of its chunks."""

QUEUE_BYTES = 64 * 1024
"""Input that waits for the wire; clients are not read from while it is fuller than this (``ready``)."""


class ConsoleHub:
    """One board's console for several clients."""

    def __init__(self, clock: VirtualClock, uart: Uart) -> None:
        self._clock = clock
        self._uart = uart
        self._receivers: list[Callable[[bytes], None]] = []
        self._queue = bytearray()
        self._feeding = False
        self._on_ready: list[Callable[[], None]] = []
        uart.line.on_receive(self._deliver)

    def attach(self, receiver: Callable[[bytes], None], on_ready: Callable[[], None] | None = None) -> None:
        """``receiver(data)`` gets all output; ``on_ready()`` is called when input is taken again."""
        self._receivers.append(receiver)
        if on_ready is not None:
            self._on_ready.append(on_ready)

    def detach(self, receiver: Callable[[bytes], None], on_ready: Callable[[], None] | None = None) -> None:
        """Ends what ``attach`` began."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)
        if on_ready is not None and on_ready in self._on_ready:
            self._on_ready.remove(on_ready)

    @property
    def ready(self) -> bool:
        """Whether more input is wanted."""
        return len(self._queue) < QUEUE_BYTES

    def type(self, data: bytes) -> None:
        """Puts ``data`` behind what others have typed."""
        self._queue += data
        if not self._feeding:
            self._feed()

    def send_break(self) -> None:
        """Sends a break."""
        self._uart.line.send_break()

    def _feed(self) -> None:
        was_ready = self.ready
        piece = bytes(self._queue[:FEED_BYTES])
        del self._queue[:FEED_BYTES]
        self._feeding = bool(piece)
        if piece:
            self._uart.line.send(piece)
            duration_ns = len(piece) * self._uart.frame_bits * 1_000_000_000 // self._uart.baudrate
            self._clock.after(duration_ns, self._feed)
        if self.ready and not was_ready:
            for on_ready in list(self._on_ready):
                on_ready()

    def _deliver(self, data: bytes) -> None:
        for receiver in list(self._receivers):
            receiver(data)
