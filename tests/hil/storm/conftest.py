"""Keys for storms of a few phones, found once for all tests, and a storm that is ready to be let loose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hil.storm.keys import Keys, find_keys
from hil.storm.parameters import Parameters
from hil.storm.result import SettingResult
from hil.storm.run import run_storm
from hil.storm.world import key_names

SEED = 10
"""Its 4096-bit key is found quickly."""

Storm = Callable[..., SettingResult]


@pytest.fixture(scope="session")
def storm_keys() -> Keys:
    """Those of five phones, filled up by whoever needs more."""
    return {}


@pytest.fixture(scope="session")
def storm(storm_keys: Keys) -> Storm:
    """``storm(phones=3, ...)``: the result of a storm with these parameters; of one for all who ask for the same.

    ``again=True`` lets another one pass, whatever there is.
    """
    results: dict[Parameters, SettingResult] = {}

    def run(again: bool = False, **given: Any) -> SettingResult:
        parameters = Parameters(**({"phones": 3} | given))
        if again or parameters not in results:
            find_keys(key_names(parameters, SEED), storm_keys, jobs=1)
            results[parameters] = run_storm("a test", parameters, SEED, storm_keys)
        return results[parameters]

    return run
