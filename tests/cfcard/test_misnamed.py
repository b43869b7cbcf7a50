"""A flipped bit in an 8.3 name costs the name at most, never the file: it gets another one at mount."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cfcard import FaultyDevice, NoCard, RamDevice
from cfcard.fat import Fat, Volume
from cfcard.fat.misnamed import MAX_GIVEN, FreeNames
from cfcard.fat.names import long_slots, short_checksum, wrong_in_short
from cfcard.faults import Fault

FAT = Fat()
KEY = b"-----BEGIN PRIVATE KEY-----\n" * 300
LONG = "/BACKUP/gateway certificate.pem"
SHORT = "/BACKUP/CAKEY.PEM"

Flip = Callable[..., None]


@pytest.fixture
def volume(card: RamDevice) -> Volume:
    mounted = FAT.mount(card)
    mounted.mkdir("/BACKUP")
    mounted.replace(SHORT, KEY)
    mounted.replace(LONG, KEY[::-1])
    return mounted


@pytest.fixture
def put(card: RamDevice, volume: Volume) -> Flip:
    """``put(path, at, byte)``: into the 8.3 entry of ``path``."""

    def write(path: str, at: int, byte: int, length: int = 1) -> None:
        parent, entry = volume.tree.existing(path)
        lba = parent._lba(entry.slot // 16)
        sector = bytearray(512)
        card.readblocks(lba, sector)
        where = entry.slot % 16 * 32 + at
        sector[where : where + length] = bytes((byte,)) * length
        card.writeblocks(lba, sector)

    return write


def content(card: RamDevice) -> dict[str, bytes]:
    mounted = FAT.mount(card)
    return {row[0]: mounted.read_file(f"/BACKUP/{row[0]}") for row in mounted.ilistdir("/BACKUP")}


def require_clean(card: RamDevice) -> None:
    assert FAT.check(card).problems == ()
    assert (FAT.repair(card).done, FAT.repair(card).left) == ((), ())


@pytest.mark.parametrize("bit", range(88))
def test_any_flipped_bit_in_a_short_name_keeps_the_file(make_ram: Callable[[int], RamDevice], bit: int) -> None:
    card = make_ram(16)
    mounted = FAT.mount(card)
    mounted.mkdir("/BACKUP")
    mounted.replace(SHORT, KEY)
    parent, entry = mounted.tree.existing(SHORT)
    lba = parent._lba(entry.slot // 16)
    sector = bytearray(512)
    card.readblocks(lba, sector)
    at = entry.slot % 16 * 32
    sector[at + bit // 8] ^= 1 << bit % 8
    card.writeblocks(lba, sector)
    was_wrong = bool(wrong_in_short(bytes(sector[at : at + 11])))
    report = FAT.repair(card)
    assert bool(report.done) == was_wrong
    assert list(content(card).values()) == [KEY]
    require_clean(card)


def test_the_log_says_what_the_file_is_called_now(card: RamDevice, put: Flip) -> None:
    put(SHORT, 2, 0x0B)
    assert FAT.repair(card).done == (r"/BACKUP/CA\x0bEY   PEM: impossible entry mended, its short name is CA_EY.PEM",)
    assert content(card) == {"CA_EY.PEM": KEY, "gateway certificate.pem": KEY[::-1]}
    require_clean(card)


@pytest.mark.parametrize("at", range(11))
def test_the_checksum_of_the_long_name_brings_the_lost_byte_back(
    card: RamDevice, volume: Volume, put: Flip, at: int
) -> None:
    before = volume.tree.existing(LONG)[1].short
    put(LONG, at, 0x01)
    assert len(FAT.repair(card).done) == 1
    assert FAT.mount(card).tree.existing(LONG)[1].short == before
    assert content(card)["gateway certificate.pem"] == KEY[::-1]
    require_clean(card)


def test_a_long_name_stays_where_no_byte_of_the_short_one_can_be_trusted(
    card: RamDevice, volume: Volume, put: Flip
) -> None:
    checksum = short_checksum(volume.tree.existing(LONG)[1].short)
    put(LONG, 0, 0x02, 7)
    FAT.repair(card)
    short = FAT.mount(card).tree.existing(LONG)[1].short
    assert (short[:4], short_checksum(short)) == (b"FSCK", checksum)
    assert content(card)["gateway certificate.pem"] == KEY[::-1]
    require_clean(card)


def test_the_new_name_is_nobody_elses(card: RamDevice, volume: Volume, put: Flip) -> None:
    volume.replace("/BACKUP/C_KEY.PEM", b"another")
    volume.replace("/BACKUP/Fsck0000.pem", b"a third")
    put(SHORT, 1, ord("?"))
    FAT.repair(card)
    names = content(card)
    assert names["FSCK0001.PEM"] == KEY
    assert (names["C_KEY.PEM"], names["Fsck0000.pem"]) == (b"another", b"a third")
    require_clean(card)


def test_a_directory_with_an_impossible_name_keeps_what_is_in_it(card: RamDevice, put: Flip) -> None:
    put("/BACKUP", 3, ord("*"))
    FAT.repair(card)
    assert FAT.mount(card).read_file("/BAC_UP/CAKEY.PEM") == KEY
    require_clean(card)


def test_reserved_attribute_bits_are_no_reason_to_lose_a_file(card: RamDevice, put: Flip) -> None:
    put(SHORT, 11, 0xA0)
    FAT.repair(card)
    assert content(card)["CAKEY.PEM"] == KEY
    require_clean(card)


def test_an_empty_file_is_kept_for_its_long_name_only(card: RamDevice, volume: Volume, put: Flip) -> None:
    volume.replace("/BACKUP/EMPTY", b"")
    volume.replace("/BACKUP/nothing in it", b"")
    put("/BACKUP/EMPTY", 1, 0x01)
    put("/BACKUP/nothing in it", 1, 0x01)
    FAT.repair(card)
    assert set(content(card)) == {"CAKEY.PEM", "gateway certificate.pem", "nothing in it"}
    require_clean(card)


@pytest.mark.parametrize("at", [27, 29], ids=["first cluster", "size"])
def test_what_does_not_fit_its_chain_is_noise_and_is_erased(card: RamDevice, put: Flip, at: int) -> None:
    put(SHORT, 1, 0x01)
    put(SHORT, at, 0xFE)
    assert FAT.repair(card).done[0] == "/BACKUP: entries without meaning erased"
    assert content(card) == {"gateway certificate.pem": KEY[::-1]}
    require_clean(card)


def test_a_file_that_is_in_order_keeps_its_clusters_from_noise_that_names_them(
    card: RamDevice, volume: Volume, put: Flip
) -> None:
    # The noise comes first in the directory.
    put(SHORT, 1, 0x01)
    put(SHORT, 26, volume.tree.existing(LONG)[1].cluster & 0xFF)
    assert FAT.repair(card).done[0] == "/BACKUP: entries without meaning erased"
    assert content(card) == {"gateway certificate.pem": KEY[::-1]}
    require_clean(card)


@pytest.mark.parametrize("checksum", range(256))
def test_there_is_a_name_for_every_checksum(checksum: int) -> None:
    for end in (b"   ", b"PEM", b"P\x01M"):
        short = FreeNames(b"").choose(b"\x01" * 8 + end, checksum)
        assert short is not None
        assert (short_checksum(short), wrong_in_short(short)) == (checksum, [])


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.TEAR_HEAD, Fault.TEAR_TAIL])
def test_giving_a_new_name_may_be_cut_anywhere(card: RamDevice, put: Flip, fault: Fault) -> None:
    put(SHORT, 1, 0x01)
    put(LONG, 0, 0x02, 7)
    for at in range(1, 10):
        cut = card.copy()
        faulty = FaultyDevice(cut)
        faulty.arm(fault, at=at)
        try:
            FAT.repair(faulty)
        except NoCard:
            FAT.repair(cut)
        assert content(cut) == {"C_KEY.PEM": KEY, "gateway certificate.pem": KEY[::-1]}
        require_clean(cut)
        if not faulty.fired:
            assert at > 1
            return
    raise AssertionError("the repair did not come to its end")


@pytest.mark.parametrize("character", ["\x01", "\x7f", "\ud800", "?"])
def test_a_long_name_with_what_none_can_have_is_reported_and_the_file_stays(
    card: RamDevice, volume: Volume, character: str
) -> None:
    parent, entry = volume.tree.existing(LONG)
    name = "gateway" + character + "certificate.pem"
    slots = [long_slots(name.replace(character, "\u2603"), entry.short)]
    raw = slots[0].replace("\u2603".encode("utf-16-le"), character.encode("utf-16-le", "surrogatepass"))
    lba = parent._lba(entry.first // 16)
    sector = bytearray(512)
    card.readblocks(lba, sector)
    at = entry.first % 16 * 32
    sector[at : at + len(raw)] = raw
    card.writeblocks(lba, sector)
    (problem,) = FAT.check(card).problems
    assert problem.isprintable()
    assert problem.endswith(f"expected a long name, found one with {character!a}")
    FAT.repair(card)
    assert sorted(content(card).values()) == sorted([KEY, KEY[::-1]])


def test_no_name_is_given_twice_and_not_for_ever() -> None:
    names = FreeNames(b"")
    given = [names.choose(b"\x01" * 11, None) for _ in range(MAX_GIVEN)]
    assert len(set(given)) == MAX_GIVEN
    assert names.choose(b"\x01" * 11, None) is None


def test_a_file_for_which_there_is_no_name_is_left_alone(
    card: RamDevice, put: Flip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cfcard.fat.misnamed.MAX_GIVEN", 0)
    put(SHORT, 1, 0x01)
    before = FAT.check(card)
    report = FAT.repair(card)
    assert report.done == ()
    assert report.left == (r"/BACKUP/C\x01KEY   PEM: an impossible name, and no other one for it",)
    assert FAT.check(card) == before
