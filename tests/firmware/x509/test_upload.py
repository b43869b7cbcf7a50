"""What is read out of uploads, and what is said of those that cannot be used."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

from firmware.errors import CertificateError
from firmware.x509 import Certificate, PrivateKey
from firmware.x509.upload import upload_from_text


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_pem_and_base64_of_der_say_the_same(root: Certificate, keys: Mapping[int, PrivateKey]) -> None:
    key = keys[1024]
    from_pem = upload_from_text(root.pem() + key.pem())
    for ders in ((root.der, key.der()), (key.pkcs1(), root.der)):
        assert upload_from_text("\n".join(map(b64, ders))) == from_pem
        assert upload_from_text(b64(b"".join(ders))) == from_pem
    assert from_pem.certificates == (root,)
    assert from_pem.key == key


def test_base64_may_be_folded_anywhere_and_bear_a_byte_order_mark(root: Certificate) -> None:
    text = b64(root.der)
    for width in (1, 7, 64, 76):
        folded = "\r\n".join(text[start : start + width] for start in range(0, len(text), width))
        assert upload_from_text("\ufeff  " + folded).certificates == (root,)


def test_a_key_is_left_unread_where_none_is_wanted(root: Certificate) -> None:
    broken = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
    assert upload_from_text(broken + root.pem(), with_key=False).key is None
    with pytest.raises(CertificateError):
        upload_from_text(broken + root.pem())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 characters that are neither PEM nor base64"),
        ("not base64!", "neither PEM nor base64"),
        ("AAAA", "3 bytes in base64 that are no certificate"),
        ("MAA=", "certificate"),
        ("MA", "neither PEM nor base64"),
        ("A" * 262_145, "upload of 262145 characters, limit 262144"),
    ],
)
def test_what_is_no_certificate_is_said_so_in_one_line(text: str, message: str) -> None:
    with pytest.raises(CertificateError, match=message) as caught:
        upload_from_text(text)
    assert "\n" not in str(caught.value)


def test_two_keys_are_one_too_many(root: Certificate, keys: Mapping[int, PrivateKey], other_key: PrivateKey) -> None:
    with pytest.raises(CertificateError, match="2 private keys found, 1 expected"):
        upload_from_text(b64(root.der + keys[1024].der() + other_key.der()))
    assert upload_from_text(root.pem() + other_key.pem() * 2).key == other_key


def test_a_key_without_a_certificate_is_no_upload(other_key: PrivateKey) -> None:
    for text in (b64(other_key.der()), other_key.pem()):
        with pytest.raises(CertificateError, match="no certificate found"):
            upload_from_text(text)
