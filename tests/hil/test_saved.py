"""A gateway is saved into one file and started again from it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hil.bench import Bench
from hil.errors import EnvironmentRefused, RackMisuse
from hil.saved import saved_from_file

Make = Callable[..., Bench]


@pytest.fixture
def saved(make_fake_bench: Make, tmp_path: Path) -> Path:
    """A gateway with something in its flash, something on its card, and an hour on its clock."""
    bench = make_fake_bench()
    bench.gateway()
    gateway = bench.gateway(card="ram", card_size="4M", time="2030-01-01T00:00:00Z")
    gateway.power_on()
    bench.run_for(ms=3_600_000)
    gateway.board.flash.writeblocks(5, b"kept")
    card = gateway.remove_card()
    port = gateway.insert_card(card)
    port.volume().replace("/NOTE.TXT", b"on the card")
    gateway.save(tmp_path / "saved.zip")
    return tmp_path / "saved.zip"


def test_flash_card_clock_and_address_come_back(make_fake_bench: Make, saved: Path) -> None:
    bench = make_fake_bench()
    gateway = bench.gateway_from(saved)
    assert gateway.netbios == "IP800-06-11-ad"
    content = bytearray(4)
    gateway.board.flash.readblocks(5, content)
    assert content == b"kept"
    gateway.power_on()
    bench.run_for(ms=1_000)
    assert gateway.board.rtc.datetime()[:5] == (2030, 1, 1, 1, 1)  # type: ignore[index]
    from hil.cards import CardPort

    assert gateway.card is not None
    assert CardPort(gateway.board, gateway.card).read_file("/NOTE.TXT") == b"on the card"


def test_what_is_done_to_it_leaves_the_file_as_it_was(make_fake_bench: Make, saved: Path) -> None:
    before = saved.read_bytes()
    bench = make_fake_bench()
    gateway = bench.gateway_from(saved)
    gateway.board.flash.ioctl(6, 5)
    assert gateway.card is not None
    gateway.card.backend.writeblocks(0, bytes(512))
    gateway.close()
    assert saved.read_bytes() == before


def test_its_flash_can_live_in_a_file_from_then_on_but_not_in_one_that_is_there(
    make_fake_bench: Make, saved: Path, tmp_path: Path
) -> None:
    flash = tmp_path / "box.flash"
    make_fake_bench().gateway_from(saved, flash=str(flash)).close()
    assert flash.read_bytes()[5 * 4096 :][:4] == b"kept"
    with pytest.raises(RackMisuse, match="there already"):
        make_fake_bench().gateway_from(saved, flash=str(flash))


def test_the_same_gateway_saves_the_same_bytes(make_fake_bench: Make, saved: Path, tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        make_fake_bench().gateway_from(saved).save(tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def _without(path: Path, name: str) -> None:
    with zipfile.ZipFile(path) as archive:
        content = {entry: archive.read(entry) for entry in archive.namelist() if entry != name}
    _written(path, content)


def _with_fact(path: Path, name: str, value: object) -> None:
    with zipfile.ZipFile(path) as archive:
        content = {entry: archive.read(entry) for entry in archive.namelist()}
    content["gateway.json"] = json.dumps({**json.loads(content["gateway.json"]), name: value}).encode()
    _written(path, content)


def _written(path: Path, content: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b"PK not really"), "is not a saved gateway"),
        (lambda path: _without(path, "flash.bin"), "is not a saved gateway"),
        (lambda path: _without(path, "gateway.json"), "is not a saved gateway"),
        (lambda path: _with_fact(path, "format", 2), "format 2, this program knows 1"),
        (lambda path: _with_fact(path, "mac", "00"), "MAC address '00'"),
        (lambda path: _with_fact(path, "model", "ip999"), "no model 'ip999'"),
        (lambda path: _with_fact(path, "extra", 1), "facts are not complete"),
    ],
)
def test_what_is_no_saved_gateway_is_refused_in_one_line(
    make_fake_bench: Make, saved: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(saved)
    bench = make_fake_bench()
    with pytest.raises((EnvironmentRefused, RackMisuse), match=reason) as caught:
        bench.gateway_from(saved)
    assert "\n" not in str(caught.value)
    assert not bench.gateways


def test_a_file_that_is_not_there_is_the_hosts_refusal(fake_bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentRefused, match="no such file"):
        fake_bench.gateway_from(tmp_path / "none.zip")


def test_a_gateway_without_a_card_is_saved_without_one(fake_bench: Bench, tmp_path: Path) -> None:
    fake_bench.gateway().save(tmp_path / "bare.zip")
    found = saved_from_file(tmp_path / "bare.zip")
    assert (found.card, found.facts.unix_ns, found.facts.powered) == (None, None, False)
