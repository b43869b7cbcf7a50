"""The power cut everywhere: at step 1, 2, 3 ... of every operation, in every way a step can end, and in the repair too.

A step is one page programmed or one block erased. Each test loops until no cut fires any more, which proves that every
step was tried, and counts the states that it judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from firmware.storage import StorageDamaged, Store, write_firmware
from firmware.storage.errors import ImageInvalid
from firmware.storage.layout import Region, firmware_header, verify_firmware

Changes = dict[str, bytes | None]
State = dict[str, bytes]

BASE: State = {
    "key/device": b"DEVICE-KEY-1" * 30,
    "chain": b"chain one " * 40,
    "request": b"pending",
    "bystander": b"b" * 90,
}
RENEWAL: Changes = {"key/device": b"DEVICE-KEY-2" * 31, "chain": b"chain two " * 45, "request": None}
WORKLOADS: dict[str, list[Changes]] = {
    "one small value": [{"vars/x": b"1"}],
    "key, chain and request at once": [RENEWAL],
    "set, replace, remove": [
        {"vars/x": b"1" * 300},
        {"vars/x": b"2" * 300, "key/new": b"KEY-NEW" * 20},
        {"key/new": None},
    ],
    "compaction in the middle": [
        {"vars/y": b"y" * 700},
        {"vars/y": b"Y" * 700, "chain": b"c" * 20},
        RENEWAL,
        {"vars/z": b"z" * 300},
    ],
}


def open_store(flash: Any) -> Store:
    return Store(flash, 0, flash.block_count, secret=lambda name: name.startswith("key/"))


def mounted(flash: Any) -> Store:
    store = open_store(flash)
    store.mount()
    return store


def content(store: Store) -> dict[str, bytes | None]:
    return {name: store.get(name) for name in store.names()}


def states_of(commits: list[Changes]) -> list[State]:
    """What the store holds before the commits and after each."""
    states = [BASE]
    for changes in commits:
        merged: Changes = {**states[-1], **changes}
        states.append({name: value for name, value in merged.items() if value is not None})
    return states


@pytest.fixture(params=[4, 10], ids=lambda count: f"{count}-blocks")
def base(request: pytest.FixtureRequest, make_flash: Callable[..., Any]) -> Any:
    """A flash with ``BASE`` in it and a log so long that the workload with a compaction has one."""
    flash = make_flash(request.param)
    store = mounted(flash)
    store.commit(dict(BASE))
    data_bytes = (request.param // 2 - 1) * 4096
    filler = 0
    while len(bytes(flash.data).rstrip(b"\xff")) < 4096 + data_bytes - 2700:
        filler += 1
        store.commit({"vars/filler": b"%400d" % filler})
    if filler:
        store.commit({"vars/filler": None})
    return flash


def cuts(flash: Any, mode: Any, work: Callable[[Any], object], power_cut: type[BaseException]) -> Iterator[Any]:
    """For each step of ``work``: the flash as a cut at that step leaves it. Ends when no cut fires."""
    step = 0
    while True:
        step += 1
        trial = flash.copy().cut(step, mode)
        try:
            work(trial)
        except power_cut:
            yield trial.copy()
        else:
            return


def assert_goes_on(flash: Any, expected: State) -> None:
    """The store takes commits, up to a compaction and over it, and nothing else changes."""
    store = mounted(flash)
    for number in range(4):
        store.commit({"probe": b"%900d" % number})
        assert content(mounted(flash)) == {**expected, "probe": b"%900d" % number}


def assert_no_secret_left(flash: Any, state: State) -> None:
    """Every key in flash is one that the store holds."""
    raw = bytes(flash.data)
    for secret in (b"DEVICE-KEY-1" * 2, b"DEVICE-KEY-2" * 2, b"KEY-NEW" * 2):
        if not any(secret in value for value in state.values()):
            assert secret not in raw, f"{secret!r} is still readable"


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_commit_is_wholly_there_or_wholly_absent_after_any_cut(
    name: str,
    base: Any,
    cut_mode: Any,
    cut_modes: list[Any],
    power_cut: type[BaseException],
) -> None:
    commits, judged = WORKLOADS[name], 0
    states = states_of(commits)
    acknowledged = [0]

    def work(flash: Any) -> None:
        acknowledged[0] = 0
        store = mounted(flash)
        for changes in commits:
            store.commit(changes)
            acknowledged[0] += 1
            store.tidy()
        while store.tidy():
            pass

    for after_cut in cuts(base, cut_mode, work, power_cut):
        done = acknowledged[0]
        allowed = states[done : done + 2]
        once = after_cut.copy()
        found = content(mounted(once))
        assert found in allowed, f"state {judged}, {done} commits acknowledged"
        assert_no_secret_left(once, found)
        assert open_store(once).mount().repairs == (), "a repair is made once"
        assert_goes_on(once, found)
        judged += 1
        for repair_mode in cut_modes:
            for twice in cuts(after_cut, repair_mode, lambda flash: mounted(flash), power_cut):
                again = content(mounted(twice))
                assert again == found, f"state {judged}, cut again in the repair, {repair_mode.name}"
                assert_no_secret_left(twice, found)
                judged += 1
    assert judged >= 3 * len(commits), f"{judged} states judged"


@pytest.mark.parametrize("distance", [4, 8, 12, 16, 20, 24])
def test_a_record_header_that_straddles_two_blocks_is_cut_safe_too(
    distance: int, make_flash: Callable[..., Any], cut_mode: Any, cut_modes: list[Any], power_cut: type[BaseException]
) -> None:
    flash = make_flash(6)
    store = mounted(flash)
    overhead = 20 + 10 + len("filler") + 4
    store.commit({"filler": b"f" * (4096 - overhead - distance)})
    judged = 0
    for after_cut in cuts(
        flash, cut_mode, lambda trial: mounted(trial).commit({"filler": None, "new": b"1"}), power_cut
    ):
        found = content(mounted(after_cut.copy()))
        assert sorted(found) in (["filler"], ["new"])
        for repair_mode in cut_modes:
            for twice in cuts(after_cut, repair_mode, lambda trial: mounted(trial), power_cut):
                assert content(mounted(twice)) == found
        store = mounted(after_cut)
        store.commit({"more": b"2"})
        assert content(mounted(after_cut)) == {**found, "more": b"2"}
        judged += 1
    # Header, body and seal; and one step more where a block ends inside the header or inside the body.
    assert judged == (3 if distance in (16, 20) else 4), f"{judged} states judged"


def test_the_compaction_workload_really_compacts(base: Any) -> None:
    store = mounted(base)
    for changes in WORKLOADS["compaction in the middle"]:
        store.commit(changes)
    assert base.data[base.block_count // 2 * 4096] == 0, "the waiting bank was begun"
    for _ in range(20):
        store.tidy()
    assert sum(base.erases) == base.block_count // 2


def test_a_cut_while_clearing_leaves_all_or_only_what_was_to_be_kept(
    base: Any,
    cut_mode: Any,
    power_cut: type[BaseException],
) -> None:
    kept = {"bystander": BASE["bystander"]}
    judged = 0
    for after_cut in cuts(base, cut_mode, lambda flash: mounted(flash).clear(keep="bystander"), power_cut):
        found = content(mounted(after_cut))
        assert found in (BASE, kept)
        assert_no_secret_left(after_cut, found)
        assert_goes_on(after_cut, found)
        judged += 1
    assert judged >= 5, f"{judged} states judged"


def test_a_cut_in_the_very_first_mount_is_made_good_by_the_next(
    make_flash: Callable[..., Any], cut_mode: Any, power_cut: type[BaseException]
) -> None:
    judged = 0
    for after_cut in cuts(make_flash(4), cut_mode, lambda flash: mounted(flash), power_cut):
        assert content(mounted(after_cut)) == {}
        assert_goes_on(after_cut, {})
        judged += 1
    assert judged == 2, "the mark and the header"


def test_a_cut_in_format_never_leaves_a_part_of_the_store(
    base: Any,
    cut_mode: Any,
    power_cut: type[BaseException],
) -> None:
    outcomes: list[str] = []
    for after_cut in cuts(base, cut_mode, lambda flash: open_store(flash).format(), power_cut):
        store = open_store(after_cut)
        try:
            store.mount()
        except StorageDamaged:
            outcomes.append("damaged")
            store.format()
        else:
            found = content(store)
            assert found in (BASE, {})
            outcomes.append("as before" if found else "formatted")
            store.clear()
        assert_goes_on(after_cut, {})
    assert outcomes.count("damaged") <= 1, "only the step that voids the header of the bank that counts"
    assert "formatted" in outcomes
    assert len(outcomes) >= 5, f"{len(outcomes)} states judged"


def test_a_cut_while_firmware_is_written_leaves_no_firmware_that_starts(
    make_flash: Callable[..., Any], cut_mode: Any, power_cut: type[BaseException]
) -> None:
    flash, region = make_flash(8), Region(0, 6)
    image, old = (firmware_header(version, b"\xa5" * 9000) + b"\xa5" * 9000 for version in ("12r1", "11r1"))
    write_firmware(flash, region, old)
    judged = 0
    for after_cut in cuts(flash, cut_mode, lambda trial: write_firmware(trial, region, image), power_cut):
        judged += 1
        try:
            version = verify_firmware(after_cut, region).version
        except ImageInvalid:
            continue
        assert version == "11r1", "only the old image, untouched, may start"
        assert judged == 1
    assert judged > 35, f"{judged} states judged"
