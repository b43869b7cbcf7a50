"""Tables: the verdict in figures, the CPU's time by kind, what was set, what the model knows, how to do it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from firmware.admin.markup import Markup, element, join
from hil.storm.page.figures import Figures
from hil.storm.page.looks import look, name_in_legend
from hil.storm.page.plot import cell, table
from hil.storm.page.units import BLANK, NOTHING, count, duration, percent
from hil.storm.page.words import TIMEOUT_REASONS, TIMEOUTS, kind_words, parameter_words, reason_words
from hil.storm.result import RANKS, StormResult

NEVER = "never"


def name_cell(each: Figures, everyone: Sequence[Figures]) -> Markup:
    """A setting, with its colour."""
    return join(element("i", class_=f"swatch line {look(each)}"), name_in_legend(each, everyone))


def seconds(value_s: float | None, absent: str = NOTHING) -> Markup:
    """A time in seconds for a column of such; its whole value in the markup."""
    if value_s is None:
        return element("span", absent, class_="absent")
    text = "<0.01" if 0 < value_s < 0.005 else f"{value_s:.2f}" if value_s < 99.995 else f"{value_s:.1f}"
    return element("data", text, value=f"{value_s:.9g}", title=duration(value_s))


def milliseconds(value_ms: float | None) -> Markup:
    """The same, of milliseconds."""
    if value_ms is None:
        return element("span", NOTHING, class_="absent")
    return element("data", count(value_ms) if value_ms >= 999.5 else f"{value_ms:.1f}", value=f"{value_ms:.9g}")


def number(value: int, *, bad: bool = False) -> Markup:
    """A count; one that should be zero and is not stands out."""
    return element("data", count(value), value=value, class_="bad" if bad and value else None)


def _fraction(value: float | None) -> str:
    return NOTHING if value is None else percent(value)


# -- the verdict


VERDICT_GROUPS = (
    ("Registered after, s", tuple(f"{rank}{BLANK}%" for rank in RANKS)),
    ("TLS handshake, s", ("p50", "p90", "p99", "max")),
    ("CPU", ("per handshake, ms", "per minute at most", "load, peak", "load, mean")),
    ("Attempts", ("per phone", "timeouts", "failures", "watchdog resets")),
)
"""Titles of columns that belong together, and the columns."""


def verdict_table(everyone: Sequence[Figures]) -> Markup:
    """One row per setting, everything that is decided by."""
    titles = (element("th", title, colspan=len(columns), scope="colgroup") for title, columns in VERDICT_GROUPS)
    head = element("tr", element("td"), *titles)
    columns = (
        element("th", words, scope="col", class_="first" if index == 0 else None)
        for _, columns in VERDICT_GROUPS
        for index, words in enumerate(columns)
    )
    second = element("tr", element("th", "Setting", scope="col"), *columns)
    caption = "All settings in figures"
    body = element("tbody", *(_verdict_row(each, everyone) for each in everyone))
    whole = element("table", element("caption", caption), element("thead", head, second), body, class_="verdicts broad")
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _verdict_row(each: Figures, everyone: Sequence[Figures]) -> Markup:
    setting, latency = each.setting, each.setting.handshakes.latency_ms
    rate = each.handshakes_per_minute
    groups: tuple[tuple[Markup | str, ...], ...] = (
        tuple(seconds(setting.registration_s.get(str(rank)), NEVER) for rank in RANKS),
        tuple(
            seconds(None if value is None else value / 1e3)
            for value in (latency.p50, latency.p90, latency.p99, latency.max)
        ),
        (
            milliseconds(setting.handshakes.cpu_ms.p50),
            NOTHING if rate is None else count(rate) if rate >= 9.5 else f"{rate:.1f}",
            _fraction(each.load_peak),
            _fraction(each.load_mean),
        ),
        (
            NOTHING if each.attempts_each is None else f"{each.attempts_each:.1f}",
            number(sum(setting.timeouts.values()), bad=True),
            number(sum(setting.failures.values()), bad=True),
            number(setting.watchdog_resets, bad=True),
        ),
    )
    cells = [
        cell(f"{title}: {words}", content, "first" if index == 0 else None)
        for (title, columns), group in zip(VERDICT_GROUPS, groups, strict=True)
        for index, (words, content) in enumerate(zip(columns, group, strict=True))
    ]
    return element("tr", element("th", name_cell(each, everyone), scope="row"), *cells)


VERDICT_NOTES = (
    "Registered: time from power back to the 200 OK of that part of the phones. Handshake: as the phone sees it, from "
    "its attempt to the open TLS connection, waiting included; attempts that came to nothing are not in it. CPU per "
    "handshake: median of what one costs the gateway, and how many it could do in a minute if it did nothing else. "
    "Mean load: from the first attempt to the last registration. Attempts per phone: of those that got registered. "
    "Never: not before the run ended."
)


def failures_table(everyone: Sequence[Figures]) -> Markup | None:
    """Failed attempts by reason, and timeouts by what was waited for; None when nothing failed."""
    reasons: Counter[str] = Counter()
    for each in everyone:
        reasons.update(each.setting.failures)
    waits = [kind for kind in TIMEOUTS if not all(_told(kind, each) for each in everyone)]
    refused = any(each.setting.refused_connections for each in everyone)
    if not reasons and not waits and not refused:
        return None
    ordered = [reason for reason, _ in sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0]))]
    headings: list[Markup | str] = ["Setting", *map(_reason_heading, ordered)]
    headings += [f"of them timeouts: {TIMEOUTS[kind]}" for kind in waits] + ["closed at once, gateway full"] * refused
    rows: list[list[Markup | str]] = []
    for each in everyone:
        row: list[Markup | str] = [name_cell(each, everyone)]
        row += [number(each.setting.failures.get(reason, 0)) for reason in ordered]
        row += [number(each.setting.timeouts.get(kind, 0)) for kind in waits]
        rows.append(row + [number(each.setting.refused_connections)] * refused)
    return table(headings, rows, "Failed attempts by reason", "broad")


def _told(kind: str, figures: Figures) -> bool:
    """Whether the attempts that failed for it say already how many timeouts there were, most often none."""
    failures = figures.setting.failures
    return figures.setting.timeouts.get(kind, 0) == sum(failures.get(reason, 0) for reason in TIMEOUT_REASONS[kind])


def _reason_heading(reason: str) -> Markup | str:
    words = reason_words(reason)
    return reason if words == reason else join(words, " ", element("code", reason))


# -- the CPU's time


def cpu_table(everyone: Sequence[Figures]) -> Markup | None:
    """What the CPU's time went into, from power to the end; None when nothing was measured."""
    spent: Counter[str] = Counter()
    for each in everyone:
        spent.update(each.setting.cpu_s_by_kind)
    kinds = [kind for kind, _ in sorted(spent.items(), key=lambda entry: (-entry[1], entry[0]))]
    if not kinds:
        return None
    headings: list[Markup | str] = ["Setting", "all, s", "of it for nothing, s"]
    headings += [join(kind_words(kind), ", s") for kind in kinds]
    rows: list[list[Markup | str]] = []
    for each in everyone:
        row: list[Markup | str] = [name_cell(each, everyone), seconds(each.setting.busy_s)]
        row.append(seconds(each.setting.handshakes.wasted_cpu_s))
        rows.append(row + [seconds(each.setting.cpu_s_by_kind.get(kind, 0.0)) for kind in kinds])
    return table(headings, rows, "CPU time by kind of work, from power to the end", "broad")


def queues_table(everyone: Sequence[Figures], names: Sequence[str], words: dict[str, str]) -> Markup | None:
    """The longest that each queue was; None when nothing ever waited."""
    if not names:
        return None
    rows = [
        [name_cell(each, everyone)]
        + [number(round(max(each.setting.queues.get(name, ()), default=0))) for name in names]
        for each in everyone
    ]
    return table(["Setting", *(words.get(name, name) for name in names)], rows, "Most that ever waited")


# -- what was set, and how to do it again


def parameters_list(everyone: Sequence[Figures]) -> Markup:
    """What all settings share, as a list; what sets them apart, as a table."""
    names = list(dict.fromkeys(name for each in everyone for name in each.setting.parameters))
    values = {name: [each.setting.parameters.get(name) for each in everyone] for name in names}
    shared = [name for name in names if all(value == values[name][0] for value in values[name])]
    items = []
    for name in shared:
        words, shown = parameter_words(name, values[name][0])
        items.append(element("div", element("dt", words), element("dd", shown)))
    apart = [name for name in names if name not in shared]
    rows = [
        [name_cell(each, everyone)] + [parameter_words(name, each.setting.parameters.get(name))[1] for name in apart]
        for each in everyone
    ]
    headings = ["Setting", *(parameter_words(name, None)[0] for name in apart)]
    differing = table(headings, rows, "What differs", "texts") if apart else Markup()
    return join(element("dl", *items, class_="facts"), differing)


def repetition(result: StormResult, everyone: Sequence[Figures]) -> Markup:
    """The command, the seed, and the digests by which a repetition is recognised."""
    rows = [[name_cell(each, everyone), element("code", each.setting.digest)] for each in everyone]
    return join(
        element("pre", element("code", result.command), tabindex="0"),
        element(
            "p",
            "Seed ",
            element("data", str(result.seed), value=result.seed),
            ": the same command gives the same figures on every computer, and the same digests.",
        ),
        table(["Setting", "SHA-256 over the trace of the run"], rows, "Digests", "texts") if rows else None,
    )
