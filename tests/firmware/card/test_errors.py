"""What a card operation ends with, in words."""

from __future__ import annotations

import errno
import os

import pytest

from firmware.card.errors import failure_from_oserror


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOENT, os.strerror(errno.ENOENT)), "ls /x: no such file on the card"),
        (OSError(errno.ENOENT, "no such file or directory"), "ls /x: no such file on the card"),
        (OSError(errno.EIO, "sector 7"), "ls /x: the card could not be read or written (sector 7)"),
        (OSError(errno.ENODEV, "another card is in the slot"), "ls /x: another card is in the slot"),
        (OSError(errno.ELOOP, os.strerror(errno.ELOOP)), f"ls /x: card error ({os.strerror(errno.ELOOP)})"),
        (OSError("out of order"), "ls /x: card error (out of order)"),
    ],
)
def test_the_sentence_comes_first_and_nothing_is_said_twice(error: OSError, text: str) -> None:
    assert str(failure_from_oserror(error, "ls /x")) == text
