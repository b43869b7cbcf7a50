"""What time it is in a world, for real-time clocks that are set at power-on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from board.clock import VirtualClock
from hil.errors import RackMisuse

DEFAULT_TIME = "2026-01-01T00:00:00Z"
"""When a bench's virtual time 0 is. A fixed date, so that runs repeat; a real one, so that certificates are valid."""

FIRST_YEAR, LAST_YEAR = 1970, 2099
"""What the boards' clock chips count."""

TimeSource = Callable[[], int]
"""Gives Unix nanoseconds."""

EPOCH = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)


def unix_ns_from_iso(text: str) -> int:
    """Nanoseconds since 1970 of an ISO 8601 time, UTC unless it says otherwise. RackMisuse when it is none."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RackMisuse(f"time {text!r}: must be unset or ISO 8601, for example 2026-01-01T00:00:00Z") from None
    return _checked((moment - EPOCH) // timedelta(microseconds=1) * 1_000, text)


def time_source_from(time: str | int | TimeSource, clock: VirtualClock) -> TimeSource | None:
    """What the clocks are set to at power-on: the given time, and the virtual time since the world began.

    None for ``unset``. RackMisuse for a time that is none, or outside 1970 to 2099.
    """
    if time == "unset":
        return None
    if callable(time):
        return time
    start_ns = unix_ns_from_iso(time) if isinstance(time, str) else _checked(time * 1_000_000_000, str(time))
    return lambda: start_ns + clock.now_ns


def _checked(unix_ns: int, text: str) -> int:
    limit_ns = (datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1_000
    if not 0 <= unix_ns < limit_ns:
        raise RackMisuse(f"time {text!r}: must be {FIRST_YEAR} to {LAST_YEAR}")
    return unix_ns
