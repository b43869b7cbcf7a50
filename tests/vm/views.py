"""Cards for the reader, and the eyes that look at them: our volume, Linux's, and the ``gatebench`` command."""

from __future__ import annotations

import errno
import hashlib
import io
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from gadget import look, wait_for

from cfcard import ImageDevice
from cfcard.fat import Fat
from cfcard.layout import lay_out
from cfcard.reader import ReaderDevice
from hil.cli import main

__all__ = [
    "CARD_BYTES",
    "POINT",
    "WORK",
    "card",
    "gatebench",
    "linux",
    "mounted",
    "name_on",
    "ours",
    "outcome",
    "sha256",
]

WORK = Path("/mnt")
POINT = WORK / "point"
CARD_BYTES = 16 << 20


def card(name: str, *, size_bytes: int = CARD_BYTES, layout: Any = "superfloppy") -> Path:
    """A card with a volume, and its name in /CA/name."""
    path = WORK / f"{name}.img"
    path.unlink(missing_ok=True)
    device = ImageDevice.create(path, size_bytes)
    lay_out(device, serial=len(name), layout=layout)
    volume = Fat().mount(device)
    volume.replace("/CA/name", name.encode())
    volume.umount()
    device.close()
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def outcome(act: Callable[[], Any]) -> str:
    """``done``, with the answer when that is yes or no; or the error: its class, errno and text."""
    try:
        answer = act()
    except OSError as error:
        return f"{type(error).__name__} {errno.errorcode.get(error.errno or 0)}: {error.strerror or error}"
    return f"done: {answer}" if isinstance(answer, bool) else "done"


def name_on(path: str) -> str:
    """What a card says in /CA/name, by our volume on our reader."""
    device = ReaderDevice(path, writable=False)
    try:
        return Fat().mount(device).read_file("/CA/name").decode()
    finally:
        device.close()


def ours(path: str) -> dict[str, str]:
    """SHA-256 of each file of the card in the reader, by our volume."""
    device = ReaderDevice(path, writable=False)
    try:
        volume = Fat().mount(device)
        found, folders = {}, ["/"]
        for folder in folders:
            for name, kind, *_ in volume.ilistdir(folder):
                whole = f"{folder.rstrip('/')}/{name}"
                if kind == 0x4000:
                    folders.append(whole)
                else:
                    found[whole] = hashlib.sha256(volume.read_file(whole)).hexdigest()
        return found
    finally:
        device.close()


@contextmanager
def mounted(device: str, options: str = "ro") -> Iterator[Path]:
    """Linux's own vfat on it."""
    POINT.mkdir(exist_ok=True)
    look(device.rstrip("1"))  # by which partitions appear; on other systems udev does that
    wait_for(lambda: Path(device).exists())
    subprocess.run(["mount", "-t", "vfat", "-o", f"utf8,{options}", device, POINT], check=True)
    try:
        yield POINT
    finally:
        subprocess.run(["umount", POINT], check=True)


def linux(device: str) -> dict[str, str]:
    """SHA-256 of each file, by Linux."""
    with mounted(device) as point:
        return {f"/{file.relative_to(point)}": sha256(file) for file in point.rglob("*") if file.is_file()}


def gatebench(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()
