"""How fast the FAT volume is, beside mtools on the same kind of image in the same run.

Run by hand: ``python tests/bench/bench_card.py``. Every row is the best of five, the two taking turns, because the
speed of a host wanders. mtools pays for starting a process once per row; it is the yardstick, not the enemy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cfcard import ImageDevice, LogLayer, RamDevice
from cfcard.fat import Fat, Volume

ROUNDS = 5
SMALL_FILES, SMALL_BYTES = 1_000, 1_024
BIG_BYTES = 16 << 20
PIECE = 4_096
CARD_BYTES = 64 << 20

BIG = os.urandom(BIG_BYTES)
SMALL = [os.urandom(SMALL_BYTES) for _ in range(SMALL_FILES)]


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1_000


class Ours:
    """One volume of ours, on any backend, with the sectors that it moved."""

    def __init__(self, device: RamDevice | ImageDevice) -> None:
        self.device = device

    def fresh(self) -> tuple[Volume, LogLayer]:
        Fat().mkfs(self.device, fat=16)
        log = LogLayer(self.device, keep=False)
        volume = Fat().mount(log)
        volume.mkdir("/D")
        log.clear()
        return volume, log

    def rows(self) -> dict[str, tuple[float, int, int]]:
        """(milliseconds, sectors read, sectors written) by row."""
        rows: dict[str, tuple[float, int, int]] = {}

        def row(name: str, act: Callable[[], object], log: LogLayer) -> None:
            log.clear()
            rows[name] = (timed(act), log.read_sectors, log.write_sectors)

        volume, log = self.fresh()
        row("1,000 x 1 KiB, open and write", lambda: [write_small(volume, i) for i in range(SMALL_FILES)], log)
        volume, log = self.fresh()
        row("1,000 x 1 KiB, replace", lambda: [volume.replace(f"/D/file{i}.bin", s) for i, s in enumerate(SMALL)], log)
        row("1,000 x 1 KiB, read", lambda: [volume.read_file(f"/D/file{i}.bin") for i in range(SMALL_FILES)], log)
        volume, log = self.fresh()
        row("16 MiB by 4 KiB, write", lambda: write_pieces(volume), log)
        row("16 MiB by 4 KiB, read", lambda: read_pieces(volume), log)
        volume, log = self.fresh()
        row("16 MiB at once, write", lambda: volume.replace("/BIG", BIG), log)
        row("16 MiB at once, read", lambda: volume.read_file("/BIG"), log)
        return rows


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


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small").mkdir()
        for i, data in enumerate(SMALL):
            (folder / "small" / f"file{i}.bin").write_bytes(data)
        (folder / "big").write_bytes(BIG)
        image = ImageDevice.create(folder / "ours.img", CARD_BYTES)
        ram: dict[str, list[tuple[float, int, int]]] = {}
        disk: dict[str, list[float]] = {}
        theirs: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for row, figures in Ours(RamDevice(CARD_BYTES)).rows().items():
                ram.setdefault(row, []).append(figures)
            for row, figures in Ours(image).rows().items():
                disk.setdefault(row, []).append(figures[0])
            if shutil.which("mcopy"):
                for row, figure in mtools_rows(folder).items():
                    theirs.setdefault(row, []).append(figure)
        image.close()
    heads = ("RAM", "image", "mtools", "RAM:mtools", "read", "written")
    print(f"{'FAT16, 64 MiB; milliseconds':32}" + "".join(f"{head:>11}" for head in heads))
    for row, figures in ram.items():
        best = min(figure[0] for figure in figures)
        other = min(theirs[row]) if row in theirs else float("nan")
        _, reads, writes = figures[0]
        print(f"{row:32}{best:11.1f}{min(disk[row]):11.1f}{other:11.1f}{best / other:11.2f}{reads:11}{writes:11}")
    print("read, written: sectors moved, which is what an emulated board pays for")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
