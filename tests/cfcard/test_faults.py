"""Each fault does what its comment says, and nothing before or after."""

from __future__ import annotations

import errno

import pytest

from cfcard import (
    ArmedRules,
    CardError,
    CardProtected,
    Event,
    Fault,
    FaultyDevice,
    NoCard,
    RamDevice,
    Rule,
    SectorError,
    VolumeCorrupt,
    VolumeFull,
)
from cfcard.armed import fixed_noise
from cfcard.blockdev import SYNC
from cfcard.fat import Fat
from cfcard.fat.fill import require_fillable

OLD, NEW = b"o" * 512, b"n" * 512


class PowerOff(BaseException):
    """What a caller may give to be raised."""


@pytest.fixture
def ram() -> RamDevice:
    card = RamDevice(1 << 20)
    card.writeblocks(0, OLD * 16)
    return card


def sector(card: RamDevice | FaultyDevice, lba: int) -> bytes:
    buf = bytearray(512)
    card.readblocks(lba, buf)
    return bytes(buf)


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        (Fault.CUT, OLD),
        (Fault.TEAR_HEAD, NEW[:256] + OLD[256:]),
        (Fault.TEAR_TAIL, OLD[:256] + NEW[256:]),
        (Fault.BURN_ONES, b"\xff" * 512),
        (Fault.BURN_ZEROS, bytes(512)),
    ],
)
def test_cut_comes_at_the_write_that_was_named(ram: RamDevice, fault: Fault, left: bytes) -> None:
    device = FaultyDevice(ram)
    device.arm(fault, at=3)
    with pytest.raises(NoCard):
        device.writeblocks(4, NEW * 5)  # one call of five sectors: the third of them is hit
    assert [sector(ram, lba) for lba in range(3, 10)] == [OLD, NEW, NEW, left, OLD, OLD, OLD]
    assert device.fired == [fault]


def test_after_a_cut_nothing_reaches_the_card_until_it_is_healed(ram: RamDevice) -> None:
    device = FaultyDevice(ram, cut=PowerOff)
    device.arm(Fault.CUT, at=1)
    with pytest.raises(PowerOff):
        device.writeblocks(0, NEW)
    for act in (
        lambda: device.writeblocks(1, NEW),
        lambda: device.readblocks(1, bytearray(512)),
        lambda: device.ioctl(SYNC, 0),
    ):
        with pytest.raises(NoCard):
            act()
    assert sector(ram, 1) == OLD
    device.heal()
    device.writeblocks(1, NEW)
    assert sector(device, 1) == NEW


def test_unreadable_sector_is_readable_again_once_written(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.UNREADABLE, at=1)
    with pytest.raises(NoCard):
        device.writeblocks(7, NEW)
    device.heal()
    with pytest.raises(SectorError, match="sector 7 unreadable"):
        device.readblocks(6, bytearray(1024))
    device.writeblocks(7, NEW)
    assert sector(device, 7) == NEW


def test_read_errors_come_once_or_always(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.READ_ONCE, at=2)
    device.arm(Fault.READ_ALWAYS, at=3)
    with pytest.raises(SectorError):
        sector(device, 2)
    assert sector(device, 2) == OLD
    for _ in range(3):
        with pytest.raises(SectorError):
            sector(device, 3)
    assert sector(device, 4) == OLD


def test_write_error_changes_nothing_and_the_card_lives_on(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.WRITE_ERROR, at=2)
    with pytest.raises(SectorError, match="sector 1 cannot be written"):
        device.writeblocks(0, NEW * 3)
    assert [sector(device, lba) for lba in range(3)] == [NEW, OLD, OLD]
    device.writeblocks(1, NEW)
    assert sector(device, 1) == NEW


def test_lost_write_is_reported_as_done(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.LOSE, at=1)
    device.writeblocks(0, NEW * 2)
    assert [sector(device, 0), sector(device, 1)] == [OLD, NEW]


def test_misdirected_write_lands_beside_its_place(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.MISDIRECT, at=1)
    device.writeblocks(4, NEW)
    assert [sector(device, lba) for lba in (4, 5)] == [OLD, NEW]


def test_protection_begins_at_the_write_that_was_named(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.PROTECT, at=2)
    device.writeblocks(0, NEW)
    for _ in range(2):
        with pytest.raises(CardProtected):
            device.writeblocks(1, NEW)
    assert [sector(device, 0), sector(device, 1)] == [NEW, OLD]


def test_without_faults_it_is_invisible(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Fault.CUT, at=4)
    device.writeblocks(0, NEW * 3)
    assert device.fired == []
    assert sector(ram, 2) == NEW


def test_a_pull_and_a_power_cut_end_the_caller_each_in_its_way(ram: RamDevice) -> None:
    for fault, ends, expected in (
        (Rule(Fault.CUT), "power", PowerOff),
        (Rule(Fault.PULL), "card", NoCard),
        (Rule(Fault.GARBAGE), "power", PowerOff),
        (Rule(Fault.GARBAGE, ends="card"), "card", NoCard),
    ):
        device = FaultyDevice(ram, cut=PowerOff)
        device.arm(fault)
        with pytest.raises(expected):
            device.writeblocks(0, NEW)
        assert fault.pulls == (ends == "card")


def test_garbage_is_drawn_from_the_noise(ram: RamDevice) -> None:
    found = []
    for seed in ("a", "a", "b"):
        device = FaultyDevice(ram.copy(), rules=ArmedRules(fixed_noise(seed)))
        device.arm(Fault.GARBAGE)
        with pytest.raises(NoCard):
            device.writeblocks(0, NEW)
        device.heal()
        found.append(sector(device, 0))
    assert found[0] == found[1] != found[2]
    assert OLD not in found
    assert NEW not in found


def numbered(device: FaultyDevice, first: int, count: int) -> None:
    """Writes sectors whose content is their number, one by one."""
    for lba in range(first, first + count):
        device.writeblocks(lba, bytes([lba]) * 512)


def arrived(ram: RamDevice, first: int, count: int) -> list[int]:
    return [lba for lba in range(first, first + count) if sector(ram, lba) == bytes([lba]) * 512]


def test_reordered_writes_are_those_since_the_last_flush(ram: RamDevice) -> None:
    outcomes = set()
    for seed in range(12):
        card = ram.copy()
        device = FaultyDevice(card, rules=ArmedRules(fixed_noise(str(seed))))
        device.arm(Fault.REORDER, at=12)
        numbered(device, 0, 4)
        device.ioctl(SYNC, 0)
        with pytest.raises(NoCard):
            numbered(device, 4, 8)
        assert arrived(card, 0, 4) == [0, 1, 2, 3], "what was flushed stays"
        outcomes.add(tuple(arrived(card, 4, 8)))
    assert len(outcomes) > 6
    assert any(later and later[0] > 4 for later in outcomes), "a later write is there, and an earlier one is not"


def test_a_cut_at_a_flush_comes_before_it(ram: RamDevice) -> None:
    device = FaultyDevice(ram, rules=ArmedRules(fixed_noise("5")))
    device.arm(Rule(Fault.REORDER, Event.FLUSH, at=2))
    numbered(device, 0, 3)
    device.ioctl(SYNC, 0)
    numbered(device, 3, 8)
    with pytest.raises(NoCard):
        device.ioctl(SYNC, 0)
    assert arrived(ram, 0, 3) == [0, 1, 2]
    assert 0 < len(arrived(ram, 3, 8)) < 8


def test_a_forgetful_card_loses_acknowledged_sectors_of_its_window_alone(ram: RamDevice) -> None:
    lost = set()
    for seed in range(12):
        card = ram.copy()
        device = FaultyDevice(card, rules=ArmedRules(fixed_noise(str(seed))))
        device.arm(Rule(Fault.FORGET, at=31, count=10))
        for lba in range(30):
            numbered(device, lba, 1)
            device.ioctl(SYNC, 0)
        with pytest.raises(NoCard):
            numbered(device, 30, 1)
        assert arrived(card, 0, 20) == list(range(20)), "older than its window"
        assert sector(card, 30) == bytes(512), "the write of the cut itself"
        lost |= set(range(20, 30)) - set(arrived(card, 20, 10))
    assert len(lost) > 5


def test_a_sector_written_twice_is_forgotten_back_to_what_was_there_before(ram: RamDevice) -> None:
    for seed in range(8):
        card = ram.copy()
        device = FaultyDevice(card, rules=ArmedRules(fixed_noise(str(seed))))
        device.arm(Rule(Fault.FORGET, at=3, count=2))
        device.writeblocks(0, b"1" * 512)
        device.writeblocks(0, b"2" * 512)
        with pytest.raises(NoCard):
            device.writeblocks(5, NEW)
        assert sector(card, 0) in (OLD, b"1" * 512, b"2" * 512)


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (errno.EIO, SectorError, "sector 3 cannot be written"),
        (errno.EROFS, CardProtected, "write-protected"),
        (errno.ENODEV, NoCard, "no card"),
        (errno.ENOSPC, CardError, "sector 3 cannot be written"),
    ],
)
def test_an_error_has_the_number_that_was_asked_for(ram: RamDevice, code: int, kind: type[OSError], text: str) -> None:
    device = FaultyDevice(ram)
    device.arm(Rule(errno=code, sector=3))
    device.writeblocks(2, NEW)
    for _ in range(2):
        with pytest.raises(kind, match=text) as refusal:
            device.writeblocks(3, NEW)
        assert refusal.value.errno == code
    assert sector(ram, 3) == OLD
    device.writeblocks(4, NEW)


def test_a_card_that_does_not_flush_says_so(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Rule(event=Event.FLUSH, once=True))
    with pytest.raises(SectorError, match="does not flush"):
        device.ioctl(SYNC, 0)
    device.ioctl(SYNC, 0)


def test_a_stretch_that_cannot_be_read_heals_sector_by_sector(ram: RamDevice) -> None:
    device = FaultyDevice(ram)
    device.arm(Rule(Fault.READ_ALWAYS, sector=(4, 6)))
    device.writeblocks(5, NEW)
    assert sector(device, 5) == NEW
    for lba in (4, 6, 4):
        with pytest.raises(SectorError, match=f"sector {lba} unreadable"):
            sector(device, lba)
    device.rules.disarm()
    assert sector(device, 4) == OLD


def test_rules_go_with_the_slot_and_damage_stays_with_the_card(ram: RamDevice) -> None:
    rules = ArmedRules()
    device = FaultyDevice(ram, rules=rules)
    device.arm(Rule(Fault.UNREADABLE, sector=3, ends="card"))
    rules.arm(Rule(Fault.LOSE, at=3))
    device.writeblocks(0, NEW)
    with pytest.raises(NoCard):
        device.writeblocks(3, NEW)
    device.obey(ArmedRules(), cut=NoCard, pull=NoCard)  # it is out, and another card comes in
    other = FaultyDevice(ram.copy(), rules=rules)
    other.writeblocks(7, NEW)
    assert sector(other, 7) == OLD, "the third write that the rule has seen"
    with pytest.raises(SectorError):
        sector(device, 3)


def test_a_full_card_is_one_whose_volume_has_no_room(fat: int, card: RamDevice) -> None:
    free = Fat().mount(card).statvfs()[3]
    device = FaultyDevice(card)
    device.arm(Rule(Fault.FULL, free_clusters=3))
    assert device.fired == [Fault.FULL]
    volume = Fat().mount(device)
    assert volume.statvfs()[3] == 3
    assert volume.stat("/FULL.BIN")[6] == (free - 3) * volume.bpb.cluster_bytes
    assert Fat().check(card).problems == ()
    volume.replace("/A", bytes(3 * volume.bpb.cluster_bytes))
    with pytest.raises(VolumeFull):
        volume.replace("/B", b"b")
    volume.remove("/FULL.BIN")
    volume.replace("/B", b"b")
    assert Fat().check(card).problems == ()


def test_a_card_cannot_be_filled_twice_nor_to_more_than_it_has(card: RamDevice) -> None:
    device = FaultyDevice(card)
    with pytest.raises(VolumeFull, match="fewer than the 100000000 that are to stay free"):
        device.arm(Rule(Fault.FULL, free_clusters=100_000_000))
    device.heal()
    device.arm(Fault.FULL)
    with pytest.raises(OSError, match="it was filled before"):
        require_fillable(card)
    with pytest.raises(VolumeCorrupt):
        require_fillable(RamDevice(1 << 20))
