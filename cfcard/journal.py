"""The last writes of a card, and what was there before: for cards that take back what they had acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cfcard.rules import LARGEST_WINDOW

__all__ = ["Journal"]

Number = Callable[[int], int]
"""A random number below another."""

DENSITIES = 1_000


@dataclass(frozen=True, slots=True)
class _Written:
    lba: int
    old: bytes
    new: bytes
    flushes: int
    """How many flushes there had been."""


class Journal:
    """The last ``LARGEST_WINDOW`` sectors written. What is older counts as settled, flushed or not."""

    def __init__(self) -> None:
        self._writes: deque[_Written] = deque(maxlen=LARGEST_WINDOW)
        self._flushes = 0

    def note(self, lba: int, old: bytes, new: bytes) -> None:
        """One sector is being written."""
        self._writes.append(_Written(lba, old, new, self._flushes))

    def flush(self) -> None:
        """The card was told to empty its cache, and did."""
        self._flushes += 1

    def clear(self) -> None:
        """Everything so far is settled."""
        self._writes.clear()

    def forgotten(self, count: int, number: Number) -> Mapping[int, bytes]:
        """Sectors as they are when some of the last ``count`` writes, and none before, were never done."""
        recent = list(self._writes)[-count:]
        if not recent:
            return {}
        reach = 1 + number(len(recent))
        return _partly(recent[-reach:], number)

    def reordered(self, number: Number) -> Mapping[int, bytes]:
        """Sectors as they are when only some of the writes since the last flush were done."""
        return _partly([write for write in self._writes if write.flushes == self._flushes], number)


def _partly(writes: list[_Written], number: Number) -> Mapping[int, bytes]:
    """Each of the writes is done or not; how many, is drawn first."""
    density = number(DENSITIES + 1)
    content: dict[int, bytes] = {}
    for write in writes:
        content.setdefault(write.lba, write.old)
        if number(DENSITIES) < density:
            content[write.lba] = write.new
    return content
