"""Distinguished names: read from certificates, compared, shown, and built from what a user typed.

A name is a sequence of sets of attributes. Certificates carry it from the most general attribute (C) to the most
special one (CN); RFC 4514 strings are read the other way round: ``CN=gw,O=Example,C=DE``.

Not modelled: attribute values that are no strings are shown as hexadecimal and compared byte for byte.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import NamedTuple

from firmware.errors import ConfigError
from firmware.x509.der import (
    BMP_STRING,
    IA5_STRING,
    PRINTABLE_STRING,
    SEQUENCE,
    SET,
    T61_STRING,
    UNIVERSAL_STRING,
    UTF8_STRING,
    Element,
    Reader,
    object_identifier,
    sequence,
    set_of,
    tagged,
)
from firmware.x509.memory import remembered
from firmware.x509.oid import ATTRIBUTE_NAMES

__all__ = ["Attribute", "DistinguishedName", "Name", "name_from_element", "printable"]

_ENCODINGS = {
    UTF8_STRING: "utf-8",
    PRINTABLE_STRING: "latin-1",  # '@' and '*' are found in the field although the type has neither
    T61_STRING: "latin-1",  # what everybody writes into it
    IA5_STRING: "ascii",
    BMP_STRING: "utf-16-be",
    UNIVERSAL_STRING: "utf-32-be",
}

LONGEST_COMPARED = 512
"""Characters that are folded for a comparison: folding takes quadratic time, and no field certificate has a quarter."""


class Attribute(NamedTuple):
    """One attribute of a name."""

    oid: str
    text: str | None
    """None where the value is no readable string."""
    raw: bytes
    """The value's whole encoding."""

    def comparable(self) -> tuple[str, str | bytes]:
        """Equal for attributes that are the same by RFC 5280 7.1: case and surplus blanks do not count."""
        if self.text is None or len(self.text) > LONGEST_COMPARED:
            return self.oid, self.raw
        folded = unicodedata.normalize("NFKC", self.text).casefold()
        return self.oid, " ".join(folded.split())

    def __str__(self) -> str:
        short = ATTRIBUTE_NAMES.get(self.oid)
        if short is None or self.text is None:
            # RFC 4514 2.4: no short name, or no string form: hexadecimal of the whole encoding.
            return f"{short or self.oid}=#{self.raw.hex()}"
        return f"{short}={_escaped(self.text)}"


@dataclass(frozen=True, eq=False)
class Name:
    """A distinguished name as it was encoded. Equal names are equal by RFC 5280 7.1, whatever their bytes."""

    raw: bytes
    sets: tuple[tuple[Attribute, ...], ...]

    @cached_property
    def _key(self) -> tuple[frozenset[tuple[str, str | bytes]], ...]:
        return tuple(frozenset(attribute.comparable() for attribute in part) for part in self.sets)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Name) and (self.raw == other.raw or self._key == other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        return self.text

    @cached_property
    def text(self) -> str:
        """RFC 4514 string, control characters escaped; empty for an empty name."""
        return ",".join("+".join(map(str, part)) for part in reversed(self.sets))

    @property
    def common_name(self) -> str:
        """The last CN, which is the most special one; empty where there is none."""
        names = self.values("2.5.4.3")
        return names[-1] if names else ""

    def values(self, oid: str) -> tuple[str, ...]:
        """Texts of all attributes of this type, in the certificate's order."""
        return tuple(a.text for part in self.sets for a in part if a.oid == oid and a.text is not None)


def _text_from_element(element: Element) -> str | None:
    encoding = _ENCODINGS.get(element.tag)
    if encoding is None:
        return None
    try:
        return element.content.decode(encoding)
    except UnicodeDecodeError:
        return None


def name_from_element(element: Element, what: str = "name") -> Name:
    """Raises CertificateError where the element is not a Name (RFC 5280 4.1.2.4)."""
    return _name_from_parts(element.content, element.raw, what)


@remembered(entries=1_024, longest_bytes=256)
def _name_from_parts(content: bytes, raw: bytes, what: str) -> Name:
    parts: list[tuple[Attribute, ...]] = []
    outer = Reader(content, what)
    while outer.more:
        inner = outer.inside(SET)
        attributes: list[Attribute] = []
        while inner.more or not attributes:
            pair = inner.inside(SEQUENCE)
            oid = pair.oid()
            value = pair.take()
            pair.finish()
            attributes.append(Attribute(oid, _text_from_element(value), value.raw))
        parts.append(tuple(attributes))
    return Name(raw, tuple(parts))


def _is_unsafe(character: str) -> bool:
    """Controls, direction marks, odd blanks, surrogates, unassigned: they act on a terminal or mislead the eye."""
    return not character.isprintable()


def printable(text: str) -> str:
    """``text`` with unsafe characters as hex escapes: certificates come from strangers and go to terminals."""
    return "".join(_hex_escape(c) if _is_unsafe(c) else c for c in text)


def _hex_escape(character: str) -> str:
    return "".join(f"\\{octet:02X}" for octet in character.encode("utf-8", "surrogatepass"))


def _escaped(text: str) -> str:
    """Value of an RFC 4514 string (section 2.4)."""
    last = len(text) - 1
    parts: list[str] = []
    for index, character in enumerate(text):
        if _is_unsafe(character):
            parts.append(_hex_escape(character))
        elif character in '"+,;<>\\' or (character == "#" and index == 0) or (character == " " and index in (0, last)):
            parts.append("\\" + character)
        else:
            parts.append(character)
    return "".join(parts)


def _limited(option: str, oid: str, limit: int) -> str:
    return field(default="", metadata={"option": option, "oid": oid, "limit": limit})


@dataclass(frozen=True)
class DistinguishedName:
    """What a user fills in for a name. Limits are the upper bounds of RFC 5280 appendix A.

    Raises ConfigError, naming the option, for a value that is too long, holds control characters or is no country.
    """

    country: str = _limited("dn-c", "2.5.4.6", 2)
    state: str = _limited("dn-st", "2.5.4.8", 128)
    locality: str = _limited("dn-l", "2.5.4.7", 128)
    organization: str = _limited("dn-o", "2.5.4.10", 64)
    organizational_unit: str = _limited("dn-ou", "2.5.4.11", 64)
    common_name: str = _limited("dn-cn", "2.5.4.3", 64)

    def __post_init__(self) -> None:
        for part in fields(self):
            option, limit = part.metadata["option"], part.metadata["limit"]
            text = getattr(self, part.name).strip()
            if len(text) > limit:
                raise ConfigError(option, f"{option} has {len(text)} characters, limit {limit}")
            if any(_is_unsafe(c) for c in text):
                raise ConfigError(option, f"{option} holds a control character: {printable(text)}")
            object.__setattr__(self, part.name, text)
        if self.country and not (len(self.country) == 2 and self.country.isascii() and self.country.isalpha()):
            raise ConfigError("dn-c", f"dn-c must be a country code of 2 letters, not {self.country!r}")
        object.__setattr__(self, "country", self.country.upper())

    def name(self) -> Name:
        """The name, most general attribute first; empty fields are left out."""
        sets: list[tuple[Attribute, ...]] = []
        for part in fields(self):
            if text := getattr(self, part.name):
                # RFC 5280 appendix A: countryName is a PrintableString; 4.1.2.4: UTF8String for the others.
                tag = PRINTABLE_STRING if part.name == "country" else UTF8_STRING
                sets.append((Attribute(part.metadata["oid"], text, tagged(tag, text.encode())),))
        encoded = (set_of([sequence(object_identifier(a.oid), a.raw)]) for (a,) in sets)
        return Name(sequence(*encoded), tuple(sets))
