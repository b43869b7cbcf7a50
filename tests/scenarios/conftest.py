"""A certification authority outside of the box, and keys made once per session."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pytest

from firmware.x509 import (
    Certificate,
    CertificateOrder,
    DistinguishedName,
    Identity,
    PrivateKey,
    Request,
    key_search,
    request_from_der,
)
from firmware.x509.builder import (
    CertificateTemplate,
    device_extensions,
    issue,
    root_extensions,
    self_signed_certificate,
)

NOW = 1_767_225_600
"""2026-01-01T00:00:00Z, when a bench's boards are switched on."""
DAY = 86_400
YEAR = 365 * DAY


@cache
def key_named(name: str) -> PrivateKey:
    """A 1024-bit key, always the same one for a name."""
    search = key_search(1024, random.Random(name))
    while True:
        try:
            next(search)
        except StopIteration as end:
            key: PrivateKey = end.value
            return key


@dataclass
class OutsideCa:
    """A root and an intermediate that issues; valid by default, a test says what differs."""

    name: str = "Outside"
    serial: int = field(default=100, init=False)

    @property
    def root(self) -> Certificate:
        return self._ca(f"{self.name} Root CA", f"{self.name} Root CA", "root", "root", 1)

    @property
    def intermediate(self) -> Certificate:
        return self._ca(f"{self.name} Issuing CA", f"{self.name} Root CA", "issuing", "root", 2)

    def key(self, name: str) -> PrivateKey:
        """A key of that name, the same in every call."""
        return key_named(f"{self.name}/{name}")

    def sign(
        self, request: Request | bytes, *, not_before: int = NOW - DAY, not_after: int = NOW + YEAR
    ) -> Certificate:
        """The certificate that a request asks for, from the intermediate."""
        if isinstance(request, bytes):
            request = request_from_der(request)
        return self.issued(request.subject.raw, request.spki, not_before, not_after, request.values.dns_names)

    def certificate(
        self,
        common_name: str,
        key: PrivateKey | None = None,
        *,
        dns_names: tuple[str, ...] = (),
        not_before: int = NOW - DAY,
        not_after: int = NOW + YEAR,
    ) -> Certificate:
        """A device's certificate, from the intermediate."""
        key = key or self.key(common_name)
        name = DistinguishedName(common_name=common_name).name().raw
        return self.issued(name, key.spki(), not_before, not_after, dns_names)

    def identity(self, common_name: str, **what: int) -> Identity:
        """Certificate, intermediate and root, with the device's key."""
        leaf = self.certificate(common_name, **what)  # type: ignore[arg-type]
        return Identity((leaf, self.intermediate, self.root), self.key(common_name))

    def self_signed(self, common_name: str) -> Certificate:
        """A device's certificate that no CA has signed."""
        order = CertificateOrder(DistinguishedName(common_name=common_name))
        return self_signed_certificate(order, self.key(common_name), NOW - DAY, random.Random(common_name))

    def issued(
        self,
        subject: bytes,
        spki: bytes,
        not_before: int = NOW - DAY,
        not_after: int = NOW + YEAR,
        dns_names: tuple[str, ...] = (),
    ) -> Certificate:
        """A certificate for a subject in DER, whatever it holds."""
        from firmware.x509.der import Reader
        from firmware.x509.key import public_key_from_spki
        from firmware.x509.name import name_from_element

        self.serial += 1
        public_key = public_key_from_spki(spki)
        assert public_key is not None
        order = CertificateOrder(DistinguishedName(common_name="any"), dns_names=dns_names)
        issuing = self.intermediate
        template = CertificateTemplate(
            name_from_element(Reader(subject, "subject").take(), "subject"),
            issuing.subject,
            spki,
            self.serial,
            not_before,
            not_after,
            extensions=device_extensions(order, public_key, self.key("issuing").public_key.key_id()),
        )
        return issue(template, self.key("issuing"))

    def _ca(self, subject: str, issuer: str, key: str, issuer_key: str, serial: int) -> Certificate:
        template = CertificateTemplate(
            DistinguishedName(common_name=subject).name(),
            DistinguishedName(common_name=issuer).name(),
            self.key(key).spki(),
            serial,
            NOW - YEAR,
            NOW + 10 * YEAR,
            extensions=root_extensions(self.key(key).public_key),
        )
        return issue(template, self.key(issuer_key))


@pytest.fixture
def outside() -> OutsideCa:
    """A CA that nobody trusts yet."""
    return OutsideCa()


@pytest.fixture
def outside_named() -> Callable[[str], OutsideCa]:
    """More of them."""
    return OutsideCa


@pytest.fixture
def now_s() -> int:
    """When the boards are switched on."""
    return NOW


@pytest.fixture
def key_of() -> Callable[[str], PrivateKey]:
    """Keys by name."""
    return key_named
