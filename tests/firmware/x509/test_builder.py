"""Certificates that are made: read back by ours and by another implementation, for every size, hash and version."""

from __future__ import annotations

import datetime
import ipaddress
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from firmware.errors import CertificateError
from firmware.x509 import (
    Certificate,
    CertificateOrder,
    DistinguishedName,
    PrivateKey,
    extension,
    issued_certificate,
    root_certificate,
    self_signed_certificate,
)
from firmware.x509.builder import CertificateTemplate, issue, random_serial
from firmware.x509.oid import HASHES, SIGNATURE_OF_HASH
from firmware.x509.timestamp import seconds_after_years

Keys = Mapping[int, PrivateKey]


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("bits", [1024, 2048, 4096])
def test_a_self_signed_certificate_says_what_was_ordered(
    keys: Keys, order: CertificateOrder, now_s: int, bits: int, hash_name: str
) -> None:
    order = replace(order, key_bits=bits, hash_name=hash_name)
    ours = self_signed_certificate(order, keys[bits], now_s, random.Random(1))
    theirs = x509.load_der_x509_certificate(ours.der)
    assert theirs.subject.rfc4514_string() == ours.subject.text == r"CN=IP800-06-11-ac,O=Example\, Inc.,C=DE"
    assert theirs.issuer == theirs.subject
    assert theirs.serial_number == ours.serial
    assert theirs.version == x509.Version.v3
    assert theirs.not_valid_before_utc == datetime.datetime(2027, 1, 15, 8, tzinfo=datetime.UTC)
    assert theirs.not_valid_after_utc == datetime.datetime(2037, 1, 15, 8, tzinfo=datetime.UTC)
    assert theirs.signature_algorithm_oid.dotted_string == SIGNATURE_OF_HASH[hash_name]
    assert theirs.tbs_certificate_bytes == ours.tbs
    assert ours.key_bits == bits
    assert ours.signature_hash == hash_name
    assert ours.is_self_signed
    assert not ours.is_ca
    if hash_name not in ("md5", "sha1"):  # which that implementation refuses to check
        theirs.verify_directly_issued_by(theirs)


def test_a_device_certificate_carries_all_six_extensions(keys: Keys, order: CertificateOrder, now_s: int) -> None:
    ours = self_signed_certificate(order, keys[1024], now_s, random.Random(1))
    found = x509.load_der_x509_certificate(ours.der).extensions
    basic = found.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca) == (False, False)
    usage = found.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment
    assert not usage.key_cert_sign
    purposes = found.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gw.example.com"]
    addresses = [ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")]
    assert names.get_values_for_type(x509.IPAddress) == addresses
    public = serialization.load_der_public_key(keys[1024].spki())
    key_id = x509.SubjectKeyIdentifier.from_public_key(public).digest  # type: ignore[arg-type]
    assert found.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest == key_id
    assert found.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == key_id
    assert ours.values.unsupported_critical == ()


def test_without_names_there_is_no_subject_alt_name(keys: Keys, order: CertificateOrder, now_s: int) -> None:
    plain = replace(order, dns_names=(), ip_addresses=())
    made = self_signed_certificate(plain, keys[1024], now_s, random.Random(1))
    assert made.values.find("2.5.29.17") is None


def test_a_root_certificate_is_a_ca_and_says_so_critically(keys: Keys, order: CertificateOrder, now_s: int) -> None:
    ours = root_certificate(order, keys[2048], now_s, random.Random(1))
    found = x509.load_der_x509_certificate(ours.der).extensions
    basic, usage = found.get_extension_for_class(x509.BasicConstraints), found.get_extension_for_class(x509.KeyUsage)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, None)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    assert ours.is_ca
    assert ours.is_self_signed
    assert len(ours.values.extensions) == 3


def test_a_certificate_from_a_ca_names_it_and_carries_its_signature(
    keys: Keys, order: CertificateOrder, now_s: int
) -> None:
    ca_order = CertificateOrder(DistinguishedName(common_name="Root"), hash_name="sha512")
    ca = root_certificate(ca_order, keys[2048], now_s, random.Random(1))
    made = issued_certificate(replace(order, hash_name="sha1"), keys[1024].public_key, ca, keys[2048], 0xA1, now_s)
    assert made.issuer == ca.subject
    assert made.serial == 0xA1
    assert made.signature_hash == "sha1"
    assert made.is_signed_by(ca.public_key)
    assert not made.is_self_issued
    assert not made.is_self_signed
    assert made.public_key == keys[1024].public_key
    assert made.values.authority_key is not None
    assert made.values.authority_key.key_id == ca.values.subject_key_id


def test_the_authority_key_identifier_is_the_ca_s_own_word_for_its_key(
    keys: Keys, order: CertificateOrder, template: CertificateTemplate, now_s: int
) -> None:
    extensions = (extension.basic_constraints(ca=True), extension.subject_key_identifier(b"mine"))
    ca = issue(replace(template, extensions=extensions), keys[1024])
    made = issued_certificate(order, keys[2048].public_key, ca, keys[1024], 2, now_s)
    assert made.values.authority_key is not None
    assert made.values.authority_key.key_id == b"mine"


def test_an_issued_certificate_ends_no_later_than_its_ca(
    keys: Keys, order: CertificateOrder, root: Certificate, now_s: int
) -> None:
    public = keys[1024].public_key
    assert issued_certificate(order, public, root, keys[1024], 2, now_s).not_after == root.not_after
    long_lived = root_certificate(replace(order, years=20), keys[1024], now_s, random.Random(1))
    made = issued_certificate(replace(order, years=2), public, long_lived, keys[1024], 3, now_s)
    assert made.not_after == seconds_after_years(now_s, 2) < long_lived.not_after


def test_a_ca_that_is_none_or_another_s_or_out_of_date_issues_nothing(
    keys: Keys, order: CertificateOrder, root: Certificate, now_s: int
) -> None:
    public = keys[1024].public_key
    with pytest.raises(CertificateError, match="not the one of CA CN=Test Root"):
        issued_certificate(order, public, root, keys[2048], 2, now_s)
    with pytest.raises(CertificateError, match="CN=Test Root is not yet valid"):
        issued_certificate(order, public, root, keys[1024], 2, 0)
    with pytest.raises(CertificateError, match="CN=Test Root is expired"):
        issued_certificate(order, public, root, keys[1024], 2, now_s + 1001)
    device = self_signed_certificate(order, keys[1024], now_s, random.Random(1))
    with pytest.raises(CertificateError, match="is not a CA certificate"):
        issued_certificate(order, public, device, keys[1024], 2, now_s)


def test_both_extensions_must_say_that_a_ca_is_one(
    keys: Keys, order: CertificateOrder, template: CertificateTemplate, now_s: int
) -> None:
    ca, signs, other = (
        extension.basic_constraints(ca=True),
        extension.key_usage("keyCertSign"),
        extension.key_usage("cRLSign"),
    )
    for extensions, fit in (((signs,), False), ((ca, other), False), ((ca,), True), ((ca, signs), True)):
        authority = issue(replace(template, extensions=extensions), keys[1024])
        try:
            made = issued_certificate(order, keys[2048].public_key, authority, keys[1024], 2, now_s)
        except CertificateError:
            assert not fit
        else:
            assert fit
            assert made.is_signed_by(keys[1024].public_key)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_all_three_versions_can_be_made(template: CertificateTemplate, keys: Keys, version: int) -> None:
    made = issue(replace(template, version=version, extensions=()), keys[1024])
    assert made.version == version
    assert made.is_self_signed
    assert made.values.extensions == ()


def test_older_versions_have_no_extensions_and_there_is_no_fourth(template: CertificateTemplate) -> None:
    with pytest.raises(CertificateError, match="version 1 cannot have extensions"):
        replace(template, version=1).tbs()
    with pytest.raises(CertificateError, match="version 4, possible are 1 to 3"):
        replace(template, version=4).tbs()


@pytest.mark.parametrize("serial", [0, -1, 1 << 159])
def test_serial_numbers_are_positive_and_have_20_octets_at_most(template: CertificateTemplate, serial: int) -> None:
    with pytest.raises(CertificateError, match="serial number"):
        replace(template, serial=serial).tbs()
    assert replace(template, serial=(1 << 159) - 1).tbs()


def test_random_serial_numbers_are_positive_long_and_different() -> None:
    source = random.Random(1)
    serials = {random_serial(source) for _ in range(200)}
    assert len(serials) == 200
    assert {serial.bit_length() for serial in serials} == {127}


@pytest.mark.parametrize("years", [1, 30])
def test_the_end_of_validity_goes_beyond_2049_where_it_must(
    keys: Keys, order: CertificateOrder, now_s: int, years: int
) -> None:
    made = self_signed_certificate(replace(order, years=years), keys[1024], now_s, random.Random(1))
    theirs = x509.load_der_x509_certificate(made.der)
    assert theirs.not_valid_after_utc.year == 2027 + years


def test_a_certificate_made_before_the_clock_is_set_starts_in_1970(keys: Keys, order: CertificateOrder) -> None:
    made = self_signed_certificate(order, keys[1024], 0, random.Random(1))
    assert (made.not_before, made.not_after) == (0, 315_532_800)
    assert not made.is_valid_at(1_800_000_000)


def test_the_same_draws_give_the_same_certificate(keys: Keys, order: CertificateOrder, now_s: int) -> None:
    made = [self_signed_certificate(order, keys[1024], now_s, random.Random(seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
