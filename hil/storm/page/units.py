"""Figures as a reader wants them: a unit that fits, and no more digits than mean something."""

from __future__ import annotations

NARROW = "\N{NARROW NO-BREAK SPACE}"
BLANK = "\N{NO-BREAK SPACE}"

NOTHING = "\N{EN DASH}"
"""What stands in a table where there is no figure."""

DIGITS = 3
"""Of a duration or a ratio; what a model of a CPU can promise is less."""


def count(number: float) -> str:
    """A whole number, thousands set apart."""
    return f"{round(number):,}".replace(",", NARROW)


def significant(value: float, digits: int = DIGITS) -> str:
    """A value with so many significant digits, never in powers of ten; whole where it has more digits anyway."""
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    if "e" in text:
        text = f"{float(text):.0f}" if abs(value) >= 1 else f"{float(text):.9f}".rstrip("0")
    return count(float(text)) if abs(float(text)) >= 10_000 else text


def duration(seconds: float) -> str:
    """For reading: ``65.5 ms``, ``13.3 s``, ``8 min 50 s``, ``1 h 2 min``."""
    if seconds == 0:
        return f"0{BLANK}s"
    if seconds < 0.9995:
        return f"{significant(seconds * 1_000)}{BLANK}ms"
    if seconds < 59.95:
        return f"{_padded(seconds)}{BLANK}s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{BLANK}min" + (f" {rest}{BLANK}s" if rest else "")
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{count(hours)}{BLANK}h" + (f" {minutes}{BLANK}min" if minutes else "")


def _padded(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 9.995 else f"{seconds:.1f}"


def ratio(value: float) -> str:
    """How many times: ``1.2``, ``34``."""
    return f"{value:.1f}" if value < 9.95 else count(value)


def percent(fraction: float) -> str:
    """``85 %``; what is little but not nothing is ``< 1 %``, and what is not quite all is ``99.9 %`` at most."""
    if 0 < fraction < 0.01:
        return f"<{BLANK}1{BLANK}%"
    if 0.99 < fraction < 1:
        return f"{min(fraction * 100, 99.9):.1f}{BLANK}%"
    return f"{fraction * 100:.0f}{BLANK}%"


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 phone``, ``200 phones``."""
    return f"{count(number)}{BLANK}{one if number == 1 else many or one + 's'}"
