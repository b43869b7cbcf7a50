"""Random waits: within their limits, from the board's own entropy, and none drawn where there is no choice."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.registration.chance import keepalive_ms, retry_ms, spread_ms, within
from firmware.registration.settings import Plan


class FakeEntropy:
    """The same few bytes again and again. Not modelled: chance."""

    secret = False

    def __init__(self, byte: int) -> None:
        self._byte = byte
        self.drawn = 0

    def randbytes(self, n: int, /) -> bytes:
        self.drawn += n
        return bytes([self._byte] * n)


LEAST, MOST = FakeEntropy(0), FakeEntropy(255)


def plan(**changes: Any) -> Plan:
    return Plan(**{"host": "box", "port": 5061, "name": "box", "secure": True, "user": "alice", **changes})


@pytest.mark.parametrize(
    ("failures", "least_ms", "most_ms"),
    [
        (0, 0, 0),
        (1, 30_000, 60_000),
        (2, 60_000, 120_000),
        (3, 120_000, 240_000),
        (4, 240_000, 480_000),
        (5, 480_000, 960_000),
        (6, 900_000, 1_800_000),
        (1_000, 900_000, 1_800_000),
    ],
)
def test_the_back_off_is_the_table_of_the_rfc(failures: int, least_ms: int, most_ms: int) -> None:
    """RFC 5626 4.5: 30-60 s after the first failure, 15-30 min from the sixth on."""
    assert retry_ms(plan(), failures, LEAST) == least_ms
    assert retry_ms(plan(), failures, MOST) == most_ms


def test_a_constant_wait_is_constant() -> None:
    constant = plan(exponential=False, retry_base_ms=5_000)
    entropy = FakeEntropy(9)
    assert [retry_ms(constant, failures, entropy) for failures in (0, 1, 2, 50)] == [0, 5_000, 5_000, 5_000]
    assert entropy.drawn == 0


def test_the_longest_wait_limits_a_constant_one_too() -> None:
    assert retry_ms(plan(exponential=False, retry_base_ms=5_000, retry_max_ms=1_000), 1, MOST) == 1_000


def test_the_start_is_spread_over_the_whole_time_or_at_once() -> None:
    assert (spread_ms(plan(start_spread_ms=500), LEAST), spread_ms(plan(start_spread_ms=500), MOST)) == (0, 500)
    entropy = FakeEntropy(9)
    assert (spread_ms(plan(), entropy), entropy.drawn) == (0, 0)


def test_pings_come_in_the_last_fifth_of_what_was_agreed() -> None:
    assert (keepalive_ms(plan(), LEAST), keepalive_ms(plan(), MOST)) == (96_000, 120_000)


@given(st.integers(0, 100), st.integers(0, 100_000), st.integers(0, 1_000))
def test_what_is_drawn_is_within_its_limits(least: int, more: int, seed: int) -> None:
    assert least <= within(least, least + more, random.Random(seed)) <= least + more  # type: ignore[arg-type]


def test_everything_within_the_limits_is_drawn() -> None:
    source = random.Random(1)
    assert {within(3, 7, source) for _ in range(200)} == {3, 4, 5, 6, 7}  # type: ignore[arg-type]
