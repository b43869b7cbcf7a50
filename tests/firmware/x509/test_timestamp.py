"""Times in certificates."""

from __future__ import annotations

import pytest

from firmware.errors import CertificateError
from firmware.x509.der import GENERALIZED_TIME, UTC_TIME, Element, Reader
from firmware.x509.timestamp import (
    iso8601_from_seconds,
    seconds_after_years,
    seconds_from_element,
    time_from_seconds,
)


@pytest.mark.parametrize(
    ("iso", "content"),
    [
        ("1970-01-01T00:00:00Z", b"700101000000Z"),
        ("1950-01-01T00:00:00Z", b"500101000000Z"),
        ("2049-12-31T23:59:59Z", b"491231235959Z"),
        ("2050-01-01T00:00:00Z", b"20500101000000Z"),
        ("1949-12-31T23:59:59Z", b"19491231235959Z"),
        ("9999-12-31T23:59:59Z", b"99991231235959Z"),
        ("0001-01-01T00:00:00Z", b"00010101000000Z"),
    ],
)
def test_a_time_has_the_type_that_its_year_demands(iso: str, content: bytes) -> None:
    element = Element(UTC_TIME if len(content) == 13 else GENERALIZED_TIME, b"", content)
    seconds = seconds_from_element(element)
    assert iso8601_from_seconds(seconds) == iso
    written = Reader(time_from_seconds(seconds), "time").take()
    assert (written.tag, written.content) == (element.tag, content)


def test_generalized_time_before_2050_and_utc_time_without_seconds_are_read() -> None:
    assert seconds_from_element(Element(GENERALIZED_TIME, b"", b"20270115080000Z")) == 1_800_000_000
    assert seconds_from_element(Element(UTC_TIME, b"", b"2701150800Z")) == 1_800_000_000


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        (UTC_TIME, b""),
        (UTC_TIME, b"270115080000"),
        (UTC_TIME, b"270115080000+0100"),
        (UTC_TIME, b"270230080000Z"),
        (UTC_TIME, b"271315080000Z"),
        (UTC_TIME, b"270115240000Z"),
        (UTC_TIME, "27011508000٣Z".encode()),
        (GENERALIZED_TIME, b"20270115080000.5Z"),
        (GENERALIZED_TIME, b"00000101000000Z"),
        (0x04, b"270115080000Z"),
    ],
)
def test_malformed_and_impossible_times_are_refused(tag: int, content: bytes) -> None:
    with pytest.raises(CertificateError, match="time"):
        seconds_from_element(Element(tag, b"", content))


def test_years_are_calendar_years() -> None:
    start = seconds_from_element(Element(GENERALIZED_TIME, b"", b"20280229120000Z"))
    assert iso8601_from_seconds(seconds_after_years(start, 1)) == "2029-02-28T12:00:00Z"
    assert iso8601_from_seconds(seconds_after_years(start, 4)) == "2032-02-29T12:00:00Z"
    assert iso8601_from_seconds(seconds_after_years(0, 10)) == "1980-01-01T00:00:00Z"


def test_no_year_lies_behind_9999() -> None:
    with pytest.raises(CertificateError, match="9999"):
        seconds_after_years(253_000_000_000, 30)
    with pytest.raises(CertificateError, match="outside"):
        time_from_seconds(10**18)
