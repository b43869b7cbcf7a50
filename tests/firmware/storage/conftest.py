"""A NOR flash in a bytearray, whose power can be cut at any step, in every way that a step can end halfway."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

import pytest

PAGE_SIZE = 256


class PowerCut(BaseException):
    """Unwinds the code under test past every ``except Exception``, as a cut does."""


class CutMode(Enum):
    """What the interrupted step leaves in its own range; all before it is done, nothing after it."""

    CLEAN = "nothing of the step happened"
    FIRST_HALF = "the first half of the page is programmed, of the block erased"
    SECOND_HALF = "the second half is"
    GARBAGE = "the range holds random bits"
    ZEROS = "the range is all 00: flash that programs a block to 00 before it erases it"


class FakeFlash:
    """MicroPython's extended block device over NOR: programming clears bits page by page, erasing sets a block's bits.

    Not modelled: time, bits that read differently each time, limits of erase cycles.
    """

    def __init__(self, block_count: int, block_size: int = 4096, image: bytes | None = None) -> None:
        self.block_count, self.block_size = block_count, block_size
        self.data = bytearray(image or b"\xff" * block_count * block_size)
        self.erases = [0] * block_count
        self.steps = self.reads = self.bytes_read = self.bytes_programmed = 0
        self.cut_at: int | None = None
        self.cut_mode = CutMode.CLEAN
        self.fail_at: int | None = None
        self._random = random.Random(7)

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        assert offset + len(buf) <= self.block_size, "one call stays within one block"
        self.reads += 1
        self.bytes_read += len(buf)
        start = block_num * self.block_size + offset
        buf[:] = self.data[start : start + len(buf)]

    def writeblocks(self, block_num: int, buf: bytes | bytearray | memoryview, offset: int = 0, /) -> None:
        assert offset + len(buf) <= self.block_size, "one call stays within one block"
        start = block_num * self.block_size + offset
        done = 0
        while done < len(buf):
            room = PAGE_SIZE - (start + done) % PAGE_SIZE
            piece = bytes(buf[done : done + room])
            old = self.data[start + done : start + done + len(piece)]
            self._step(start + done, bytes(a & b for a, b in zip(old, piece, strict=True)))
            self.bytes_programmed += len(piece)
            done += len(piece)

    def ioctl(self, op: int, arg: int, /) -> int | None:
        if op == 4:
            return self.block_count
        if op == 5:
            return self.block_size
        if op == 6:
            self.erases[arg] += 1
            self._step(arg * self.block_size, b"\xff" * self.block_size)
        return None

    def _step(self, start: int, new: bytes) -> None:
        self.steps += 1
        if self.steps == self.fail_at:
            raise OSError(5, "program failed")
        if self.steps == self.cut_at:
            old, half = bytes(self.data[start : start + len(new)]), len(new) // 2
            self.data[start : start + len(new)] = {
                CutMode.CLEAN: old,
                CutMode.FIRST_HALF: new[:half] + old[half:],
                CutMode.SECOND_HALF: old[:half] + new[half:],
                CutMode.GARBAGE: self._random.randbytes(len(new)),
                CutMode.ZEROS: bytes(len(new)),
            }[self.cut_mode]
            raise PowerCut(f"step {self.steps}, {self.cut_mode.name}")
        self.data[start : start + len(new)] = new

    def copy(self) -> FakeFlash:
        """The same content in a flash whose power is on, nothing counted yet."""
        return FakeFlash(self.block_count, self.block_size, bytes(self.data))

    def cut(self, at: int, mode: CutMode) -> FakeFlash:
        """Arms a cut at step ``at``, counted from 1 from now on."""
        self.cut_at, self.cut_mode = self.steps + at, mode
        self._random = random.Random(f"{at} {mode.name}")
        return self


@pytest.fixture
def make_flash() -> Callable[..., FakeFlash]:
    return FakeFlash


@pytest.fixture(params=list(CutMode), ids=lambda mode: mode.name.lower())
def cut_mode(request: pytest.FixtureRequest) -> CutMode:
    """Each way in which an interrupted step can end."""
    mode: CutMode = request.param
    return mode


@pytest.fixture
def cut_modes() -> list[CutMode]:
    return list(CutMode)


@pytest.fixture
def power_cut() -> type[PowerCut]:
    return PowerCut
