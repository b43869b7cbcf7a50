"""The store as a dictionary that survives: values, limits, wear, cost, and what a mount reports."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from typing import Any

import pytest

from firmware.storage import FlashFull, FlashWorn, StorageDamaged, StorageError, Store
from firmware.storage.store import NAME_LIMIT, VALUE_LIMIT

FIRST_BLOCK = 2


def store_on(flash: Any, block_count: int | None = None) -> Store:
    """A mounted store in the flash's blocks from 2 on; names under ``key/`` are secret."""
    store = Store(
        flash, FIRST_BLOCK, block_count or flash.block_count - FIRST_BLOCK, secret=lambda name: name.startswith("key/")
    )
    store.mount()
    return store


def content(store: Store) -> dict[str, bytes | None]:
    return {name: store.get(name) for name in store.names()}


@pytest.fixture
def flash(make_flash: Callable[..., Any]) -> Any:
    """10 blocks: two foreign ones, then two banks of a header and three blocks of data."""
    return make_flash(10)


def test_a_blank_flash_is_formatted_and_says_so(flash: Any) -> None:
    store = Store(flash, FIRST_BLOCK, 8)
    assert store.mount().repairs == ("formatted",)
    assert store.names() == []
    assert store.mount().repairs == ()


def test_a_committed_value_is_there_after_the_next_boot(flash: Any) -> None:
    store_on(flash).commit({"vars/NAME": b"gateway", "key/device": b"k" * 600, "empty": b""})
    assert content(store_on(flash)) == {"vars/NAME": b"gateway", "key/device": b"k" * 600, "empty": b""}


def test_a_name_that_was_never_set_reads_as_none(flash: Any) -> None:
    assert store_on(flash).get("nothing") is None


def test_names_are_sorted_and_chosen_by_prefix(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"b/2": b"", "a/1": b"", "b/1": b""})
    assert store.names() == ["a/1", "b/1", "b/2"]
    assert store.names("b/") == ["b/1", "b/2"]


def test_names_begin_with_the_prefix_whatever_stands_beside_them(flash: Any) -> None:
    store = store_on(flash)
    store.commit(dict.fromkeys(["b", "b.", "b/", "b/\U0010ffff", "b/z", "b0", "a/b/", "c"], b""))
    assert store.names("b/") == ["b/", "b/z", "b/\U0010ffff"]
    assert store.names("bb") == store.names("d") == []


def test_names_are_those_of_now_and_a_list_of_the_callers_own(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"a": b"1", "b": b"2"})
    store.names().clear()
    assert store.names() == ["a", "b"]
    store.commit({"c": b"3", "a": None})
    assert store.names() == ["b", "c"]
    store.clear(keep="c")
    assert store.names() == ["c"]
    store.format()
    assert store.names() == []


def test_a_removed_name_is_gone_after_the_next_boot(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"request": b"pending", "chain": b"old"})
    store.commit({"request": None, "chain": b"new"})
    assert content(store_on(flash)) == {"chain": b"new"}


def test_what_is_already_so_costs_no_programming(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"a": b"1"})
    before = flash.steps
    store.commit({"a": b"1", "never": None})
    store.commit({})
    assert flash.steps == before


def test_clear_removes_everything_or_everything_but_a_prefix(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"cfg/a": b"1", "factory/cert": b"2", "cfg/b": b"3"})
    store.clear(keep="factory/")
    assert content(store) == content(store_on(flash)) == {"factory/cert": b"2"}
    store.clear()
    assert content(store) == content(store_on(flash)) == {}


def test_the_store_leaves_the_blocks_around_its_region_alone(flash: Any) -> None:
    flash.data[: 2 * 4096] = b"\x5a" * 8192
    store = store_on(flash, block_count=6)
    for number in range(200):
        store.commit({f"name{number % 7}": bytes([number]) * 200})
    assert set(flash.data[:8192]) == {0x5A}
    assert set(flash.data[8 * 4096 :]) == {0xFF}
    assert flash.erases[:2] == flash.erases[8:] == [0, 0]


@pytest.mark.parametrize("seed", range(4))
def test_random_work_agrees_with_a_dict(flash: Any, seed: int) -> None:
    dice, model, store = random.Random(seed), dict[str, bytes](), store_on(flash)
    names = [f"{kind}/{number}" for kind in ("key", "vars") for number in range(6)]
    for _ in range(300):
        chosen = dice.sample(names, dice.randint(1, 3))
        changes = {
            name: dice.randbytes(dice.choice((0, 3, 90, 700))) if dice.random() < 0.8 else None for name in chosen
        }
        store.commit(changes)
        model = {name: value for name, value in (model | changes).items() if value is not None}
        if dice.random() < 0.1:
            store = store_on(flash)
        if dice.random() < 0.3:
            store.tidy()
        if dice.random() < 0.01:
            store.clear(keep="key/")
            model = {name: value for name, value in model.items() if name.startswith("key/")}
        assert content(store) == model
    assert content(store_on(flash)) == model
    assert sum(flash.erases) > 20, "the work was meant to compact several times"


def test_a_full_flash_says_so_changes_nothing_and_takes_removals(flash: Any) -> None:
    store = store_on(flash)
    store.commit({f"n{number}": b"x" * 1000 for number in range(10)})
    before = content(store)
    with pytest.raises(FlashFull, match=r"flash is full: \d+ bytes wanted in all, 10752 fit") as caught:
        store.commit({"n0": None, "big": b"y" * 2000})
    assert caught.value.errno == errno.ENOSPC
    assert content(store) == content(store_on(flash)) == before
    store.commit({"n0": None, "n1": None})
    store.commit({"big": b"y" * 2000})
    assert len(store.names()) == 9


def test_free_bytes_is_what_a_new_name_still_takes(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"a": b"x" * 3000})
    free = store.free_bytes
    with pytest.raises(FlashFull):
        store.commit({"n" * NAME_LIMIT: bytes(free + 4)})
    store.commit({"n" * NAME_LIMIT: bytes(free)})
    assert store.free_bytes == 0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"": b""}, "name of 0 bytes, 1 to 96 are possible: ''"),
        ({"x" * 97: b""}, "name of 97 bytes, 1 to 96 are possible"),
        ({"ü" * 49: b""}, "name of 98 bytes"),
        ({"big": bytes(VALUE_LIMIT + 1)}, "value of big has 65537 bytes, limit 65536"),
    ],
)
def test_a_name_or_value_beyond_the_limits_is_refused_whole(flash: Any, changes: Any, text: str) -> None:
    store = store_on(flash)
    with pytest.raises(StorageError, match=text):
        store.commit({"good": b"1", **changes})
    assert store.names() == []


def test_the_largest_value_comes_back(make_flash: Callable[..., Any]) -> None:
    flash = make_flash(48)
    store_on(flash).commit({"big": random.Random(1).randbytes(VALUE_LIMIT)})
    assert store_on(flash).get("big") == random.Random(1).randbytes(VALUE_LIMIT)


def test_a_store_is_used_only_after_it_was_mounted(flash: Any) -> None:
    store = Store(flash, FIRST_BLOCK, 8)
    with pytest.raises(StorageError, match="not mounted"):
        store.get("a")
    with pytest.raises(StorageError, match="not mounted"):
        store.commit({"a": b""})


def test_a_region_too_small_for_two_banks_is_refused(flash: Any) -> None:
    with pytest.raises(StorageError, match="needs 4 blocks, not 3"):
        Store(flash, 0, 3)


def test_a_small_commit_programs_its_own_size_and_not_the_rest(flash: Any) -> None:
    store = store_on(flash)
    store.commit({f"n{number}": b"x" * 1000 for number in range(8)})
    before_bytes, before_erases = flash.bytes_programmed, sum(flash.erases)
    store.commit({"vars/x": b"12345678"})
    assert flash.bytes_programmed - before_bytes <= 60
    assert sum(flash.erases) == before_erases


def test_a_thousand_commits_into_a_nearly_full_store_wear_all_blocks_alike(flash: Any) -> None:
    store = store_on(flash)
    store.commit({f"n{number}": b"x" * 1000 for number in range(10)})
    assert store.free_bytes < 500
    for number in range(1000):
        store.commit({"vars/x": b"%8d" % number})
    # 1000 records of 53 bytes; each compaction frees at least an eighth of a bank's 12 KiB.
    assert max(flash.erases) <= 1000 * 56 / (12288 / 8) / 2 + 1
    assert max(flash.erases[2:]) - min(flash.erases[2:]) <= 1


def test_the_watchdog_is_fed_before_each_erase(flash: Any) -> None:
    fed: list[int] = []
    store = Store(flash, FIRST_BLOCK, 8, feed=lambda: fed.append(sum(flash.erases)))
    store.mount()
    store.commit({"a": b"x" * 9000})
    store.clear()
    assert fed == list(range(sum(flash.erases)))
    assert fed


def test_a_mount_reads_what_is_used_once_and_not_the_bank_that_waits(make_flash: Callable[..., Any]) -> None:
    flash = make_flash(130)
    store = store_on(flash)
    for number in range(200):
        store.commit({f"trust/{number:03}": bytes([number]) * 700})
    flash.reads = flash.bytes_read = 0
    assert len(store_on(flash).names()) == 200
    used = 200 * 760
    assert flash.bytes_read < 1.1 * used
    assert flash.reads < 200 * 3


def test_a_replaced_or_removed_secret_is_nowhere_in_flash(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"key/device": b"first secret", "vars/a": b"not a secret"})
    store.commit({"key/device": b"second secret", "vars/a": b"something"})
    assert b"first secret" not in flash.data
    assert b"not a secret" in flash.data, "only what is secret costs a scrub"
    store.commit({"key/device": None})
    assert b"secret"[-6:] not in bytes(flash.data).replace(b"not a secret", b"")
    assert content(store_on(flash)) == {"vars/a": b"something"}


def compact(store: Store, flash: Any) -> None:
    """Commits until the second bank, which waits, has taken over."""
    while flash.data[6 * 4096] == 0xFF:
        store.commit({"vars/x": random.Random(flash.steps).randbytes(500)})


def test_a_secret_that_a_compaction_moved_is_not_left_in_the_old_bank(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"key/device": b"only secret"})
    compact(store, flash)
    assert bytes(flash.data).count(b"only secret") == 1
    assert sum(flash.erases) == 0, "zeroed, since erasing takes long"


def test_tidy_erases_the_old_bank_one_block_a_call_and_then_has_nothing_to_do(flash: Any) -> None:
    store = store_on(flash)
    assert not store.tidy()
    compact(store, flash)
    before, calls = content(store), 1
    while store.tidy():
        assert sum(flash.erases) == calls
        calls += 1
    assert calls <= 5
    assert flash.erases == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert set(flash.data[: 6 * 4096]) == {0xFF}
    assert not store.tidy()
    assert content(store) == content(store_on(flash)) == before


def test_a_block_whose_erasing_failed_is_erased_by_the_next_call(flash: Any) -> None:
    store = store_on(flash)
    compact(store, flash)
    flash.fail_at = flash.steps + 1
    with pytest.raises(OSError, match="program failed"):
        store.tidy()
    while store.tidy():
        pass
    assert set(flash.data[: 6 * 4096]) == {0xFF}


def test_a_bank_that_nobody_tidied_is_erased_by_the_next_compaction(flash: Any) -> None:
    store = store_on(flash)
    for number in range(200):
        store.commit({"vars/x": b"%500d" % number})
    assert max(flash.erases) >= 3
    assert content(store_on(flash)) == {"vars/x": b"%500d" % 199}


def test_flash_that_does_not_keep_a_bit_is_reported_and_the_store_goes_on(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"a": b"old"})
    end = len(bytes(flash.data[: 6 * 4096]).rstrip(b"\xff"))
    flash.data[end + 60] &= 0xFE
    with pytest.raises(FlashWorn, match=r"block 3 offset 0x[0-9a-f]{4}: \d+ bytes do not read back"):
        store.commit({"a": b"\xff" * 100})
    assert content(store) == {"a": b"old"}
    store.commit({"a": b"\xff" * 100})
    assert content(store_on(flash)) == {"a": b"\xff" * 100}


def test_a_device_error_in_any_step_of_a_commit_leaves_old_or_new(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"key/a": b"old", "b": b"old"})
    step, failures = 0, 0
    while True:
        step += 1
        trial = flash.copy()
        store = store_on(trial)
        trial.fail_at = trial.steps + step
        try:
            store.commit({"key/a": b"new", "b": b"new"})
        except OSError:
            failures += 1
        else:
            break
        assert content(store) == content(store_on(trial))
        assert set(content(store).values()) in ({b"old"}, {b"new"})
        store.commit({"key/a": b"newer", "b": None})
        assert content(store_on(trial)) == {"key/a": b"newer"}
    assert failures == 4, "header, body, seal, scrub"


def test_format_empties_a_damaged_store(flash: Any) -> None:
    store = store_on(flash)
    store.commit({"a": b"x" * 5000})
    flash.data[FIRST_BLOCK * 4096 + 9] ^= 1
    with pytest.raises(StorageDamaged, match=r"no valid bank header: block 2 offset 0x0000 holds 00000000474253"):
        store.mount()
    store.format()
    assert content(store) == content(store_on(flash)) == {}
