"""The states of a registration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.registration.machine import MOVES, STEADY_NS, Event, Progress, State

CALM = (Event.BEGIN, Event.DUE, Event.CONNECTED, Event.ACCEPTED)


def after(*events: Event, now_ns: int = 0) -> Progress:
    progress = Progress()
    for event in events:
        progress.move(event, now_ns)
    return progress


def test_a_registration_that_goes_well_is_counted_once() -> None:
    progress = after(*CALM, Event.REFRESH, Event.ACCEPTED)
    assert (progress.state, progress.attempts, progress.registered, progress.stands) == (State.REGISTERED, 1, 1, True)


def test_a_registration_stands_while_it_is_renewed() -> None:
    assert after(*CALM, Event.REFRESH).stands
    assert not after(*CALM, Event.REFRESH, Event.FAILED).stands


def test_failures_in_a_row_are_counted_until_one_holds() -> None:
    progress = after(Event.BEGIN)
    for number in range(1, 4):
        progress.move(Event.DUE, 0)
        progress.move(Event.FAILED, 0)
        assert progress.failures_in_a_row == number
    for event in (Event.DUE, Event.CONNECTED, Event.ACCEPTED):
        progress.move(event, 0)
    progress.move(Event.FAILED, STEADY_NS)
    assert (progress.failures_in_a_row, progress.failed) == (0, 4)


def test_a_refusal_counts_though_the_registration_stood_and_what_was_before_that_does_not() -> None:
    progress = after(Event.BEGIN, Event.DUE, Event.FAILED, Event.DUE, Event.FAILED, *CALM[1:])
    progress.move(Event.REFRESH, STEADY_NS)
    progress.move(Event.FAILED, STEADY_NS)
    assert progress.failures_in_a_row == 1


def test_one_that_ends_at_once_counts_as_a_failure_to_register() -> None:
    progress = after(*CALM)
    progress.move(Event.FAILED, STEADY_NS - 1)
    assert progress.failures_in_a_row == 1


@pytest.mark.parametrize("state", list(State))
def test_the_end_of_the_configuration_ends_it_in_every_state(state: State) -> None:
    assert MOVES[state, Event.ENDED] is State.OFF


def test_what_the_table_does_not_have_cannot_happen() -> None:
    with pytest.raises(ValueError, match="accepted cannot happen while off"):
        after(Event.ACCEPTED)


def test_every_state_can_be_reached_and_left() -> None:
    assert {state for state, _ in MOVES} == set(MOVES.values()) == set(State)


@given(st.lists(st.integers(0, 6), max_size=40))
def test_along_every_path_the_counters_agree(choices: list[int]) -> None:
    progress = Progress()
    for now_ns, choice in enumerate(choices):
        possible = [event for state, event in MOVES if state is progress.state]
        progress.move(possible[choice % len(possible)], now_ns)
        assert progress.attempts >= progress.failed >= progress.failures_in_a_row
        assert progress.attempts >= progress.registered
        assert progress.stands or progress.state is not State.REGISTERED
        assert not progress.stands or progress.state in (State.REGISTERED, State.REGISTERING)
        assert progress.since_ns == now_ns
