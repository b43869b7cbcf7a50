"""How a setting looks and what it is called, the same in every chart and table."""

from __future__ import annotations

from collections.abc import Sequence

from firmware.admin.markup import Markup, element, join
from hil.storm.page.figures import Figures
from hil.storm.page.units import BLANK

COLOURS = 6
"""That can be told apart, with every kind of colour vision; then lines are dashed, dotted and double."""

MOST_NAMED = 6
"""Settings that are named in a chart; more are numbered there."""

LONGEST_NAME = 16
"""Characters of a label that is shown in a chart."""

LONGEST_PART = 20
"""Characters of a part of a label that is kept on one line."""


def look(figures: Figures) -> str:
    """The classes that give a setting its colour and its kind of line, the same in every chart."""
    index = figures.number - 1
    return f"s{index % COLOURS} d{index // COLOURS % 4}"


def numbered(everyone: Sequence[Figures]) -> bool:
    """Whether charts have no room for labels."""
    return len(everyone) > MOST_NAMED or (
        len(everyone) > 1 and max(len(each.label) for each in everyone) > LONGEST_NAME
    )


def name_in_legend(figures: Figures, everyone: Sequence[Figures]) -> Markup:
    """Its label, with its number where charts use that; lines break between its parts, not within."""
    first, *others = figures.label.split(", ")
    parts = [f"{figures.number}{BLANK}· {first}" if numbered(everyone) else first, *others]
    spans = [
        element(
            "span",
            part,
            "," if part_number < len(parts) else None,
            class_="part" if len(part) <= LONGEST_PART else None,
        )
        for part_number, part in enumerate(parts, 1)
    ]
    return join(spans[0], *(piece for span in spans[1:] for piece in (" ", span)))
