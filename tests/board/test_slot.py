"""The card slot: bounce, time per sector, and cards that come and go in the middle of things."""

from __future__ import annotations

import errno

import pytest

from board.clock import VirtualClock
from board.cpu import Cpu
from board.errors import BoardError
from board.pin import Pin
from board.slot import BOUNCE_US, SECTOR_BYTES, Slot
from board.trace import BoardTrace, Trace

US = 1_000
MS = 1_000_000


class FakeCard:
    """A card of 64 sectors: 100 us per sector read, 300 us written, 500 us per command. Not modelled: the rest."""

    def __init__(self) -> None:
        self.content = bytearray(64 * SECTOR_BYTES)
        self.synced = 0
        self.pauses_ns: dict[int, int] = {}
        self.asked: list[tuple[str, int, int, int]] = []
        self.device = self

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        begin = block_num * SECTOR_BYTES
        buf[:] = self.content[begin : begin + len(buf)]

    def writeblocks(self, block_num: int, buf: bytes | bytearray | memoryview, offset: int = 0, /) -> None:
        begin = block_num * SECTOR_BYTES
        self.content[begin : begin + len(buf)] = buf

    def ioctl(self, op: int, arg: int, /) -> int | None:
        self.synced += op == 3
        return {1: 0, 2: 0, 3: 0, 4: 64, 5: SECTOR_BYTES}.get(op)

    def identify(self) -> bytes:
        return b"\x8a\x84" + bytes(510)

    def read_us(self, sectors: int, /) -> int:
        return 500 + 100 * sectors

    def write_us(self, sectors: int, /) -> int:
        return 500 + 300 * sectors

    def power_on(self, bus_bytes_per_s: int, /) -> None:
        self.bus_bytes_per_s = bus_bytes_per_s

    def pause_ns(self, kind: str, lba: int, now_ns: int, base_ns: int, /) -> int:
        self.asked.append((kind, lba, now_ns, base_ns))
        return self.pauses_ns.get(lba, 0)


@pytest.fixture
def detect(clock: VirtualClock, cpu: Cpu) -> Pin:
    return Pin(clock, cpu, name="detect")


@pytest.fixture
def slot(clock: VirtualClock, cpu: Cpu, detect: Pin, trace: BoardTrace) -> Slot:
    return Slot(clock, cpu, detect, trace=trace)


@pytest.fixture
def card() -> FakeCard:
    return FakeCard()


def edges_of(slot: Slot, clock: VirtualClock) -> list[tuple[int, int]]:
    edges: list[tuple[int, int]] = []
    slot.detect.line.on_change(lambda level: edges.append((clock.now_ns // US, level)))
    return edges


def pull(slot: Slot) -> None:
    slot.remove()


def errno_of(action: object) -> int | None:
    assert callable(action)
    with pytest.raises(OSError) as refusal:
        action()
    return refusal.value.errno


def test_the_contact_bounces_and_settles_at_0(slot: Slot, clock: VirtualClock, card: FakeCard) -> None:
    edges = edges_of(slot, clock)
    slot.insert(card)
    clock.run_until(10 * MS)
    assert edges == [(0, 0), *((when, 1 - number % 2) for number, when in enumerate(BOUNCE_US))]
    assert slot.detect.value() == 0


def test_the_contact_bounces_and_settles_at_1_when_the_card_goes(
    slot: Slot, clock: VirtualClock, card: FakeCard
) -> None:
    slot.insert(card)
    clock.run_until(10 * MS)
    edges = edges_of(slot, clock)
    assert slot.remove() is card
    clock.run_until(20 * MS)
    assert [level for _, level in edges] == [1, 0, 1, 0, 1, 0, 1]


def test_each_bounce_interrupts(slot: Slot, clock: VirtualClock, card: FakeCard) -> None:
    seen: list[int | None] = []
    slot.detect.irq(lambda pin: seen.append(pin.value()))
    slot.insert(card)
    clock.run_until(10 * MS)
    assert len(seen) == 1 + len(BOUNCE_US)


def test_a_card_pulled_while_the_contact_still_bounces_settles_at_1(
    slot: Slot, clock: VirtualClock, card: FakeCard
) -> None:
    slot.insert(card)
    clock.run_until(1 * MS)
    slot.bounce(())
    slot.remove()
    clock.run_until(20 * MS)
    assert slot.detect.value() == 1


def test_a_bounce_pattern_of_ones_own(slot: Slot, clock: VirtualClock, card: FakeCard) -> None:
    slot.bounce(())
    edges = edges_of(slot, clock)
    slot.insert(card)
    clock.run_until(10 * MS)
    assert edges == [(0, 0)]


@pytest.mark.parametrize("pattern", [(100,), (200, 100), (0, 100), (100, 100)])
def test_a_bounce_pattern_that_cannot_be_is_refused(slot: Slot, pattern: tuple[int, ...]) -> None:
    with pytest.raises(BoardError, match="must rise from above 0 and be even in number"):
        slot.bounce(pattern)


def test_a_full_slot_takes_no_card_and_an_empty_one_gives_none(slot: Slot, card: FakeCard) -> None:
    with pytest.raises(BoardError, match="the slot is empty"):
        slot.remove()
    slot.insert(card)
    with pytest.raises(BoardError, match="the slot has a card in it"):
        slot.insert(FakeCard())
    assert slot.card is card


def test_sectors_are_written_and_read_back(slot: Slot, card: FakeCard) -> None:
    slot.insert(card)
    data = bytes(range(256)) * 4
    slot.device.writeblocks(5, data)
    buffer = bytearray(1_024)
    slot.device.readblocks(5, buffer)
    assert buffer == data
    assert card.content[5 * 512 : 7 * 512] == data


def test_a_transfer_takes_the_time_of_the_card(slot: Slot, card: FakeCard, cpu: Cpu) -> None:
    slot.insert(card)
    slot.device.writeblocks(0, bytes(3 * 512))
    assert cpu.now_ns == (500 + 900) * US
    slot.device.readblocks(0, bytearray(7 * 512))
    assert cpu.now_ns == (500 + 900 + 500 + 700) * US


def test_a_pause_of_the_card_comes_before_its_sector(slot: Slot, card: FakeCard, clock: VirtualClock, cpu: Cpu) -> None:
    slot.insert(card)
    card.pauses_ns[1] = 5 * MS
    clock.at(1 * MS, lambda: pull(slot))  # in the middle of the pause: the second sector never comes
    assert errno_of(lambda: slot.device.writeblocks(0, b"\x55" * 2 * 512)) == errno.ENODEV
    assert card.content.count(0x55) == 512
    assert cpu.now_ns == (500 + 600) * US + 5 * MS
    assert card.asked == [("write", 0, 0, 550 * US), ("write", 1, 550 * US, 550 * US)]


def test_a_card_is_told_how_fast_the_slot_is(clock: VirtualClock, cpu: Cpu, detect: Pin, card: FakeCard) -> None:
    Slot(clock, cpu, detect, bus_bytes_per_s=3_333_333).insert(card)
    assert card.bus_bytes_per_s == 3_333_333


def test_who_watches_the_slot_is_told_of_cards(slot: Slot, card: FakeCard) -> None:
    seen: list[tuple[object, bool]] = []
    slot.watch(lambda card, present: seen.append((card, present)))
    slot.insert(card)
    slot.remove()
    assert seen == [(card, True), (card, False)]


def test_an_empty_slot_answers_enodev_to_everything(slot: Slot) -> None:
    device = slot.device
    actions = [
        lambda: device.readblocks(0, bytearray(512)),
        lambda: device.writeblocks(0, bytes(512)),
        lambda: device.ioctl(1),
        lambda: device.ioctl(4),
        slot.identify,
    ]
    assert [errno_of(action) for action in actions] == [errno.ENODEV] * 5


def test_the_device_tells_the_geometry_of_the_card(slot: Slot, card: FakeCard) -> None:
    slot.insert(card)
    assert [slot.device.ioctl(op) for op in (1, 3, 4, 5, 2)] == [0, 0, 64, 512, 0]
    assert card.synced == 1
    assert slot.identify()[:2] == b"\x8a\x84"


def test_a_card_pulled_in_the_middle_of_a_write_has_the_sectors_before_and_no_more(
    slot: Slot, card: FakeCard, clock: VirtualClock, cpu: Cpu
) -> None:
    slot.insert(card)
    per_sector_ns = (500 + 300 * 8) * US // 8
    clock.at(3 * per_sector_ns + 1, lambda: pull(slot))
    assert errno_of(lambda: slot.device.writeblocks(0, b"\x55" * 8 * 512)) == errno.ENODEV
    assert card.content.count(0x55) == 3 * 512
    assert cpu.now_ns == 4 * per_sector_ns, "the failure is noticed within the sector"


def test_a_card_pulled_in_the_middle_of_a_read_fails_it(slot: Slot, card: FakeCard, clock: VirtualClock) -> None:
    slot.insert(card)
    clock.at(600 * US, lambda: pull(slot))
    assert errno_of(lambda: slot.device.readblocks(0, bytearray(8 * 512))) == errno.ENODEV


def test_a_swapped_card_is_not_written_until_it_is_initialised(slot: Slot, card: FakeCard) -> None:
    slot.insert(card)
    slot.device.writeblocks(0, b"\x55" * 512)
    slot.remove()
    other = FakeCard()
    slot.insert(other)
    assert errno_of(lambda: slot.device.writeblocks(1, b"\x55" * 512)) == errno.ENODEV
    assert other.content.count(0x55) == 0
    slot.device.ioctl(1)
    slot.device.writeblocks(1, b"\x55" * 512)
    assert other.content.count(0x55) == 512


def test_the_same_card_put_back_counts_as_swapped(slot: Slot, card: FakeCard) -> None:
    slot.insert(card)
    slot.device.ioctl(1)
    slot.insert(slot.remove())
    assert errno_of(lambda: slot.device.ioctl(4)) == errno.ENODEV


def test_a_late_write_after_the_unmount_spares_the_next_card(slot: Slot, card: FakeCard) -> None:
    slot.insert(card)
    slot.device.ioctl(1)
    slot.device.ioctl(2)
    slot.remove()
    slot.insert(FakeCard())
    assert errno_of(lambda: slot.device.writeblocks(1, b"\x55" * 512)) == errno.ENODEV


def test_a_card_swapped_in_the_middle_of_a_write_spares_the_new_one(
    slot: Slot, card: FakeCard, clock: VirtualClock
) -> None:
    slot.insert(card)
    other = FakeCard()

    def swap() -> None:
        slot.remove()
        slot.insert(other)

    clock.at(1 * MS, swap)
    assert errno_of(lambda: slot.device.writeblocks(0, b"\x55" * 8 * 512)) == errno.ENODEV
    assert other.content.count(0x55) == 0


def test_after_a_reset_the_card_that_is_in_is_taken(slot: Slot, card: FakeCard) -> None:
    slot.insert(card)
    slot.device.ioctl(1)
    slot.insert(slot.remove())
    slot.detect.irq(lambda _: pytest.fail("this handler belonged to the firmware that is gone"))
    slot.reset()
    assert slot.device.ioctl(4) == 64
    slot.remove()


def test_a_protected_card_refuses_writes_alone(slot: Slot, card: FakeCard) -> None:
    slot.insert(card)
    slot.write_protected = True
    assert errno_of(lambda: slot.device.writeblocks(0, b"\x55" * 512)) == errno.EROFS
    slot.device.readblocks(0, bytearray(512))
    assert card.content.count(0x55) == 0


@pytest.mark.parametrize(("size_bytes", "offset"), [(100, 0), (512, 4)])
def test_parts_of_sectors_are_refused(slot: Slot, card: FakeCard, size_bytes: int, offset: int) -> None:
    slot.insert(card)
    assert errno_of(lambda: slot.device.writeblocks(0, bytes(size_bytes), offset)) == errno.EINVAL


def test_transfers_show_in_the_trace_and_on_the_activity_light(slot: Slot, card: FakeCard, events: Trace) -> None:
    seen: list[str] = []
    slot.on_activity = seen.append
    slot.insert(card)
    slot.device.writeblocks(7, bytes(1_024))
    slot.device.readblocks(3, bytearray(512))
    slot.remove()
    assert seen == ["write", "read"]
    assert [event[3:] for event in events] == [("insert", 1), ("write", "7+2"), ("read", "3+1"), ("remove", 1)]
