"""What ``fsck.fat -n`` finds on a damaged volume, our check finds too; where it is content, so are we."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cfcard import Fault, FaultyDevice, ImageDevice
from cfcard.fat import Fat, Volume
from cfcard.fat.names import wrong_in_short

Require = Callable[[str], str]
Damage = Callable[[ImageDevice, Volume], None]


def poke(device: ImageDevice, sector: int, at: int, data: bytes) -> None:
    buf = bytearray(512)
    device.readblocks(sector, buf)
    buf[at : at + len(data)] = data
    device.writeblocks(sector, buf)


def put_entry(device: ImageDevice, volume: Volume, cluster: int, value: int) -> None:
    volume.table.set(cluster, value)
    volume.table.flush()


def first_cluster(volume: Volume, path: str) -> int:
    return volume.tree.existing(path)[1].cluster


def slot_of(volume: Volume, path: str) -> tuple[int, int]:
    """(sector, offset) of the 8.3 entry."""
    parent, entry = volume.tree.existing(path)
    return parent._lba(entry.slot // 16), entry.slot % 16 * 32


def copies_differ(device: ImageDevice, volume: Volume) -> None:
    poke(device, volume.bpb.reserved + volume.bpb.fat_sectors, 200, b"\x12\x34")


def lost_chain(device: ImageDevice, volume: Volume) -> None:
    cluster = volume.table.find_free(1)[0][0]
    put_entry(device, volume, cluster, volume.table.mask)


def cross_link(device: ImageDevice, volume: Volume) -> None:
    put_entry(device, volume, first_cluster(volume, "/B"), first_cluster(volume, "/A") + 1)


def loop(device: ImageDevice, volume: Volume) -> None:
    first = first_cluster(volume, "/A")
    put_entry(device, volume, first + 1, first)


def chain_into_the_free(device: ImageDevice, volume: Volume) -> None:
    put_entry(device, volume, first_cluster(volume, "/A"), volume.table.find_free(1)[0][0])


def chain_out_of_the_volume(device: ImageDevice, volume: Volume) -> None:
    put_entry(device, volume, first_cluster(volume, "/A"), volume.table.top + 3)


def chain_too_short(device: ImageDevice, volume: Volume) -> None:
    put_entry(device, volume, first_cluster(volume, "/A"), volume.table.mask)


def size_too_small(device: ImageDevice, volume: Volume) -> None:
    sector, at = slot_of(volume, "/A")
    poke(device, sector, at + 28, (5).to_bytes(4, "little"))


def start_out_of_the_volume(device: ImageDevice, volume: Volume) -> None:
    sector, at = slot_of(volume, "/A")
    poke(device, sector, at + 26, b"\xf0\xff")


def bad_short_name(device: ImageDevice, volume: Volume) -> None:
    sector, at = slot_of(volume, "/A")
    poke(device, sector, at, b"A\x01*")


def same_name_twice(device: ImageDevice, volume: Volume) -> None:
    sector, at = slot_of(volume, "/B")
    poke(device, sector, at, b"A")


def long_name_without_file(device: ImageDevice, volume: Volume) -> None:
    sector, at = slot_of(volume, "/a long name.text")
    poke(device, sector, at, b"\xe5")


def no_dots(device: ImageDevice, volume: Volume) -> None:
    poke(device, volume.bpb.sector_from_cluster(first_cluster(volume, "/D")), 0, b"\xe5")


def wrong_parent(device: ImageDevice, volume: Volume) -> None:
    poke(device, volume.bpb.sector_from_cluster(first_cluster(volume, "/D")), 32 + 26, b"\x09")


def wrong_free_count(device: ImageDevice, volume: Volume) -> None:
    poke(device, volume.bpb.fsinfo, 488, b"\x07\0\0\0")


def dirty(device: ImageDevice, volume: Volume) -> None:
    poke(device, 0, volume.bpb.flags_offset, b"\x01")


def backup_differs(device: ImageDevice, volume: Volume) -> None:
    poke(device, volume.bpb.backup, 100, b"\x01")


DAMAGE: list[tuple[Damage, tuple[int, ...], str]] = [
    (copies_differ, (12, 16, 32), "FAT copies"),
    (lost_chain, (12, 16, 32), "lost"),
    (cross_link, (12, 16, 32), "also in /"),
    (loop, (12, 16, 32), "comes back to itself"),
    (chain_into_the_free, (12, 16, 32), "a free cluster"),
    (chain_out_of_the_volume, (12, 16, 32), "FAT entry"),
    (chain_too_short, (12, 16, 32), "/A: expected 3 clusters"),
    (size_too_small, (12, 16, 32), "/A: expected 1 clusters"),
    (start_out_of_the_volume, (12, 16), "/A: expected a first cluster"),
    (bad_short_name, (12, 16, 32), "a short name"),
    (same_name_twice, (12, 16, 32), "names that differ"),
    (long_name_without_file, (16,), "a long name with its file"),
    (no_dots, (16, 32), '"." and ".."'),
    (wrong_parent, (16, 32), "/D, ..: expected cluster 0, found 9"),
    (wrong_free_count, (32,), "FSInfo, free clusters"),
    (dirty, (16, 32), "dirty flag"),
    (backup_differs, (32,), "backup boot sector, byte 100"),
]


def make(path: Path, fat: int) -> ImageDevice:
    device = ImageDevice.create(path, {12: 4 << 20, 16: 32 << 20, 32: 36 << 20}[fat])
    Fat().mkfs(device, fat=fat)
    volume = Fat().mount(device)
    size = volume.bpb.cluster_bytes
    volume.replace("/A", b"a" * (2 * size + 1))
    volume.replace("/B", b"b" * (2 * size + 1))
    volume.mkdir("/D")
    volume.replace("/D/inner.txt", b"inner")
    volume.replace("/a long name.text", b"")
    volume.umount()
    return device


@pytest.mark.peer("fsck.fat")
@pytest.mark.parametrize(
    ("damage", "fat", "expected"),
    [(damage, fat, expected) for damage, fats, expected in DAMAGE for fat in fats],
    ids=[f"{damage.__name__}-fat{fat}" for damage, fats, _ in DAMAGE for fat in fats],
)
def test_damage_is_found_by_both(
    require_program: Require, tmp_path: Path, damage: Damage, fat: int, expected: str
) -> None:
    fsck = require_program("fsck.fat")
    path = tmp_path / "card.img"
    device = make(path, fat)
    assert Fat().check(device).clean
    damage(device, Fat().mount(device))
    report = Fat().check(device)
    device.close()
    assert not report.clean
    assert expected in "\n".join(report.problems)
    done = subprocess.run([fsck, "-n", str(path)], capture_output=True, text=True, check=False)
    # A differing backup is printed, and not counted, as it is "mostly harmless".
    assert done.returncode == 1 or "differences between boot sector and its backup" in done.stdout, done.stdout


@pytest.mark.peer("fsck.fat")
@pytest.mark.parametrize("fat", [12, 16, 32])
def test_both_agree_after_every_cut(require_program: Require, tmp_path: Path, fat: int) -> None:
    fsck = require_program("fsck.fat")
    for at in range(1, 40):
        path = tmp_path / f"{at}.img"
        device = make(path, fat)
        faulty = FaultyDevice(device)
        volume = Fat().mount(faulty)
        faulty.arm(Fault.CUT, at)
        try:
            volume.replace("/A", b"new" * 1000)
            volume.replace("/D/certificate.pem", b"new" * 1000)
            volume.mkdir("/D/deeper")
        except OSError:
            pass
        report = Fat().check(device)
        device.close()
        done = subprocess.run([fsck, "-n", str(path)], capture_output=True, text=True, check=False)
        assert report.clean == (done.returncode == 0), (at, report.problems, done.stdout)
        path.unlink()
        if not faulty.fired:
            assert report.clean
            return
    raise AssertionError("the sweep did not come to its end")


@pytest.mark.peer("fsck.fat")
@pytest.mark.parametrize("path", ["/D/INNER.TXT", "/D/an inner file.text", "/D"])
def test_fsck_is_content_with_every_short_name_that_was_mended(
    require_program: Require, tmp_path: Path, path: str
) -> None:
    fsck = require_program("fsck.fat")
    image = tmp_path / "card.img"
    device = make(image, 12)
    volume = Fat().mount(device)
    volume.replace("/D/INNER.TXT", b"inner" * 1000)
    volume.replace("/D/an inner file.text", b"inner" * 1000)
    sector, at = slot_of(volume, path)
    before = bytearray(512)
    device.readblocks(sector, before)
    mended = 0
    for bit in range(88):
        raw = before[at : at + 11]
        raw[bit // 8] ^= 1 << bit % 8
        if not wrong_in_short(bytes(raw)):
            continue
        poke(device, sector, at, bytes(raw))
        report = Fat().repair(device)
        assert report.done
        assert report.clean
        assert Fat().check(device).clean
        done = subprocess.run([fsck, "-n", str(image)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (bytes(raw), report.done, done.stdout)
        device.writeblocks(sector, before)
        mended += 1
    device.close()
    assert mended > 10
