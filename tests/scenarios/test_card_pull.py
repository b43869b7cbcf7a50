"""The card is pulled in the middle of what the board does with it: a clear word, nothing lost, and on it goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cfcard import CompactFlash
from cfcard.fat import Fat
from hil.bench import Bench
from hil.cards import image_bytes, new_ram_card
from hil.sweep.powerloss.boards import CREATE, ISSUE, Trial

pytestmark = pytest.mark.needs_faults


@pytest.mark.parametrize("command", [CREATE, ISSUE], ids=["create", "issue"])
def test_a_pull_at_any_write_ends_with_one_clear_error_and_the_board_goes_on(command: str) -> None:
    at, pulled = 1, 0
    while True:
        with Trial(13, "pull") as trial:
            if command == ISSUE:
                trial.run(CREATE)
            if not trial.do(command, at):
                break
            errors = re.findall(r"error: .*", trial.reported)
            assert len(errors) == 1, trial.reported
            assert "the card was removed" in errors[0]
            assert trial.run("card info").text == "state: absent"
            trial.go_on()
            trial.judge(set(), has_ca=command == ISSUE)
            assert trial.wrong == [], f"pulled at write {at}"
        pulled += 1
        at += 1 if at < 4 else 13
    assert pulled >= 5


def test_another_card_in_the_slot_is_not_mistaken_for_the_one_before() -> None:
    for at in (1, 20, 60):
        with Trial(17, "pull") as trial:
            trial.run(CREATE)
            other = new_ram_card("16M", serial=0x0BAD_CAFE)
            before = image_bytes(other)
            assert trial.do(ISSUE, at)
            mark = trial.gateway.console.mark()
            trial.gateway.insert_card(other)
            trial.gateway.console.expect("card inserted: ", since=mark)
            assert "no root CA on the card" in (trial.run("x509 rootca-show").error or "")
            assert image_bytes(other) == before
            assert trial.run("x509 servercert-show /json").json["source"] == "builtin"
            trial.gateway.remove_card()
            trial.gateway.console.expect("card removed", since=mark)
            trial.go_on()
            trial.judge(set(), has_ca=True)
            assert trial.wrong == []


def test_a_card_swapped_faster_than_the_contacts_settle_gets_nothing_of_what_was_for_the_other() -> None:
    with Trial(19, "pull") as trial:
        trial.run(CREATE)
        other = new_ram_card("16M", serial=0x0BAD_CAFE)
        before = image_bytes(other)
        console = trial.gateway.console
        mark = console.mark()
        trial.swap(ISSUE, 5, other)
        console.expect("error: ", since=mark, timeout_ms=600_000)
        trial.bench.run_for(ms=2_000)
        assert image_bytes(other) == before
        assert "no root CA on the card" in (trial.run("x509 rootca-show").error or "")


@pytest.mark.parametrize("command", [CREATE, ISSUE], ids=["create", "issue"])
def test_interrupting_at_many_moments_leaves_the_card_in_order(command: str) -> None:
    ended = set()
    for delay_ms in (1, 30, 200, 700, 1_500, 3_000, 6_000, 9_000, 12_000, 20_000):
        with Trial(23, "pull") as trial:
            if command == ISSUE:
                trial.run(CREATE)
            console = trial.gateway.console
            mark = console.mark()
            console.send_line(command)
            trial.bench.run_for(ms=delay_ms)
            console.interrupt()
            console.expect(console.prompt, since=mark)
            trial.bench.run_for(ms=60_000)
            ended.add("is on the card" in console.since(mark) or "serial 01" in console.since(mark))
            trial.judge(set(), has_ca=command == ISSUE)
            assert trial.wrong == [], f"interrupted after {delay_ms} ms"
    assert ended == {True, False}, "some came in time, some too late"


def test_the_image_of_a_pulled_card_is_good_in_another_run(tmp_path: Path) -> None:
    with Trial(29, "pull") as trial:
        trial.run(CREATE)
        assert trial.do(ISSUE, 9)
        image = tmp_path / "card.img"
        image.write_bytes(image_bytes(CompactFlash(trial.sectors)))
    with Bench(seed=30) as bench:
        gateway = bench.gateway("ip800", card=str(image))
        gateway.power_on()
        gateway.console.login()
        bench.run_for(ms=60_000)  # this world is younger than the one the CA was made in
        assert "CN=Sweep CA" in gateway.console.run("x509 rootca-show").text
        gateway.console.run(ISSUE, timeout_ms=600_000)
        assert gateway.console.run("card check").text == "clean"


def test_the_board_says_what_it_mended() -> None:
    with Trial(31, "pull") as trial:
        trial.run(CREATE)
        trial.gateway.remove_card()
        trial.gateway.console.expect("card removed")
        volume = Fat().mount(trial.sectors)
        second = volume.bpb.reserved + volume.bpb.fat_sectors
        trial.sectors.writeblocks(second, b"\xff" * 512)
        mark = trial.gateway.console.mark()
        trial.gateway.insert_card(trial.card)
        trial.gateway.console.expect("card repaired: FAT 2: 1 sectors restored", since=mark)
        trial.judge(set(), has_ca=True)
        assert trial.wrong == []
