"""What a user agent server answers."""

from __future__ import annotations

import pytest

from firmware.sip import SipError, SipRequest, answer, parse_head

VALID = {
    "Via": "SIP/2.0/TLS phone;branch=z9hG4bK1",
    "From": "<sip:phone@example>;tag=1",
    "To": "<sip:box>",
    "Call-ID": "x",
    "CSeq": "1 OPTIONS",
    "Max-Forwards": "70",
}


def respond(method="OPTIONS", uri="sip:box", version="SIP/2.0", **changes):
    """The answer to a request that is valid but for the changes; None leaves a header out."""
    headers = {**VALID, "CSeq": f"1 {method}", **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    request = parse_head("\r\n".join([f"{method} {uri} {version}", *lines]).encode())
    assert isinstance(request, SipRequest)
    return (answer(request, "tag1", "IP800/11") or b"").decode()


def test_options_is_answered_with_what_we_can():
    lines = respond().split("\r\n")
    assert lines[0] == "SIP/2.0 200 OK"
    for line in (
        "Allow: OPTIONS",
        "Accept: application/sdp",
        "Supported: outbound",
        "Server: IP800/11",
        "To: <sip:box>;tag=tag1",
        "CSeq: 1 OPTIONS",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("REGISTER", "405 Method Not Allowed"),
        ("INVITE", "405 Method Not Allowed"),
        ("BYE", "405 Method Not Allowed"),
        ("FROBNICATE", "501 Not Implemented"),
        ("options", "501 Not Implemented"),
        ("CANCEL", "481 Call/Transaction Does Not Exist"),
    ],
)
def test_other_methods_get_what_the_rfc_says(method, status):
    assert respond(method).startswith(f"SIP/2.0 {status}\r\n")


def test_a_refused_method_is_told_what_is_allowed():
    assert "\r\nAllow: OPTIONS\r\n" in respond("INVITE")


def test_ack_is_never_answered():
    assert respond("ACK") == ""
    assert respond("ACK", CSeq="nonsense") == ""


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"CSeq": "x OPTIONS"}, "SIP/2.0 400 Bad Request (cseq does not begin"),
        ({"CSeq": f"{2**31} OPTIONS"}, "SIP/2.0 400 Bad Request (cseq does not begin"),
        ({"CSeq": "1 INVITE"}, "SIP/2.0 400 Bad Request (cseq names another method"),
        ({"Max_Forwards": "many"}, "SIP/2.0 400 Bad Request (max-forwards"),
        ({"uri": "tel:+4970"}, "SIP/2.0 416 "),
        ({"Require": "100rel, outbound"}, "SIP/2.0 420 "),
    ],
)
def test_each_fault_has_its_answer(changes, start):
    assert respond(**changes).startswith(start)


def test_a_number_of_thousands_of_digits_is_refused_like_any_other_that_is_none():
    digits = "9" * 5_000  # more than Python reads into an integer
    assert respond(CSeq=f"{digits} OPTIONS").startswith("SIP/2.0 400 Bad Request (cseq does not begin with a number")
    assert respond(Max_Forwards=digits).startswith("SIP/2.0 400 Bad Request (max-forwards is not a number")


def test_420_names_only_what_is_not_supported():
    assert "\r\nUnsupported: 100rel\r\n" in respond(Require="100rel, outbound")


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call_ID", "CSeq"])
def test_a_request_that_nobody_could_match_is_not_answered(name):
    assert respond(**{name: None}) == ""


@pytest.mark.parametrize(
    "changes", [{"Max_Forwards": None}, {"Max_Forwards": "0"}, {"uri": "sips:box"}, {"Require": "outbound"}]
)
def test_what_is_unusual_but_right_is_fine(changes):
    assert respond(**changes).startswith("SIP/2.0 200 OK\r\n")


# -- REGISTER, where there is a registrar


def register_with(register, date="", **changes):
    """The answer of an end that has a registrar to a REGISTER."""
    headers = {**VALID, "CSeq": "1 REGISTER", **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    request = parse_head("\r\n".join(["REGISTER sip:box SIP/2.0", *lines]).encode())
    return (answer(request, "tag1", "IP800/11", register, date) or b"").decode()


def test_a_registrars_200_has_what_it_says_and_the_date():
    lines = register_with(lambda _: (("Contact", "<sip:p@q>;expires=60"),), "Thu, 01 Jan 2026 00:00:00 GMT")
    assert lines.startswith("SIP/2.0 200 OK\r\n")
    assert "\r\nContact: <sip:p@q>;expires=60\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n" in lines
    assert "\r\nDate:" not in register_with(lambda _: ())


@pytest.mark.parametrize(
    ("status", "text", "headers", "line"),
    [
        (403, "no device entry for x", (), "SIP/2.0 403 Forbidden (no device entry for x)"),
        (404, "no device entry for an object x", (), "SIP/2.0 404 Not Found (no device entry for an object x)"),
        (423, "5 s asked for", (("Min-Expires", "60"),), "SIP/2.0 423 Interval Too Brief (5 s asked for)"),
        (503, "2000 bindings", (), "SIP/2.0 503 Service Unavailable (2000 bindings)"),
    ],
)
def test_a_refusal_says_why_and_what_would_do(status, text, headers, line):
    def refuse(_request):
        raise SipError(status, text, headers=headers)

    answered = register_with(refuse).split("\r\n")
    assert answered[0] == line
    assert all(f"{name}: {value}" in answered for name, value in headers)


def test_the_registrar_is_not_asked_about_what_is_malformed():
    def never(_request):
        raise AssertionError("asked")

    assert register_with(never, CSeq="1 OPTIONS").startswith("SIP/2.0 400 ")
    assert register_with(never, Require="gruu").startswith("SIP/2.0 420 ")


def test_only_an_end_with_a_registrar_says_that_it_takes_register():
    request = parse_head(b"\r\n".join([b"OPTIONS sip:box SIP/2.0", *(f"{k}: {v}".encode() for k, v in VALID.items())]))
    assert b"Allow: OPTIONS, REGISTER\r\n" in answer(request, "tag1", "IP800/11", lambda _: ())
    assert b"Allow: OPTIONS\r\n" in answer(request, "tag1", "IP800/11")
