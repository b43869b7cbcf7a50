"""What somebody in front of a terminal sees while storms are going on: one line per setting, redrawn in place. ::

1024-bit   [##############################] 200 of 200 registered      t = 13.4 s
4096-bit   [###.........................]  21 of 200 registered      t = 48.0 s
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TextIO

from hil.storm.run import Progress

WIDTH = 30
REDRAW_S = 0.1

UP = "\x1b[{}A"
CLEAR = "\x1b[K"


class ProgressLines:
    """The lines, on a terminal; draws nothing anywhere else."""

    def __init__(self, labels: Sequence[str], out: TextIO) -> None:
        self._labels = labels
        self._out = out
        self._shown = out.isatty()
        self._states: list[Progress | None] = [None] * len(labels)
        self._drawn = False
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
        width = max(map(len, self._labels))
        lines = [
            f"{label:<{width}}  {_bar(state)}{CLEAR}\n" for label, state in zip(self._labels, self._states, strict=True)
        ]
        self._out.write((UP.format(len(lines)) if self._drawn else "") + "".join(lines))
        self._out.flush()
        self._drawn = True


def _bar(state: Progress | None) -> str:
    if state is None:
        return "waiting"
    full = WIDTH * state.registered // state.phones
    where = f"t = {state.now_ns / 1e9:.1f} s" if state.now_ns >= 0 else "before the cut"
    digits = len(str(state.phones))
    return f"[{'#' * full}{'.' * (WIDTH - full)}] {state.registered:>{digits}} of {state.phones} registered  {where}"
