"""The gate: so many inside, the others in line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.kernel import Kernel
from firmware.services.gate import Gate, LineFull


class FakeCpu:
    """A CPU that nobody uses. Not modelled: everything."""

    hz = 200_000_000
    now_ns = 0


@pytest.fixture
def kernel() -> Any:
    return Kernel(FakeCpu())  # type: ignore[arg-type]


def test_so_many_are_let_in_and_the_others_stand_in_line(kernel: Any) -> None:
    gate = Gate(kernel, lambda: 2)
    first, second, third, fourth = (gate.come() for _ in range(4))
    assert [turn.is_set for turn in (first, second, third, fourth)] == [True, True, False, False]
    assert (gate.inside, gate.waiting) == (2, 2)
    gate.leave(first)
    assert (third.is_set, fourth.is_set) == (True, False)


def test_whoever_comes_to_a_full_line_is_sent_away_and_may_come_again(kernel: Any) -> None:
    gate = Gate(kernel, lambda: 1, lambda: 2)
    inside, first, second = (gate.come() for _ in range(3))
    with pytest.raises(LineFull, match="2 wait in line"):
        gate.come()
    assert (gate.inside, gate.waiting) == (1, 2)
    gate.leave(inside)
    third = gate.come()
    assert (first.is_set, second.is_set, third.is_set) == (True, False, False)


def test_no_line_at_all_still_lets_in_whom_there_is_room_for(kernel: Any) -> None:
    gate = Gate(kernel, lambda: 1, lambda: 0)
    assert gate.come().is_set
    with pytest.raises(LineFull):
        gate.come()


def test_whoever_leaves_the_line_takes_nobodys_place(kernel: Any) -> None:
    gate = Gate(kernel, lambda: 1)
    inside, gone, next_one = (gate.come() for _ in range(3))
    gate.leave(gone)
    assert (gate.inside, next_one.is_set) == (1, False)
    gate.leave(inside)
    assert next_one.is_set


def test_a_wider_gate_lets_in_more_at_the_next_coming_or_going(kernel: Any) -> None:
    limits = [1]
    gate = Gate(kernel, lambda: limits[0])
    gate.come()
    second, third = gate.come(), gate.come()
    limits[0] = 3
    fourth = gate.come()
    assert (second.is_set, third.is_set, fourth.is_set) == (True, True, False)


@given(st.lists(st.integers(-1, 20), max_size=60), st.integers(1, 4))
def test_never_more_than_the_limit_nobody_forgotten_and_in_order(steps: list[int], limit: int) -> None:
    gate = Gate(Kernel(FakeCpu()), lambda: limit)  # type: ignore[arg-type]
    here: list[Any] = []
    for step in steps:
        if step < 0 or not here:
            here.append(gate.come())
        else:
            gate.leave(here.pop(step % len(here)))
        inside = [turn.is_set for turn in here]
        assert gate.inside == sum(inside) == min(limit, len(here))
        assert gate.waiting == len(here) - gate.inside
        assert inside == sorted(inside, reverse=True), "first come, first served"
