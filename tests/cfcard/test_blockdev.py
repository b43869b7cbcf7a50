"""What every block device does, backend or layer."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cfcard import (
    BlockDevice,
    CardError,
    CardProtected,
    CompactFlash,
    FaultyDevice,
    ImageDevice,
    LogLayer,
    NoCard,
    RamDevice,
    ReaderDevice,
    SectorError,
)
from cfcard.blockdev import BLOCK_COUNT, BLOCK_SIZE, DEINIT, ERASE, INIT, SYNC

SECTORS = 2048


@pytest.fixture(params=["ram", "image", "reader", "log", "faulty", "card"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlockDevice]:
    """A device of 2,048 sectors, of each kind in turn."""
    makers: dict[str, Callable[[], BlockDevice]] = {
        "ram": lambda: RamDevice(SECTORS * 512),
        "image": lambda: ImageDevice.create(tmp_path / "card.img", SECTORS * 512),
        "reader": lambda: _reader(request),
        "log": lambda: LogLayer(RamDevice(SECTORS * 512)),
        "faulty": lambda: FaultyDevice(RamDevice(SECTORS * 512)),
        "card": lambda: CompactFlash(RamDevice(SECTORS * 512)).device,
    }
    made = makers[request.param]()
    yield made
    if isinstance(made, (ImageDevice, ReaderDevice)):
        made.close()


def _reader(request: pytest.FixtureRequest) -> BlockDevice:
    request.getfixturevalue("port").size_bytes = SECTORS * 512
    made: BlockDevice = request.getfixturevalue("opened")()
    return made


def test_sectors_read_back_as_written(device: BlockDevice) -> None:
    data = os.urandom(512 * 300)
    device.writeblocks(100, data)
    buf = bytearray(512 * 302)
    device.readblocks(99, buf)
    assert buf == bytes(512) + data + bytes(512)
    device.writeblocks(SECTORS - 1, memoryview(data)[:512])
    last = bytearray(512)
    device.readblocks(SECTORS - 1, memoryview(last))
    assert last == data[:512]


def test_ioctl_answers_as_micropython_expects(device: BlockDevice) -> None:
    assert device.ioctl(BLOCK_COUNT, 0) == SECTORS
    assert device.ioctl(BLOCK_SIZE, 0) == 512
    for op in (INIT, DEINIT, SYNC, ERASE):
        assert not device.ioctl(op, 0)
    assert device.writeblocks(0, bytes(512)) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(("lba", "size"), [(SECTORS, 512), (SECTORS - 1, 1024), (-1, 512), (0, 511), (0, 513)])
def test_transfers_outside_the_device_are_refused(device: BlockDevice, lba: int, size: int) -> None:
    with pytest.raises(CardError) as caught:
        device.readblocks(lba, bytearray(size))
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(CardError):
        device.writeblocks(lba, bytes(size))
    with pytest.raises(CardError):
        device.readblocks(0, bytearray(512), 4)


def test_large_card_in_memory_takes_only_what_is_written() -> None:
    card = RamDevice(32 << 30)
    card.writeblocks((32 << 21) - 1, b"\x01" * 512)
    card.writeblocks(12345, bytes(512 * 1000))
    assert card.used_bytes <= 128 << 10
    buf = bytearray(512)
    card.readblocks((32 << 21) - 1, buf)
    assert buf == b"\x01" * 512


def test_copy_is_independent() -> None:
    card = RamDevice(1 << 20)
    card.writeblocks(3, b"a" * 512)
    other = card.copy()
    other.writeblocks(3, b"b" * 512)
    buf = bytearray(512)
    card.readblocks(3, buf)
    assert buf == b"a" * 512


# Image files


def test_image_keeps_its_content_and_stays_sparse(tmp_path: Path) -> None:
    path = tmp_path / "card.img"
    device = ImageDevice.create(path, 1 << 30)
    device.writeblocks(2_000_000, b"x" * 512)
    device.close()
    device.close()
    assert path.stat().st_size == 1 << 30
    assert path.stat().st_blocks * 512 < 1 << 20
    again = ImageDevice(path, writable=False)
    buf = bytearray(512)
    again.readblocks(2_000_000, buf)
    assert buf == b"x" * 512
    with pytest.raises(CardProtected, match="opened for reading only"):
        again.writeblocks(0, buf)
    again.close()
    with pytest.raises(NoCard, match="image is closed"):
        again.readblocks(0, buf)


def test_image_is_refused_with_the_reason(tmp_path: Path) -> None:
    odd = tmp_path / "odd.img"
    odd.write_bytes(bytes(1000))
    with pytest.raises(CardError, match=r"odd.img: not a card image, size 1000 is not a multiple of 512$"):
        ImageDevice(odd)
    empty = tmp_path / "empty.img"
    empty.touch()
    with pytest.raises(CardError, match=r"empty\.img: not a card image, it is empty$"):
        ImageDevice(empty)
    with pytest.raises(FileNotFoundError):
        ImageDevice(tmp_path / "none.img")
    with pytest.raises(CardError, match="not a regular file"):
        ImageDevice("/dev/null")
    with pytest.raises(FileExistsError):
        ImageDevice.create(odd, 512)
    assert odd.read_bytes() == bytes(1000)
    with pytest.raises(CardError, match="size 700 is not a multiple"):
        ImageDevice.create(tmp_path / "new.img", 700)
    assert not (tmp_path / "new.img").exists()


def test_image_is_not_shared_by_two_writers(tmp_path: Path) -> None:
    path = tmp_path / "card.img"
    first = ImageDevice.create(path, 1 << 20)
    with pytest.raises(CardError, match=r"card.img: in use by another run") as caught:
        ImageDevice(path)
    assert caught.value.errno == errno.EBUSY
    with pytest.raises(CardError, match="in use"):
        ImageDevice(path, writable=False)
    code = f"from cfcard import ImageDevice; ImageDevice({str(path)!r})"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "in use by another run" in other.stderr, "another process is refused as well"
    first.close()
    readers = [ImageDevice(path, writable=False), ImageDevice(path, writable=False)]
    for reader in readers:
        reader.close()
    ImageDevice(path).close()


def test_image_cut_short_by_somebody_is_a_sector_error(tmp_path: Path) -> None:
    path = tmp_path / "card.img"
    device = ImageDevice.create(path, 1 << 20)
    os.truncate(path, 1024)
    with pytest.raises(SectorError, match="sector 100 is gone"):
        device.readblocks(100, bytearray(512))
    device.close()


def test_image_is_made_durable_only_by_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    device = ImageDevice.create(tmp_path / "card.img", 1 << 20)
    device.writeblocks(0, bytes(1024))
    assert not calls
    device.ioctl(SYNC, 0)
    device.ioctl(SYNC, 0)
    assert len(calls) == 1, "nothing was written between the two"
    device.close()


# The log


def test_log_keeps_sectors_and_syncs_in_order() -> None:
    log = LogLayer(RamDevice(1 << 20))
    log.writeblocks(5, b"a" * 512 + b"b" * 512)
    log.ioctl(SYNC, 0)
    log.readblocks(5, bytearray(1024))
    log.writeblocks(1, b"c" * 512)
    assert [getattr(event, "lba", "sync") for event in log.events] == [5, 6, "sync", 1]
    assert (log.write_calls, log.write_sectors, log.read_calls, log.read_sectors, log.syncs) == (2, 3, 1, 2, 1)
    log.clear()
    assert log.events == []
