"""Persistent variables, stored and owned."""

from __future__ import annotations

from typing import Any

import pytest

from firmware.commands import Registry, Variable, Variables, call_from_line, line_from_call, register_vars
from firmware.commands.variables import VALUE_LIMIT
from firmware.errors import CommandError


class FakeRequests:
    """The X509 module's side of its variables."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {"X509/REQUEST": b"\x30\x03", "X509/REQUESTKEY": b"\x30\x04"}

    def variables(self) -> list[Variable]:
        hidden = ("X509/REQUESTKEY",)
        return [Variable(name, "pb", None if name in hidden else value) for name, value in self.held.items()]

    def create(self, name: str, value: bytes) -> None:
        if not name.startswith("X509/REQUESTRESPONSE/"):
            raise CommandError(f"{name} cannot be written")
        self.held[name] = value

    def delete(self, name: str) -> None:
        del self.held[name]


@pytest.fixture
def requests() -> FakeRequests:
    return FakeRequests()


@pytest.fixture
def do(store: Any, requests: FakeRequests, session: Any, run_to_end: Any) -> Any:
    variables = Variables(store)
    variables.own("X509/", requests, write_only=("X509/REQUESTKEY",))
    registry = Registry()
    register_vars(registry, variables)

    def run(line: str) -> Any:
        call = call_from_line(registry, line, session)
        return run_to_end(call.operation.handler(call))

    run.registry = registry  # type: ignore[attr-defined]
    return run


def test_a_variable_is_created_read_and_removed(do: Any, store: Any) -> None:
    do("vars create UPDATE/CHECK pb 0Aff")
    assert do("vars read UPDATE/CHECK").text == "UPDATE/CHECK pb 0aff"
    assert do("vars read UPDATE/CHECK").data == {"name": "UPDATE/CHECK", "type": "pb", "value": "0aff"}
    do("vars create UPDATE/CHECK ps a%20b")
    assert do("vars read UPDATE/CHECK").text == "UPDATE/CHECK ps a%20b"
    do("vars del UPDATE/CHECK")
    assert store.content == {}
    with pytest.raises(CommandError, match="no variable UPDATE/CHECK"):
        do("vars read UPDATE/CHECK")


def test_without_a_name_all_are_listed(do: Any) -> None:
    do("vars create UPDATE/CHECK pb 01")
    assert do("vars read").text.splitlines() == ["UPDATE/CHECK pb 01", "X509/REQUEST pb 3003", "X509/REQUESTKEY pb -"]
    assert len(do("vars read").data) == 3


def test_a_write_only_variable_shows_no_value_anywhere(do: Any, session: Any) -> None:
    assert do("vars read X509/REQUESTKEY").text == "X509/REQUESTKEY pb -"
    assert do("vars read X509/REQUESTKEY").data["value"] is None
    call = call_from_line(do.registry, "vars create X509/REQUESTKEY pb 3004", session)
    assert line_from_call(call) == "vars create X509/REQUESTKEY pb ********"
    call = call_from_line(do.registry, "vars create UPDATE/CHECK pb 3004", session)
    assert line_from_call(call) == "vars create UPDATE/CHECK pb 3004"


def test_owned_variables_are_another_view_of_what_their_owner_keeps(
    do: Any, requests: FakeRequests, store: Any
) -> None:
    do("vars create X509/REQUESTRESPONSE/00000 pb 3082")
    assert requests.held["X509/REQUESTRESPONSE/00000"] == b"\x30\x82"
    do("vars del X509/REQUEST")
    assert "X509/REQUEST" not in requests.held
    assert store.commits == 0
    with pytest.raises(CommandError, match="X509/REQUEST cannot be written"):
        do("vars create X509/REQUEST pb 00")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("vars read A//B", "variable name 'A//B': must be words"),
        ("vars read %2FA", "variable name '%2FA': must be words"),
        ("vars create A..%2F..%20 pb 00", "must be words"),
        ("vars del NOPE", "no variable NOPE"),
        ("vars del X509/NOPE", "no variable X509/NOPE"),
        ("vars create A pb", "vars create needs VALUE"),
        ("vars create A xx 00", "type 'xx': must be one of pb, ps"),
        ("vars create A pb 0", "value of A: must be pairs of hexadecimal digits"),
        ("vars create A pb zz", "value of A: must be pairs of hexadecimal digits"),
        ("vars read " + "A" * 60, "must be at most 59 characters, is 60"),
        ("vars create A ps " + "ü" * (VALUE_LIMIT // 2 + 1), f"must be at most {VALUE_LIMIT} bytes"),
    ],
)
def test_a_bad_name_type_or_value_is_refused_and_nothing_changes(do: Any, store: Any, line: str, text: str) -> None:
    with pytest.raises(CommandError, match=text.replace("(", r"\(")):
        do(line)
    assert store.commits == 0


def test_the_longest_value_still_fits_a_line(do: Any) -> None:
    do(f"vars create A pb {'ab' * VALUE_LIMIT}")
    assert do("vars read A").data["value"] == "ab" * VALUE_LIMIT
