"""What a cut or a PC left on a volume is mended at mount: FATs, chains, directories, lost clusters; and no more."""

from __future__ import annotations

import pytest

from cfcard import FaultyDevice, LogLayer, NoCard, RamDevice
from cfcard.fat import Fat, Volume
from cfcard.fat.directory import Directory
from cfcard.faults import Fault

FAT = Fat()
LETTER = b"Dear reader, " * 2_000


@pytest.fixture
def volume(card: RamDevice) -> Volume:
    mounted = FAT.mount(card)
    mounted.mkdir("/D")
    mounted.replace("/D/a letter with a long name.txt", LETTER)
    mounted.replace("/ONE.TXT", b"one cluster")
    return mounted


def spoil(card: RamDevice, lba: int, data: bytes) -> None:
    card.writeblocks(lba, data)


def require_whole(card: RamDevice) -> None:
    assert FAT.check(card).problems == ()
    again = FAT.mount(card)
    assert again.read_file("/D/a letter with a long name.txt") == LETTER
    assert again.read_file("/ONE.TXT") == b"one cluster"
    assert FAT.repair(card) == type(FAT.repair(card))()


def test_a_volume_in_order_is_not_written_to(card: RamDevice, volume: Volume) -> None:
    log = LogLayer(card)
    report = FAT.repair(log)
    assert (report.done, report.left, report.clean) == ((), (), True)
    assert log.write_sectors == 0


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("content", [b"\xff" * 512, bytes(512), bytes(range(256)) * 2], ids=["ones", "zeros", "noise"])
def test_a_destroyed_fat_sector_comes_back_from_the_other_copy(
    card: RamDevice, volume: Volume, copy: int, content: bytes
) -> None:
    spoil(card, volume.bpb.reserved + copy * volume.bpb.fat_sectors, content)
    assert any(line.startswith(f"FAT {copy + 1}: 1 sectors restored") for line in FAT.repair(card).done)
    require_whole(card)


@pytest.mark.parametrize("copy", [0, 1])
def test_an_unreadable_fat_sector_is_written_anew(card: RamDevice, volume: Volume, copy: int) -> None:
    faulty = FaultyDevice(card)
    faulty.arm(Fault.READ_ALWAYS, volume.bpb.reserved + copy * volume.bpb.fat_sectors)
    FAT.repair(faulty)
    assert FAT.check(faulty).problems == ()
    require_whole(card)


def test_lost_clusters_are_freed(card: RamDevice, volume: Volume) -> None:
    volume.replace("/GONE.TXT", b"x" * 9_000)
    parent, entry = volume.tree.existing("/GONE.TXT")
    parent.erase(entry)
    parent.commit()
    free = FAT.check(card).free_clusters
    assert any("lost clusters freed" in line for line in FAT.repair(card).done)
    assert FAT.check(card).free_clusters > free
    require_whole(card)


def test_more_lost_clusters_than_a_cut_of_ours_leaves_are_left_for_a_pc_to_save(
    card: RamDevice, volume: Volume
) -> None:
    volume.replace("/PHOTO.RAW", b"x" * 200_000)
    parent, entry = volume.tree.existing("/PHOTO.RAW")
    parent.erase(entry)
    parent.commit()
    before = FAT.check(card).free_clusters
    report = FAT.repair(card)
    assert any("a PC can turn them into files" in line for line in report.left)
    assert FAT.check(card).free_clusters == before


def test_a_destroyed_directory_sector_becomes_an_empty_directory(card: RamDevice, volume: Volume) -> None:
    _, entry = volume.tree.existing("/D")
    for content in (bytes(512), b"\xff" * 512, b"\xa5\x13" * 256):
        spoil(card, volume.bpb.sector_from_cluster(entry.cluster), content)
        FAT.repair(card)
        assert FAT.check(card).problems == ()
        after = FAT.mount(card)
        assert list(after.ilistdir("/D")) == []
        after.replace("/D/new.txt", b"it can be used again")
        assert FAT.check(card).problems == ()


def first_sector(card: RamDevice, volume: Volume, directory: Directory) -> tuple[int, bytearray]:
    """Where a directory begins on the card, and what is there."""
    lba = volume.bpb.reserved + volume.bpb.fats * volume.bpb.fat_sectors
    if directory.start:
        lba = volume.bpb.sector_from_cluster(directory.start)
    sector = bytearray(512)
    card.readblocks(lba, sector)
    return lba, sector


def test_a_directory_with_a_size_keeps_what_is_in_it(card: RamDevice, volume: Volume) -> None:
    parent, entry = volume.tree.existing("/D")
    lba, sector = first_sector(card, volume, parent)
    at = sector.index(entry.short)
    sector[at + 28 : at + 32] = (4096).to_bytes(4, "little")
    spoil(card, lba, bytes(sector))
    assert FAT.repair(card).done == ("/D: size of a directory set to 0",)
    require_whole(card)


def test_a_size_on_what_is_no_directory_is_no_reason_to_make_one(card: RamDevice, volume: Volume) -> None:
    _, entry = volume.tree.existing("/ONE.TXT")
    parent, _ = volume.tree.existing("/D")
    lba, sector = first_sector(card, volume, parent)
    sector[sector.index(entry.short) + 11] = 0x10
    spoil(card, lba, bytes(sector))
    assert FAT.repair(card).done[0] == "/: entries without meaning erased"
    assert FAT.check(card).problems == ()


def test_half_a_long_name_is_erased_and_the_file_behind_it_stays(card: RamDevice, volume: Volume) -> None:
    parent, entry = volume.tree.existing("/D/a letter with a long name.txt")
    lba = volume.bpb.sector_from_cluster(parent.start)
    sector = bytearray(512)
    card.readblocks(lba, sector)
    sector[entry.first * 32] = 0xE5
    spoil(card, lba, bytes(sector))
    FAT.repair(card)
    assert FAT.check(card).problems == ()
    (row,) = FAT.mount(card).ilistdir("/D")
    assert row[3] == len(LETTER)


def test_the_dirty_flag_in_the_fat_is_cleared(card: RamDevice, volume: Volume, fat: int) -> None:
    if fat == 12:
        pytest.skip("FAT12 has none in its FAT")
    for copy in range(2):
        lba = volume.bpb.reserved + copy * volume.bpb.fat_sectors
        sector = bytearray(512)
        card.readblocks(lba, sector)
        sector[3 if fat == 16 else 7] &= 0x7F if fat == 16 else 0xF7
        spoil(card, lba, bytes(sector))
    assert "dirty flag cleared" in FAT.repair(card).done
    require_whole(card)


def make_dirty(card: RamDevice, volume: Volume) -> bytes:
    """As Linux leaves a volume that was never unmounted. Gives the boot sector as it was."""
    before, boot = bytearray(512), bytearray(512)
    card.readblocks(0, before)
    boot[:] = before
    boot[volume.bpb.flags_offset] |= 1
    spoil(card, 0, bytes(boot))
    return bytes(before)


def test_the_dirty_flag_in_the_boot_sector_is_cleared_and_nothing_else_of_it(card: RamDevice, volume: Volume) -> None:
    before = make_dirty(card, volume)
    assert FAT.repair(card).done == ("dirty flag cleared",)
    boot = bytearray(512)
    card.readblocks(0, boot)
    assert bytes(boot) == before
    assert FAT.repair(card).done == ()
    assert FAT.check(card).problems == ()


def test_the_dirty_flag_stays_while_something_is_left_to_be_mended(card: RamDevice, volume: Volume) -> None:
    volume.replace("/LOST.BIN", bytes(80_000))
    parent, entry = volume.tree.existing("/LOST.BIN")
    parent.erase(entry)
    parent.commit()
    make_dirty(card, volume)
    assert FAT.repair(card).left
    assert FAT.mount(card).dirty


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.TEAR_HEAD, Fault.TEAR_TAIL])
def test_clearing_the_dirty_flag_may_be_cut(card: RamDevice, volume: Volume, fault: Fault) -> None:
    make_dirty(card, volume)
    faulty = FaultyDevice(card)
    faulty.arm(fault, at=1)
    with pytest.raises(NoCard):
        FAT.repair(faulty)
    assert FAT.repair(card).clean
    require_whole(card)
    assert not FAT.mount(card).dirty


def test_two_files_on_the_same_clusters_are_left_alone(card: RamDevice, volume: Volume) -> None:
    volume.replace("/TWO.TXT", b"two")
    one, two = volume.tree.existing("/ONE.TXT")[1], volume.tree.existing("/TWO.TXT")
    two[0].update(two[1], one.cluster, 3, two[1].stamp)
    two[0].commit()
    report = FAT.repair(card)
    assert any("belong to another file" in line for line in report.left)
    assert {"ONE.TXT", "TWO.TXT"} <= {row[0] for row in FAT.mount(card).ilistdir("/")}


def test_a_write_protected_card_is_looked_at_and_left(card: RamDevice, volume: Volume) -> None:
    spoil(card, volume.bpb.reserved, b"\xff" * 512)
    card.write_protected = True
    assert FAT.repair(card).left == ("it is write-protected: nothing was mended",)


def test_a_card_of_32_gib_is_mended_as_a_small_one_is() -> None:
    card = RamDevice(32 << 30)
    FAT.mkfs(card)
    volume = FAT.mount(card)
    bpb = volume.bpb
    volume.replace("/ONE.TXT", b"one cluster")
    volume.table.hint = bpb.clusters - 10
    volume.table.link(volume.table.find_free(3))
    volume.table.flush()
    volume.umount()
    spoil(card, bpb.reserved + bpb.fat_sectors + 9_000, b"\xff" * 512)
    report = FAT.repair(card)
    assert report.left == ()
    assert report.done[0] == "FAT 2: 1 sectors restored"
    assert "3 lost clusters freed" in report.done
    assert FAT.check(card).problems == ()
    assert FAT.repair(card).done == ()
    assert FAT.mount(card).read_file("/ONE.TXT") == b"one cluster"
