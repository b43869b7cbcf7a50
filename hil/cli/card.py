"""``gatebench card``: cards on the host, in image files and in readers, looked into and checked without any other tool.

Exit codes: 0 done, 1 the card or the check failed, 2 usage, 3 the host refused (no such file, no permission, in use, a
device that is no card reader).
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cfcard import ImageDevice
    from cfcard.discovery import Disk
    from cfcard.fat import Fat, Volume
    from cfcard.reader import ReaderDevice

__all__ = ["add_parser"]

OK, FAILED, USAGE, REFUSED = 0, 1, 2, 3

DIRECTORY = 0x4000
"""``stat`` of a directory begins with this."""

EXAMPLES = """\
examples:
  gatebench card new card.img                      64 MiB, FAT16, with /CA and /CABAK
  gatebench card put card.img cacert.pem /CA/      copy a file onto it
  gatebench card ls card.img /CA
  gatebench card check card.img                    exit code 1 when anything is wrong
  gatebench card readers                           which card readers are here, and what is in them
  gatebench card ls /dev/sdb /CA                   a card in a reader, in place of an image
"""

Command = Callable[[argparse.Namespace], int]


class Refused(Exception):
    """The host does not let us; the text is for the user."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers ``card`` with its commands; each sets ``run`` to a function of the parsed arguments."""
    parser = subparsers.add_parser(
        "card",
        help="make, read, write and check CF cards: images, and cards in readers",
        description="Make, read, write and check CF cards: images, and cards in readers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="card_command", metavar="COMMAND", required=True)

    new = _command(commands, "new", _new, "make a card image; an existing file is left alone")
    new.add_argument("--size", type=_size, default=64 << 20, metavar="N[K|M|G]", help="size of the card (default: 64M)")
    new.add_argument("--fat", type=int, choices=(12, 16, 32), help="which FAT (default: what fits the size)")
    new.add_argument("--layout", choices=("mbr", "superfloppy"), default="superfloppy", help="default: superfloppy")

    listing = _command(commands, "ls", _ls, "list a directory")
    listing.add_argument("path", nargs="?", default="/", metavar="PATH", help="on the card (default: /)")

    get = _command(commands, "get", _get, "copy a file from the card")
    get.add_argument("path", metavar="PATH", help="on the card")
    get.add_argument("out", nargs="?", metavar="OUT", help="file or directory here, - for standard output")

    put = _command(commands, "put", _put, "copy a file onto the card, in place of an existing one")
    put.add_argument("local", metavar="LOCAL", help="file here, - for standard input")
    put.add_argument("path", metavar="PATH", help="on the card; a directory, or ending in /, keeps the name")

    remove = _command(commands, "rm", _rm, "remove a file or an empty directory")
    remove.add_argument("path", metavar="PATH", help="on the card")

    _command(commands, "check", _check, "look for damage, change nothing")
    _command(commands, "info", _info, "show what kind of card and volume it is")

    text = "list the card readers of this host; needs no permission"
    listing = commands.add_parser("readers", help=text, description=text[0].upper() + text[1:] + ".")
    listing.add_argument("--json", action="store_true", help="one line of JSON")
    listing.set_defaults(run=_readers)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Command, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("file", metavar="FILE", help="card image, or the device of a reader: /dev/sdX")
    parser.set_defaults(run=lambda args: _report(run, args))
    return parser


def _size(text: str) -> int:
    from hil.cards import size_from_text
    from hil.errors import RackMisuse

    try:
        return size_from_text(text)
    except RackMisuse as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# Commands


def _new(args: argparse.Namespace) -> int:
    from cfcard import ImageDevice
    from cfcard.layout import lay_out
    from hil.readers import is_reader

    if is_reader(args.file):
        raise Refused(f"{args.file}: new makes image files, and formats no cards")
    with _host(args.file):
        device = ImageDevice.create(args.file, args.size)
    try:
        lay_out(
            device,
            fat=args.fat,
            layout=args.layout,
            serial=int.from_bytes(os.urandom(4), "little"),
            now=_now,
        )
        device.close()
    except BaseException:
        # Half a card would look like a card; the file was not there before, so it goes.
        device.close()
        os.unlink(args.file)
        raise
    return OK


def _ls(args: argparse.Namespace) -> int:
    with _mounted(args.file) as volume:
        if _is_directory(volume, args.path):
            base = args.path.rstrip("/")
            for name, kind, _, size in volume.ilistdir(args.path):
                _line(_row(name, kind == DIRECTORY, size, _written(volume, f"{base}/{name}")))
        else:
            size, written = volume.stat(args.path)[6], _written(volume, args.path)
            _line(_row(args.path.rsplit("/", 1)[-1], False, size, written))
    return OK


def _get(args: argparse.Namespace) -> int:
    with _mounted(args.file) as volume:
        data = volume.read_file(args.path)
    if args.out == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return OK
    name = args.path.rstrip("/").rsplit("/", 1)[-1]
    target = Path(args.out or name)
    if target.is_dir():
        target = target / name
    with _host(str(target)):
        _write_whole(target, data)
    return OK


def _put(args: argparse.Namespace) -> int:
    with _host(args.local):
        data = sys.stdin.buffer.read() if args.local == "-" else Path(args.local).read_bytes()
    with _mounted(args.file, writable=True) as volume:
        path = args.path
        if path.endswith("/") or _is_directory(volume, path):
            if args.local == "-":
                raise OSError(errno.EISDIR, "standard input needs a file name on the card", path)
            path = f"{path.rstrip('/')}/{Path(args.local).name}"
        volume.replace(path, data)
    return OK


def _rm(args: argparse.Namespace) -> int:
    with _mounted(args.file, writable=True) as volume:
        volume.remove(args.path)
    return OK


def _check(args: argparse.Namespace) -> int:
    with _opened(args.file) as device:
        report = _fat().check(device)
    for problem in report.problems:
        _line(f"{args.file}: {problem}")
    if not report.clean:
        return FAILED
    used = report.clusters - report.free_clusters
    files = f"{report.files} file{'s' * (report.files != 1)}"
    directories = f"{report.directories} director{'y' if report.directories == 1 else 'ies'}"
    counts = f"{files}, {directories}, {used} of {report.clusters} clusters in use"
    _line(f"{args.file}: clean, {counts}")
    return OK


def _info(args: argparse.Namespace) -> int:
    from cfcard import CompactFlash

    with _opened(args.file) as device:
        card = CompactFlash(device)
        geometry = card.geometry
        _line(f"card      {card.sectors * 512} bytes, {card.sectors} sectors")
        _line(f"geometry  {geometry.cylinders} cylinders, {geometry.heads} heads, {geometry.sectors} sectors per track")
        volume = _fat().mount(device)
        first = volume.sectors.first
        cluster, _, clusters, free = volume.statvfs("/")[:4]
        _line(f"layout    {'superfloppy' if first == 0 else f'mbr, partition from sector {first}'}")
        _line(f"volume    FAT{volume.fat}, {volume.bpb.fats} FATs, {clusters} clusters of {cluster} bytes")
        _line(f"free      {free * cluster} bytes")
        _line(f"serial    {volume.serial >> 16:04X}-{volume.serial & 0xFFFF:04X}")
        _line(f"label     {volume.label or 'none'}")
        _line(f"state     {'dirty: was not ejected, run a check' if volume.dirty else 'clean'}")
    return OK


def _readers(args: argparse.Namespace) -> int:
    from hil.readers import look_into, readers

    found = readers(look=look_into)
    if args.json:
        _line(json.dumps([_reader_facts(disk, refused) for disk, refused in found]))
        return OK
    if not found:
        print("gatebench: no card readers", file=sys.stderr)
    for disk, refused in found:
        _line(_reader_row(disk, refused))
    return OK


def _reader_facts(disk: Disk, refused: str | None) -> dict[str, object]:
    return {
        "device": disk.device,
        "vendor": disk.vendor,
        "model": disk.model,
        "size_bytes": disk.size_bytes or None,
        "write_protected": disk.write_protected,
        "removable": disk.removable,
        "usb": disk.usb,
        "mounted": list(disk.mounts),
        "refused": refused,
    }


def _reader_row(disk: Disk, refused: str | None) -> str:
    from hil.readers import size_text

    content = size_text(disk.size_bytes) if disk.size_bytes else "no card"
    kind = [word for word, true in (("removable", disk.removable), ("usb", disk.usb)) if true]
    words = kind + (["write-protected"] if disk.write_protected else [])
    notes = ", ".join(words + ([refused] if refused else []))
    return f"{disk.device:<12} {content:>9}  {disk.title:<24} {notes}".rstrip()


# The card


@contextmanager
def _opened(path: str, *, writable: bool = False) -> Iterator[ImageDevice | ReaderDevice]:
    from hil.readers import backend_of, reader_text

    with _host(path):
        device = backend_of(path, writable=writable)
    try:
        text = reader_text(device)
        if text is not None:
            print(f"gatebench: {text}", file=sys.stderr)
        yield device
    finally:
        device.close()


@contextmanager
def _mounted(path: str, *, writable: bool = False) -> Iterator[Volume]:
    with _opened(path, writable=writable) as device:
        volume = _fat().mount(device)
        yield volume
        volume.umount()


def _fat() -> Fat:
    from cfcard.fat import Fat

    return Fat(now=_now)


def _now() -> tuple[int, int, int, int, int, int]:
    import time

    local = time.localtime()
    return local.tm_year, local.tm_mon, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec


def _is_directory(volume: Volume, path: str) -> bool:
    try:
        return volume.stat(path)[0] == DIRECTORY
    except FileNotFoundError:
        return False


def _written(volume: Volume, path: str) -> str:
    """When a file was written; nothing for a name that no path can have, as damage leaves them."""
    import time

    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(volume.stat(path)[7]))
    except OSError:
        return ""


def _row(name: str, directory: bool, size_bytes: int, written: str) -> str:
    return f"{written:16}  {'-' if directory else size_bytes:>10}  {name}{'/' if directory else ''}"


# The host


def _write_whole(target: Path, data: bytes) -> None:
    """A local file appears whole or not at all."""
    if target.exists() and not target.is_file():
        target.write_bytes(data)  # a pipe or a device
        return
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _line(text: str) -> None:
    """Names from a card may hold what the terminal's encoding has not, or what it obeys."""
    encoding = sys.stdout.encoding or "utf-8"
    print(_printable(text).encode(encoding, "backslashreplace").decode(encoding))


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextmanager
def _host(name: str) -> Iterator[None]:
    """What fails in here is the host's word, not the card's."""
    try:
        yield
    except OSError as error:
        raise Refused(_sentence(error, name)) from error


def _sentence(error: OSError, name: str = "") -> str:
    from hil.errors import reason_from_oserror

    text = reason_from_oserror(error)
    where = name or (error.filename if isinstance(error.filename, str) else "")
    return text if not where or text.startswith(where) else f"{where}: {text}"


def _report(run: Command, args: argparse.Namespace) -> int:
    """Runs a command; an error is one line on standard error and an exit code."""
    from cfcard import CardError

    try:
        return run(args)
    except Refused as error:
        text, code = str(error), REFUSED
    except CardError as error:
        text = _sentence(error, args.file)
        code = USAGE if error.errno == errno.EINVAL else FAILED
    except BrokenPipeError:
        raise  # whoever read our output has gone: that is nobody's fault
    except OSError as error:
        text, code = _sentence(error), FAILED
    print(f"gatebench: {_printable(text)}", file=sys.stderr)
    return code
