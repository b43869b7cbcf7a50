"""What the console client gives back: a pattern that was found, and the answer to a command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Match:
    """A pattern that was found."""

    text: str
    """What matched."""
    groups: tuple[str | None, ...]
    named: dict[str, str | None]
    before: str
    """What had come between the place that was looked from and the match."""
    offset: int
    """Of the first byte of the match, counted from the first byte that the board ever said."""
    end: int
    """One past its last byte."""
    time_ns: int
    """Virtual time at which its last byte was there."""

    def __getitem__(self, group: int | str) -> str | None:
        """A group by its number (0: the whole match) or its name."""
        if isinstance(group, str):
            return self.named[group]
        return self.text if group == 0 else self.groups[group - 1]


@dataclass(frozen=True)
class Reply:
    """What a command answered."""

    text: str
    """The lines between the command's echo and the next prompt, without control sequences."""
    offset: int
    """Where in the console's bytes the command's echo began."""
    time_ns: int
    """Virtual time at which the prompt was back."""
    duration_ms: float
    """Virtual time from the end of the command line to the prompt."""

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def json(self) -> Any:
        """The value of the last line, which must be JSON: what ``/json`` makes a query print."""
        return json.loads(self.lines[-1] if self.lines else "")

    @property
    def error(self) -> str | None:
        """The text behind ``error: ``, when the command failed."""
        return next((line.removeprefix("error: ") for line in self.lines if line.startswith("error: ")), None)
