"""Foreign readers of our volumes: after thousands of random operations all of them find the same names and bytes.

Each reader is a process of its own (``foreign/``) that copies everything on the card into a folder. Those from PyPI
come with the extra ``peers``. A reader that is not there is skipped, also under ``CI=true`` (but for mtools), because
none of them is packaged everywhere.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from cfcard import ImageDevice, RamDevice
from cfcard.fat import Fat, Volume

STEPS = 3_000
SIZES = {12: 15 << 20, 16: 64 << 20, 32: 64 << 20}

PROGRAMS = ("mtools", "micropython")
MODULES = {"dissect.fat": "dissect.fat.fat", "fatfs-ng": "fatfs.partition_extended", "pyfatfs": "pyfatfs.PyFatFS"}
READERS = [pytest.param(reader, marks=pytest.mark.peer(reader)) for reader in (*PROGRAMS, *MODULES)]

PLAIN = ["A.TXT", "cakey.pem", "a long name with blanks.text", "y" * 120, "two.dots.pem", "Mixed.Txt", "x~1.pem"]
FAR = ["Größe.pem", "日本語の名前.txt", "Ωμέγα", "cakey.pem", "ÄÖÜ", "é" * 60]
READERS_OF_FAR = [
    pytest.param(reader, marks=pytest.mark.peer(reader)) for reader in ("mtools", "dissect.fat", "pyfatfs")
]
"""fatfs-ng takes ASCII paths, MicroPython is built for one code page; mtools knows no character beyond 16 bits."""

Tree = dict[str, bytes | None]
"""Content by path; None for a directory."""


class Workload:
    """Random operations on a volume, and what must be there afterwards."""

    def __init__(self, volume: Volume, names: list[str], seed: int) -> None:
        self.volume = volume
        self.tree: Tree = {}
        self._names = names
        self._draw = random.Random(seed)
        self._acts: list[Callable[[], None]] = [
            self._replace, self._replace, self._write, self._append, self._patch, self._overwrite, self._rename,
            self._remove, self._mkdir,
        ]  # fmt: skip

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._draw.choice(self._acts)()

    def _path(self) -> str:
        folders = ["", *(path for path, data in self.tree.items() if data is None)]
        return f"{self._draw.choice(folders)}/{self._draw.randrange(25)} {self._draw.choice(self._names)}"

    def _file(self) -> str:
        """A file that is there."""
        files = [path for path, data in self.tree.items() if data is not None]
        if not files:
            self._replace()
            return self._file()
        return self._draw.choice(files)

    def _data(self) -> bytes:
        return self._draw.randbytes(self._draw.choice((0, 1, 511, 512, 1704, 4096, 9000, 30_000)))

    def _replace(self) -> None:
        path = self._path()
        self.tree[path] = data = self._data()
        self.volume.replace(path, data)

    def _write(self) -> None:
        path, step = self._path(), self._draw.choice((100, 512, 4096))
        self.tree[path] = data = self._data()
        with self.volume.open(path, "wb") as file:
            for at in range(0, len(data), step):
                file.write(data[at : at + step])

    def _append(self) -> None:
        path = self._file()
        data = self._data()[:5000]
        with self.volume.open(path, "ab") as file:
            file.write(data)
        self.tree[path] = self._content(path) + data

    def _patch(self) -> None:
        path, data = self._file(), self._data()[:5000]
        content = bytearray(self._content(path))
        at = self._draw.randrange(len(content) + 1)
        with self.volume.open(path, "r+b") as file:
            file.seek(at)
            file.write(data)
        content[at : at + len(data)] = data
        self.tree[path] = bytes(content)

    def _overwrite(self) -> None:
        path = self._file()
        self.tree[path] = data = self._draw.randbytes(len(self._content(path)))
        self.volume.overwrite(path, data)

    def _rename(self) -> None:
        old, new = self._file(), self._path()
        self.volume.rename(old, new)
        self.tree[new] = self.tree.pop(old)

    def _remove(self) -> None:
        path = self._file()
        self.volume.remove(path)
        del self.tree[path]

    def _mkdir(self) -> None:
        count = sum(data is None for data in self.tree.values())
        if count < 9:
            path = f"{self._path()} {count}"
            self.volume.mkdir(path)
            self.tree[path] = None

    def _content(self, path: str) -> bytes:
        content = self.tree[path]
        assert content is not None
        return content


class Card(NamedTuple):
    """An image and what was written to it."""

    image: Path
    tree: Tree


def make_card(folder: Path, fat: int, names: list[str], steps: int) -> Card:
    device = RamDevice(SIZES[fat])
    Fat().mkfs(device, fat=fat, serial=0xC0FF_EE00, label="CARD")
    # Little memory, so that pages and directories come and go.
    volume = Fat(now=lambda: (2026, 11, 23, 12, 0, 0), pages=2, directories=2).mount(device)
    workload = Workload(volume, names, seed=fat)
    workload.run(steps)
    volume.umount()
    assert Fat().check(device).problems == ()
    return Card(save(device, folder / "card.img"), workload.tree)


def save(device: RamDevice, image: Path) -> Path:
    """An image file, as sparse as the card was."""
    piece = bytearray(1 << 20)
    with image.open("wb") as file:
        for at in range(0, device.size_bytes, len(piece)):
            device.readblocks(at // 512, piece)
            file.seek(at)
            if piece.count(0) < len(piece):
                file.write(piece)
        file.truncate(device.size_bytes)
    return image


@pytest.fixture(scope="module", params=[12, 16, 32], ids=["fat12", "fat16", "fat32"])
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Card:
    """After 3,000 operations, names in ASCII."""
    return make_card(tmp_path_factory.mktemp("plain"), int(request.param), PLAIN, STEPS)


@pytest.fixture(scope="module", params=[12, 16, 32], ids=["fat12", "fat16", "fat32"])
def far(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Card:
    """After some operations, names from everywhere."""
    return make_card(tmp_path_factory.mktemp("far"), int(request.param), FAR, 300)


Read = Callable[[str, Path], Tree]


@pytest.fixture
def read_by(require_program: Callable[[str], str], tmp_path: Path) -> Read:
    """Gives everything that a reader finds on an image; skips where it is not there."""

    def read(reader: str, image: Path) -> Tree:
        folder = tmp_path / "out"
        folder.mkdir()
        words = [*command(reader, require_program), str(image), *(["::/"] if reader == "mtools" else []), str(folder)]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "MTOOLSRC": os.devnull}
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        paths = ((path, "/" + str(path.relative_to(folder))) for path in folder.rglob("*"))
        return {name: path.read_bytes() if path.is_file() else None for path, name in paths}

    return read


def command(reader: str, require_program: Callable[[str], str]) -> list[str]:
    """How to start ``reader``; image and folder follow."""
    foreign = Path(__file__).parent / "foreign"
    if reader == "mtools":
        return [require_program("mcopy"), "-s", "-n", "-i"]
    if reader == "micropython":
        program = shutil.which(reader)
        if program is None:
            pytest.skip("micropython is not installed here")
        return [program, "-X", "heapsize=64M", str(foreign / "micropython_reader.py")]
    tried = subprocess.run([sys.executable, "-c", f"import {MODULES[reader]}"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"{reader} is not installed here, or does not start with this Python")
    return [sys.executable, str(foreign / f"{reader.split('.')[0].split('-')[0]}_reader.py")]


def differences(found: Tree, expected: Tree) -> list[str]:
    """One word per path that is not the same: kept short, a tree is megabytes."""
    paths = sorted(found.keys() | expected.keys())
    return [path for path in paths if found.get(path, b"absent") != expected.get(path, b"absent")]


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_reader_finds_every_byte_after_thousands_of_operations(plain: Card, read_by: Read, reader: str) -> None:
    assert len(plain.tree) > 100
    assert differences(read_by(reader, plain.image), plain.tree) == []


@pytest.mark.parametrize("reader", READERS_OF_FAR)
def test_reader_finds_names_from_everywhere(far: Card, read_by: Read, reader: str) -> None:
    assert differences(read_by(reader, far.image), far.tree) == []


@pytest.mark.parametrize("reader", READERS)
def test_reader_sees_when_a_byte_is_wrong(tmp_path: Path, read_by: Read, reader: str) -> None:
    image, tree = make_card(tmp_path, 12, PLAIN, 60)
    path, data = next((path, data) for path, data in tree.items() if data)
    device = ImageDevice(image)
    volume = Fat().mount(device)
    volume.overwrite(path, data[:-1] + bytes((data[-1] ^ 1,)))
    volume.umount()
    device.close()
    assert differences(read_by(reader, image), tree) == [path]
