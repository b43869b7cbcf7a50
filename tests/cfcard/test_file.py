"""Open files: positions, modes, and who may have one open at the same time."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable

import pytest

from cfcard import Fault, FaultyDevice, LogLayer, RamDevice, VolumeFull
from cfcard.fat import Fat, Volume


@pytest.fixture
def volume(card: RamDevice) -> Volume:
    volume = Fat().mount(card)
    volume.replace("/F", bytes(range(256)) * 20)
    return volume


def test_position_moves_as_in_any_file(volume: Volume) -> None:
    with volume.open("/F") as file:
        assert file.read(3) == b"\x00\x01\x02"
        assert file.tell() == 3
        assert file.seek(-2, 2) == 5118
        assert file.read() == b"\xfe\xff"
        assert file.read() == b""
        assert file.seek(-510, 1) == 4610
        assert file.read(600) == (bytes(range(256)) * 20)[4610:]
        buf = bytearray(4)
        file.seek(255)
        assert file.readinto(buf) == 4
        assert buf == b"\xff\x00\x01\x02"
        with pytest.raises(OSError, match="no position -1"):
            file.seek(-1)


def test_gap_that_was_jumped_over_reads_as_zeros(volume: Volume) -> None:
    with volume.open("/NEW", "w+b") as file:
        file.seek(100_000)
        file.write(b"end")
        file.seek(99_990)
        assert file.read() == bytes(10) + b"end"
    assert volume.read_file("/NEW") == bytes(100_000) + b"end"


def test_appending_goes_to_the_end_wherever_the_position_is(volume: Volume) -> None:
    with volume.open("/F", "a+b") as file:
        file.seek(0)
        file.write(b"tail")
        file.seek(-6, 2)
        assert file.read() == b"\xfe\xfftail"


def test_what_was_flushed_survives_without_close(volume: Volume, card: RamDevice) -> None:
    file = volume.open("/NEW", "wb")
    file.write(b"x" * 3000)
    file.flush()
    file.write(b"y" * 3000)
    assert Fat().mount(card).read_file("/NEW") == b"x" * 3000


def test_one_writer_or_many_readers(volume: Volume) -> None:
    readers = [volume.open("/F"), volume.open("/F")]
    for act in (
        lambda: volume.open("/F", "r+b"),
        lambda: volume.open("/F", "wb"),
        lambda: volume.remove("/F"),
        lambda: volume.replace("/F", b""),
        lambda: volume.overwrite("/F", bytes(5120)),
        lambda: volume.rename("/F", "/G"),
    ):
        with pytest.raises(OSError, match="file is open") as caught:
            act()
        assert caught.value.errno == errno.EBUSY
    for reader in readers:
        reader.close()
        reader.close()
    with volume.open("/F", "ab"):
        with pytest.raises(OSError, match="file is open"):
            volume.open("/F")
        volume.replace("/OTHER", b"others can go on")
    volume.remove("/F")


def test_file_that_is_closed_or_open_for_reading_refuses(volume: Volume) -> None:
    file = volume.open("/F")
    with pytest.raises(OSError, match="open for reading"):
        file.write(b"x")
    file.close()
    with pytest.raises(OSError, match="file is closed"):
        file.read()


def test_directories_of_open_files_stay_in_memory(card: RamDevice) -> None:
    volume = Fat(directories=1).mount(card)
    for name in "ABC":
        volume.mkdir(f"/{name}")
    with volume.open("/A/log", "wb") as file:
        for name in "BCBC":
            volume.replace(f"/{name}/other", b"other")
        volume.replace("/A/beside", b"beside")
        file.write(b"log")
    again = Fat().mount(card)
    assert (again.read_file("/A/log"), again.read_file("/A/beside")) == (b"log", b"beside")
    assert Fat().check(card).problems == ()


def test_write_that_does_not_fit_leaves_the_file_as_it_was(volume: Volume, card: RamDevice) -> None:
    free = volume.statvfs()[0] * volume.statvfs()[3]
    with volume.open("/F", "ab") as file:
        with pytest.raises(VolumeFull):
            file.write(bytes(free + 100_000))
        file.write(b"tail")
    assert volume.read_file("/F") == bytes(range(256)) * 20 + b"tail"
    assert Fat().check(card).problems == ()


def test_neighbouring_clusters_are_one_transfer(make_ram: Callable[[int], RamDevice]) -> None:
    log = LogLayer(make_ram(16), keep=False)
    volume = Fat().mount(log)
    volume.replace("/WARM", b"")
    log.clear()
    volume.replace("/BIG", bytes(1 << 20))
    assert log.write_calls <= 6, "data, two FATs, one directory sector"
    log.clear()
    assert volume.read_file("/BIG") == bytes(1 << 20)
    assert log.read_calls == 1
    log.clear()
    with volume.open("/BIG") as file:
        for _ in range(256):
            file.read(2)
    assert log.read_sectors == 1, "small reads share the sector they are in"


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.TEAR_HEAD, Fault.TEAR_TAIL])
def test_new_file_is_absent_or_whole_at_every_cut(card: RamDevice, fault: Fault) -> None:
    for at in range(1, 100):
        copy = card.copy()
        device = FaultyDevice(copy)
        volume = Fat().mount(device)
        device.arm(fault, at)
        with contextlib.suppress(OSError), volume.open("/a new name.text", "wb") as file:
            file.write(b"content" * 1000)
        again = Fat().mount(copy)
        found = [again.read_file("/" + row[0]) for row in again.ilistdir("/")]
        if not device.fired:
            assert found == [b"content" * 1000]
            return
        assert found in ([], [b"content" * 1000])
    raise AssertionError("the sweep did not come to its end")


def test_new_file_is_in_the_listing_at_once_and_on_the_card_after_close(volume: Volume, card: RamDevice) -> None:
    with volume.open("/EMPTY", "wb"):
        assert ("EMPTY", 0x8000, 0, 0) in list(volume.ilistdir("/"))
        with pytest.raises(FileNotFoundError):
            Fat().mount(card).stat("/EMPTY")
    assert Fat().mount(card).stat("/EMPTY")[6] == 0
    assert Fat().check(card).problems == ()
