"""What a planner may ask for, and what he is told when he may not."""

from __future__ import annotations

from typing import Any

import pytest

from hil.errors import RackMisuse
from hil.storm.parameters import MOST_SETTINGS, Parameters, arrival_from_text, variations


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("phones", 0, "phones 0: must be 1 to 1000"),
        ("phones", 1_001, "phones 1001: must be 1 to 1000"),
        ("key", 3_072, "key 3072: must be one of 1024, 2048, 4096"),
        ("phone_key", 512, "phone-key 512: must be one of 1024, 2048, 4096"),
        ("hash", "sha3", "hash sha3: must be one of md5, sha1, sha224, sha256, sha384, sha512"),
        ("profile", "v12", "profile v12: must be one of v11, modern, legacy"),
        ("model", "ip9", "no model 'ip9': must be one of"),
        ("phone_model", "", "no model ''"),
        ("cut", "phones", "cut phones: must be one of all, registrar"),
        ("arrival", "spread", "arrival 'spread': must be at-once, spread:SECONDS or backoff"),
        ("arrival", "spread:0", "arrival spread 0: must be 1 to 3600"),
        ("arrival", "spread:1e9", "arrival 'spread:1e9': must be"),
        ("share", 0, "share 0: must be 1 to 100"),
        ("line", 1_001, "line 1001: must be 0 to 1000"),
        ("loss", 0.6, "loss 0.6: must be 0 to 0.5"),
        ("loss", float("nan"), "loss nan: must be 0 to 0.5"),
        ("latency_ms", 5_000, "latency-ms 5000: must be 0.001 to 1000"),
        ("for_s", 0, "for 0: must be 1 to 86400"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_limit(field: str, value: Any, message: str) -> None:
    with pytest.raises(RackMisuse) as caught:
        Parameters(**{field: value})
    assert str(caught.value).startswith(message)


def test_spread_takes_seconds() -> None:
    assert arrival_from_text("spread:2.5") == ("spread", 2.5)
    assert arrival_from_text("at-once") == ("at-once", 0.0)


def test_settings_are_called_by_what_sets_them_apart() -> None:
    axes = {"key": [1024, 4096], "hash": ["sha256"], "mutual": [True, False]}
    labels = [label for label, _ in variations(Parameters(), axes)]
    assert labels == ["1024-bit, mutual", "1024-bit, server only", "4096-bit, mutual", "4096-bit, server only"]


def test_a_single_setting_is_called_by_its_key_and_hash() -> None:
    ((label, parameters),) = variations(Parameters(phones=7), {"key": [2048], "hash": ["sha384"]})
    assert label == "2048-bit, sha384"
    assert (parameters.phones, parameters.key, parameters.hash) == (7, 2048, "sha384")


def test_the_same_setting_twice_is_refused() -> None:
    with pytest.raises(RackMisuse, match="setting 1024-bit is asked for twice"):
        variations(Parameters(), {"key": [1024, 1024]})


def test_more_settings_than_a_page_compares_are_refused() -> None:
    arrivals = [f"spread:{seconds}" for seconds in range(1, MOST_SETTINGS + 2)]
    with pytest.raises(RackMisuse, match=f"{MOST_SETTINGS + 1} settings to compare, limit {MOST_SETTINGS}"):
        variations(Parameters(), {"arrival": arrivals})
