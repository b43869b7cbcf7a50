"""Paste mode: text up to the dot, whole or not at all."""

from __future__ import annotations

import pytest

from firmware.console.paste import PASTE_LIMIT, Paste
from firmware.errors import CommandError


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("chunk", [1, 7, 999])
def test_text_is_the_same_whatever_the_line_ends_and_chunks(end: bytes, chunk: int) -> None:
    data = end.join([b"-----BEGIN X-----", b"", b"..", b". a", b"-----END X-----", b".", b"next"])
    paste, rest = Paste(), b""
    for start in range(0, len(data), chunk):
        part = data[start : start + chunk]
        rest += part if paste.done else paste.push(part)
    assert paste.text() == "-----BEGIN X-----\n\n..\n. a\n-----END X-----\n"
    assert rest.lstrip(b"\n") == b"next"


def test_too_much_is_read_to_its_end_and_refused() -> None:
    paste = Paste()
    for _ in range(PASTE_LIMIT // 64 + 10):
        paste.push(b"x" * 63 + b"\n")
    assert not paste.done
    paste.push(b". more\n...\n")
    assert not paste.done
    assert paste.push(b".\nhelp\n") == b"help\n"
    assert paste.done
    with pytest.raises(CommandError, match=f"must be at most {PASTE_LIMIT}, nothing changed"):
        paste.text()


def test_exactly_the_limit_passes() -> None:
    paste = Paste()
    paste.push(b"x" * (PASTE_LIMIT - 1) + b"\n.\n")
    assert len(paste.text()) == PASTE_LIMIT


def test_lost_bytes_spoil_the_paste() -> None:
    paste = Paste()
    paste.push(b"abc\n")
    paste.lose()
    paste.push(b".\n")
    with pytest.raises(CommandError, match="bytes were lost"):
        paste.text()
