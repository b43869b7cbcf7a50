"""What can be configured of a phone's registration."""

from __future__ import annotations

from typing import Any

import pytest

from firmware.registration.settings import PHONE_FIELDS, Plan, plan_from_values


def values(**changes: Any) -> dict[str, Any]:
    return {**{field.name: field.default for field in PHONE_FIELDS}, **changes}


def test_by_default_there_is_nothing_to_do() -> None:
    assert plan_from_values(values()) is None
    assert plan_from_values(values(registrar="box:5061")) is None
    assert plan_from_values(values(user="alice")) is None


def test_the_defaults_are_those_of_the_rfcs() -> None:
    assert plan_from_values(values(registrar="box:5061", user="alice")) == Plan("box", 5061, "box", True, "alice")
    assert Plan("box", 5061, "box", True, "alice") == Plan(
        "box", 5061, "box", True, "alice", 3_600, 120, 0, True, 30_000, 1_800_000
    )


def test_an_address_may_be_registered_at_and_another_name_expected() -> None:
    plan = plan_from_values(values(registrar="[2001:db8::1]:5061", user="alice", name="gw.example", transport="tcp"))
    assert plan is not None
    assert (plan.host, plan.name, plan.secure, plan.registrar) == (
        "2001:db8::1",
        "gw.example",
        False,
        "[2001:db8::1]:5061",
    )


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("registrar", "box", "must be HOST:PORT"),
        ("registrar", "box:0", "must be HOST:PORT"),
        ("user", "a b", "must be letters"),
        ("user", "a>b", "must be letters"),
        ("user", "x" * 65, "must be at most 64"),
        ("expires", "59", "must be 60 to 86400"),
        ("retry", "never", "must be one of"),
    ],
)
def test_what_cannot_be_is_refused(name: str, text: str, problem: str) -> None:
    field = next(field for field in PHONE_FIELDS if field.name == name)
    with pytest.raises(ValueError, match=problem):
        field.kind.parse(text)


def test_every_default_is_a_value_that_could_be_given() -> None:
    for field in PHONE_FIELDS:
        assert field.kind.parse(str(field.default)) == field.default
