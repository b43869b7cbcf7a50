"""What somebody in front of a terminal sees, and what a log file does not."""

from __future__ import annotations

import io

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
    assert first.count("waiting") == 2
    assert "10 of 20 registered  t = 1.5 s" in later[-1]
    assert "5 of 20 registered  before the cut" in later[-1]
    assert later[-1].count("\n") == 2
    assert "[###############...............]" in later[-1]


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    lines = ProgressLines(["1024-bit"], out)
    lines.watch(0, Progress(0, 1, 2))
    lines.close()
    assert out.getvalue() == ""
