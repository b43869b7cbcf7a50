"""Keys on a card are found, whatever state they are in, and overwritten where that can be done."""

from __future__ import annotations

import pytest

from cfcard import Fault, FaultyDevice, RamDevice
from cfcard.fat import Fat, Volume
from firmware.card.commands import KEYS
from firmware.card.keys import WIPED_BYTES, first_kept, keys_found, wiped

CA, DEVICE = KEYS


@pytest.fixture
def device() -> RamDevice:
    device = RamDevice(8 << 20)
    Fat().mkfs(device)
    return device


@pytest.fixture
def volume(device: RamDevice) -> Volume:
    volume = Fat().mount(device)
    for directory in ("/CA", "/CABAK", "/BACKUP"):
        volume.mkdir(directory)
    return volume


def test_a_card_without_keys_has_none(device: RamDevice, volume: Volume) -> None:
    volume.replace("/BACKUP/notes.txt", b"no key")
    volume.mkdir("/BACKUP/old.pem")
    volume.replace("/CA/cacert.pem", b"no key either")
    assert [keys_found(volume, kind) for kind in KEYS] == [[], []]
    volume.replace("/BACKUPS.TXT", b"")
    bare = RamDevice(8 << 20)
    Fat().mkfs(bare)
    assert [keys_found(Fat().mount(bare), kind) for kind in KEYS] == [[], []]


def test_backups_are_keys_whatever_the_case_of_their_names(volume: Volume) -> None:
    volume.replace("/BACKUP/one.pem", b"key")
    volume.replace("/BACKUP/TWO.PEM", b"key")
    volume.replace("/CABAK/cakey.pem", b"key")
    assert keys_found(volume, CA) == ["/CABAK/cakey.pem"]
    assert keys_found(volume, DEVICE) == ["/BACKUP/one.pem", "/BACKUP/TWO.PEM"]


def test_a_directory_that_cannot_be_read_may_hold_keys(device: RamDevice, volume: Volume) -> None:
    faulty = FaultyDevice(device)
    faulty.arm(Fault.READ_ALWAYS, volume.bpb.sector_from_cluster(volume.tree.existing("/BACKUP")[1].cluster))
    damaged = Fat().mount(faulty)
    assert keys_found(damaged, DEVICE) == ["/BACKUP/*.pem"]
    assert not wiped(damaged, "/BACKUP/*.pem")


@pytest.mark.parametrize(
    ("found", "given_up", "said"),
    [
        (["/BACKUP/x.pem"], [], "the card holds a device's key (/BACKUP/x.pem): /discard-backup gives it up"),
        (["/BACKUP/x.pem"], ["discard-ca"], "the card holds a device's key (/BACKUP/x.pem): /discard-backup gives it"),
        (["/BACKUP/x.pem"], ["discard-backup"], None),
        ([], [], None),
    ],
)
def test_each_kind_has_an_option_of_its_own(found: list[str], given_up: list[str], said: str | None) -> None:
    reason = first_kept([(CA, []), (DEVICE, found)], given_up)
    assert reason is None if said is None else (reason or "").startswith(said)


def test_a_wiped_key_is_gone_from_the_cards_sectors(device: RamDevice, volume: Volume) -> None:
    secret = b"-----BEGIN PRIVATE KEY-----" + bytes(range(1, 255)) * 8
    volume.replace("/BACKUP/x.pem", secret)
    content = bytearray(8 << 20)
    device.readblocks(0, content)
    assert secret[:512] in content
    assert wiped(volume, "/BACKUP/x.pem")
    device.readblocks(0, content)
    assert secret[:512] not in content
    assert volume.read_file("/BACKUP/x.pem") == bytes(len(secret))


def test_what_is_too_large_or_gone_is_not_wiped(volume: Volume) -> None:
    volume.replace("/BACKUP/x.pem", b"x" * (WIPED_BYTES + 1))
    assert not wiped(volume, "/BACKUP/x.pem")
    assert not wiped(volume, "/BACKUP/none.pem")
