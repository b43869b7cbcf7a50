"""How the bench says what went wrong on the host."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hil.errors import EnvironmentRefused, lowered, reason_from_oserror
from hil.links import SerialLink


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "card.img"), "no such file or directory"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "input/output error"),
        (OSError("FAT16 cannot be so large"), "FAT16 cannot be so large"),
        (OSError("Could not be opened"), "could not be opened"),
    ],
)
def test_an_error_of_the_host_is_told_in_lower_case_without_number_and_file_name(error: OSError, reason: str) -> None:
    assert reason_from_oserror(error) == reason


@pytest.mark.parametrize(("text", "expected"), [("", ""), ("A", "a"), ("TOML", "TOML"), ("Is a file", "is a file")])
def test_abbreviations_keep_their_capitals(text: str, expected: str) -> None:
    assert lowered(text) == expected


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("{folder}/tty", "no such file or directory"),
        ("socket://127.0.0.1:1", "connection refused"),
        ("foo://somewhere", "invalid URL, protocol 'foo' not known"),
    ],
)
def test_a_serial_line_that_cannot_be_opened_is_refused_in_the_hosts_own_word(
    tmp_path: Path, url: str, reason: str
) -> None:
    url = url.format(folder=tmp_path)
    with pytest.raises(EnvironmentRefused) as caught:
        SerialLink(url)
    assert str(caught.value) == f"cannot open the serial line {url}: {reason}"
