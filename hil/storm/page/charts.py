"""The charts that set all settings side by side: registered phones, waiting for TLS, what became of attempts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from firmware.admin.markup import Markup, element, join
from hil.storm.page.axis import Axis, count_axis, log_time_axis, percent_axis, time_axis
from hil.storm.page.figures import Figures
from hil.storm.page.looks import MOST_NAMED, look, name_in_legend, numbered
from hil.storm.page.plot import Flag, dot, flag_rows, legend, path, plot, slope_path, step_path
from hil.storm.page.units import count, duration, percent, plural
from hil.storm.page.words import reason_words, result_words

ONE_MARK = 30
"""Units of a chart: of many settings, ends that lie closer together than that have one flag."""

WORTH_LOGARITHMS = 4
"""From this ratio between the durations on, a chart with a logarithmic axis stands beside the linear one."""

LONGEST_RUN_UP = 30
"""How many times its first registration the quickest setting's duration may be on the logarithmic axis."""

POINTS = 260
"""Of a line of registrations, at most."""


def settings_legend(everyone: Sequence[Figures]) -> Markup:
    """Which line is which setting."""
    entries = [(f"line {look(each)}", name_in_legend(each, everyone)) for each in everyone]
    return legend(entries) if len(everyone) > 1 else Markup()


def panel(title: str, text: str, *content: Markup, class_: str = "") -> Markup:
    """A chart with its title and how to read it."""
    caption = element("figcaption", element("h3", title), element("p", text))
    return element("figure", caption, element("div", *content), class_=f"panel {class_}".strip())


# -- registered phones over time


def registered_charts(everyone: Sequence[Figures]) -> Markup:
    """In one chart; in two where the durations differ so much that the quick ones would be lost in one."""
    high_s = max(each.shown_s for each in everyone)
    spans = [each.span_s for each in everyone if each.setting.registered_at_end or each.all_s is not None]
    axes = {"registered": time_axis(high_s)}
    if len(spans) > 1 and min(spans) > 0 and max(spans) > WORTH_LOGARITHMS * min(spans):
        firsts = [time_s for each in everyone for time_s, number in each.setting.registered if number and time_s > 0]
        low_s = max(min(firsts, default=0.0), min(spans) / LONGEST_RUN_UP)
        axes["registered-log"] = log_time_axis(low_s, high_s)
    room = max(max(flag_rows(_flags(x, everyone), x)) for x in axes.values()) + 1
    return join(*(_registered(identity, x, everyone, room) for identity, x in axes.items()))


def _flags(x: Axis, everyone: Sequence[Figures]) -> list[Flag]:
    """The ends of the lines."""
    if len(everyone) > MOST_NAMED:
        return _flags_of_many(x, everyone)
    return [Flag(each.span_s, _flag_text(each, everyone), look(each), _height(each)) for each in everyone]


def _height(each: Figures) -> int:
    """Phones at the end of the line: all, or as many as there were."""
    return each.setting.registered_at_end if each.all_s is None else each.setting.phones


def _flags_of_many(x: Axis, everyone: Sequence[Figures]) -> list[Flag]:
    """Numbers alone, neighbours together."""
    groups: list[list[Figures]] = []
    for each in sorted(everyone, key=lambda each: (each.all_s is None, each.span_s, each.number)):
        last = groups[-1][0] if groups else None
        near = last is not None and x.at(each.span_s) - x.at(last.span_s) < ONE_MARK
        if near and last is not None and (last.all_s is None) == (each.all_s is None):
            groups[-1].append(each)
        else:
            groups.append([each])
    flags = []
    for group in groups:
        first, numbers = group[0], ", ".join(str(number) for number in sorted(each.number for each in group))
        depth = min(map(_height, group))
        text = numbers if first.all_s is not None else f"✕ {numbers}"
        flags.append(Flag(first.span_s, text, look(first) if len(group) == 1 else "", depth))
    return flags


def _registered(identity: str, x: Axis, everyone: Sequence[Figures], room: int) -> Markup:
    title = "The same, on a logarithmic axis of time" if x.logarithmic else "From the power to the last registration"
    y = count_axis(max(each.setting.phones for each in everyone), "phones")
    shapes, dots = [], []
    for each in everyone:
        until_s = each.shown_s if each.falls_later else each.span_s
        points = [step for step in each.setting.registered if step[0] <= until_s]
        shapes.append((each, step_path(_thinned(points), x, y, until_s)))
        if each.all_s is not None:
            dots.append(dot(each.all_s, each.setting.phones, x, y, look(each)))
    text = {
        False: "A mark stands where the last phone has its registration.",
        True: "Each step to the right is three times as long: the shape of the quick settings shows here, "
        "how long they take shows in the linear chart.",
    }[x.logarithmic]
    told = "; ".join(f"{each.label}: {result_words(each)}" for each in everyone)
    drawing = plot(
        identity,
        title,
        f"Number of registered phones over time. {told}",
        x,
        y,
        [*_lines(shapes), *dots],
        unit_x="after the power came back, logarithmic" if x.logarithmic else f"{x.unit} after the power came back",
        unit_y="phones",
        flags=_flags(x, everyone),
        room=room,
        class_="tall",
        told="count",
    )
    return panel(title, text, drawing, settings_legend(everyone))


def _flag_text(each: Figures, everyone: Sequence[Figures]) -> str:
    mark = "✕ " if each.all_s is None else ""
    if len(everyone) == 1:
        return f"{mark}{result_words(each)}"
    return f"{mark}{each.number if numbered(everyone) else each.label}: {result_words(each)}"


def _lines(shapes: Sequence[tuple[Figures, str]]) -> list[Markup]:
    """A line per setting; one that a later one lies upon is broader, so that it shows."""
    lines = []
    for index, (each, shape) in enumerate(shapes):
        covered = any(shape == later for _, later in shapes[index + 1 :])
        stays = each.all_s is not None and not each.falls_later
        classes = ["under"] * covered + ["stays"] * stays
        lines.append(path(shape, "line", look(each), *classes, name=each.label))
    return lines


def _thinned(points: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """As many as a chart can show; the last one always."""
    stride = -(-len(points) // POINTS) or 1
    return [point for index, point in enumerate(points) if index % stride == 0 or index == len(points) - 1]


# -- how long a phone waits for TLS


def waiting_chart(everyone: Sequence[Figures]) -> Markup:
    """Which part of all attempts had its TLS connection within so long."""
    high_ms = max((each.setting.handshakes.histogram.edges_ms[-1:] or (0.0,))[0] for each in everyone)
    x, y = time_axis(high_ms / 1e3), percent_axis()
    if not high_ms:
        return panel("How long a phone waits for its TLS connection", "No connection was opened.")
    lines = _lines([(each, _share_path(each, x, y)) for each in everyone if each.connected])
    told = "; ".join(f"{each.label}: {_share_words(each)}" for each in everyone)
    drawing = plot(
        "waiting",
        "Attempts that had their TLS connection, by how long it took",
        f"Share of all attempts of the phones to connect. {told}",
        x,
        y,
        lines,
        unit_x=f"{x.unit} from the attempt to the open TLS connection",
        unit_y="of all attempts",
        class_="tall",
        told="percent",
    )
    entries = [
        (f"line {look(each)}", join(name_in_legend(each, everyone), ": ", _share_words(each))) for each in everyone
    ]
    text = (
        "Of all attempts, failed ones included: where a line stays below 100 %, the others were given up, or still "
        "open at the end."
    )
    return panel("How long a phone waits for its TLS connection", text, drawing, legend(entries))


def _share_words(each: Figures) -> str:
    if not each.setting.attempts:
        return "no attempts"
    share = min(1.0, each.connected / each.setting.attempts)
    return f"{percent(share)} of {plural(each.setting.attempts, 'attempt')}"


def _share_path(each: Figures, x: Axis, y: Axis) -> str:
    bars = each.setting.handshakes.histogram
    whole = max(each.setting.attempts, each.connected)
    points = [(0.0, 0.0)] + [
        (edge / 1e3, number / whole) for edge, number in zip(bars.edges_ms[1:], accumulate(bars.counts), strict=True)
    ]
    return slope_path([*points, (x.high, points[-1][1])], x, y)


# -- what became of the attempts


def attempts_chart(everyone: Sequence[Figures]) -> Markup:
    """Bars of attempts: those that led to a connection, and those that did not."""
    title = "What became of the phones' attempts"
    most = max(each.setting.attempts for each in everyone)
    if not most:
        return panel(title, "No phone made an attempt.")
    rows = [_attempts(each, most, everyone) for each in everyone]
    key = legend([("got", "TLS connection open"), ("missed", "came to nothing, or still open at the end")])
    if not any(each.fruitless or each.setting.failures for each in everyone):
        text = "Every attempt led to a connection: no phone lost its patience, none was refused."
    else:
        text = "A phone whose attempt fails tries again later; until then the CPU's work for it was for nothing."
    return panel(title, text, element("dl", *rows, class_="bars"), key)


def _attempts(each: Figures, most: int, everyone: Sequence[Figures]) -> Markup:
    got, missed = bar_part(each.connected / most, "got"), bar_part(each.fruitless / most, "missed")
    words = [f"{count(each.connected)} of {plural(each.setting.attempts, 'attempt')} led to a connection"]
    reasons = sorted(each.setting.failures.items(), key=lambda entry: (-entry[1], entry[0]))
    words += [f"{count(number)} × {reason_words(reason)}" for reason, number in reasons]
    return element(
        "div",
        element("dt", element("i", class_=f"swatch line {look(each)}"), name_in_legend(each, everyone)),
        element("dd", "; ".join(words), class_="words"),
        element("dd", got, missed, class_="bar", aria_hidden="true"),
        class_=look(each),
    )


def bar_part(fraction: float, class_: str) -> Markup:
    """A piece of a bar; nothing where there is nothing."""
    return element("i", class_=class_, style=f"width:{fraction * 100:.4g}%") if fraction > 0 else Markup()


def spread_of(values: Iterable[float]) -> float:
    """How many times the largest is the smallest, of those above zero; 1 of none."""
    known = [value for value in values if value > 0]
    return max(known) / min(known) if known else 1.0


def span_words(figures: Figures) -> str:
    """Which time a setting's charts show."""
    return f"0 to {duration(figures.shown_s)}"
