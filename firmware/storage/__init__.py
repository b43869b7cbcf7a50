"""What the board keeps when the power goes: the flash map, the firmware image, and the store of named values."""

from firmware.storage.errors import FlashFull, FlashWorn, ImageInvalid, StorageDamaged, StorageError
from firmware.storage.layout import (
    FirmwareHeader,
    FlashMap,
    Region,
    firmware_header,
    firmware_image,
    flash_map,
    verify_firmware,
    write_firmware,
)
from firmware.storage.store import MountReport, Store

__all__ = [
    "FirmwareHeader",
    "FlashFull",
    "FlashMap",
    "FlashWorn",
    "ImageInvalid",
    "MountReport",
    "Region",
    "StorageDamaged",
    "StorageError",
    "Store",
    "firmware_header",
    "firmware_image",
    "flash_map",
    "verify_firmware",
    "write_firmware",
]
