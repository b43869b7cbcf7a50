"""The card reader on block devices that the kernel really has: loop devices, as root.

They stand for a reader in all but two things: they are not removable, which a policy of the test's own lets through,
and nothing ejects them; a backing file that is cut short stands for a card that is pulled. Sectors that fail come from
nbdkit, where it is installed.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import hil.cards
import hil.readers
from cfcard import CardError, CardProtected, CompactFlash, ImageDevice, NoCard, SectorError
from cfcard.fat import Fat
from cfcard.layout import lay_out
from cfcard.reader import Policy, ReaderDevice
from hil import Bench
from hil.cli import main
from hil.readers import ReaderWatch, readers

CARD_BYTES = 16 << 20

Attach = Callable[..., str]
Opened = Callable[..., ReaderDevice]


def program(name: str) -> str:
    """The path of a program that only some hosts have; the test is skipped on the others."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    return path or pytest.skip(f"{name} is not installed here")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A card as an image, with what a new card holds."""
    path = tmp_path / "card.img"
    device = ImageDevice.create(path, CARD_BYTES)
    lay_out(device, serial=0x1234_5678)
    device.close()
    return path


@pytest.fixture
def attach() -> Iterator[Attach]:
    """Makes a loop device of a file, skipped where this host gives none; all are detached in the end."""
    attached: list[str] = []

    def call(path: Path, *options: str) -> str:
        command = [program("losetup"), "--find", "--show", *options, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no loop devices here: {done.stderr.strip()}")
        attached.append(done.stdout.strip())
        return attached[-1]

    yield call
    for device in attached:
        subprocess.run([program("losetup"), "--detach", device], check=False)


@pytest.fixture
def loop(attach: Attach, image: Path) -> str:
    """A loop device with a formatted card in it."""
    return attach(image)


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens a loop device as a reader; all are closed in the end."""
    devices: list[ReaderDevice] = []

    def call(path: str, **options: bool) -> ReaderDevice:
        devices.append(ReaderDevice(path, policy=Policy(also=(Path(path).name,)), **options))
        return devices[-1]

    yield call
    for device in devices:
        device.close()


def sectors_written(loop: str) -> int:
    """How many sectors the kernel wrote to it (Documentation/block/stat.rst)."""
    return int(Path(f"/sys/block/{Path(loop).name}/stat").read_text().split()[6])


def test_what_is_written_arrives_sector_by_sector_and_no_neighbour_is_touched(
    loop: str, opened: Opened, image: Path
) -> None:
    device = opened(loop)
    before = sectors_written(loop)
    for lba in range(8, 8 + 64 * 37, 37):
        device.writeblocks(lba, lba.to_bytes(2, "big") * 256)
    device.sync()
    assert sectors_written(loop) - before == 64
    content = image.read_bytes()
    read = bytearray(512)
    for lba in range(8, 8 + 64 * 37, 37):
        device.readblocks(lba, read)
        assert read == content[lba * 512 : (lba + 1) * 512] == lba.to_bytes(2, "big") * 256


def test_large_transfers_go_round(loop: str, opened: Opened, image: Path) -> None:
    device = opened(loop)
    data = os.urandom((1 << 20) + 512)
    device.writeblocks(1_001, data)
    read = bytearray(len(data))
    device.readblocks(1_001, read)
    assert read == data
    device.close()
    assert image.read_bytes()[1_001 * 512 : 1_001 * 512 + len(data)] == data


def test_a_loop_device_is_no_card_reader_and_the_command_line_has_no_way_round(
    loop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["card", "ls", loop], ["card", "rm", loop, "/README.TXT"], ["run", "--card", loop]):
        assert main(words) == 3
        assert f"{loop}: refused, neither removable nor on USB" in capsys.readouterr().err
    assert main(["card", "ls", "--force", loop]) == 2


def test_the_disk_of_the_root_file_system_is_refused_before_it_is_opened() -> None:
    number = f"{os.major(os.stat('/').st_dev)}:{os.minor(os.stat('/').st_dev)}"
    name = Path(os.path.realpath(f"/sys/dev/block/{number}")).name
    if not Path(f"/dev/{name}").is_block_device():
        pytest.skip("/ is on no block device here")
    with pytest.raises(CardError, match=r"holds the root file system|a partition, the card is") as caught:
        ReaderDevice(f"/dev/{name}", writable=False, policy=Policy(also=(name,)))
    assert caught.value.errno in (errno.EBUSY, errno.EINVAL)


@pytest.mark.parametrize("writable", [True, False])
def test_it_is_ours_alone(loop: str, opened: Opened, writable: bool) -> None:
    first = opened(loop, writable=writable)
    with pytest.raises(CardError, match="in use by another program") as caught:
        opened(loop, writable=False)
    assert caught.value.errno == errno.EBUSY
    code = f"import os; os.open({loop!r}, os.O_RDONLY | os.O_EXCL)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Device or resource busy" in other.stderr
    first.close()
    opened(loop)


def test_a_mounted_one_is_refused_with_the_mount_point(attach: Attach, opened: Opened, tmp_path: Path) -> None:
    backing, point = tmp_path / "ext4.img", tmp_path / "mounted here"
    with backing.open("wb") as file:
        file.truncate(8 << 20)
    point.mkdir()
    loop = attach(backing)
    subprocess.run([program("mkfs.ext4"), "-q", loop], check=True, capture_output=True)
    done = subprocess.run([program("mount"), "-t", "ext4", loop, point], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        for writable in (True, False):
            with pytest.raises(CardError, match=r"refused, mounted at .*/mounted here$"):
                opened(loop, writable=writable)
    finally:
        subprocess.run([program("umount"), point], check=True)
    device = opened(loop)
    again = subprocess.run([program("mount"), "-t", "ext4", loop, point], capture_output=True, text=True, check=False)
    assert again.returncode, "nor can anybody mount what we have"
    device.close()


def test_a_write_protected_one_is_opened_for_reading(attach: Attach, image: Path, opened: Opened) -> None:
    device = opened(attach(image, "--read-only"))
    assert device.write_protected
    assert Fat().mount(device).read_file("/README.TXT")
    with pytest.raises(CardProtected) as caught:
        device.writeblocks(0, bytes(512))
    assert caught.value.errno == errno.EROFS


def test_a_bad_spot_is_a_bad_sector_and_an_end_of_everything_is_a_pulled_card(
    loop: str, image: Path, opened: Opened
) -> None:
    device = opened(loop)
    os.truncate(image, 1 << 20)
    with pytest.raises(SectorError, match=r"sector 4096 cannot be read$"):
        device.readblocks(4_096, bytearray(512))
    assert device.present()
    os.truncate(image, 0)
    with pytest.raises(NoCard, match="card is gone, pulled or changed"):
        device.readblocks(4_096, bytearray(512))
    os.truncate(image, CARD_BYTES)
    with pytest.raises(NoCard):
        device.readblocks(0, bytearray(512))
    opened(loop).readblocks(0, bytearray(512))


def test_an_empty_one_holds_no_card(attach: Attach, tmp_path: Path, opened: Opened) -> None:
    (tmp_path / "nothing.img").touch()
    loop = attach(tmp_path / "nothing.img")
    for writable in (True, False):
        with pytest.raises(NoCard, match="no card in the reader") as caught:
            opened(loop, writable=writable)
        assert caught.value.errno == errno.ENOMEDIUM


@pytest.mark.peer("mtools")
def test_mtools_reads_our_volume_from_the_device_and_we_read_its(
    loop: str, opened: Opened, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    mcopy, mdir = require_program("mcopy"), require_program("mdir")
    ours, theirs = os.urandom(70_000), os.urandom(5_000)
    device = opened(loop)
    volume = Fat().mount(device)
    volume.replace("/CA/a long name.pem", ours)
    volume.umount()
    device.close()
    subprocess.run([mcopy, "-n", "-i", loop, "::/CA/a long name.pem", str(tmp_path / "out")], check=True)
    assert (tmp_path / "out").read_bytes() == ours
    (tmp_path / "in").write_bytes(theirs)
    subprocess.run([mcopy, "-i", loop, str(tmp_path / "in"), "::/CA/from a PC.pem"], check=True)
    assert "from a PC" in subprocess.run([mdir, "-i", loop, "::/CA"], check=True, capture_output=True, text=True).stdout
    again = opened(loop, writable=False)
    assert Fat().mount(again).read_file("/CA/from a PC.pem") == theirs
    assert Fat().check(again).clean


@pytest.mark.peer("fsck.fat")
def test_a_gateway_makes_its_ca_on_it_and_a_pc_finds_no_fault(
    loop: str, opened: Opened, require_program: Callable[[str], str]
) -> None:
    fsck = require_program("fsck.fat")
    device = opened(loop)
    with Bench(seed=5) as bench:
        gateway = bench.gateway()
        said: list[str] = []
        ReaderWatch(bench.clock, gateway, lambda: gateway.remove_card().close(), said.append)
        gateway.insert_card(CompactFlash(device, model=device.disk.title))
        gateway.power_on()
        gateway.console.login()
        gateway.console.run("x509 rootca-create /key 1024-bit /years 10 /dn-cn Loop%20CA", timeout_ms=600_000)
        assert said == []
    checked = subprocess.run([fsck, "-n", loop], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    again = opened(loop, writable=False)
    names = [entry[0] for entry in Fat().mount(again).ilistdir("/CA")]
    assert {"cacert.pem", "cakey.pem", "serial.txt"} <= set(names)


def test_a_card_that_leaves_its_reader_leaves_the_slot_and_the_gateway_goes_on(
    loop: str, image: Path, opened: Opened
) -> None:
    device = opened(loop)
    with Bench(seed=5) as bench:
        gateway = bench.gateway()
        said: list[str] = []
        ReaderWatch(bench.clock, gateway, lambda: gateway.remove_card().close(), said.append)
        gateway.insert_card(CompactFlash(device))
        gateway.power_on()
        gateway.console.login()
        gateway.console.run("card ls")
        os.truncate(image, 0)
        bench.run_for(ms=2_000)
        assert gateway.card is None
        assert said == [f"card {loop}: has left its reader; card in/out takes the one that is there then"]
        os.truncate(image, CARD_BYTES)
        lay_out(opened(loop), serial=2)
        bench.run_for(ms=5_000)
        assert gateway.card is None, "nobody asked for the next card"
        assert gateway.console.run("info")


# -- by the command line, with a policy that lets this one loop device through


@pytest.fixture
def let_through(loop: str, monkeypatch: pytest.MonkeyPatch) -> Policy:
    """The command line takes the loop device for a reader."""
    policy = Policy(also=(Path(loop).name,))
    monkeypatch.setattr(hil.readers, "backend_of", partial(hil.readers.backend_of, policy=policy))
    monkeypatch.setattr(hil.cards, "reader_card", partial(hil.readers.reader_card, policy=policy))
    return policy


@pytest.mark.usefixtures("let_through")
def test_files_go_onto_the_card_and_back_by_the_command_line(
    loop: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    shown = f"gatebench: {loop}: unnamed, 16 MiB\n".encode()
    content = os.urandom(30_000)
    (tmp_path / "in.bin").write_bytes(content)
    assert main(["card", "put", loop, str(tmp_path / "in.bin"), "/CA/"]) == 0
    assert capsysbinary.readouterr() == (b"", shown)
    assert main(["card", "get", loop, "/CA/in.bin", "-"]) == 0
    assert capsysbinary.readouterr() == (content, shown)
    assert main(["card", "check", loop]) == 0
    assert main(["card", "rm", loop, "/CA/in.bin"]) == 0
    assert main(["card", "info", loop]) == 0
    out = capsysbinary.readouterr().out
    assert b"clean, 2 files" in out
    assert b"16777216 bytes" in out


@pytest.mark.usefixtures("let_through")
def test_a_run_takes_the_card_says_which_and_gives_it_back(
    loop: str, opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = [word for name in ("--https", "--http", "--sips") for word in (name, "0")]
    assert main(["run", "--card", loop, "--console", "none", "--speed", "100", "--for", "2", *ports]) == 0
    assert f"gatebench: card {loop}: unnamed, 16 MiB\n" in capsys.readouterr().err
    held = opened(loop)
    assert main(["run", "--card", loop, "--console", "none", "--for", "1", *ports]) == 3
    assert capsys.readouterr().err == f"gatebench: card {loop}: in use by another program\n"
    held.close()


def test_the_list_tells_of_it(loop: str, let_through: Policy) -> None:
    ((disk, refused),) = (row for row in readers(policy=let_through) if row[0].device == loop)
    assert (disk.size_bytes, disk.sector_bytes, refused) == (CARD_BYTES, 512, None)


# -- sectors that fail

BAD_LBA = 8_192
"""The filter's map has one bad page there: through a file system in user space, nothing smaller fails."""

Serve = Callable[..., str]


@pytest.fixture
def serve(attach: Attach, tmp_path: Path) -> Iterator[Serve]:
    """A loop device whose sectors come from nbdkit with the given arguments, over the network block protocol."""
    nbdkit, nbdfuse, umount = (program(name) for name in ("nbdkit", "nbdfuse", "umount"))
    socket, point = tmp_path / "s", tmp_path / "nbd"
    point.mkdir()
    running: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], ready: Path) -> None:
        running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 5
        while not ready.exists():
            if running[-1].poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"{command[0]} does not run here")
            time.sleep(0.005)

    def call(*arguments: str) -> str:
        # The PID file appears when the socket accepts (nbdkit(1), -P).
        start([nbdkit, "-f", "-U", str(socket), "-P", str(tmp_path / "pid"), *arguments], tmp_path / "pid")
        start([nbdfuse, str(point), "--unix", str(socket)], point / "nbd")
        return attach(point / "nbd")

    yield call
    # The loop device keeps the file until it is detached, a moment later; so the mount point is let go lazily.
    subprocess.run([umount, "--lazy", point], check=False, capture_output=True)
    for process in reversed(running):
        process.terminate()
        process.wait(5)


def test_a_write_that_fails_is_told_at_once_and_the_card_stays(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    trigger = tmp_path / "fail"
    errors = ("error-pwrite=EIO", "error-pwrite-rate=100%", f"error-pwrite-file={trigger}")
    device = opened(serve("--filter=error", "memory", "16M", *errors))
    lay_out(device, serial=1)
    trigger.touch()
    with pytest.raises(SectorError, match=r"sector 30000 cannot be written$"):
        device.writeblocks(30_000, bytes(512))
    assert device.present()
    volume = Fat().mount(device)
    with pytest.raises(SectorError):
        volume.replace("/CA/cakey.pem", b"k" * 1_000)
    trigger.unlink()
    volume = Fat().mount(device)
    volume.replace("/CA/cakey.pem", b"k" * 1_000)
    assert volume.read_file("/CA/cakey.pem") == b"k" * 1_000
    volume.umount()


def test_one_bad_spot_does_not_take_the_rest_of_the_card_with_it(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """A rescue map (GNU ddrescue) says which bytes could be read; the filter answers EIO for the others."""
    start, size = BAD_LBA * 512, 4_096
    rest = CARD_BYTES - start - size
    rows = [f"0x0 0x{start:x} +", f"0x{start:x} 0x{size:x} -", f"0x{start + size:x} 0x{rest:x} +"]
    (tmp_path / "map").write_text("\n".join(["0x0 + 1", *rows]) + "\n")
    loop = serve("--filter=ddrescue", "memory", "16M", f"ddrescue-mapfile={tmp_path / 'map'}")
    device = opened(loop, writable=False)
    with pytest.raises(SectorError, match=rf"sector {BAD_LBA} cannot be read$"):
        device.readblocks(BAD_LBA, bytearray(512))
    device.readblocks(BAD_LBA - 1, bytearray(512))
    device.readblocks(BAD_LBA + 8, bytearray(512))
    assert device.present()


def test_a_card_that_answers_nothing_any_more_is_gone(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    trigger = tmp_path / "fail"
    device = opened(serve("--filter=error", "memory", "16M", "error=EIO", "error-rate=100%", f"error-file={trigger}"))
    device.writeblocks(9, b"9" * 512)
    trigger.touch()
    with pytest.raises(NoCard, match="card is gone"):
        device.writeblocks(9, bytes(512))
    trigger.unlink()
    with pytest.raises(NoCard):
        device.readblocks(9, bytearray(512))
