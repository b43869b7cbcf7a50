"""The command language: what a line means, and what is said of a bad one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.commands import (
    Registry,
    call_from_fields,
    call_from_line,
    line_from_call,
    text_from_value,
    value_from_text,
)
from firmware.commands.language import LINE_LIMIT
from firmware.errors import CommandError

CREATE = "x509 servercert-create"


def options(registry: Registry, line: str) -> dict[str, Any]:
    return dict(call_from_line(registry, line, None).options)  # type: ignore[arg-type]


def error(registry: Registry, line: str) -> str:
    with pytest.raises(CommandError) as caught:
        call_from_line(registry, line, None)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "line",
    [
        "x509 trust-list",
        "X509 trust-list",
        "mod cmd X509 trust-list",
        "MOD CMD x509 Trust-List",
        "x5090 trust-list",
        "  x509\ttrust-list  ",
    ],
)
def test_short_and_long_forms_mean_the_same_operation(registry: Registry, line: str) -> None:
    call = call_from_line(registry, line, None)  # type: ignore[arg-type]
    assert (call.operation.module, call.operation.name, call.json) == ("X509", "trust-list", False)


def test_a_top_level_word_is_an_operation_of_module_cmd(registry: Registry) -> None:
    assert (
        call_from_line(registry, "reset", None).operation
        is call_from_line(registry, "mod cmd CMD reset", None).operation
    )  # type: ignore[arg-type]


def test_options_arrive_typed_and_decoded(registry: Registry) -> None:
    line = CREATE + " /type signing%20request /YEARS 3 /dn-cn M%C3%BCller%20%26+Co /san-dns a /san-dns b /backup"
    assert options(registry, line) == {
        "type": "Signing request",
        "years": 3,
        "dn-cn": "Müller &+Co",
        "san-dns": ("a", "b"),
        "backup": True,
    }


def test_the_line_of_the_vendors_roll_out_tool_is_understood(registry: Registry) -> None:
    line = (
        "mod cmd X509 servercert-create /cmd servercert-create /redirect /target device /type Signing%20request"
        " /key 2048-bit /dn-cn 00-90-33-06-11-ac /san-dns a.example /san-dns b.example /san-dns c.example"
    )
    parsed = options(registry, line)
    assert parsed["type"] == "Signing request"
    assert parsed["san-dns"] == ("a.example", "b.example", "c.example")
    assert "cmd" not in parsed


def test_absent_options_have_their_defaults(registry: Registry) -> None:
    call = call_from_line(registry, CREATE, None)  # type: ignore[arg-type]
    assert (call.text("target"), call.number("years"), call.values("san-dns"), call.flag("backup")) == (
        "device", 10, (), False,
    )  # fmt: skip
    assert call.text("dn-cn") == ""
    with pytest.raises(KeyError, match="no option or argument colour"):
        call.get("colour")


def test_fingerprints_are_taken_in_every_usual_spelling(registry: Registry) -> None:
    digits = "00112233445566778899aabbccddeeff00112233"
    colons = ":".join(digits[i : i + 2] for i in range(0, 40, 2)).upper()
    parsed = options(registry, f"x509 trust-remove /sha1 {digits} /sha1 {colons}")
    assert parsed["sha1"] == (bytes.fromhex(digits),) * 2


def test_a_path_may_begin_with_a_slash_where_one_is_wanted(registry: Registry) -> None:
    call = call_from_line(registry, "card ls /CA /json", None)  # type: ignore[arg-type]
    assert (call.text("path"), call.json) == ("/CA", True)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "no command"),
        ("rest", "unknown command 'rest', did you mean reset"),
        ("x508 trust-list", "unknown command 'x508', did you mean x509"),
        ("trust-list", "unknown command 'trust-list', did you mean x509 trust-list"),
        ("qqqq", "unknown command 'qqqq', try help"),
        ("reset now", "reset: unexpected 'now'"),
        ("x509", "module X509 needs a command, try help X509"),
        ("x509 trust-lst", "module X509 has no command 'trust-lst', did you mean trust-list"),
        ("mod cmd X508 trust-list", "unknown module 'X508', did you mean X509"),
        ("mod cmd", "mod must read: mod cmd MODULE COMMAND"),
        ("mod foo X509 trust-list", "mod must read: mod cmd MODULE COMMAND"),
        (CREATE + " /yaers 3", "x509 servercert-create has no option '/yaers', did you mean /years"),
        (CREATE + " /", "x509 servercert-create has no option '/'"),
        (CREATE + " /years", "option /years needs a value: 1..50"),
        (CREATE + " /years /key reuse", "option /years needs a value: 1..50"),
        (CREATE + " /years 99", "/years '99': must be 1 to 50"),
        (CREATE + " /years ten", "/years 'ten': must be a number from 1 to 50"),
        (CREATE + " /years 1_0", "/years '1_0': must be a number from 1 to 50"),
        (CREATE + " /years -1", "/years '-1': must be 1 to 50"),
        (CREATE + " /years ²", "/years '²': must be a number from 1 to 50"),
        (CREATE + " /years 3 /years 4", "option /years is given twice"),
        (CREATE + " /backup /backup", "option /backup is given twice"),
        (CREATE + " /san-dns a" * 4, "has no"),
        (
            CREATE + " /key 2048",
            "/key '2048': must be one of 1024-bit, 2048-bit, 4096-bit, reuse, did you mean 2048-bit",
        ),
        (
            CREATE + " /type Signing+request",
            "/type 'Signing+request': must be one of Self-signed, Signing%20request, did you mean Signing%20request",
        ),
        (CREATE + " /dn-cn " + "x" * 65, f"/dn-cn '{'x' * 60}...': must be at most 64 characters, is 65"),
        (CREATE + " /dn-cn a%0Ab", "/dn-cn 'a%0Ab': must be without control characters"),
        (CREATE + " /dn-cn 100%", "value '100%': % must be followed by two hexadecimal digits (%25 is a percent sign)"),
        (CREATE + " /dn-cn %ff", "value '%ff': its bytes are not UTF-8"),
        (
            CREATE + " /dn-cn Test CA",
            "x509 servercert-create: unexpected 'CA' (a blank inside a value is written %20)",
        ),
        (CREATE + " /json", "x509 servercert-create is not a query, it takes no /json"),
        ("x509 trust-list /jsn", "x509 trust-list has no option '/jsn', did you mean /json"),
        ("x509 trust-remove", "x509 trust-remove needs /sha1, usage: x509 trust-remove /sha1 HEX (x9)"),
        ("x509 trust-remove /sha1 12", "/sha1 '12': must be 40 hexadecimal digits, is 2"),
        ("x509 trust-remove /sha1 xy", "/sha1 'xy': must be pairs of hexadecimal digits"),
        ("x509 connect", "x509 connect needs PEER, usage: x509 connect PEER [/json]"),
        ("x" * (LINE_LIMIT + 1), f"line of {LINE_LIMIT + 1} characters: must be at most {LINE_LIMIT}"),
    ],
)
def test_a_bad_line_is_answered_by_one_line_that_names_what_is_wrong(registry: Registry, line: str, text: str) -> None:
    if text == "has no":
        line, text = CREATE + " /san-dns a" * 4, "option /san-dns is given more than 3 times"
    assert error(registry, line) == text


def test_form_fields_left_empty_are_options_left_out(registry: Registry) -> None:
    operation = registry.find("X509", "servercert-create")
    assert operation is not None
    fields = [
        ("cmd", "servercert-create"),
        ("redirect", ""),
        ("type", "Signing request"),
        ("dn-cn", ""),
        ("san-dns", ""),
    ]
    call = call_from_fields(operation, fields, None)  # type: ignore[arg-type]
    assert (call.text("type"), call.text("dn-cn"), call.values("san-dns")) == ("Signing request", "", ())


def test_form_fields_are_checked_like_a_line(registry: Registry) -> None:
    operation = registry.find("X509", "servercert-create")
    assert operation is not None
    with pytest.raises(CommandError, match="must be 1 to 50"):
        call_from_fields(operation, [("years", "99")], None)  # type: ignore[arg-type]
    with pytest.raises(CommandError, match="has no option '/colour'"):
        call_from_fields(operation, [("colour", "red")], None)  # type: ignore[arg-type]


def test_the_log_form_gives_the_same_call_again(registry: Registry) -> None:
    line = "mod cmd X509 servercert-create /type Signing%20request /years 3 /dn-cn A%20B /san-dns a /san-dns b /backup"
    call = call_from_line(registry, line, None)  # type: ignore[arg-type]
    assert line_from_call(call) == line


def test_the_log_form_hides_secrets(registry: Registry) -> None:
    call = call_from_line(registry, "tls proxy /user me /password hunter2", None)  # type: ignore[arg-type]
    assert line_from_call(call) == "mod cmd TLS proxy /user me /password ********"


@given(st.text())
def test_every_value_survives_encoding_as_one_word(value: str) -> None:
    value = value.encode(errors="replace").decode()
    text = text_from_value(value)
    assert value_from_text(text) == value
    assert len(text.split()) == bool(value)
    assert not text.startswith("/")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_no_line_fails_otherwise_than_by_a_command_error(value: str) -> None:
    registry = Registry()
    for line in (value, "mod cmd " + value, "x509 " + value):
        with pytest.raises(CommandError):
            call_from_line(registry, line, None)  # type: ignore[arg-type]
