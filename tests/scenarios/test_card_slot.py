"""A card goes in and out while the board runs: it says so, knows the card again, and never trips over its absence."""

from __future__ import annotations

import pytest

from hil.bench import Bench
from hil.cards import CardPort, new_ram_card
from hil.console import Console
from hil.gateway import Gateway


def test_a_card_that_goes_in_is_mounted_and_the_console_says_so_once_in_spite_of_the_bounce(
    console: Console, board: Gateway, bench: Bench
) -> None:
    mark = console.mark()
    board.insert_card("ram")
    console.expect(r"card inserted: 64 MiB, mounted")
    bench.run_for(ms=1_000)
    assert console.since(mark).count("card inserted") == 1
    assert board.leds()["cf"] == "green"


def test_a_card_that_goes_out_is_missed(console: Console, card: CardPort, board: Gateway) -> None:
    card.remove()
    console.expect("card removed")
    assert console.run("card ls", check=False).error is not None
    assert board.leds()["cf"] == "off"


def test_the_same_card_can_come_back(console: Console, card: CardPort) -> None:
    card.remove()
    console.expect("card removed")
    card.volume().replace("/NOTE.TXT", b"from the host")
    card.insert()
    console.expect("card inserted")
    assert "NOTE.TXT" in console.run("card ls").text


def test_a_card_that_is_in_at_power_on_is_found(bench: Bench) -> None:
    gateway = bench.gateway(card="ram", card_size="4M")
    gateway.power_on()
    gateway.console.expect("card inserted: 4 MiB, mounted")


def test_a_card_that_is_pulled_and_replaced_within_the_bounce_is_the_new_one(
    console: Console, card: CardPort, board: Gateway
) -> None:
    card.remove()
    other = board.insert_card("ram", "8M")
    console.expect("card inserted: 8 MiB")
    assert other.inserted
    assert "8388608" in console.run("card info").text


@pytest.mark.parametrize("swapped_ms", [70, 75, 78, 82, 90])
@pytest.mark.parametrize("command", ["card check", "card mount"])
def test_a_swap_that_nobody_has_noticed_yet_does_not_hand_the_new_card_to_a_command(
    bench: Bench, command: str, swapped_ms: int
) -> None:
    gateway = bench.gateway(card="ram", card_size="8M")
    gateway.power_on()
    gateway.console.login()
    other = new_ram_card("8M", serial=0x0BAD_CAFE)

    def swap() -> None:
        gateway.remove_card()
        gateway.insert_card(other)

    # While the first card is being looked over, and the command is on its way over the serial line.
    bench.clock.at(bench.clock.now_ns + swapped_ms * 1_000_000, swap)
    gateway.console.run(command, check=False)
    bench.run_for(ms=2_000)
    info = gateway.console.run("card info /json").json
    assert (info["state"], info["volume_serial"]) == ("mounted", "0BADCAFE")


def test_a_card_without_a_volume_is_said_to_have_none(console: Console, card: CardPort) -> None:
    card.remove()
    console.expect("card removed")
    card.card.backend.writeblocks(0, bytes(512))
    card.insert()
    console.expect("card inserted.*no")
    assert console.run("card ls", check=False).error is not None
    console.run("card format", timeout_ms=60_000)
    assert card.check() == ()


@pytest.mark.gatebench(model="ip232")
def test_a_phone_has_no_slot_and_its_card_commands_say_so(console: Console) -> None:
    assert console.run("card info", check=False).error is not None


def test_names_that_a_terminal_would_obey_are_shown_and_not_sent(console: Console, card: CardPort) -> None:
    card.remove()
    console.expect("card removed")
    card.volume().replace("/a long name.txt", b"")
    sectors = bytearray(512 * 1024)
    card.card.backend.readblocks(0, sectors)
    place = sectors.index("a lo".encode("utf-16-le"))
    sectors[place : place + 8] = "\x1b[2J".encode("utf-16-le")
    card.card.backend.writeblocks(0, sectors)
    card.insert()
    console.expect("card inserted")
    reply = console.run("card ls")
    assert r"\x1b[2Jng name.txt" in reply.text
    assert "\x1b" not in reply.text
