"""The serial number file of the CA on the card."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.errors import CertificateError
from firmware.x509 import serial_file_from_number, serial_from_file


@pytest.mark.parametrize(
    ("serial", "content"), [(1, b"01\n"), (0xA1, b"A1\n"), (0x100, b"0100\n"), (0xABCDEF, b"ABCDEF\n")]
)
def test_numbers_are_written_in_upper_case_with_an_even_number_of_digits(serial: int, content: bytes) -> None:
    assert serial_file_from_number(serial) == content


@given(st.integers(1, (1 << 159) - 1))
def test_a_number_reads_back_as_it_was_written(serial: int) -> None:
    assert serial_from_file(serial_file_from_number(serial)) == serial


@pytest.mark.parametrize("content", [b"1A", b"1a\r\n", b" 01A \n\n", b"00001A\n"])
def test_forms_that_other_programs_and_people_write_are_read(content: bytes) -> None:
    assert serial_from_file(content) == 0x1A


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", "''"),
        (b"hello\n", "'hello'"),
        (b"0x1A", "'0x1A'"),
        (b"-01", "'-01'"),
        (b"1_0", "'1_0'"),
        (b"01\n02\n", r"'01\\n02'"),
        (b"\xff\x00", r"\\xff"),
        ("١".encode(), r"\\xd9"),
        (b"00", "serial number 0 is out of range"),
        (b"FF" * 20, "out of range"),
        (b"A" * 5000, "'A"),
    ],
)
def test_what_is_no_usable_number_is_refused_with_the_text_found(content: bytes, shown: str) -> None:
    with pytest.raises(CertificateError, match=shown) as caught:
        serial_from_file(content)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("serial", [0, -1, 1 << 159])
def test_a_number_that_no_certificate_can_have_is_not_written(serial: int) -> None:
    with pytest.raises(CertificateError, match="out of range"):
        serial_file_from_number(serial)
