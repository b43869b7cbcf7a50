"""What machines and people see of a certificate."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping

import pytest

from firmware.x509 import CertificateOrder, PrivateKey, certificate_text, certificate_view, self_signed_certificate
from firmware.x509.view import serial_text


def test_the_json_object_has_exactly_the_keys_that_are_promised(
    keys: Mapping[int, PrivateKey], order: CertificateOrder, now_s: int
) -> None:
    certificate = self_signed_certificate(order, keys[1024], now_s, random.Random(1))
    view = json.loads(json.dumps(certificate_view(certificate, now_s)))
    assert view == {
        "subject": r"CN=IP800-06-11-ac,O=Example\, Inc.,C=DE",
        "issuer": r"CN=IP800-06-11-ac,O=Example\, Inc.,C=DE",
        "serial": f"{certificate.serial:X}",
        "not_before": "2027-01-15T08:00:00Z",
        "not_after": "2037-01-15T08:00:00Z",
        "key_bits": 1024,
        "signature": "sha256WithRSAEncryption",
        "version": 3,
        "san": ["DNS:gw.example.com", "IP:192.0.2.1", "IP:2001:db8::1"],
        "sha1": hashlib.sha1(certificate.der).hexdigest(),
        "md5": hashlib.md5(certificate.der).hexdigest(),
        "sha256": hashlib.sha256(certificate.der).hexdigest(),
        "ca": False,
        "valid": True,
        "self_signed": True,
    }
    assert certificate_view(certificate, 0)["valid"] is False


@pytest.mark.parametrize(("serial", "text"), [(0, "00"), (1, "01"), (0x10, "10"), (0xABC, "0ABC"), (-1, "-01")])
def test_serial_numbers_are_shown_in_whole_octets(serial: int, text: str) -> None:
    assert serial_text(serial) == text


def test_the_text_shows_the_fingerprints_in_pairs_and_marks_what_is_out_of_date(
    keys: Mapping[int, PrivateKey], order: CertificateOrder, now_s: int
) -> None:
    certificate = self_signed_certificate(order, keys[1024], now_s, random.Random(1))
    text = certificate_text(certificate, now_s)
    for name in ("sha1", "md5", "sha256"):
        assert hashlib.new(name, certificate.der).digest().hex(":").upper() in text
    assert "(" not in text.splitlines()[5]
    assert "(not yet valid)" in certificate_text(certificate, 0)
    assert "(expired)" in certificate_text(certificate, 1 << 40)
    assert max(map(len, text.splitlines())) < 140
