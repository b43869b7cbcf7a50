"""A gate that lets only so many through at once; the others stand in line, first come, first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from firmware.kernel import Event, Kernel

__all__ = ["Gate"]


class Gate:
    """Counts who is inside.

    Args:
        limit: how many may be, asked anew whenever somebody comes or goes.
    """

    def __init__(self, kernel: Kernel, limit: Callable[[], int]) -> None:
        self.inside = 0
        self._kernel = kernel
        self._limit = limit
        self._line: deque[Event] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def come(self) -> Event:
        """Asks to be let in: the event is set once one is. Then `leave` must follow."""
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
