"""One case of a sweep, the world that it runs in, and what came of it: plain values that travel between processes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from hil.bench import Bench

if TYPE_CHECKING:
    from hil.gateway import Gateway
    from hil.sweep.models import ModelFile

__all__ = [
    "NO_FAULTS",
    "OUTCOMES",
    "Case",
    "CaseBench",
    "FaultPlan",
    "Measured",
    "Outcome",
    "Result",
    "Value",
    "option_of_axis",
    "value_from_text",
]

Value = int | float | str | bool
"""What a scenario may measure: a cell of a table."""

Outcome = Literal["ok", "failed", "error"]
"""``failed``: the device did something wrong; ``error``: the scenario did, or the worker died."""

OUTCOMES: tuple[Outcome, ...] = ("ok", "failed", "error")

NO_FAULTS = "none"
"""A plan like any other: nothing is broken on purpose."""


class FaultPlan(Protocol):
    """What is broken, and when; it travels to the worker with its case."""

    def apply(self, gateway: Gateway) -> object:
        """Breaks it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One point of the grid. A scenario takes from it what it needs: ``case.key_bits``, ``case["phones"]``.

    Attributes:
        seed: of the world; the same case makes the same run, to the last event.
        hash: of signatures, in the console's spelling: ``SHA256``.
        faults: the fault plan as it was named, or ``none``.
        extra: further axes: (name, value as it was typed).
        digests: of model files: (axis, what tells their contents apart).
        plan: the fault plan itself.
        files: the model files themselves, by axis.
    """

    scenario: str
    seed: int
    model: str = "ip800"
    key_bits: int = 1024
    hash: str = "SHA256"
    faults: str = NO_FAULTS
    extra: tuple[tuple[str, str], ...] = ()
    digests: tuple[tuple[str, str], ...] = ()
    plan: FaultPlan | None = field(default=None, compare=False, repr=False)
    files: Mapping[str, ModelFile] = field(default_factory=dict, compare=False, repr=False)

    def __getitem__(self, name: str) -> Value:
        """The value of a further axis: a number or a truth value where its text is one."""
        return value_from_text(dict(self.extra)[name])

    @property
    def axes(self) -> dict[str, Value]:
        """Where in the grid it lies: the first columns of its row."""
        own: dict[str, Value] = {
            "scenario": self.scenario,
            "seed": self.seed,
            "model": self.model,
            "key_bits": self.key_bits,
            "hash": self.hash,
            "faults": self.faults,
        }
        return own | {name: value_from_text(text) for name, text in self.extra}

    @property
    def repeat(self) -> str:
        """The command that repeats it exactly."""
        words = ["gatebench", "sweep", self.scenario, "--seeds", str(self.seed), "--models", self.model]
        words += ["--keys", str(self.key_bits), "--hashes", self.hash]
        if self.faults != NO_FAULTS:
            words += ["--faults", self.faults]
        for name, text in self.extra:
            # A user's scenario is FILE.py:FUNCTION; further axes of ours are options.
            words += ["--set", f"{name}={text}"] if ":" in self.scenario else [option_of_axis(name), text]
        return shlex.join(words)

    @property
    def told(self) -> Case:
        """The case without what was sent with it: results travel back, and stay, in great numbers."""
        return self if self.plan is None and not self.files else replace(self, plan=None, files={})


def option_of_axis(name: str) -> str:
    """The option by which an axis of one of our scenarios is given."""
    return "--" + name.replace("_", "-")


class CaseBench(Bench):
    """The world of one case. Its fault plan is applied to the first gateway that the scenario makes."""

    def __init__(self, case: Case) -> None:
        super().__init__(case.seed)
        self.repeat = case.repeat
        self._plan = case.plan

    def gateway(self, *args: Any, **kwargs: Any) -> Gateway:
        made = super().gateway(*args, **kwargs)
        if len(self.gateways) == 1 and self._plan is not None:
            self._plan.apply(made)
        return made

    @property
    def plan_was_applied(self) -> bool:
        """Whether the case is the one that its name says."""
        return self._plan is None or bool(self.gateways)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a scenario gives that makes a world of its own, and leaves its case's bench alone.

    Attributes:
        now_ns: how long it took in that world.
        digest: of that world's trace.
        failure: what the device did wrong, where figures are told all the same; empty where it did nothing wrong.
    """

    values: Mapping[str, Value]
    now_ns: int
    digest: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case: one row.

    Attributes:
        message: why it failed; empty where it did not.
        virtual_ms: how long it took in its own world.
        host_s: how long it took here: the one thing that differs from run to run.
        digest: of the world's trace, as far as it came.
    """

    case: Case
    outcome: Outcome
    message: str = ""
    virtual_ms: float = 0.0
    host_s: float = 0.0
    digest: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)


def value_from_text(text: str) -> Value:
    """The number or truth value that a text is; or the text."""
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if re.fullmatch(r"[+-]?([0-9]+\.[0-9]*|\.?[0-9]+)([eE][+-]?[0-9]+)?", text):
        return float(text)
    return text
