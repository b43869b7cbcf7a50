"""OpenSSL's command line as judge: whatever the device makes, it reads, verifies and goes on with."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from firmware.x509 import (
    CertificateOrder,
    DistinguishedName,
    PrivateKey,
    certificate_from_der,
    certificates_from_file,
    certificates_from_pem,
    identity_from_file,
    issued_certificate,
    key_search,
    private_key_from_file,
    request_from_file,
    root_certificate,
    self_signed_certificate,
    serial_file_from_number,
    serial_from_file,
    signing_request,
)
from firmware.x509.builder import CertificateTemplate, issue
from firmware.x509.oid import HASHES
from firmware.x509.view import serial_text

pytestmark = pytest.mark.peer("openssl")

NOW = 1_800_000_000
BITS = (1024, 2048, 4096)

OpenSsl = Callable[..., str]
Keys = Mapping[int, PrivateKey]


def drained(bits: int, seed: int) -> PrivateKey:
    search = key_search(bits, random.Random(seed))
    while True:
        try:
            next(search)
        except StopIteration as end:
            key: PrivateKey = end.value
            return key


@pytest.fixture(scope="module")
def keys() -> Keys:
    return {bits: drained(bits, bits) for bits in BITS}


@pytest.fixture
def openssl(require_program: Callable[[str], str], tmp_path: Path) -> OpenSsl:
    """Runs the program in an empty directory; gives all it prints, fails the test where it fails."""
    program = require_program("openssl")

    def run(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"
        return done.stdout + done.stderr

    return run


@pytest.fixture
def order() -> CertificateOrder:
    return CertificateOrder(
        DistinguishedName(common_name="IP800-06-11-ac", organization="Exämple", state="BW", country="DE"),
        dns_names=("gw.example.com", "*.example.com"),
        ip_addresses=("192.0.2.1", "2001:db8::1"),
    )


@pytest.fixture
def root_order() -> CertificateOrder:
    return CertificateOrder(DistinguishedName(common_name="Card Root", country="DE"), hash_name="sha256", years=20)


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("bits", BITS)
def test_every_self_signed_certificate_is_read_and_verified(
    openssl: OpenSsl, keys: Keys, order: CertificateOrder, tmp_path: Path, bits: int, hash_name: str
) -> None:
    made = self_signed_certificate(replace(order, hash_name=hash_name), keys[bits], NOW, random.Random(1))
    (tmp_path / "own.pem").write_text(made.pem())
    text = openssl("x509", "-in", "own.pem", "-noout", "-text")
    assert f"Signature Algorithm: {hash_name}WithRSAEncryption" in text
    assert f"Public-Key: ({bits} bit)" in text
    assert "DNS:gw.example.com, DNS:*.example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1" in text
    assert "Digital Signature, Key Encipherment" in text
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in text
    judged = openssl(
        *("verify", "-attime", str(NOW), "-check_ss_sig", "-x509_strict", "-auth_level", "0"),
        *("-partial_chain", "-CAfile", "own.pem", "own.pem"),
    )
    assert judged == "own.pem: OK\n"


def test_a_changed_certificate_does_not_verify(
    openssl: OpenSsl, keys: Keys, order: CertificateOrder, tmp_path: Path
) -> None:
    root = self_signed_certificate(order, keys[1024], NOW, random.Random(1))
    (tmp_path / "own.pem").write_text(certificate_from_der(root.der.replace(b"IP800", b"IP305")).pem())
    with pytest.raises(AssertionError, match="signature failure"):
        openssl("verify", "-attime", str(NOW), "-check_ss_sig", "-auth_level", "0", "-CAfile", "own.pem", "own.pem")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_is_read(
    openssl: OpenSsl, keys: Keys, order: CertificateOrder, tmp_path: Path, version: int
) -> None:
    name = order.subject.name()
    template = CertificateTemplate(name, name, keys[1024].spki(), 5, NOW, NOW + 9, version=version)
    (tmp_path / "own.der").write_bytes(issue(template, keys[1024]).der)
    text = openssl("x509", "-inform", "DER", "-in", "own.der", "-noout", "-text")
    assert f"Version: {version} ({version - 1:#x})" in text


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("bits", BITS)
def test_every_signing_request_is_read_and_verified(
    openssl: OpenSsl, keys: Keys, order: CertificateOrder, tmp_path: Path, bits: int, hash_name: str
) -> None:
    made = signing_request(replace(order, hash_name=hash_name), keys[bits])
    (tmp_path / "own.pem").write_text(made.pem())
    text = openssl("req", "-in", "own.pem", "-noout", "-text", "-verify")
    assert "self-signature verify OK" in text
    assert f"Signature Algorithm: {hash_name}WithRSAEncryption" in text
    assert f"Public-Key: ({bits} bit)" in text
    assert "Requested Extensions:" in text
    assert "Key Usage: critical" in text


@pytest.mark.parametrize("hash_name", HASHES)
def test_a_device_certificate_verifies_against_its_root_for_both_ends_of_tls(
    openssl: OpenSsl, keys: Keys, order: CertificateOrder, root_order: CertificateOrder, tmp_path: Path, hash_name: str
) -> None:
    root = root_certificate(replace(root_order, hash_name=hash_name), keys[2048], NOW, random.Random(1))
    order = replace(order, hash_name=hash_name)
    device = issued_certificate(order, keys[1024].public_key, root, keys[2048], 1, NOW)
    (tmp_path / "root.pem").write_text(root.pem())
    (tmp_path / "device.pem").write_text(device.pem())
    for purpose in ("sslserver", "sslclient"):
        judged = openssl(
            *("verify", "-attime", str(NOW + 60), "-x509_strict", "-auth_level", "0", "-purpose", purpose),
            *("-verify_hostname", "gw.example.com", "-CAfile", "root.pem", "device.pem"),
        )
        assert judged == "device.pem: OK\n"


@pytest.mark.parametrize("bits", BITS)
def test_private_keys_are_read_in_both_forms_and_checked(
    openssl: OpenSsl, keys: Keys, tmp_path: Path, bits: int
) -> None:
    (tmp_path / "key.pem").write_text(keys[bits].pem())
    (tmp_path / "key.der").write_bytes(keys[bits].pkcs1())
    assert "Key is valid" in openssl("pkey", "-in", "key.pem", "-noout", "-check")
    assert "RSA key ok" in openssl("rsa", "-inform", "DER", "-in", "key.der", "-noout", "-check")


def test_fingerprints_are_those_that_openssl_prints(
    openssl: OpenSsl, keys: Keys, order: CertificateOrder, tmp_path: Path
) -> None:
    made = self_signed_certificate(order, keys[1024], NOW, random.Random(1))
    (tmp_path / "own.pem").write_text(made.pem())
    for name in ("sha1", "md5", "sha256"):
        printed = openssl("x509", "-in", "own.pem", "-noout", "-fingerprint", f"-{name}")
        assert printed.strip().split("=")[1].replace(":", "").lower() == made.fingerprint(name)
    assert openssl("x509", "-in", "own.pem", "-noout", "-serial").strip() == f"serial={serial_text(made.serial)}"


@pytest.mark.parametrize("traditional", [True, False])
def test_keys_certificates_and_requests_from_openssl_are_read(
    openssl: OpenSsl, tmp_path: Path, traditional: bool
) -> None:
    form = ["-traditional"] if traditional else []
    openssl("genrsa", *form, "-out", "key.pem", "2048")
    openssl("req", "-new", "-key", "key.pem", "-subj", "/C=DE/O=Peer/CN=peer", "-out", "request.pem", "-md5")
    openssl("x509", "-req", "-in", "request.pem", "-key", "key.pem", "-out", "own.pem", "-days", "3", "-sha1")
    key = private_key_from_file((tmp_path / "key.pem").read_bytes())
    request = request_from_file((tmp_path / "request.pem").read_bytes())
    certificate = certificates_from_file((tmp_path / "own.pem").read_bytes())[0]
    assert key.public_key == request.public_key == certificate.public_key
    assert request.is_signature_valid()
    assert (request.algorithm.hash_name, certificate.signature_hash) == ("md5", "sha1")
    assert (certificate.version, certificate.subject.text) == (1, "CN=peer,O=Peer,C=DE")
    assert certificate.is_self_signed


def test_a_file_with_openssl_s_text_in_it_is_an_identity(
    openssl: OpenSsl, keys: Keys, order: CertificateOrder, tmp_path: Path
) -> None:
    made = self_signed_certificate(order, keys[1024], NOW, random.Random(1))
    (tmp_path / "own.pem").write_text(made.pem())
    (tmp_path / "key.pem").write_text(keys[1024].pem())
    text = openssl("x509", "-in", "own.pem", "-text") + openssl("rsa", "-in", "key.pem", "-text", "-traditional")
    assert identity_from_file(text.encode()).chain == (made,)


CA_CONFIG = """
[ my_ca_on_cf ]
certificate = CA/cacert.pem
private_key = CA/cakey.pem
serial = CA/serial.txt
database = index.txt
new_certs_dir = .
default_md = sha256
default_days = 30
policy = anything
[ anything ]
commonName = supplied
countryName = optional
"""


def test_openssl_ca_and_the_device_take_turns_with_the_card_s_files(
    openssl: OpenSsl, keys: Keys, order: CertificateOrder, root_order: CertificateOrder, tmp_path: Path
) -> None:
    root = root_certificate(root_order, keys[2048], 1_600_000_000, random.Random(1))
    card = tmp_path / "CA"
    card.mkdir()
    (card / "cacert.pem").write_text(root.pem())
    (card / "cakey.pem").write_text(keys[2048].pem())
    (card / "serial.txt").write_bytes(serial_file_from_number(0xFF))
    (tmp_path / "index.txt").write_text("")
    (tmp_path / "ca.cnf").write_text(CA_CONFIG)
    issued = []
    for turn in range(2):
        # A PC ...
        (tmp_path / "request.pem").write_text(signing_request(order, keys[1024]).pem())
        arguments = ("ca", "-config", "ca.cnf", "-name", "my_ca_on_cf", "-in", "request.pem", "-batch", "-notext")
        openssl(*arguments, "-subj", f"/CN=pc{turn}", "-out", "pc.pem")
        issued += certificates_from_pem((tmp_path / "pc.pem").read_text())
        # ... and the device.
        serial = serial_from_file((card / "serial.txt").read_bytes())
        (card / "serial.txt").write_bytes(serial_file_from_number(serial + 1))
        ca_key = private_key_from_file((card / "cakey.pem").read_bytes())
        issued.append(issued_certificate(order, keys[1024].public_key, root, ca_key, serial, NOW))
    assert [certificate.serial for certificate in issued] == [0xFF, 0x100, 0x101, 0x102]
    assert all(certificate.is_signed_by(root.public_key) for certificate in issued)
