"""Application certificates: the same life cycle as the device certificate, for a domain."""

from __future__ import annotations

import base64
from typing import Any
from xml.etree import ElementTree

from firmware.x509.request import request_from_file
from hil.console import Console
from hil.gateway import Gateway
from hil.tlsclient import TlsClient

TARGET = "/target example.com"


def presented(board: Gateway, server_name: str | None) -> bytes:
    """The certificate that a client is shown who asks for a name."""
    with TlsClient(board.connect(443), server_name=server_name) as client:
        client.handshake()
        return client.peer_chain[0]


def der(console: Console, target: str) -> bytes:
    return base64.b64decode(console.run(f"x509 servercert-get {target} /index 0 /format der".replace("  ", " ")).text)


def test_a_self_signed_one_bears_its_domain_unless_told_otherwise(console: Console) -> None:
    console.run(f"x509 servercert-create {TARGET}")
    console.run("x509 servercert-wait", timeout_ms=60_000)
    shown = console.run(f"x509 servercert-show {TARGET} /json").json
    assert (shown["target"], shown["source"]) == ("example.com", "example.com")
    assert shown["chain"][0]["subject"] == "CN=example.com"
    assert console.run("x509 servercert-show /json").json["source"] == "builtin"


def test_who_asks_for_the_domain_gets_it_and_everybody_else_the_device_certificate(
    console: Console, board: Gateway, outside: Any
) -> None:
    identity = outside.identity("example.com")
    pem = identity.key.pem() + "".join(certificate.pem() for certificate in identity.chain)
    assert console.paste(f"x509 servercert-upload {TARGET}", pem).text.startswith("installed for example.com")
    device = der(console, "")
    assert presented(board, "example.com") == identity.leaf.der
    assert presented(board, "EXAMPLE.com") == identity.leaf.der
    assert presented(board, "sub.example.com") == device
    assert presented(board, None) == device
    console.run(f"x509 servercert-clear {TARGET}")
    assert presented(board, "example.com") == device


def test_alternative_names_count_behind_common_names(console: Console, board: Gateway, outside: Any) -> None:
    both = outside.certificate("a.example.com", dns_names=("b.example.com", "c.example.com"))
    named = outside.certificate("b.example.com")
    console.paste("x509 servercert-upload /target a.example.com", outside.key("a.example.com").pem() + both.pem())
    console.paste("x509 servercert-upload /target b.example.com", outside.key("b.example.com").pem() + named.pem())
    assert presented(board, "b.example.com") == named.der
    assert presented(board, "c.example.com") == both.der


def test_a_request_for_a_domain_is_its_own_affair(console: Console, outside: Any) -> None:
    console.run(f"x509 servercert-create {TARGET} /type Signing%20request")
    console.run("x509 servercert-wait", timeout_ms=60_000)
    assert "no signing request for device" in (console.run("x509 request-show", check=False).error or "")
    request = request_from_file(console.run(f"x509 request-get {TARGET}").text.encode())
    assert request.subject.text == "CN=example.com"
    answer = outside.sign(request).pem() + outside.intermediate.pem()
    assert "no signing request" in (console.paste("x509 servercert-upload", answer, check=False).error or "")
    console.paste(f"x509 servercert-upload {TARGET}", answer)
    assert console.run(f"x509 servercert-show {TARGET} /json").json["chain"][0]["issuer"] == "CN=Outside Issuing CA"
    assert "no signing request for example.com" in (console.run(f"x509 request-show {TARGET}", check=False).error or "")


def test_a_request_can_be_removed_without_a_certificate_ever(console: Console) -> None:
    console.run(f"x509 servercert-create {TARGET} /type Signing%20request")
    console.run("x509 servercert-wait", timeout_ms=60_000)
    console.run(f"x509 request-remove {TARGET}")
    assert [row["target"] for row in console.run("x509 servercert-list /json").json] == ["device"]


def test_its_chain_can_be_trusted(console: Console, outside: Any) -> None:
    identity = outside.identity("example.com")
    pem = identity.key.pem() + "".join(certificate.pem() for certificate in identity.chain)
    console.paste(f"x509 servercert-upload {TARGET}", pem)
    console.run(f"x509 servercert-trust {TARGET} /index 2")
    assert [each["subject"] for each in console.run("x509 trust-list /json").json] == ["CN=Outside Root CA"]


def test_all_of_them_are_listed(console: Console, outside: Any, now_s: int) -> None:
    soon = outside.certificate("soon.example.com", not_after=now_s + 5 * 86_400)
    console.paste("x509 servercert-upload /target soon.example.com", outside.key("soon.example.com").pem() + soon.pem())
    console.run(f"x509 servercert-create {TARGET} /type Signing%20request")
    console.run("x509 servercert-wait", timeout_ms=60_000)
    device, requested, kept = console.run("x509 servercert-list /json").json
    assert (device["target"], device["source"]) == ("device", "builtin")
    assert (requested["target"], requested["subject"], requested["request"]) == (
        "example.com",
        None,
        "CN=example.com",
    )
    assert (kept["target"], kept["expiry"]) == ("soon.example.com", "expiring")
    assert console.run("x509 servercert-list").lines[1:] == [
        "example.com: no certificate (signing request pending)",
        "soon.example.com: CN=soon.example.com (until 2026-01-06T00:00:00Z, expiring)",
    ]


def test_roll_out_tools_see_them_apart_from_the_device_certificate(console: Console, outside: Any) -> None:
    leaf = outside.certificate("example.com")
    console.paste(f"x509 servercert-upload {TARGET}", outside.key("example.com").pem() + leaf.pem())
    info = ElementTree.fromstring(console.run("x509 xml-info").text)
    assert len(info.findall("servercert/certificate")) == 2
    (application,) = info.findall("applications/application")
    assert application.get("domain") == "example.com"
    assert [each.get("subject_cn") for each in application.findall("certificate")] == ["example.com"]
    assert info.find("requests") is None


def test_a_certificate_that_its_domain_will_not_find_is_warned_about(console: Console, outside: Any) -> None:
    leaf = outside.certificate("other.example.com")
    text = console.paste(f"x509 servercert-upload {TARGET}", outside.key("other.example.com").pem() + leaf.pem()).text
    assert "warning: example.com is none of its names" in text


def test_they_survive_a_power_cut(console: Console, board: Gateway, outside: Any) -> None:
    leaf = outside.certificate("example.com")
    console.paste(f"x509 servercert-upload {TARGET}", outside.key("example.com").pem() + leaf.pem())
    board.power_cycle()
    console.login()
    assert presented(board, "example.com") == leaf.der


def test_there_is_a_limit_and_what_is_there_can_still_be_replaced(console: Console, outside: Any) -> None:
    for number in range(10):
        leaf = outside.certificate(f"d{number}.example.com")
        key = outside.key(f"d{number}.example.com").pem()
        console.paste(f"x509 servercert-upload /target d{number}.example.com", key + leaf.pem())
    for command in ("servercert-create", "servercert-create /type Signing%20request"):
        error = console.run(f"x509 {command} /target d10.example.com", check=False).error or ""
        assert error == "10 application certificates, limit 10"
    renewed = outside.certificate("d3.example.com")
    console.paste("x509 servercert-upload /target d3.example.com", renewed.pem())
    assert der(console, "/target d3.example.com") == renewed.der


def test_what_is_no_domain_is_refused(console: Console) -> None:
    for target in ("a..b", "ex%20ample.com", "x" * 65, "../device", "a/b"):
        error = console.run(f"x509 servercert-show /target {target}", check=False).error or ""
        assert "is neither device nor a domain name" in error, target
