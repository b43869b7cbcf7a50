"""What a sweep says: how far it is, a table at its end, and how each failure is repeated."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import TextIO

from hil.sweep.case import Result, Value
from hil.sweep.columns import rows_from_results

__all__ = ["Progress", "counts_text", "failures_text", "table_text"]

SHOWN = 20
"""Kinds of failures printed, and cases of each; the results file has all."""

SAID = 2
"""Lines of a message that tell one kind from another: what was expected, and what came."""

MEASURES = 4
"""How many a table shows of a scenario that does not say which matter."""

ALWAYS = ("model", "key_bits")
"""Axes that a table shows although they have one value."""

REDRAW_S = 0.2


class Progress:
    """One line on a terminal, drawn anew as results come; nothing where it is none.

    Args:
        total: cases to run.
        kept: how many of the sweep's cases were there before.
    """

    def __init__(self, stream: TextIO, total: int, kept: int) -> None:
        self._stream = stream if stream.isatty() else None
        self._total = total
        self._kept = kept
        self._done = self._failed = self._errors = 0
        self._began_s = time.monotonic()
        self._drawn_s = -math.inf

    def add(self, results: Iterable[Result]) -> None:
        """Counts results, none at times, and draws."""
        for result in results:
            self._done += 1
            self._failed += result.outcome == "failed"
            self._errors += result.outcome == "error"
        now_s = time.monotonic()
        if self._stream is not None and (now_s - self._drawn_s > REDRAW_S or self._done == self._total):
            self._drawn_s = now_s
            self._stream.write("\r\x1b[K" + self._line(now_s - self._began_s))
            self._stream.flush()

    def end(self) -> None:
        """Wipes the line: what follows begins at the left."""
        if self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _line(self, elapsed_s: float) -> str:
        text = f"{self._kept + self._done:,}/{self._kept + self._total:,} cases, "
        text += f"{self._failed:,} failed, {_errors(self._errors)}"
        if self._done:
            rate = self._done / max(elapsed_s, 1e-3)
            text += f", {rate:.1f}/s, {_duration((self._total - self._done) / rate)} left"
        return text


def table_text(results: Sequence[Result], measures: Sequence[str]) -> str:
    """Median and 90th percentile of the main measures, and how many failed, per point of the grid but for the seed."""
    rows, columns = rows_from_results(results)
    axes = [name for name in columns if name in results[0].case.axes and name not in ("scenario", "seed")]
    axes = [name for name in axes if name in ALWAYS or len({row.get(name) for row in rows}) > 1]
    known = list(columns)[list(columns).index("repeat") + 1 :]
    numbers = [name for name in known if columns[name] in (int, float)]
    shown = [name for name in measures if name in numbers] if measures else numbers[:MEASURES]
    lines = [[*axes, "cases", "failed", "errors", *(part for name in shown for part in (name, "p90"))]]
    groups: dict[tuple[Value, ...], list[dict[str, Value]]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name, "") for name in axes), []).append(row)
    for point, group in groups.items():
        outcomes = [row["outcome"] for row in group]
        line = [*map(_cell, point), str(len(group)), str(outcomes.count("failed")), str(outcomes.count("error"))]
        for name in shown:
            values = sorted(value for row in group if isinstance(value := row.get(name), (int, float)))
            line += [_number(_rank(values, 0.5)), _number(_rank(values, 0.9))] if values else ["-", "-"]
        lines.append(line)
    return _aligned(lines, len(axes))


def failures_text(results: Iterable[Result]) -> str:
    """Every failure with the command that repeats it; those that say the same stand together.

    When there is but one, the whole of its message is told.
    """
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        if result.outcome != "ok":
            groups.setdefault((result.outcome, *result.message.splitlines()[:SAID]), []).append(result)
    lines: list[str] = []
    for (outcome, *said), group in list(groups.items())[:SHOWN]:
        only = len(groups) == len(group) == 1
        lines.append(f"{outcome}: {len(group):,} {'case' if len(group) == 1 else 'cases'}")
        lines += ["    " + line for line in (group[0].message.splitlines() if only else said)]
        lines += [f"  repeat: {result.case.repeat}" for result in group[:SHOWN]]
        if len(group) > SHOWN:
            lines.append(f"  and {len(group) - SHOWN:,} more")
    if len(groups) > SHOWN:
        lines.append(f"and {len(groups) - SHOWN:,} failures of other kinds")
    return "\n".join(lines)


def counts_text(results: Sequence[Result], ran: int, wall_s: float) -> str:
    """The last line: how many of each outcome, and how fast."""
    outcomes = [result.outcome for result in results]
    text = f"{len(results):,} {'case' if len(results) == 1 else 'cases'}: {outcomes.count('ok'):,} ok"
    text += f", {outcomes.count('failed'):,} failed, {_errors(outcomes.count('error'))}"
    if ran < len(results):
        text += f"; {len(results) - ran:,} were there before"
    if ran:
        text += f"; {wall_s:.1f} s, {ran / max(wall_s, 1e-3):.1f} cases/s"
    return text


def _errors(count: int) -> str:
    return f"{count:,} {'error' if count == 1 else 'errors'}"


def _rank(ordered: Sequence[float], part: float) -> float:
    """A percentile that is a value that occurred (nearest rank)."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def _cell(value: Value) -> str:
    """As it is typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _aligned(lines: Sequence[Sequence[str]], left: int) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
