"""Damaged volumes: whatever the bytes say, the answer is an ``OSError`` and comes soon."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cfcard import LogLayer, RamDevice, VolumeCorrupt
from cfcard.fat import Fat, Volume
from cfcard.fat.bpb import bpb_from_sector

MOST_SECTORS = 40_000
"""Reads that any exercise of these small volumes may need: what goes round in circles needs more."""


def exercise(device: RamDevice) -> None:
    """Does everything a firmware does with a card; only ``OSError`` may come out."""
    log = LogLayer(device, keep=False)
    try:
        volume = Fat().mount(log)
    except OSError:
        return
    paths = walk(volume)
    acts: list[Callable[[], object]] = [lambda p=path: volume.read_file(p) for path in paths[:20]]  # type: ignore[misc]
    acts += [
        lambda: volume.replace("/CA/cakey.pem", b"new" * 900),
        lambda: volume.overwrite("/CA/serial.txt", b"0002\r\n"),
        lambda: volume.mkdir("/CA/new directory"),
        lambda: volume.open("/CA/log.txt", "ab").close(),
        lambda: volume.rename("/CA/cacert.pem", "/cacert.pem"),
        lambda: volume.remove("/README.TXT"),
        lambda: volume.statvfs("/"),
        volume.umount,
    ]
    for act in acts:
        try:
            act()
        except OSError:
            continue
    assert log.read_sectors < MOST_SECTORS * 10
    Fat().check(device)


def walk(volume: Volume) -> list[str]:
    paths: list[str] = []
    todo = ["/"]
    for _ in range(10):
        if not todo:
            break
        directory = todo.pop()
        try:
            rows = list(volume.ilistdir(directory))
        except OSError:
            continue
        for name, kind, _, _ in rows[:50]:
            (todo if kind == 0x4000 else paths).append(f"{directory.rstrip('/')}/{name}")
    return paths


@pytest.fixture(scope="module")
def healthy() -> dict[int, RamDevice]:
    """A card with some files on it, per FAT."""
    cards: dict[int, RamDevice] = {}
    for kind, size in ((12, 2 << 20), (16, 17 << 20), (32, 34 << 20)):
        card = cards[kind] = RamDevice(size)
        Fat().mkfs(card, fat=kind)
        volume = Fat().mount(card)
        for directory in ("/CA", "/CABAK", "/CA/deep"):
            volume.mkdir(directory)
        for path in ("/CA/cakey.pem", "/CA/cacert.pem", "/CABAK/cakey.pem", "/CA/deep/a long name.text", "/README.TXT"):
            volume.replace(path, path.encode() * 150)
        volume.replace("/CA/serial.txt", b"0001\r\n")
        volume.umount()
    return cards


def metadata(card: RamDevice) -> list[int]:
    """Sectors that hold structures: boot sector, the used part of the FATs, the directories."""
    volume = Fat().mount(card)
    bpb = volume.bpb
    sectors = [0, bpb.reserved, bpb.reserved + 1, bpb.reserved + bpb.fat_sectors, bpb.root_start, bpb.data_start]
    for path in ("/CA", "/CABAK", "/CA/deep"):
        sectors.append(bpb.sector_from_cluster(volume.tree.existing(path)[1].cluster))
    return sectors + ([bpb.fsinfo] if bpb.fsinfo else [])


@pytest.mark.parametrize("seed", range(30))
def test_flipped_bytes_in_the_metadata_are_survived(healthy: dict[int, RamDevice], fat: int, seed: int) -> None:
    draw = random.Random(seed)
    card = healthy[fat].copy()
    for _ in range(draw.choice((1, 2, 8, 64))):
        sector = draw.choice(metadata(healthy[fat]))
        buf = bytearray(512)
        card.readblocks(sector, buf)
        # Used slots and entries are at the front; the boot sector's figures too.
        buf[draw.randrange(draw.choice((40, 96, 512)))] = draw.choice((0, 1, 2, 0xE5, 0xFF, 0x0F, draw.randrange(256)))
        card.writeblocks(sector, buf)
    exercise(card)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_noise_in_any_structure_is_survived(healthy: dict[int, RamDevice], data: st.DataObject) -> None:
    card = healthy[data.draw(st.sampled_from((12, 16, 32)))].copy()
    sector = data.draw(st.sampled_from(metadata(card)))
    buf = bytearray(512)
    card.readblocks(sector, buf)
    start = data.draw(st.integers(0, 511))
    noise = data.draw(st.binary(min_size=1, max_size=64))
    buf[start : start + len(noise)] = noise[: 512 - start]
    card.writeblocks(sector, buf)
    exercise(card)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(sector=st.binary(min_size=510, max_size=510), available=st.integers(1, 1 << 32))
def test_any_boot_sector_is_taken_or_refused(sector: bytes, available: int) -> None:
    try:
        bpb = bpb_from_sector(sector + b"\x55\xaa", available)
    except VolumeCorrupt:
        return
    assert bpb.data_start + bpb.clusters * bpb.sectors_per_cluster <= bpb.total_sectors <= available


def test_directory_that_contains_itself_is_walked_once(healthy: dict[int, RamDevice], fat: int) -> None:
    card = healthy[fat].copy()
    volume = Fat().mount(card)
    parent, entry = volume.tree.existing("/CA/deep")
    parent.update(entry, volume.tree.existing("/CA")[1].cluster, 0, (0, 0))
    parent.commit()
    assert Fat().mount(card).read_file("/CA/deep/deep/deep/serial.txt") == b"0001\r\n"
    assert any("also in /CA" in problem for problem in Fat().check(card).problems)


def test_directory_chain_that_comes_back_is_refused(healthy: dict[int, RamDevice], fat: int) -> None:
    card = healthy[fat].copy()
    volume = Fat().mount(card)
    cluster = volume.tree.existing("/CA")[1].cluster
    volume.table.set(cluster, cluster)
    volume.table.flush()
    with pytest.raises(VolumeCorrupt, match=rf"chain from cluster {cluster}: .* found cluster {cluster} again"):
        list(Fat().mount(card).ilistdir("/CA"))
    with pytest.raises(VolumeCorrupt):
        Fat().mount(card).replace("/CA/cakey.pem", b"")


def test_file_longer_than_its_chain_is_refused(healthy: dict[int, RamDevice], fat: int) -> None:
    card = healthy[fat].copy()
    volume = Fat().mount(card)
    parent, entry = volume.tree.existing("/CA/cakey.pem")
    for size in (1 << 20, 0xFFFF_FFFF):
        parent.update(entry, entry.cluster, size, (0, 0))
        parent.commit()
        with pytest.raises(VolumeCorrupt):
            Fat().mount(card).read_file("/CA/cakey.pem")
        with pytest.raises(VolumeCorrupt):
            Fat().mount(card).open("/CA/cakey.pem")
    Fat().mount(card).replace("/CA/cakey.pem", b"new")
    assert Fat().mount(card).read_file("/CA/cakey.pem") == b"new"


def test_cluster_zero_is_no_directory(healthy: dict[int, RamDevice], fat: int) -> None:
    card = healthy[fat].copy()
    volume = Fat().mount(card)
    parent, entry = volume.tree.existing("/CA")
    parent.update(entry, 0, 0, (0, 0))
    parent.commit()
    with pytest.raises(VolumeCorrupt, match="directory CA: expected a first cluster from 2"):
        list(Fat().mount(card).ilistdir("/CA"))


def test_check_of_noise_ends_after_a_hundred_problems(healthy: dict[int, RamDevice], fat: int) -> None:
    card = healthy[fat].copy()
    bpb = Fat().mount(card).bpb
    draw = random.Random(1)
    for lba in range(bpb.root_start, min(bpb.root_start + 600, bpb.total_sectors)):
        card.writeblocks(lba, bytes(draw.choice(b"ABC\x01*") for _ in range(512)))
    report = Fat().check(card)
    assert 1 <= len(report.problems) <= 101
    assert all(problem.isprintable() for problem in report.problems)
