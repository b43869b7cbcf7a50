"""``ctime``: shows and sets the board's time, the static fallback where there is no NTP server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from firmware.commands.kinds import Text
from firmware.commands.registry import TOP_LEVEL, Argument, Call, Operation, Registry, Reply
from firmware.errors import CommandError
from firmware.hal import Rtc

__all__ = ["FIRST_YEAR", "LAST_YEAR", "is_time_set", "register_ctime", "time_from_text"]

FIRST_YEAR = 2000
"""The clock starts at 1970 without battery and NTP (vendor's NTP page): a time before this was never set."""

LAST_YEAR = 2099
"""What the clock chip counts to."""


def is_time_set(rtc: Rtc) -> bool:
    """Whether somebody has set the clock since it lost power."""
    return bool(rtc.datetime()[0] >= FIRST_YEAR)


def time_from_text(text: str) -> datetime:
    """An ISO 8601 time in UTC; without an offset UTC is meant. CommandError."""
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CommandError(f"time '{text[:40]}': must be ISO 8601, for example 2026-11-23T12:00:00Z") from None
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise CommandError(f"time '{text[:40]}': must be in the years {FIRST_YEAR} to {LAST_YEAR}")
    return time


def register_ctime(registry: Registry, rtc: Rtc, on_set: Callable[[], None] | None = None) -> None:
    """Registers ``ctime [ISO8601]``. ``on_set()`` is called once the clock was set."""

    async def ctime(call: Call) -> Reply:
        text = call.text("time")
        if text:
            time = time_from_text(text)
            rtc.datetime(
                (time.year, time.month, time.day, time.weekday(), time.hour, time.minute, time.second, time.microsecond)
            )
            if on_set is not None:
                on_set()
        return _shown(rtc)

    registry.register(
        Operation(
            TOP_LEVEL,
            "ctime",
            "shows or sets the time",
            ctime,
            arguments=(Argument("time", Text(limit=40), "ISO 8601, UTC unless it says otherwise"),),
            query=True,
            logged=lambda call: "time" in call.options,
        )
    )


def _shown(rtc: Rtc) -> Reply:
    year, month, day, _, hour, minute, second, _ = rtc.datetime()
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    known = is_time_set(rtc)
    hint = "" if known else " (time not set: every certificate is not yet valid, set it with ctime ISO8601)"
    return Reply(text + hint, {"time": text, "set": known})
