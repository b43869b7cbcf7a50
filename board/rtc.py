"""The real-time clock: MicroPython's ``machine.RTC``, UTC.

The gateways have no battery: "the clock is 1 January 1970 after each restart" until NTP or the user sets it (vendor's
NTP page). A battery can be fitted; then it keeps time through power cuts. A reset of the CPU alone never stops it.

Not modelled: drift of the crystal, alarms, calibration, backup memory.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from board.clock import VirtualClock
from board.cpu import Cpu

DateTime = tuple[int, int, int, int, int, int, int, int]
"""(year, month, day, weekday, hours, minutes, seconds, microseconds); weekday 0 is Monday, as on the ESP32 port."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LAST_YEAR = 2099
"""Clock chips count two digits of the year and take every fourth for a leap year: right until 2099."""


class Rtc:
    """One clock. Its time is read and set at the CPU's time."""

    def __init__(self, clock: VirtualClock, cpu: Cpu, *, battery: bool = False) -> None:
        self._clock = clock
        self._cpu = cpu
        self._offset_ns = -clock.now_ns
        self.battery = battery

    def datetime(self, datetimetuple: DateTime | None = None, /) -> DateTime | None:
        """Without an argument: the time. With one: sets it; the weekday in it is ignored, as clock chips reckon it.

        ValueError for a time that is not one, or before 1970, or after 2099; then nothing has changed.
        """
        if datetimetuple is None:
            return _tuple_from_unix_ns(self.unix_ns())
        self._offset_ns = _unix_ns_from_tuple(datetimetuple) - self._cpu.now_ns
        return None

    def unix_ns(self) -> int:
        """Nanoseconds since 1970, at the CPU's time."""
        return self._offset_ns + self._cpu.now_ns

    def set_unix_ns(self, unix_ns: int) -> None:
        """Sets it from outside, at world time: a bench that starts a board with the host's time."""
        if not 0 <= unix_ns < _LIMIT_NS:
            raise ValueError(f"time {unix_ns} ns since 1970: must be 0 to {_LIMIT_NS - 1}")
        self._offset_ns = unix_ns - self._clock.now_ns

    def power_on(self) -> None:
        """Power comes, at world time: without a battery it starts at 1970-01-01."""
        if not self.battery:
            self._offset_ns = -self._clock.now_ns


def _unix_ns_from_tuple(fields: DateTime) -> int:
    if len(fields) != 8:
        raise ValueError(f"a time of {len(fields)} fields: must have 8")
    year, month, day, _, hours, minutes, seconds, microseconds = fields
    if not 1970 <= year <= LAST_YEAR:
        raise ValueError(f"year {year}: must be 1970 to {LAST_YEAR}")
    moment = datetime(year, month, day, hours, minutes, seconds, microseconds, tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1) * 1_000


def _tuple_from_unix_ns(unix_ns: int) -> DateTime:
    moment = EPOCH + timedelta(microseconds=unix_ns // 1_000)
    date = (moment.year, moment.month, moment.day, moment.weekday())
    return (*date, moment.hour, moment.minute, moment.second, moment.microsecond)


_LIMIT_NS = _unix_ns_from_tuple((LAST_YEAR, 12, 31, 0, 23, 59, 59, 999_999)) + 1_000
