"""What somebody in front of a terminal sees, and what a log file does not."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable

import pytest

from hil.storm.progress import ProgressLines
from hil.storm.run import Progress


class FakeTerminal(io.StringIO):
    """Text that says it goes to a terminal. Not modelled: a screen."""

    def isatty(self) -> bool:
        return True


def test_each_setting_has_a_line_that_is_redrawn_in_place() -> None:
    out = FakeTerminal()
    lines = ProgressLines(["1024-bit", "4096-bit"], out)
    lines.watch(0, Progress(1_500_000_000, 10, 20))
    lines.watch(1, Progress(-1, 5, 20))
    lines.close()
    first, *later = out.getvalue().split("\x1b[2A")
    assert first.count("finding keys") == 2
    assert "10 of 20 registered  t = 1.5 s" in later[-1]
    assert "5 of 20 registered  before the cut" in later[-1]
    assert later[-1].count("\n") == 2
    assert "[###############...............]" in later[-1]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], FakeTerminal]:
    """``screen(columns, lines)``: a terminal of that size."""

    def of_size(columns: int, lines: int) -> FakeTerminal:
        out = FakeTerminal()
        monkeypatch.setattr(out, "fileno", lambda: 99, raising=False)
        monkeypatch.setattr(os, "get_terminal_size", lambda _descriptor: os.terminal_size((columns, lines)))
        return out

    return of_size


def drawn(text: str) -> list[str]:
    """The lines of the last drawing."""
    return re.split(r"\x1b\[\d+A", text)[-1].replace("\x1b[K", "").splitlines()


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (120, "v11, 4096-bit  [###############...............] 100 of 200 registered  t = 1.5 s"),
        (80, "v11, 4096-bit  [############............] 100 of 200 registered  t = 1.5 s"),
        (60, "v11, 4096-bit  100 of 200 registered  t = 1.5 s"),
        (30, "v11, 4096-bit  100 of 200 reg"),
    ],
)
def test_no_line_is_longer_than_the_screen_is_wide(
    columns: int, line: str, screen: Callable[[int, int], FakeTerminal]
) -> None:
    out = screen(columns, 24)
    lines = ProgressLines(["v11, 4096-bit"], out)
    lines.watch(0, Progress(1_500_000_000, 100, 200))
    lines.close()
    assert drawn(out.getvalue()) == [line]
    assert len(line) < columns


def test_of_more_settings_than_lines_those_are_shown_that_are_run(screen: Callable[[int, int], FakeTerminal]) -> None:
    out = screen(80, 6)
    lines = ProgressLines([f"setting {number}" for number in range(1, 25)], out)
    assert out.getvalue().count("\n") == 5  # the sixth is the cursor's
    lines.watch(9, Progress(1_500_000_000, 100, 200))
    lines.close()
    shown = drawn(out.getvalue())
    assert [line.split("  ")[0] for line in shown] == [
        *(f"setting {number}" for number in (7, 8, 9, 10)),
        "(7 to 10 of 24 settings)",
    ]
    assert "\x1b[5A" in out.getvalue()


def test_a_terminal_without_a_size_is_taken_for_a_usual_one(screen: Callable[[int, int], FakeTerminal]) -> None:
    out = screen(0, 0)
    ProgressLines(["1024-bit"], out).close()
    assert drawn(out.getvalue()) == ["1024-bit  finding keys"]


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    lines = ProgressLines(["1024-bit"], out)
    lines.watch(0, Progress(0, 1, 2))
    lines.close()
    assert out.getvalue() == ""
