"""What a sweep says: a table by model, the failures with the command that repeats each, and the same as JSON."""

from __future__ import annotations

from typing import Any

from hil.sweep.powerloss.job import Tally
from hil.sweep.powerloss.models import MODELS

__all__ = ["json_from_tally", "text_from_tally"]

SHOWN = 20
"""Failures printed; the JSON has all."""


def repeat_command(state: str, seed: int) -> str:
    """The command that judges one state again."""
    return f"gatebench sweep powerloss --seed {seed} --only {state}"


def text_from_tally(tally: Tally, seed: int, wall_s: float) -> str:
    """The report for people."""
    rows = [("model", "states", "distinct", "losses")]
    rows += [_row(model, tally) for model in _models(tally)]
    total = [f"{sum(counts.values()):,}" for counts in (tally.states, tally.distinct, tally.losses)]
    rows.append(("all", total[0], total[1], total[2]))
    lines = [f"{name:<22}{states:>10}{distinct:>10}{losses:>8}" for name, states, distinct, losses in rows]
    for failure in tally.failures[:SHOWN]:
        lines += ["", *failure.wrong[:4], f"    repeat: {repeat_command(failure.state, seed)}"]
    if len(tally.failures) > SHOWN:
        lines += ["", f"{len(tally.failures) - SHOWN} failures more"]
    lines += ["", _last_line(tally, seed, wall_s)]
    return "\n".join(lines)


def json_from_tally(tally: Tally, seed: int, wall_s: float) -> dict[str, Any]:
    """The report for programs."""
    return {
        "seed": seed,
        "seconds": round(wall_s, 1),
        "states": sum(tally.states.values()),
        "distinct": sum(tally.distinct.values()),
        "losses": sum(tally.losses.values()),
        "seen_by_foreign_programs": tally.seen_by_peers,
        "models": {
            model: {
                "states": tally.states[model],
                "distinct": tally.distinct[model],
                "losses": tally.losses[model],
            }
            for model in _models(tally)
        },
        "failures": [
            {"state": failure.state, "wrong": failure.wrong, "repeat": repeat_command(failure.state, seed)}
            for failure in tally.failures
        ],
    }


def _models(tally: Tally) -> list[str]:
    """First the cuts of operations, then those of recoveries, then what is not a card's."""
    order = [*MODELS, *(f"+{model}" for model in MODELS)]
    rest = sorted(set(tally.states) - set(order), key=lambda name: ("+" in name, name))
    return [model for model in (*order, *rest) if tally.states[model]]


def _row(model: str, tally: Tally) -> tuple[str, str, str, str]:
    name = model.replace("+", "recovery, ")
    return name, f"{tally.states[model]:,}", f"{tally.distinct[model]:,}", f"{tally.losses[model]:,}"


def _last_line(tally: Tally, seed: int, wall_s: float) -> str:
    states, losses = sum(tally.states.values()), sum(tally.losses.values())
    shown = f", {tally.seen_by_peers:,} of them shown to fsck.fat and mtools" if tally.seen_by_peers else ""
    return f"{losses:,} losses in {states:,} states{shown}; seed {seed}, {wall_s:.1f} s"
