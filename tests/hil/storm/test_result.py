"""The report's JSON: what a page and other people's scripts hold on to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hil.errors import RackMisuse
from hil.storm.result import histogram, percentiles, registration_percentiles, storm_from_json

SAMPLE = Path(__file__).with_name("data") / "sample.json"


@pytest.fixture
def data() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SAMPLE.read_text())
    return loaded


def test_a_report_reads_back_as_it_was_written(data: dict[str, Any]) -> None:
    report = storm_from_json(data)
    assert json.loads(report.text()) == data


def test_a_report_of_another_version_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(RackMisuse, match="version 2: must be 1"):
        storm_from_json(data | {"version": 2})


@pytest.mark.parametrize("damage", ["settings", "command"])
def test_a_damaged_report_is_refused(data: dict[str, Any], damage: str) -> None:
    del data[damage]
    with pytest.raises(RackMisuse, match=f"damaged: '{damage}'"):
        storm_from_json(data)


def test_something_else_is_no_report() -> None:
    with pytest.raises(RackMisuse, match="version None"):
        storm_from_json([])


def test_percentiles_are_values_that_occurred() -> None:
    found = percentiles([float(number) for number in range(1, 101)])
    assert (found.p50, found.p90, found.p99, found.max) == (50.0, 90.0, 99.0, 100.0)
    assert percentiles([7.0]).p50 == 7.0
    assert percentiles([]).p50 is None


def test_a_rank_that_was_not_reached_has_no_time() -> None:
    assert registration_percentiles([1.0, 2.0, 3.0], 4) == {"50": 2.0, "90": None, "99": None, "100": None}


def test_bars_are_of_a_round_width_and_hold_everything() -> None:
    found = histogram([0.05, 55.0, 399.0, 2_000.0])
    assert found.edges_ms[1] == 50.0
    assert sum(found.counts) == 4
    assert found.counts[0] == found.counts[1] == found.counts[7] == found.counts[40] == 1
    assert len(found.edges_ms) == len(found.counts) + 1


def test_no_latencies_make_no_bars() -> None:
    assert histogram([]).counts == ()


def test_a_setting_says_how_it_went(data: dict[str, Any]) -> None:
    report = storm_from_json(data)
    assert report.settings[0].sentence.startswith("50 of 50 registered within ")
    assert report.settings[-1].sentence == "24 of 50 registered within 60.0 s"
