"""The card is cut at write 1, 2, 3 ... until the operation completes: old content or new, never neither."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from cfcard import Fault, FaultyDevice, LogLayer, RamDevice
from cfcard.fat import Fat, Volume
from cfcard.log import SectorWritten

CLEAN = [Fault.CUT, Fault.TEAR_HEAD, Fault.TEAR_TAIL]

OLD, NEW = b"old " * 426, b"new!" * 1500


class Cut(BaseException):
    """The power went; unwinds past every ``except Exception``."""


def sweep(start: RamDevice, fault: Fault, act: Callable[[Volume], None], judge: Callable[[Volume, bool], None]) -> int:
    """Cuts ``act`` at every write; ``judge(volume, completed)`` looks at each card. Returns the number of cuts."""
    for at in itertools.count(1):
        card = start.copy()
        device = FaultyDevice(card, cut=Cut)
        volume = Fat().mount(device)
        device.arm(fault, at)
        try:
            act(volume)
        except Cut:
            pass
        judge(Fat().mount(card), not device.fired)
        if not device.fired:
            return at - 1
    raise AssertionError


@pytest.mark.parametrize("fault", CLEAN)
def test_replace_leaves_old_or_new_at_every_cut(card: RamDevice, fault: Fault) -> None:
    volume = Fat().mount(card)
    volume.mkdir("/CA")
    volume.replace("/CA/cakey.pem", OLD)
    volume.replace("/CA/cacert.pem", b"bystander")

    def judge(volume: Volume, completed: bool) -> None:
        assert volume.read_file("/CA/cakey.pem") in ((NEW,) if completed else (OLD, NEW))
        assert volume.read_file("/CA/cacert.pem") == b"bystander"

    assert sweep(card, fault, lambda volume: volume.replace("/CA/cakey.pem", NEW), judge) >= 7


@pytest.mark.parametrize("fault", CLEAN)
@pytest.mark.parametrize("name", ["A.TXT", "a long name for a file.text", "so long " * 28 + "that it takes 20 slots"])
def test_created_file_is_absent_or_whole_at_every_cut(card: RamDevice, fault: Fault, name: str) -> None:
    volume = Fat().mount(card)
    for number in range(14):  # so that the new name would straddle two sectors
        volume.replace(f"/{number}", b"")

    def judge(volume: Volume, completed: bool) -> None:
        rows = {row[0] for row in volume.ilistdir("/")} - {str(number) for number in range(14)}
        assert rows == {name} if completed else rows in (set(), {name})
        if rows:
            assert volume.read_file("/" + name) == NEW

    assert sweep(card, fault, lambda volume: volume.replace("/" + name, NEW), judge) >= 4


@pytest.mark.parametrize("fault", CLEAN)
def test_overwrite_of_one_sector_leaves_old_or_new_at_every_clean_cut(card: RamDevice, fault: Fault) -> None:
    Fat().mount(card).replace("/serial.txt", b"0001\r\n")

    def judge(volume: Volume, completed: bool) -> None:
        assert volume.read_file("/serial.txt") in ((b"0002\r\n",) if completed else (b"0001\r\n", b"0002\r\n"))

    assert sweep(card, fault, lambda volume: volume.overwrite("/serial.txt", b"0002\r\n"), judge) == 1


def test_cut_leaves_nothing_worse_than_lost_clusters(card: RamDevice) -> None:
    Fat().mount(card).replace("/cakey.pem", OLD)

    def judge(volume: Volume, completed: bool) -> None:
        problems = Fat().check(volume.sectors.device).problems
        assert all(problem.startswith(("FAT: ", "FAT copies", "FSInfo")) for problem in problems)
        assert not (completed and problems)

    sweep(card, Fault.CUT, lambda volume: volume.replace("/cakey.pem", NEW), judge)


def test_removed_file_is_whole_or_gone_at_every_cut(card: RamDevice) -> None:
    name = "a long name that takes four slots of a sector"
    volume = Fat().mount(card)
    for number in range(14):
        volume.replace(f"/{number}", b"")
    volume.replace("/" + name, OLD)

    def judge(volume: Volume, completed: bool) -> None:
        rows = {row[0] for row in volume.ilistdir("/")} - {str(number) for number in range(14)}
        assert rows == set() if completed else rows in (set(), {name})
        assert not [p for p in Fat().check(volume.sectors.device).problems if "long name" in p]

    assert sweep(card, Fault.CUT, lambda volume: volume.remove("/" + name), judge) >= 3


@pytest.mark.parametrize("fault", CLEAN)
def test_what_lies_behind_the_end_mark_never_comes_to_light(card: RamDevice, fault: Fault) -> None:
    volume = Fat().mount(card)
    volume.mkdir("/D")
    for number in range(12):  # with "." and ".." two slots of the sector are left
        volume.replace(f"/D/{number}", b"")
    start = volume.bpb.sector_from_cluster(volume.tree.existing("/D")[1].cluster)
    garbage = (b"GHOST   TXT\x20" + bytes(20)) * 16
    for lba in range(start + 1, start + volume.bpb.sectors_per_cluster):
        card.writeblocks(lba, garbage)
    name = "a long name for four slots of a sector"

    def judge(volume: Volume, completed: bool) -> None:
        rows = {row[0] for row in volume.ilistdir("/D")} - {str(number) for number in range(12)}
        assert rows == {name} if completed else rows in (set(), {name})

    assert sweep(card, fault, lambda volume: volume.replace(f"/D/{name}", NEW), judge) >= 4


def test_copy_of_the_fat_is_written_first(card: RamDevice) -> None:
    log = LogLayer(card)
    volume = Fat().mount(log)
    log.clear()
    volume.replace("/F", NEW)
    bpb = volume.bpb
    copies = [
        (event.lba - bpb.reserved) // bpb.fat_sectors + 1
        for event in log.events
        if isinstance(event, SectorWritten) and bpb.reserved <= event.lba < bpb.root_start
    ]
    assert copies == [2] * (len(copies) // 2) + [1] * (len(copies) // 2)
    assert copies


@pytest.mark.parametrize("fault", CLEAN)
@pytest.mark.parametrize("target", ["/D/inner", "/before", "/same", "/behind"])
@pytest.mark.parametrize("there", [True, False], ids=["over", "free"])
def test_renamed_file_has_a_good_name_at_every_cut(card: RamDevice, fault: Fault, target: str, there: bool) -> None:
    volume = Fat().mount(card)
    volume.mkdir("/D")

    def put(*paths: str) -> None:
        for path in paths:
            volume.replace(path, NEW if path == target else OLD if path == "/old" else b"")

    # "before", "same" and "behind" lie in the sector before that of "old", in the same one, in the one behind it.
    put("/D/inner", "/before", *(f"/{n}" for n in range(14)), "/same", *(f"/{n}" for n in range(14, 22)), "/old")
    put(*(f"/{n}" for n in range(22, 32)), "/behind")
    if not there:
        volume.remove(target)  # a hole, which the new name will take

    def judge(volume: Volume, completed: bool) -> None:
        contents = {path: volume.read_file(path) for path in ("/old", target) if has(volume, path)}
        assert OLD in contents.values()
        if there:
            assert contents[target] in (OLD, NEW)
        if completed:
            assert contents == {target: OLD}

    assert sweep(card, fault, lambda volume: volume.rename("/old", target), judge) >= 1


def has(volume: Volume, path: str) -> bool:
    directory, name = path.rsplit("/", 1)
    return name in {row[0] for row in volume.ilistdir(directory)}


def test_sweep_would_notice_a_file_that_is_emptied_first(card: RamDevice) -> None:
    Fat().mount(card).replace("/F", OLD)
    seen: list[bytes] = []

    def naive(volume: Volume) -> None:
        with volume.open("/F", "wb") as file:
            file.write(NEW)

    sweep(card, Fault.CUT, naive, lambda volume, completed: seen.append(volume.read_file("/F")))
    assert b"" in seen
