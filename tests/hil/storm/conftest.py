"""Keys for storms of a few phones, found once for all tests, and a storm that is ready to be let loose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hil.storm.keys import Keys, find_keys
from hil.storm.parameters import Parameters
from hil.storm.result import SettingResult
from hil.storm.run import run_storm
from hil.storm.world import World, build, key_names

SEED = 10
"""Its 4096-bit key is found quickly."""

Storm = Callable[..., SettingResult]


@pytest.fixture(scope="session")
def storm_keys() -> Keys:
    """Those of five phones, filled up by whoever needs more."""
    return {}


@pytest.fixture
def storm(storm_keys: Keys) -> Storm:
    """``storm(phones=3, ...)``: the result of a storm with these parameters."""

    def run(**given: Any) -> SettingResult:
        parameters = Parameters(**({"phones": 3} | given))
        find_keys(key_names(parameters, SEED), storm_keys, jobs=1)
        return run_storm("a test", parameters, SEED, storm_keys)

    return run


@pytest.fixture
def make_world(storm_keys: Keys) -> Iterator[Callable[..., World]]:
    """``make_world(phones=3, ...)``: a storm's world, everybody without power; closed when the test ends."""
    worlds: list[World] = []

    def make(**given: Any) -> World:
        parameters = Parameters(**({"phones": 3} | given))
        find_keys(key_names(parameters, SEED), storm_keys, jobs=1)
        worlds.append(build(parameters, SEED, storm_keys))
        return worlds[-1]

    yield make
    for world in worlds:
        world.bench.close()
