"""How fast the FAT volume is, beside mtools, FatFs and pyfatfs in the same run, and how much memory it takes.

Run by hand: ``python tests/bench/bench_card.py``. Every row is the best of several rounds, we and mtools taking turns,
because the speed of a host wanders. mtools pays for starting a process once per row; it is the yardstick, not the
enemy. FatFs (``pip install fatfs-ng``) and pyfatfs (``pip install pyfatfs "setuptools<82"``) are asked when they are
there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cfcard import BlockDevice, ImageDevice, LogLayer, RamDevice
from cfcard.fat import Fat, Volume

ROUNDS = 9
ROUNDS_WITH_A_DISK = 3
"""What waits for the host's disk: image files, and pyfatfs on one."""
SMALL_FILES, SMALL_BYTES = 1_000, 1_024
BIG_BYTES = 16 << 20
PIECE = 4_096
CARD_BYTES = 64 << 20
LARGEST_BYTES = 32 << 30

BIG = os.urandom(BIG_BYTES)
SMALL = [os.urandom(SMALL_BYTES) for _ in range(SMALL_FILES)]


Figure = TypeVar("Figure")


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1_000


BIG_ROWS = ("16 MiB at once, write", "16 MiB at once, read")


class Ours:
    """One volume of ours on any device."""

    def __init__(self, device: BlockDevice) -> None:
        self.device = device

    def fresh(self) -> Volume:
        Fat().mkfs(self.device, fat=16)
        volume = Fat().mount(self.device)
        volume.mkdir("/D")
        return volume

    def rows(self, measure: Callable[[Callable[[], object]], Figure]) -> dict[str, Figure]:
        """What ``measure`` says of each row."""
        rows: dict[str, Figure] = {}
        volume = self.fresh()
        rows["1,000 x 1 KiB, open and write"] = measure(lambda: [write_small(volume, i) for i in range(SMALL_FILES)])
        volume = self.fresh()
        rows["1,000 x 1 KiB, replace"] = measure(
            lambda: [volume.replace(f"/D/file{i}.bin", data) for i, data in enumerate(SMALL)]
        )
        rows["1,000 x 1 KiB, read"] = measure(lambda: [volume.read_file(f"/D/file{i}.bin") for i in range(SMALL_FILES)])
        volume = self.fresh()
        rows["16 MiB by 4 KiB, write"] = measure(lambda: write_pieces(volume))
        rows["16 MiB by 4 KiB, read"] = measure(lambda: read_pieces(volume))
        volume = self.fresh()
        rows["16 MiB at once, write"] = measure(lambda: volume.replace("/BIG", BIG))
        volume.read_file("/BIG")  # new memory costs the host more than the copy: not in the first read
        rows["16 MiB at once, read"] = measure(lambda: volume.read_file("/BIG"))
        return rows


def sectors_moved() -> dict[str, tuple[int, int]]:
    """(sectors read, sectors written) by row."""
    log = LogLayer(RamDevice(CARD_BYTES), keep=False)

    def measure(act: Callable[[], object]) -> tuple[int, int]:
        log.clear()
        act()
        return log.read_sectors, log.write_sectors

    return Ours(log).rows(measure)


def write_small(volume: Volume, i: int) -> None:
    with volume.open(f"/D/file{i}.bin", "wb") as file:
        file.write(SMALL[i])


def write_pieces(volume: Volume) -> None:
    with volume.open("/BIG", "wb") as file:
        for at in range(0, BIG_BYTES, PIECE):
            file.write(BIG[at : at + PIECE])


def read_pieces(volume: Volume) -> None:
    with volume.open("/BIG") as file:
        while file.read(PIECE):
            pass


def mtools_rows(folder: Path) -> dict[str, float]:
    """The same work by mcopy, in milliseconds."""
    image = folder / "mtools.img"
    image.unlink(missing_ok=True)
    device = ImageDevice.create(image, CARD_BYTES)
    Fat().mkfs(device, fat=16)
    device.close()
    small = sorted((folder / "small").iterdir())

    def run(*words: str | Path) -> Callable[[], object]:
        return lambda: subprocess.run([str(word) for word in words], check=True, capture_output=True)

    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    timed(run("mmd", "-i", image, "::/D"))
    rows = {"1,000 x 1 KiB, replace": timed(run("mcopy", "-i", image, *small, "::/D"))}
    rows["1,000 x 1 KiB, open and write"] = rows["1,000 x 1 KiB, replace"]
    rows["1,000 x 1 KiB, read"] = timed(run("mcopy", "-n", "-i", image, "::/D/*", out))
    rows["16 MiB at once, write"] = timed(run("mcopy", "-i", image, folder / "big", "::/BIG"))
    rows["16 MiB at once, read"] = timed(run("mcopy", "-n", "-i", image, "::/BIG", out))
    rows["16 MiB by 4 KiB, write"] = rows["16 MiB at once, write"]
    rows["16 MiB by 4 KiB, read"] = rows["16 MiB at once, read"]
    return rows


def peer(name: str) -> dict[str, float] | None:
    """What ``card_peers.py`` measured of another FAT implementation, None when that is not installed."""
    script = Path(__file__).with_name("card_peers.py")
    done = subprocess.run([sys.executable, str(script), name], capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.stdout else None


def memory_for_the_largest_card() -> float:
    """MiB at the most, while a card of 32 GiB is formatted, filled a little, read, checked and mended."""
    tracemalloc.start()
    device = RamDevice(LARGEST_BYTES)
    fs = Fat()
    fs.mkfs(device)
    volume = fs.mount(device)
    volume.mkdir("/D")
    for i, data in enumerate(SMALL):
        volume.replace(f"/D/file{i}.bin", data)
    volume.statvfs()
    volume.umount()
    assert fs.check(device).clean
    fs.repair(device)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / (1 << 20)


def main() -> int:
    ram: dict[str, list[float]] = {}
    disk: dict[str, list[float]] = {}
    theirs: dict[str, list[float]] = {}
    pyfatfs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small").mkdir()
        for i, data in enumerate(SMALL):
            (folder / "small" / f"file{i}.bin").write_bytes(data)
        (folder / "big").write_bytes(BIG)
        image = ImageDevice.create(folder / "ours.img", CARD_BYTES)
        for number in range(ROUNDS):
            collect(ram, Ours(RamDevice(CARD_BYTES)).rows(timed))
            if shutil.which("mcopy"):
                collect(theirs, mtools_rows(folder))
            if number >= ROUNDS_WITH_A_DISK:
                continue
            collect(disk, Ours(image).rows(timed))
            if found := peer("pyfatfs"):
                pyfatfs.append(found)
        image.close()
    print_rows(ram, disk, theirs)
    print_peers(ram, pyfatfs)
    print(f"card of 32 GiB: {memory_for_the_largest_card():.1f} MiB of memory at the most")
    return 0


def collect(into: dict[str, list[float]], rows: dict[str, float]) -> None:
    for row, figure in rows.items():
        into.setdefault(row, []).append(figure)


def print_rows(ram: dict[str, list[float]], disk: dict[str, list[float]], theirs: dict[str, list[float]]) -> None:
    moved = sectors_moved()
    heads = ("RAM", "image", "mtools", "RAM:mtools", "read", "written")
    print(f"{'FAT16, 64 MiB; milliseconds':32}" + "".join(f"{head:>11}" for head in heads))
    for row, figures in ram.items():
        best = min(figures)
        other = min(theirs[row]) if row in theirs else float("nan")
        reads, writes = moved[row]
        print(f"{row:32}{best:11.1f}{min(disk[row]):11.1f}{other:11.1f}{best / other:11.2f}{reads:11}{writes:11}")
    print("read, written: sectors moved, which is what an emulated board pays for")


def print_peers(ram: dict[str, list[float]], pyfatfs: list[dict[str, float]]) -> None:
    if fatfs := peer("fatfs"):
        print(f"FatFs moves {fatfs['read']} and {fatfs['written']} sectors for the 1,000 files, open and write")
    for row, act in zip(BIG_ROWS, ("write", "read"), strict=True):
        if pyfatfs:
            other = min(figures[act] for figures in pyfatfs)
            print(f"{row}: pyfatfs {other:.1f} ms, {other / min(ram[row]):.1f} times ours")


if __name__ == "__main__":
    raise SystemExit(main())
