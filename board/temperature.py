"""The temperature sensor: an LM75 class part on the board.

A board that was switched on warms up towards its working temperature; rooms are warm or cold, and fans fail: set
``ambient`` and ``rise``.

Not modelled: heat from CPU load, and the cooling curve after power-off (a board that comes back starts cold).
"""

from __future__ import annotations

import math

from board.clock import VirtualClock

STEP = 0.5
"""Resolution in degrees: 9 bits, as the LM75 has. It also hides differences between hosts' ``exp``."""

WARM_UP_NS = 600_000_000_000
"""Time constant of warming up, 10 minutes: an assumption."""


class Temperature:
    """One sensor; calling it reads it."""

    def __init__(self, clock: VirtualClock, *, ambient: float = 25.0, rise: float = 15.0) -> None:
        self._clock = clock
        self._on_since_ns = clock.now_ns
        self.ambient = ambient
        """Degrees Celsius around the board."""
        self.rise = rise
        """Degrees above ambient that it settles at."""

    def power_on(self) -> None:
        """Starts cold."""
        self._on_since_ns = self._clock.now_ns

    def read(self) -> float:
        """Degrees Celsius on the board."""
        on_for_ns = self._clock.now_ns - self._on_since_ns
        exact = self.ambient + self.rise * (1 - math.exp(-on_for_ns / WARM_UP_NS))
        return round(exact / STEP) * STEP

    def __call__(self) -> float:
        """The same as ``read``."""
        return self.read()
