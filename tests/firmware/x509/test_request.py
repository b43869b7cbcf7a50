"""Signing requests: made for every size and hash, read back here and elsewhere, damaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from firmware.errors import CertificateError
from firmware.x509 import (
    CertificateOrder,
    PrivateKey,
    der,
    pem_from_der,
    request_from_der,
    request_from_file,
    request_text,
    request_view,
    signing_request,
)
from firmware.x509.builder import signature_algorithm
from firmware.x509.oid import HASHES

Keys = Mapping[int, PrivateKey]


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("bits", [1024, 2048, 4096])
def test_a_request_says_what_was_ordered(keys: Keys, order: CertificateOrder, bits: int, hash_name: str) -> None:
    made = signing_request(replace(order, hash_name=hash_name), keys[bits])
    theirs = x509.load_der_x509_csr(made.der)
    assert theirs.subject.rfc4514_string() == made.subject.text
    assert theirs.tbs_certrequest_bytes == made.info
    assert made.algorithm.hash_name == hash_name
    assert made.key_bits == bits
    assert made.is_signature_valid()
    if hash_name not in ("md5", "sha1"):  # which that implementation calls invalid without looking
        assert theirs.is_signature_valid
    names = theirs.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gw.example.com"]
    usage = theirs.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment
    assert len(theirs.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == 2


def test_a_changed_request_does_not_verify(keys: Keys, order: CertificateOrder) -> None:
    made = signing_request(order, keys[1024])
    assert not request_from_der(made.der.replace(b"IP800", b"IP305")).is_signature_valid()


def test_files_of_every_kind_are_read(keys: Keys, order: CertificateOrder) -> None:
    made = signing_request(order, keys[1024])
    for data in (made.der, made.pem().encode(), pem_from_der(made.der, "NEW CERTIFICATE REQUEST").encode()):
        assert request_from_file(data) == made
    with pytest.raises(CertificateError, match="no signing request found"):
        request_from_file(pem_from_der(made.der).encode())
    with pytest.raises(CertificateError, match="2 signing requests found"):
        request_from_file((made.pem() * 2).encode())


def request_with(keys: Keys, order: CertificateOrder, *behind_key: bytes, version: int = 0) -> bytes:
    info = der.sequence(der.integer(version), order.subject.name().raw, keys[1024].spki(), *behind_key)
    signature = der.bit_string(keys[1024].sign("sha256", info))
    return der.sequence(info, signature_algorithm("sha256"), signature)


def attribute(dotted: str, *values: bytes) -> bytes:
    return der.sequence(der.object_identifier(dotted), der.set_of(values))


EXTENSIONS = der.sequence(der.sequence(der.object_identifier("1.2.3"), der.octet_string(b"")))


def test_requests_without_attributes_with_unknown_ones_and_from_windows_are_read(
    keys: Keys, order: CertificateOrder
) -> None:
    assert request_from_der(request_with(keys, order)).values.extensions == ()
    assert request_from_der(request_with(keys, order, der.context(0, b""))).is_signature_valid()
    unknown = attribute("1.2.840.113549.1.9.7", der.tagged(0x0C, b"challenge"))
    windows = attribute("1.3.6.1.4.1.311.2.1.14", EXTENSIONS)
    request = request_from_der(request_with(keys, order, der.context(0, unknown + windows)))
    assert [extension.oid for extension in request.values.extensions] == ["1.2.3"]


def test_another_version_two_extension_requests_and_size_are_refused(keys: Keys, order: CertificateOrder) -> None:
    with pytest.raises(CertificateError, match="version field 1 instead of 0"):
        request_from_der(request_with(keys, order, version=1))
    twice = attribute("1.2.840.113549.1.9.14", EXTENSIONS) * 2
    with pytest.raises(CertificateError, match="twice"):
        request_from_der(request_with(keys, order, der.context(0, twice)))
    with pytest.raises(CertificateError, match="limit 16384"):
        request_from_der(der.sequence(bytes(20_000)))


def test_a_request_is_shown_as_json_and_as_text(keys: Keys, order: CertificateOrder) -> None:
    made = signing_request(order, keys[1024])
    view = request_view(made)
    assert view["subject"] == r"CN=IP800-06-11-ac,O=Example\, Inc.,C=DE"
    assert view["san"] == ["DNS:gw.example.com", "IP:192.0.2.1", "IP:2001:db8::1"]
    assert (view["key_bits"], view["signature"], view["version"]) == (1024, "sha256WithRSAEncryption", 1)
    assert "RSA 1024-bit" in request_text(made)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_one_error(data: bytes) -> None:
    for encoded in (data, der.sequence(der.sequence(data), signature_algorithm("md5"), der.bit_string(b""))):
        with pytest.raises(CertificateError):
            request_from_der(encoded)
