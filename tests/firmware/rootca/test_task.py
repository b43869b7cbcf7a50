"""The CA's writer on a volume of its own: order, padding, and what it does with a card that answers badly."""

from __future__ import annotations

import errno

import pytest

from cfcard import Fault, FaultyDevice, LogLayer, RamDevice
from cfcard.fat import Fat, Volume
from cfcard.log import SectorWritten
from firmware.card.errors import CardFailure
from firmware.rootca.files import PAD_SECTORS
from firmware.rootca.task import RootCa
from hil.sweep.powerloss.core import authority, finish, new_kernel


class Card:
    """A card with a CA on it, and a writer."""

    def __init__(self) -> None:
        self.ram = RamDevice(4 << 20)
        Fat().mkfs(self.ram)
        self.log = LogLayer(self.ram)
        self.faulty = FaultyDevice(self.log)
        self.volume: Volume = Fat().mount(self.faulty)
        self.kernel = new_kernel()
        self.rootca = RootCa(self.kernel)
        finish(self.kernel, self.rootca.store(self.volume, *authority("Task CA")))
        self.log.clear()

    def written(self) -> list[int]:
        return [event.lba for event in self.log.events if isinstance(event, SectorWritten)]

    def sector_of(self, path: str) -> int:
        _, entry = self.volume.tree.existing(path)
        return self.volume.bpb.sector_from_cluster(entry.cluster)

    def take(self) -> int:
        ca = finish(self.kernel, self.rootca.load(self.volume))
        return finish(self.kernel, self.rootca.take_serial(self.volume, ca))


@pytest.fixture
def card() -> Card:
    return Card()


def test_a_serial_number_touches_neither_directory_nor_fat_and_is_pushed_out(card: Card) -> None:
    assert card.take() == 1
    pad = card.sector_of("/CABAK/pad.bin")
    numbers = [card.sector_of("/CABAK/serial.txt"), card.sector_of("/CA/serial.txt")]
    assert card.written() == [*numbers, *range(pad, pad + PAD_SECTORS)]


def test_one_digit_more_pushes_the_copy_out_before_the_other_is_touched(card: Card) -> None:
    for directory in ("/CA", "/CABAK"):
        card.volume.replace(f"{directory}/serial.txt", b"FF\n")
    card.log.clear()
    assert card.take() == 0xFF
    pad = card.sector_of("/CABAK/pad.bin")
    written = card.written()
    first, last = written.index(pad), len(written) - written[::-1].index(pad) - 1
    assert first != last
    assert card.sector_of("/CABAK/serial.txt") in written[:first]
    assert card.sector_of("/CA/serial.txt") in written[first + PAD_SECTORS : last]


def test_a_backup_is_pushed_out_before_it_is_reported(card: Card) -> None:
    path = finish(card.kernel, card.rootca.backup(card.volume, "box-01", "key and chain"))
    assert card.volume.read_file(path) == b"key and chain"
    pad = card.sector_of("/CABAK/pad.bin")
    assert card.written()[-PAD_SECTORS:] == list(range(pad, pad + PAD_SECTORS))


def test_the_directory_for_backups_is_there_before_there_is_a_key(card: Card) -> None:
    before = {row[0] for row in card.volume.ilistdir("/")}
    finish(card.kernel, card.rootca.backup(card.volume, "box-01", "x"))
    assert {row[0] for row in card.volume.ilistdir("/")} == before == {"CA", "CABAK", "BACKUP"}


def test_a_copy_that_cannot_be_read_is_written_anew_from_the_other(card: Card) -> None:
    good = card.volume.read_file("/CA/cakey.pem")
    card.faulty.arm(Fault.READ_ALWAYS, card.sector_of("/CA/cakey.pem"))
    ca = finish(card.kernel, card.rootca.load(card.volume))
    assert ca.certificate.subject.text == "CN=Task CA"
    assert card.volume.read_file("/CA/cakey.pem") == good


def test_a_number_goes_to_new_sectors_where_its_own_cannot_be_written(card: Card) -> None:
    old = card.sector_of("/CABAK/serial.txt")
    ca = finish(card.kernel, card.rootca.load(card.volume))
    card.faulty.arm(Fault.WRITE_ERROR, 1)
    assert finish(card.kernel, card.rootca.take_serial(card.volume, ca)) == 1
    assert card.sector_of("/CABAK/serial.txt") != old
    assert card.volume.read_file("/CABAK/serial.txt") == card.volume.read_file("/CA/serial.txt") == b"02\n"


def test_a_write_protected_card_shows_its_ca_and_issues_nothing(card: Card) -> None:
    card.volume.remove("/CA/serial.txt")
    card.faulty.arm(Fault.PROTECT, 1)
    ca = finish(card.kernel, card.rootca.load(card.volume))
    assert ca.certificate.subject.text == "CN=Task CA"
    with pytest.raises(OSError) as failure:
        finish(card.kernel, card.rootca.take_serial(card.volume, ca))
    assert failure.value.errno == errno.EROFS


def test_a_key_that_nobody_can_read_is_not_written_over(card: Card) -> None:
    card.volume.remove("/CA/cakey.pem")
    card.volume.replace("/CABAK/cakey.pem", b"unreadable")
    with pytest.raises(CardFailure, match="holds a key in /CA or /CABAK that would be lost"):
        finish(card.kernel, card.rootca.require_empty(card.volume))


def test_a_card_pulled_in_between_ends_it(card: Card) -> None:
    ca = finish(card.kernel, card.rootca.load(card.volume))
    card.faulty.arm(Fault.CUT, 2)
    with pytest.raises(OSError) as failure:
        finish(card.kernel, card.rootca.take_serial(card.volume, ca))
    assert failure.value.errno == errno.ENODEV
