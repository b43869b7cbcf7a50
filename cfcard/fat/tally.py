"""How many clusters are free in each page of the FAT, as far as anybody has looked.

Two bytes per page of 8 KiB: on a card of 32 GiB 2 KiB know which of a thousand pages need not be read again when free
clusters are looked for, and on a card that is nearly full those are nearly all.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

__all__ = ["Tally"]

UNKNOWN = -1


class Tally:
    """One number per page.

    Args:
        top: one more than the highest cluster number.
        per_page: clusters per page.
    """

    def __init__(self, top: int, per_page: int) -> None:
        self._top = top
        self._per_page = per_page
        self._free = array("h", [UNKNOWN]) * -(-top // per_page)

    def is_full(self, page: int) -> bool:
        """Whether ``page`` is known to have nothing free."""
        return not self._free[page]

    @property
    def total(self) -> int | None:
        """Free clusters of the volume, None while pages are unknown."""
        return None if UNKNOWN in self._free else sum(self._free)

    def unknown(self) -> list[int]:
        """The pages nobody has looked at."""
        return [page for page, free in enumerate(self._free) if free == UNKNOWN]

    def look(self, page: int, entries: array[int]) -> None:
        """Counts what is free among the ``entries`` of ``page``."""
        base = page * self._per_page
        self._free[page] = entries[max(0, 2 - base) : self._top - base].count(0)

    def change(self, first: int, count: int, by: int) -> None:
        """``count`` clusters from ``first`` on were freed (``by`` 1) or taken (-1)."""
        page = first // self._per_page
        if count == 1:  # most files are small
            if self._free[page] != UNKNOWN:
                self._free[page] += by
            return
        while count > 0:
            here = min(count, (page + 1) * self._per_page - first)
            if self._free[page] != UNKNOWN:
                self._free[page] += by * here
            page, first, count = page + 1, first + here, count - here

    def forget(self, pages: Iterable[int]) -> None:
        """These must be looked at again."""
        for page in pages:
            self._free[page] = UNKNOWN
