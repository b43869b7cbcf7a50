"""The rejected list on a whole device, filled by real connections, and the way from there onto the trust list."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hil.console import Console
from hil.gateway import Gateway
from hil.tlsclient import TlsClient, client_context

SIPS = 5061
DAY = 86_400

PING, PONG = b"\r\n\r\n", b"\r\n"
"""Keep-alive of SIP over connections (RFC 5626 3.5.1): the shortest way to be answered."""


class Phone:
    """A SIP phone that shows a certificate."""

    def __init__(self, board: Gateway, directory: Path) -> None:
        self._board = board
        self._directory = directory

    def register(self, *certificates: Any, key: Any, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> bool:
        """Connects, shows the certificates, and pings. Whether it got an answer."""
        path = self._directory / "phone.pem"
        path.write_text(key.pem() + "".join(certificate.pem() for certificate in certificates))
        context = client_context(minimum=version, maximum=version)
        context.load_cert_chain(path)
        try:
            with TlsClient(self._board.connect(SIPS), context=context) as client:
                client.handshake()
                client.write(PING)
                return client.read() == PONG
        except (ssl.SSLError, ConnectionError):
            return False


@pytest.fixture
def phone(board: Gateway) -> Iterator[Phone]:
    with tempfile.TemporaryDirectory() as directory:
        yield Phone(board, Path(directory))


@pytest.fixture
def rejected(console: Console) -> Any:
    """What the list says now."""
    return lambda: console.run("x509 rejected-list /json").json


def test_fast_trust_list_set_up_as_the_reference_text_lists_it(
    console: Console, phone: Phone, outside: Any, rejected: Any
) -> None:
    identity = outside.identity("phone")
    assert not phone.register(*identity.chain, key=identity.key)
    assert console.run("x509 rejected-clear").text == "1 rejected chain removed"
    assert not phone.register(*identity.chain, key=identity.key), "make a test run (shouldn't work!)"
    (entry,) = rejected()
    assert console.run(f"x509 rejected-trust /index {entry['index']}").text == "trusted: CN=Outside Root CA"
    assert rejected() == []
    assert phone.register(*identity.chain, key=identity.key), "make a test run again (should work this time!)"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_refused_chain_is_shown_whole(
    console: Console, phone: Phone, outside: Any, rejected: Any, version: ssl.TLSVersion
) -> None:
    console.run("tls profile modern")
    identity = outside.identity("phone")
    assert not phone.register(*identity.chain, key=identity.key, version=version)
    (entry,) = rejected()
    assert [each["sha1"] for each in entry["chain"]] == [each.fingerprint("sha1") for each in identity.chain]
    assert entry["role"] == "client"
    assert entry["reason"] == "untrusted CA"
    assert entry["time"].startswith("2026-01-01T00:00:")
    assert entry["peer"]


def test_without_its_root_it_is_an_unknown_ca_and_the_last_intermediate_has_to_be_trusted(
    console: Console, phone: Phone, outside: Any, rejected: Any
) -> None:
    identity = outside.identity("phone")
    chain = identity.chain[:2]
    assert not phone.register(*chain, key=identity.key)
    (entry,) = rejected()
    assert entry["reason"] == "unknown CA"
    assert "trust the last intermediate, CN=Outside Issuing CA" in entry["hint"]
    assert "trust the last intermediate" in console.run("x509 rejected-show").text
    assert console.run("x509 rejected-trust /index 0").text == "trusted: CN=Outside Issuing CA"
    assert phone.register(*chain, key=identity.key)


def test_a_self_signed_phone_is_trusted_by_itself(console: Console, phone: Phone, outside: Any, rejected: Any) -> None:
    certificate, key = outside.self_signed("phone"), outside.key("phone")
    assert not phone.register(certificate, key=key)
    assert rejected()[0]["hint"] == "untrusted CA: to accept this peer, trust this certificate, CN=phone"
    console.run("x509 rejected-trust /index 0")
    assert phone.register(certificate, key=key)


def test_one_certificate_of_the_chain_can_be_chosen(
    console: Console, phone: Phone, outside: Any, rejected: Any
) -> None:
    identity = outside.identity("phone")
    phone.register(*identity.chain, key=identity.key)
    leaf = identity.leaf.fingerprint("sha1")
    assert console.run(f"x509 rejected-trust /sha1 {leaf}").text == "trusted: CN=phone"
    assert rejected() == []
    assert [each["sha1"] for each in console.run("x509 trust-list /json").json] == [leaf]
    assert phone.register(*identity.chain, key=identity.key), "endpoint trust"


def test_an_expired_certificate_cannot_be_trusted(
    console: Console, phone: Phone, outside: Any, rejected: Any, now_s: int
) -> None:
    identity = outside.identity("phone", not_after=now_s - DAY)
    phone.register(*identity.chain, key=identity.key)
    leaf = identity.leaf.fingerprint("sha1")
    error = console.run(f"x509 rejected-trust /sha1 {leaf}", check=False).error or ""
    assert error == "CN=phone has expired on 2025-12-31T00:00:00Z: not trusted"
    assert console.run("x509 trust-list /json").json == []
    assert len(rejected()) == 1


def test_an_expired_phone_of_a_trusted_ca_is_told_apart(
    console: Console, phone: Phone, outside: Any, rejected: Any, now_s: int
) -> None:
    console.paste("x509 trust-add", outside.root.pem())
    identity = outside.identity("phone", not_after=now_s - DAY)
    assert not phone.register(*identity.chain, key=identity.key)
    (entry,) = rejected()
    assert entry["reason"] == "expired"
    assert entry["hint"] == "an expired certificate cannot be trusted: the peer needs a new one"


def test_the_same_peer_makes_one_entry_and_the_newest_comes_first(
    console: Console, phone: Phone, outside: Any, rejected: Any
) -> None:
    first, second = outside.identity("first"), outside.identity("second")
    for identity in (first, second, first, first):
        phone.register(*identity.chain, key=identity.key)
    entries = rejected()
    assert [(entry["index"], entry["chain"][0]["subject"], entry["count"]) for entry in entries] == [
        (0, "CN=first", 3),
        (1, "CN=second", 1),
    ]


def test_eleven_peers_push_the_oldest_out(console: Console, phone: Phone, outside: Any, rejected: Any) -> None:
    key = outside.key("all")
    for number in range(11):
        phone.register(outside.certificate(f"p{number}", key), key=key)
    assert [entry["chain"][0]["subject"] for entry in rejected()] == [f"CN=p{number}" for number in range(10, 0, -1)]


def test_trusting_a_ca_takes_along_every_chain_that_it_issued(
    console: Console, phone: Phone, outside: Any, outside_named: Any, rejected: Any
) -> None:
    stranger = outside_named("Stranger").identity("other")
    for identity in (outside.identity("first"), stranger, outside.identity("second")):
        phone.register(*identity.chain, key=identity.key)
    assert len(rejected()) == 3
    console.run("x509 rejected-trust /index 0")
    assert [entry["chain"][0]["subject"] for entry in rejected()] == ["CN=other"]


def test_one_chain_can_be_forgotten(console: Console, phone: Phone, outside: Any, rejected: Any) -> None:
    for name in ("first", "second"):
        identity = outside.identity(name)
        phone.register(*identity.chain, key=identity.key)
    assert console.run("x509 rejected-clear /index 1").text == "1 rejected chain removed"
    assert [entry["chain"][0]["subject"] for entry in rejected()] == ["CN=second"]


def test_what_is_not_there_is_said_so(console: Console) -> None:
    assert console.run("x509 rejected-list").text == "no chain was rejected"
    assert console.run("x509 rejected-list /json").json == []
    for command in ("rejected-show", "rejected-trust /index 0", "rejected-clear /index 0"):
        assert console.run(f"x509 {command}", check=False).error == "/index 0: no chain was rejected"
    assert "which one" in (console.run("x509 rejected-trust", check=False).error or "")
    missing = "ab" * 20
    for command in ("rejected-show", "rejected-trust"):
        assert missing in (console.run(f"x509 {command} /sha1 {missing}", check=False).error or "")


def test_the_list_is_empty_after_a_restart(
    console: Console, board: Gateway, phone: Phone, outside: Any, rejected: Any
) -> None:
    identity = outside.identity("phone")
    phone.register(*identity.chain, key=identity.key)
    board.power_cycle()
    console.login()
    assert rejected() == []


def test_open_connections_go_on_when_their_trust_goes_and_new_ones_fail(
    console: Console, board: Gateway, phone: Phone, outside: Any, tmp_path: Path
) -> None:
    console.paste("x509 trust-add", outside.root.pem())
    identity = outside.identity("phone")
    path = tmp_path / "phone.pem"
    path.write_text(identity.key.pem() + "".join(certificate.pem() for certificate in identity.chain))
    context = client_context(maximum=ssl.TLSVersion.TLSv1_2)
    context.load_cert_chain(path)
    with TlsClient(board.connect(SIPS), context=context) as client:
        client.handshake()
        client.write(PING)
        assert client.read() == PONG
        console.run("x509 trust-clear")
        client.write(PING)
        assert client.read() == PONG
    assert not phone.register(*identity.chain, key=identity.key)
