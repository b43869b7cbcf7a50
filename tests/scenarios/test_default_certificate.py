"""A board without a certificate makes its own: the window in which HTTPS and SIPS are off."""

from __future__ import annotations

import json

import pytest

from hil.bench import Bench
from hil.console import Console
from hil.gateway import Gateway
from hil.tlsclient import TlsClient

HTTPS, SIPS, HTTP = 443, 5061, 80


def accepts(gateway: Gateway, port: int) -> bool:
    """Whether a connection to the port is accepted now."""
    client = gateway.connect(port)
    gateway.bench.run_until(lambda: client.status != "connecting", timeout_ms=1_000)
    accepted = client.status == "open"
    client.close()
    return accepted


@pytest.mark.gatebench(factory="upgraded")
def test_https_and_sips_refuse_until_the_default_certificate_is_stored(console: Console, board: Gateway) -> None:
    assert not accepts(board, HTTPS)
    assert not accepts(board, SIPS)
    assert accepts(board, HTTP)
    assert "HTTPS and SIPS are off until it is ready" in console.run("log").text
    console.run("x509 servercert-wait", timeout_ms=60_000)
    assert accepts(board, HTTPS)
    assert accepts(board, SIPS)


@pytest.mark.gatebench(factory="upgraded")
def test_https_accepts_within_100_ms_of_the_certificate_being_stored(bench: Bench, board: Gateway) -> None:
    board.console.expect("default certificate ready", timeout_ms=60_000)
    stored_ns = bench.clock.now_ns
    assert bench.run_until(lambda: accepts(board, HTTPS), timeout_ms=100)
    assert bench.clock.now_ns - stored_ns <= 100_000_000


@pytest.mark.gatebench(factory="upgraded")
def test_the_default_certificate_is_the_one_the_reference_text_describes(console: Console) -> None:
    console.run("x509 servercert-wait", timeout_ms=60_000)
    shown = console.run("x509 servercert-show /json").json
    assert shown["source"] == "default"
    (certificate,) = shown["chain"]
    assert certificate["subject"] == "CN=IP800-06-11-ac"
    assert certificate["self_signed"]
    assert certificate["key_bits"] == 1024
    assert certificate["signature"] == "sha256WithRSAEncryption"
    assert certificate["not_before"].startswith("2026-01-01")
    assert certificate["not_after"].startswith("2036-01-01")


@pytest.mark.gatebench(factory="upgraded")
def test_the_console_answers_within_50_ms_while_a_key_is_being_searched(console: Console, bench: Bench) -> None:
    console.run("x509 servercert-wait", timeout_ms=60_000)
    console.run("x509 servercert-create /key 4096-bit /dn-cn slow")
    worst_ns = 0
    for _ in range(20):
        mark = console.mark()
        console.send_line("ser")
        typed_ns = bench.clock.now_ns
        console.expect(r"ser\r\n", since=mark)
        echoed_ns = bench.clock.now_ns
        console.expect(console.prompt, since=mark)
        worst_ns = max(worst_ns, bench.clock.now_ns - echoed_ns)
        assert echoed_ns - typed_ns < 50_000_000
        bench.run_for(ms=37)
    assert worst_ns < 50_000_000
    usage = console.run("cpu mips-usage /json").json
    assert usage["cycles"]["keygen"] > 0
    assert 0.4 < usage["load_1s"] < 0.6, "key generation has a share of half the CPU"


@pytest.mark.gatebench(factory="upgraded")
def test_renewing_the_default_certificate_closes_https_again(console: Console, board: Gateway) -> None:
    console.run("x509 servercert-wait", timeout_ms=60_000)
    before = console.run("x509 servercert-show /json").json["chain"][0]["sha1"]
    console.run("x509 servercert-renew")
    assert not accepts(board, HTTPS)
    console.run("x509 servercert-wait", timeout_ms=60_000)
    assert accepts(board, HTTPS)
    assert console.run("x509 servercert-show /json").json["chain"][0]["sha1"] != before


@pytest.mark.gatebench(factory="upgraded")
def test_a_cancelled_default_certificate_is_begun_anew_because_the_box_has_no_other(console: Console) -> None:
    assert "cancelled" in console.run("x509 servercert-cancel").text
    console.run("x509 servercert-wait", timeout_ms=60_000)
    assert console.run("x509 servercert-show /json").json["source"] == "default"


@pytest.mark.gatebench(factory="upgraded", time="unset")
def test_a_certificate_made_before_the_time_was_known_is_marked(console: Console) -> None:
    console.run("x509 servercert-wait", timeout_ms=60_000)
    assert console.run("x509 servercert-show /json").json["undated"] is True
    assert "made before the time was known" in console.run("x509 servercert-show").text
    console.run("ctime 2026-11-23T12:00:00Z")
    console.run("x509 servercert-renew")
    console.run("x509 servercert-wait", timeout_ms=60_000)
    assert console.run("x509 servercert-show /json").json["undated"] is False


def test_a_factory_board_serves_https_with_the_manufacturers_certificate(console: Console, board: Gateway) -> None:
    shown = console.run("x509 servercert-show /json").json
    assert shown["source"] == "builtin"
    assert [certificate["subject"] for certificate in shown["chain"]] == [
        "CN=0090330611ac,O=gatebench",
        "CN=gatebench Device Certification Authority,O=gatebench",
    ]
    with TlsClient(board.connect(HTTPS)) as client:
        client.handshake()
        page = client.request("GET", "/")
    assert page.status == 200
    assert "IP800-06-11-ac" in page.text


def test_clearing_a_device_certificate_brings_the_built_in_one_back(console: Console) -> None:
    console.run("x509 servercert-create /dn-cn mine")
    console.run("x509 servercert-wait", timeout_ms=60_000)
    assert console.run("x509 servercert-show /json").json["source"] == "device"
    console.run("x509 servercert-clear")
    assert console.run("x509 servercert-show /json").json["source"] == "builtin"
    assert "built-in" in (console.run("x509 servercert-clear", check=False).error or "")
    assert "built-in" in (console.run("x509 servercert-renew", check=False).error or "")


def test_the_box_survives_a_power_cycle_with_its_certificate(console: Console, board: Gateway) -> None:
    console.run("x509 servercert-create /dn-cn keeps")
    console.run("x509 servercert-wait", timeout_ms=60_000)
    before = json.dumps(console.run("x509 servercert-show /json").json["chain"])
    board.power_cycle()
    console.login()
    assert json.dumps(console.run("x509 servercert-show /json").json["chain"]) == before


@pytest.mark.gatebench(factory="upgraded")
def test_an_expired_default_certificate_says_how_to_renew_it_and_renewing_mends_it(
    console: Console, bench: Bench
) -> None:
    console.run("x509 servercert-wait", timeout_ms=60_000)
    assert console.run("x509 servercert-show /json").json["hints"] == []
    console.run("ctime 2036-03-01T00:00:00Z")
    shown = console.run("x509 servercert-show /json").json
    hint = "the default certificate has expired: x509 servercert-renew makes a new one"
    assert shown["hints"] == [hint]
    assert shown["expiring"][0]["state"] == "expired"
    assert hint in console.run("x509 servercert-show").text
    bench.run_for(ms=3_600_000)
    console.login()
    assert hint in console.run("log").text
    console.run("x509 servercert-renew")
    console.run("x509 servercert-wait", timeout_ms=60_000)
    shown = console.run("x509 servercert-show /json").json
    assert (shown["hints"], shown["expiring"]) == ([], [])
    assert shown["chain"][0]["not_after"].startswith("2046-03-01")


def test_the_share_of_key_generation_can_be_configured(console: Console, bench: Bench) -> None:
    console.run("config change CPU /background-percent 20")
    console.run("config activate")
    console.run("x509 servercert-create /key 4096-bit /dn-cn slow")
    bench.run_for(ms=3_000)
    assert 0.15 < console.run("cpu mips-usage /json").json["load_1s"] < 0.25
    assert "/background-percent '0': must be 1 to 100" in (
        console.run("config change CPU /background-percent 0", check=False).error or ""
    )


@pytest.mark.gatebench(factory="upgraded")
def test_whoever_waits_is_told_once(console: Console) -> None:
    mark = console.mark()
    console.run("x509 servercert-wait", timeout_ms=60_000)
    console.run("info")
    assert console.since(mark).count("default certificate ready") == 1
    assert "default certificate ready" in console.run("log").text


@pytest.mark.gatebench(factory="upgraded")
def test_renewing_behind_a_device_certificate_says_nothing_of_services_that_stay_on(
    console: Console, board: Gateway
) -> None:
    console.run("x509 servercert-wait", timeout_ms=60_000)
    console.run("x509 servercert-create /key 1024-bit /dn-cn gw")
    console.run("x509 servercert-wait", timeout_ms=60_000)
    mark = console.mark()
    console.run("x509 servercert-renew")
    assert accepts(board, HTTPS)
    console.run("x509 servercert-wait", timeout_ms=60_000)
    assert "default certificate is being created\n" in console.since(mark).replace("\r", "")
    assert "off until" not in console.since(mark)
