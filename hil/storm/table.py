"""A report in a few lines of text: one row per setting, and what is to be said about it."""

from __future__ import annotations

from collections.abc import Sequence

from hil.storm.result import Percentiles, SettingResult, StormResult

HEADINGS = (
    "setting",
    "50 %",
    "90 %",
    "100 %",
    "storm",
    "handshake p50",
    "p90",
    "p99",
    "max",
    "cpu each",
    "cpu s",
    "timeouts",
    "resets",
)
"""Times in seconds, cpu each in ms."""

KINDS = 4
"""How many kinds of work are named."""


def text_from_result(result: StormResult) -> str:
    """The report for a terminal."""
    if not result.settings:
        return "nothing was measured"
    rows = [HEADINGS, *map(_row, result.settings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    lines.append("")
    lines += [line for setting in result.settings for line in _remarks(setting)]
    return "\n".join(lines)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def _row(setting: SettingResult) -> tuple[str, ...]:
    latency: Percentiles = setting.handshakes.latency_ms
    return (
        setting.label,
        *(_seconds(setting.registration_s[rank]) for rank in ("50", "90", "100")),
        _seconds(None if setting.storm_ns is None else setting.storm_ns / 1e9),
        *(_seconds(None if ms is None else ms / 1e3) for ms in (latency.p50, latency.p90, latency.p99, latency.max)),
        "-" if setting.handshakes.cpu_ms.p50 is None else f"{setting.handshakes.cpu_ms.p50:.1f}",
        f"{setting.busy_s:.1f}",
        str(sum(setting.timeouts.values())),
        str(setting.watchdog_resets),
    )


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f}"


def _remarks(setting: SettingResult) -> list[str]:
    """In words: how it went, what the CPU was spent on, what was in vain."""
    kinds = sorted(setting.cpu_s_by_kind.items(), key=lambda entry: -entry[1])[:KINDS]
    spent = ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in kinds)
    ended = "" if setting.all_registered_ns is not None or setting.outcome != "interrupted" else " (interrupted)"
    lines = [f"{setting.label}: {setting.sentence}{ended}; cpu: {spent}"]
    shakes = setting.handshakes
    if shakes.failed:
        lines.append(
            f"    {shakes.failed} handshakes in vain beside {shakes.count} others, for "
            f"{shakes.wasted_cpu_s:.1f} s of cpu; {setting.attempts} attempts of {setting.phones} phones"
        )
    if setting.failures:
        reasons = sorted(setting.failures.items(), key=lambda entry: (-entry[1], entry[0]))
        lines.append("    failed attempts: " + ", ".join(f"{count} x {reason}" for reason, count in reasons))
    if setting.refused_connections:
        lines.append(
            f"    {setting.refused_connections} connections closed at once: the registrar had as many, or as long a "
            "line, as it takes"
        )
    return lines
