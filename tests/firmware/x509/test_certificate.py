"""Certificates that are read: everything kept, nothing judged, every damage one error."""

from __future__ import annotations

import datetime
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.errors import CertificateError
from firmware.x509 import (
    Certificate,
    DistinguishedName,
    PrivateKey,
    certificate_from_der,
    certificate_text,
    certificate_view,
    certificates_from_file,
    certificates_from_pem,
    der,
    extension,
    pem_from_der,
)
from firmware.x509.builder import CertificateTemplate, issue, signature_algorithm

Keys = Mapping[int, PrivateKey]
NULL = b"\x05\x00"


def signed(tbs: bytes, key: PrivateKey, algorithm: bytes | None = None) -> bytes:
    algorithm = algorithm or signature_algorithm("sha256")
    return der.sequence(tbs, algorithm, der.bit_string(key.sign("sha256", tbs)))


def test_raw_slices_are_those_of_the_input(root: Certificate) -> None:
    assert root.der.find(root.tbs) == 4
    assert root.spki in root.tbs
    assert root.subject.raw in root.tbs
    assert root.algorithm.raw == root.tbs_algorithm.raw == signature_algorithm("sha256")
    assert [e.raw in root.tbs for e in root.values.extensions] == [True] * 3
    assert [(e.name, e.critical) for e in root.values.extensions] == [
        ("basicConstraints", True),
        ("keyUsage", True),
        ("subjectKeyIdentifier", False),
    ]


def test_certificates_are_equal_when_their_bytes_are(root: Certificate) -> None:
    assert root == certificate_from_der(root.der)
    assert len({root, certificate_from_der(root.der)}) == 1


def test_both_ends_of_the_validity_belong_to_it(root: Certificate) -> None:
    assert root.is_valid_at(root.not_before)
    assert root.is_valid_at(root.not_after)
    assert not root.is_valid_at(root.not_before - 1)
    assert not root.is_valid_at(root.not_after + 1)


def test_a_changed_byte_of_the_signed_part_breaks_the_signature(root: Certificate) -> None:
    assert root.is_self_signed
    changed = certificate_from_der(root.der.replace(b"Test Root", b"Best Root"))
    assert changed.is_self_issued
    assert not changed.is_self_signed


def test_a_signature_of_odd_bits_is_read_and_verifies_for_nobody(root: Certificate) -> None:
    position = root.der.rindex(root.signature) - 1
    assert root.der[position] == 0
    odd = certificate_from_der(root.der[:position] + b"\x04" + root.der[position + 1 :])
    assert odd.signature == b""
    assert not odd.is_self_signed


@pytest.mark.parametrize("serial", [b"\x00", b"\xff", b"\x80\x00", b"\x00\x01", b"\x7f" * 40])
def test_serial_numbers_of_all_sorts_are_read(template: CertificateTemplate, keys: Keys, serial: bytes) -> None:
    content = der.Reader(template.tbs(), "tbs").take().content
    version, one = der.context(0, der.integer(2)), der.integer(1)
    assert content.startswith(version + one)
    tbs = der.sequence(version, der.tagged(der.INTEGER, serial), content.removeprefix(version + one))
    certificate = certificate_from_der(signed(tbs, keys[1024]))
    assert certificate.serial == int.from_bytes(serial, "big", signed=True)
    assert certificate.is_self_signed


@pytest.mark.parametrize(
    ("algorithm", "hash_name", "name"),
    [
        (der.sequence(der.object_identifier("1.2.840.113549.1.1.11")), "sha256", "sha256WithRSAEncryption"),
        (der.sequence(der.object_identifier("1.3.14.3.2.29"), NULL), "sha1", "sha1WithRSAEncryption"),
        (der.sequence(der.object_identifier("1.2.840.113549.1.1.10"), der.sequence()), None, "1.2.840.113549.1.1.10"),
        (
            der.sequence(der.object_identifier("1.2.840.113549.1.1.11"), der.sequence()),
            None,
            "sha256WithRSAEncryption",
        ),
    ],
    ids=["no NULL", "OIW", "PSS", "odd parameters"],
)
def test_odd_signature_algorithms_are_read_and_the_unknown_verify_nothing(
    template: CertificateTemplate, keys: Keys, algorithm: bytes, hash_name: str | None, name: str
) -> None:
    certificate = certificate_from_der(signed(template.tbs(), keys[1024], algorithm))
    assert certificate.signature_hash == hash_name
    assert certificate.algorithm.name == name
    assert certificate.algorithm.raw != certificate.tbs_algorithm.raw
    assert certificate.is_self_signed == (hash_name == "sha256")


def test_a_certificate_with_another_kind_of_key_is_read_and_shown() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "elliptic")])
    start = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 5, start, start + datetime.timedelta(days=1))
    certificate = certificate_from_der(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
    assert certificate.public_key is None
    assert certificate.key_bits == 0
    assert certificate.signature_hash is None
    assert not certificate.is_self_signed
    assert "not an RSA key" in certificate_text(certificate, 0)
    assert certificate_view(certificate, 0)["key_bits"] == 0


def test_unique_identifiers_of_version_2_are_passed_over(template: CertificateTemplate, keys: Keys) -> None:
    plain = replace(template, version=2, extensions=()).tbs()
    tbs = der.sequence(der.Reader(plain, "tbs").take().content, der.context(1, b"\x00\x01", constructed=False))
    assert certificate_from_der(signed(tbs, keys[1024])).version == 2


def test_a_certificate_with_its_own_signature_and_another_issuer_s_name_is_not_self_signed(
    template: CertificateTemplate, keys: Keys
) -> None:
    certificate = issue(replace(template, issuer=DistinguishedName(common_name="Another").name()), keys[1024])
    assert certificate.is_signed_by(certificate.public_key)
    assert not certificate.is_self_signed


def test_a_fourth_version_is_refused(template: CertificateTemplate, keys: Keys) -> None:
    tbs = template.tbs().replace(der.context(0, der.integer(2)), der.context(0, der.integer(3)), 1)
    with pytest.raises(CertificateError, match="version field 3, known are 0 to 2"):
        certificate_from_der(signed(tbs, keys[1024]))


def with_extensions(template: CertificateTemplate, keys: Keys, *extensions: bytes) -> Certificate:
    return issue(replace(template, extensions=extensions), keys[1024])


def unknown(critical: bool) -> bytes:
    flag = der.boolean(True) if critical else b""
    return der.sequence(der.object_identifier("1.2.3.4"), flag, der.octet_string(b"\x05\x00"))


def test_unknown_extensions_are_kept_and_the_critical_ones_named(template: CertificateTemplate, keys: Keys) -> None:
    certificate = with_extensions(template, keys, unknown(False))
    assert certificate.values.unsupported_critical == ()
    assert certificate.values.extensions[0].value == NULL
    certificate = with_extensions(template, keys, unknown(True))
    assert [e.oid for e in certificate.values.unsupported_critical] == ["1.2.3.4"]
    assert "1.2.3.4 (critical):" in certificate_text(certificate, 0)


def test_an_extension_that_occurs_twice_is_refused(template: CertificateTemplate, keys: Keys) -> None:
    with pytest.raises(CertificateError, match=r"extension 1\.2\.3\.4 occurs twice"):
        with_extensions(template, keys, unknown(False), unknown(True))


def raw_extension(dotted: str, value: bytes) -> bytes:
    return der.sequence(der.object_identifier(dotted), der.octet_string(value))


@pytest.mark.parametrize(
    ("dotted", "value", "reason"),
    [
        ("2.5.29.19", b"", "basicConstraints: ends too early"),
        ("2.5.29.19", der.sequence(der.boolean(True), der.integer(-1)), "negative"),
        ("2.5.29.19", der.sequence() + b"\x00", "too many"),
        ("2.5.29.15", der.sequence(), "keyUsage: expected tag 03"),
        ("2.5.29.37", der.sequence(), "extKeyUsage: ends too early"),
        ("2.5.29.17", der.sequence(der.context(7, b"abc", constructed=False)), "IP address of 3 bytes"),
        ("2.5.29.17", der.sequence(*[der.context(2, b"a", constructed=False)] * 257), "more than 256 names"),
        ("2.5.29.14", b"\x30\x00", "subjectKeyIdentifier: expected tag 04"),
        ("2.5.29.35", der.sequence(der.integer(1)), "authorityKeyIdentifier: 3 bytes too many"),
    ],
)
def test_a_malformed_extension_of_the_six_is_refused(
    template: CertificateTemplate, keys: Keys, dotted: str, value: bytes, reason: str
) -> None:
    with pytest.raises(CertificateError, match=reason):
        with_extensions(template, keys, raw_extension(dotted, value))


def test_alternative_names_of_every_kind_are_shown(template: CertificateTemplate, keys: Keys) -> None:
    directory = template.subject.raw
    names = [
        der.context(1, b"a@b.example", constructed=False),
        der.context(2, b"gw\x1b.example", constructed=False),
        der.context(4, directory),
        der.context(6, b"sip:a@b.example", constructed=False),
        der.context(7, bytes([192, 0, 2, 1]), constructed=False),
        der.context(8, b"\x2a\x03", constructed=False),
        der.context(0, b""),
    ]
    certificate = with_extensions(template, keys, raw_extension("2.5.29.17", der.sequence(*names)))
    assert list(map(str, certificate.values.subject_alt_names)) == [
        "email:a@b.example",
        r"DNS:gw\1B.example",
        "dirName:CN=Test Root",
        "URI:sip:a@b.example",
        "IP:192.0.2.1",
        "RID:1.2.3",
        "other:",
    ]
    assert certificate.values.dns_names == (r"gw\1B.example",)
    assert certificate.values.ip_addresses == ("192.0.2.1",)


def test_defaults_that_are_written_out_are_read(template: CertificateTemplate, keys: Keys) -> None:
    certificate = with_extensions(
        template, keys, raw_extension("2.5.29.19", der.sequence(der.boolean(False))), extension.key_usage()
    )
    assert certificate.values.basic_constraints == (False, None)
    assert certificate.values.key_usage == frozenset()


def test_an_authority_key_with_issuer_and_serial_is_read(template: CertificateTemplate, keys: Keys) -> None:
    value = der.sequence(
        der.context(0, b"key", constructed=False),
        der.context(1, der.context(4, template.subject.raw)),
        der.context(2, b"\x07", constructed=False),
    )
    authority = with_extensions(template, keys, raw_extension("2.5.29.35", value)).values.authority_key
    assert authority is not None
    assert (authority.key_id, authority.serial) == (b"key", 7)
    assert authority.issuers[0].text == "CN=Test Root"


def test_files_of_every_kind_are_read(root: Certificate) -> None:
    assert certificates_from_file(root.der) == [root]
    assert certificates_from_file(root.pem().encode()) == [root]
    text = f"0 text\n{pem_from_der(root.der, 'X509 CERTIFICATE')} {pem_from_der(b'x', 'PRIVATE KEY')} {root.pem()}"
    assert certificates_from_file(text.encode()) == [root, root]
    trusted = pem_from_der(root.der + der.sequence(), "TRUSTED CERTIFICATE")
    assert certificates_from_pem(trusted) == [root]


def test_files_without_a_certificate_or_with_a_bad_one_are_refused(root: Certificate) -> None:
    with pytest.raises(CertificateError, match="no certificate found in 5 characters"):
        certificates_from_file(b"hello")
    with pytest.raises(CertificateError, match="certificate 2 of 2: certificate: "):
        certificates_from_pem(root.pem() + pem_from_der(root.der + b"\x00"))
    with pytest.raises(CertificateError, match="limit 16384"):
        certificate_from_der(der.sequence(bytes(20_000)))
    with pytest.raises(CertificateError, match="limit 200"):
        certificates_from_pem(pem_from_der(b"x") * 201)


def test_every_truncation_is_one_error(root: Certificate) -> None:
    for size in range(len(root.der)):
        with pytest.raises(CertificateError):
            certificate_from_der(root.der[:size])


def test_deep_nesting_costs_nothing() -> None:
    nested = b""
    for _ in range(3000):
        nested = der.sequence(nested)
    with pytest.raises(CertificateError):
        certificate_from_der(nested)


def look_at(data: bytes) -> None:
    """Reads and shows; only CertificateError may come out of reading, and nothing out of showing."""
    try:
        certificate = certificate_from_der(data)
    except CertificateError as error:
        shown = str(error)
    else:
        shown = certificate_text(certificate, 0).replace("\n", "")
        assert certificate_view(certificate, 0)["sha1"] == certificate.fingerprint("sha1")
    assert shown.isprintable()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_certificate_or_one_error(data: bytes) -> None:
    look_at(data)
    look_at(der.sequence(der.sequence(data), signature_algorithm("md5"), der.bit_string(b"")))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_certificate_with_changed_bytes_is_read_or_one_error(root: Certificate, data: st.DataObject) -> None:
    changed = bytearray(root.der)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    look_at(bytes(changed))


def test_every_single_byte_of_the_frame_changed_is_read_or_one_error(root: Certificate) -> None:
    source = random.Random(1)
    for position in range(len(root.der) - 128):
        changed = bytearray(root.der)
        changed[position] ^= source.randrange(1, 256)
        look_at(bytes(changed))
