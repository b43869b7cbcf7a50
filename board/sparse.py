"""Flash content that takes room only where something was written.

A chip from the factory reads FFh everywhere; a thousand boards with 8 MiB each must not take 8 GiB.
"""

from __future__ import annotations

SECTOR_BYTES = 4096
ERASED = b"\xff" * SECTOR_BYTES


class SparseStorage:
    """``size_bytes`` of FFh that can be sliced and overwritten in place, as a ``bytearray`` can."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._sectors: dict[int, bytearray] = {}

    @property
    def used_bytes(self) -> int:
        """Room taken by sectors that are not erased."""
        return len(self._sectors) * SECTOR_BYTES

    def __len__(self) -> int:
        return self._size_bytes

    def __getitem__(self, key: slice, /) -> bytes:
        begin, end = self._range(key)
        pieces = []
        for sector, low, high in _pieces(begin, end):
            pieces.append(bytes(self._sectors.get(sector, ERASED)[low:high]))
        return b"".join(pieces)

    def __setitem__(self, key: slice, value: bytes, /) -> None:
        begin, end = self._range(key)
        if len(value) != end - begin:
            raise ValueError(f"{len(value)} bytes for a slice of {end - begin}: storage keeps its size")
        position = 0
        for sector, low, high in _pieces(begin, end):
            content = self._sectors.setdefault(sector, bytearray(ERASED))
            content[low:high] = value[position : position + high - low]
            position += high - low
            if content == ERASED:
                del self._sectors[sector]

    def _range(self, key: slice) -> tuple[int, int]:
        begin, end, step = key.indices(self._size_bytes)
        if step != 1:
            raise ValueError(f"slice step {step}: must be 1")
        return begin, max(begin, end)


def _pieces(begin: int, end: int) -> list[tuple[int, int, int]]:
    """(sector, first byte in it, one past the last) for every sector that a range touches."""
    pieces = []
    while begin < end:
        sector, low = divmod(begin, SECTOR_BYTES)
        high = min(SECTOR_BYTES, low + end - begin)
        pieces.append((sector, low, high))
        begin += high - low
    return pieces
