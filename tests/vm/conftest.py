"""A Linux guest with a USB card reader of its own, on any PC and without a card reader.

::

    this host                                    guest, a Debian kernel in QEMU, every instruction emulated (no KVM)
    kernel and busybox by apt-get download  -->  boots from memory, loads the modules below
    / over 9p, read-only                    -->  the same Python, the same packages: card_reader.py runs there
    what it told, told.json                 <--  a USB gadget is the reader, over a port that loops back into the guest

The gadget (``usb_f_mass_storage``, kernel documentation, mass-storage.rst) is a SCSI disk behind USB as far as all the
kernel's drivers are concerned: slot, ejection, write protection and unplugging take the way that they take with a real
one. Booted once per session, and only for ``pytest -m vm``. Everything lies in a temporary folder that goes afterwards.

Not modelled: flash that forgets, a reader that hangs, USB errors.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import platform
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cfcard import RamDevice
from cfcard.fat import Fat, Volume
from cfcard.layout import lay_out

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]

LIMIT_S = 480
"""For all that happens in the guest, of which two busy cores take a quarter."""

MODULES = (
    "virtio_pci", "9pnet_virtio", "9p", "dummy_hcd", "libcomposite", "usb_f_mass_storage", "usb-storage", "sd_mod",
    "vfat", "nls_cp437", "nls_ascii", "nls_utf8",
)  # fmt: skip
"""What the guest's kernel needs beyond itself; what these depend on comes along."""

OPERATIONS = 3_000
VOLUMES = {12: 8 << 20, 16: 32 << 20, 32: 66 << 20}
"""Bytes of the card for each kind of FAT that Linux is to read."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves these tests out unless the expression of ``-m`` names them."""
    if "vm" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("vm")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def told() -> Iterator[dict[str, Any]]:
    """What the guest told: for each scene its facts, or how it failed."""
    missing = _missing()
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with tempfile.TemporaryDirectory(prefix="gatebench-vm-") as folder:
        yield _told(Path(folder))


@pytest.fixture
def played(told: dict[str, Any]) -> Callable[[str], dict[str, Any]]:
    """Gives the facts of a scene."""

    def facts(name: str) -> dict[str, Any]:
        if name not in told:
            pytest.fail(f"the guest did not get as far as {name}:\n{told['console'][-3_000:]}")
        if "traceback" in told[name]:
            pytest.fail(f"{name} failed in the guest:\n{told[name]['traceback']}")
        return dict(told[name])

    return facts


def _missing() -> str | None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "the guest runs this host's Python, and its kernel is that of a Linux PC (x86-64)"
    for name in ("qemu-system-x86_64", "apt-get", "dpkg-deb"):
        if shutil.which(name) is None:
            return f"{name} is not installed here, `make vm` installs qemu-system-x86 on Debian"
    return None


def _told(folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    root = _downloaded(folder / "debian")
    shared = folder / "shared"
    shared.mkdir()
    trees = {str(fat): _volume(shared / f"fat{fat}.img", fat) for fat in VOLUMES}
    (folder / "initrd").write_bytes(_archive(_initramfs(root, shared)))
    prepared = time.monotonic()
    _boot(next(root.glob("boot/vmlinuz-*")), folder)
    try:
        told: dict[str, Any] = json.loads((shared / "told.json").read_text())
    except FileNotFoundError:
        told = {}
    told["trees"] = trees
    told["console"] = (folder / "console").read_text(errors="replace")
    told["seconds"] = {"preparing": prepared - began, "guest": time.monotonic() - prepared}
    return told


# -- what it boots from


def _downloaded(folder: Path) -> Path:
    """Debian's kernel with its modules, and a busybox, unpacked into ``folder``."""
    folder.mkdir()
    depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True, check=False)
    kernel = re.search(r"Depends: (linux-image-\S+)", depends.stdout)
    if kernel is None:
        pytest.skip("apt knows no Debian kernel here, linux-image-amd64")
    command = ["apt-get", "-qq", "download", kernel[1], "busybox-static"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"Debian's kernel cannot be downloaded here: {done.stderr.strip()}")
    for package in folder.glob("*.deb"):
        _unpack(package, folder)
        package.unlink()
    return folder


def _unpack(package: Path, folder: Path) -> None:
    """All but the drivers that fill most of a kernel's package and that no guest of ours has a device for."""
    left_out = [f"--exclude=*/kernel/{name}" for name in ("sound", "drivers/gpu", "drivers/media", "drivers/net")]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as tree:
        subprocess.run(["tar", "-x", "-C", folder, *left_out], stdin=tree.stdout, check=True)


def _initramfs(root: Path, shared: Path) -> Iterator[tuple[str, int, bytes]]:
    """(name, mode, content) of what the kernel finds at first: busybox, modules, and the script that it starts."""
    busybox = next(path for path in (root / "bin/busybox", root / "usr/bin/busybox") if path.exists())
    for name in ("bin", "dev", "proc", "sys", "host", "modules"):
        yield name, 0o040755, b""
    yield "bin/busybox", 0o100755, busybox.read_bytes()
    names = []
    for name, content in _modules(root):
        yield f"modules/{name}", 0o100644, content
        names.append(name)
    yield "init", 0o100755, _script(names).encode()


def _script(modules: list[str]) -> str:
    """The first process: modules, then a root that is the host's, with a writable /mnt, then the scenes."""
    scenes = shlex.join([sys.executable, str(HERE / "card_reader.py"), "/mnt/shared"])
    environment = f"HOME=/mnt TMPDIR=/mnt PATH={shlex.quote(os.environ['PATH'])}:/usr/sbin:/usr/bin:/sbin:/bin"
    environment += f" PYTHONPATH={shlex.quote(str(PROJECT))} PYTHONDONTWRITEBYTECODE=1"
    mount9p = "mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000"
    return "\n".join(
        [
            "#!/bin/busybox sh",
            "/bin/busybox --install -s /bin; export PATH=/bin",
            "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev",
            *(f"insmod /modules/{name}" for name in modules),
            f"{mount9p},ro,cache=loose host /host",
            "for name in proc sys dev; do mount --bind /$name /host/$name; done",
            "mount -t tmpfs -o size=768m tmpfs /host/mnt; mkdir /host/mnt/shared",
            "mount -t configfs configfs /host/sys/kernel/config",
            f"{mount9p} shared /host/mnt/shared",
            f"{environment} chroot /host {scenes}",
            "umount /host/mnt/shared; poweroff -f",
            "",
        ]
    )


def _modules(root: Path) -> Iterator[tuple[str, bytes]]:
    """Modules in the order in which they can be loaded. What each needs, it says itself (``modinfo -F depends``)."""
    files = {path.name.split(".")[0].replace("-", "_"): path for path in root.rglob("*.ko*")}
    done: set[str] = set()

    def load(name: str) -> Iterator[tuple[str, bytes]]:
        if name in done or name not in files:  # not there: it is built in
            return
        done.add(name)
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":
            content = lzma.decompress(content)
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        for needed in depends[1].decode().split(",") if depends else []:
            yield from load(needed.replace("-", "_"))
        yield f"{name}.ko", content

    for name in MODULES:
        yield from load(name.replace("-", "_"))


def _archive(files: Iterable[tuple[str, int, bytes]]) -> bytes:
    """A cpio archive as the kernel takes it (kernel documentation, buffer-format.rst, "newc")."""
    out = bytearray()
    for number, (name, mode, content) in enumerate([*files, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        out += bytes(-len(out) % 4) + content
        out += bytes(-len(out) % 4)
    return bytes(out)


def _boot(kernel: Path, folder: Path) -> None:
    """Runs the guest until it switches itself off."""

    def share(path: Path, tag: str, *options: str) -> list[str]:
        text = f"local,path={path},mount_tag={tag},security_model=none"
        return ["-virtfs", ",".join([text, "multidevs=remap", *options])]

    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536"]
    command += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{folder / 'console'}"]
    command += ["-kernel", str(kernel), "-initrd", str(folder / "initrd")]
    command += ["-append", "console=ttyS0 panic=-1 quiet mitigations=off"]
    command += [*share(Path("/"), "host", "readonly=on"), *share(folder / "shared", "shared")]
    try:
        subprocess.run(command, check=True, timeout=LIMIT_S, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        pass  # what it told until then is there, and each test says what is missing
    except subprocess.CalledProcessError as error:
        pytest.fail(f"QEMU does not run: {error.stderr.strip()}")


# -- cards that our volume wrote


def _volume(path: Path, fat: int) -> dict[str, str]:
    """Makes a card on which thousands of random operations were done; its files, with the SHA-256 of each."""
    device = RamDevice(VOLUMES[fat])
    lay_out(device, fat=fat, layout="mbr" if fat == 16 else "superfloppy", serial=fat)
    volume = Fat().mount(device)
    files = _operate(volume, random.Random(fat))
    volume.umount()
    content = bytearray(VOLUMES[fat])
    device.readblocks(0, content)
    path.write_bytes(content)
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def _operate(volume: Volume, draw: random.Random) -> dict[str, bytes]:
    """Files come, grow, are replaced, renamed and removed; what must be there in the end."""
    folders = ["/CA", "/work", "/work/deeper", "/work/deeper/ein Ordner für Größe"]
    for folder in folders[1:]:
        volume.mkdir(folder)
    names = ["a.txt", "LOUD.PEM", "a name with blanks.text", "Müller & Söhne.pem", "日本語.txt", "n" * 120 + ".bin"]
    files: dict[str, bytes] = {}
    for _ in range(OPERATIONS):
        path = f"{draw.choice(folders)}/{draw.randrange(12)} {draw.choice(names)}"
        data = draw.randbytes(draw.choice((0, 1, 511, 512, 1_704, 5_000, 20_001)))
        what = draw.choice(("replace", "append", "remove", "rename"))
        if what == "replace":
            volume.replace(path, data)
            files[path] = data
        elif what == "append":
            with volume.open(path, "ab") as file:
                file.write(data[:2_000])
            files[path] = files.get(path, b"") + data[:2_000]
        elif files:
            old = draw.choice(sorted(files))
            content = files.pop(old)
            if what == "remove":
                volume.remove(old)
            else:
                volume.rename(old, path)
                files[path] = content
    return {**files, "/README.TXT": volume.read_file("/README.TXT")}
