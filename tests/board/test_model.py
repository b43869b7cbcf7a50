"""The model files: all load, and none passes an assumption off as a fact."""

from __future__ import annotations

from pathlib import Path

import pytest

from board.errors import ModelError
from board.model import FIGURES, MODELS, Model, model_from_file, model_named, model_names


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "ip800.toml"


def test_the_models_that_are_promised_are_there() -> None:
    assert {"ip800", "ip305", "ip6000", "ip302", "ip232"} <= set(model_names())


@pytest.mark.parametrize("name", model_names())
def test_every_model_loads(name: str) -> None:
    model = model_named(name)
    assert (model.name, model.product) == (name, name.upper())
    assert model.hz % 1_000_000 == 0
    assert model.leds[0] == "ready"
    assert ("cf" in model.leds) == model.has_slot


@pytest.mark.parametrize("name", model_names())
def test_every_figure_has_a_source_or_is_marked_as_assumed(name: str) -> None:
    model = model_named(name)
    assert model.assumed | set(model.sources) == set(FIGURES)
    assert model.assumed.isdisjoint(model.sources)


@pytest.mark.parametrize("name", model_names())
def test_the_law_of_key_lengths_holds_on_every_model(name: str) -> None:
    costs = model_named(name).costs
    handshakes = [costs.rsa_private(bits) + costs.handshake for bits in (1024, 2048, 4096)]
    assert handshakes[1] / handshakes[0] == pytest.approx(6, rel=0.05)
    assert handshakes[2] / handshakes[0] == pytest.approx(36, rel=0.05)


def test_the_telephone_has_no_slot() -> None:
    assert not model_named("ip232").has_slot
    assert model_named("ip800").has_slot
    assert model_named("ip800").slot_bytes_per_s == 16_666_666


def test_a_model_is_read_once_however_many_boards_have_it() -> None:
    assert model_named("ip800") is model_named("ip800")
    assert model_named("ip800").costs is model_named("ip6000").costs


def test_an_unknown_model_is_refused_with_those_there_are() -> None:
    with pytest.raises(ModelError, match=r"no model 'ip999': must be one of ip232, ip3000"):
        model_named("ip999")


def test_a_model_of_ones_own_uses_our_cost_tables(own: Path) -> None:
    own.write_text((MODELS / "ip800.toml").read_text().replace("mhz = 200", "mhz = 100"))
    model = model_from_file(own)
    assert isinstance(model, Model)
    assert model.hz == 100_000_000
    assert model.costs is model_named("ip800").costs


def test_a_cost_table_of_ones_own_goes_before_ours(own: Path) -> None:
    own.write_text((MODELS / "ip800.toml").read_text())
    (own.parent / "costs").mkdir()
    ours = (MODELS / "costs" / "ppc.toml").read_text()
    (own.parent / "costs" / "ppc.toml").write_text(ours.replace("cycles = 500_000", "cycles = 600_000"))
    assert model_from_file(own).costs.handshake == 600_000


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("mhz = 200", "mhz = 0", "ip800.toml: cpu.mhz = 0: must be a whole number from 1 to 5000"),
        ("mhz = 200", "mhz = 200\nmhzz = 1", "ip800.toml: cpu.mhzz = 1: there is no such field"),
        ("mhz = 200", "", "ip800.toml: cpu.mhz is missing"),
        ('"ppc"', '"z80"', "ip800.toml: cpu.cost_table = 'z80': there is no costs/z80.toml"),
        ("flash_kib = 8_192", "flash_kib = 8_191", "memory.flash_kib = 8191: must be a multiple of 4"),
        ("present = true", "present = 1", "ip800.toml: slot.present = 1: must be true or false"),
        ("pio_mode = 4", "pio_mode = 5", "ip800.toml: slot.pio_mode = 5: must be a whole number from 0 to 4"),
        ('names = ["ready", ', "names = [", "must hold ready, and else only eth0, eth1, cf"),
        ('names = ["ready", ', 'names = ["ready", "ready", ', "must not repeat anything"),
        ("ambient = 25.0", "ambient = 900", "temperature.ambient = 900: must be a number from -40 to 85"),
        ('name = "ip800"', 'name = "ip801"', "name = 'ip801': must be the file's name, 'ip800'"),
        ('"IP800"', '"Ip800"', "product = 'Ip800': must be in upper case"),
        ('  "cpu.mhz",\n', "", "cpu.mhz must be either here or in sources"),
        ('  "cpu.mhz",\n', '  "cpu.mhz",\n  "cpu.khz",\n', "assumed = 'cpu.khz': there is no such figure"),
        ('"rtc.battery" =', '"rtc.batery" =', "sources.rtc.batery = "),
        ("[uart]\n", "[serial]\n", "ip800.toml: uart is missing"),
        ("[uart]\nbaudrate = 115_200", "uart = 5", "ip800.toml: "),
    ],
)
def test_a_bad_file_is_refused_with_file_field_value_and_limit(
    own: Path, before: str, after: str, complaint: str
) -> None:
    text = (MODELS / "ip800.toml").read_text()
    assert before in text
    own.write_text(text.replace(before, after, 1))
    with pytest.raises(ModelError) as refusal:
        model_from_file(own)
    assert complaint in str(refusal.value)
