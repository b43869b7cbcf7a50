"""Thousands of random operations against a dictionary that does the same."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from cfcard import RamDevice, VolumeFull
from cfcard.fat import Fat, Volume

NAMES = [
    "A", "B.TXT", "README.TXT", "readme", "cakey.pem", "a name with blanks.text", "Zertifikat für Größe.pem",
    "日本語の名前.txt", "x" * 200, ".hidden", "two.dots.in.it", "certificate-1.pem", "certificate-2.pem",
    "UPPERLONGNAME.EXTENSION", "emoji 😀.bin", "lower.txt", "Mixed.Txt",
]  # fmt: skip


class Model:
    """A volume and a dictionary side by side."""

    def __init__(self, device: RamDevice, seed: int) -> None:
        self.device = device
        self.random = random.Random(seed)
        # Little memory, so that pages and directories come and go.
        self.fs = Fat(pages=2, directories=2)
        self.volume: Volume = self.fs.mount(device)
        self.directories = ["/"]
        self.files: dict[str, bytes] = {}

    def path(self) -> str:
        name = self.random.choice(NAMES)
        if self.random.random() < 0.3:
            name = f"{self.random.randrange(40)} {name}"
        return self.random.choice(self.directories).rstrip("/") + "/" + name

    def data(self) -> bytes:
        size = self.random.choice((0, 1, 24, 511, 512, 513, 1704, 4096, 5000, 20_000, 70_001))
        return self.random.randbytes(size)

    def known(self, path: str) -> str | None:
        """The file of that name, whatever its case."""
        return next((known for known in self.files if known.upper() == path.upper()), None)

    def step(self) -> None:
        acts = (self.replace, self.replace, self.write, self.append, self.patch, self.remove, self.rename, self.mkdir)
        self.random.choice((*acts, self.overwrite, self.remount))()

    def replace(self) -> None:
        path, data = self.path(), self.data()
        self.volume.replace(path, data)
        self.files[self.known(path) or path] = data

    def write(self) -> None:
        path, data = self.path(), self.data()
        with self.volume.open(path, "wb") as file:
            step = self.random.choice((1, 100, 512, 4096, 100_000))
            for start in range(0, min(len(data), 300 * step), step):
                file.write(data[start : start + step])
        self.files[self.known(path) or path] = data[: 300 * step]

    def append(self) -> None:
        path, data = self.path(), self.data()
        with self.volume.open(path, "ab") as file:
            file.write(data)
        path = self.known(path) or path
        self.files[path] = self.files.get(path, b"") + data

    def patch(self) -> None:
        if not self.files:
            return
        path = self.random.choice(list(self.files))
        content, data = bytearray(self.files[path]), self.data()
        at = self.random.randrange(len(content) + 3000)
        with self.volume.open(path, "r+b") as file:
            file.seek(at)
            file.write(data)
            file.seek(max(0, at - 700))
            got = file.read(1000)
        if data:
            content.extend(bytes(max(0, at - len(content))))
            content[at : at + len(data)] = data
        self.files[path] = bytes(content)
        assert got == self.files[path][max(0, at - 700) :][:1000]

    def overwrite(self) -> None:
        if self.files:
            path = self.random.choice(list(self.files))
            self.files[path] = self.random.randbytes(len(self.files[path]))
            self.volume.overwrite(path, self.files[path])

    def remove(self) -> None:
        if self.files:
            path = self.random.choice(list(self.files))
            self.volume.remove(path.swapcase() if path.isascii() else path)
            del self.files[path]

    def rename(self) -> None:
        if not self.files:
            return
        old, new = self.random.choice(list(self.files)), self.path()
        target = self.known(new)
        self.volume.rename(old, new)
        content = self.files.pop(old)
        if target is None or target == old:
            self.files[new] = content
        else:
            self.files[target] = content

    def mkdir(self) -> None:
        if len(self.directories) < 12:
            path = self.random.choice(self.directories).rstrip("/") + f"/directory {len(self.directories)}"
            self.volume.mkdir(path)
            self.directories.append(path)

    def remount(self) -> None:
        self.volume.umount()
        self.volume = self.fs.mount(self.device)

    def verify(self) -> None:
        volume = Fat().mount(self.device)
        found: dict[str, bytes] = {}
        for directory in self.directories:
            for name, kind, _, size in volume.ilistdir(directory):
                path = directory.rstrip("/") + "/" + name
                if kind == 0x8000:
                    found[path] = volume.read_file(path)
                    assert len(found[path]) == size
        assert found == self.files
        assert self.fs.check(self.device).problems == ()
        assert volume.statvfs()[3] == self.fs.check(self.device).free_clusters


@pytest.mark.parametrize("seed", range(4))
def test_volume_and_dictionary_agree(make_ram: Callable[[int], RamDevice], fat: int, seed: int) -> None:
    model = Model(make_ram(fat), seed)
    for step in range(500):
        try:
            model.step()
        except VolumeFull:
            model.remount()
            for path in list(model.files)[::2]:
                model.volume.remove(path)
                del model.files[path]
        if step % 100 == 99:
            model.verify()
