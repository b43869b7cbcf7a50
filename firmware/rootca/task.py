"""Reading and writing the CA's files on the card, in the order that keeps every promise.

What is promised at every instant, whatever is cut or pulled:

* a CA key that was reported as created is readable for ever;
* a serial number that was used is never issued again;
* where a person looks (``/CA``), the three names stand together or not at all.

Hence the order::

    create    directories | copy: serial, certificate, key, PAD | /CA: serial, certificate, key, PAD | reported
    serial    copy, in place | /CA, in place | PAD | number used      (one digit more: PAD after the copy, too)
    backup    the file | PAD | reported
    recovery  FAT, by the file system, at mount | what is missing or damaged, PAD | what is behind, PAD

* A directory's sector holds all its names, a FAT sector all chains: what is being written can be destroyed whole by a
  cut. So there is a copy in another directory, the two are never written side by side, and the root's sector, which
  names both, is not touched any more once there is a key. A number is written in place, so that neither directory nor
  FAT changes.
* A card may forget up to 32 sectors that it has acknowledged. PAD rewrites 32 sectors of ``pad.bin`` in place, after
  each copy of the key, after a number and after a backup: what came before is then out of the card's reach. It takes
  some 4 ms, one command of the card.
* The copy comes first: what ``/CA`` promises is there twice. A number that only the copy has was not used yet.

Every step is one synchronous piece; between steps other tasks run, and the card may go: then the step fails.
"""

from __future__ import annotations

import errno

from firmware.card.errors import CardFailure
from firmware.errors import CertificateError
from firmware.hal import Volume
from firmware.kernel import Kernel
from firmware.kernel.booking import booked
from firmware.rootca.files import (
    BACKUP,
    CERTIFICATE,
    COPY,
    DIRECTORIES,
    KEY,
    LARGEST_FILE_BYTES,
    LEFT_BY_PC,
    NAMES,
    PAD,
    PAD_SECTORS,
    PRIMARY,
    SERIAL,
    CardCa,
    Files,
    ca_from_files,
    is_empty,
    paths,
)
from firmware.x509.certificate import Certificate
from firmware.x509.key import PrivateKey
from firmware.x509.pem import pem_from_der
from firmware.x509.serial_file import serial_file_from_number

SECTOR_BYTES = 512
FIRST_SERIAL = 1


class RootCa:
    """The CA directory of the card that is in. Every call gets the volume that ``CardTask.use`` lent."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def require_empty(self, volume: Volume) -> None:
        """Returns if a new CA may be made on this card. CardFailure when it holds a CA, or what could be one's key."""
        files = await self._read(volume)
        if is_empty(files):
            self._require_room(volume)
            return
        try:
            subject = ca_from_files(files).certificate.subject.text
        except CertificateError as error:
            raise CardFailure(f"the card holds a key in /CA or /CABAK that would be lost: {error}") from None
        raise CardFailure(f"the card holds a root CA already: {subject}")

    async def load(self, volume: Volume) -> CardCa:
        """The CA on the card; repairs what a cut or a PC left of it. CardFailure when there is none, or a bad one."""
        files = await self._read(volume)
        if is_empty(files):
            raise CardFailure("no root CA on the card: x509 rootca-create makes one")
        try:
            ca = ca_from_files(files)
        except CertificateError as error:
            raise CardFailure(f"the root CA on the card is damaged: {error}") from None
        if ca.repairs:
            try:
                await self._write(volume, ca.repairs)
            except OSError as error:
                # A CA on a write-protected card can still be looked at and trusted.
                if error.errno != errno.EROFS:
                    raise
        return ca

    async def store(self, volume: Volume, certificate: Certificate, key: PrivateKey) -> None:
        """Writes a new CA. Once this returns, its key is safe from any cut."""
        content = {
            SERIAL: serial_file_from_number(FIRST_SERIAL),
            CERTIFICATE: pem_from_der(certificate.der).encode(),
            KEY: key.pem().encode(),
        }
        await self._write(volume, {f"{directory}/{name}": content[name] for directory in DIRECTORIES for name in NAMES})

    async def take_serial(self, volume: Volume, ca: CardCa) -> int:
        """The next serial number, which from now on is used up."""
        text = serial_file_from_number(ca.next_serial + 1)
        for directory in DIRECTORIES:
            in_place = self._put(volume, f"{directory}/{SERIAL}", text)
            await self._kernel.switch()
            if directory == PRIMARY or not in_place:
                await self._pad(volume)
        return ca.next_serial

    async def backup(self, volume: Volume, name: str, pem: str) -> str:
        """Keeps a device certificate with its key on the card. Gives its path."""
        self._directory(volume, BACKUP)
        path = f"{BACKUP}/{name}.pem"
        with booked(self._kernel, "card"):
            volume.replace(path, pem.encode())
        await self._kernel.switch()
        await self._pad(volume)
        return path

    async def _read(self, volume: Volume) -> Files:
        files: dict[str, bytes | None] = {}
        for path in (*paths(), *LEFT_BY_PC):
            with booked(self._kernel, "card"):
                files[path] = _content(volume, path)
            await self._kernel.switch()
        return files

    async def _write(self, volume: Volume, content: Files) -> None:
        """Writes files in the order given, and pads after each directory of them."""
        for path in (*DIRECTORIES, BACKUP):
            self._directory(volume, path)
            await self._kernel.switch()
        names = list(content)
        for path, following in zip(names, [*names[1:], ""], strict=True):
            data = content[path]
            if data is not None:
                self._put(volume, path, data)
            await self._kernel.switch()
            if _directory_of(following) != _directory_of(path):
                await self._pad(volume)

    async def _pad(self, volume: Volume) -> None:
        """Once this returns, a card that forgets its last sectors forgets nothing that was written before."""
        self._directory(volume, COPY)
        self._put(volume, PAD, self._kernel.now_ns.to_bytes(8, "little") * (PAD_SECTORS * SECTOR_BYTES // 8))
        await self._kernel.switch()

    def _put(self, volume: Volume, path: str, data: bytes) -> bool:
        """In place where the size allows it: then neither directory nor FAT is touched. Else by a shadow copy.

        Gives whether it was in place. A shadow copy that a card forgets in part may leave a file with wrong content: as
        long as that is so, the other copy must not be touched.
        """
        with booked(self._kernel, "card"):
            if _size(volume, path) == len(data):
                try:
                    volume.overwrite(path, data)
                except OSError as error:
                    if error.errno not in (errno.EIO, errno.EILSEQ):
                        raise
                    # Its sectors cannot be found or written: others can.
                else:
                    return True
            volume.replace(path, data)
        return False

    def _directory(self, volume: Volume, path: str) -> None:
        with booked(self._kernel, "card"):
            try:
                volume.mkdir(path)
            except OSError as error:
                if error.errno != errno.EEXIST:
                    raise

    def _require_room(self, volume: Volume) -> None:
        """CardFailure when the card has no room for the CA's files."""
        with booked(self._kernel, "card"):
            cluster_bytes, _, _, free_clusters, *_ = volume.statvfs("/")
        pad_clusters = -(-PAD_SECTORS * SECTOR_BYTES // cluster_bytes)
        file_clusters = -(-LARGEST_FILE_BYTES // 2 // cluster_bytes)
        wanted = 3 + len(paths()) * file_clusters + 2 * pad_clusters
        if free_clusters < wanted:
            free_bytes, wanted_bytes = free_clusters * cluster_bytes, wanted * cluster_bytes
            raise CardFailure(f"the card is full: {free_bytes} bytes are free, a root CA needs {wanted_bytes}")


def _size(volume: Volume, path: str) -> int | None:
    """Size in bytes; None when there is no such file."""
    try:
        return volume.stat(path)[6]
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def _content(volume: Volume, path: str) -> bytes | None:
    """The whole file, None when there is none. CardFailure when it is larger than any file of a CA."""
    size_bytes = _size(volume, path)
    if size_bytes is None:
        return None
    if size_bytes > LARGEST_FILE_BYTES:
        raise CardFailure(f"{path} has {size_bytes} bytes, at most {LARGEST_FILE_BYTES} belong there")
    try:
        return volume.read_file(path)
    except OSError as error:
        if error.errno in (errno.EIO, errno.EILSEQ):
            return b""  # there, and damaged: the other copy counts
        raise


def _directory_of(path: str) -> str:
    return path.rsplit("/", 1)[0]
