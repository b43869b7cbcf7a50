"""Each setting by itself: the CPU's load by kind of work, what was waiting, how long handshakes took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from firmware.admin.markup import Markup, element
from hil.storm.page.axis import Axis, coarser, count_axis, mean, percent_axis, time_axis
from hil.storm.page.charts import span_words, spread_of
from hil.storm.page.figures import Figures
from hil.storm.page.looks import look, name_in_legend
from hil.storm.page.plot import Flag, area_path, bar_path, legend, path, plot, step_path, upright
from hil.storm.page.units import count, duration, percent, plural
from hil.storm.page.words import QUEUES, kind_words, result_words

KIND_SLOTS = ("rsa-private", "rsa-public", "tls", "hash", "cipher", "keygen", "sip", "parse")
"""Kinds of work that have a colour of their own."""

MOST_KINDS = 6
REST = "everything else"

COLUMNS = 180
"""Buckets of a chart of load or queues, at most: it is not wider than some 500 pixels."""

COLUMNS_OF_MANY = 90
MANY = 8
"""From so many settings on, charts are drawn coarser, or the page becomes heavy."""

COMMON_AXIS_UP_TO = 2.5
"""Durations that differ by no more than that are shown on one axis of time."""

QUEUE_SLOTS = ("connections", "handshakes", "ready service", "ready background", "ready console", "ready urgent")
FLAG_ROWS = 2
"""Above a histogram, in every column."""

ALWAYS_SHOWN = QUEUE_SLOTS[:3]
WORTH_SHOWING = 0.25
"""Any other queue is drawn when it comes up to this part of the longest one."""

LONG = 5
"""And when it ever was as long as that."""


@dataclass(frozen=True)
class Scales:
    """What the settings' charts have in common."""

    kinds: tuple[str, ...]
    """That have an area of their own, from the bottom."""
    rest: bool
    """Whether there is anything else."""
    queues: tuple[str, ...]
    longest_queue: float
    longest_ms: float
    shown_s: float
    """The longest time that any chart shows."""
    common_axis: bool
    columns: int


def scales_from(everyone: Sequence[Figures]) -> Scales:
    """The same for all, so that charts can be compared."""
    spent: Counter[str] = Counter()
    for each in everyone:
        spent.update({kind: sum(values) for kind, values in each.setting.load.kinds.items()})
    kinds = tuple(kind for kind, _ in spent.most_common() if kind in KIND_SLOTS and spent[kind])[:MOST_KINDS]
    peaks: Counter[str] = Counter()
    for each in everyone:
        for name, values in each.setting.queues.items():
            if name != "t_s":
                peaks[name] = max(peaks[name], round(max(values, default=0)))
    highest = max(peaks.values(), default=0)
    queues = [
        name
        for name, peak in peaks.items()
        if peak and (name in ALWAYS_SHOWN or peak >= max(LONG, WORTH_SHOWING * highest))
    ]
    known = sorted(queues, key=lambda name: QUEUE_SLOTS.index(name) if name in QUEUE_SLOTS else len(QUEUE_SLOTS))
    return Scales(
        kinds=kinds,
        rest=any(spent[kind] for kind in spent if kind not in kinds),
        queues=tuple(known),
        longest_queue=max((peaks[name] for name in queues), default=0),
        longest_ms=max((each.setting.handshakes.histogram.edges_ms[-1:] or (0.0,))[0] for each in everyone),
        shown_s=max(each.shown_s for each in everyone),
        common_axis=spread_of(each.shown_s for each in everyone) <= COMMON_AXIS_UP_TO,
        columns=COLUMNS if len(everyone) < MANY else COLUMNS_OF_MANY,
    )


def closeups(everyone: Sequence[Figures]) -> tuple[Markup, Markup]:
    """What the colours mean, and a column of charts for each setting."""
    scales = scales_from(everyone)
    key = element(
        "div",
        element("p", element("b", "CPU load")),
        legend([(f"k-{kind}", kind_words(kind)) for kind in scales.kinds] + [("k-rest", REST)] * scales.rest),
        element("p", element("b", "Waiting")) if scales.queues else None,
        legend([(f"line {queue_look(name)}", QUEUES.get(name, name)) for name in scales.queues])
        if scales.queues
        else None,
        class_="keys",
    )
    return key, element("div", *(_column(each, everyone, scales) for each in everyone), class_="closeups")


def queue_look(name: str) -> str:
    """The classes of a queue's line."""
    return f"q{QUEUE_SLOTS.index(name)}" if name in QUEUE_SLOTS else "q9"


def _column(each: Figures, everyone: Sequence[Figures], scales: Scales) -> Markup:
    until_s = scales.shown_s if scales.common_axis else each.shown_s
    x = time_axis(until_s)
    length = element("div")
    if not scales.common_axis:
        part = element("i", style=f"width:{each.shown_s / scales.shown_s * 100:.3g}%")
        words = f"shown: {span_words(each)}"
        length = element("div", element("div", part, class_="stretch"), element("p", words), class_="length")
    swatch = element("i", class_=f"swatch line {look(each)}")
    heading = element("h3", swatch, name_in_legend(each, everyone), ": ", result_words(each))
    charts = [_load(each, x, scales), _queues(each, x, scales), _latencies(each, scales)]
    return element("article", heading, length, *charts, class_="closeup")


def _chart(title: str, *content: Markup) -> Markup:
    return element("figure", element("figcaption", element("h4", title)), *content)


def _none(words: str) -> Markup:
    return element("p", words, class_="none")


def _last_registered(each: Figures, x: Axis) -> list[Markup]:
    return [upright(each.all_s, x, "last")] if each.all_s is not None and each.all_s < each.shown_s else []


def _load(each: Figures, x: Axis, scales: Scales) -> Markup:
    title = "CPU load"
    if each.load_peak is None or each.load_mean is None:
        return _chart(title, _none("Nothing was measured."))
    load, y = each.setting.load, percent_axis()
    until_s = min(each.shown_s, x.high)
    parts = [(kind, f"k-{kind}", load.kinds.get(kind, ())) for kind in scales.kinds]
    if scales.rest:
        others = [values for kind, values in load.kinds.items() if kind not in scales.kinds]
        parts.append((REST, "k-rest", tuple(map(sum, zip(*others, strict=True)))))
    below = [0.0] * len(load.t_s)
    areas = []
    for name, class_, values in parts:
        if not any(values):
            continue
        below = [lower + value for lower, value in zip(below, values, strict=True)]
        shape = area_path(coarser(load.t_s, below, until_s, scales.columns, mean), x, y, until_s)
        areas.append(path(shape, "area", class_, name=kind_words(name)))
    words = f"peak {percent(each.load_peak)}, mean {percent(each.load_mean)}"
    drawing = plot(
        f"load-{each.number}",
        f"CPU load, {each.label}",
        f"Load of the gateway's CPU over time by kind of work: {words}.",
        x,
        y,
        [*reversed(areas), *_last_registered(each, x)],  # each covers the lower part of the one before
        unit_x=f"{x.unit} after the power came back",
        unit_y="of the CPU",
        told="stack",
    )
    return _chart(f"{title}: {words}", drawing)


def _queues(each: Figures, x: Axis, scales: Scales) -> Markup:
    title = "Waiting"
    if not scales.queues:
        return _chart(title, _none("Nothing ever waited."))
    y = count_axis(scales.longest_queue)
    starts_s = each.setting.queues.get("t_s", ())
    until_s = min(each.shown_s, x.high)
    lines = []
    for name in scales.queues:
        values = each.setting.queues.get(name, ())
        if any(values):
            shape = step_path(coarser(starts_s, values, until_s, scales.columns, max), x, y, until_s)
            lines.append(path(shape, "line", queue_look(name), name=QUEUES.get(name, name)))
    if not lines:
        return _chart(title, _none("Nothing ever waited."))
    highest = {name: max(each.setting.queues.get(name, ()), default=0) for name in scales.queues}
    told = "; ".join(f"{QUEUES.get(name, name)}: up to {count(number)}" for name, number in highest.items())
    drawing = plot(
        f"queues-{each.number}",
        f"What was waiting, {each.label}",
        f"Lengths of queues on the gateway over time. {told}.",
        x,
        y,
        [*lines, *_last_registered(each, x)],
        unit_x=f"{x.unit} after the power came back",
        unit_y="phones or tasks",
        told="count",
    )
    waiting = highest.get("connections") or highest.get("handshakes") or 0
    return _chart(f"{title}: up to {plural(round(waiting), 'phone')}", drawing)


def _latencies(each: Figures, scales: Scales) -> Markup:
    title = "From the attempt to the open TLS connection"
    shakes = each.setting.handshakes
    bars, latency = shakes.histogram, shakes.latency_ms
    if not bars.counts or latency.p50 is None or latency.max is None:
        return _chart(title, _none("No connection was opened."))
    x, y = time_axis(scales.longest_ms / 1e3), count_axis(max(bars.counts))
    edges_s = [edge / 1e3 for edge in bars.edges_ms]
    width = duration(edges_s[1] - edges_s[0])
    flags = [Flag(value_ms / 1e3, text) for text, value_ms in _told_once(each)]
    words = f"half of them within {duration(latency.p50 / 1e3)}, all within {duration(latency.max / 1e3)}"
    drawing = plot(
        f"latency-{each.number}",
        f"Waiting for TLS, {each.label}",
        f"Histogram of {plural(each.connected, 'connection')}: {words}.",
        x,
        y,
        [path(bar_path(edges_s, bars.counts, x, y), "pillars", look(each), name="connections")],
        unit_x=f"{x.unit} from the attempt to the open TLS connection",
        unit_y=f"connections, bars of {width}",
        flags=flags,
        room=FLAG_ROWS,
        told="count",
    )
    missed = f"; {plural(each.fruitless, 'attempt')} without one not shown" if each.fruitless else ""
    return _chart(f"Waiting for TLS: {words}{missed}", drawing)


def _told_once(each: Figures) -> list[tuple[str, float]]:
    """What is marked above the bars; what falls together is marked together."""
    latency = each.setting.handshakes.latency_ms
    marks: list[tuple[str, float]] = []
    for text, value in (("p50", latency.p50), ("max", latency.max)):
        if value is None:
            continue
        if marks and value == marks[-1][1]:
            marks[-1] = (f"{marks[-1][0]}, {text}", value)
        else:
            marks.append((text, value))
    return marks
