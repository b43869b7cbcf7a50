"""The card reader on a kernel of our own: every refusal, and what becomes of a card that is pulled or exchanged."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Any

import pytest

from cfcard import CardError, CardProtected, NoCard, SectorError
from cfcard.blockdev import SYNC
from cfcard.fat import Fat
from cfcard.reader import CHUNK_BYTES, O_DIRECT, Policy, ReaderDevice

Host = Port = Any  # tests/cfcard/conftest.py has the classes
SECTORS = 131_072

Opened = Callable[..., ReaderDevice]


# -- opening


def test_reader_is_opened_exclusively_past_the_page_cache(opened: Opened, port: Port) -> None:
    device = opened()
    assert port.flags == [os.O_RDWR | os.O_EXCL | O_DIRECT]
    assert (device.disk.title, device.size_bytes, device.write_protected) == (
        "Generic STORAGE DEVICE",
        SECTORS * 512,
        False,
    )
    device.close()
    device.close()
    assert not port.opened
    with pytest.raises(NoCard, match=r"^/dev/sdb: reader is closed$"):
        device.readblocks(0, bytearray(512))


def disturb(host: Host, port: Port, what: str) -> None:
    """Makes one thing wrong with the reader."""
    folder = host.root / "sys/block/sdb"
    part = host.add_partition("sdb1", "8:17", folder.resolve())
    match what:
        case "not a block device":
            port.mode = stat.S_IFCHR | 0o660
        case "a partition":
            port.rdev = os.makedev(8, 17)
        case "unknown to sysfs":
            port.rdev = os.makedev(8, 99)
        case "fixed":
            host.add("sda", "8:0", bus="pci0000:00/ata1", removable=0)
            port.rdev = os.makedev(8, 0)
        case "root":
            host.mount("8:17", "/")
        case "root by LUKS":
            host.add("dm-0", "253:0", bus="virtual", removable=0)
            host.hold(part, "dm-0")
            host.mount("253:0", "/")
        case "swap":
            host.swap("/dev/sdb1")
        case "mounted":
            host.mount("8:16", "/media/a card")
        case "partition mounted":
            host.mount("8:17", "/media/card")
        case "held":
            host.hold(part, "md0")
            port.open_errors = {os.O_RDWR: errno.EBUSY}
        case "busy":
            port.open_errors = {os.O_RDWR: errno.EBUSY}
        case "no permission":
            port.open_errors = {os.O_RDWR: errno.EACCES, os.O_RDONLY: errno.EACCES}
        case "no permission to write":
            port.open_errors = {os.O_RDWR: errno.EACCES}
        case "no medium":
            port.open_errors = {os.O_RDWR: errno.ENOMEDIUM}
        case "no medium, opened all the same":
            port.size_bytes = 0
        case "gone":
            port.open_errors = {os.O_RDWR: errno.ENXIO}
        case "too large":
            port.size_bytes = 65 << 30
        case "sectors of 4096":
            port.sector_bytes = 4096
        case "another behind the name":
            port.rdev_opened = os.makedev(8, 32)
        case _:
            raise AssertionError(what)


REFUSALS = [
    ("not a block device", errno.ENOTBLK, "not a block device"),
    ("a partition", errno.EINVAL, "a partition, the card is /dev/sdb"),
    ("unknown to sysfs", errno.ENXIO, "the kernel knows no such disk"),
    ("fixed", errno.EPERM, "refused, neither removable nor on USB"),
    ("root", errno.EBUSY, "refused, this disk holds the root file system"),
    ("root by LUKS", errno.EBUSY, "refused, this disk holds the root file system"),
    ("swap", errno.EPERM, "refused, this disk holds swap space"),
    ("mounted", errno.EBUSY, "refused, mounted at /media/a card"),
    ("partition mounted", errno.EBUSY, "refused, mounted at /media/card"),
    ("held", errno.EBUSY, "in use by md0"),
    ("busy", errno.EBUSY, "in use by another program"),
    ("no permission", errno.EACCES, "no permission, its group or root may open it"),
    ("no permission to write", errno.EACCES, "no permission, its group or root may open it"),
    ("no medium", errno.ENOMEDIUM, "no card in the reader"),
    ("no medium, opened all the same", errno.ENOMEDIUM, "no card in the reader"),
    ("gone", errno.ENXIO, "no such device or address"),
    ("too large", errno.EPERM, "refused, 65 GiB is more than the 64 GiB of a card"),
    ("sectors of 4096", errno.EPERM, "refused, sectors of 4096 bytes, a card has 512"),
    ("another behind the name", errno.ENODEV, "became another device meanwhile"),
]


@pytest.mark.parametrize(("what", "code", "reason"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_what_is_no_free_card_is_refused_with_the_reason_and_left_alone(
    host: Host, port: Port, opened: Opened, what: str, code: int, reason: str
) -> None:
    disturb(host, port, what)
    with pytest.raises(CardError) as caught:
        opened()
    assert str(caught.value) == f"/dev/sdb: {reason}"
    assert caught.value.errno == code
    assert isinstance(caught.value, NoCard) == (code == errno.ENOMEDIUM)
    assert not {"pread", "pwrite", "fsync"}.intersection(port.calls)
    assert not port.opened, "nothing stays open"


@pytest.mark.parametrize(
    "what", ["not a block device", "fixed", "root", "root by LUKS", "swap", "mounted", "a partition"]
)
def test_a_disk_that_is_none_of_ours_is_not_even_opened(host: Host, port: Port, opened: Opened, what: str) -> None:
    disturb(host, port, what)
    for writable in (True, False):
        with pytest.raises(CardError):
            opened(writable=writable)
    assert port.calls == []


def test_a_name_that_does_not_exist_is_the_hosts_own_error(opened: Opened) -> None:
    with pytest.raises(FileNotFoundError):
        opened("/dev/sdz")


def test_usb_is_enough_and_so_is_removable(host: Host, port: Port, opened: Opened) -> None:
    host.add("sdc", "8:32", removable=0)
    host.add("sdd", "8:48", bus="pci0000:00/pcmcia", removable=1)
    for minor in (32, 48):
        port.rdev = port.rdev_opened = os.makedev(8, minor)
        opened().close()


def test_a_policy_lets_through_what_it_names_and_nothing_else(host: Host, port: Port, opened: Opened) -> None:
    host.add("loop0", "7:0", bus="virtual", removable=0)
    port.rdev = port.rdev_opened = os.makedev(7, 0)
    opened(policy=Policy(also=("loop0",))).close()
    with pytest.raises(CardError, match="neither removable nor on USB"):
        opened(policy=Policy(also=("loop", "loop01")))
    host.mount("7:0", "/mnt")
    with pytest.raises(CardError, match="mounted at /mnt"):
        opened(policy=Policy(also=("loop0",)))


def test_the_largest_card_is_64_gib(port: Port, opened: Opened) -> None:
    port.size_bytes = 64 << 30
    opened().close()
    port.size_bytes += 512
    with pytest.raises(CardError, match="64 GiB is more than the 64 GiB"):
        opened()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_write_protected_card_is_opened_for_reading(port: Port, opened: Opened, code: int) -> None:
    port.open_errors = {os.O_RDWR: code}
    port.protected = True
    port.content[512:1024] = b"x" * 512
    device = opened()
    assert device.write_protected
    assert port.flags[-1] == os.O_RDONLY | os.O_EXCL | O_DIRECT
    read = bytearray(512)
    device.readblocks(1, read)
    assert read == b"x" * 512
    with pytest.raises(CardProtected) as caught:
        device.writeblocks(1, bytes(512))
    assert caught.value.errno == errno.EROFS
    assert "pwrite" not in port.calls


def test_protection_that_only_shows_at_the_first_write_is_told_as_such(port: Port, opened: Opened) -> None:
    device = opened()
    port.protected = True
    with pytest.raises(CardProtected, match=r"^/dev/sdb: card is write-protected$"):
        device.writeblocks(1, bytes(512))
    assert device.write_protected


def test_reading_only_asks_for_no_more_and_writes_nothing(port: Port, opened: Opened) -> None:
    device = opened(writable=False)
    assert port.flags == [os.O_RDONLY | os.O_EXCL | O_DIRECT]
    with pytest.raises(CardProtected, match="opened for reading only"):
        device.writeblocks(0, bytes(512))


# -- transfers


@pytest.mark.parametrize("shortest", [0, 512, 1024])
def test_large_transfers_arrive_whole_however_little_a_call_moves(port: Port, opened: Opened, shortest: int) -> None:
    device = opened()
    port.shortest = shortest
    data = os.urandom(2 * CHUNK_BYTES + 1536)
    device.writeblocks(7, memoryview(data))
    assert bytes(port.content[7 * 512 : 7 * 512 + len(data)]) == data
    read = bytearray(len(data))
    device.readblocks(7, read)
    assert read == data
    assert not any(port.content[: 7 * 512])


def test_only_sync_flushes_and_only_when_something_was_written(port: Port, opened: Opened) -> None:
    device = opened()
    device.ioctl(SYNC, 0)
    device.writeblocks(5, b"y" * 512)
    assert "fsync" not in port.calls
    device.ioctl(SYNC, 0)
    device.ioctl(SYNC, 0)
    assert port.calls.count("fsync") == 1
    device.writeblocks(6, b"z" * 512)
    device.close()
    assert port.durable[5 * 512 : 7 * 512] == b"y" * 512 + b"z" * 512


def test_a_volume_lives_on_it(opened: Opened) -> None:
    device = opened()
    Fat().mkfs(device, fat=16, serial=7)
    volume = Fat().mount(device)
    volume.replace("/key.pem", b"secret" * 300)
    volume.umount()
    device.close()
    again = opened(writable=False)
    assert Fat().check(again).clean
    assert Fat().mount(again).read_file("/key.pem") == b"secret" * 300


# -- what hands do to it


def pull(port: Port) -> None:
    port.read_error = port.write_error = port.sync_error = errno.EIO


def empty(port: Port) -> None:
    port.read_error = port.write_error = port.sync_error = errno.ENOMEDIUM


def unplug(port: Port) -> None:
    port.unplugged = True
    port.sync_error = errno.ENODEV


def put_back(port: Port) -> None:
    port.read_error = port.write_error = port.sync_error = 0
    port.unplugged = False


@pytest.mark.parametrize("event", [pull, empty, unplug])
@pytest.mark.parametrize("access", ["read", "write", "sync"])
def test_a_card_that_leaves_is_gone_for_good_whoever_comes_after_it(
    port: Port, opened: Opened, event: Callable[[Port], None], access: str
) -> None:
    device = opened()
    device.writeblocks(3, b"a" * 512)
    accesses: dict[str, Callable[[], object]] = {
        "read": lambda: device.readblocks(3, bytearray(512)),
        "write": lambda: device.writeblocks(3, b"b" * 512),
        "sync": device.sync,
    }
    event(port)
    reason = "reader unplugged" if event is unplug and access != "sync" else "pulled or changed"
    with pytest.raises(NoCard, match=f"^/dev/sdb: card is gone, {reason}$") as caught:
        accesses[access]()
    assert caught.value.errno == errno.ENODEV
    assert not port.opened, "the next card can be opened by whoever wants it"

    put_back(port)
    port.calls.clear()
    for call in accesses.values():
        with pytest.raises(NoCard, match=f"^/dev/sdb: card is gone, {reason}$"):
            call()
    assert not device.present()
    device.close()
    assert port.calls == [], "the card that came after it was not touched"
    assert port.content[3 * 512 : 4 * 512] == b"a" * 512

    again = opened()
    again.writeblocks(3, b"c" * 512)
    again.close()


@pytest.mark.parametrize("access", ["read", "write", "sync", "present"])
def test_a_card_that_the_kernel_has_taken_for_granted_is_still_another_one(
    port: Port, opened: Opened, access: str
) -> None:
    """Somebody looked into the slot: the old descriptor goes on without any error, on the new card."""
    device = opened()
    device.writeblocks(3, b"a" * 512)
    port.sequence += 2
    port.content[:] = bytes(len(port.content))
    read = bytearray(b"r" * 512)
    if access == "present":
        assert not device.present()
    else:
        with pytest.raises(NoCard, match=r"^/dev/sdb: card is gone, pulled or changed$"):
            {"read": lambda: device.readblocks(3, read), "write": lambda: device.writeblocks(3, b"b" * 512)}.get(
                access, device.sync
            )()
    assert read == b"r" * 512, "nothing of the new card is passed off as the old one's"
    assert not any(port.content)
    assert not port.opened
    device.close()


@pytest.mark.parametrize("access", ["read", "write"])
def test_a_card_exchanged_during_a_transfer_is_gone(
    port: Port, opened: Opened, monkeypatch: pytest.MonkeyPatch, access: str
) -> None:
    device = opened()
    transfer = port._transfer

    def exchanged(*args: Any) -> int:
        port.sequence += 2
        return int(transfer(*args))

    monkeypatch.setattr(port, "_transfer", exchanged)
    with pytest.raises(NoCard):
        device.readblocks(3, bytearray(512)) if access == "read" else device.writeblocks(3, bytes(512))


def test_an_error_on_one_card_is_no_bad_sector_of_the_next(
    port: Port, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = opened()
    port.bad_sectors = {3}
    pread = port.pread

    def looked_into(fd: int, view: memoryview, position: int) -> int:
        port.sequence += 2
        return int(pread(fd, view, position))

    monkeypatch.setattr(port, "pread", looked_into)
    with pytest.raises(NoCard):
        device.readblocks(3, bytearray(512))


def test_a_kernel_that_cannot_tell_cards_apart_opens_them_for_reading_only(port: Port, opened: Opened) -> None:
    port.sequence = None
    with pytest.raises(CardError, match=r"^/dev/sdb: refused for writing, .* Linux 5\.15 can$") as caught:
        opened()
    assert caught.value.errno == errno.ENOTSUP
    assert not port.opened
    opened(writable=False).readblocks(0, bytearray(512))
    port.open_errors, port.protected = {os.O_RDWR: errno.EROFS}, True
    opened().close()


def test_present_asks_the_card_itself(port: Port, opened: Opened) -> None:
    device = opened()
    assert device.present()
    assert port.calls[-1] == "pread"
    pull(port)
    assert not device.present()
    put_back(port)
    assert not device.present()
    closed = opened()
    closed.close()
    assert not closed.present()


@pytest.mark.parametrize("lba", [0, 100, SECTORS - 1])
def test_a_bad_sector_is_no_pulled_card(port: Port, opened: Opened, lba: int) -> None:
    device = opened()
    port.bad_sectors = {lba}
    with pytest.raises(SectorError, match=rf"^/dev/sdb: sector {lba} cannot be read$") as caught:
        device.readblocks(lba, bytearray(512))
    assert caught.value.errno == errno.EIO
    with pytest.raises(SectorError, match=rf"^/dev/sdb: sector {lba} cannot be written$"):
        device.writeblocks(lba, bytes(512))
    assert device.present()
    device.readblocks(1, bytearray(512))
    with pytest.raises(SectorError, match=f"sectors {max(lba - 1, 0)} to {max(lba, 1)} cannot be read"):
        device.readblocks(max(lba - 1, 0), bytearray(1024))


def test_medium_error_that_has_a_number_of_its_own_is_a_bad_sector_too(port: Port, opened: Opened) -> None:
    device = opened()
    port.write_error = errno.ENODATA
    with pytest.raises(SectorError):
        device.writeblocks(5, bytes(512))


def test_a_flush_that_fails_says_that_data_may_be_lost(port: Port, opened: Opened) -> None:
    device = opened()
    device.writeblocks(5, bytes(512))
    port.sync_error = errno.EIO
    with pytest.raises(SectorError, match="what was written may be lost"):
        device.sync()
    with pytest.raises(SectorError):
        device.close()
    assert not port.opened


def test_closing_a_card_that_was_pulled_unnoticed_is_no_error(port: Port, opened: Opened) -> None:
    device = opened()
    device.writeblocks(5, bytes(512))
    pull(port)
    device.close()
    assert not port.opened
