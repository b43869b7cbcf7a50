"""Times drawn by chance, so that phones that did the same at the same instant do not do so again."""

from __future__ import annotations

from firmware.hal import Entropy
from firmware.registration.settings import Plan

__all__ = ["keepalive_ms", "retry_ms", "spread_ms"]

DRAWN_BYTES = 4


def spread_ms(plan: Plan, entropy: Entropy) -> int:
    """Until the first attempt after the start."""
    return within(0, plan.start_spread_ms, entropy)


def retry_ms(plan: Plan, failures: int, entropy: Entropy) -> int:
    """Until the next attempt, after so many failures in a row.

    RFC 5626 4.5: a random time in the upper half of min(max, base * 2^failures); after none, none.
    """
    if failures <= 0:
        return 0
    if not plan.exponential:
        return min(plan.retry_base_ms, plan.retry_max_ms)
    # Beyond 2^20 even the shortest base is longer than the longest wait.
    most_ms = min(plan.retry_max_ms, plan.retry_base_ms << min(failures, 20))
    return within(most_ms // 2, most_ms, entropy)


def keepalive_ms(plan: Plan, entropy: Entropy) -> int:
    """Until the next ping. RFC 5626 4.4: between 80 and 100 percent of what was agreed."""
    most_ms = plan.keepalive_s * 1_000
    return within(most_ms * 4 // 5, most_ms, entropy)


def within(least: int, most: int, entropy: Entropy) -> int:
    """A whole number from ``least`` to ``most``; without drawing where there is no choice."""
    if most <= least:
        return least
    return least + (int.from_bytes(entropy.randbytes(DRAWN_BYTES), "big") * (most - least + 1) >> 8 * DRAWN_BYTES)
