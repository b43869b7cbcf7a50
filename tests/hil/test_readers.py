"""Card readers on the bench: which names mean one, what the command line says of them, and a card that leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import hil.readers
from cfcard import CompactFlash, ImageDevice, RamDevice, ReaderDevice
from cfcard.discovery import Disk
from hil import Bench
from hil.cli import main
from hil.errors import EnvironmentRefused, RackMisuse
from hil.readers import ReaderWatch, backend_of, is_reader, look_into, reader_card, reader_text, readers, size_text

CARD = Disk(
    name="sdb",
    vendor="Generic",
    model="STORAGE DEVICE",
    size_bytes=64 << 20,
    sector_bytes=512,
    write_protected=False,
    removable=True,
    usb=True,
    mounts=(),
    swap=False,
    holders=(),
)
EMPTY = replace(CARD, name="sdc", size_bytes=0, removable=True, usb=False)
DISK = replace(CARD, name="sda", model="SSD", size_bytes=512 << 30, removable=False, usb=False, mounts=("/",))
STICK = replace(CARD, name="sdd", size_bytes=4 << 30, write_protected=True, mounts=("/media/stick",))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Disk]:
    """What is on this host; to be changed at will."""
    on_host = [DISK, CARD, EMPTY, STICK]
    monkeypatch.setattr(hil.readers, "disks", lambda root: list(on_host))
    monkeypatch.setattr(hil.readers.os, "open", lambda *_: pytest.fail("a device of this host was opened"))
    return on_host


class FakeReader(ReaderDevice):
    """A reader with a card in memory, which ``leave`` takes away."""

    def __init__(self) -> None:
        self.path, self.disk, self.write_protected, self.size_bytes = "/dev/sdb", CARD, False, CARD.size_bytes
        self._ram = RamDevice(self.size_bytes)
        self.here = True
        self.closed = False

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        self._ram.readblocks(block_num, buf, offset)

    def writeblocks(self, block_num: int, buf: bytes | bytearray | memoryview, offset: int = 0, /) -> None:
        self._ram.writeblocks(block_num, buf, offset)

    def ioctl(self, op: int, arg: int, /) -> int | None:
        return self._ram.ioctl(op, arg)

    def present(self) -> bool:
        return self.here

    def close(self) -> None:
        self.closed = True


def test_everything_below_dev_means_a_device_but_files_in_memory(tmp_path: Path) -> None:
    for name in ("/dev/null", "/dev/no-such-disk", "/dev/disk/by-id/no-such-reader"):
        assert is_reader(name)
    for name in ("/dev/shm/card.img", str(tmp_path), str(tmp_path / "card.img"), "card.img", "dev/sdb"):
        assert not is_reader(name)
    (tmp_path / "link").symlink_to("/dev/null")
    assert not is_reader(tmp_path / "link"), "no disk, and not below /dev: an image that cannot be"
    (tmp_path / "card.img").write_bytes(bytes(1024))
    backend = backend_of(tmp_path / "card.img")
    assert isinstance(backend, ImageDevice)
    backend.close()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("/dev/null", "not a block device"), ("/dev/no-such-disk", "no such file or directory")],
)
def test_a_device_that_is_none_is_refused_wherever_a_card_is_named(
    name: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EnvironmentRefused, match=f"^card {name}: {reason}$"):
        reader_card(name)
    with Bench(seed=1) as bench, pytest.raises(EnvironmentRefused, match=reason):
        bench.gateway(card=name)
    for words in (["run", "--console", "none", "--card", name], *(["card", verb, name] for verb in ("ls", "check"))):
        words += ["/"] if words[1] == "ls" else []
        assert main(words) == 3
        err = capsys.readouterr().err
        assert err.startswith("gatebench: ")
        assert err.endswith(f"{name}: {reason}\n")
        assert err.count("\n") == 1
    assert not os.path.exists("/dev/no-such-disk")


def test_new_makes_no_card_of_a_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", "new", "/dev/no-such-disk"]) == 3
    assert capsys.readouterr().err == "gatebench: /dev/no-such-disk: new makes image files, and formats no cards\n"
    assert not os.path.exists("/dev/no-such-disk")


def test_readers_are_listed_with_why_they_would_be_refused(found: list[Disk]) -> None:
    looked: list[str] = []
    assert readers(look=looked.append) == [
        (CARD, None),
        (EMPTY, None),
        (STICK, "refused, mounted at /media/stick"),
    ]
    assert looked == ["/dev/sdb", "/dev/sdc"], "what others have is not looked into"
    found[:] = [replace(CARD, size_bytes=200 << 30), replace(CARD, name="sde", sector_bytes=4096)]
    assert [str(reason)[:20] for _, reason in readers()] == ["refused, 200 GiB is ", "refused, sectors of "]


def test_the_list_is_a_line_each(
    found: list[Disk], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hil.readers, "look_into", lambda device: None)
    mounted = "refused, mounted at /media/stick"
    assert main(["card", "readers"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "/dev/sdb        64 MiB  Generic STORAGE DEVICE   removable, usb",
        "/dev/sdc       no card  Generic STORAGE DEVICE   removable",
        "/dev/sdd         4 GiB  Generic STORAGE DEVICE   removable, usb, write-protected, " + mounted,
    ]
    found.clear()
    assert main(["card", "readers"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "gatebench: no card readers\n")


def test_the_list_is_one_line_of_json(
    found: list[Disk], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hil.readers, "look_into", lambda device: None)
    assert main(["card", "readers", "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    first, second, third = json.loads(out)
    assert first == {
        "device": "/dev/sdb",
        "vendor": "Generic",
        "model": "STORAGE DEVICE",
        "size_bytes": 64 << 20,
        "write_protected": False,
        "removable": True,
        "usb": True,
        "mounted": [],
        "refused": None,
    }
    assert second["size_bytes"] is None
    assert (third["mounted"], third["refused"]) == (["/media/stick"], "refused, mounted at /media/stick")
    found.clear()
    assert main(["card", "readers", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_looking_into_what_cannot_be_opened_is_no_error(tmp_path: Path) -> None:
    look_into(str(tmp_path / "none"))
    look_into(str(tmp_path))


def test_this_hosts_own_disks_can_be_listed_by_anybody(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(disk.device.startswith("/dev/") for disk, _ in readers())


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(64 << 20, "64 MiB"), (128_450_560, "122 MiB"), (4_009_754_624, "3.73 GiB"), (1_023, "1023 bytes")],
)
def test_sizes_are_short(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


def test_what_is_used_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    reader = FakeReader()
    assert reader_text(reader) == "/dev/sdb: Generic STORAGE DEVICE, 64 MiB"
    reader.disk = replace(CARD, write_protected=True)
    assert reader_text(reader) == "/dev/sdb: Generic STORAGE DEVICE, 64 MiB, write-protected"
    assert reader_text(RamDevice(1 << 20)) is None
    monkeypatch.setattr(hil.readers, "backend_of", lambda path, writable: reader)
    assert main(["card", "check", "/dev/sdb"]) == 1, "an empty card has no volume"
    assert capsys.readouterr().err.startswith("gatebench: /dev/sdb: Generic STORAGE DEVICE, 64 MiB, write-protected\n")
    assert reader.closed


@pytest.fixture
def watched() -> Callable[[Bench, list[str]], FakeReader]:
    """Puts a reader's card into the slot of a gateway, and watches it."""

    def call(bench: Bench, said: list[str]) -> FakeReader:
        gateway, reader = bench.gateway(), FakeReader()
        gateway.insert_card(CompactFlash(reader, model=reader.disk.title))
        ReaderWatch(bench.clock, gateway, lambda: gateway.remove_card().close(), said.append)
        return reader

    return call


def test_a_card_that_leaves_its_reader_is_pulled_within_a_second_and_none_is_put_in(
    watched: Callable[[Bench, list[str]], FakeReader],
) -> None:
    said: list[str] = []
    with Bench(seed=1) as bench:
        reader = watched(bench, said)
        (gateway,) = bench.gateways
        bench.run_for(ms=5_000)
        assert gateway.card is not None
        assert not said
        reader.here = False
        bench.run_for(ms=1_000)
        assert gateway.card is None
        assert reader.closed
        assert len(said) == 1
        assert said[0].startswith("card /dev/sdb: has left its reader")
        reader.here = True
        bench.run_for(ms=5_000)
        assert gateway.card is None


def test_other_cards_are_not_watched() -> None:
    with Bench(seed=1) as bench:
        gateway = bench.gateway(card="ram")
        ReaderWatch(bench.clock, gateway, lambda: pytest.fail("pulled"), lambda text: pytest.fail(text))
        bench.run_for(ms=3_000)
        assert gateway.card is not None


def test_a_card_in_a_reader_can_fail_but_is_not_destroyed() -> None:
    with Bench(7) as bench:
        gateway = bench.gateway()
        gateway.insert_card(CompactFlash(FakeReader()))
        for fault in ("garbage", "misdirect", "forget", "full"):
            with pytest.raises(RackMisuse, match="not on a real card"):
                gateway.faults.arm(fault)
        gateway.faults.arm("pull", at=2)
        assert gateway.card is not None
        device = gateway.card.device
        device.writeblocks(0, bytes(512))
        with pytest.raises(OSError, match="no card"):
            device.writeblocks(1, bytes(512))
        assert gateway.card is None
