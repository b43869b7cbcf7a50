"""Flipped bits: found by checksum, reported with their place, and never answered with an older value."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest

from firmware.storage import StorageDamaged, Store

LATEST = {"a": b"newest a", "b": b"b" * 50, "key/c": b"NEW-SECRET"}


def open_store(flash: Any) -> Store:
    return Store(flash, 0, flash.block_count, secret=lambda name: name.startswith("key/"))


@pytest.fixture
def flash(make_flash: Callable[..., Any]) -> Any:
    """A log in which every name was replaced or removed at least once."""
    flash = make_flash(4)
    store = open_store(flash)
    store.mount()
    store.commit({"a": b"oldest a", "b": b"b" * 50, "key/c": b"OLD-SECRET", "gone": b"gone"})
    store.commit({"a": b"older a"})
    store.commit({"key/c": b"NEW-SECRET", "gone": None})
    store.commit({"a": b"newest a"})
    return flash


def outcome(flash: Any) -> str:
    """``refused``, ``right`` or the names reported as damaged; fails on any wrong answer."""
    store = open_store(flash)
    try:
        report = store.mount()
    except StorageDamaged:
        return "refused"
    damaged = []
    assert store.names() == sorted(LATEST)
    for name, value in LATEST.items():
        try:
            assert store.get(name) == value, f"{name} is answered with something else"
        except StorageDamaged:
            damaged.append(name)
    assert [line.split("value of ")[1].split(",")[0] for line in report.damaged] == damaged
    return ",".join(damaged) or "right"


def written_bytes(flash: Any) -> list[int]:
    return [offset for offset, byte in enumerate(flash.data) if byte != 0xFF]


def test_one_flipped_bit_in_any_byte_is_found_or_harmless(
    flash: Any,
) -> None:
    counted: dict[str, int] = {}
    for offset in range(written_bytes(flash)[-1] + 40):
        trial = flash.copy()
        trial.data[offset] ^= 1 << offset % 8
        found = outcome(trial)
        counted[found] = counted.get(found, 0) + 1
    # One live value each: newest a 8 bytes, b 50 bytes, the live secret 10 bytes.
    assert {name: counted[name] for name in ("a", "b", "key/c")} == {"a": 8, "b": 50, "key/c": 10}, counted
    assert counted["refused"] > 100, counted
    assert set(counted) == {"a", "b", "key/c", "refused", "right"}, counted


@pytest.mark.parametrize("seed", range(5))
def test_bursts_of_rot_never_give_an_older_value(flash: Any, seed: int) -> None:
    dice, end = random.Random(seed), written_bytes(flash)[-1]
    for _ in range(60):
        trial = flash.copy()
        start = dice.randrange(4096, end)
        length = dice.randint(1, 24)
        trial.data[start : start + length] = dice.randbytes(length)
        # A burst that hits a whole seal may turn a record back into one that was cut short: the seal has 4 bytes.
        if not any(bytes(4) in flash.data[at : at + 4] for at in range(start, start + length)):
            outcome(trial)


def test_a_flipped_bit_in_a_seal_does_not_undo_the_commit(flash: Any) -> None:
    raw = bytes(flash.data)
    seals = [at + 16 for at in range(4096, len(raw)) if raw[at : at + 4] == b"GBRC"]
    assert len(seals) == 4
    for seal in seals:
        for bit in range(32):
            trial = flash.copy()
            trial.data[seal + bit // 8] ^= 1 << bit % 8
            assert outcome(trial) == "right"


def test_a_damaged_value_is_named_with_its_place_and_both_checksums(flash: Any) -> None:
    flash.data[bytes(flash.data).index(b"newest a")] ^= 0x10
    store = open_store(flash)
    (line,) = store.mount().damaged
    offset = bytes(flash.data).index(b"\x7eewest a") - 4096
    found, expected = crc32(b"\x7eewest a"), crc32(b"newest a")
    assert line == (
        f"block 1 offset {offset:#06x}: value of a, 8 bytes, has checksum {found:08x} instead of {expected:08x}"
    )
    with pytest.raises(StorageDamaged, match="value of a, 8 bytes"):
        store.get("a")
    assert store.get("b") == LATEST["b"]


def test_rot_that_comes_after_the_mount_is_found_by_get(flash: Any) -> None:
    store = open_store(flash)
    assert store.mount().damaged == ()
    flash.data[bytes(flash.data).index(b"newest a")] ^= 0x10
    with pytest.raises(StorageDamaged, match="value of a"):
        store.get("a")


def test_setting_a_damaged_name_anew_mends_it(flash: Any) -> None:
    flash.data[bytes(flash.data).index(b"newest a")] ^= 0x10
    store = open_store(flash)
    store.mount()
    store.commit({"a": b"newest a"})
    assert outcome(flash) == "right"


def test_a_damaged_value_stays_known_as_damaged_over_a_compaction(flash: Any) -> None:
    flash.data[bytes(flash.data).index(b"newest a")] ^= 0x10
    store = open_store(flash)
    store.mount()
    store.clear(keep="")
    assert outcome(flash) == "a"


def test_a_rotten_record_header_is_not_taken_for_a_commit_cut_short(flash: Any) -> None:
    last = bytes(flash.data).rindex(b"GBRC")
    flash.data[last] ^= 1
    with pytest.raises(
        StorageDamaged, match=r"block 1 offset 0x[0-9a-f]{4}: record header [0-9a-f]+ fails its checksum"
    ):
        open_store(flash).mount()


def test_a_rotten_bank_header_is_not_taken_for_blank_flash(flash: Any) -> None:
    before = bytes(flash.data)
    for offset in range(4, 20):
        trial = flash.copy()
        trial.data[offset] ^= 0x40
        with pytest.raises(StorageDamaged, match="no valid bank header"):
            open_store(trial).mount()
        assert trial.data[4096:] == before[4096:], "a damaged store is left as it is"


def test_a_store_that_is_damaged_is_not_mounted(flash: Any) -> None:
    flash.data[bytes(flash.data).index(b"GBRC")] ^= 1
    store = open_store(flash)
    with pytest.raises(StorageDamaged):
        store.mount()
    with pytest.raises(Exception, match="store is not mounted"):
        store.names()


def test_the_old_bank_is_not_taken_when_the_header_of_the_new_one_rots(flash: Any) -> None:
    store = open_store(flash)
    store.mount()
    number = 0
    while flash.data[2 * 4096] == 0xFF:
        number += 1
        store.commit({"counter": b"%500d" % number})
    assert sum(flash.erases) == 0, "the old bank is still full of older values"
    for offset in range(4, 20):
        trial = flash.copy()
        trial.data[2 * 4096 + offset] ^= 0x04
        with pytest.raises(StorageDamaged, match="no valid bank header"):
            open_store(trial).mount()
