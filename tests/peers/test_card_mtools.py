"""mtools and dosfstools as judges: they read what we write, we read what they write, and they find it clean."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cfcard import ImageDevice
from cfcard.fat import Fat, Volume
from cfcard.layout import lay_out

Require = Callable[[str], str]

ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "0", "MTOOLSRC": os.devnull}

NAMES = [
    "A.TXT",
    "cakey.pem",
    "a long name with blanks.text",
    "Größe.pem",
    "日本語の名前.txt",
    "y" * 120,
    "two.dots.pem",
]


def run(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, (words, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    return done.stdout.decode()


def fill(volume: Volume, seed: int, steps: int) -> dict[str, bytes]:
    """Random operations; gives what must be there afterwards."""
    draw = random.Random(seed)
    files: dict[str, bytes] = {}
    directories = ["", "/CA", "/CABAK", "/CA/deep down"]
    for directory in directories[1:]:
        try:
            volume.mkdir(directory)
        except FileExistsError:
            continue
    for _ in range(steps):
        path = f"{draw.choice(directories)}/{draw.randrange(9)} {draw.choice(NAMES)}"
        data = draw.randbytes(draw.choice((0, 5, 512, 1704, 4096, 30_000)))
        act = draw.randrange(5)
        if act == 0 and files:
            path = draw.choice(list(files))
            volume.remove(path)
            del files[path]
        elif act == 1 and files:
            old = draw.choice(list(files))
            volume.rename(old, path)
            files[path] = files.pop(old)
        elif act == 2:
            with volume.open(path, "ab") as file:
                file.write(data)
            files[path] = files.get(path, b"") + data
        else:
            volume.replace(path, data)
            files[path] = data
    return files


def volume_image(image: Path, first: int, tmp_path: Path) -> Path:
    """The partition alone, for programs that know no offset."""
    if not first:
        return image
    alone = tmp_path / "partition.img"
    with image.open("rb") as source, alone.open("wb") as target:
        source.seek(first * 512)
        shutil.copyfileobj(source, target)
    return alone


@pytest.mark.peer("mtools")
@pytest.mark.peer("fsck.fat")
@pytest.mark.parametrize("layout", ["superfloppy", "mbr"])
@pytest.mark.parametrize(("fat", "mib"), [(12, 8), (16, 64), (32, 600)])
def test_mtools_and_fsck_agree_with_what_we_wrote(
    require_program: Require, tmp_path: Path, fat: int, mib: int, layout: str
) -> None:
    mcopy, fsck = require_program("mcopy"), require_program("fsck.fat")
    image = tmp_path / "card.img"
    device = ImageDevice.create(image, mib << 20)
    lay_out(device, fat=fat, layout="mbr" if layout == "mbr" else "superfloppy", serial=0xC0FF_EE00, label="CARD")
    volume = Fat(now=lambda: (2026, 11, 23, 12, 0, 0)).mount(device)
    files = fill(volume, seed=fat, steps=300)
    first = volume.sectors.first
    volume.umount()
    assert Fat().check(device).problems == ()
    device.close()

    out = tmp_path / "out"
    out.mkdir()
    run(mcopy, "-s", "-n", "-i", f"{image}@@{first * 512}", "::/", out)
    (out / "README.TXT").unlink()
    found = {"/" + str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert found == files
    assert "C0FF-EE00" in run(require_program("mdir"), "-i", f"{image}@@{first * 512}", "::/")
    run(fsck, "-n", volume_image(image, first, tmp_path))


@pytest.mark.peer("mkfs.fat")
@pytest.mark.peer("mtools")
@pytest.mark.parametrize(
    ("mib", "options"),
    [
        (1, ["-F", "12"]),
        (8, ["-F", "12", "-s", "16", "-f", "1"]),
        (64, ["-F", "16"]),
        (64, ["-F", "16", "-s", "8", "-r", "64"]),
        (256, ["-F", "16", "-f", "1", "-s", "64"]),
        (64, ["-F", "32", "-s", "1"]),
        (600, []),
        (600, ["-F", "32", "-f", "1", "-s", "16"]),
        (64, ["-F", "16", "--offset", "2048"]),
        (600, ["-F", "32", "--offset", "63"]),
    ],
    ids=lambda value: "-".join(value).replace("--", "") if isinstance(value, list) else f"{value}M",
)
def test_card_formatted_and_filled_by_others_is_read_and_written_by_us(
    require_program: Require, tmp_path: Path, mib: int, options: list[str]
) -> None:
    mkfs, mcopy, fsck = require_program("mkfs.fat"), require_program("mcopy"), require_program("fsck.fat")
    image = tmp_path / "card.img"
    ImageDevice.create(image, mib << 20).close()
    first = int(options[options.index("--offset") + 1]) if "--offset" in options else 0
    if first:
        _partition(image, first, (mib << 11) - first, 0x0C if "32" in options else 0x06)
    size = [str(((mib << 20) - first * 512) // 1024)] if first else []
    run(mkfs, *options, "-n", "OTHERS", image, *size)
    theirs = {
        "hello.txt": b"hello\n",
        "a long name of theirs.bin": random.Random(1).randbytes(70_000),
        "Ünicode.txt": b"u",
    }
    for name, data in theirs.items():
        (tmp_path / name).write_bytes(data)
        run(mcopy, "-i", f"{image}@@{first * 512}", tmp_path / name, "::/")

    device = ImageDevice(image)
    volume = Fat().mount(device)
    assert volume.sectors.first == first
    assert volume.label == "OTHERS"
    for name, data in theirs.items():
        assert volume.read_file("/" + name) == data
    assert Fat().check(device).problems == ()
    files = fill(volume, seed=mib, steps=40 if mib < 8 or "64" in options else 200)
    assert Fat().check(device).problems == ()
    volume.umount()
    device.close()

    out = tmp_path / "out"
    out.mkdir()
    run(mcopy, "-s", "-n", "-i", f"{image}@@{first * 512}", "::/", out)
    found = {"/" + str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert found == files | {"/" + name: data for name, data in theirs.items()}
    run(fsck, "-n", volume_image(image, first, tmp_path))


def _partition(image: Path, first: int, sectors: int, kind: int) -> None:
    """A partition table as a camera leaves it: an empty entry first, no CHS fields, the wrong size."""
    entry = bytes((0, 0, 0, 0, kind, 0, 0, 0)) + first.to_bytes(4, "little") + (sectors + 999).to_bytes(4, "little")
    with image.open("r+b") as file:
        file.seek(446)
        file.write(bytes(16) + entry + bytes(32) + b"\x55\xaa")
