"""NOR semantics, times, and power cuts at every step."""

from __future__ import annotations

import errno
import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.clock import VirtualClock
from board.cpu import Cpu, CpuReset
from board.errors import BoardError
from board.flash import PAGE_BYTES, SECTOR_BYTES, Flash, Tear
from board.sparse import SparseStorage
from board.trace import BoardTrace, Trace

SECTORS = 4


class PowerLossError(BaseException):
    """Stands for what a rack raises when it cuts the power."""


@pytest.fixture
def storage() -> bytearray:
    return bytearray(b"\xff" * SECTORS * SECTOR_BYTES)


@pytest.fixture
def flash(storage: bytearray, cpu: Cpu, trace: BoardTrace) -> Flash:
    return Flash(storage, cpu, trace=trace)


def read(flash: Flash, sector: int, size_bytes: int, offset: int = 0) -> bytes:
    buffer = bytearray(size_bytes)
    flash.readblocks(sector, buffer, offset)
    return bytes(buffer)


def cut_at(flash: Flash, step: int) -> None:
    """Cuts the power at the n-th step from now on, counted from 1."""
    last = flash.steps + step

    def cut(_kind: str, _address: int, _size_bytes: int) -> None:
        if flash.steps == last:
            raise PowerLossError

    flash.before_step = cut


def test_what_is_programmed_is_read_back(flash: Flash) -> None:
    flash.writeblocks(1, b"hello", 10)
    assert read(flash, 1, 7, 9) == b"\xffhello\xff"


def test_programming_only_clears_bits(flash: Flash) -> None:
    flash.writeblocks(0, b"\xf0\x0f", 0)
    flash.writeblocks(0, b"\x3c\xff", 0)
    assert read(flash, 0, 2) == b"\x30\x0f"


def test_erasing_sets_the_bits_of_one_sector(flash: Flash) -> None:
    for sector in range(SECTORS):
        flash.writeblocks(sector, bytes(SECTOR_BYTES), 0)
    flash.ioctl(6, 2)
    contents = [set(read(flash, sector, SECTOR_BYTES)) for sector in range(SECTORS)]
    assert contents == [{0}, {0}, {0xFF}, {0}]
    assert flash.wear == [0, 0, 1, 0]


def test_writing_without_an_offset_does_not_erase(flash: Flash) -> None:
    flash.writeblocks(0, b"\x0f")
    flash.writeblocks(0, b"\xf0")
    assert read(flash, 0, 1) == b"\0"
    assert flash.wear[0] == 0


def test_it_tells_its_geometry(flash: Flash) -> None:
    assert [flash.ioctl(op, 0) for op in (1, 2, 3, 4, 5)] == [0, 0, 0, SECTORS, SECTOR_BYTES]
    assert flash.ioctl(99, 0) is None


@pytest.mark.parametrize(("sector", "offset", "size_bytes"), [(SECTORS, 0, 1), (-1, 0, 1), (3, 4_090, 7), (0, -1, 1)])
def test_outside_the_chip_there_is_nothing(flash: Flash, sector: int, offset: int, size_bytes: int) -> None:
    with pytest.raises(OSError) as refusal:
        flash.writeblocks(sector, bytes(size_bytes), offset)
    assert refusal.value.errno == errno.EINVAL
    with pytest.raises(OSError, match=f"sector {sector} offset {offset} size {size_bytes}, 4 sectors"):
        read(flash, sector, size_bytes, offset)
    assert flash.steps == 0


def test_an_erasure_outside_the_chip_is_refused(flash: Flash) -> None:
    with pytest.raises(OSError, match="outside the chip"):
        flash.ioctl(6, SECTORS)


@pytest.mark.parametrize("size_bytes", [0, 100, SECTOR_BYTES + 1])
def test_a_chip_of_broken_sectors_is_refused(cpu: Cpu, size_bytes: int) -> None:
    with pytest.raises(BoardError, match=f"flash of {size_bytes} bytes"):
        Flash(bytearray(size_bytes), cpu)


def test_steps_end_at_page_boundaries_and_take_their_time(flash: Flash, cpu: Cpu, events: Trace) -> None:
    flash.writeblocks(0, bytes(PAGE_BYTES), PAGE_BYTES - 1)
    assert cpu.now_ns == 2 * 700_000
    flash.ioctl(6, 1)
    assert cpu.now_ns == 2 * 700_000 + 45_000_000
    assert [event[3:] for event in events] == [
        ("program", PAGE_BYTES - 1),
        ("program", PAGE_BYTES),
        ("erase", SECTOR_BYTES),
    ]


def test_reading_takes_time_by_the_byte(flash: Flash, cpu: Cpu) -> None:
    read(flash, 0, 1_000)
    assert cpu.now_ns == 20_000


def test_the_world_goes_on_between_steps(flash: Flash, clock: VirtualClock) -> None:
    seen: list[bytes] = []
    clock.at(1_000_000, lambda: seen.append(bytes(flash._storage[: 2 * PAGE_BYTES])))
    flash.writeblocks(0, bytes(2 * PAGE_BYTES), 0)
    assert seen == [bytes(PAGE_BYTES) + b"\xff" * PAGE_BYTES]


@pytest.mark.parametrize("tear", list(Tear))
def test_a_cut_page_is_left_as_the_mode_says(flash: Flash, tear: Tear) -> None:
    flash.tear = tear
    cut_at(flash, 2)
    with pytest.raises(PowerLossError):
        flash.writeblocks(0, bytes(3 * PAGE_BYTES), 0)
    zeros_in_page_1 = {Tear.UNTOUCHED: 0, Tear.HALF: 128, Tear.PREPROGRAMMED: 128, Tear.COMPLETE: 256}[tear]
    zeros = PAGE_BYTES + zeros_in_page_1
    assert read(flash, 0, 3 * PAGE_BYTES) == bytes(zeros) + b"\xff" * (3 * PAGE_BYTES - zeros)


@pytest.mark.parametrize(
    ("tear", "remains"),
    [
        (Tear.UNTOUCHED, b"\xaa" * 4096),
        (Tear.HALF, b"\xff" * 2048 + b"\xaa" * 2048),
        (Tear.PREPROGRAMMED, bytes(4096)),
        (Tear.COMPLETE, b"\xff" * 4096),
    ],
)
def test_a_cut_erasure_is_left_as_the_mode_says(flash: Flash, tear: Tear, remains: bytes) -> None:
    flash.writeblocks(0, b"\xaa" * SECTOR_BYTES, 0)
    flash.tear = tear
    cut_at(flash, 1)
    with pytest.raises(PowerLossError):
        flash.ioctl(6, 0)
    assert read(flash, 0, SECTOR_BYTES) == remains


def test_power_that_goes_in_the_middle_of_a_step_tears_it(flash: Flash, cpu: Cpu, clock: VirtualClock) -> None:
    flash.tear = Tear.HALF
    clock.at(1_000_000, lambda: cpu.stop("power"))
    with pytest.raises(CpuReset):
        flash.writeblocks(0, bytes(3 * PAGE_BYTES), 0)
    assert read(flash, 0, SECTOR_BYTES).count(0) == PAGE_BYTES + PAGE_BYTES // 2


def test_a_sweep_over_every_step_ends(flash: Flash) -> None:
    cuts = 0
    for step in range(1, 100):
        flash.before_step = None
        flash.ioctl(6, 0)
        cut_at(flash, step)
        try:
            flash.writeblocks(0, bytes(SECTOR_BYTES), 0)
        except PowerLossError:
            cuts += 1
            continue
        break
    assert cuts == 16


def test_a_mapped_file_is_a_storage(cpu: Cpu) -> None:
    with mmap.mmap(-1, SECTOR_BYTES) as mapped:
        flash = Flash(mapped, cpu)
        flash.ioctl(6, 0)
        flash.writeblocks(0, b"abc", 5)
        assert mapped[4:9] == b"\xffabc\xff"


def test_a_new_chip_takes_no_room_until_it_is_written(cpu: Cpu) -> None:
    storage = SparseStorage(8_388_608)
    flash = Flash(storage, cpu)
    assert read(flash, 2_047, 16) == b"\xff" * 16
    assert storage.used_bytes == 0
    flash.writeblocks(7, b"abc", 4_095)
    assert storage.used_bytes == 2 * SECTOR_BYTES
    flash.ioctl(6, 7)
    flash.ioctl(6, 8)
    assert storage.used_bytes == 0


@given(st.lists(st.tuples(st.integers(0, 12_287), st.binary(max_size=6_000)), max_size=8))
def test_a_sparse_storage_reads_as_a_plain_one(writes: list[tuple[int, bytes]]) -> None:
    sparse, plain = SparseStorage(12_288), bytearray(b"\xff" * 12_288)
    for begin, data in writes:
        fitting = data[: 12_288 - begin]
        sparse[begin : begin + len(fitting)] = fitting
        plain[begin : begin + len(fitting)] = fitting
        assert sparse[begin:] == plain[begin:]
    assert sparse[:] == plain


def test_a_sparse_storage_keeps_its_size() -> None:
    storage = SparseStorage(SECTOR_BYTES)
    with pytest.raises(ValueError, match="2 bytes for a slice of 1"):
        storage[0:1] = b"ab"
    with pytest.raises(ValueError, match="slice step 2"):
        storage[::2]
