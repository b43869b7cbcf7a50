"""What can go wrong in flash.

::

    FirmwareError
     +-- StorageError            the store cannot do that: not mounted, a name or value it does not take
          +-- FlashFull          ENOSPC: nothing was changed
          +-- FlashWorn          a byte reads back otherwise than it was programmed
          +-- StorageDamaged     what is stored fails its checksum: where, what
          +-- ImageInvalid       the firmware region holds no firmware that may be started
"""

from __future__ import annotations

import errno

from firmware.errors import FirmwareError

__all__ = ["FlashFull", "FlashWorn", "ImageInvalid", "StorageDamaged", "StorageError"]


class StorageError(FirmwareError):
    """The store cannot do what was asked; what it holds is unchanged."""


class FlashFull(StorageError):
    """The values do not fit; none of the changes was made."""

    errno = errno.ENOSPC


class FlashWorn(StorageError):
    """Flash does not keep what was programmed. The commit did not happen."""


class StorageDamaged(StorageError):
    """Stored bytes fail their checksum. The text says where and what was found."""


class ImageInvalid(StorageError):
    """The firmware region's content must not be started: boot code takes over."""
