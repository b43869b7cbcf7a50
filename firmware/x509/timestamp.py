"""Times in certificates: Unix seconds here, UTCTime and GeneralizedTime there (RFC 5280 4.1.2.5)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from firmware.errors import CertificateError
from firmware.x509.der import GENERALIZED_TIME, UTC_TIME, Element, tagged
from firmware.x509.memory import remembered

__all__ = ["iso8601_from_seconds", "seconds_after_years", "seconds_from_element", "time_from_seconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

# RFC 5280 wants seconds and Z; UTCTime without seconds is found in certificates of the nineties.
_UTC_TIME = re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?Z")
_GENERALIZED_TIME = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z")


def seconds_from_element(element: Element) -> int:
    """Unix seconds. Raises CertificateError for another type, a malformed text or a day that does not exist."""
    return _seconds_from_text(element.content, element.tag)


@remembered(entries=1_024, longest_bytes=32)
def _seconds_from_text(text: bytes, tag: int) -> int:
    if tag == UTC_TIME:
        match = _UTC_TIME.fullmatch(text)
    elif tag == GENERALIZED_TIME:
        match = _GENERALIZED_TIME.fullmatch(text)
    else:
        raise CertificateError(f"a time has tag {tag:02x} instead of 17 or 18")
    if match is None:
        raise CertificateError(f"time {text[:32]!r} is not well formed")
    year, month, day, hour, minute, second = (int(group or b"0") for group in match.groups())
    if tag == UTC_TIME:
        # RFC 5280 4.1.2.5.1: 50..99 is 19xx, 00..49 is 20xx.
        year += 1900 if year >= 50 else 2000
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise CertificateError(f"time {text!r} does not exist: {error}") from None
    return (moment - _EPOCH) // _SECOND


def _moment(seconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise CertificateError(f"time {seconds} s lies outside the years 1 to 9999") from None


def time_from_seconds(seconds: int) -> bytes:
    """Encoded Time: UTCTime through 2049, GeneralizedTime from 2050 on, as RFC 5280 4.1.2.5 demands."""
    moment = _moment(seconds)
    if 1950 <= moment.year < 2050:
        return tagged(UTC_TIME, f"{moment:%y%m%d%H%M%S}Z".encode())
    return tagged(GENERALIZED_TIME, f"{moment.year:04}{moment:%m%d%H%M%S}Z".encode())


def iso8601_from_seconds(seconds: int) -> str:
    """For example ``2026-11-23T12:00:00Z``."""
    moment = _moment(seconds)
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%SZ}"


def seconds_after_years(seconds: int, years: int) -> int:
    """The same date and time of day ``years`` later; 29 February becomes the 28th where there is none."""
    moment = _moment(seconds)
    if moment.year + years > 9999:
        raise CertificateError(f"{years} years after {moment.year} lies behind the year 9999")
    try:
        later = moment.replace(year=moment.year + years)
    except ValueError:
        later = moment.replace(year=moment.year + years, day=28)
    return (later - _EPOCH) // _SECOND
