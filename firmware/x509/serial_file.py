"""``/CA/serial.txt``: the next serial number of the root CA on the card.

Hexadecimal, upper case, an even number of digits, one newline: what ``openssl ca`` reads and writes (an odd number of
digits is an error to it), so that a PC and the device can take turns. Of ``00`` it makes a certificate with the number
0, which none may have (RFC 5280 4.1.2.2): here that is refused, rather than taken for 1.
"""

from __future__ import annotations

import re

from firmware.errors import CertificateError
from firmware.x509.builder import MAX_SERIAL_BITS

__all__ = ["FIRST_SERIAL", "serial_file_from_number", "serial_from_file"]

FIRST_SERIAL = 1

_DIGITS = re.compile(r"[0-9A-Fa-f]{1,40}")


def serial_file_from_number(serial: int) -> bytes:
    """Content of the file. Raises CertificateError for a number that a certificate cannot have."""
    _check(serial)
    digits = f"{serial:X}"
    return f"{'0' * (len(digits) % 2)}{digits}\n".encode()


def serial_from_file(data: bytes) -> int:
    """The next serial number. White space around it, lower case and an odd number of digits do not matter.

    Raises:
        CertificateError: Anything else, with the text found: guessing might give a serial number out twice.
    """
    text = data.decode("ascii", "backslashreplace").strip()
    if not _DIGITS.fullmatch(text):
        raise CertificateError(f"serial file holds {text[:40]!r} instead of a hexadecimal number")
    serial = int(text, 16)
    _check(serial)
    return serial


def _check(serial: int) -> None:
    if not FIRST_SERIAL <= serial < 1 << MAX_SERIAL_BITS:
        raise CertificateError(f"serial number {serial:X} is out of range: 1 to {MAX_SERIAL_BITS} bits")
