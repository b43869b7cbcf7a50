"""Several settings: compared over the same phones, side by side, and ended by Ctrl-C."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hil.errors import DeviceFailure, EnvironmentRefused
from hil.storm.comparison import compare, ending_on_interrupt
from hil.storm.keys import Keys, find_keys, key_from
from hil.storm.parameters import Parameters, variations
from hil.storm.result import INTERRUPTED, SettingResult
from hil.storm.run import Progress, run_storm
from hil.storm.world import key_names, phone_name

SEED = 10

TWO_KEYS = variations(Parameters(phones=2), {"key": [1024, 2048]})


def test_the_longer_key_takes_longer() -> None:
    short, long = compare(TWO_KEYS, SEED)
    assert (short.label, long.label) == ("1024-bit", "2048-bit")
    assert short.storm_ns is not None
    assert long.storm_ns is not None
    assert long.storm_ns > 3 * short.storm_ns


def test_side_by_side_gives_the_same_results_as_in_turn() -> None:
    seen: set[int] = set()
    beside = compare(TWO_KEYS, SEED, jobs=2, watch=lambda index, progress: seen.add(index))
    in_turn = compare(TWO_KEYS, SEED)
    assert [replace(result, host_s=0) for result in beside] == [replace(result, host_s=0) for result in in_turn]
    assert seen == {0, 1}


def test_ctrl_c_ends_with_what_there_is() -> None:
    settings = variations(Parameters(phones=2, for_s=86_400), {"key": [1024, 2048]})

    def press(_index: int, progress: Progress) -> None:
        if progress.registered == 2:
            signal.raise_signal(signal.SIGINT)

    results = compare(settings, SEED, watch=press)
    assert [result.outcome for result in results] == [INTERRUPTED]
    assert results[0].registered_at_end == 2


def test_a_second_ctrl_c_is_a_keyboard_interrupt() -> None:
    with ending_on_interrupt() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_timeline_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentRefused, match="cannot be written"):
        compare(TWO_KEYS[:1], SEED, trace=tmp_path / "no" / "timeline.json")


def test_what_goes_wrong_in_a_worker_is_told_by_the_one_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: object, **_named: object) -> None:
        raise DeviceFailure("phones to be there", "nobody")

    monkeypatch.setattr("hil.storm.comparison.run_storm", fail)
    with pytest.raises(DeviceFailure, match="expected phones to be there\ngot nobody"):
        compare(TWO_KEYS, SEED, jobs=2)


def test_every_setting_has_the_same_phones() -> None:
    names = [set(key_names(parameters, SEED)) for _, parameters in TWO_KEYS]
    phones = {phone_name(0), phone_name(1)}
    assert {name for name in names[0] if name.name in phones} == {name for name in names[1] if name.name in phones}
    assert names[0] != names[1]


def test_a_key_is_found_once_and_is_the_same_on_one_core_and_on_several() -> None:
    names = list(key_names(Parameters(phones=2), SEED))
    one: Keys = {}
    find_keys(names, one, jobs=1)
    several: Keys = {}
    find_keys(names, several, jobs=2)
    assert one == several
    assert key_from(one, names[0]).bits == 2048
    before = dict(one)
    find_keys(names, one, jobs=1)
    assert one == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_was_measured_before_a_setting_fails_is_kept(monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    def fail_with_long_keys(label: str, parameters: Parameters, *given: Any, **named: Any) -> SettingResult:
        if parameters.key == 2048:
            raise EnvironmentRefused("no memory")
        return run_storm(label, parameters, *given, **named)

    monkeypatch.setattr("hil.storm.comparison.run_storm", fail_with_long_keys)
    kept: list[str] = []
    with pytest.raises(EnvironmentRefused, match="no memory"):
        compare(TWO_KEYS, SEED, jobs=jobs, keep=lambda result: kept.append(result.label))
    assert kept == ["1024-bit"]
