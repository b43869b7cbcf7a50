"""What somebody in front of a terminal sees while storms are going on: one line per setting, redrawn in place. ::

1024-bit   [##############################] 200 of 200 registered      t = 13.4 s
4096-bit   [###.........................]  21 of 200 registered      t = 48.0 s

A line longer than the screen is wide would be broken in two, and one that is scrolled away could not be drawn over:
bars are as long as there is room for, and of more settings than lines those are shown that are being run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TextIO

from hil.storm.run import Progress

WIDTH = 30
NARROWEST = 8
"""Of a bar that is worth its place."""

REDRAW_S = 0.1

USUAL_SCREEN = os.terminal_size((80, 24))
"""Of a terminal that does not say how large it is."""

UP = "\x1b[{}A"
CLEAR = "\x1b[K"


class ProgressLines:
    """The lines, on a terminal; draws nothing anywhere else."""

    def __init__(self, labels: Sequence[str], out: TextIO) -> None:
        self._labels = labels
        self._out = out
        self._shown = out.isatty()
        self._states: list[Progress | None] = [None] * len(labels)
        self._drawn = 0
        self._drawn_s = 0.0
        if self._shown:
            self._draw()  # finding the keys of a thousand phones takes a while

    def watch(self, index: int, progress: Progress) -> None:
        """That setting has come so far."""
        self._states[index] = progress
        if self._shown and time.monotonic() - self._drawn_s >= REDRAW_S:
            self._draw()

    def close(self) -> None:
        """The last state stays on the screen."""
        if self._shown:
            self._draw()

    def _draw(self) -> None:
        self._drawn_s = time.monotonic()
        screen = self._screen()
        width = max(map(len, self._labels))
        room = screen.columns - width - 3  # two blanks before it, and a cursor after it
        idle = "waiting" if any(self._states) else "finding keys"
        lines = [
            f"{label:<{width}}  {idle if state is None else _state(state, room)}"
            for label, state in zip(self._labels, self._states, strict=True)
        ]
        shown = [f"{line[: screen.columns - 1]}{CLEAR}\n" for line in self._in_sight(lines, screen.lines - 1)]
        self._out.write((UP.format(self._drawn) if self._drawn else "") + "".join(shown))
        self._out.flush()
        self._drawn = len(shown)

    def _screen(self) -> os.terminal_size:
        try:
            found = os.get_terminal_size(self._out.fileno())
        except OSError:
            return USUAL_SCREEN
        return found if found.columns and found.lines else USUAL_SCREEN

    def _in_sight(self, lines: list[str], most: int) -> list[str]:
        """All of them; or, where the screen has no place for them, up to the last that has begun."""
        if len(lines) <= most:
            return lines
        kept = max(1, most - 1)
        begun = max((index for index, state in enumerate(self._states) if state is not None), default=0)
        first = max(0, begun + 1 - kept)
        return [*lines[first : first + kept], f"({first + 1} to {first + kept} of {len(lines)} settings)"]


def _state(state: Progress, room: int) -> str:
    where = f"t = {state.now_ns / 1e9:.1f} s" if state.now_ns >= 0 else "before the cut"
    digits = len(str(state.phones))
    count = f"{state.registered:>{digits}} of {state.phones} registered"
    width = min(WIDTH, room - len(f"[] {count}  before the cut"))  # the longest: a bar is not to shrink on its way
    if width < NARROWEST:
        return f"{count}  {where}"
    full = width * state.registered // state.phones
    return f"[{'#' * full}{'.' * (width - full)}] {count}  {where}"
