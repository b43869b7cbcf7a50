"""The root CA on the CF card: made there, used from there, and never anywhere else."""

from __future__ import annotations

import base64

import pytest

from cfcard.fat import Fat
from hil.bench import Bench
from hil.cards import CardPort
from hil.console import Console
from hil.gateway import Gateway
from hil.tlsclient import TlsClient

CREATE = "x509 rootca-create /key 1024-bit /years 10 /dn-cn Bench%20CA"


def card_files(card: CardPort) -> dict[str, bytes]:
    """Every file of the card, read by the host."""
    volume = Fat().mount(card.card.device)
    found: dict[str, bytes] = {}

    def walk(directory: str) -> None:
        for name, kind, _, _ in volume.ilistdir(directory or "/"):
            path = f"{directory}/{name}"
            if kind == 0x4000:
                walk(path)
            else:
                found[path] = volume.read_file(path)

    walk("")
    return found


def test_the_three_files_of_the_reference_text_are_on_the_card(console: Console, card: CardPort) -> None:
    console.run(CREATE, timeout_ms=600_000)
    files = card_files(card)
    assert files["/CA/cacert.pem"].startswith(b"-----BEGIN CERTIFICATE-----")
    assert b"PRIVATE KEY-----" in files["/CA/cakey.pem"]
    assert files["/CA/serial.txt"] == b"01\n"
    for name in ("cacert.pem", "cakey.pem", "serial.txt"):
        assert files[f"/CA/{name}"] == files[f"/CABAK/{name}"]


def test_the_cas_key_is_neither_in_flash_nor_in_any_output(console: Console, card: CardPort, board: Gateway) -> None:
    console.run(CREATE, timeout_ms=600_000)
    console.run("x509 rootca-issue /dn-cn dev", timeout_ms=600_000)
    pem = card_files(card)["/CA/cakey.pem"].decode()
    body = pem.split("-----")[2].split()
    assert not any(line in console.text for line in body)
    der = base64.b64decode("".join(body))
    secret = der[-64:]
    assert secret not in board.flash_image


def test_a_device_certificate_is_issued_with_serial_and_backup(console: Console, card: CardPort) -> None:
    console.run(CREATE, timeout_ms=600_000)
    text = console.run(
        "x509 rootca-issue /years 3 /dn-cn gw.example.com /san-dns gw.example.com /san-ip 192.0.2.1 /backup",
        timeout_ms=600_000,
    ).text
    assert "serial 01" in text
    device, root = console.run("x509 servercert-show /json").json["chain"]
    assert device["issuer"] == root["subject"] == "CN=Bench CA"
    assert device["serial"] == "01"
    assert set(device["san"]) == {"DNS:gw.example.com", "IP:192.0.2.1"}
    files = card_files(card)
    assert files["/CA/serial.txt"] == files["/CABAK/serial.txt"] == b"02\n"
    assert files["/BACKUP/IP800-06-11-ac-01.pem"].count(b"BEGIN CERTIFICATE") == 2


def test_no_serial_number_is_issued_twice(console: Console, card: CardPort) -> None:
    console.run(CREATE, timeout_ms=600_000)
    serials = []
    for number in range(4):
        console.run(f"x509 rootca-issue /key 1024-bit /dn-cn dev{number}", timeout_ms=600_000)
        serials.append(console.run("x509 servercert-show /index 0 /json").json["serial"])
    assert serials == ["01", "02", "03", "04"]


def test_a_card_with_a_ca_is_not_written_over(console: Console, card: CardPort) -> None:
    console.run(CREATE, timeout_ms=600_000)
    before = card_files(card)
    assert "holds a root CA already: CN=Bench CA" in (console.run(CREATE, check=False, timeout_ms=600_000).error or "")
    assert card_files(card) == before


def test_trust_puts_the_root_on_the_trust_list(console: Console, card: CardPort) -> None:
    console.run(CREATE, timeout_ms=600_000)
    console.run("x509 rootca-trust")
    (trusted,) = console.run("x509 trust-list /json").json
    assert trusted["subject"] == "CN=Bench CA"
    assert "already trusted" in console.run("x509 rootca-trust").text


def test_the_ca_works_in_another_box(bench: Bench, console: Console, card: CardPort) -> None:
    console.run(CREATE, timeout_ms=600_000)
    card.remove()
    console.expect("card removed")
    other = bench.gateway("ip800")
    other.power_on()
    other.console.login()
    other.insert_card(card.card)
    other.console.expect("card inserted: 64 MiB, mounted")
    other.console.run("x509 rootca-issue /dn-cn other", timeout_ms=600_000)
    assert other.console.run("x509 servercert-show /index 0 /json").json["issuer"] == "CN=Bench CA"


def test_without_a_card_one_line_says_so(console: Console) -> None:
    for command in (CREATE, "x509 rootca-show", "x509 rootca-issue /dn-cn x", "card ls", "card check"):
        assert "no card in the slot" in (console.run(command, check=False).error or ""), command


@pytest.mark.gatebench(model="ip232")
def test_a_model_without_a_slot_says_so(console: Console) -> None:
    assert "no card slot" in (console.run(CREATE, check=False).error or "")


def test_a_card_pulled_during_key_generation_ends_it_with_a_clear_error(
    console: Console, card: CardPort, bench: Bench
) -> None:
    mark = console.mark()
    console.send_line("x509 rootca-create /key 4096-bit /dn-cn Gone")
    bench.run_for(ms=5_000)
    card.remove()
    console.expect("error: .*the card was removed", since=mark, timeout_ms=60_000)
    console.expect(console.prompt)
    assert console.run("card info").text == "state: absent"


def test_a_foreign_file_system_is_refused_and_left_alone(console: Console, card: CardPort) -> None:
    console.run("card info")
    card.remove()
    console.expect("card removed")
    image = b"not a file system".ljust(512, b"\0")
    card.card.device.writeblocks(0, image)
    card.insert()
    console.expect("card inserted: .*no usable FAT file system")
    assert "no usable FAT" in (console.run(CREATE, check=False).error or "")
    sector = bytearray(512)
    card.card.device.readblocks(0, sector)
    assert bytes(sector) == image


def test_no_page_command_or_variable_gives_the_cas_key_away(console: Console, card: CardPort, board: Gateway) -> None:
    console.run(CREATE, timeout_ms=600_000)
    console.run("x509 rootca-issue /dn-cn dev", timeout_ms=600_000)
    pem = card_files(card)["/CA/cakey.pem"].decode()
    lines = pem.split("-----")[2].split()
    der = base64.b64decode("".join(lines))
    secrets = [*lines, der[200:232].hex(), base64.b64encode(der[200:230]).decode()]

    mark = console.mark()
    commands = ["x509 rootca-show", "x509 servercert-get", "x509 xml-info", "card ls /CA", "vars read", "log", "info"]
    commands += ["card ls /CA/cakey.pem", "vars read CA/cakey.pem", "config show", "card get /CA/cakey.pem"]
    for command in commands:
        console.run(command, check=False)
    assert not [line for line in secrets if line in console.since(mark)]

    paths = ["/CA/cakey.pem", "/ca/cakey.pem", "/CABAK/cakey.pem", "/card/CA/cakey.pem", "/DRIVE/CF0/CA/cakey.pem"]
    paths += ["/", "/cert.pem", "/cert.pem?index=9", "//CA/cakey.pem", "/%43A/cakey.pem", "/x/../CA/cakey.pem"]
    for path in paths:
        for port in (80, 443):
            body = fetched(board, port, path)
            assert not [line for line in secrets if line in body], path
            assert "cakey" not in path or body.startswith(("HTTP/1.1 404", "HTTP/1.1 400")), path
            assert body.startswith("HTTP/1.1 "), path


def fetched(board: Gateway, port: int, path: str) -> str:
    """Whatever the box answers to a request for a path."""
    request = f"GET {path} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n".encode()
    if port == 443:
        with TlsClient(board.connect(port)) as client:
            client.handshake()
            client.write(request)
            return b"".join(iter(client.read, b"")).decode("latin-1")
    connection = board.connect(port)
    connection.wait_open()
    connection.write(request)
    return connection.read_all().decode("latin-1")


def test_ctrl_c_while_the_result_is_written_says_what_came_of_it(console: Console, card: CardPort) -> None:
    mark = console.mark()
    console.send_line(CREATE)
    written = card.card.device.writeblocks
    before: list[int] = []

    def noted(lba: int, data: bytes) -> None:
        if not before:
            console.send(b"\x03")
        before.append(lba)
        written(lba, data)

    card.card.device.writeblocks = noted  # type: ignore[method-assign]
    console.expect(r"\^C", since=mark, timeout_ms=600_000)
    console.expect(console.prompt, timeout_ms=60_000)
    answer = console.since(mark)
    assert "^C" in answer
    assert "interrupted" not in answer
    assert answer.count("root CA ready: CN=Bench CA is on the card") == 1
    assert "CN=Bench CA" in console.run("x509 rootca-show").text


@pytest.mark.gatebench(time="unset")
def test_a_ca_that_is_made_before_the_time_is_known_is_marked_so(console: Console, card: CardPort) -> None:
    made = console.run(CREATE, timeout_ms=600_000).lines[-1]
    assert made == "root CA ready: CN=Bench CA is on the card, made before the time was known"
    issued = console.run("x509 rootca-issue /dn-cn dev /backup", timeout_ms=600_000).lines[-1]
    assert issued.endswith("CN=dev, serial 01, backup on the card, made before the time was known")


LONG = "x509 rootca-create /key 2048-bit /dn-cn Long"


def test_progress_is_told_once_after_a_second_and_then_every_ten_and_the_outcome_comes_last(
    console: Console, card: CardPort
) -> None:
    reply = console.run(LONG, timeout_ms=600_000)
    first, *others, last = reply.lines
    assert first.startswith("root CA, 2048-bit: ")
    assert first.endswith("%, Ctrl-C cancels")
    assert len(others) == int((reply.duration_ms - 1_000) // 10_000)
    assert all(line.startswith("root CA, 2048-bit: ") and line.endswith("%") for line in others)
    percents = [int(line.split(": ")[1].split("%")[0]) for line in (first, *others)]
    assert percents == sorted(percents)
    assert last == "root CA ready: CN=Long is on the card"


def test_what_fails_at_once_is_one_line(console: Console, card: CardPort) -> None:
    assert len(console.run("x509 rootca-issue /key 4096-bit /dn-cn dev", check=False).lines) == 1


def test_ctrl_c_says_what_it_has_cancelled_and_the_card_stays_empty(
    console: Console, card: CardPort, bench: Bench
) -> None:
    mark = console.mark()
    console.send_line(LONG)
    bench.run_for(ms=2_000)
    console.send(b"\x03")
    console.expect(r"\^C\r\nroot CA cancelled: nothing was made\r\nerror: interrupted\r\n", since=mark)
    console.expect(console.prompt, since=mark)
    assert "no root CA on the card" in (console.run("x509 rootca-show", check=False).error or "")
    assert "root CA cancelled" in console.run("log").text


def test_ctrl_c_ends_only_the_waiting_for_a_certificate_that_is_made_in_the_background(
    console: Console, bench: Bench
) -> None:
    console.run("x509 servercert-create /key 2048-bit /dn-cn later")
    mark = console.mark()
    console.send_line("x509 servercert-wait")
    bench.run_for(ms=2_000)
    console.send(b"\x03")
    console.expect("self-signed certificate goes on: servercert-cancel ends it\r\nerror: interrupted", since=mark)
    ready = console.run("x509 servercert-wait", timeout_ms=600_000).lines[-1]
    assert ready == "self-signed certificate ready: CN=later"
