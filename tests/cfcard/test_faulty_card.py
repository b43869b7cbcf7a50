"""A volume on a card that fails: errors are reported, nothing that was reported as done is lost, and it goes on."""

from __future__ import annotations

import itertools

import pytest

from cfcard import Fault, FaultyDevice, NoCard, RamDevice, SectorError
from cfcard.fat import Fat


def test_write_error_is_reported_and_the_old_content_stays(card: RamDevice) -> None:
    Fat().mount(card).replace("/F", b"old" * 1000)
    for at in itertools.count(1):
        copy = card.copy()
        device = FaultyDevice(copy)
        volume = Fat().mount(device)
        device.arm(Fault.WRITE_ERROR, at)
        try:
            volume.replace("/F", b"new" * 3000)
        except SectorError:
            assert device.fired
        device.heal()
        # The same volume goes on, and so does whoever mounts the card next.
        content = volume.read_file("/F")
        assert content in (b"old" * 1000, b"new" * 3000)
        assert Fat().mount(copy).read_file("/F") == content
        assert volume.statvfs()[3] == Fat().check(copy).free_clusters, "memory says what the card says"
        volume.replace("/F", b"again")
        volume.replace("/G", b"other")
        assert Fat().mount(copy).read_file("/F") == b"again"
        assert not [p for p in Fat().check(copy).problems if not p.startswith(("FAT: ", "FAT copies", "FSInfo"))]
        if not device.fired:
            return


def test_pulled_card_stays_gone_for_the_volume_that_was_on_it(card: RamDevice) -> None:
    device = FaultyDevice(card)
    volume = Fat().mount(device)
    volume.replace("/F", b"old")
    file = volume.open("/LOG", "wb")
    file.write(b"x" * 100)
    device.arm(Fault.CUT, at=2)
    with pytest.raises(NoCard):
        volume.replace("/F", b"new")
    device.heal()  # a card is in again, and it may be another one
    for act in (
        lambda: volume.read_file("/F"),
        lambda: list(volume.ilistdir("/")),
        lambda: volume.replace("/F", b"new"),
        file.flush,
        file.close,
    ):
        with pytest.raises(OSError):
            act()
    volume.umount()
    assert Fat().mount(device).read_file("/F") == b"old"


def test_unreadable_sector_of_the_first_fat_is_read_from_the_second(card: RamDevice) -> None:
    content = bytes(range(256)) * 200
    Fat().mount(card).replace("/F", content)
    bpb = Fat().mount(card).bpb
    device = FaultyDevice(card)
    device.arm(Fault.READ_ALWAYS, bpb.reserved)
    assert Fat().mount(device).read_file("/F") == content
    device.arm(Fault.READ_ALWAYS, bpb.reserved + bpb.fat_sectors)
    with pytest.raises(SectorError):
        Fat().mount(device).read_file("/F")


def test_unreadable_data_is_reported_for_that_file_only(card: RamDevice) -> None:
    volume = Fat().mount(card)
    volume.replace("/A", b"a")
    volume.replace("/B", b"b")
    sector = volume.bpb.sector_from_cluster(volume.tree.existing("/A")[1].cluster)
    device = FaultyDevice(card)
    device.arm(Fault.READ_ALWAYS, sector)
    damaged = Fat().mount(device)
    with pytest.raises(SectorError, match=f"sector {sector} unreadable"):
        damaged.read_file("/A")
    assert damaged.read_file("/B") == b"b"
    damaged.replace("/A", b"a again")
    assert damaged.read_file("/A") == b"a again"


def test_unreadable_boot_sector_is_an_error_of_the_card(card: RamDevice) -> None:
    device = FaultyDevice(card)
    device.arm(Fault.READ_ALWAYS, 0)
    with pytest.raises(SectorError, match="sector 0 unreadable"):
        Fat().mount(device)


def test_check_reports_sectors_that_cannot_be_read(card: RamDevice) -> None:
    volume = Fat().mount(card)
    volume.mkdir("/D")
    sector = volume.bpb.sector_from_cluster(volume.tree.existing("/D")[1].cluster)
    device = FaultyDevice(card)
    device.arm(Fault.READ_ALWAYS, sector)
    assert any(p.startswith("/D: expected readable sectors") for p in Fat().check(device).problems)
