"""Keys made once per session, and certificates that are valid by default: a test states only its difference."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from firmware.x509 import (
    Certificate,
    CertificateOrder,
    DistinguishedName,
    PrivateKey,
    PublicKey,
    certificate_from_der,
    der,
    extension,
    key_search,
)
from firmware.x509.builder import CertificateTemplate, device_extensions, issue, root_extensions
from firmware.x509.keygen import KeySearch
from firmware.x509.trustindex import TrustIndex
from firmware.x509.validation import Purpose, validate
from firmware.x509.verdict import Verdict

NOW = 1_800_000_000
"""2027-01-15T08:00:00Z."""


COSTS: Any = SimpleNamespace(
    certificate=30_000,
    digest=lambda name, size_bytes: size_bytes * {"sha512": 155}.get(name, 65),
    rsa_public=lambda bits: bits * 1_000,
)
"""What a validation is charged by, in round figures."""

Keys = Mapping[int, PrivateKey]


class Issuing:
    """Root, middle and device, each with a key of its own. Valid by default; a test names what differs."""

    def __init__(self, template: CertificateTemplate, keys: Mapping[str, PrivateKey], order: CertificateOrder) -> None:
        self.keys = keys
        self.costs = COSTS
        self.now_s = template.not_before + 1000
        names = {who: DistinguishedName(common_name=who.title()).name() for who in keys}
        middle, root = keys["middle"].public_key, keys["root"].public_key
        self.templates = {
            "root": replace(template, subject=names["root"], issuer=names["root"]),
            "middle": replace(
                template,
                subject=names["middle"],
                issuer=names["root"],
                spki=middle.spki(),
                serial=2,
                extensions=(*root_extensions(middle), extension.authority_key_identifier(root.key_id())),
            ),
            "device": replace(
                template,
                subject=names["device"],
                issuer=names["middle"],
                spki=keys["device"].spki(),
                serial=3,
                extensions=device_extensions(order, keys["device"].public_key, middle.key_id()),
            ),
        }
        self.signers = {"root": "root", "middle": "root", "device": "middle"}
        self.root, self.middle, self.device = (self.make(who) for who in ("root", "middle", "device"))

    def make(self, who: str, *, signer: str | None = None, **changes: Any) -> Certificate:
        """That certificate with some fields of its template replaced."""
        return issue(replace(self.templates[who], **changes), self.keys[signer or self.signers[who]])

    def extensions_without(self, who: str, *oids: str) -> tuple[bytes, ...]:
        """The encoded extensions that it has by default, save some."""
        unwanted = [der.object_identifier(oid) for oid in oids]
        return tuple(e for e in self.templates[who].extensions if not any(oid in e for oid in unwanted))

    def judge(
        self,
        sent: Sequence[Certificate | bytes],
        trusted: Iterable[Certificate] | None = None,
        *,
        now_s: int | None = None,
        purpose: Purpose = Purpose.SERVER,
        names: str | Sequence[str] | None = None,
    ) -> Verdict:
        index = TrustIndex([self.root] if trusted is None else trusted)
        now_s = self.now_s if now_s is None else now_s
        return validate(sent, index, self.costs, now_s=now_s, purpose=purpose, names=names)

    @staticmethod
    def damaged(certificate: Certificate) -> Certificate:
        """With another last byte of its signature."""
        return certificate_from_der(certificate.der[:-1] + bytes((certificate.der[-1] ^ 1,)))


def drained(search: KeySearch) -> PrivateKey:
    while True:
        try:
            next(search)
        except StopIteration as end:
            key: PrivateKey = end.value
            return key


@pytest.fixture(scope="session")
def drain() -> Callable[[KeySearch], PrivateKey]:
    """Runs a search to its end and gives its key."""
    return drained


@pytest.fixture(scope="session")
def keys() -> Mapping[int, PrivateKey]:
    """One key of each size, by bits, always the same ones."""
    return {bits: drained(key_search(bits, random.Random(bits))) for bits in (1024, 2048, 4096)}


@pytest.fixture(scope="session")
def other_key() -> PrivateKey:
    """Another key of 1024 bits."""
    return drained(key_search(1024, random.Random("other")))


@pytest.fixture(scope="session")
def third_key() -> PrivateKey:
    """A third key of 1024 bits, for the certificate between root and device."""
    return drained(key_search(1024, random.Random("third")))


@pytest.fixture
def now_s() -> int:
    return NOW


@pytest.fixture
def order() -> CertificateOrder:
    return CertificateOrder(
        DistinguishedName(common_name="IP800-06-11-ac", organization="Example, Inc.", country="DE"),
        dns_names=("gw.example.com",),
        ip_addresses=("192.0.2.1", "2001:db8::1"),
    )


@pytest.fixture
def template(keys: Mapping[int, PrivateKey]) -> CertificateTemplate:
    """A self-signed root of 1024 bits; use ``dataclasses.replace`` for what differs."""
    name = DistinguishedName(common_name="Test Root").name()
    key = keys[1024]
    extensions = root_extensions(key.public_key)
    return CertificateTemplate(name, name, key.spki(), 1, NOW - 1000, NOW + 1000, extensions=extensions)


@pytest.fixture
def root(template: CertificateTemplate, keys: Mapping[int, PrivateKey]) -> Certificate:
    return issue(template, keys[1024])


@pytest.fixture
def issuing(
    template: CertificateTemplate, keys: Keys, other_key: PrivateKey, third_key: PrivateKey, order: CertificateOrder
) -> Issuing:
    return Issuing(template, {"root": keys[1024], "middle": third_key, "device": other_key}, order)


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the key length with every signature that is really verified."""
    done: list[int] = []
    real = PublicKey.verify

    def counted(self: PublicKey, *arguments: Any) -> bool:
        done.append(self.bits)
        return real(self, *arguments)

    monkeypatch.setattr(PublicKey, "verify", counted)
    return done
