"""What a user agent server answers."""

from __future__ import annotations

import pytest

from firmware.sip import SipRequest, answer, parse_head

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
