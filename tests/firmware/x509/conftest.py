"""Keys made once per session, and certificates that are valid by default: a test states only its difference."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest

from firmware.x509 import Certificate, CertificateOrder, DistinguishedName, PrivateKey, key_search
from firmware.x509.builder import CertificateTemplate, issue, root_extensions
from firmware.x509.keygen import KeySearch

NOW = 1_800_000_000
"""2027-01-15T08:00:00Z."""


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
