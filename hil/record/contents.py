"""What a card holds when it is put in: all of it the first time, afterwards what differs from when it was pulled.

What the board writes is not recorded: a repetition writes it again. What the host does to a card in between (a file
copied onto it, another format) is seen at the next insertion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from cfcard import SECTOR_BYTES, BlockDevice, CompactFlash, FaultyDevice, Layer, RamDevice, ReaderDevice, Timing
from cfcard.ram import CHUNK_BYTES

_ZEROS = bytes(CHUNK_BYTES)

Chunks = Mapping[int, bytes]


class CardLedger:
    """Cards by number, in the order of their first insertion, and what each held when it was last pulled."""

    def __init__(self) -> None:
        self._cards: list[CompactFlash] = []
        self._left: dict[int, Chunks] = {}
        self._fresh: tuple[CompactFlash, int] | None = None

    def note_fresh(self, card: CompactFlash, serial: int) -> None:
        """Says that ``card`` was made a moment ago, with what a new card holds: its content needs no place."""
        self._fresh = card, serial

    def insert(self, card: CompactFlash) -> tuple[int, dict[str, Any], Chunks, str | None]:
        """A card's number, what it is, its content or what changed of it, and what of that cannot be repeated."""
        number = self._number(card)
        fresh, self._fresh = self._fresh, None
        if number in self._left:
            return number, {}, _changes(self._left.pop(number), _chunks(sectors_of(card), card)), None
        facts = card_facts(card)
        if fresh is not None and fresh[0] is card:
            return number, {**facts, "fresh": fresh[1]}, {}, None
        if isinstance(sectors_of(card), ReaderDevice):
            return number, facts, {}, "a card in a reader was put in: its content is not recorded"
        doubt = "a card with armed faults was put in: they are not recorded" if _breaks(card.backend) else None
        return number, facts, _chunks(sectors_of(card), card), doubt

    def remove(self, card: CompactFlash) -> int:
        """The card's number; what it holds now is remembered."""
        number = self._number(card)
        if not isinstance(sectors_of(card), ReaderDevice):
            self._left[number] = _chunks(sectors_of(card), card)
        return number

    def _number(self, card: CompactFlash) -> int:
        for number, known in enumerate(self._cards):
            if known is card:
                return number
        self._cards.append(card)
        return len(self._cards) - 1


def sectors_of(card: CompactFlash) -> BlockDevice:
    """Where a card's sectors are, under all layers: reading there sets off no fault."""
    device = card.backend
    while isinstance(device, Layer):
        device = device.inner
    return device


def card_facts(card: CompactFlash) -> dict[str, Any]:
    """What a card is, apart from its content."""
    return {
        "sectors": card.sectors,
        "serial": card.serial,
        "model": card.model,
        "timing": asdict(card.timing),
        "write_protected": card.write_protected,
    }


def card_from_facts(facts: Mapping[str, Any]) -> CompactFlash:
    """A card in memory of that kind. KeyError, TypeError or ValueError when the facts are none."""
    from cfcard.layout import lay_out

    device = RamDevice(facts["sectors"] * SECTOR_BYTES)
    if "fresh" in facts:
        lay_out(device, serial=facts["fresh"])
    return CompactFlash(
        device,
        serial=facts["serial"],
        model=facts["model"],
        timing=Timing(**facts["timing"]),
        write_protected=facts["write_protected"],
    )


def write_chunks(card: CompactFlash, chunks: Chunks) -> None:
    """Puts recorded content onto a card in memory."""
    for number, data in chunks.items():
        sectors_of(card).writeblocks(number * CHUNK_BYTES // SECTOR_BYTES, data)


def split(numbers: list[int], data: bytes, size_bytes: int) -> Chunks:
    """Chunks from their numbers and what they hold in a row. ValueError when that does not fit together."""
    chunks, begin = {}, 0
    for number in numbers:
        size = min(CHUNK_BYTES, size_bytes - number * CHUNK_BYTES)
        if number < 0 or size <= 0:
            raise ValueError(f"piece {number} lies outside a card of {size_bytes} bytes")
        chunks[number] = data[begin : begin + size]
        begin += size
    if begin != len(data):
        raise ValueError(f"{len(data)} bytes for pieces of {begin}")
    return chunks


def _chunks(device: BlockDevice, card: CompactFlash) -> Chunks:
    """What is not zero."""
    return {number: data for number, data in _pieces(device, card.sectors) if data != _ZEROS[: len(data)]}


def _pieces(device: BlockDevice, sectors: int) -> Iterator[tuple[int, bytes]]:
    if isinstance(device, RamDevice):
        yield from device.chunks()  # of the same size; most of it was never written to
        return
    step = CHUNK_BYTES // SECTOR_BYTES
    for number, lba in enumerate(range(0, sectors, step)):
        piece = bytearray(min(step, sectors - lba) * SECTOR_BYTES)
        device.readblocks(lba, piece)
        yield number, bytes(piece)


def _changes(before: Chunks, after: Chunks) -> Chunks:
    gone = {number: bytes(len(data)) for number, data in before.items() if number not in after}
    return gone | {number: data for number, data in after.items() if before.get(number) != data}


def _breaks(device: BlockDevice) -> bool:
    while isinstance(device, Layer):
        if isinstance(device, FaultyDevice):
            return True
        device = device.inner
    return False
