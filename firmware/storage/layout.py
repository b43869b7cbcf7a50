"""The flash map, and the firmware image in it that boot code checks before it starts anything. ::

    block 0                                                           last quarter, 2 MiB at most end
      +----------------------------------------------------------+------------------------------+
      | firmware: header, payload, unused                        | store                        |
      +----------------------------------------------------------+------------------------------+

    firmware header, 64 bytes, little-endian
      0  magic     8   "GBFIRMW1"
      8  length    4   bytes of payload, which follows the header
     12  crc       4   CRC-32 of the payload
     16  version  44   UTF-8, padded with 00
     60  crc       4   CRC-32 of bytes 0..59

Used of the firmware region is only what the image needs: checking it at every boot costs time.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple
from zlib import crc32

from firmware.hal import BlockDevice
from firmware.storage.errors import ImageInvalid, StorageError

__all__ = [
    "IMAGE_SIZE",
    "FirmwareHeader",
    "FlashMap",
    "Region",
    "firmware_header",
    "firmware_image",
    "flash_map",
    "header_from_bytes",
    "verify_firmware",
    "write_firmware",
]

IMAGE_SIZE = 65_536
"""Bytes of an emulated firmware image, header included. Real ones take megabytes."""

_HEADER = struct.Struct("<8sII44s")
_CRC = struct.Struct("<I")
_MAGIC = b"GBFIRMW1"
_HEADER_SIZE = _HEADER.size + _CRC.size
_VERSION_LIMIT = 44
_STORE_SHARE = 4
"""One part in this many of the flash belongs to the store: 1 MiB of 4 MiB."""
_STORE_LIMIT = 512
"""Blocks of the largest store, 2 MiB: each of its halves holds a trust list of 1,000 certificates."""
_BLOCK_COUNT, _BLOCK_SIZE, _ERASE = 4, 5, 6
"""``ioctl`` operations of MicroPython's block device protocol."""
_SMALLEST = 64
"""Blocks of the smallest flash: the store then has 16, eight to a bank."""


class Region(NamedTuple):
    """Erase blocks ``first_block`` to ``first_block + block_count - 1``."""

    first_block: int
    block_count: int


class FlashMap(NamedTuple):
    """Which blocks serve what."""

    firmware: Region
    store: Region


class FirmwareHeader(NamedTuple):
    """What the header of a firmware image says of its payload."""

    version: str
    length: int
    crc: int


def flash_map(device: BlockDevice) -> FlashMap:
    """The map of a flash of that size. Raises StorageError when it is too small for one."""
    block_count = device.ioctl(_BLOCK_COUNT, 0) or 0
    if block_count < _SMALLEST:
        raise StorageError(f"flash of {block_count} blocks, at least {_SMALLEST} are needed")
    store = min(block_count // _STORE_SHARE, _STORE_LIMIT)
    return FlashMap(Region(0, block_count - store), Region(block_count - store, store))


def firmware_header(version: str, payload: bytes) -> bytes:
    """The header that goes in front of ``payload``."""
    name = version.encode()
    if not 0 < len(name) <= _VERSION_LIMIT:
        raise StorageError(f"version of {len(name)} bytes, 1 to {_VERSION_LIMIT} are possible: {version!r}")
    head = _HEADER.pack(_MAGIC, len(payload), crc32(payload), name)
    return head + _CRC.pack(crc32(head))


def firmware_image(version: str) -> bytes:
    """A whole image of ``IMAGE_SIZE`` bytes; its payload stands for code and is the same for the same version."""
    payload = hashlib.shake_128(version.encode()).digest(IMAGE_SIZE - _HEADER_SIZE)
    return firmware_header(version, payload) + payload


def header_from_bytes(data: bytes) -> FirmwareHeader:
    """Reads a header. Raises ImageInvalid."""
    if data[: len(_MAGIC)] != _MAGIC or len(data) < _HEADER_SIZE:
        raise ImageInvalid(f"no firmware: {data[: len(_MAGIC)].hex()} instead of {_MAGIC.hex()}")
    found = crc32(data[: _HEADER.size])
    (expected,) = _CRC.unpack_from(data, _HEADER.size)
    if found != expected:
        raise ImageInvalid(f"firmware header has checksum {found:08x} instead of {expected:08x}")
    _, length, crc, name = _HEADER.unpack_from(data)
    return FirmwareHeader(name.rstrip(b"\0").decode(), length, crc)


def verify_firmware(device: BlockDevice, region: Region) -> FirmwareHeader:
    """The header of the firmware in ``region``, after checking every byte. Raises ImageInvalid."""
    block_size = device.ioctl(_BLOCK_SIZE, 0) or 0
    first = bytearray(block_size)
    device.readblocks(region.first_block, first, 0)
    header = header_from_bytes(bytes(first[:_HEADER_SIZE]))
    size = _size_within(header, region.block_count * block_size)
    found = crc32(memoryview(first)[_HEADER_SIZE : min(size, block_size)])
    for start in range(block_size, size, block_size):
        part = bytearray(min(block_size, size - start))
        device.readblocks(region.first_block + start // block_size, part, 0)
        found = crc32(part, found)
    _check_payload(header, found)
    return header


def write_firmware(device: BlockDevice, region: Region, image: bytes) -> FirmwareHeader:
    """Puts ``image`` into ``region``, the header last: cut short, there is no firmware, and boot code stays in charge.

    Raises ImageInvalid before anything is erased when ``image`` is none, and after writing when it does not read back.
    """
    block_size = device.ioctl(_BLOCK_SIZE, 0) or 0
    header = header_from_bytes(image)
    size = _size_within(header, region.block_count * block_size)
    if size != len(image):
        raise ImageInvalid(f"image of {len(image)} bytes, its header announces {size}")
    _check_payload(header, crc32(memoryview(image)[_HEADER_SIZE:]))
    for start in range(0, len(image), block_size):
        device.ioctl(_ERASE, region.first_block + start // block_size)
    view = memoryview(image)
    for start in range(block_size, len(image), block_size):
        device.writeblocks(region.first_block + start // block_size, view[start : start + block_size], 0)
    device.writeblocks(region.first_block, view[_HEADER_SIZE:block_size], _HEADER_SIZE)
    device.writeblocks(region.first_block, view[:_HEADER_SIZE], 0)
    return verify_firmware(device, region)


def _size_within(header: FirmwareHeader, region_size: int) -> int:
    size = _HEADER_SIZE + header.length
    if size > region_size:
        raise ImageInvalid(f"firmware of {size} bytes, the region has {region_size}")
    return size


def _check_payload(header: FirmwareHeader, found: int) -> None:
    if found != header.crc:
        raise ImageInvalid(f"firmware {header.version} has checksum {found:08x} instead of {header.crc:08x}")
