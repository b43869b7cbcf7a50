"""What a new card holds: a volume, the directories of the certification authority, and a note for whoever finds it.

::

    /CA          cacert.pem, cakey.pem, serial.txt, once a root CA was made
    /CABAK       second copies of them, which recovery reads when a card was pulled in the wrong moment
    /BACKUP      device certificates with their keys, one file each, where that was asked for
    README.TXT   says so
"""

from __future__ import annotations

from typing import Literal

from cfcard.blockdev import BlockDevice
from cfcard.fat.filesystem import Fat
from cfcard.fat.mkfs import write_mbr
from cfcard.fat.stamp import Clock

__all__ = ["DIRECTORIES", "LAYOUTS", "README", "Layout", "lay_out"]

Layout = Literal["superfloppy", "mbr"]
LAYOUTS: tuple[Layout, ...] = ("superfloppy", "mbr")

DIRECTORIES = ("/CA", "/CABAK", "/BACKUP")

README = b"""\
This card belongs to the certification authority of a gateway. Keep it in a safe place.

/CA/cacert.pem   certificate of the root CA
/CA/cakey.pem    PRIVATE KEY of the root CA: whoever has it can make certificates
/CA/serial.txt   serial number of the next certificate, hexadecimal

/CABAK           second copies of these files, kept by the gateway; leave them alone
/BACKUP/*.pem    certificates of devices with their PRIVATE KEYS, kept on request

The gateway makes the files; openssl ca on a PC can use those in /CA as they are.
""".replace(b"\n", b"\r\n")


def lay_out(
    device: BlockDevice,
    *,
    fat: int | None = None,
    layout: Layout = "superfloppy",
    serial: int = 0,
    label: str = "",
    now: Clock | None = None,
) -> None:
    """Formats ``device`` and puts there what a new card holds.

    Args:
        device: everything on it is lost.
        fat: 12, 16, 32, or None for what fits the size.
        layout: the whole card as one volume, or a partition table with one partition.
        serial: volume serial number; the caller draws it.
        label: volume label.
        now: local time for file times.

    Raises:
        CardError: EINVAL when that FAT or layout is not possible at this size.
    """
    if layout == "mbr":
        write_mbr(device, serial=serial)
    fs = Fat(now=now)
    fs.mkfs(device, fat=fat, serial=serial, label=label)
    volume = fs.mount(device)
    for directory in DIRECTORIES:
        volume.mkdir(directory)
    volume.replace("/README.TXT", README)
    volume.umount()
