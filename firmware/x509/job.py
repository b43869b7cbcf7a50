"""A key job: what is being made in the background, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from firmware.kernel import Event, Task
from firmware.x509.cabinet import DEVICE

Kind = Literal["default", "self-signed", "request", "root-ca", "issue"]
State = Literal["running", "done", "failed", "cancelled"]

TITLES: dict[Kind, str] = {
    "default": "default certificate",
    "self-signed": "self-signed certificate",
    "request": "signing request",
    "root-ca": "root CA",
    "issue": "certificate from the card's CA",
}


@dataclass
class Job:
    """One run of key generation and what follows it. There is one at a time."""

    kind: Kind
    target: str
    """Whose certificate it becomes."""
    key_bits: int
    finished: Event
    state: State = "running"
    fraction: float = 0.0
    """How far the search for the key is, 0 to 1: an estimate, as prime search has no memory."""
    writing: bool = False
    """Whether it is past the point at which it can be cancelled."""
    owned: bool = False
    """Whether a command that is still there began it and tells how it ended, or why not."""
    waiting: int = 0
    """How many wait who will be told how it ended."""
    outcome: str = ""
    """One line for people: what was made, or why not."""
    task: Task | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def title(self) -> str:
        return TITLES[self.kind]

    def line(self) -> str:
        """Where it stands, in one line."""
        what = self.title if self.target in (DEVICE, "card") else f"{self.title} for {self.target}"
        if self.running:
            return f"{what}, {self.key_bits}-bit: {self.fraction:.0%}"
        state = "ready" if self.state == "done" else self.state
        return f"{what} {state}" + (f": {self.outcome}" if self.outcome else "")

    def end(self, state: State, outcome: str) -> None:
        """Sets how it ended, and lets those know who wait."""
        self.state = state
        self.outcome = outcome
        if state == "done":
            self.fraction = 1.0
        self.finished.set()
