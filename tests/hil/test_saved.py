"""A gateway is saved into one file and started again from it."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from board.model import MODELS
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


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A model of the user's own, with a cost table beside it."""
    folder = tmp_path / "models"
    (folder / "costs").mkdir(parents=True)
    table = (MODELS / "costs" / "ppc.toml").read_text().replace('name = "ppc"', 'name = "lab"', 1)
    (folder / "costs" / "lab.toml").write_text(table)
    text = (MODELS / "ip800.toml").read_text().replace('name = "ip800"', 'name = "lab"', 1)
    (folder / "lab.toml").write_text(text.replace('cost_table = "ppc"', 'cost_table = "lab"', 1))
    return folder / "lab.toml"


def test_a_model_of_the_users_own_is_saved_along_and_its_files_are_not_needed_any_more(
    make_fake_bench: Make, lab: Path, tmp_path: Path
) -> None:
    gateway = make_fake_bench().gateway(str(lab))
    gateway.board.flash.writeblocks(5, b"kept")
    shutil.rmtree(lab.parent)
    gateway.save(tmp_path / "one.zip")
    again = make_fake_bench().gateway_from(tmp_path / "one.zip")
    assert (again.model, again.model.costs.name) == (gateway.model, "lab")
    again.save(tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_record_of_a_saved_gateway_holds_the_users_model_too(
    make_fake_bench: Make, lab: Path, tmp_path: Path
) -> None:
    make_fake_bench().gateway(str(lab)).save(tmp_path / "saved.zip")
    program = make_fake_bench().program
    with Bench(3, program=program, record=True) as bench:
        bench.gateway_from(tmp_path / "saved.zip")
        bench.run_for(ms=10)
        bench.save_record(tmp_path / "record.zip")
    with Bench.repeat_of(tmp_path / "record.zip", program=program) as repeated:
        assert repeated.gateways[0].model.name == "lab"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: _without(path, "model/lab.toml"), "the file of its model 'lab.toml' is missing"),
        (lambda path: _with(path, "model/lab.toml", b"\xff"), "is not a saved gateway: 'utf-8' codec"),
        (lambda path: _with(path, "model/lab.toml", b"name = 1"), "name = 1: must be a text"),
        (lambda path: _with(path, "model/costs/lab.toml", b"name ="), "is not a TOML file"),
        (lambda path: _with(path, "model/../evil.toml", b""), r"file '\.\./evil\.toml' of a model"),
        (lambda path: _with_fact(path, "model", "/etc/lab.toml"), "the file of its model '/etc/lab.toml' is missing"),
        (lambda path: _with_fact(path, "model", "ip800"), "the file of its model 'ip800' is missing"),
        (lambda path: _with_fact(path, "model", 7), "model 7"),
    ],
)
def test_a_saved_model_that_will_not_do_is_refused_in_one_line_that_names_the_file(
    make_fake_bench: Make, lab: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    saved = tmp_path / "saved.zip"
    make_fake_bench().gateway(str(lab)).save(saved)
    damage(saved)
    bench = make_fake_bench()
    with pytest.raises(EnvironmentRefused, match=reason) as caught:
        bench.gateway_from(saved)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not bench.gateways
    assert not (tmp_path / "evil.toml").exists()


def _with(path: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        content = {entry: archive.read(entry) for entry in archive.namelist()}
    _written(path, {**content, name: data})


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


def _torn(path: Path, name: str) -> None:
    with zipfile.ZipFile(path) as archive:
        begin = archive.getinfo(name).header_offset + 30 + len(name)  # of a file in a zip without extra fields
    content = bytearray(path.read_bytes())
    content[begin] = 0xFF  # a block of a type that is none
    path.write_bytes(content)


def _locked(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in (6, content.index(b"PK\x01\x02") + 8):
        content[at] |= 1  # the flag of what needs a password
    path.write_bytes(content)


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
        (lambda path: _torn(path, "flash.bin"), "is not a saved gateway: error -3 while decompressing"),
        (lambda path: _locked(path), "is not a saved gateway: .* is encrypted"),
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
