"""OpenSSL's own client and server as peers of a whole gateway, both ways: what they say when they are refused."""

from __future__ import annotations

import contextlib
import json
import random
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from firmware.x509 import Certificate, DistinguishedName, PrivateKey, key_search
from firmware.x509.builder import CertificateTemplate, issue, root_extensions
from firmware.x509.der import boolean, object_identifier, octet_string, sequence
from firmware.x509.extension import basic_constraints, ext_key_usage, key_usage, subject_alt_name
from firmware.x509.oid import CLIENT_AUTH, SERVER_AUTH

DAY = 86_400
WAIT_S = 20

VERSIONS = {"tls1_2": "v11", "tls1_3": "modern"}

CASES = {
    "unknown CA": ({}, "unknown_ca"),
    "expired": ({"not_after": -DAY}, "certificate_expired"),
    "not yet valid": ({"not_before": DAY}, "certificate_expired"),
    "bad signature": ({"damaged": True}, "bad_certificate"),
    "purpose": ({"purposes": ("1.3.6.1.5.5.7.3.3",)}, "unsupported_certificate"),
    "unsupported critical extension": ({"critical": True}, "certificate_unknown"),
}
"""What is wrong, and the alert for it (RFC 5246 7.2.2)."""

ALERT_WORDS = {
    "unknown_ca": "unknown ca",
    "certificate_expired": "certificate expired",
    "bad_certificate": "bad certificate",
    "unsupported_certificate": "unsupported certificate",
    "certificate_unknown": "certificate unknown",
}
"""As OpenSSL prints them."""


@cache
def key_named(name: str) -> PrivateKey:
    search = key_search(1024, random.Random(name))
    while True:
        try:
            next(search)
        except StopIteration as end:
            key: PrivateKey = end.value
            return key


def certificate(
    subject: str,
    issuer: str,
    *,
    ca: bool = False,
    not_before: int = -DAY,
    not_after: int = 30 * DAY,
    purposes: tuple[str, ...] = (SERVER_AUTH, CLIENT_AUTH),
    critical: bool = False,
    damaged: bool = False,
) -> Certificate:
    """Signed by the key of the issuer's name; times count from now, in seconds."""
    now = int(time.time())
    extensions = [
        basic_constraints(ca=False),
        key_usage("digitalSignature", "keyEncipherment"),
        ext_key_usage(purposes),
        subject_alt_name(("localhost",), ()),
    ]
    if critical:
        extensions.append(sequence(object_identifier("2.5.29.30"), boolean(True), octet_string(sequence())))
    # One that ends before it begins is no certificate: what has expired began before that.
    template = CertificateTemplate(
        DistinguishedName(common_name=subject).name(),
        DistinguishedName(common_name=issuer).name(),
        key_named(subject).spki(),
        random.Random(f"{subject}{purposes}{critical}{damaged}").getrandbits(60) + 1,
        now + min(not_before, not_after - DAY),
        now + not_after,
        extensions=root_extensions(key_named(subject).public_key) if ca else tuple(extensions),
    )
    return issue(template, key_named("stranger" if damaged else issuer))


class PeerFiles:
    """Chain and key of a peer, as OpenSSL's programs take them."""

    def __init__(self, folder: Path, **difference: Any) -> None:
        self.root = certificate("root", "root", ca=True)
        self.chain = (certificate("peer", "issuing", **difference), certificate("issuing", "root", ca=True), self.root)
        names = [folder / name for name in ("cert.pem", "chain.pem", "key.pem")]
        texts = [self.chain[0].pem(), "".join(each.pem() for each in self.chain[1:]), key_named("peer").pem()]
        for name, text in zip(names, texts, strict=True):
            name.write_text(text)
        self.options = ["-cert", str(names[0]), "-cert_chain", str(names[1]), "-key", str(names[2])]


class Box:
    """``gatebench run`` with a console on a socket."""

    def __init__(self, folder: Path) -> None:
        ready = folder / "ready.json"
        ports = ["--https", "0", "--http", "0", "--sips", "0", "--tcp-console", "0"]
        command = [sys.executable, "-m", "hil", "run", "--console", "none", "--seed", "5", "--speed", "max"]
        self._process = subprocess.Popen(
            [*command, *ports, "--ready", str(ready), "--for", "120"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        until = time.monotonic() + WAIT_S
        while not ready.exists():
            assert self._process.poll() is None, self._process.stderr and self._process.stderr.read()
            assert time.monotonic() < until, "the gateway does not come up"
            time.sleep(0.02)
        facts = json.loads(ready.read_text())
        self.sips = port_of(facts["sips"])
        self._console = socket.create_connection(("127.0.0.1", port_of(facts["tcp_console"])), timeout=WAIT_S)
        self._send("")
        self._until(rb"login: $")
        self._send("admin")
        self._until(rb"password: $")
        self._send("ip800")
        self._until(rb"> $")

    def run(self, line: str) -> str:
        """One command."""
        self._send(line)
        return self._until(rb"> $").decode()

    def query(self, line: str) -> Any:
        """One command with ``/json``."""
        text = self.run(f"{line} /json")
        return json.loads(next(each for each in text.splitlines() if each[:1] in "{["))

    def trust(self, trusted: Certificate) -> None:
        self._send("x509 trust-add")
        self._until(rb"dot\r\n")
        for line in [*trusted.pem().splitlines(), "."]:
            self._send(line)
        self._until(rb"> $")

    def close(self) -> None:
        self._console.close()
        self._process.terminate()
        self._process.communicate(timeout=WAIT_S)

    def _send(self, line: str) -> None:
        self._console.sendall(line.encode() + b"\r")

    def _until(self, pattern: bytes) -> bytes:
        heard = b""
        while not re.search(pattern, heard):
            data = self._console.recv(65_536)
            assert data, f"the console has ended after {heard!r}"
            heard += data
        return heard


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1].strip("/"))


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    made = Box(tmp_path_factory.mktemp("box"))
    yield made
    made.close()


@pytest.fixture
def fresh(box: Box) -> Box:
    """The box without trust and without anything rejected."""
    for command in ("x509 trust-clear", "x509 rejected-clear", "tls profile v11"):
        box.run(command)
    return box


@contextlib.contextmanager
def s_server(openssl: str, version: str, files: PeerFiles, *more: str) -> Iterator[tuple[int, Callable[[], str]]]:
    """OpenSSL's server on a port of its choice: that port, and a function that ends it and gives what it said."""
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", f"-{version}", "-cipher", "DEFAULT:@SECLEVEL=0"]
    with subprocess.Popen(
        [*command, *files.options, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        assert server.stdout is not None
        said = b""
        while not (found := re.search(rb"ACCEPT [^\n]*:(\d+)\n", said)):
            assert select.select([server.stdout], [], [], WAIT_S)[0]
            said += server.stdout.read1()  # type: ignore[attr-defined]

        def ended() -> str:
            time.sleep(0.05)  # its last words come from another process
            server.terminate()
            assert server.stdout is not None
            return (said + server.stdout.read()).decode(errors="replace")

        yield int(found[1]), ended
        server.kill()


def s_client(openssl: str, version: str, port: int, *more: str) -> str:
    """What OpenSSL's client says; it stays until it is thrown out, or half a second."""
    command = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", f"-{version}", "-cipher", "DEFAULT:@SECLEVEL=0"]
    with subprocess.Popen(
        [*command, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as client:
        assert client.stdin is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.wait(0.7)
        return client.communicate(timeout=WAIT_S)[0].decode(errors="replace")


def rejected(box: Box) -> tuple[str, list[str]]:
    """Reason and fingerprints of the newest rejected chain."""
    newest = box.query("x509 rejected-list")[0]
    return newest["reason"], [each["sha1"] for each in newest["chain"]]


def sha1s(files: PeerFiles) -> list[str]:
    return [each.fingerprint("sha1") for each in files.chain]


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("reason", CASES)
def test_openssl_as_server_hears_the_alert_and_its_chain_is_kept(
    require_program, tmp_path: Path, fresh: Box, version: str, reason: str
) -> None:
    difference, alert = CASES[reason]
    files = PeerFiles(tmp_path, **difference)
    fresh.run(f"tls profile {VERSIONS[version]}")
    if reason != "unknown CA":
        fresh.trust(files.root)
    with s_server(require_program("openssl"), version, files) as (port, ended):
        answer = fresh.query(f"x509 connect 127.0.0.1:{port} /name localhost")
        said = ended()
    expected = "untrusted CA" if reason == "unknown CA" else reason
    assert answer["verdict"]["reason"] == expected
    assert answer["alerts"] == [f"{alert} sent"]
    assert f"alert {ALERT_WORDS[alert]}" in said
    assert rejected(fresh) == (expected, sha1s(files))


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("reason", CASES)
def test_openssl_as_client_hears_the_alert_and_its_chain_is_kept(
    require_program, tmp_path: Path, fresh: Box, version: str, reason: str
) -> None:
    difference, alert = CASES[reason]
    files = PeerFiles(tmp_path, **difference)
    fresh.run(f"tls profile {VERSIONS[version]}")
    if reason != "unknown CA":
        fresh.trust(files.root)
    said = s_client(require_program("openssl"), version, fresh.sips, *files.options)
    assert f"alert {ALERT_WORDS[alert]}" in said
    assert rejected(fresh) == ("untrusted CA" if reason == "unknown CA" else reason, sha1s(files))


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_in_both_roles_is_accepted_once_its_root_is_trusted(
    require_program, tmp_path: Path, fresh: Box, version: str
) -> None:
    files, openssl = PeerFiles(tmp_path), require_program("openssl")
    fresh.run(f"tls profile {VERSIONS[version]}")
    fresh.trust(files.root)
    assert "alert" not in s_client(openssl, version, fresh.sips, *files.options)
    with s_server(openssl, version, files, "-verify", "3") as (port, _):
        answer = fresh.query(f"x509 connect 127.0.0.1:{port} /name localhost")
    assert answer["ok"]
    assert answer["asked"]
    assert fresh.query("x509 rejected-list") == []


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_does_not_take_our_certificate_is_diagnosed(
    require_program, tmp_path: Path, fresh: Box, version: str
) -> None:
    files = PeerFiles(tmp_path)
    fresh.run(f"tls profile {VERSIONS[version]}")
    fresh.trust(files.root)
    strict = ("-Verify", "3", "-verify_return_error")
    with s_server(require_program("openssl"), version, files, *strict) as (port, _):
        answer = fresh.query(f"x509 diagnose 127.0.0.1:{port} /name localhost")
    assert answer["cause"] == "client"
    (finding,) = [each for each in answer["findings"] if each["check"] == "client"]
    assert "shown was CN=0090330611ac" in finding["text"]
    assert finding["command"]


@pytest.mark.peer("openssl")
def test_a_server_reached_by_address_must_have_that_address_in_its_certificate(
    require_program, tmp_path: Path, fresh: Box
) -> None:
    files = PeerFiles(tmp_path)
    fresh.trust(files.root)
    with s_server(require_program("openssl"), "tls1_2", files) as (port, _):
        answer = fresh.query(f"x509 diagnose 127.0.0.1:{port}")
    assert answer["cause"] == "name"
    assert "made out to localhost, peer, and 127.0.0.1 was asked for" in json.dumps(answer)
