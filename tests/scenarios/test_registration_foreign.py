"""SIP clients that are not ours register at a gateway: over Python's own TLS, with and without certificate, and TCP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hil.bench import Bench
from hil.console import Console
from hil.gateway import Gateway
from hil.tlsclient import TlsClient, client_context

SIPS, SIP = 5061, 5060

HARDWARE_ID = "SNOM-04-13-ab"


class SipClient:
    """A phone of somebody else's on one connection."""

    def __init__(self, connection: Any, transport: str, user: str = "alice") -> None:
        self.connection = connection
        self.transport = transport
        self.user = user
        self.cseq = 0

    def register(self, **changes: str | None) -> str:
        """Sends a REGISTER that is in order but for the changes; gives the answer."""
        self.cseq += 1
        aor = f"<sip:{self.user}@gateway>"
        headers: dict[str, str | None] = {
            "Via": f"SIP/2.0/{self.transport} 192.0.2.9:4711;branch=z9hG4bK{self.cseq};rport",
            "From": f"{aor};tag=a",
            "To": aor,
            "Call-ID": "foreign",
            "CSeq": f"{self.cseq} REGISTER",
            "Contact": f"<sip:{self.user}@192.0.2.9:4711>",
            "Expires": "600",
            "Content-Length": "0",
        }
        headers.update({name.replace("_", "-"): value for name, value in changes.items()})
        lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
        self.connection.write("\r\n".join(["REGISTER sip:gateway SIP/2.0", *lines, "", ""]).encode())
        return str(self.connection.read().decode())


@pytest.fixture
def connect(board: Gateway, outside: Any, tmp_path: Path) -> Callable[..., SipClient]:
    """``connect(common_name="...", user="...")``: over TLS, with a certificate of that name or without."""

    def open_tls(common_name: str = "", user: str = "alice") -> SipClient:
        context = client_context()
        if common_name:
            identity = outside.identity(common_name)
            file = tmp_path / "phone.pem"
            file.write_text("".join(each.pem() for each in identity.chain) + identity.key.pem())
            context.load_cert_chain(file)
        return SipClient(TlsClient(board.connect(SIPS), context=context).handshake(), "TLS", user)

    return open_tls


@pytest.fixture
def gateway(console: Console, outside: Any) -> Console:
    """The console of a registrar that trusts the CA of the foreign phones, and knows one of them."""
    console.paste("x509 trust-add", outside.root.pem())
    console.run(f"pbx device-add /hw {HARDWARE_ID} /name alice /tls-only")
    return console


def registrations(gateway: Console) -> Any:
    return gateway.run("sip registrations /json").json


def status(answer: str) -> str:
    return answer.partition("\r\n")[0].removeprefix("SIP/2.0 ")


def test_a_foreign_phone_registers_by_its_certificate(gateway: Console, connect: Any) -> None:
    answer = connect(HARDWARE_ID).register()
    assert status(answer) == "200 OK"
    assert "\r\nContact: <sip:alice@192.0.2.9:4711>;expires=600\r\nExpires: 600\r\nDate: Thu, 01 Jan 2026 " in answer
    assert "\r\nVia: SIP/2.0/TLS 192.0.2.9:4711;branch=z9hG4bK1;rport=" in answer
    (binding,) = registrations(gateway)
    assert (binding["hardware_id"], binding["transport"]) == (HARDWARE_ID, "tls")


@pytest.mark.parametrize(
    ("common_name", "user", "answer"),
    [
        ("", "alice", "403 Forbidden (alice registers over TLS, with the certificate of its device)"),
        ("", "nobody", "404 Not Found (no device entry for an object nobody)"),
        ("SNOM-04-13-ac", "alice", "403 Forbidden (no device entry for SNOM-04-13-ac)"),
        (HARDWARE_ID, "bob", f"403 Forbidden ({HARDWARE_ID} may register as alice only)"),
    ],
)
def test_who_may_not_is_told_why(gateway: Console, connect: Any, common_name: str, user: str, answer: str) -> None:
    assert status(connect(common_name, user).register()) == answer
    assert registrations(gateway) == []


def test_removing_the_entry_refuses_the_next_registration_on_the_same_connection(
    gateway: Console, connect: Any
) -> None:
    phone = connect(HARDWARE_ID)
    assert status(phone.register()) == "200 OK"
    gateway.run(f"pbx device-remove /hw {HARDWARE_ID}")
    assert status(phone.register()) == f"403 Forbidden (no device entry for {HARDWARE_ID})"
    assert len(registrations(gateway)) == 1, "what was granted runs out by itself"
    gateway.run(f"pbx device-add /hw {HARDWARE_ID} /name alice /tls-only")
    assert status(phone.register()) == "200 OK"


def test_an_entry_for_any_transport_needs_no_certificate(gateway: Console, connect: Any) -> None:
    gateway.run("pbx device-add /hw IP110-00-00-01 /name hall")
    assert status(connect(user="hall").register()) == "200 OK"
    assert [each["hardware_id"] for each in registrations(gateway)] == ["IP110-00-00-01"]


def test_a_registration_that_is_not_renewed_ends_and_the_connection_does_not(
    gateway: Console, connect: Any, bench: Bench
) -> None:
    phone = connect(HARDWARE_ID)
    phone.register(Expires="60")
    bench.run_for(ms=59_000)
    assert len(registrations(gateway)) == 1
    bench.run_for(ms=1_100)
    assert registrations(gateway) == []
    assert status(phone.register(Contact=None)) == "200 OK"


def test_a_phone_that_hangs_up_is_not_registered_any_more(gateway: Console, connect: Any, bench: Bench) -> None:
    phone = connect(HARDWARE_ID)
    phone.register()
    phone.connection.close()
    bench.run_for(ms=100)
    assert registrations(gateway) == []


def test_one_asks_removes_and_asks_for_too_little(gateway: Console, connect: Any) -> None:
    phone = connect(HARDWARE_ID)
    too_brief = phone.register(Expires="5")
    assert status(too_brief).startswith("423 Interval Too Brief")
    assert "\r\nMin-Expires: 60\r\n" in too_brief
    phone.register()
    assert "Contact: <sip:alice@192.0.2.9:4711>" in phone.register(Contact=None)
    assert "Contact:" not in phone.register(Contact="*", Expires="0")
    assert status(phone.register(Contact="*")).startswith("400 Bad Request (contact *")
    assert registrations(gateway) == []


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"From": "<sip:bob@gateway>;tag=a"}, "403 Forbidden (from differs from to)"),
        ({"To": "<tel:+4970>"}, "416 Unsupported URI Scheme"),
        ({"Contact": "<>"}, "400 Bad Request (address holds no uri)"),
        ({"CSeq": "x REGISTER"}, "400 Bad Request (cseq does not begin with a number below 2^31)"),
        ({"Require": "path"}, "420 Bad Extension"),
    ],
)
def test_requests_that_cannot_be_are_answered_as_the_rfc_says(
    gateway: Console, connect: Any, changes: dict[str, str], answer: str
) -> None:
    phone = connect(HARDWARE_ID)
    assert status(phone.register(**changes)) == answer
    assert status(phone.register()) == "200 OK", "and the connection goes on"


def test_garbage_within_tls_ends_that_connection_and_no_other(gateway: Console, connect: Any, bench: Bench) -> None:
    phone, other = connect(HARDWARE_ID), connect()
    phone.register()
    other.connection.write(b"\0\xff garbage \r\n\r\n" * 20)
    bench.run_for(ms=3_000)
    assert status(phone.register()) == "200 OK"
    assert "sip message from bench refused: content-length is missing" in gateway.run("log").text


def test_a_phone_pings_and_gets_its_pong(gateway: Console, connect: Any) -> None:
    phone = connect(HARDWARE_ID)
    phone.register()
    phone.connection.write(b"\r\n\r\n")
    assert phone.connection.read() == b"\r\n"


def test_over_tcp_a_phone_registers_where_its_entry_and_the_gateway_allow_it(gateway: Console, board: Gateway) -> None:
    gateway.run("pbx device-add /hw IP110-00-00-01 /name hall")
    gateway.run("config change SIP /tcp on")
    gateway.run("config activate")
    assert board.connect(SIP).wait_open()
    net = board.connect(SIP)
    assert net.wait_open()
    assert status(SipClient(net, "TCP", "hall").register()) == "200 OK"
    assert status(SipClient(net, "TCP", "alice").register()).startswith("403 Forbidden (alice registers over TLS")
    assert [each["transport"] for each in registrations(gateway)] == ["tcp"]
