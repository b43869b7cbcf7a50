"""The scenario of a box's life with its certificates: what it measures, what it sees, and what faults do to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firmware.rootca.task import RootCa
from hil.sweep.case import Result
from hil.sweep.grid import grid_from_texts
from hil.sweep.scenario import scenario_named
from hil.sweep.work import run_case

PLANS = {
    "cut": 'fault = "cut"\nat = 40',
    "pull": 'fault = "pull"\nat = 40',
    "write-error": 'fault = "write-error"\nat = 40',
    "protect": 'fault = "protect"\nat = 40',
    "lose": 'fault = "lose"\nat = 40',
    "full": 'fault = "full"',
    "cut-at-every-read": 'fault = "cut"\nevent = "read"\nonce = false',
}


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plan for each; the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, text in PLANS.items():
        (tmp_path / f"{name}.toml").write_text(f"[[fault]]\n{text}\n")
    return tmp_path


def only(**axes: Any) -> Result:
    (case,) = grid_from_texts("certificates", **{"seeds": "0", **axes})
    return run_case(scenario_named("certificates"), case)


def test_a_box_with_a_slot_goes_all_the_way_and_everything_is_measured() -> None:
    result = only(keys="1024", hashes="SHA384")
    assert (result.outcome, result.message) == ("ok", "")
    values = result.values
    assert values["boot_ms"] < values["default_ms"]
    assert values["ca_made"] is values["issued"] is values["trusted"] is True
    assert values["setbacks"] == 0
    assert values["sectors_written"] > 20
    assert 0 < values["load_60s"] < 1
    for step in ("default", "create", "ca", "issue"):
        assert values[f"{step}_ms"] > 100
        assert values[f"{step}_prime_tests"] >= 2
    assert values["handshake_ms"] >= values["handshake_cpu_ms"] > 10


def test_a_longer_key_costs_more_and_a_telephone_has_no_card() -> None:
    short = only(models="ip232")
    long = only(models="ip232", keys="2048")
    assert short.outcome == long.outcome == "ok"
    assert long.values["handshake_cpu_ms"] / short.values["handshake_cpu_ms"] == pytest.approx(6, rel=0.05)
    assert "ca_ms" not in short.values
    assert short.values["sectors_written"] == 0


def test_the_same_case_is_the_same_to_the_last_event() -> None:
    first, second = only(models="ip232"), only(models="ip232")
    assert (first.digest, first.values, first.virtual_ms) == (second.digest, second.values, second.virtual_ms)
    assert only(models="ip232", seeds="1").digest != first.digest


@pytest.mark.parametrize("name", ["cut", "pull", "write-error"])
def test_a_step_that_a_fault_breaks_is_tried_again_and_nothing_promised_is_lost(plans: Path, name: str) -> None:
    result = only(faults=f"{name}.toml")
    assert (result.outcome, result.message) == ("ok", "")
    assert result.values["setbacks"] == 1
    assert result.values["ca_made"] is True
    assert result.digest != only().digest


@pytest.mark.parametrize(("name", "made"), [("lose", True), ("protect", True), ("full", False)])
def test_a_lasting_fault_may_keep_a_step_from_succeeding(plans: Path, name: str, made: bool) -> None:
    result = only(faults=f"{name}.toml")
    assert (result.outcome, result.message) == ("ok", "")
    assert result.values["ca_made"] is made


def test_a_plan_without_an_end_ends_when_enough_has_gone_wrong(plans: Path) -> None:
    result = only(faults="cut-at-every-read.toml")
    assert (result.outcome, result.message) == ("ok", "")
    assert result.values["setbacks"] == 10


def test_a_serial_number_that_comes_twice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def first_again(self: RootCa, volume: object, ca: Any) -> int:
        return 1

    monkeypatch.setattr(RootCa, "take_serial", first_again)
    result = only()
    assert result.outcome == "failed"
    assert result.message.splitlines()[:2] == ["expected a serial number of its own", "got CN=Sweep CA 01 once more"]
    assert "repeat: gatebench sweep certificates --seeds 0 " in result.message


def test_a_ca_that_is_not_on_the_card_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(self: RootCa, *what: object) -> None:
        return None

    monkeypatch.setattr(RootCa, "store", forget)
    result = only()
    assert result.outcome == "failed"
    assert "rootca" in result.message.splitlines()[0]


def test_a_port_that_is_open_too_early_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.sweep.certificates.SIPS", 80)
    result = only(models="ip232")
    assert result.message.splitlines()[0] == "expected port 80 to refuse while there is no certificate"
