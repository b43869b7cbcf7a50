"""DER: a reader that keeps raw slices, and a writer (ITU-T X.690; a working subset, low tag numbers only).

Signatures are computed over bytes as they came, so nothing here is ever re-encoded: every `Element` carries its whole
encoding beside its content. The reader is driven by the caller's grammar and never recurses, so hostile nesting costs
nothing; all it can do is raise `CertificateError`.

Strict: definite, minimal lengths; nothing behind the end. Tolerant, because certificates in the field are like that:
INTEGERs with needless leading octets, BOOLEAN TRUE other than FF, trailing zeros in named bit lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from firmware.errors import CertificateError

__all__ = [
    "BIT_STRING",
    "BMP_STRING",
    "BOOLEAN",
    "GENERALIZED_TIME",
    "IA5_STRING",
    "INTEGER",
    "NULL",
    "OBJECT_IDENTIFIER",
    "OCTET_STRING",
    "PRINTABLE_STRING",
    "SEQUENCE",
    "SET",
    "T61_STRING",
    "UNIVERSAL_STRING",
    "UTC_TIME",
    "UTF8_STRING",
    "Element",
    "Reader",
    "bit_string",
    "bits_from_element",
    "boolean",
    "boolean_from_element",
    "context",
    "flags_from_element",
    "integer",
    "integer_from_element",
    "named_bits",
    "object_identifier",
    "octet_string",
    "oid_from_element",
    "sequence",
    "set_of",
    "tagged",
]

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
UTF8_STRING = 0x0C
PRINTABLE_STRING = 0x13
T61_STRING = 0x14
IA5_STRING = 0x16
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
UNIVERSAL_STRING = 0x1C
BMP_STRING = 0x1E
SEQUENCE = 0x30
SET = 0x31

CONTEXT = 0x80
CONSTRUCTED = 0x20
TAG_NUMBER = 0x1F

MAX_LENGTH_OCTETS = 3
"""16 MiB, as much as a TLS handshake message can hold."""

MAX_OID_BYTES = 64
"""Longest known identifiers take some 30 octets; long arcs would only make slow integers."""


class Element(NamedTuple):
    """One value as it was encoded."""

    tag: int
    raw: bytes
    """Identifier, length and content."""
    content: bytes


_tuple = tuple.__new__
"""Makes an `Element` without the detour by its own ``__new__``."""


class Reader:
    """Takes the elements of one constructed value in order.

    Args:
        data: Encoded elements, one behind the other.
        what: What is being read, for messages: "certificate", "extension subjectAltName".
    """

    __slots__ = ("_data", "_position", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._position = 0
        self._what = what

    @property
    def more(self) -> bool:
        return self._position < len(self._data)

    @property
    def rest(self) -> bytes:
        """What has not been taken yet."""
        return self._data[self._position :]

    def next_is(self, tag: int) -> bool:
        return self._position < len(self._data) and self._data[self._position] == tag

    def take(self, tag: int | None = None) -> Element:
        """The next element; with ``tag``, only of that kind. Raises CertificateError."""
        data, start = self._data, self._position
        content = self.content(tag)
        return _tuple(Element, (data[start], data[start : self._position], content))

    def content(self, tag: int | None = SEQUENCE) -> bytes:
        """Of the next element, as `take` has it: a certificate has fifty, and of few of them more is wanted."""
        # As few steps as Python allows for what is well formed; `_fault` finds out what is wrong with the rest.
        data, start = self._data, self._position
        try:
            found, length = data[start], data[start + 1]
        except IndexError:
            raise self._fault(tag) from None
        start += 2
        if length > 0x7F:
            octets = length - 0x80
            length = int.from_bytes(data[start : start + octets], "big")
            start += octets
            if octets > MAX_LENGTH_OCTETS or length < 0x80 or not length >> 8 * (octets - 1):
                raise self._fault(tag)
        end = start + length
        if end > len(data) or (found != tag and (tag is not None or found & TAG_NUMBER == TAG_NUMBER)):
            raise self._fault(tag)
        self._position = end
        return data[start:end]

    def integer(self) -> int:
        """The next element, an INTEGER."""
        content = self.content(INTEGER)
        if not content:
            raise CertificateError("integer without content")
        return int.from_bytes(content, "big", signed=True)

    def oid(self) -> str:
        """The next element, an OBJECT IDENTIFIER, in its dotted form."""
        return _dotted(self.content(OBJECT_IDENTIFIER))

    def take_if(self, tag: int) -> Element | None:
        """The next element if it is of this kind, else None and nothing is taken."""
        if self._position < len(self._data) and self._data[self._position] == tag:
            return self.take(tag)
        return None

    def inside(self, tag: int = SEQUENCE) -> Reader:
        """A reader over the content of the next element."""
        return Reader(self.content(tag), self._what)

    def finish(self) -> None:
        """Raises CertificateError where something is left over."""
        if self._position < len(self._data):
            raise self._error(f"{len(self._data) - self._position} bytes too many")

    def _fault(self, tag: int | None) -> CertificateError:
        """What is wrong with the next element, the first thing first."""
        data, start = self._data, self._position
        if start >= len(data):
            return self._error("ends too early")
        found = data[start]
        if tag is not None and found != tag:
            return self._error(f"expected tag {tag:02x}, found {found:02x}")
        if found & TAG_NUMBER == TAG_NUMBER:
            return self._error(f"tag {found:02x} has a long tag number, which nothing here uses")
        if start + 1 >= len(data):
            return self._error("ends inside a length")
        first, position = data[start + 1], start + 2
        if first < 0x80:
            return self._overrun(position, first)
        octets = first & 0x7F
        if not 1 <= octets <= MAX_LENGTH_OCTETS or position + octets > len(data):
            return self._error(f"length octet {first:02x} is not usable here")
        length = int.from_bytes(data[position : position + octets], "big")
        if length < 0x80 or length >> (8 * (octets - 1)) == 0:
            return self._error(f"length {length} is not written in the shortest way")
        return self._overrun(position + octets, length)

    def _overrun(self, position: int, length: int) -> CertificateError:
        surplus = position + length - len(self._data)
        return self._error(f"element of {length} bytes runs over the end by {surplus}")

    def _error(self, text: str) -> CertificateError:
        return CertificateError(f"{self._what}: {text} (at byte {self._position} of {len(self._data)})")


def integer_from_element(element: Element) -> int:
    if not element.content:
        raise CertificateError("integer without content")
    return int.from_bytes(element.content, "big", signed=True)


def boolean_from_element(element: Element) -> bool:
    if len(element.content) != 1:
        raise CertificateError(f"boolean of {len(element.content)} bytes instead of 1")
    return element.content != b"\x00"


def bits_from_element(element: Element) -> bytes:
    """Content of a BIT STRING of whole octets (keys and signatures)."""
    if not element.content or element.content[0] != 0:
        raise CertificateError("bit string is not made of whole octets")
    return element.content[1:]


def flags_from_element(element: Element) -> frozenset[int]:
    """Numbers of the bits that are set in a named bit list; bit 0 is the first."""
    content = element.content
    if not content or content[0] > 7 or (content[0] and len(content) == 1):
        raise CertificateError("bit string is not well formed")
    if len(content) > 5:
        raise CertificateError(f"named bit list of {len(content) - 1} bytes, limit 4")
    return frozenset(
        8 * index + bit for index, octet in enumerate(content[1:]) for bit in range(8) if octet & (0x80 >> bit)
    )


@lru_cache(maxsize=512)
def _dotted(content: bytes) -> str:
    if not content or len(content) > MAX_OID_BYTES or content[-1] & 0x80:
        raise CertificateError(f"object identifier of {len(content)} bytes is not well formed")
    arcs: list[int] = []
    value = 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    # X.690 8.19.4: the first two arcs share one number, and the top arc is at most 2.
    top = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (top, arcs[0] - 40 * top, *arcs[1:]))


def oid_from_element(element: Element) -> str:
    """Dotted form."""
    return _dotted(element.content)


def tagged(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def context(number: int, content: bytes, *, constructed: bool = True) -> bytes:
    """A context-specific tag: explicit where ``content`` is an encoded element, implicit where it is bare content."""
    return tagged(CONTEXT | (CONSTRUCTED if constructed else 0) | number, content)


def sequence(*parts: bytes) -> bytes:
    return tagged(SEQUENCE, b"".join(parts))


def set_of(parts: Iterable[bytes]) -> bytes:
    """SET OF: DER wants its elements in ascending order of their encodings (X.690 11.6)."""
    return tagged(SET, b"".join(sorted(parts)))


def integer(value: int) -> bytes:
    # One bit more than the magnitude, for the sign.
    bits = (value if value >= 0 else ~value).bit_length()
    return tagged(INTEGER, value.to_bytes(bits // 8 + 1, "big", signed=True))


def boolean(value: bool) -> bytes:
    return tagged(BOOLEAN, b"\xff" if value else b"\x00")


def octet_string(content: bytes) -> bytes:
    return tagged(OCTET_STRING, content)


def bit_string(content: bytes) -> bytes:
    return tagged(BIT_STRING, b"\x00" + content)


def named_bits(numbers: Iterable[int]) -> bytes:
    """A named bit list without trailing zeros (X.690 11.2.2)."""
    present = sorted(numbers)
    if not present:
        return tagged(BIT_STRING, b"\x00")
    octets = bytearray(present[-1] // 8 + 1)
    for number in present:
        octets[number // 8] |= 0x80 >> number % 8
    return tagged(BIT_STRING, bytes((7 - present[-1] % 8,)) + octets)


@lru_cache(maxsize=128)
def object_identifier(dotted: str) -> bytes:
    top, second, *others = (int(arc) for arc in dotted.split("."))
    content = bytearray()
    for arc in (40 * top + second, *others):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return tagged(OBJECT_IDENTIFIER, bytes(content))
