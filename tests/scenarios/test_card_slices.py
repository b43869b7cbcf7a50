"""What takes long on a card holds nobody up, can be interrupted, and never touches another card than the one it began
with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cfcard.fat import Fat
from hil.bench import Bench
from hil.cards import CardPort, new_ram_card
from hil.console import Console
from hil.gateway import Gateway

CREATE = "x509 rootca-create /key 1024-bit /years 10 /dn-cn Bench%20CA"
HELD_MS = 20
"""The longest that any task may have the CPU for a card's sake."""

UNUSABLE = bytes(512)


def removed(console: Console, card: CardPort) -> CardPort:
    """The card, out of the slot and missed."""
    card.remove()
    console.expect("card removed")
    return card


def test_a_large_card_is_looked_over_while_the_console_answers(console: Console, board: Gateway, bench: Bench) -> None:
    board.budget.restart()
    board.insert_card("ram", "2G")
    bench.run_for(ms=200)
    for _ in range(3):
        began_ns = bench.now_ns
        console.run("ctime", check=False)
        assert bench.now_ns - began_ns < 50_000_000
    assert board.leds()["cf"] == "off"
    console.expect("card inserted: 2048 MiB, mounted")
    assert board.leds()["cf"] == "green"
    board.budget.assert_never_held(ms=HELD_MS)


def test_whoever_wants_a_card_that_is_being_looked_over_waits_for_it(console: Console, board: Gateway) -> None:
    board.insert_card("ram", "2G")
    assert "state: mounted" in console.run("card info").text


def test_a_tree_of_many_directories_holds_nobody_up(console: Console, card: CardPort, board: Gateway) -> None:
    removed(console, card)
    volume = card.volume()
    for number in range(300):
        volume.mkdir(f"/D{number}")
    volume.umount()
    board.budget.restart()
    card.insert()
    console.expect("card inserted: 64 MiB, mounted")
    assert console.run("card check", timeout_ms=60_000).text.strip() == "clean"
    board.budget.assert_never_held(ms=HELD_MS)


def test_a_card_pulled_while_it_is_looked_over_is_missed_and_the_next_one_mounted(
    console: Console, board: Gateway, bench: Bench
) -> None:
    large = board.insert_card("ram", "2G")
    bench.run_for(ms=300)
    large.remove()
    board.insert_card("ram", "8M")
    console.expect("card removed")
    console.expect("card inserted: 8 MiB, mounted")
    assert "8388608" in console.run("card info").text


def test_check_and_format_of_a_large_card_hold_nobody_up(console: Console, board: Gateway) -> None:
    board.insert_card("ram", "2G")
    console.expect("mounted")
    board.budget.restart()
    assert console.run("card check", timeout_ms=60_000).text.strip() == "clean"
    assert "formatted" in console.run("card format", timeout_ms=60_000).text
    board.budget.assert_never_held(ms=HELD_MS)
    assert console.run("card check", timeout_ms=60_000).text.strip() == "clean"


def test_a_check_ends_on_ctrl_c_and_the_card_is_free_again(console: Console, board: Gateway, bench: Bench) -> None:
    board.insert_card("ram", "2G")
    console.expect("mounted")
    console.send_line("card check")
    bench.run_for(ms=100)
    console.send(b"\x03")
    console.expect("interrupted")
    console.expect(console.prompt)
    assert "README.TXT" in console.run("card ls").text


def test_an_interrupted_format_says_what_state_the_card_is_in(console: Console, board: Gateway, bench: Bench) -> None:
    board.insert_card("ram", "2G")
    console.expect("mounted")
    mark = console.mark()
    console.send_line("card format")
    bench.run_for(ms=100)
    console.send(b"\x03")
    console.expect("card format was interrupted: the card has no file system now", since=mark)
    bench.run_for(ms=100)
    assert board.leds()["cf"] == "red"
    assert "a format was interrupted" in (console.run("card ls", check=False).error or "")
    console.run("card format", timeout_ms=60_000)
    assert board.leds()["cf"] == "green"


def test_an_unusable_card_exchanged_within_the_bounce_is_noticed(
    console: Console, card: CardPort, board: Gateway
) -> None:
    removed(console, card).card.backend.writeblocks(0, UNUSABLE)
    card.insert()
    console.expect("card inserted.*no usable")
    card.remove()
    board.insert_card("ram", "8M")
    console.expect("card inserted: 8 MiB, mounted")
    assert "state: mounted" in console.run("card info").text


@pytest.mark.parametrize("state", ["mounted", "unmounted"])
def test_a_refused_format_leaves_the_card_as_it_was(
    console: Console, card: CardPort, board: Gateway, state: str
) -> None:
    removed(console, card)
    board.insert_card("ram", "2G")
    console.expect("mounted")
    if state == "unmounted":
        console.run("card unmount")
    led = board.leds()["cf"]
    assert "FAT12 is not possible" in (console.run("card format /fat 12", check=False).error or "")
    assert f"state: {state}" in console.run("card info").text
    assert board.leds()["cf"] == led


def test_a_format_of_a_protected_card_leaves_it_mounted(console: Console, card: CardPort, board: Gateway) -> None:
    assert board.board.slot is not None
    board.board.slot.write_protected = True
    assert "write-protected" in (console.run("card format", check=False).error or "")
    assert "README.TXT" in console.run("card ls").text


@pytest.mark.parametrize("first", ["card info", "card unmount"])
def test_a_format_does_not_discard_a_root_ca_without_being_told(console: Console, card: CardPort, first: str) -> None:
    console.run(CREATE, timeout_ms=600_000)
    console.run(first)
    key = card.read_file("/CA/cakey.pem")
    assert "holds a root CA's key (/CABAK/cakey.pem): /discard-ca" in (
        console.run("card format", check=False, timeout_ms=60_000).error or ""
    )
    assert card.read_file("/CA/cakey.pem") == key
    assert key[100:200] in card.image
    console.run("card format /discard-ca", timeout_ms=60_000)
    assert key[100:200] not in card.image
    assert console.run("card ls").text.strip() == "empty"


@pytest.mark.parametrize("only", ["/CA/cakey.pem", "/CABAK/cakey.pem"])
def test_one_copy_of_the_key_is_enough_to_refuse_a_format(console: Console, card: CardPort, only: str) -> None:
    removed(console, card)
    volume = card.volume()
    volume.replace(only, b"key")
    volume.umount()
    card.insert()
    console.expect("mounted")
    assert only in (console.run("card format", check=False).error or "")


def test_a_format_does_not_discard_backups_of_devices_keys_without_being_told(console: Console, card: CardPort) -> None:
    console.run(CREATE, timeout_ms=600_000)
    console.run("x509 rootca-issue /key 1024-bit /years 1 /dn-cn dev.example.com /backup", timeout_ms=600_000)
    (name,) = card.listing("/BACKUP")
    key = card.read_file(f"/BACKUP/{name}")
    refused = console.run("card format /discard-ca", check=False, timeout_ms=60_000).error or ""
    assert f"holds a device's key (/BACKUP/{name}): /discard-backup gives it up" in refused
    assert card.read_file(f"/BACKUP/{name}") == key
    assert "PRIVATE KEY" in card.read_file("/CA/cakey.pem").decode(), "nothing was overwritten before the refusal"
    refused = console.run("card format /discard-backup", check=False, timeout_ms=60_000).error or ""
    assert "holds a root CA's key (/CABAK/cakey.pem): /discard-ca gives it up" in refused
    console.run("card format /discard-ca /discard-backup", timeout_ms=60_000)
    assert key[100:200] not in card.image
    assert console.run("card ls").text.strip() == "empty"


def swapped_at(kinds: str, board: Gateway, other: Callable[[], CardPort]) -> None:
    """Has the card exchanged, and the new one mounted, when this board is next charged for ``kinds``."""
    kernel = board.kernel
    assert kernel is not None
    work = kernel.work

    async def working(cycles: int, kind: str) -> None:
        if kind == kinds:
            kernel.work = work  # type: ignore[method-assign]
            other()
            await kernel.sleep_ms(2_000)
        await work(cycles, kind)

    kernel.work = working  # type: ignore[method-assign]


@pytest.mark.parametrize("command", [CREATE, "x509 rootca-issue /key 1024-bit /dn-cn dev"])
def test_a_card_exchanged_during_signing_gets_nothing_of_the_ca(
    console: Console, card: CardPort, board: Gateway, command: str
) -> None:
    if command != CREATE:
        console.run(CREATE, timeout_ms=600_000)
    second: list[CardPort] = []

    def exchange() -> CardPort:
        card.remove()
        second.append(board.insert_card("ram", "8M"))
        return second[0]

    swapped_at("rsa-private", board, exchange)
    before = Fat().mount(card.card.device)
    serial = before.read_file("/CA/serial.txt") if command != CREATE else b""
    assert "removed" in (console.run(command, check=False, timeout_ms=600_000).error or "")
    assert second[0].listing("/CA") == second[0].listing("/CABAK") == []
    assert second[0].check() == ()
    if command != CREATE:
        assert card.read_file("/CA/serial.txt") == serial


def test_what_a_card_command_takes_is_booked_as_card_time(console: Console, card: CardPort, board: Gateway) -> None:
    kernel = board.kernel
    assert kernel is not None
    for command in ("card info", "card ls"):
        before = kernel.cycles["card"]
        console.run("card unmount")
        console.run("card mount")
        mounted = kernel.cycles["card"]
        console.run(command)
        assert kernel.cycles["card"] > mounted > before, command


def test_a_mount_ends_on_ctrl_c_and_the_card_can_be_mounted_later(
    console: Console, board: Gateway, bench: Bench
) -> None:
    board.insert_card("ram", "2G")
    console.expect("mounted")
    console.run("card unmount")
    console.send_line("card mount")
    bench.run_for(ms=100)
    console.send(b"\x03")
    console.expect("interrupted")
    console.expect(console.prompt)
    assert "state: unmounted" in console.run("card info").text
    console.run("card mount", timeout_ms=60_000)
    assert "README.TXT" in console.run("card ls").text


@pytest.mark.parametrize("command", ["card format", "card check"])
def test_a_card_exchanged_during_a_long_command_ends_it_and_the_next_one_is_untouched(
    console: Console, board: Gateway, bench: Bench, command: str
) -> None:
    first = board.insert_card("ram", "2G")
    console.expect("mounted")
    mark = console.mark()
    console.send_line(command)
    bench.run_for(ms=100)
    first.remove()
    second = new_ram_card("2G")
    before = Fat().mount(second.backend).serial
    board.insert_card(second)
    console.expect("error: .*card was (changed|removed)", since=mark)
    console.expect("card inserted: 2048 MiB, mounted", since=mark)
    assert Fat().mount(second.backend).serial == before
    assert Fat().check(second.backend).clean
    assert "README.TXT" in console.run("card ls").text
