"""Certificate extensions: the six that the device supports, read and written; all others are kept as they are.

Reference text, Certificate extensions: basicConstraints, keyUsage, extKeyUsage, subjectAltName, subjectKeyIdentifier,
authorityKeyIdentifier. Their grammar is RFC 5280 4.2.1.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

from firmware.errors import CertificateError
from firmware.x509 import der, oid
from firmware.x509.der import Element, Reader
from firmware.x509.memory import remembered
from firmware.x509.name import Name, name_from_element, printable

__all__ = [
    "KEY_USAGE_BITS",
    "AuthorityKey",
    "BasicConstraints",
    "Extension",
    "ExtensionSet",
    "GeneralName",
    "authority_key_identifier",
    "basic_constraints",
    "ext_key_usage",
    "extension_set_from_elements",
    "key_usage",
    "subject_alt_name",
    "subject_key_identifier",
]

KEY_USAGE_BITS = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
"""RFC 5280 4.2.1.3, in the order of their bits."""

_T = TypeVar("_T")

MAX_GENERAL_NAMES = 256
"""Public certificates carry up to a hundred; more is an attack on the list that shows them."""


@dataclass(frozen=True)
class Extension:
    """One extension as it was encoded."""

    oid: str
    critical: bool
    value: bytes
    """Content of extnValue: the encoding of the extension's own type."""
    raw: bytes

    @property
    def name(self) -> str:
        return oid.EXTENSION_NAMES.get(self.oid, self.oid)


class BasicConstraints(NamedTuple):
    """RFC 5280 4.2.1.9."""

    ca: bool
    path_length: int | None
    """How many CA certificates may follow below; None for any number."""


class GeneralName(NamedTuple):
    """One alternative name."""

    kind: str
    """``DNS``, ``IP``, ``email``, ``URI``, ``dirName``, ``RID`` or ``other``."""
    text: str
    """As shown; unsafe characters escaped."""
    raw: bytes

    def __str__(self) -> str:
        return f"{self.kind}:{self.text}"


class AuthorityKey(NamedTuple):
    """RFC 5280 4.2.1.1: a hint at the issuer's certificate."""

    key_id: bytes | None
    issuers: tuple[GeneralName, ...]
    serial: int | None


@dataclass(frozen=True)
class ExtensionSet:
    """All extensions of a certificate or request, and the values of the supported ones (None where absent)."""

    extensions: tuple[Extension, ...] = ()
    basic_constraints: BasicConstraints | None = None
    key_usage: frozenset[str] | None = None
    ext_key_usage: tuple[str, ...] | None = None
    subject_alt_names: tuple[GeneralName, ...] = ()
    subject_key_id: bytes | None = None
    authority_key: AuthorityKey | None = None

    def find(self, dotted: str) -> Extension | None:
        return next((extension for extension in self.extensions if extension.oid == dotted), None)

    @cached_property
    def unsupported_critical(self) -> tuple[Extension, ...]:
        """Critical extensions outside the six: validation fails on any."""
        return tuple(e for e in self.extensions if e.critical and e.oid not in oid.SUPPORTED_EXTENSIONS)

    @property
    def dns_names(self) -> tuple[str, ...]:
        return tuple(name.text for name in self.subject_alt_names if name.kind == "DNS")

    @property
    def ip_addresses(self) -> tuple[str, ...]:
        return tuple(name.text for name in self.subject_alt_names if name.kind == "IP")


# -- reading ---------------------------------------------------------------------------------------------------------


def extension_set_from_elements(content: bytes) -> ExtensionSet:
    """Reads the content of an ``Extensions`` SEQUENCE.

    Raises:
        CertificateError: Not well formed, an extension occurs twice (RFC 5280 4.2 forbids it: which one would count?),
            or one of the six does not hold what its type demands.
    """
    reader = Reader(content, "extensions")
    found: dict[str, Extension] = {}
    while reader.more:
        element = reader.take(der.SEQUENCE)
        extension = _extension_from(element.content, element.raw)
        if extension.oid in found:
            raise CertificateError(f"extension {extension.name} occurs twice")
        found[extension.oid] = extension
    return ExtensionSet(
        tuple(found.values()),
        _value(found.get(oid.BASIC_CONSTRAINTS), _basic_constraints_from),
        _value(found.get(oid.KEY_USAGE), _key_usage_from),
        _value(found.get(oid.EXT_KEY_USAGE), _ext_key_usage_from),
        _value(found.get(oid.SUBJECT_ALT_NAME), _subject_alt_name_from) or (),
        _value(found.get(oid.SUBJECT_KEY_IDENTIFIER), _subject_key_id_from),
        _value(found.get(oid.AUTHORITY_KEY_IDENTIFIER), _authority_key_from),
    )


def _value(extension: Extension | None, read: Callable[[Reader], _T]) -> _T | None:
    return None if extension is None else _value_from(extension.value, extension.name, read)


@remembered(entries=1_024, longest_bytes=256)
def _extension_from(content: bytes, raw: bytes) -> Extension:
    reader = Reader(content, "extension")
    dotted = reader.oid()
    critical = reader.take_if(der.BOOLEAN)
    value = reader.take(der.OCTET_STRING)
    reader.finish()
    return Extension(dotted, critical is not None and der.boolean_from_element(critical), value.content, raw)


@remembered(entries=1_024, longest_bytes=256)
def _value_from(encoding: bytes, name: str, read: Callable[[Reader], _T]) -> _T:
    reader = Reader(encoding, f"extension {name}")
    value = read(reader)
    reader.finish()
    return value


def _basic_constraints_from(reader: Reader) -> BasicConstraints:
    inner = reader.inside()
    ca = inner.take_if(der.BOOLEAN)
    length = inner.take_if(der.INTEGER)
    inner.finish()
    path_length = None if length is None else der.integer_from_element(length)
    if path_length is not None and path_length < 0:
        raise CertificateError(f"extension basicConstraints: path length {path_length:#x} is negative")
    return BasicConstraints(ca is not None and der.boolean_from_element(ca), path_length)


def _key_usage_from(reader: Reader) -> frozenset[str]:
    bits = der.flags_from_element(reader.take(der.BIT_STRING))
    return frozenset(name for number, name in enumerate(KEY_USAGE_BITS) if number in bits)


def _ext_key_usage_from(reader: Reader) -> tuple[str, ...]:
    inner = reader.inside()
    purposes: list[str] = []
    while inner.more or not purposes:
        purposes.append(inner.oid())
    return tuple(purposes)


def _subject_alt_name_from(reader: Reader) -> tuple[GeneralName, ...]:
    return _general_names_from(reader.content(der.SEQUENCE), "extension subjectAltName")


def _subject_key_id_from(reader: Reader) -> bytes:
    return reader.content(der.OCTET_STRING)


def _authority_key_from(reader: Reader) -> AuthorityKey:
    inner = reader.inside()
    key_id, issuers, serial = inner.take_if(0x80), inner.take_if(0xA1), inner.take_if(0x82)
    inner.finish()
    return AuthorityKey(
        None if key_id is None else key_id.content,
        () if issuers is None else _general_names_from(issuers.content, "extension authorityKeyIdentifier"),
        None if serial is None else der.integer_from_element(serial),
    )


def _general_names_from(content: bytes, what: str) -> tuple[GeneralName, ...]:
    reader = Reader(content, what)
    names: list[GeneralName] = []
    while reader.more:
        if len(names) == MAX_GENERAL_NAMES:
            raise CertificateError(f"{what} has more than {MAX_GENERAL_NAMES} names")
        names.append(_general_name_from(reader.take(), what))
    return tuple(names)


_IA5_KINDS = {0x81: "email", 0x82: "DNS", 0x86: "URI"}


def _general_name_from(element: Element, what: str) -> GeneralName:
    if kind := _IA5_KINDS.get(element.tag):
        return GeneralName(kind, printable(element.content.decode("latin-1")), element.raw)
    if element.tag == 0x87:
        if len(element.content) not in (4, 16):
            raise CertificateError(f"{what}: IP address of {len(element.content)} bytes instead of 4 or 16")
        return GeneralName("IP", str(ipaddress.ip_address(element.content)), element.raw)
    if element.tag == 0xA4:
        return GeneralName("dirName", _directory_name_from(element, what).text, element.raw)
    if element.tag == 0x88:
        return GeneralName("RID", der.oid_from_element(element), element.raw)
    return GeneralName("other", element.content.hex(), element.raw)


def _directory_name_from(element: Element, what: str) -> Name:
    reader = Reader(element.content, what)
    name = name_from_element(reader.take(der.SEQUENCE), what)
    reader.finish()
    return name


# -- writing ---------------------------------------------------------------------------------------------------------


def _extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    # RFC 5280 4.2: critical is FALSE by default, and DER leaves defaults out.
    flag = der.boolean(True) if critical else b""
    return der.sequence(der.object_identifier(dotted), flag, der.octet_string(value))


def basic_constraints(*, ca: bool, path_length: int | None = None) -> bytes:
    """Critical for a CA, as RFC 5280 4.2.1.9 demands; an end entity's is not."""
    length = der.integer(path_length) if path_length is not None else b""
    value = der.sequence(der.boolean(True) if ca else b"", length)
    return _extension(oid.BASIC_CONSTRAINTS, value, critical=ca)


def key_usage(*names: str) -> bytes:
    """Critical: conforming CAs should mark it so (RFC 5280 4.2.1.3)."""
    return _extension(oid.KEY_USAGE, der.named_bits(KEY_USAGE_BITS.index(name) for name in names), critical=True)


def ext_key_usage(purposes: Iterable[str]) -> bytes:
    return _extension(oid.EXT_KEY_USAGE, der.sequence(*map(der.object_identifier, purposes)))


def subject_alt_name(dns_names: Sequence[str], ip_addresses: Sequence[str]) -> bytes:
    """Not critical: the subject is never empty here (RFC 5280 4.2.1.6)."""
    names = [der.context(2, name.encode("ascii"), constructed=False) for name in dns_names]
    names += [der.context(7, ipaddress.ip_address(text).packed, constructed=False) for text in ip_addresses]
    return _extension(oid.SUBJECT_ALT_NAME, der.sequence(*names))


def subject_key_identifier(key_id: bytes) -> bytes:
    return _extension(oid.SUBJECT_KEY_IDENTIFIER, der.octet_string(key_id))


def authority_key_identifier(key_id: bytes) -> bytes:
    return _extension(oid.AUTHORITY_KEY_IDENTIFIER, der.sequence(der.context(0, key_id, constructed=False)))
