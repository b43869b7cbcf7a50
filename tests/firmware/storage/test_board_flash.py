"""The store on the board's own flash chip: the protocols fit, and a cut chip mounts again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from board.flash import Flash, Tear
from firmware.storage import Store, firmware_image, flash_map, verify_firmware, write_firmware


class PowerCut(BaseException):
    """Raised by the hook before a step."""


class FakeCpu:
    """Counts the time that flash takes. Not modelled: cycles, a world."""

    now_ns = 0

    def spend_ns(self, duration_ns: int) -> None:
        self.now_ns += duration_ns

    def sync(self) -> None:
        """The world has nothing to say."""


def chip(storage: bytearray) -> Any:
    cpu: Any = FakeCpu()
    return Flash(storage, cpu)


def mounted(flash: Any) -> Store:
    store = Store(flash, *flash_map(flash).store, secret=lambda name: name.startswith("key/"))
    store.mount()
    return store


def content(store: Store) -> dict[str, bytes | None]:
    return {name: store.get(name) for name in store.names()}


def cuts(storage: bytearray, tear: Tear, changes: dict[str, bytes | None]) -> Iterator[bytearray]:
    for step in range(1, 1000):
        trial = bytearray(storage)
        flash = chip(trial)
        store = mounted(flash)
        flash.tear, last = tear, flash.steps + step

        def hook(kind: str, address: int, size_bytes: int, flash: Any = flash, last: int = last) -> None:
            if flash.steps == last:
                raise PowerCut

        flash.before_step = hook
        try:
            store.commit(changes)
        except PowerCut:
            yield trial
        else:
            return


@pytest.mark.parametrize("tear", list(Tear), ids=lambda tear: tear.name.lower())
def test_a_cut_chip_mounts_with_the_old_or_the_new_values(tear: Tear) -> None:
    storage = bytearray(b"\xff" * 64 * 4096)
    old: dict[str, bytes | None] = {"key/device": b"OLD" * 200, "chain": b"old" * 300, "request": b"pending"}
    new: dict[str, bytes | None] = {"key/device": b"NEW" * 200, "chain": b"new" * 300, "request": None}
    mounted(chip(storage)).commit(old)
    judged = 0
    for after_cut in cuts(storage, tear, new):
        found = content(mounted(chip(after_cut)))
        assert found in (old, {name: value for name, value in new.items() if value is not None})
        assert b"NEWNEW" not in after_cut or b"OLDOLD" not in after_cut
        judged += 1
    assert judged >= 8, f"{judged} states judged"


def test_boot_checks_firmware_and_mounts_within_a_few_milliseconds_of_board_time() -> None:
    flash = chip(bytearray(b"\xff" * 1024 * 4096))
    regions = flash_map(flash)
    write_firmware(flash, regions.firmware, firmware_image("11r1"))
    store = mounted(flash)
    for number in range(200):
        store.commit({f"trust/{number:03}": bytes([number]) * 700})
    begin_ns = flash._cpu.now_ns
    verify_firmware(flash, regions.firmware)
    mounted(flash)
    assert flash._cpu.now_ns - begin_ns < 10_000_000


def test_a_small_commit_takes_three_page_programs_of_board_time() -> None:
    flash = chip(bytearray(b"\xff" * 64 * 4096))
    store = mounted(flash)
    begin_ns = flash._cpu.now_ns
    store.commit({"vars/x": b"12345678"})
    assert 2_100_000 <= flash._cpu.now_ns - begin_ns < 2_200_000
