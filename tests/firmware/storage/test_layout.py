"""The flash map and the firmware image that boot code checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest

from firmware.storage import (
    ImageInvalid,
    Region,
    StorageError,
    firmware_header,
    firmware_image,
    flash_map,
    verify_firmware,
    write_firmware,
)
from firmware.storage.layout import IMAGE_SIZE

REGION = Region(2, 18)


@pytest.fixture
def flash(make_flash: Callable[..., Any]) -> Any:
    """A flash with firmware 11r1 in blocks 2 to 17 of the region 2 to 19."""
    flash = make_flash(24)
    write_firmware(flash, REGION, firmware_image("11r1 [11.5051]"))
    return flash


@pytest.mark.parametrize(("mebibytes", "store_blocks"), [(1, 64), (4, 256), (8, 512), (16, 512), (64, 512)])
def test_the_last_eighth_and_at_most_1_mib_is_the_store_and_the_rest_the_firmware(
    mebibytes: int, store_blocks: int, make_flash: Callable[..., Any]
) -> None:
    block_count = mebibytes * 256
    firmware, store = flash_map(make_flash(block_count))
    assert (firmware.first_block, firmware.block_count) == (0, store.first_block)
    assert (store.block_count, store.first_block + store.block_count) == (store_blocks, block_count)


def test_a_flash_too_small_for_a_map_is_refused(make_flash: Callable[..., Any]) -> None:
    assert flash_map(make_flash(64)).store.block_count == 16
    with pytest.raises(StorageError, match="flash of 63 blocks, at least 64 are needed"):
        flash_map(make_flash(63))


def test_an_image_is_64_kib_and_the_same_for_the_same_version() -> None:
    assert len(firmware_image("11r1")) == IMAGE_SIZE == 65_536
    assert firmware_image("11r1") == firmware_image("11r1") != firmware_image("11r2")


def test_a_sound_image_is_verified_and_gives_its_version(flash: Any) -> None:
    assert verify_firmware(flash, REGION).version == "11r1 [11.5051]"


def test_an_image_within_one_block_is_verified(make_flash: Callable[..., Any]) -> None:
    flash = make_flash(4)
    write_firmware(flash, Region(1, 2), firmware_header("1", b"tiny") + b"tiny")
    assert verify_firmware(flash, Region(1, 2)) == ("1", 4, crc32(b"tiny"))


def test_a_flipped_bit_in_any_part_of_the_image_is_found(flash: Any) -> None:
    start = REGION.first_block * 4096
    for offset in (*range(64), 64, 4095, 4096, 40_000, IMAGE_SIZE - 1):
        flash.data[start + offset] ^= 1 << offset % 8
        with pytest.raises(ImageInvalid, match=r"checksum|no firmware"):
            verify_firmware(flash, REGION)
        flash.data[start + offset] ^= 1 << offset % 8
    assert verify_firmware(flash, REGION)


def test_blank_flash_holds_no_firmware(make_flash: Callable[..., Any]) -> None:
    with pytest.raises(ImageInvalid, match="no firmware: ffffffffffffffff instead of"):
        verify_firmware(make_flash(24), REGION)


def test_a_header_that_announces_more_than_the_region_holds_is_refused(flash: Any) -> None:
    with pytest.raises(ImageInvalid, match="firmware of 65536 bytes, the region has 8192"):
        verify_firmware(flash, Region(2, 2))


def test_an_image_that_is_none_is_refused_before_anything_is_erased(flash: Any) -> None:
    erases = sum(flash.erases)
    for image in (b"", b"\x7fELF" + bytes(100), firmware_image("12r1")[:-1], firmware_image("12r1") + b"\0"):
        with pytest.raises(ImageInvalid):
            write_firmware(flash, REGION, image)
    with pytest.raises(ImageInvalid):
        write_firmware(flash, Region(2, 15), firmware_image("12r1"))
    assert sum(flash.erases) == erases
    assert verify_firmware(flash, REGION).version == "11r1 [11.5051]"


def test_a_damaged_image_is_refused_before_anything_is_erased(flash: Any) -> None:
    image = bytearray(firmware_image("12r1"))
    image[30_000] ^= 1
    with pytest.raises(ImageInvalid, match="checksum"):
        write_firmware(flash, REGION, bytes(image))
    assert verify_firmware(flash, REGION).version == "11r1 [11.5051]"


@pytest.mark.parametrize("version", ["", "v" * 45])
def test_a_version_beyond_the_limits_is_refused(version: str) -> None:
    with pytest.raises(StorageError, match="1 to 44 are possible"):
        firmware_header(version, b"")
