"""How fast the FAT volume is, beside mtools, FatFs and pyfatfs in the same run, and how much memory it takes.

Run by hand: ``python tests/bench/bench_card.py``. Every row is the best of several rounds, we and mtools taking turns,
because the speed of a host wanders. mtools pays for starting a process once per row; it is the yardstick, not the
enemy. It works on the host's page cache, as pyfatfs does: beside both stands our volume in memory, and our image file,
which waits for the disk at every sync, in a column of its own.

FatFs (``pip install fatfs-ng``) and pyfatfs (``pip install pyfatfs "setuptools<82"``, for its ``pkg_resources``) are
asked when they are there; where one is not, a line says so.

What is to be reached: 1,000 small files in mtools' time and with no more sectors than FatFs, 16 MiB in 1.5 times
mtools' time, in one piece five times as fast as pyfatfs, a card of 32 GiB in 64 MiB of memory. What is not ends in
"missed", and the exit code is 1.
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
from cfcard.blockdev import SYNC, Layer
from cfcard.fat import Fat, Volume
from cfcard.fat.fill import fill_volume

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

MOST_OF_MTOOLS = {
    "1,000 x 1 KiB, open and write": 1.0,
    "1,000 x 1 KiB, replace": 1.0,
    "16 MiB by 4 KiB, write": 1.5,
    "16 MiB by 4 KiB, read": 1.5,
    "16 MiB at once, write": 1.5,
    "16 MiB at once, read": 1.5,
}
"""How many times mtools' time a row may take; the rest is for comparison."""
LEAST_OF_PYFATFS = 5.0
MOST_MIB = 64.0


class Verdict:
    """Counts the figures that were not reached."""

    def __init__(self) -> None:
        self.missed = 0

    def on(self, reached: bool) -> str:
        """What the line of a figure ends in."""
        self.missed += not reached
        return "" if reached else "  missed"


class Unsynced(Layer):
    """An image in the host's page cache, which is what other programs measure."""

    def ioctl(self, op: int, arg: int, /) -> int | None:
        return 0 if op == SYNC else super().ioctl(op, arg)


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


def peer(name: str) -> dict[str, float] | str:
    """What ``card_peers.py`` measured of another FAT implementation, or why it could not."""
    script = Path(__file__).with_name("card_peers.py")
    done = subprocess.run([sys.executable, str(script), name], capture_output=True, text=True, check=False)
    if done.stdout:
        figures: dict[str, float] = json.loads(done.stdout)
        return figures
    return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


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


def memory_for_a_full_card() -> float | None:
    """MiB at the most, while a card of 32 GiB without a free cluster is checked and mended; None where the host does
    not say. By the host's count, in a process of its own: counting Python's own way takes a minute here."""
    done = subprocess.run([sys.executable, __file__, "full-card"], capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def fill_and_look() -> None:
    """Prints by how many MiB this process grew."""

    def peak_bytes() -> int:
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1_024

    before = peak_bytes()
    device = RamDevice(LARGEST_BYTES)
    Fat().mkfs(device)
    fill_volume(device)
    assert Fat().check(device).clean
    assert Fat().repair(device).done == ()
    print((peak_bytes() - before) / (1 << 20))


def main() -> int:
    ram: dict[str, list[float]] = {}
    disk: dict[str, list[float]] = {}
    cached: dict[str, list[float]] = {}
    theirs: dict[str, list[float]] = {}
    pyfatfs: list[dict[str, float]] = []
    why_not = ""
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
            collect(cached, Ours(Unsynced(image)).rows(timed))
            found = peer("pyfatfs")
            if isinstance(found, str):
                why_not = found
            else:
                pyfatfs.append(found)
        image.close()
    verdict = Verdict()
    print_rows(ram, disk, theirs, verdict)
    print_fatfs(verdict)
    if pyfatfs:
        print_pyfatfs(ram, cached, pyfatfs, verdict)
    else:
        print(f"pyfatfs: not measured: {why_not}")
    print_memory(verdict)
    if verdict.missed:
        print(f"{verdict.missed} {'figure' if verdict.missed == 1 else 'figures'} missed")
    return 1 if verdict.missed else 0


def collect(into: dict[str, list[float]], rows: dict[str, float]) -> None:
    for row, figure in rows.items():
        into.setdefault(row, []).append(figure)


def print_rows(
    ram: dict[str, list[float]], disk: dict[str, list[float]], theirs: dict[str, list[float]], verdict: Verdict
) -> None:
    moved = sectors_moved()
    heads = ("RAM", "image", "mtools", "RAM:mtools", "read", "written")
    print(f"{'FAT16, 64 MiB; milliseconds':32}" + "".join(f"{head:>11}" for head in heads))
    for row, figures in ram.items():
        best = min(figures)
        other = min(theirs[row]) if row in theirs else float("nan")
        reads, writes = moved[row]
        # Without mtools there is nothing to be missed: no number is greater than "not a number".
        end = verdict.on(not best / other > MOST_OF_MTOOLS.get(row, float("inf")))
        print(f"{row:32}{best:11.1f}{min(disk[row]):11.1f}{other:11.1f}{best / other:11.2f}{reads:11}{writes:11}{end}")
    print("read, written: sectors moved, which is what an emulated board pays for")


def print_fatfs(verdict: Verdict) -> None:
    found = peer("fatfs")
    if isinstance(found, str):
        print(f"FatFs: not measured: {found}")
        return
    ours = sum(sectors_moved()["1,000 x 1 KiB, open and write"])
    end = verdict.on(ours <= found["read"] + found["written"])
    print(f"FatFs moves {found['read']} and {found['written']} sectors for the 1,000 files, open and write{end}")


def print_pyfatfs(
    ram: dict[str, list[float]], cached: dict[str, list[float]], pyfatfs: list[dict[str, float]], verdict: Verdict
) -> None:
    for row, act in zip(BIG_ROWS, ("write", "read"), strict=True):
        other = min(figures[act] for figures in pyfatfs)
        in_ram, in_file = other / min(ram[row]), other / min(cached[row])
        end = verdict.on(in_file >= LEAST_OF_PYFATFS)
        print(
            f"{row}: pyfatfs {other:.1f} ms, {in_ram:.1f} times ours in RAM, {in_file:.1f} in an image not synced{end}"
        )


def print_memory(verdict: Verdict) -> None:
    used = memory_for_the_largest_card()
    print(f"card of 32 GiB: {used:.1f} MiB of memory at the most{verdict.on(used < MOST_MIB)}")
    full = memory_for_a_full_card()
    if full is None:
        print("the same, full: not measured: the host does not say")
    else:
        print(f"the same, full: {full:.1f} MiB{verdict.on(full < MOST_MIB)}")


if __name__ == "__main__":
    raise SystemExit(fill_and_look() if sys.argv[1:] == ["full-card"] else main())
