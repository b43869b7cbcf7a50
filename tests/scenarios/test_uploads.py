"""Uploads of certificates with their keys: every form that the reference text names, and nothing by halves."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from board.flash import Tear
from firmware.x509.pem import pem_from_der
from hil.bench import Bench
from hil.console import Console
from hil.errors import PowerLoss
from hil.gateway import Gateway
from hil.tlsclient import TlsClient

UPLOAD = "x509 servercert-upload"
DAY = 86_400

REFERENCE_SAMPLE = """Device private key
-----BEGIN RSA PRIVATE KEY-----
MIICXAIBAAKBgQDecOKfxrVdHNZRl8RnpNItpmdSuc+WKAS1UZHbtdH5dUJ7OzG3
UcVghAbSXJ5G3A3v9POs8UthRMxPrnN2c7DadjZp7Qg=
-----END RSA PRIVATE KEY-----
Device certificate
-----BEGIN CERTIFICATE-----
MIICMTCCAZqgAwIBAgIBATANBgkqhkiG9w0BAQUFADAVMRMwEQYDVQQDDApNeSBS
7HNL76EuQrMmshxYxq0Ay/mlkVc0v7Fp1NzkYn0I2UHpwFZ+zA==
-----END CERTIFICATE-----
"""
"""Shortened by the reference text itself: it shows the form, and can be no certificate."""


def shown(console: Console) -> Any:
    return console.run("x509 servercert-show /json").json


def subjects(console: Console) -> list[str]:
    return [certificate["subject"] for certificate in shown(console)["chain"]]


CHAIN = ["CN=gw.example.com", "CN=Outside Issuing CA", "CN=Outside Root CA"]


def key_pem(key: Any, label: str, encoding: str) -> str:
    return str(pem_from_der(key.pkcs1() if encoding == "pkcs1" else key.der(), label))


@pytest.mark.parametrize("label", ["RSA PRIVATE KEY", "PRIVATE KEY"])
@pytest.mark.parametrize("encoding", ["pkcs1", "pkcs8"])
def test_a_key_is_taken_in_either_form_under_either_label(
    console: Console, outside: Any, label: str, encoding: str
) -> None:
    identity = outside.identity("gw.example.com")
    chain = "".join(certificate.pem() for certificate in identity.chain)
    reply = console.paste(UPLOAD, key_pem(identity.key, label, encoding) + chain)
    assert (
        reply.text == "installed for device: CN=gw.example.com, issued by CN=Outside Issuing CA, issued by " + CHAIN[2]
    )
    assert subjects(console) == CHAIN


def in_blanks(pem: str) -> str:
    return " ".join(pem.split("\n"))


def commented(pem: str) -> str:
    return "Device private key\n" + pem.replace(
        "-----\n-----", "-----\nIntermediate CA certificate: M\u00fcller & S\u00f6hne\n-----"
    )


FORMS: dict[str, Callable[[str], str]] = {
    "line breaks turned to blanks": in_blanks,
    "text between the blocks": commented,
    "windows line ends": lambda pem: pem.replace("\n", "\r\n"),
    "byte order mark": lambda pem: "\ufeff" + pem,
    "blank lines": lambda pem: pem.replace("\n", "\n\n"),
    "indented": lambda pem: re.sub("^", "   ", pem, flags=re.MULTILINE),
    "text as openssl prints it": lambda pem: "Certificate:\n    Data:\n        Version: 3 (0x2)\n" + pem,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_taken_however_it_was_written(console: Console, outside: Any, form: str) -> None:
    identity = outside.identity("gw.example.com")
    pem = identity.key.pem() + "".join(certificate.pem() for certificate in identity.chain)
    console.paste(UPLOAD, FORMS[form](pem))
    assert subjects(console) == CHAIN


def test_the_order_of_the_blocks_is_mended(console: Console, outside: Any) -> None:
    identity = outside.identity("gw.example.com")
    leaf, issuing, root = (certificate.pem() for certificate in identity.chain)
    console.paste(UPLOAD, root + issuing + leaf + identity.key.pem())
    assert subjects(console) == CHAIN


def test_der_is_taken_as_base64_key_and_all(console: Console, outside: Any) -> None:
    identity = outside.identity("gw.example.com")
    ders = [identity.key.pkcs1(), *(certificate.der for certificate in identity.chain)]
    console.paste(UPLOAD, "\n".join(base64.b64encode(der).decode() for der in ders))
    assert subjects(console) == CHAIN


def test_tls_presents_what_was_uploaded_at_once(console: Console, board: Gateway, outside: Any) -> None:
    identity = outside.identity("gw.example.com")
    console.paste(UPLOAD, identity.key.pem() + "".join(certificate.pem() for certificate in identity.chain))
    with TlsClient(board.connect(443)) as client:
        client.handshake()
        assert client.peer_chain[0] == identity.leaf.der


def refused(console: Console, text: str, command: str = UPLOAD) -> str:
    """What the upload is refused with; nothing may have changed."""
    before = shown(console)
    error = console.paste(command, text, check=False, timeout_ms=60_000).error
    assert shown(console) == before
    assert error is not None
    return error


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_encrypted_keys_are_refused_with_the_way_out(console: Console, outside: Any, form: str) -> None:
    identity = outside.identity("gw.example.com")
    native = serialization.load_pem_private_key(identity.key.pem().encode(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    encrypted = native.private_bytes(
        serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), encryption
    ).decode()
    assert "is encrypted: decrypt it first" in refused(console, encrypted + identity.leaf.pem())
    if form == "PKCS8":
        body = "".join(encrypted.split("-----")[2].split())
        assert "is encrypted: decrypt it first" in refused(console, body)


def test_what_does_not_fit_together_is_refused(console: Console, outside: Any, outside_named: Any) -> None:
    identity = outside.identity("gw.example.com")
    key = identity.key.pem()
    leaf, issuing, root = (certificate.pem() for certificate in identity.chain)
    other = outside_named("Other")
    assert "none of 3 certificates matches the private key" in refused(
        console, other.key("x").pem() + leaf + issuing + root
    )
    assert "gap in the chain: CN=Outside Issuing CA is missing" in refused(console, key + leaf + root)
    assert "does not belong to the chain" in refused(console, key + leaf + issuing + root + other.root.pem())
    assert "private keys found" in refused(console, key + other.key("x").pem() + leaf)
    assert "no certificate found" in refused(console, key)
    assert "no signing request" in refused(console, leaf)
    assert "no end line" in refused(console, key + leaf[:-30])


def test_the_reference_texts_shortened_sample_is_answered_in_one_line(console: Console) -> None:
    for text in (REFERENCE_SAMPLE, in_blanks(REFERENCE_SAMPLE)):
        assert "\n" not in refused(console, text)


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_keys_of_another_kind_are_refused_by_name(console: Console, outside: Any, form: str) -> None:
    leaf = outside.certificate("gw.example.com").pem()
    curve = ec.derive_private_key(4_711, ec.SECP256R1())
    plain = serialization.NoEncryption()
    key = curve.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), plain).decode()
    assert "not an RSA key" in refused(console, key + leaf)
    foreign = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    assert "must be an RSA key in PKCS#1 or PKCS#8" in refused(console, foreign + leaf)


def test_too_much_is_refused_and_what_follows_is_not_taken_for_commands(console: Console, outside: Any) -> None:
    line = "x509 servercert-clear " + "x" * 70
    assert "must be at most 262144, nothing changed" in refused(console, "\n".join([line] * 3_000))
    chain = "".join(outside.certificate(f"c{n}").pem() for n in range(11))
    assert "chain of 11 certificates, limit 10" in refused(console, outside.key("c0").pem() + chain)


def test_an_expired_certificate_is_installed_with_a_warning(console: Console, outside: Any, now_s: int) -> None:
    identity = outside.identity("gw.example.com", not_after=now_s - DAY)
    chain = "".join(certificate.pem() for certificate in identity.chain)
    assert "warning: the certificate is expired" in console.paste(UPLOAD, identity.key.pem() + chain).text
    assert "certificate 0 expired" in console.run("x509 servercert-show").text
    (mark,) = shown(console)["expiring"]
    assert (mark["index"], mark["state"]) == (0, "expired")


def test_a_renewed_certificate_with_the_old_key_needs_no_key(console: Console, outside: Any, now_s: int) -> None:
    identity = outside.identity("gw.example.com", not_after=now_s + DAY)
    chain = "".join(certificate.pem() for certificate in identity.chain)
    console.paste(UPLOAD, identity.key.pem() + chain)
    renewed = outside.certificate("gw.example.com", not_after=now_s + 700 * DAY)
    console.paste(UPLOAD, renewed.pem() + outside.intermediate.pem() + outside.root.pem())
    assert shown(console)["chain"][0]["sha1"] == renewed.fingerprint("sha1")


def test_the_own_chain_can_be_trusted_whole_or_in_part(console: Console, outside: Any) -> None:
    identity = outside.identity("gw.example.com")
    console.paste(UPLOAD, identity.key.pem() + "".join(certificate.pem() for certificate in identity.chain))
    assert console.run("x509 servercert-trust /index 2").text == "trusted: CN=Outside Root CA"
    assert console.run("x509 servercert-trust").lines == [
        "trusted: CN=gw.example.com",
        "trusted: CN=Outside Issuing CA",
    ]
    assert len(console.run("x509 trust-list /json").json) == 3


def test_each_certificate_of_the_chain_can_be_copied(console: Console, outside: Any) -> None:
    identity = outside.identity("gw.example.com")
    console.paste(UPLOAD, identity.key.pem() + "".join(certificate.pem() for certificate in identity.chain))
    for index, certificate in enumerate(identity.chain):
        copied = console.run(f"x509 servercert-get /index {index}").text
        assert copied == certificate.pem().rstrip("\n")
    everything = console.run("x509 servercert-get /format der").lines
    assert [base64.b64decode(line) for line in everything] == [certificate.der for certificate in identity.chain]


def test_reading_a_key_and_checking_a_chain_is_paid_for(console: Console, outside: Any) -> None:
    identity = outside.identity("gw.example.com")
    before = console.run("cpu mips-usage /json").json["cycles"]
    console.paste(UPLOAD, identity.key.pem() + "".join(certificate.pem() for certificate in identity.chain))
    after = console.run("cpu mips-usage /json").json["cycles"]
    assert after["rsa-private"] > before.get("rsa-private", 0)
    assert after["rsa-public"] > before.get("rsa-public", 0)


@pytest.mark.needs_faults
@pytest.mark.parametrize("tear", list(Tear))
def test_power_cut_at_every_flash_step_of_an_upload_leaves_the_old_or_the_new_chain_with_its_key(
    bench: Bench, outside: Any, tear: Tear
) -> None:
    identity = outside.identity("gw.example.com")
    pem = identity.key.pem() + "".join(certificate.pem() for certificate in identity.chain)
    outcomes: list[str] = []
    cut = 0
    while True:
        cut += 1
        gateway = bench.gateway("ip800", name=f"cut-{tear.value}-{cut}")
        gateway.power_on()
        gateway.console.login()
        left = cut
        gateway.board.flash.tear = tear

        def before_step(kind: str, address: int, size: int, gateway: Gateway = gateway) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                gateway.board.power_off()
                raise PowerLoss

        gateway.console.send_line(UPLOAD)
        gateway.console.expect("only a dot")
        gateway.board.flash.before_step = before_step
        for line in [*pem.splitlines(), "."]:
            gateway.console.send_line(line)
        bench.run_until(lambda g=gateway: not g.powered or "installed for" in g.console.text, timeout_ms=60_000)
        gateway.board.flash.before_step = None
        was_cut = not gateway.powered
        gateway.power_cycle()
        gateway.console.login()
        outcome = shown(gateway.console)
        outcomes.append(outcome["source"])
        assert outcome["source"] in ("builtin", "device")
        if outcome["source"] == "device":
            assert [each["subject"] for each in outcome["chain"]] == CHAIN
            with TlsClient(gateway.connect(443)) as client:
                client.handshake()
                assert client.peer_chain[0] == identity.leaf.der
        if not was_cut:
            assert outcome["source"] == "device"
            break
    assert set(outcomes) == {"builtin", "device"}
    assert len(outcomes) > 3
