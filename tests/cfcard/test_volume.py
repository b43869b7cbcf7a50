"""What a volume does, on every backend and every FAT."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from cfcard import BlockDevice, CardProtected, LogLayer, NoCard, RamDevice, VolumeCorrupt, VolumeFull
from cfcard.fat import Fat, Volume, write_mbr


def names(volume: Volume, path: str = "/") -> list[str]:
    return sorted(row[0] for row in volume.ilistdir(path))


@pytest.mark.parametrize("layout", ["superfloppy", "mbr"])
def test_what_was_written_is_there_after_the_next_mount(blank: BlockDevice, fat: int, layout: str) -> None:
    fs = Fat()
    if layout == "mbr":
        write_mbr(blank)
    fs.mkfs(blank, fat=fat, serial=0xCAFE_F00D)
    volume = fs.mount(blank)
    volume.mkdir("/CA")
    volume.mkdir("/CA/deep directory with a long name")
    content = bytes(range(256)) * 37
    volume.replace("/CA/cakey.pem", b"old")
    volume.replace("/CA/cakey.pem", content)
    volume.replace("/CA/serial.txt", b"01\r\n")
    volume.overwrite("/CA/serial.txt", b"02\r\n")
    with volume.open("/CA/deep directory with a long name/Grüße 你好.txt", "wb") as file:
        for start in range(0, len(content), 100):
            file.write(content[start : start + 100])
    volume.umount()

    again = fs.mount(blank)
    assert (again.fat, again.serial) == (fat, 0xCAFE_F00D)
    assert again.sectors.first == (0 if layout == "superfloppy" else 63 if fat == 12 else 2048)
    assert names(again, "/CA") == ["cakey.pem", "deep directory with a long name", "serial.txt"]
    assert again.read_file("/ca/CAKEY.PEM") == content
    assert again.read_file("/CA/serial.txt") == b"02\r\n"
    assert again.read_file("/CA/deep directory with a long name/Grüße 你好.txt") == content
    assert fs.check(blank).problems == ()


def test_listing_says_name_type_and_size(card: RamDevice) -> None:
    volume = Fat().mount(card)
    volume.mkdir("/CA")
    volume.replace("/README.TXT", b"seven b")
    assert list(volume.ilistdir("/")) == [("CA", 0x4000, 0, 0), ("README.TXT", 0x8000, 0, 7)]
    assert volume.stat("/README.TXT")[6] == 7
    assert volume.stat("/CA")[0] == volume.stat("/")[0] == 0x4000


def test_file_times_come_from_the_clock_that_was_handed_in(card: RamDevice) -> None:
    volume = Fat(now=lambda: (2026, 2, 28, 23, 59, 59)).mount(card)
    volume.replace("/A", b"a")
    assert volume.stat("/A")[7] == 1_772_323_198  # two-second steps
    Fat().mount(card).replace("/B", b"b")
    assert Fat().mount(card).stat("/B")[7] == 315_532_800, "without a clock: 1980-01-01"


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda v: v.read_file("/none"), errno.ENOENT),
        (lambda v: v.open("/none"), errno.ENOENT),
        (lambda v: v.replace("/none/x", b""), errno.ENOENT),
        (lambda v: v.replace("/F/x", b""), errno.ENOTDIR),
        (lambda v: v.read_file("/D"), errno.EISDIR),
        (lambda v: v.replace("/D", b""), errno.EISDIR),
        (lambda v: v.replace("/", b""), errno.EISDIR),
        (lambda v: v.mkdir("/D"), errno.EEXIST),
        (lambda v: v.mkdir("/F"), errno.EEXIST),
        (lambda v: v.open("/F", "xb"), errno.EEXIST),
        (lambda v: v.open("/F", "rt"), errno.EINVAL),
        (lambda v: v.remove("/D"), errno.ENOTEMPTY),
        (lambda v: v.rmdir("/F"), errno.ENOTDIR),
        (lambda v: v.remove("/none"), errno.ENOENT),
        (lambda v: v.rename("/none", "/x"), errno.ENOENT),
        (lambda v: v.rename("/D", "/D/inside"), errno.EINVAL),
        (lambda v: v.rename("/D", "/F"), errno.EEXIST),
        (lambda v: v.overwrite("/F", b"too long for it"), errno.EINVAL),
        (lambda v: v.replace("/a:b", b""), errno.EINVAL),
        (lambda v: v.replace("/dot.", b""), errno.EINVAL),
        (lambda v: v.replace("/" + "n" * 256, b""), errno.ENAMETOOLONG),
        (lambda v: v.replace("/bad\ud800", b""), errno.EINVAL),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    make_ram: Callable[[int], RamDevice], act: Callable[[Volume], object], code: int
) -> None:
    log = LogLayer(make_ram(16))
    volume = Fat().mount(log)
    volume.mkdir("/D")
    volume.replace("/D/inner", b"inner")
    volume.replace("/F", b"f")
    log.clear()
    with pytest.raises(OSError) as caught:
        act(volume)
    assert caught.value.errno == code
    assert log.write_sectors == 0


def test_removed_names_are_gone_and_their_clusters_free(card: RamDevice) -> None:
    volume = Fat().mount(card)
    free = volume.statvfs()[3]
    volume.mkdir("/D")
    volume.replace("/D/a long name.text", b"x" * 100_000)
    assert volume.statvfs()[3] < free - 10
    volume.remove("/D/a long name.text")
    volume.rmdir("/D")
    assert names(volume) == []
    assert volume.statvfs()[3] == free
    assert Fat().check(card).problems == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/one.txt", "/two.txt"),
        ("/one.txt", "/ONE.TXT"),
        ("/one.txt", "/D/one.txt"),
        ("/one.txt", "/D/there.txt"),
        ("/one.txt", "/there.txt"),
        ("/one.txt", "/" + "a very long name " * 12 + ".txt"),
    ],
)
def test_renamed_file_keeps_its_content(card: RamDevice, old: str, new: str) -> None:
    volume = Fat().mount(card)
    volume.mkdir("/D")
    volume.replace("/D/there.txt", b"there" * 2000)
    volume.replace("/there.txt", b"there" * 2000)
    volume.replace(old, b"content" * 1000)
    volume.rename(old, new)
    again = Fat().mount(card)
    assert again.read_file(new) == b"content" * 1000
    assert new.rsplit("/", 1)[1] in names(again, new.rsplit("/", 1)[0])
    assert old == new or old.rsplit("/", 1)[1] not in names(again)
    assert Fat().check(card).problems == ()


def test_directory_moves_with_everything_in_it(card: RamDevice) -> None:
    volume = Fat().mount(card)
    volume.mkdir("/A")
    volume.mkdir("/B")
    volume.mkdir("/A/inner")
    volume.replace("/A/inner/file", b"file")
    volume.rename("/A/inner", "/B/moved")
    volume.rename("/B/moved", "/top")
    assert Fat().mount(card).read_file("/top/file") == b"file"
    assert Fat().check(card).problems == ()
    with pytest.raises(OSError, match="into itself"):
        volume.rename("/top", "/TOP/below")


def test_long_names_get_different_short_ones(card: RamDevice) -> None:
    volume = Fat().mount(card)
    for number in range(30):
        volume.replace(f"/certificate number {number}.pem", b"%d" % number)
    volume.replace("/CERTIF~9.PEM", b"somebody's own") if not _has(volume, "/CERTIF~9.PEM") else None
    assert volume.read_file("/CERTIF~1.PEM") == b"0"
    assert volume.read_file("/CERTI~12.PEM") == b"11"
    assert Fat().check(card).problems == ()


def _has(volume: Volume, path: str) -> bool:
    try:
        volume.stat(path)
    except FileNotFoundError:
        return False
    return True


def test_directory_grows_beyond_one_cluster(card: RamDevice) -> None:
    volume = Fat().mount(card)
    volume.mkdir("/D")
    expected = [f"file with a long name {number:04}" for number in range(300)]
    for name in expected:
        volume.replace(f"/D/{name}", name.encode())
    again = Fat().mount(card)
    assert names(again, "/D") == expected
    assert again.read_file("/D/file with a long name 0299") == expected[299].encode()
    assert Fat().check(card).problems == ()


def test_directory_grows_into_used_clusters_without_ghosts(card: RamDevice) -> None:
    volume = Fat().mount(card)
    free = volume.statvfs()
    volume.replace("/FILL", b"GHOST   TXT\x20".ljust(32, b"\0") * (free[0] * free[3] // 32))
    volume.remove("/FILL")
    volume.mkdir("/D")
    for number in range(200):
        volume.replace(f"/D/{number:03}", b"")
        if number % 16 == 13:  # with "." and ".." the sector is full, and the next one comes into sight
            assert names(Fat().mount(card), "/D") == [f"{n:03}" for n in range(number + 1)]


def test_full_volume_refuses_and_stays_whole(make_ram: Callable[[int], RamDevice], fat: int) -> None:
    card = make_ram(fat)
    volume = Fat().mount(card)
    volume.replace("/KEEP", b"keep" * 1000)
    free = volume.statvfs()[3]
    size = volume.statvfs()[0]
    with pytest.raises(VolumeFull, match="free"):
        volume.replace("/HUGE", bytes(size * (free + 1)))
    volume.replace("/FILL", bytes(size * free))
    assert volume.statvfs()[3] == 0
    with pytest.raises(VolumeFull):
        volume.replace("/KEEP", b"new")
    assert volume.read_file("/KEEP") == b"keep" * 1000
    volume.remove("/FILL")
    volume.replace("/KEEP", b"new")
    assert Fat().check(card).problems == ()


def test_full_root_directory_refuses(make_ram: Callable[[int], RamDevice]) -> None:
    card = make_ram(16)
    volume = Fat().mount(card)
    for number in range(512):
        volume.replace(f"/{number}", b"")
    with pytest.raises(VolumeFull, match="root directory is full: 512 entries"):
        volume.replace("/513", b"")
    assert len(names(volume)) == 512
    volume.remove("/7")
    volume.replace("/NEW", b"")
    assert Fat().check(card).problems == ()


def test_protected_card_is_readable_and_refuses_writes(make_ram: Callable[[int], RamDevice]) -> None:
    card = make_ram(16)
    Fat().mount(card).replace("/A", b"a")
    card.write_protected = True
    volume = Fat().mount(card)
    assert volume.read_file("/A") == b"a"
    for act in (lambda: volume.replace("/A", b"b"), lambda: volume.remove("/A"), lambda: volume.mkdir("/D")):
        with pytest.raises(CardProtected):
            act()
        assert names(volume) == ["A"]
        assert volume.read_file("/A") == b"a"


def test_unmounted_volume_is_no_card(card: RamDevice) -> None:
    volume = Fat().mount(card)
    file = volume.open("/A", "wb")
    volume.umount()
    volume.umount()
    with pytest.raises(NoCard):
        volume.read_file("/A")
    with pytest.raises(NoCard):
        file.write(b"a")


def test_blank_card_says_what_it_lacks() -> None:
    with pytest.raises(VolumeCorrupt, match="boot sector: expected signature 55AA at 510, found 0000"):
        Fat().mount(RamDevice(1 << 20))


def test_formatting_keeps_the_partition_table(fat: int) -> None:
    card = RamDevice(64 << 20)
    write_mbr(card, serial=0x1122_3344)
    before = bytearray(512)
    card.readblocks(0, before)
    Fat().mkfs(card, fat=fat)
    Fat().mkfs(card, fat=fat)
    after = bytearray(512)
    card.readblocks(0, after)
    assert after[:446] == before[:446]
    assert after[446 + 4] == {12: 0x01, 16: 0x0E, 32: 0x0C}[fat]
    assert Fat().mount(card).sectors.first == 2048


def test_format_that_is_not_possible_writes_nothing() -> None:
    log = LogLayer(RamDevice(1 << 20))
    for wrong in (16, 32, 13):
        with pytest.raises(OSError, match=f"FAT{wrong}"):
            Fat().mkfs(log, fat=wrong)
    with pytest.raises(OSError, match="at most 11 characters"):
        Fat().mkfs(log, label="TWELVE CHARS")
    assert log.write_sectors == 0


@pytest.mark.parametrize(
    ("mib", "kind", "cluster"),
    [
        (2, 12, 4096),
        (64, 16, 4096),
        (256, 16, 4096),
        (512, 32, 4096),
        (32_768, 32, 16_384),
        (131_072, 32, 32_768),
        (131_073, 32, 65_536),
    ],
)
def test_size_decides_the_fat(mib: int, kind: int, cluster: int) -> None:
    card = RamDevice(mib << 20)
    Fat().mkfs(card)
    volume = Fat().mount(card)
    assert (volume.fat, volume.statvfs()[0]) == (kind, cluster)
    assert volume.bpb.fats == 2
    volume.mkdir("/CA")
    assert Fat().check(card).problems == ()
    assert card.used_bytes < 2 << 20, "a card of 32 GiB takes what was written to it"


def test_the_largest_card_that_is_made_can_be_checked_and_mended() -> None:
    card = RamDevice(256 << 30)
    Fat().mkfs(card)
    volume = Fat().mount(card)
    size = volume.bpb.cluster_bytes
    assert size == 65_536
    volume.replace("/a file of three clusters", b"x" * (2 * size + 1))
    volume.table.link(volume.table.find_free(2))
    volume.table.flush()
    volume.umount()
    assert "2 lost clusters freed" in Fat().repair(card).done
    report = Fat().check(card)
    assert (report.problems, report.clusters - report.free_clusters) == ((), 4)
    assert Fat().mount(card).read_file("/a file of three clusters") == b"x" * (2 * size + 1)


def test_chain_longer_than_the_fat_kept_in_memory(make_ram: Callable[[int], RamDevice]) -> None:
    card = make_ram(32)
    volume = Fat(pages=1, directories=1).mount(card)
    content = bytes(range(256)) * 40_000
    volume.replace("/BIG", content)
    volume.replace("/BIG", content[::-1])
    volume.remove("/BIG")
    with volume.open("/AGAIN", "wb") as file:
        file.write(content)
    assert Fat().mount(card).read_file("/AGAIN") == content
    assert Fat().check(card).problems == ()


def test_read_only_file_is_left_alone(card: RamDevice) -> None:
    volume = Fat().mount(card)
    volume.replace("/F", b"f")
    volume.replace("/G", b"g")
    parent, entry = volume.tree.existing("/F")
    entry.attributes |= 0x01
    parent.update(entry, entry.cluster, entry.size, entry.stamp)
    parent.commit()
    volume = Fat().mount(card)
    for act in (
        lambda: volume.replace("/F", b"new"),
        lambda: volume.overwrite("/F", b"n"),
        lambda: volume.open("/F", "wb"),
        lambda: volume.remove("/F"),
        lambda: volume.rename("/G", "/F"),
    ):
        with pytest.raises(PermissionError, match="read-only"):
            act()
    assert volume.read_file("/F") == b"f"
    volume.rename("/F", "/H")
    assert volume.stat("/H")[6] == 1


def test_dirty_volume_is_used_and_says_so(card: RamDevice, fat: int) -> None:
    volume = Fat().mount(card)
    assert not volume.dirty
    sector = bytearray(512)
    card.readblocks(0, sector)
    sector[volume.bpb.flags_offset] |= 1
    card.writeblocks(0, sector)
    volume = Fat().mount(card)
    assert volume.dirty
    volume.replace("/F", b"f")
    assert Fat().mount(card).dirty, "what a PC left behind is for a check to clear"
    assert Fat().check(card).problems == ("boot sector: expected a volume taken out cleanly, found the dirty flag",)
    if fat == 32:
        assert Fat().mount(card).statvfs()[3] == Fat().check(card).free_clusters, "FSInfo of a dirty volume is no truth"
