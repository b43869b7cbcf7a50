"""Keys: encodings in all their forms, signatures against another implementation, damaged numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from firmware.errors import CertificateError
from firmware.x509 import PrivateKey, PublicKey, der, pem_from_der, private_key_from_der, private_key_from_file
from firmware.x509.key import public_key_from_spki
from firmware.x509.oid import HASHES

Keys = Mapping[int, PrivateKey]


@pytest.mark.parametrize("bits", [1024, 2048, 4096])
def test_both_encodings_are_read_by_another_implementation_and_by_ours(keys: Keys, bits: int) -> None:
    key = keys[bits]
    for encoded in (key.der(), key.pkcs1()):
        theirs = serialization.load_der_private_key(encoded, None)
        assert isinstance(theirs, rsa.RSAPrivateKey)
        assert theirs.private_numbers().d == key.private_exponent
        assert theirs.key_size == bits
        assert private_key_from_der(encoded) == key


def test_encodings_are_byte_for_byte_those_of_another_implementation(keys: Keys) -> None:
    theirs = serialization.load_der_private_key(keys[1024].der(), None)
    unencrypted = serialization.NoEncryption()
    der_form, formats = serialization.Encoding.DER, serialization.PrivateFormat
    assert theirs.private_bytes(der_form, formats.PKCS8, unencrypted) == keys[1024].der()
    assert theirs.private_bytes(der_form, formats.TraditionalOpenSSL, unencrypted) == keys[1024].pkcs1()
    spki = theirs.public_key().public_bytes(der_form, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert spki == keys[1024].spki()


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY"])
@pytest.mark.parametrize("form", ["pkcs1", "pkcs8"])
@pytest.mark.parametrize("joint", ["\n", " "])
def test_a_key_is_read_whatever_its_label_says(keys: Keys, label: str, form: str, joint: str) -> None:
    encoded = keys[1024].pkcs1() if form == "pkcs1" else keys[1024].der()
    text = "Device private key " + pem_from_der(encoded, label).replace("\n", joint)
    assert private_key_from_file(text.encode()) == keys[1024]


def test_der_files_and_the_same_key_twice_are_read_and_two_keys_are_not(keys: Keys, other_key: PrivateKey) -> None:
    assert private_key_from_file(keys[1024].der()) == keys[1024]
    assert private_key_from_file((keys[1024].pem() * 2).encode()) == keys[1024]
    with pytest.raises(CertificateError, match="2 private keys found, 1 expected"):
        private_key_from_file((keys[1024].pem() + other_key.pem()).encode())
    with pytest.raises(CertificateError, match="no private key found"):
        private_key_from_file(b"nothing")


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("bits", [1024, 2048, 4096])
def test_signatures_of_every_hash_verify_here_and_elsewhere(keys: Keys, bits: int, hash_name: str) -> None:
    key, data = keys[bits], b"to be signed"
    signature = key.sign(hash_name, data)
    assert len(signature) == bits // 8
    assert key.public_key.verify(hash_name, data, signature)
    theirs = serialization.load_der_public_key(key.spki())
    assert isinstance(theirs, rsa.RSAPublicKey)
    theirs.verify(signature, data, padding.PKCS1v15(), getattr(hashes, hash_name.upper())())


def test_other_data_hash_key_or_length_does_not_verify(keys: Keys, other_key: PrivateKey) -> None:
    public, signature = keys[1024].public_key, keys[1024].sign("sha256", b"data")
    assert not public.verify("sha256", b"dat", signature)
    assert not public.verify("sha1", b"data", signature)
    assert not other_key.public_key.verify("sha256", b"data", signature)
    assert not public.verify("sha256", b"data", signature[1:])
    assert not public.verify("sha256", b"data", b"")
    assert not public.verify("sha256", b"data", bytes([signature[0] ^ 1]) + signature[1:])


@pytest.mark.parametrize("modulus", [1, 2, 15, 1 << 1023, (1 << 9000) - 1])
@pytest.mark.parametrize("exponent", [1, 2, 3, (1 << 80) + 1])
def test_senseless_public_keys_verify_nothing(modulus: int, exponent: int) -> None:
    assert not PublicKey(modulus, exponent).verify("sha256", b"data", bytes(128))


def forged(size_bytes: int) -> tuple[PublicKey, bytes]:
    """A key made for one signature of b"data": n = s**3 - EM, so s**3 = EM modulo n (EM as in RFC 8017 9.2)."""
    digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(b"data").digest()
    encoded = int.from_bytes(b"\x00\x01" + b"\xff" * (size_bytes - 3 - len(digest)) + b"\x00" + digest, "big")
    root = 0
    for bit in reversed(range(8 * size_bytes // 3 + 1)):
        if (root | 1 << bit) ** 3 < 1 << 8 * size_bytes:
            root |= 1 << bit
    root -= (root ^ encoded ^ 1) & 1  # n must be odd
    return PublicKey(root**3 - encoded, 3), root.to_bytes(size_bytes, "big")


def test_keys_beyond_the_limit_verify_nothing_however_right_the_signature_is() -> None:
    key, signature = forged(1024)
    assert key.bits == 8192
    assert key.verify("sha256", b"data", signature)
    key, signature = forged(1025)
    assert key.bits == 8200
    assert not key.verify("sha256", b"data", signature)


def test_an_unknown_hash_is_an_error(keys: Keys) -> None:
    with pytest.raises(CertificateError, match="hash 'sha3' is none of md5, sha1"):
        keys[1024].sign("sha3", b"")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(PrivateKey)])
@pytest.mark.parametrize("change", [1, 2, -1])
def test_a_key_with_one_wrong_number_is_refused(keys: Keys, field: str, change: int) -> None:
    wrong = dataclasses.replace(keys[1024], **{field: getattr(keys[1024], field) + change})
    with pytest.raises(CertificateError, match="numbers do not belong together"):
        private_key_from_der(wrong.pkcs1())


def test_numbers_that_agree_over_a_composite_are_refused(keys: Keys) -> None:
    q = keys[1024].prime2
    p = (3 << 510) + 3
    assert p % 3 == 0
    d = pow(65537, -1, math.lcm(p - 1, q - 1))
    key = PrivateKey(p * q, 65537, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    assert key.bits == 1024
    with pytest.raises(CertificateError, match="numbers do not belong together"):
        private_key_from_der(key.der())


@pytest.mark.parametrize("bits", [512, 768])
def test_keys_that_are_too_short_are_refused_with_the_limits(bits: int) -> None:
    numbers = [0, 1 << (bits - 1), *[3] * 7]
    with pytest.raises(CertificateError, match=f"private key of {bits} bits, limits 1024 and 4096"):
        private_key_from_der(der.sequence(*map(der.integer, numbers)))


def test_encrypted_and_foreign_keys_are_refused_with_the_reason(keys: Keys) -> None:
    theirs = serialization.load_der_private_key(keys[1024].der(), None)
    password = serialization.BestAvailableEncryption(b"x")
    encrypted = theirs.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, password)
    with pytest.raises(CertificateError, match="encrypted"):
        private_key_from_der(encrypted)
    elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(CertificateError, match="not an RSA key"):
        private_key_from_der(elliptic)


def test_what_is_wrong_with_a_key_file_is_said_whatever_its_label(keys: Keys) -> None:
    files = {
        "is encrypted": ("ENCRYPTED PRIVATE KEY", der.sequence(der.sequence(), der.octet_string(b""))),
        "not an RSA key": ("EC PRIVATE KEY", der.sequence(der.integer(1), der.octet_string(b""))),
        "more than two primes": ("RSA PRIVATE KEY", der.sequence(der.integer(1), der.integer(5))),
        "this is no private key": ("PRIVATE KEY", keys[1024].spki()),
    }
    for reason, (label, encoded) in files.items():
        with pytest.raises(CertificateError, match=reason):
            private_key_from_file(pem_from_der(encoded, label).encode())
    with pytest.raises(CertificateError, match="this is no private key"):
        private_key_from_der(der.sequence(der.integer(keys[1024].modulus), der.integer(3)))


def test_a_public_key_reads_back_and_a_foreign_one_is_none(keys: Keys) -> None:
    assert public_key_from_spki(keys[1024].spki()) == keys[1024].public_key
    elliptic = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = elliptic.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert public_key_from_spki(spki) is None


def test_the_private_numbers_do_not_show_in_a_representation(keys: Keys) -> None:
    text = repr(keys[1024])
    assert text.startswith("<PrivateKey of 1024 bits")
    assert str(keys[1024].prime1) not in text


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_one_error(data: bytes) -> None:
    for read in (private_key_from_der, public_key_from_spki):
        with pytest.raises(CertificateError):
            read(data)
        with pytest.raises(CertificateError):
            read(der.tagged(0x30, data))
