"""A gate that lets only so many through at once; others stand in line, first come, first served, and more go away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from firmware.errors import FirmwareError
from firmware.kernel import Event, Kernel

__all__ = ["Gate", "LineFull"]


class LineFull(FirmwareError):
    """So many stand in line that whoever comes now would lose patience before its turn."""


class Gate:
    """Counts who is inside.

    Args:
        limit: how many may be, asked anew whenever somebody comes or goes.
        line: how many may stand in line, asked anew whenever somebody comes; without it there is no limit.
    """

    def __init__(self, kernel: Kernel, limit: Callable[[], int], line: Callable[[], int] | None = None) -> None:
        self.inside = 0
        self._kernel = kernel
        self._limit = limit
        self._longest = line
        self._line: deque[Event] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def come(self) -> Event:
        """Asks to be let in: the event is set once one is. Then `leave` must follow. LineFull when the line is."""
        if self._longest is not None and self.inside >= self._limit() and self.waiting >= self._longest():
            raise LineFull(f"sent away, {self.waiting} wait in line for their handshake")
        turn = Event(self._kernel)
        self._line.append(turn)
        self._call()
        return turn

    def leave(self, turn: Event) -> None:
        """Goes out, or out of the line."""
        if turn.is_set:
            self.inside -= 1
        else:
            self._line.remove(turn)
        self._call()

    def _call(self) -> None:
        while self._line and self.inside < self._limit():
            self.inside += 1
            self._line.popleft().set()
