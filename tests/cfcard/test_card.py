"""What a CompactFlash card says of itself, and how long it takes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from cfcard import (
    ArmedRules,
    CardProtected,
    CompactFlash,
    Event,
    Fault,
    ImageDevice,
    NoCard,
    RamDevice,
    Rule,
    Timing,
)
from cfcard.fat import write_mbr
from cfcard.identify import geometry_from_sectors, identify_block, string_from_identify

US = 1_000


def test_identify_is_that_of_a_compactflash_card() -> None:
    card = CompactFlash(RamDevice(64 << 20), serial="SN42", model="TEST CARD")
    block = card.identify()
    words = struct.unpack("<256H", block)
    assert len(block) == 512
    assert words[0] == 0x848A
    assert (words[1], words[3], words[6]) == (1024, 4, 32)
    assert words[7] << 16 | words[8] == 131_072, "word 7 is the high half"
    assert words[61] << 16 | words[60] == 131_072, "word 61 is the high half"
    assert words[49] & 1 << 9, "LBA"
    assert words[83] & 1 << 2, "CFA command set"


def test_strings_lie_byte_swapped() -> None:
    block = identify_block(2048, serial="SN42", model="TEST CARD")
    assert block[54:64] == b"ETTSC RA D"
    assert block[20:40] == b" " * 16 + b"NS24", "the serial number is right-justified"
    assert string_from_identify(block, 10, 10) == "SN42"
    assert string_from_identify(block, 27, 20) == "TEST CARD"
    assert string_from_identify(block, 23, 4) == "GB 1.00"


@pytest.mark.parametrize("mib", [2, 16, 32, 64, 128, 256, 512, 2048, 32_768])
def test_geometry_covers_the_card(mib: int) -> None:
    geometry = geometry_from_sectors(mib << 11)
    assert geometry.capacity_sectors <= mib << 11
    assert geometry.cylinders <= 16_383
    assert 1 <= geometry.sectors <= 63
    assert geometry.heads <= 16
    if mib <= 256:
        assert geometry.capacity_sectors == mib << 11
        assert geometry.cylinders <= 1024
    assert geometry.chs_from_lba(0) == (0, 0, 1)
    assert geometry.chs_from_lba(geometry.sectors) == (0, 1, 1)


def test_time_has_a_part_per_command_and_a_part_per_sector() -> None:
    card = CompactFlash(RamDevice(1 << 20))
    assert card.read_us(1) == 300 + 103
    assert card.write_us(1) == 700 + 103
    assert card.read_us(100) == 300 + 10_240
    slow = CompactFlash(RamDevice(1 << 20), timing=Timing(read_command_us=1000, write_command_us=2000, bytes_per_s=512))
    assert (slow.read_us(2), slow.write_us(1)) == (2_001_000, 1_002_000)


def test_a_slow_bus_holds_a_card_up_and_a_fast_one_does_not() -> None:
    card = CompactFlash(RamDevice(1 << 20))
    card.power_on(16_666_666)
    assert card.read_us(1) == 300 + 103
    card.power_on(2_000_000_000 // 600)
    assert card.read_us(1) == 300 + 154


def test_a_card_falls_asleep_and_takes_its_time_to_wake_up() -> None:
    card = CompactFlash(RamDevice(1 << 20))
    assert card.pause_ns("read", 0, 0, 400 * US) == 2_000 * US, "it sleeps when it is put in"
    ends_ns = 2_400 * US
    assert card.pause_ns("read", 1, ends_ns, 100 * US) == 0
    ends_ns += 100 * US
    assert card.pause_ns("read", 1, ends_ns + 4_999 * US, 100 * US) == 0
    ends_ns += 5_099 * US
    assert card.pause_ns("write", 1, ends_ns + 5_000 * US, 100 * US) == 2_000 * US
    card.power_on()
    assert card.pause_ns("read", 0, ends_ns, 0) == 2_000 * US
    wakeful = CompactFlash(RamDevice(1 << 20), timing=Timing(wake_us=0))
    assert wakeful.pause_ns("read", 0, 10**12, 0) == 0


def erasing(timing: Timing, lbas: list[int], kind: str = "write") -> list[int]:
    """Which of these writes, by their number from 0, had to wait for an erase."""
    card = CompactFlash(RamDevice(1 << 30), timing=timing)
    return [i for i, lba in enumerate(lbas) if card.pause_ns(kind, lba, i, 0)]


def test_every_64th_new_erase_block_makes_a_write_wait() -> None:
    timing = Timing(wake_us=0)
    block = 128 * 1024 // 512
    assert erasing(timing, [block * n for n in range(200)]) == [63, 127, 191]
    assert erasing(timing, [block * n for n in range(200)], "read") == []
    assert erasing(timing, list(range(block * 63))) == [], "63 blocks, every sector of them"
    assert erasing(timing, [block * (n % 63) for n in range(1_000)]) == [], "the same ones again are not new"
    card = CompactFlash(RamDevice(1 << 30), timing=timing)
    assert [card.pause_ns("write", block * n, n, 0) for n in range(64)][-1] == 5_000 * US


def test_how_and_when_a_card_erases_can_be_set_and_switched_off() -> None:
    assert erasing(Timing(wake_us=0, erase_every=2, erase_block_bytes=1024), [0, 1, 2, 4, 6]) == [2, 4]
    assert erasing(Timing(wake_us=0, erase_every=0), list(range(0, 1 << 20, 256))) == []
    assert erasing(Timing(wake_us=0, erase_us=0), list(range(0, 1 << 20, 256))) == []


def test_a_slow_card_takes_longer_for_the_sectors_that_its_rule_names() -> None:
    card = CompactFlash(RamDevice(1 << 20), timing=Timing(wake_us=0))
    rules = ArmedRules()
    card.break_by(rules, cut=NoCard, pull=NoCard)
    rules.arm(Rule(Fault.SLOW, Event.WRITE, delay_ms=20, sector=(4, 5)))
    rules.arm(Rule(Fault.SLOW, Event.READ, factor=3, at=2))
    assert [card.pause_ns("write", lba, lba, 100) for lba in (3, 4, 5, 6)] == [0, 20_000 * US, 20_000 * US, 0]
    assert [card.pause_ns("read", 0, n, 100) for n in range(3)] == [0, 200, 200]


def test_a_slow_card_does_not_fall_asleep_over_its_work() -> None:
    card = CompactFlash(RamDevice(1 << 20))
    rules = ArmedRules()
    card.break_by(rules, cut=NoCard, pull=NoCard)
    rules.arm(Rule(Fault.SLOW, delay_ms=100))
    now_ns = 0
    pauses = []
    for lba in range(3):
        pauses.append(card.pause_ns("write", lba, now_ns, 100 * US))
        now_ns += pauses[-1] + 100 * US
    assert pauses == [102_000 * US, 100_000 * US, 100_000 * US]


def test_write_protection_is_the_cards_word() -> None:
    card = CompactFlash(RamDevice(1 << 20), write_protected=True)
    with pytest.raises(CardProtected, match="write-protected"):
        card.device.writeblocks(0, bytes(512))
    card.write_protected = False
    card.device.writeblocks(0, bytes(512))
    assert CompactFlash(RamDevice(512, write_protected=True)).write_protected


@pytest.mark.parametrize("mib", [8, 64, 8192])
def test_partition_entry_agrees_with_the_geometry(mib: int) -> None:
    device = RamDevice(mib << 20)
    write_mbr(device)
    sector = bytearray(512)
    device.readblocks(0, sector)
    entry = sector[446:462]
    first, size = struct.unpack_from("<II", entry, 8)
    geometry = geometry_from_sectors(mib << 11)
    assert first + size == mib << 11
    assert first in (63, 2048)
    for at, lba in ((1, first), (5, first + size - 1)):
        cylinder, head, number = geometry.chs_from_lba(lba)
        if cylinder > 1023:
            assert entry[at : at + 3] == b"\xfe\xff\xff"
        else:
            assert (entry[at + 2] | (entry[at + 1] & 0xC0) << 2, entry[at], entry[at + 1] & 0x3F) == (
                cylinder,
                head,
                number,
            )


def test_closing_a_card_closes_its_image(tmp_path: Path) -> None:
    card = CompactFlash(ImageDevice.create(tmp_path / "card.img", 1 << 20))
    card.close()
    with pytest.raises(NoCard):
        card.device.readblocks(0, bytearray(512))
    card.close()
