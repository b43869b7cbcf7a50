"""``x509 diagnose`` on whole devices: one fault at a time, its cause named, and the command that it names mends it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from firmware.x509 import Certificate, PrivateKey
from firmware.x509.builder import CertificateTemplate, issue
from firmware.x509.der import boolean, object_identifier, octet_string, sequence
from firmware.x509.extension import basic_constraints, ext_key_usage, key_usage, subject_alt_name
from firmware.x509.name import DistinguishedName
from firmware.x509.oid import CLIENT_AUTH, SERVER_AUTH
from hil.bench import Bench
from hil.console import Console
from hil.gateway import Gateway

NAME = "gw.example.com"
DAY = 86_400
YEAR = 365 * DAY

NAME_CONSTRAINTS = sequence(object_identifier("2.5.29.30"), boolean(True), octet_string(sequence()))


def leaf(outside: Any, key: PrivateKey, now_s: int, **difference: Any) -> Certificate:
    """A server's certificate from the outside CA, fit unless something is said to be different."""
    what: dict[str, Any] = {
        "not_before": now_s - DAY,
        "not_after": now_s + YEAR,
        "hash_name": "sha256",
        "purposes": (SERVER_AUTH, CLIENT_AUTH),
        "more": (),
        **difference,
    }
    template = CertificateTemplate(
        DistinguishedName(common_name=NAME).name(),
        outside.intermediate.subject,
        key.spki(),
        random.Random(repr(difference)).getrandbits(64),
        what["not_before"],
        what["not_after"],
        what["hash_name"],
        extensions=(
            basic_constraints(ca=False),
            key_usage("digitalSignature", "keyEncipherment"),
            ext_key_usage(what["purposes"]),
            subject_alt_name((NAME,), ()),
            *what["more"],
        ),
    )
    return issue(template, outside.key("issuing"))


class Peer:
    """Another gateway, which shows what the test gives it."""

    def __init__(self, gateway: Gateway, outside: Any, now_s: int) -> None:
        self.gateway = gateway
        self.console = gateway.console
        self.address = f"{gateway.netbios}:443"
        self._outside = outside
        self._now_s = now_s

    def shows(self, *issuers: Certificate, **difference: Any) -> Certificate:
        """Installs a certificate with these above it; without any, with the intermediate."""
        key = self._outside.key("peer")
        made = leaf(self._outside, key, self._now_s, **difference)
        chain = (made, *(issuers or (self._outside.intermediate,)))
        self.console.paste("x509 servercert-upload", key.pem() + "".join(each.pem() for each in chain))
        return made

    def shows_alone(self) -> Certificate:
        """Installs a certificate without its intermediate."""
        key = self._outside.key("peer")
        made = leaf(self._outside, key, self._now_s)
        self.console.paste("x509 servercert-upload", key.pem() + made.pem())
        return made


@pytest.fixture
def peer(bench: Bench, outside: Any, now_s: int) -> Peer:
    gateway = bench.gateway("ip800")
    gateway.power_on()
    gateway.console.login()
    return Peer(gateway, outside, now_s)


def diagnosed(console: Console, address: str, name: str | None = NAME) -> dict[str, Any]:
    words = f" /name {name}" if name else ""
    answer: dict[str, Any] = console.run(f"x509 diagnose {address}{words} /json", timeout_ms=120_000).json
    answer["by_check"] = {finding["check"]: finding for finding in answer["findings"]}
    answer["faults"] = [finding["check"] for finding in answer["findings"] if finding["level"] == "FAULT"]
    return answer


def works(console: Console, address: str, name: str = NAME) -> bool:
    return bool(console.run(f"x509 connect {address} /name {name} /json", timeout_ms=120_000).json["ok"])


def trust(console: Console, *certificates: Certificate) -> None:
    console.paste("x509 trust-add", "".join(each.pem() for each in certificates))


def test_what_works_has_no_fault_and_says_what_it_costs(console: Console, peer: Peer, outside: Any) -> None:
    peer.shows()
    trust(console, outside.root)
    answer = diagnosed(console, peer.address)
    assert (answer["ok"], answer["faults"], answer["cause"]) == (True, [], None)
    assert (
        "ms of this CPU, their longest key has 1024 bits; as a server, our 1024 bits cost 50 ms"
        in (answer["by_check"]["cost"]["text"])
    )
    text = console.run(f"x509 diagnose {peer.address} /name {NAME}").text
    assert text.startswith(f"{peer.address} as {NAME}: works")


@pytest.mark.gatebench(time="unset")
def test_a_clock_that_is_not_set_is_the_first_cause_and_hides_no_other(
    console: Console, peer: Peer, outside: Any
) -> None:
    peer.shows()
    answer = diagnosed(console, peer.address)
    assert answer["faults"][:3] == ["clock", "trust", "dates"]
    assert answer["command"] == "ctime YYYY-MM-DDTHH:MM:SSZ"
    trust(console, outside.root)
    console.run("ctime 2026-01-01T12:00:00Z")
    assert works(console, peer.address)


def test_a_clock_that_is_wrong_shows_in_the_dates(console: Console, peer: Peer, outside: Any) -> None:
    peer.shows()
    trust(console, outside.root)
    console.run("ctime 2025-12-01T12:00:00Z")
    answer = diagnosed(console, peer.address)
    assert answer["faults"] == ["dates"]
    assert "is valid from 2025-12-31" in answer["by_check"]["dates"]["text"]
    assert answer["command"].startswith("ctime")


def test_a_root_that_was_sent_is_trusted_with_the_very_command(console: Console, peer: Peer, outside: Any) -> None:
    peer.shows(outside.intermediate, outside.root)
    answer = diagnosed(console, peer.address)
    assert answer["faults"] == ["trust"]
    assert answer["by_check"]["trust"]["text"] == "untrusted CA: CN=Outside Root CA is not on the trust list"
    console.run(answer["command"])
    assert works(console, peer.address)


def test_a_root_that_is_missing_on_both_sides_is_called_by_its_name(console: Console, peer: Peer, outside: Any) -> None:
    peer.shows()
    answer = diagnosed(console, peer.address)
    assert answer["faults"] == ["trust"]
    assert (
        "unknown CA: CN=Outside Root CA, which issued CN=Outside Issuing CA, is not sent"
        in (answer["by_check"]["trust"]["text"])
    )
    assert answer["command"].startswith("x509 trust-add")
    trust(console, outside.root)
    assert works(console, peer.address)


def test_an_intermediate_that_is_not_sent_is_told_from_a_root_that_is_not_trusted(
    console: Console, peer: Peer, outside: Any
) -> None:
    made = peer.shows_alone()
    trust(console, outside.root)
    answer = diagnosed(console, peer.address)
    assert answer["faults"] == ["trust"]
    assert (
        "CN=Outside Issuing CA, which issued CN=gw.example.com, is not sent; an intermediate is missing"
        in (answer["by_check"]["trust"]["text"])
    )
    assert "x509 servercert-upload the whole chain" in answer["command"]
    assert f"x509 rejected-trust /sha1 {made.fingerprint('sha1')}" in answer["command"]
    peer.shows()
    assert works(console, peer.address)


@pytest.mark.parametrize(
    ("difference", "check", "text", "command"),
    [
        ({"not_after": -DAY}, "dates", "has expired on 2025-12-31", "on the peer: x509 servercert-renew"),
        ({"not_before": DAY}, "dates", "is valid from 2026-01-02", "ctime"),
        (
            {"purposes": (CLIENT_AUTH,)},
            "purpose",
            "extKeyUsage is for clientAuth",
            "on the peer: x509 servercert-create",
        ),
        ({"more": (NAME_CONSTRAINTS,)}, "extensions", "critical extension nameConstraints", "on the peer:"),
    ],
)
def test_one_fault_of_the_certificate_is_found_and_no_other(
    console: Console,
    peer: Peer,
    outside: Any,
    now_s: int,
    difference: dict[str, Any],
    check: str,
    text: str,
    command: str,
) -> None:
    if check == "dates":
        difference = {"not_before": now_s - 2 * DAY} | {key: now_s + days for key, days in difference.items()}
    peer.shows(**difference)
    trust(console, outside.root)
    answer = diagnosed(console, peer.address)
    assert not answer["ok"]
    assert answer["faults"] == [check]
    assert text in answer["by_check"][check]["text"]
    assert answer["command"].startswith(command)


def test_a_name_that_is_not_in_the_certificate_is_said_together_with_those_that_are(
    console: Console, peer: Peer, outside: Any
) -> None:
    peer.shows()
    trust(console, outside.root)
    answer = diagnosed(console, peer.address, None)
    assert answer["faults"] == ["name"]
    assert answer["by_check"]["name"]["text"] == f"made out to {NAME}, and {peer.gateway.netbios} was asked for"
    assert "/name" in answer["command"]
    assert works(console, peer.address)


def test_a_certificate_that_is_trusted_itself_needs_no_name(console: Console, peer: Peer, outside: Any) -> None:
    trust(console, peer.shows())
    answer = diagnosed(console, peer.address, None)
    assert (answer["ok"], answer["faults"]) == (True, [])
    assert "that does not matter" in answer["by_check"]["name"]["text"]


@pytest.mark.parametrize("name", ["md5", "sha1"])
def test_a_weak_hash_works_here_and_is_warned_of(console: Console, peer: Peer, outside: Any, name: str) -> None:
    peer.shows(hash_name=name)
    trust(console, outside.root)
    answer = diagnosed(console, peer.address)
    assert (answer["ok"], answer["faults"]) == (True, [])
    finding = answer["by_check"]["signature"]
    assert finding["level"] == "note"
    assert f"is signed with {name}WithRSAEncryption" in finding["text"]
    assert finding["command"] == "on the peer: x509 servercert-create /signature SHA256"


def test_a_server_that_asks_for_a_certificate_and_refuses_ours(console: Console, peer: Peer, outside: Any) -> None:
    peer.shows()
    trust(console, outside.root)
    peer.console.run("config change HTTPS /client-certificate required")
    peer.console.run("config activate")
    answer = diagnosed(console, peer.address)
    assert answer["faults"] == ["client"]
    assert "trusts neither it nor its issuer (alert unknown_ca)" in answer["by_check"]["client"]["text"]
    assert answer["command"].startswith("on the peer: x509 rejected-trust")
    peer.console.run("x509 rejected-trust /index 0")
    assert works(console, peer.address)


@pytest.mark.gatebench(factory="upgraded")
def test_a_server_that_asks_for_a_certificate_of_a_box_that_has_none(
    console: Console, peer: Peer, outside: Any
) -> None:
    peer.shows()
    trust(console, outside.root)
    peer.console.run("config change HTTPS /client-certificate required")
    peer.console.run("config activate")
    console.run("x509 servercert-wait", timeout_ms=120_000)
    console.run("x509 servercert-renew")
    answer = diagnosed(console, peer.address)
    assert answer["by_check"]["client"]["text"] == "the peer asks for our certificate: there is none"


def test_a_closed_port_is_the_only_cause(console: Console, peer: Peer) -> None:
    answer = diagnosed(console, f"{peer.gateway.netbios}:5999")
    assert answer["faults"] == ["port"]
    assert answer["failure"].endswith("was refused")
    assert [finding["check"] for finding in answer["findings"]] == ["clock", "port"]


def test_a_port_that_speaks_no_tls_is_seen(console: Console, peer: Peer) -> None:
    answer = diagnosed(console, f"{peer.gateway.netbios}:80")
    assert answer["faults"] == ["protocol"]


def test_profiles_that_have_nothing_in_common_are_seen_and_the_command_helps(
    console: Console, peer: Peer, outside: Any
) -> None:
    peer.shows()
    trust(console, outside.root)
    peer.console.run("tls profile modern")
    console.run("tls profile legacy")
    assert diagnosed(console, peer.address)["ok"], "both have TLS 1.2 with ECDHE"


def test_it_all_fits_on_one_screen(console: Console, peer: Peer) -> None:
    peer.shows(hash_name="md5", not_after=1_700_000_000, not_before=1_600_000_000, purposes=(CLIENT_AUTH,))
    lines = console.run(f"x509 diagnose {peer.address}").text.splitlines()
    assert len(lines) <= 30
    assert max(len(line) for line in lines) <= 79
