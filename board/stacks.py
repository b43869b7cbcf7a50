"""Stacks for what runs on CPUs: a turn that has to wait for the world is left on its stack, and others go on.

Making a stack costs twenty times what entering one does, and a thousand of them do not fit into the host's caches: so
one that a turn has come to the end on serves the next turn, of whichever board.

Not modelled: stacks of the firmware's tasks, which are coroutines; these are the host's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from greenlet import getcurrent, greenlet


class Stacks:
    """Those of one world."""

    def __init__(self) -> None:
        self._free: list[greenlet] = []

    def take(self) -> greenlet:
        """One to be entered by ``switch(turn)``, which comes back when the turn has ended or waits."""
        here = getcurrent()
        while self._free:
            stack = self._free.pop()
            if stack.parent is not here:
                try:
                    stack.parent = here
                except ValueError:
                    continue  # made by another thread, which alone can enter it
            return stack
        stack = greenlet(partial(_live, self._free))
        stack.switch()
        return stack


def _live(free: list[greenlet]) -> None:
    """What happens on a stack: turn after turn. One that fails ends the stack, and whoever entered it hears of it."""
    stack = getcurrent()
    while True:
        assert stack.parent is not None
        turn: Callable[[], None] | None = stack.parent.switch()
        assert turn is not None
        turn()
        turn = None  # what waits for its next turn keeps nothing alive
        free.append(stack)
