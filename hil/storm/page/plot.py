"""Charts as markup: a stretched SVG for the shapes, text of the page around it for the labels.

::

    unit of y
    50 +---------------------+   labels at percentages, of the page's own size
       |   svg, stretched    |
     0 +---------------------+
       0     20     40   min     unit of x at the end
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from firmware.admin.markup import Content, Markup, element, join
from hil.storm.page.axis import UNITS, Axis

Points = Sequence[tuple[float, float]]


def step_path(points: Points, x: Axis, y: Axis, until: float) -> str:
    """A line that keeps each value until the next point, and the last until ``until``."""
    if not points:
        return ""
    column, row, moves = _steps(points, x, y, until)
    return f"M{column} {row}{moves}"


def area_path(points: Points, x: Axis, y: Axis, until: float) -> str:
    """The area below such a line."""
    if not points:
        return ""
    column, row, moves = _steps(points, x, y, until)
    return f"M{column} {UNITS}V{row}{moves}V{UNITS}z"


def _steps(points: Points, x: Axis, y: Axis, until: float) -> tuple[int, int, str]:
    """Where a line of steps begins, and how it goes on."""
    first_column, first_row = column, row = x.at(points[0][0]), UNITS - y.at(points[0][1])
    parts = []
    across = 0  # columns that the line has still to go
    for value_x, value_y in [*points[1:], (until, points[-1][1])]:
        new_column, new_row = x.at(value_x), UNITS - y.at(value_y)
        across += new_column - column
        column = new_column
        if new_row != row:
            parts.append((f"h{across}" if across else "") + f"v{new_row - row}")
            row, across = new_row, 0
    return first_column, first_row, "".join(parts) + (f"h{across}" if across else "")


def slope_path(points: Points, x: Axis, y: Axis) -> str:
    """Straight lines from point to point."""
    places = [(x.at(value_x), UNITS - y.at(value_y)) for value_x, value_y in points]
    if not places:
        return ""
    parts = [f"M{places[0][0]} {places[0][1]}"]
    for (left, above), (column, row) in pairwise(places):
        if (left, above) != (column, row):
            parts.append(f"l{column - left} {row - above}")
    return "".join(parts)


def bar_path(edges: Sequence[float], values: Sequence[float], x: Axis, y: Axis) -> str:
    """Bars from edge to edge, those of nothing left out."""
    parts = []
    for left, right, value in zip(edges, edges[1:], values, strict=False):
        if value:
            begin, end = x.at(left), x.at(right)
            height = max(1, y.at(value))
            parts.append(f"M{begin} {UNITS}v-{height}h{max(1, end - begin)}v{height}z")
    return "".join(parts)


def path(shape: str, *classes: str, name: str | None = None) -> Markup:
    """A shape; one with a name tells its value under the pointer."""
    return element("path", d=shape, class_=" ".join(classes), data_name=name)


def dot(value_x: float, value_y: float, x: Axis, y: Axis, *classes: str) -> Markup:
    """A round mark that stretching leaves round: a line of no length with a round end."""
    return path(f"M{x.at(value_x)} {UNITS - y.at(value_y)}h0", "dot", *classes)


def upright(value_x: float, x: Axis, *classes: str) -> Markup:
    """A line from top to bottom."""
    return path(f"M{x.at(value_x)} 0v{UNITS}", *classes)


@dataclass(frozen=True)
class Flag:
    """A label above a chart, with a line down from it."""

    value_x: float
    text: str
    class_: str = ""
    depth: float | None = None
    """Down to this value of y; None: to the bottom."""


FLAG_WIDTH = 270
"""Pixels that the narrowest chart has: flags that do not meet there meet nowhere."""

CHARACTER = 8.0
FLAG_GAP = 14
"""Pixels of a character, and of the space that a flag needs beside its text."""


def flag_rows(flags: Sequence[Flag], x: Axis) -> list[int]:
    """In which row above the chart each flag finds room, from 0, the lowest.

    Neither meet the texts of a row, nor does a flag's line run through a text below it. For that, of flags with their
    text to the right of their line the rightmost comes first, and of the others the leftmost.
    """
    rows: dict[int, int] = {}
    for index in sorted(range(len(flags)), key=lambda index: _turn(flags[index], x)):
        at, (left, right) = _place(flags[index], x), _extent(flags[index], x)
        others = [(rows[each], _place(flags[each], x), _extent(flags[each], x)) for each in rows]
        free = [
            row
            for row in range(len(flags))
            if not any(row == other and left < end and begin < right for other, _, (begin, end) in others)
        ]
        uncrossed = [
            row
            for row in free
            if not any(
                (row > other and begin < at < end) or (row < other and left < line < right)
                for other, line, (begin, end) in others
            )
        ]
        rows[index] = (uncrossed or free)[0]
    return [rows[index] for index in range(len(flags))]


def _turn(flag: Flag, x: Axis) -> tuple[bool, float]:
    leftwards = _leftwards(flag, x)
    return leftwards, _place(flag, x) * (1 if leftwards else -1)


def _place(flag: Flag, x: Axis) -> float:
    return x.at(flag.value_x) / UNITS * FLAG_WIDTH


def _extent(flag: Flag, x: Axis) -> tuple[float, float]:
    at = _place(flag, x)
    width = len(flag.text) * CHARACTER + FLAG_GAP
    return (at - width, at) if _leftwards(flag, x) else (at, at + width)


def _leftwards(flag: Flag, x: Axis) -> bool:
    return x.at(flag.value_x) > UNITS // 2


def plot(
    identity: str,
    title: str,
    description: str,
    x: Axis,
    y: Axis,
    shapes: Iterable[Markup],
    *,
    unit_x: str,
    unit_y: str,
    flags: Sequence[Flag] = (),
    room: int = 0,
    class_: str = "",
    told: str = "",
) -> Markup:
    """A chart.

    Args:
        identity: what its ids begin with; must be the only one on the page.
        unit_x: what is along the axis, with its unit; so is ``unit_y``.
        room: rows that are kept free for flags, at least, so that charts side by side begin at one height.
        told: how values of y are told under the pointer: ``percent``, ``count`` or ``stack`` (of percents).
    """
    grid = "".join(f"M0 {UNITS - y.at(value)}h{UNITS}" for value, _ in y.marks)
    ticks = "".join(f"M{x.at(value)} {UNITS}v-12" for value, _ in x.marks if 0 < x.at(value) < UNITS)
    rows = flag_rows(flags, x)
    height = max([room, *(row + 1 for row in rows)])
    drawing = element(
        "svg",
        element("title", title, id=f"{identity}-title"),
        element("desc", description, id=f"{identity}-desc"),
        path(grid, "grid"),
        *shapes,
        path(ticks, "ticks"),
        viewBox=f"0 0 {UNITS} {UNITS}",
        preserveAspectRatio="none",
        role="img",
        aria_labelledby=f"{identity}-title {identity}-desc",
        data_x=f"{x.low:g},{x.high:g}{',log' if x.logarithmic else ''}",
        data_y=f"{y.low:g},{y.high:g}",
        data_told=told or None,
    )
    return element(
        "div",
        element("p", unit_y, class_="unit"),
        element(
            "div",
            *(_mark(text, f"bottom:{y.place(value)}") for value, text in y.marks),
            class_="rows",
            aria_hidden="true",
        ),
        element(
            "div",
            drawing,
            *(_flag(flag, row, x, y) for flag, row in zip(flags, rows, strict=True)),
            class_="field",
        ),
        element(
            "div",
            *(
                _mark(text, f"left:{x.place(value)}", minor=number % 2 == 1)
                for number, (value, text) in enumerate(x.marks)
            ),
            class_="columns",
            aria_hidden="true",
        ),
        element("p", unit_x, class_="unit along"),
        class_=f"plot {class_}".strip(),
        style=f"--flags:{height}" if height else None,
    )


def _mark(text: str, place: str, *, minor: bool = False) -> Markup:
    return element("span", text, style=place, class_="minor" if minor else None)


def _flag(flag: Flag, row: int, x: Axis, y: Axis) -> Markup:
    depth = "0" if flag.depth is None else y.place(flag.depth)
    classes = ["flag", flag.class_, "leftwards" if _leftwards(flag, x) else ""]
    return element(
        "span",
        element("b", flag.text),
        class_=" ".join(filter(None, classes)),
        style=f"left:{x.place(flag.value_x)};bottom:{depth};--row:{row}",
    )


def legend(entries: Iterable[tuple[str, Content]], *, class_: str = "") -> Markup:
    """(class of the swatch, words) of everything in a chart."""
    items = [element("li", element("i", class_=f"swatch {swatch}"), words) for swatch, words in entries]
    return element("ul", *items, class_=f"legend {class_}".strip())


def table(
    headings: Sequence[Markup | str], rows: Iterable[Sequence[Markup | str]], caption: str, class_: str = ""
) -> Markup:
    """A table whose first column names its rows; it scrolls by itself where there is no room.

    Args:
        class_: ``broad``: of many columns. Where these have no room, each row is a list, as ``cell`` makes it.
    """
    head = element("tr", *(element("th", heading, scope="col") for heading in headings))
    body = []
    for row in rows:
        cells = (cell(heading, each) for heading, each in zip(headings[1:], row[1:], strict=True))
        body.append(element("tr", element("th", row[0], scope="row"), *cells))
    whole = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body), class_=class_ or None
    )
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def cell(heading: Markup | str, content: Markup | str, class_: str | None = None) -> Markup:
    """A cell that says what it is where its column's heading is not to be seen."""
    return element("td", element("span", heading, class_="of"), " ", content, class_=class_)


def paragraphs(texts: Iterable[str], class_: str | None = None) -> Markup:
    """One after the other."""
    return join(*(element("p", text, class_=class_) for text in texts))
