"""The trust list on a whole device: everything that the reference text says of it, on the console and as JSON."""

from __future__ import annotations

import base64
import textwrap
from typing import Any

import pytest

from firmware.storage import Store, flash_map
from firmware.x509 import DistinguishedName
from firmware.x509.trust import TrustList
from hil.bench import Bench
from hil.console import Console
from hil.gateway import Gateway

DAY = 86_400


def sha1s(console: Console) -> list[str]:
    return [entry["sha1"] for entry in console.run("x509 trust-list /json").json]


def test_a_file_with_several_certificates_and_text_between_them_is_added_at_once(
    console: Console, outside: Any
) -> None:
    pem = f"our root\n{outside.root.pem()}\nand below it\n{outside.intermediate.pem()}the end"
    reply = console.paste("x509 trust-add", pem)
    assert reply.lines == ["trusted: CN=Outside Root CA", "trusted: CN=Outside Issuing CA"]
    listed = console.run("x509 trust-list /json").json
    assert {entry["subject"] for entry in listed} == {"CN=Outside Root CA", "CN=Outside Issuing CA"}
    assert all(entry["ca"] and entry["valid"] for entry in listed)


def test_details_show_the_fingerprints_that_owners_publish(console: Console, outside: Any) -> None:
    console.paste("x509 trust-add", outside.root.pem())
    sha1 = outside.root.fingerprint("sha1")
    text = console.run(f"x509 trust-show /sha1 {sha1}").text
    for name in ("sha1", "md5", "sha256"):
        pairs = textwrap.wrap(outside.root.fingerprint(name).upper(), 2)
        assert ":".join(pairs) in text
    shown = console.run(f"mod cmd X509 trust-show /sha1 {':'.join(textwrap.wrap(sha1, 2))} /json").json
    assert shown["sha1"] == sha1
    assert shown["self_signed"]


def test_der_comes_and_goes_as_base64_however_it_is_folded(console: Console, outside: Any) -> None:
    lines = "\n".join(textwrap.wrap(base64.b64encode(outside.root.der).decode(), 64))
    assert console.paste("x509 trust-add", lines).text == "trusted: CN=Outside Root CA"
    sha1 = outside.root.fingerprint("sha1")
    copied = console.run(f"x509 trust-get /sha1 {sha1} /format der").text
    assert base64.b64decode(copied) == outside.root.der


def test_what_is_known_already_is_said_to_be(console: Console, outside: Any) -> None:
    console.paste("x509 trust-add", outside.root.pem())
    reply = console.paste("x509 trust-add", outside.root.pem() * 2 + outside.intermediate.pem())
    assert reply.lines == ["trusted: CN=Outside Issuing CA", "1 already trusted"]


@pytest.mark.parametrize("form", ["pem", "der"])
def test_the_whole_list_can_be_downloaded_and_uploaded_to_another_box(
    bench: Bench, console: Console, outside: Any, form: str
) -> None:
    console.paste(
        "x509 trust-add", outside.root.pem() + outside.intermediate.pem() + outside.certificate("phone").pem()
    )
    text = console.run(f"x509 trust-get /format {form}").text
    other = bench.gateway("ip800")
    other.power_on()
    other.console.login()
    other.console.paste("x509 trust-add", text)
    assert sha1s(other.console) == sha1s(console)
    assert len(sha1s(console)) == 3


def test_selected_entries_are_removed_all_or_none(console: Console, outside: Any) -> None:
    console.paste("x509 trust-add", outside.root.pem() + outside.intermediate.pem())
    root, issuing = outside.root.fingerprint("sha1"), outside.intermediate.fingerprint("sha1")
    refused = console.run(f"x509 trust-remove /sha1 {root} /sha1 {'ab' * 20}", check=False)
    assert "abab" in (refused.error or "")
    assert sorted(sha1s(console)) == sorted([root, issuing])
    assert console.run(f"x509 trust-remove /sha1 {root} /sha1 {issuing}").lines == [
        "removed: CN=Outside Root CA",
        "removed: CN=Outside Issuing CA",
    ]
    assert console.run("x509 trust-list").text == "the trust list is empty"


def test_clear_removes_all(console: Console, outside: Any) -> None:
    console.paste("x509 trust-add", outside.root.pem() + outside.intermediate.pem())
    assert console.run("x509 trust-clear").text == "2 certificates removed"
    assert sha1s(console) == []


def test_the_list_survives_a_power_cut(console: Console, board: Gateway, outside: Any) -> None:
    console.paste("x509 trust-add", outside.root.pem() + outside.intermediate.pem())
    before = sha1s(console)
    board.power_cycle()
    console.login()
    assert sha1s(console) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "neither PEM nor base64"),
        ("", "neither PEM nor base64"),
        ("-----BEGIN CERTIFICATE-----\nMIIB", "no end line"),
        ("-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----", "damaged"),
        ("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "no certificate found"),
        ("aGVsbG8gd29ybGQ=", "no certificate"),
    ],
)
def test_what_is_no_certificate_changes_nothing(console: Console, text: str, message: str) -> None:
    assert message in (console.paste("x509 trust-add", text, check=False).error or "")
    assert sha1s(console) == []


def test_one_bad_certificate_keeps_the_good_one_beside_it_out(console: Console, outside: Any) -> None:
    bad = outside.intermediate.pem().replace("MII", "AII", 1)
    assert "certificate 2 of 2" in (console.paste("x509 trust-add", outside.root.pem() + bad, check=False).error or "")
    assert sha1s(console) == []


def test_what_expires_is_marked_in_the_list_and_stands_in_a_list_of_its_own(
    console: Console, outside: Any, now_s: int
) -> None:
    soon = outside.certificate("soon", not_after=now_s + 12 * DAY + 3_600)
    gone = outside.certificate("gone", not_after=now_s - 3_600)
    later = outside.certificate("later", not_before=now_s + DAY)
    console.paste("x509 trust-add", soon.pem() + gone.pem() + later.pem() + outside.root.pem())
    lines = console.run("x509 trust-list").lines
    marks = {line.split("CN=")[1] for line in lines}
    assert marks == {"soon (expires in 12 days)", "gone (expired)", "later (not yet valid)", "Outside Root CA"}
    found = console.run("x509 expiry-list /json").json
    assert [(entry["place"], entry["state"], entry["certificate"]["subject"]) for entry in found] == [
        ("trust list", "expired", "CN=gone"),
        ("trust list", "expiring", "CN=soon"),
    ]
    assert found[1]["days_left"] == 12


def test_how_many_days_count_as_soon_can_be_configured(console: Console, outside: Any, now_s: int) -> None:
    console.paste("x509 trust-add", outside.certificate("soon", not_after=now_s + 12 * DAY).pem())
    console.run("config change X509 /expiry-days 7")
    console.run("config activate")
    assert "expires in" not in console.run("x509 trust-list").text
    assert console.run("x509 expiry-list").text == "no certificate expires soon"


def test_reading_and_checking_what_is_shown_is_paid_for(console: Console, board: Gateway, outside: Any) -> None:
    console.paste("x509 trust-add", outside.root.pem())
    before = console.run("cpu mips-usage /json").json["cycles"]
    console.run("x509 trust-list /json")
    first = console.run("cpu mips-usage /json").json["cycles"]
    console.run("x509 trust-list /json")
    second = console.run("cpu mips-usage /json").json["cycles"]
    assert first["rsa-public"] > before.get("rsa-public", 0), "whether it is self-signed was tried"
    assert second["rsa-public"] == first["rsa-public"], "and is known from then on"


def test_what_expires_is_logged_after_boot_and_then_once_a_day(
    bench: Bench, console: Console, board: Gateway, outside: Any, now_s: int
) -> None:
    console.paste("x509 trust-add", outside.certificate("soon", not_after=now_s + 12 * DAY + 3_600).pem())
    board.power_cycle()
    console.login()
    lines = [line for line in console.run("log").lines if "expires in" in line]
    assert len(lines) == 1
    assert "X509 trust list: CN=soon expires in 12 days: 2026-01-13T01:00:00Z" in lines[0]
    bench.run_for(ms=3 * DAY * 1_000)
    console.login()
    text = console.run("log").text
    assert text.count("expires in") == 4
    assert "expires in 9 days" in text


@pytest.mark.gatebench(time="unset")
def test_without_the_time_nothing_is_said_to_expire_until_it_is_set(
    bench: Bench, console: Console, board: Gateway, outside: Any, now_s: int
) -> None:
    console.paste("x509 trust-add", outside.certificate("gone", not_after=now_s - 3_600).pem())
    bench.run_for(ms=10 * 60_000)
    console.login()
    assert "CN=gone" not in console.run("log").text
    console.run("ctime 2026-01-01T00:00:00Z")
    bench.run_for(ms=61_000)
    assert "trust list: CN=gone expired" in console.run("log").text


def test_names_from_strangers_cannot_steer_the_terminal(console: Console, outside: Any) -> None:
    key = outside.key("odd")
    subject = DistinguishedName(common_name="abc[2J").name().raw.replace(b"c[", b"\x1b[")
    certificate = outside.issued(subject, key.spki())
    mark = console.mark()
    console.paste("x509 trust-add", certificate.pem())
    sha1 = certificate.fingerprint("sha1")
    for command in ("trust-list", "trust-list /json", f"trust-show /sha1 {sha1}", f"trust-remove /sha1 {sha1}"):
        console.run(f"x509 {command}")
    assert "\x1b[2J" not in console.since(mark)


@pytest.mark.needs_faults
def test_what_the_flash_cannot_hold_is_refused_as_a_whole(bench: Bench, outside: Any) -> None:
    """The flash is filled from outside, as years of variables and some pastes over the serial line would."""
    board = bench.gateway("ip800")
    flash = board.board.flash
    store = Store(flash, *flash_map(flash).store)
    store.mount()
    key = outside.key("many")
    trust = TrustList(store)
    for _ in range(60):
        trust.add([outside.certificate(f"many{store.free_bytes}{number}", key) for number in range(10)])
    filler = 0
    while store.free_bytes > 20_000:
        store.commit({f"vars/FILLER/{filler}": bytes(min(60_000, store.free_bytes - 15_000))})
        filler += 1
    board.power_on()
    board.console.login()
    before = len(board.console.run("x509 trust-list", timeout_ms=60_000).lines)
    text = "".join(outside.certificate(f"last{number}", key).pem() for number in range(60))
    error = board.console.paste("x509 trust-add", text, check=False, timeout_ms=60_000).error or ""
    assert "flash is full" in error
    lines = board.console.run("x509 trust-list", timeout_ms=60_000).lines
    assert len(lines) == before > 500
    assert not [line for line in lines if "CN=last" in line]
    board.console.paste("x509 trust-add", outside.root.pem())
