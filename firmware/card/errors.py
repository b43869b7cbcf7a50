"""What a card operation can end with, as sentences for the person who asked for it."""

from __future__ import annotations

import errno
import os

from firmware.errors import CommandError

SENTENCES = {
    errno.ENODEV: "no card in the slot",
    errno.ENOMEDIUM: "no card in the slot",
    errno.EIO: "the card could not be read or written",
    errno.EROFS: "the card is write-protected",
    errno.ENOSPC: "the card is full",
    errno.EILSEQ: "the card has no usable FAT file system",
    errno.ENOENT: "no such file on the card",
    errno.EEXIST: "the name exists on the card already",
    errno.ENOTDIR: "not a directory",
    errno.EISDIR: "is a directory",
}


class CardFailure(CommandError):
    """A card operation failed; nothing that had been reported as done is lost."""


def failure_from_oserror(error: OSError, doing: str = "") -> CardFailure:
    """The sentence for an error of the card or its file system; words of the device's own follow in brackets."""
    sentence = SENTENCES.get(error.errno or 0, "card error")
    detail = error.strerror or str(error)
    if error.errno in SENTENCES and detail.lower() == os.strerror(error.errno).lower():
        detail = ""  # says it once more
    if error.errno in (errno.ENODEV, errno.ENOMEDIUM):
        sentence = detail or sentence  # the slot knows whether it is empty, or the card another one
    elif detail and detail != sentence:
        sentence = f"{sentence} ({detail})"
    return CardFailure(f"{doing}: {sentence}" if doing else sentence)
