"""Signing requests from their creation to the answer, or to their end."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from board.flash import Tear
from firmware.x509.request import request_from_file
from hil.bench import Bench
from hil.console import Console
from hil.errors import PowerLoss
from hil.gateway import Gateway
from hil.tlsclient import TlsClient

CREATE = "x509 servercert-create /type Signing%20request /dn-cn gw.example.com"


def requested(console: Console, options: str = "") -> Any:
    """Makes a request and gives it, as a CA would read it."""
    console.run(f"{CREATE} {options}".strip())
    console.run("x509 servercert-wait", timeout_ms=600_000)
    return request_from_file(console.run("x509 request-get").text.encode())


def chain_pem(outside: Any, request: Any) -> str:
    return str(outside.sign(request).pem() + outside.intermediate.pem() + outside.root.pem())


def test_a_request_asks_for_what_was_ordered_and_is_signed_with_its_key(console: Console) -> None:
    request = requested(
        console,
        "/signature SHA512 /dn-ou Lab /dn-o Example,%20Inc. /dn-l Berlin /dn-st Berlin /dn-c DE"
        " /san-dns gw.example.com /san-dns sip.example.com /san-ip 192.0.2.1",
    )
    assert request.is_signature_valid()
    shown = console.run("x509 request-show /json").json
    assert (
        shown["subject"] == request.subject.text == "CN=gw.example.com,OU=Lab,O=Example\\, Inc.,L=Berlin,ST=Berlin,C=DE"
    )
    assert shown["signature"] == "sha512WithRSAEncryption"
    assert set(shown["san"]) == {"DNS:gw.example.com", "DNS:sip.example.com", "IP:192.0.2.1"}
    assert request.values.key_usage == {"digitalSignature", "keyEncipherment"}
    assert base64.b64decode(console.run("x509 request-get /format der").text) == request.der


def test_the_answer_is_installed_and_ends_the_request(console: Console, board: Gateway, outside: Any) -> None:
    request = requested(console)
    certificate = outside.sign(request)
    reply = console.paste("x509 servercert-upload", outside.root.pem() + certificate.pem() + outside.intermediate.pem())
    assert reply.text.startswith("installed for device: CN=gw.example.com, issued by CN=Outside Issuing CA")
    assert "no signing request" in (console.run("x509 request-show", check=False).error or "")
    with TlsClient(board.connect(443)) as client:
        client.handshake()
        assert client.peer_chain[0] == certificate.der


def test_the_answer_alone_is_enough(console: Console, outside: Any) -> None:
    certificate = outside.sign(requested(console))
    console.paste("x509 servercert-upload", certificate.pem())
    assert [each["subject"] for each in console.run("x509 servercert-show /json").json["chain"]] == [
        "CN=gw.example.com"
    ]


def test_an_answer_to_another_request_is_refused_and_nothing_changes(console: Console, outside: Any) -> None:
    request = requested(console)
    stranger = outside.certificate("gw.example.com", outside.key("stranger"))
    error = console.paste("x509 servercert-upload", stranger.pem(), check=False).error or ""
    assert error == "the certificate fits no private key on the box: a signing request is pending, but for another key"
    assert console.run("x509 request-show /json").json["sha1"]
    assert console.run("x509 servercert-show /json").json["source"] == "builtin"
    console.paste("x509 servercert-upload", chain_pem(outside, request))


def test_while_a_request_is_pending_no_other_can_be_made(console: Console) -> None:
    request = requested(console)
    error = console.run(CREATE, check=False).error or ""
    assert error == "a signing request for device is pending: upload its answer, or remove it first"
    assert request_from_file(console.run("x509 request-get").text.encode()).der == request.der


def test_the_certificate_in_use_goes_on_while_a_request_is_pending(
    console: Console, board: Gateway, outside: Any
) -> None:
    requested(console)
    with TlsClient(board.connect(443)) as client:
        client.handshake()
        assert client.request("GET", "/").status == 200


def test_removing_a_request_warns_that_its_key_is_gone_and_it_is(console: Console, outside: Any) -> None:
    request = requested(console)
    text = console.run("x509 request-remove").text
    assert text == (
        "removed CN=gw.example.com with its private key: a certificate made from it cannot be used any more"
    )
    error = console.paste("x509 servercert-upload", outside.sign(request).pem(), check=False).error or ""
    assert error == "the certificate fits no private key on the box: no signing request"
    assert "no signing request for device" in (console.run("x509 request-remove", check=False).error or "")


def test_the_old_key_pair_can_be_used_again_and_that_is_warned_against(console: Console, outside: Any) -> None:
    console.paste("x509 servercert-upload", chain_pem(outside, requested(console)))
    old = console.run("x509 servercert-get /index 0").text
    assert "warning: the old key pair is used again" in console.run(f"{CREATE} /key reuse").text
    console.run("x509 servercert-wait")
    request = request_from_file(console.run("x509 request-get").text.encode())
    console.paste("x509 servercert-upload", chain_pem(outside, request))
    new = console.run("x509 servercert-get /index 0").text
    assert new != old
    assert "no signing request" in (console.run("x509 request-show", check=False).error or "")


def test_the_built_in_key_pair_is_not_used_again(console: Console) -> None:
    assert "no key pair of device to reuse" in (console.run(f"{CREATE} /key reuse", check=False).error or "")


def test_a_renewed_certificate_for_the_old_key_leaves_the_pending_request_alone(console: Console, outside: Any) -> None:
    first = requested(console)
    console.paste("x509 servercert-upload", chain_pem(outside, first))
    second = requested(console)
    reply = console.paste("x509 servercert-upload", chain_pem(outside, first))
    assert reply.lines[-1] == "a signing request for device is still pending"
    assert request_from_file(console.run("x509 request-get").text.encode()).der == second.der


def test_a_request_survives_a_power_cut_with_its_key(console: Console, board: Gateway, outside: Any) -> None:
    request = requested(console)
    board.power_cycle()
    console.login()
    console.paste("x509 servercert-upload", chain_pem(outside, request))
    assert console.run("x509 servercert-show /json").json["source"] == "device"


def test_clearing_the_certificate_leaves_a_pending_request_alone(console: Console, outside: Any) -> None:
    console.paste("x509 servercert-upload", chain_pem(outside, requested(console)))
    request = requested(console)
    console.run("x509 servercert-clear")
    console.paste("x509 servercert-upload", chain_pem(outside, request))


@pytest.mark.needs_faults
@pytest.mark.parametrize("tear", list(Tear))
def test_power_cut_at_every_flash_step_of_an_answer_leaves_the_request_or_the_certificate(
    bench: Bench, outside: Any, tear: Tear
) -> None:
    """Never both, never neither, and whichever it is works."""
    outcomes = []
    cut = 0
    while True:
        cut += 1
        gateway = bench.gateway("ip800", name=f"cut-{tear.value}-{cut}")
        gateway.power_on()
        gateway.console.login()
        pem = chain_pem(outside, requested(gateway.console))
        left = cut
        gateway.board.flash.tear = tear

        def before_step(kind: str, address: int, size: int, gateway: Gateway = gateway) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                gateway.board.power_off()
                raise PowerLoss

        gateway.console.send_line("x509 servercert-upload")
        gateway.console.expect("only a dot")
        gateway.board.flash.before_step = before_step
        for line in [*pem.splitlines(), "."]:
            gateway.console.send_line(line)
        bench.run_until(lambda g=gateway: not g.powered or "installed for" in g.console.text, timeout_ms=60_000)
        gateway.board.flash.before_step = None
        was_cut = not gateway.powered
        gateway.power_cycle()
        gateway.console.login()
        is_pending = gateway.console.run("x509 request-show", check=False).error is None
        is_installed = gateway.console.run("x509 servercert-show /json").json["source"] == "device"
        assert is_pending != is_installed
        outcomes.append(is_installed)
        if is_pending:
            gateway.console.paste("x509 servercert-upload", pem)
        gateway.console.run("x509 servercert-create /key reuse /dn-cn again")
        assert "ready" in gateway.console.run("x509 servercert-wait", timeout_ms=60_000).text
        if not was_cut:
            break
    assert set(outcomes) == {False, True}
