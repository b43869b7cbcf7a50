"""The expiry watch: certificates that have expired, or soon will, stand in the log after boot and then once a day.

::

    boot --> read the trust list, part by part --> time known? --no--> look again in a minute
                                                      |yes
                                                      v
                                     a new day? --> log what expires --> sleep an hour
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firmware.kernel import Kernel
from firmware.x509.cabinet import DEFAULT, DEVICE
from firmware.x509.expiry import RENEW_HINT, SECONDS_A_DAY, Expiry
from firmware.x509.task import X509Task

LOOK_MS = 3_600_000
CLOCK_LOOK_MS = 60_000
"""How often it is looked whether a new day has begun; and, while the time is not known, whether it has been set. The
clock can be set and NTP can correct it, so sleeping until midnight would miss days."""

LOGGED = 20
"""Lines a day at most: a trust list may hold a thousand certificates."""


async def watch_expiry(kernel: Kernel, x509: X509Task, say: Callable[[str], None]) -> None:
    """Says what expires. Never ends."""
    logged_day = -1
    while True:
        await x509.read_trust_list()
        day = x509.now_s() // SECONDS_A_DAY
        if x509.time_known() and day != logged_day:
            logged_day = day
            for line in expiry_lines(await x509.expiries(), is_default=x509.cabinet.in_use() == DEFAULT):
                say(line)
        await kernel.sleep_ms(LOOK_MS if logged_day >= 0 else CLOCK_LOOK_MS)


def expiry_lines(found: Sequence[Expiry], *, is_default: bool) -> list[str]:
    """What is logged: a line for each of the most urgent, and what to do about the box's own default certificate."""
    lines = [expiry.line() for expiry in found[:LOGGED]]
    if len(found) > LOGGED:
        lines.append(f"{len(found) - LOGGED} more certificates expire or have expired: x509 expiry-list")
    if is_default and any(expiry.has_expired and expiry.place == DEVICE for expiry in found):
        lines.append(RENEW_HINT)
    return lines
