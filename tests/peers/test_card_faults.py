"""A card that a named fault has hit goes into another board: it looks the card over, and ``fsck.fat`` finds nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cfcard import ImageDevice
from cfcard.fat import Fat
from hil.bench import Bench
from hil.cards import CardPort

pytestmark = pytest.mark.peer("fsck.fat")

CREATE = "x509 rootca-create /key 1024-bit /years 10 /dn-cn Fault%20CA"

RULES: dict[str, dict[str, object]] = {
    "pull": {"fault": "pull", "at": 40},
    "cut-at-a-flush": {"fault": "cut", "event": "flush", "at": 6},
    "torn": {"fault": "tear-head", "at": 33},
    "burnt": {"fault": "burn-ones", "at": 60, "ends": "card"},
    "garbage": {"fault": "garbage", "at": 47},
    "unreadable": {"fault": "unreadable", "at": 50, "ends": "card"},
    "reordered": {"fault": "reorder", "at": 44},
    "forgetful": {"fault": "forget", "at": 90, "ends": "card"},
    "write-error": {"fault": "write-error", "at": 30},
    "full": {"event": "write", "errno": "ENOSPC", "at": 45},
    "worn": {"fault": "protect", "at": 52},
}


@pytest.mark.parametrize("name", RULES)
def test_after_a_fault_the_next_board_leaves_a_volume_that_fsck_calls_clean(
    name: str, require_program: Callable[[str], str], tmp_path: Path
) -> None:
    fsck = require_program("fsck.fat")
    image = tmp_path / "card.img"
    with Bench(11) as bench:
        first = bench.gateway("ip800", card=str(image), card_size="16M")
        first.power_on()
        first.console.login()
        first.console.run("card info")
        first.faults.arm(**RULES[name])  # type: ignore[arg-type]
        card = first.card
        assert card is not None
        first.console.send_line(CREATE)
        bench.run_until(lambda: bool(first.faults.fired), timeout_ms=600_000)
        bench.run_for(ms=2_000)
        assert "is on the card" not in first.console.text
        card.close()
    with Bench(12) as bench:
        second = bench.gateway("ip800", card=str(image))
        second.power_on()
        second.console.login()
        second.console.run("card info", timeout_ms=60_000)
        assert second.card is not None
        CardPort(second.board, second.card).save_image(tmp_path / "looked-over.img")
        if second.console.run("x509 rootca-show", check=False).error:
            second.console.run(CREATE, timeout_ms=600_000)
    for path in (tmp_path / "looked-over.img", image):
        found = subprocess.run([fsck, "-n", path], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("fat", [12, 16, 32])
def test_a_volume_that_linux_never_unmounted_is_clean_for_fsck_once_it_was_repaired(
    fat: int, require_program: Callable[[str], str], tmp_path: Path
) -> None:
    fsck, image = require_program("fsck.fat"), tmp_path / "card.img"
    with closing(ImageDevice.create(image, {12: 4 << 20, 16: 32 << 20, 32: 36 << 20}[fat])) as device:
        Fat().mkfs(device, fat=fat)
        volume = Fat().mount(device)
        volume.replace("/A.TXT", b"a")
        offset = volume.bpb.flags_offset
        volume.umount()
    content = bytearray(image.read_bytes())
    content[offset] |= 1
    image.write_bytes(content)
    before = subprocess.run([fsck, "-n", image], capture_output=True, text=True, check=False)
    assert "Dirty bit is set" in before.stdout
    with closing(ImageDevice(image)) as device:
        assert Fat().repair(device).done == ("dirty flag cleared",)
    after = subprocess.run([fsck, "-n", image], capture_output=True, text=True, check=False)
    assert after.returncode == 0, after.stdout
    assert "irty" not in after.stdout
