"""What a card says of itself in its IDENTIFY block (ATA command ECh)."""

from __future__ import annotations

SIGNATURE = 0x848A
"""Word 0 of a CompactFlash card (CF+ and CompactFlash Specification 6.2.1.6.1)."""


def card_identity(block: bytes) -> dict[str, object]:
    """Model, serial number, firmware revision, geometry and size from the 512-byte block."""

    def word(number: int) -> int:
        return int.from_bytes(block[2 * number : 2 * number + 2], "little")

    def text(first: int, last: int) -> str:
        # ATA strings have the two characters of each word swapped.
        pairs = (block[2 * number : 2 * number + 2][::-1] for number in range(first, last + 1))
        return b"".join(pairs).decode("ascii", "replace").strip(" \0")

    sectors = word(7) << 16 | word(8)  # on CF cards word 7 is the high half
    return {
        "compact_flash": word(0) == SIGNATURE,
        "card_model": text(27, 46),
        "card_serial": text(10, 19),
        "card_firmware": text(23, 26),
        "geometry": f"{word(1)}/{word(3)}/{word(6)}",
        "size_bytes": sectors * 512,
    }
