"""Dates and times as FAT keeps them: local time, two-second steps, 1980 to 2107.

::

    date   yyyyyyym mmmddddd   years since 1980        time   hhhhhmmm mmmsssss   seconds / 2
"""

from __future__ import annotations

import calendar
from collections.abc import Callable

__all__ = ["Clock", "Stamp", "now_stamp", "seconds_from_stamp", "stamp_from_fields"]

Stamp = tuple[int, int]
"""(date, time), as they lie in a directory entry."""

Clock = Callable[[], tuple[int, int, int, int, int, int]]
"""Gives (year, month, day, hours, minutes, seconds), local time."""

EPOCH: Stamp = (0 << 9 | 1 << 5 | 1, 0)
"""1980-01-01 00:00, the time of files made by a board that does not know the time."""


def stamp_from_fields(year: int, month: int, day: int, hours: int, minutes: int, seconds: int) -> Stamp:
    """The nearest stamp that FAT can hold."""
    if year < 1980:
        return EPOCH
    if year > 2107:
        year, month, day, hours, minutes, seconds = 2107, 12, 31, 23, 59, 58
    return (year - 1980) << 9 | month << 5 | day, hours << 11 | minutes << 5 | seconds // 2


def now_stamp(now: Clock | None) -> Stamp:
    """The stamp for a file written now."""
    return EPOCH if now is None else stamp_from_fields(*now())


def fields_from_stamp(stamp: Stamp) -> tuple[int, int, int, int, int, int]:
    """(year, month, day, hours, minutes, seconds); impossible fields of damaged entries are clipped."""
    date, time = stamp
    month = min(max(date >> 5 & 15, 1), 12)
    day = min(max(date & 31, 1), 31)
    return 1980 + (date >> 9), month, day, min(time >> 11, 23), min(time >> 5 & 63, 59), min((time & 31) * 2, 58)


def seconds_from_stamp(stamp: Stamp) -> int:
    """Seconds since 1970, the stamp taken as UTC."""
    return calendar.timegm((*fields_from_stamp(stamp), 0, 0, 0))
