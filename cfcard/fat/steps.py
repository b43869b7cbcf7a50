"""Long operations in steps: generators that yield after every transfer or two, and return their report.

A device that does other things as well takes the steps one by one; a host runs them to the end. An operation may be
given up after any step: what is on the card is then what a power cut would have left there.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

__all__ = ["run_steps"]

T = TypeVar("T")


def run_steps(steps: Generator[None, None, T]) -> T:
    """Runs an operation to its end. Gives its report, raises what it raises."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
