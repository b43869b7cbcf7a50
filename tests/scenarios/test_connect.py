"""``x509 connect`` between two gateways: whom it reaches, what it says, and which certificates both sides show."""

from __future__ import annotations

from typing import Any

import pytest

from hil.bench import Bench
from hil.console import Console
from hil.gateway import Gateway


@pytest.fixture
def other(bench: Bench) -> Gateway:
    """A second gateway, with a certificate of its own for its name."""
    gateway = bench.gateway("ip800")
    gateway.power_on()
    gateway.console.login()
    gateway.console.run("x509 servercert-create /dn-cn gw.example.com")
    gateway.console.run("x509 servercert-wait", timeout_ms=120_000)
    return gateway


def connect(console: Console, where: str) -> Any:
    return console.run(f"x509 connect {where} /json", timeout_ms=60_000).json


def subjects(answer: Any) -> list[str]:
    return [certificate["subject"] for certificate in answer["chain"]]


@pytest.mark.parametrize("spelling", ["{netbios}", "{mac}", "{lower}"])
def test_another_gateway_is_found_by_name_and_by_address(console: Console, other: Gateway, spelling: str) -> None:
    host = spelling.format(netbios=other.netbios, mac=other.mac.hex("-"), lower=other.netbios.lower())
    answer = connect(console, f"{host}:443")
    assert subjects(answer) == ["CN=gw.example.com"]
    assert answer["peer"] == f"{host}:443"


def test_a_refused_server_is_said_with_reason_clause_chain_and_alert(console: Console, other: Gateway) -> None:
    answer = connect(console, f"{other.netbios}:443 /name gw.example.com")
    assert not answer["ok"]
    assert answer["verdict"]["reason"] == "untrusted CA"
    assert answer["alerts"] == ["unknown_ca sent"]
    assert answer["chain"][0]["self_signed"]
    text = console.run(f"x509 connect {other.netbios}:443").text
    assert text.splitlines()[0].split() == ["failed:", f"{other.netbios}:443"]
    assert "alerts:      unknown_ca sent" in text


def test_run_fails_trust_what_was_rejected_run_works(console: Console, other: Gateway) -> None:
    """Reference text, Fast trust list setup in small installations."""
    console.run("x509 rejected-clear")
    assert not connect(console, f"{other.netbios}:443")["ok"]
    (entry,) = console.run("x509 rejected-list /json").json
    assert (entry["role"], entry["peer"]) == ("server", f"{other.netbios}:443")
    console.run("x509 rejected-trust /index 0")
    answer = connect(console, f"{other.netbios}:443")
    assert answer["ok"]
    assert answer["verdict"]["trust"] == "endpoint"
    assert (answer["version"], answer["profile"]) == ("TLSv1.2", "v11")
    assert answer["messages"][0] == ">ClientHello"
    assert answer["cpu_us"] > 0


def test_no_longer_trusted_counts_for_the_next_connection(console: Console, other: Gateway) -> None:
    connect(console, f"{other.netbios}:443")
    console.run("x509 rejected-trust /index 0")
    assert connect(console, f"{other.netbios}:443")["ok"]
    console.run("x509 trust-clear")
    assert connect(console, f"{other.netbios}:443")["verdict"]["reason"] == "untrusted CA"


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("{other}:5999", "connection to {other}:5999 was refused"),
        ("nobody.example:443", "connection to nobody.example:443 was refused"),
        ("{other}", "'{other}' is not HOST:PORT"),
        ("{other}:0", "port '0': must be a number from 1 to 65535"),
        ("{other}:99999", "port '99999': must be a number from 1 to 65535"),
        ("fe80::1:443", "'fe80::1:443' is not HOST:PORT"),
        (":443", "':443' is not HOST:PORT"),
        ("{other}:443 /name a..b", "'a..b' is no host name"),
    ],
)
def test_what_cannot_be_is_one_line(console: Console, other: Gateway, where: str, error: str) -> None:
    refused = console.run(f"x509 connect {where.format(other=other.netbios)}", check=False)
    assert error.format(other=other.netbios) in (refused.error or "")
    assert len(refused.lines) == 1


def test_a_gateway_without_power_does_not_answer(console: Console, other: Gateway) -> None:
    other.power_off()
    where = f"{other.netbios}:443"
    said = console.run(f"x509 connect {where}", check=False, timeout_ms=60_000).error or ""
    assert f"no answer from {where} within 10 s" in said


def deaf(gateway: Gateway, port: int) -> None:
    """Makes a gateway accept connections and say nothing."""
    gateway.board.network.power_off()
    gateway.board.network.listen(port, lambda stream: None)


def test_ctrl_c_ends_a_connection_that_takes_long(console: Console, other: Gateway, bench: Bench) -> None:
    deaf(other, 443)
    mark = console.mark()
    console.send_line(f"x509 connect {other.netbios}:443")
    bench.run_for(ms=2_000)
    console.send(b"\x03")
    console.expect("interrupted", since=mark)


def test_a_server_that_says_nothing_is_given_up_after_30_s(console: Console, other: Gateway) -> None:
    deaf(other, 443)
    answer = connect(console, f"{other.netbios}:443")
    assert answer["failure"].endswith("waited 30 s for the peer")
    assert (answer["version"], answer["chain"]) == (None, [])


# -- application certificates


def test_a_server_shows_the_certificate_of_the_name_that_is_asked_for(console: Console, other: Gateway) -> None:
    other.console.run("x509 servercert-create /target app.example.com /san-dns sip.example.com")
    other.console.run("x509 servercert-wait", timeout_ms=120_000)
    shown = {
        name: subjects(connect(console, f"{other.netbios}:443 /name {name}"))
        for name in ("app.example.com", "APP.example.com", "sip.example.com", "else.example.com")
    }
    assert shown == {
        "app.example.com": ["CN=app.example.com"],
        "APP.example.com": ["CN=app.example.com"],
        "sip.example.com": ["CN=app.example.com"],
        "else.example.com": ["CN=gw.example.com"],
    }
    other.console.run("x509 servercert-clear /target app.example.com")
    assert subjects(connect(console, f"{other.netbios}:443 /name app.example.com")) == ["CN=gw.example.com"]


def test_a_client_shows_the_certificate_of_the_name_that_it_gives(console: Console, other: Gateway) -> None:
    console.run("x509 servercert-create /target gw.example.com")
    console.run("x509 servercert-wait", timeout_ms=120_000)
    connect(console, f"{other.netbios}:5061")
    console.run("x509 rejected-trust /index 0")
    other.console.run("x509 rejected-clear")
    seen = {}
    for name in ("gw.example.com", "else.example.com"):
        answer = connect(console, f"{other.netbios}:5061 /name {name}")
        seen[answer["shown"]] = other.console.run("x509 rejected-list /json").json[0]["chain"][0]["subject"]
    assert seen == {
        "CN=gw.example.com": "CN=gw.example.com",
        "CN=0090330611ac,O=gatebench": "CN=0090330611ac,O=gatebench",
    }
