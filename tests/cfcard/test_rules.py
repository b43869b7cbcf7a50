"""Rules: what they take for granted, what they refuse, and when they are due."""

from __future__ import annotations

import errno

import pytest

from cfcard import ArmedRules, Event, Fault, Hit, Rule, RuleError
from cfcard.armed import LISTED, fixed_noise
from cfcard.rules import ENDING, keys_of


def fired(rules: ArmedRules, event: Event, lbas: list[int]) -> list[int]:
    """Which of these events, by their number from 1, went wrong."""
    return [number for number, lba in enumerate(lbas, 1) if rules.due(event, lba) is not None]


def armed(*rules: Rule, seed: str = "") -> ArmedRules:
    made = ArmedRules(fixed_noise(seed))
    for rule in rules:
        made.arm(rule)
    return made


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in (Fault.SLOW, Fault.STATE)])
def test_a_fault_alone_is_a_rule(fault: Fault) -> None:
    rule = Rule(fault)
    assert rule.event is not None
    assert rule.name.startswith(fault.value)
    assert rule.once is not None
    assert set(rule.values()) <= set(keys_of(fault))


def test_what_ends_a_card_names_whether_power_or_card_goes() -> None:
    assert not Rule(Fault.CUT).pulls
    assert Rule(Fault.PULL).pulls
    for fault in ENDING - {Fault.CUT, Fault.PULL}:
        assert not Rule(fault).pulls
        assert Rule(fault, ends="card").pulls


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (Rule(Fault.PULL, at=40), "pull at write 40"),
        (Rule(Fault.CUT, Event.FLUSH), "cut at flush 1"),
        (Rule(sector=96, event=Event.READ), "error at read of sector 96"),
        (Rule(Fault.READ_ALWAYS, sector=(1, 9)), "read-always of sectors 1 to 9"),
        (Rule(Fault.SLOW, factor=2), "slow at write"),
        (Rule(Fault.FULL, free_clusters=2), "full but for 2 clusters"),
        (Rule(Fault.CUT, name="mine"), "mine"),
    ],
)
def test_a_rule_without_a_name_is_called_what_it_does(rule: Rule, name: str) -> None:
    assert rule.name == name


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"fault": Fault.LOSE, "event": Event.READ}, "event = 'read': lose goes with write"),
        ({"at": 0}, "at = 0: must be from 1 to"),
        ({"state": 256}, "state = 256: must be from 0 to 255"),
        ({"new_state": 0}, "new_state = 0: must be from 1 to 255"),
        ({"probability": 0.0}, "probability = 0.0: must be above 0 and at most 1"),
        ({"probability": 1.5}, "probability = 1.5: must be above 0 and at most 1"),
        ({"errno": 99_999}, "errno = 99999: must be an error's name, as EIO, or its number"),
        ({"sector": -1}, "sector = -1: must be a sector from 0 on"),
        ({"sector": (9, 3)}, r"sector = \(9, 3\): must be a sector from 0 on"),
        ({"event": Event.FLUSH, "sector": 3}, "sector = 3: flush has no sector"),
        ({"fault": Fault.TEAR_HEAD, "ends": "both"}, "ends = 'both': must be power or card"),
        ({"fault": Fault.FORGET, "count": 0}, "count = 0: must be from 1 to 4096"),
        ({"fault": Fault.SLOW}, "delay_ms = 0.0: a slow card needs"),
        ({"fault": Fault.SLOW, "factor": 0.5}, "factor = 0.5: must be from 1 to"),
        ({"fault": Fault.STATE}, "new_state = None: a rule of state must have one"),
        ({"fault": Fault.CUT, "errno": errno.ENOSPC}, "errno = 28: cut has no errno"),
        ({"fault": Fault.CUT, "free_clusters": 3}, "free_clusters = 3: cut has no free_clusters"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(values: dict[str, object], text: str) -> None:
    with pytest.raises(RuleError, match=text):
        Rule(**values)  # type: ignore[arg-type]


def test_the_nth_event_that_fits_counts() -> None:
    rules = armed(Rule(Fault.LOSE, at=2, sector=(5, 6)))
    assert fired(rules, Event.WRITE, [5, 4, 7, 6, 5]) == [4]
    assert rules.rules[0].seen == 2, "spent rules do not count any more"
    assert not rules.waiting(Event.WRITE)


def test_once_or_from_then_on() -> None:
    assert fired(armed(Rule(at=3, once=True)), Event.WRITE, [1] * 5) == [3]
    assert fired(armed(Rule(at=3)), Event.WRITE, [1] * 5) == [3, 4, 5]


def test_events_are_told_apart() -> None:
    rules = armed(Rule(event=Event.FLUSH, at=2))
    assert fired(rules, Event.WRITE, [1] * 5) == []
    assert fired(rules, Event.READ, [1] * 5) == []
    assert [rules.due(Event.FLUSH, None) is not None for _ in range(3)] == [False, True, True]


def test_the_first_rule_wins_and_the_other_comes_next() -> None:
    rules = armed(Rule(Fault.LOSE, at=2), Rule(Fault.MISDIRECT, at=2))
    due = [rules.due(Event.WRITE, 0) for _ in range(4)]
    assert [None if rule is None else rule.fault for rule in due] == [None, Fault.LOSE, Fault.MISDIRECT, None]


def test_states_let_one_rule_wait_for_another() -> None:
    rules = armed(
        Rule(Fault.STATE, Event.READ, sector=7, new_state=2),
        Rule(Fault.LOSE, state=2, new_state=3),
        Rule(Fault.ERROR, state=3),
    )
    assert fired(rules, Event.WRITE, [1, 2]) == []
    assert rules.due(Event.READ, 7) is None, "a change of state is nothing that goes wrong"
    assert rules.state == 2
    due = [rules.due(Event.WRITE, 0) for _ in range(3)]
    assert [rule.fault for rule in due if rule is not None] == [Fault.LOSE, Fault.ERROR, Fault.ERROR]
    assert [hit.rule.fault for hit in rules.hits] == [Fault.STATE, Fault.LOSE, Fault.ERROR, Fault.ERROR]


def test_chance_is_drawn_from_the_noise_and_repeats_with_it() -> None:
    rule = Rule(probability=0.25)
    first = fired(armed(rule, seed="a"), Event.WRITE, [1] * 400)
    assert 60 < len(first) < 140
    assert fired(armed(rule, seed="a"), Event.WRITE, [1] * 400) == first
    assert fired(armed(rule, seed="b"), Event.WRITE, [1] * 400) != first


def test_what_is_certain_draws_nothing() -> None:
    rules = ArmedRules(lambda count: pytest.fail("nothing depends on chance"))
    rules.arm(Rule(Fault.LOSE, at=2))
    assert fired(rules, Event.WRITE, [1, 2, 3]) == [2]


def test_a_hit_tells_when_which_and_where() -> None:
    now_ns = 0
    rules = ArmedRules(now=lambda: now_ns)
    heard: list[Hit] = []
    rules.on_hit = heard.append
    rule = Rule(Fault.LOSE, at=2)
    rules.arm(rule)
    for now_ns in (10, 20, 30):
        rules.due(Event.WRITE, now_ns * 100)
    assert rules.hits == heard == [(20, rule, 2_000)]


def test_a_rule_that_goes_on_and_on_does_not_fill_the_record() -> None:
    rules = armed(Rule())
    fired(rules, Event.WRITE, [1] * (LISTED + 50))
    assert len(rules.hits) == LISTED
    assert rules.rules[0].fired == LISTED + 50


def test_disarmed_rules_leave_their_record() -> None:
    rules = armed(Rule(Fault.LOSE, new_state=5))
    rules.due(Event.WRITE, 3)
    rules.arm(Rule())
    rules.disarm()
    assert (rules.rules, rules.state, rules.waiting(Event.WRITE)) == ((), 1, False)
    assert len(rules.hits) == 1
