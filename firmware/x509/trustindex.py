"""The trust list as the validator looks things up in it: by the very bytes, and by subject. Made once per change.

Names that are not the same are the common case, and comparing them by RFC 5280 7.1 is the dearest of all rules. So the
bytes are compared first, then the last part alone (the common name, as a rule), and all of it only where that agrees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from firmware.x509.certificate import Certificate, certificate_from_der
from firmware.x509.name import Attribute, Name

__all__ = ["TrustIndex", "is_same_name"]

Comparable = tuple[str, str | bytes]


@lru_cache(maxsize=512)
def _comparable(attribute: Attribute) -> Comparable:
    return attribute.comparable()


def _last_part(name: Name) -> frozenset[Comparable]:
    return frozenset(map(_comparable, name.sets[-1])) if name.sets else frozenset()


def is_same_name(one: Name, other: Name) -> bool:
    """Equality by RFC 5280 7.1, soon decided where it is not given."""
    if one.raw == other.raw:
        return True
    return len(one.sets) == len(other.sets) and _last_part(one) == _last_part(other) and one == other


class TrustIndex:
    """Certificates that are trusted, endpoints and CAs alike.

    Making it compares every name once; after that, neither lookup depends on how many there are.

    Args:
        certificates: Parsed, or as DER (CertificateError for a damaged one).
    """

    def __init__(self, certificates: Iterable[Certificate | bytes] = ()) -> None:
        self._by_der: dict[bytes, Certificate] = {}
        self._by_subject: dict[Name, list[Certificate]] = {}
        self._by_encoding: dict[bytes, list[Certificate]] = {}
        self._last_parts: set[frozenset[Comparable]] = set()
        for entry in certificates:
            self._add(certificate_from_der(entry) if isinstance(entry, bytes) else entry)

    def _add(self, certificate: Certificate) -> None:
        if certificate.der in self._by_der:
            return
        self._by_der[certificate.der] = certificate
        group = self._by_subject.setdefault(certificate.subject, [])
        group.append(certificate)
        self._by_encoding[certificate.subject.raw] = group
        self._last_parts.add(_last_part(certificate.subject))

    def __len__(self) -> int:
        return len(self._by_der)

    def __contains__(self, certificate: Certificate) -> bool:
        return certificate.der in self._by_der

    def digest(self) -> bytes:
        """Of the entries in their order: indexes with the same digest answer the same, whichever board's they are."""
        return hashlib.sha256(b"".join(self._by_der)).digest()

    def find(self, der: bytes) -> Certificate | None:
        """The entry that is equal byte for byte."""
        return self._by_der.get(der)

    def issuers(self, name: Name) -> tuple[Certificate, ...]:
        """Entries whose subject is ``name`` (RFC 5280 7.1), CAs or not, in the list's order."""
        group = self._by_encoding.get(name.raw)
        if group is None and _last_part(name) in self._last_parts:
            group = self._by_subject.get(name)
        return tuple(group or ())
