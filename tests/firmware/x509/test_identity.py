"""Chains and their key: order is mended, gaps and strangers are errors."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import pytest

from firmware.errors import CertificateError
from firmware.x509 import (
    Certificate,
    DistinguishedName,
    Identity,
    PrivateKey,
    identity_from_certificates,
    identity_from_file,
    pem_from_der,
)
from firmware.x509.builder import CertificateTemplate, issue

Keys = Mapping[int, PrivateKey]


@pytest.fixture
def chain(
    template: CertificateTemplate, keys: Keys, other_key: PrivateKey, third_key: PrivateKey
) -> tuple[Certificate, ...]:
    """Device (other key), intermediate (third key), root (first key)."""
    middle_name = DistinguishedName(common_name="Middle").name()
    device_name = DistinguishedName(common_name="Device").name()
    middle = issue(replace(template, subject=middle_name, spki=third_key.spki(), serial=2), keys[1024])
    device = issue(
        replace(
            template, subject=device_name, issuer=middle_name, spki=other_key.spki(), serial=3, version=1, extensions=()
        ),
        third_key,
    )
    return device, middle, issue(template, keys[1024])


def test_every_order_is_mended(chain: tuple[Certificate, ...], other_key: PrivateKey) -> None:
    for shuffled in itertools.permutations(chain):
        assert identity_from_certificates(shuffled, other_key).chain == chain


def test_repetitions_are_dropped_and_the_root_may_be_missing(
    chain: tuple[Certificate, ...], other_key: PrivateKey
) -> None:
    assert identity_from_certificates(chain * 3, other_key).chain == chain
    assert identity_from_certificates(chain[:2], other_key).chain == chain[:2]
    assert identity_from_certificates(chain[:1], other_key).leaf == chain[0]


def test_a_gap_is_an_error_that_names_what_is_missing(chain: tuple[Certificate, ...], other_key: PrivateKey) -> None:
    with pytest.raises(CertificateError, match="gap in the chain: CN=Middle is missing, which issued CN=Device"):
        identity_from_certificates((chain[0], chain[2]), other_key)


def test_a_stranger_in_the_chain_is_an_error(
    chain: tuple[Certificate, ...], template: CertificateTemplate, keys: Keys, other_key: PrivateKey
) -> None:
    name = DistinguishedName(common_name="Stranger").name()
    stranger = issue(replace(template, subject=name, issuer=name), keys[1024])
    with pytest.raises(CertificateError, match="CN=Stranger does not belong to the chain"):
        identity_from_certificates((*chain, stranger), other_key)


def test_an_issuer_that_has_the_name_alone_is_not_taken(
    chain: tuple[Certificate, ...], template: CertificateTemplate, keys: Keys, other_key: PrivateKey
) -> None:
    impostor = issue(replace(template, subject=chain[1].subject, serial=9), keys[1024])
    with pytest.raises(CertificateError, match="gap"):
        identity_from_certificates((chain[0], impostor, chain[2]), other_key)


def test_a_key_that_matches_nothing_or_a_certificate_further_up_is_refused(
    chain: tuple[Certificate, ...], keys: Keys, third_key: PrivateKey
) -> None:
    with pytest.raises(CertificateError, match="none of 3 certificates matches the private key"):
        identity_from_certificates(chain, keys[2048])
    with pytest.raises(CertificateError, match="CN=Device does not belong"):
        identity_from_certificates(chain, third_key)


def test_an_identity_is_never_without_certificate_or_with_another_s_key(
    chain: tuple[Certificate, ...], keys: Keys
) -> None:
    with pytest.raises(CertificateError, match="at least one"):
        Identity((), keys[1024])
    with pytest.raises(CertificateError, match="private key does not match certificate CN=Device"):
        Identity(chain, keys[1024])


def test_two_authorities_that_sign_each_other_do_not_make_an_endless_chain(
    template: CertificateTemplate, keys: Keys, other_key: PrivateKey
) -> None:
    a, b = (DistinguishedName(common_name=text).name() for text in "ab")
    first = issue(replace(template, subject=a, issuer=b), other_key)
    second = issue(replace(template, subject=b, issuer=a, spki=other_key.spki()), keys[1024])
    assert identity_from_certificates((second, first), keys[1024]).chain == (first, second)


def test_a_device_that_shares_its_key_with_its_root_comes_first(template: CertificateTemplate, keys: Keys) -> None:
    root = issue(template, keys[1024])
    device = issue(replace(template, subject=DistinguishedName(common_name="Device").name(), serial=2), keys[1024])
    for certificates in ((root, device), (device, root)):
        assert identity_from_certificates(certificates, keys[1024]).chain == (device, root)


def test_a_chain_of_more_than_ten_is_refused(template: CertificateTemplate, keys: Keys) -> None:
    many = [issue(replace(template, serial=serial), keys[1024]) for serial in range(1, 12)]
    with pytest.raises(CertificateError, match="chain of 11 certificates, limit 10"):
        identity_from_certificates(many, keys[1024])


def test_a_file_as_the_reference_text_shows_it_is_read(chain: tuple[Certificate, ...], other_key: PrivateKey) -> None:
    """Headings between the blocks, all line breaks turned into blanks, PKCS#1 bytes under either label."""
    for label in ("RSA PRIVATE KEY", "PRIVATE KEY"):
        headings = ("Device certificate", "Intermediate CA certificate", "Root CA certificate")
        text = f"Device private key {pem_from_der(other_key.pkcs1(), label)}" + "".join(
            f"{heading} {certificate.pem()}" for heading, certificate in zip(headings, chain, strict=True)
        )
        for form in (text, text.replace("\n", " "), text.replace("\n", "\r\n")):
            identity = identity_from_file(form.encode())
            assert identity.chain == chain
            assert identity.key == other_key


def test_a_file_without_its_key_is_refused(chain: tuple[Certificate, ...]) -> None:
    with pytest.raises(CertificateError, match="no private key found"):
        identity_from_file("".join(certificate.pem() for certificate in chain).encode())
