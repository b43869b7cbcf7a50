"""SIP messages as bytes and as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.sip import SipError, SipRequest, SipResponse, parse_head, response_bytes
from firmware.sip.message import SHOWN, TOKEN, USUAL, received_via, tagged

HEAD = (
    "OPTIONS sip:box.example SIP/2.0\r\n"
    "Via: SIP/2.0/TLS phone.example:5061;branch=z9hG4bK77\r\n"
    "Via: SIP/2.0/TLS proxy.example\r\n"
    'From: "Phone; one" <sip:phone@example>;tag=abc\r\n'
    "To: <sip:box.example;transport=tls>\r\n"
    "Call-ID: 1@phone\r\n"
    "CSeq: 7 OPTIONS\r\n"
    "Content-Length: 0"
)


def test_a_request_is_read_with_its_headers_in_order():
    request = parse_head(HEAD.encode())
    assert isinstance(request, SipRequest)
    assert (request.method, request.uri, request.version) == ("OPTIONS", "sip:box.example", "SIP/2.0")
    assert len(request.all("via")) == 2
    assert request.first("call-id") == "1@phone"
    assert request.first("subject") is None
    assert request.body_bytes == 0


def test_compact_forms_and_any_case_are_read():
    head = (
        b"OPTIONS sip:x SIP/2.0\r\nv: one\r\nF: two\r\nt : three\r\nI: four\r\ncseq: 1 OPTIONS\r\nL: 12\r\nK: a, b ,,c"
    )
    request = parse_head(head)
    assert isinstance(request, SipRequest)
    assert [name for name, _ in request.headers] == [
        "via",
        "from",
        "to",
        "call-id",
        "cseq",
        "content-length",
        "supported",
    ]
    assert request.body_bytes == 12
    assert request.tokens("supported") == ("a", "b", "c")


def test_folded_lines_are_joined():
    request = parse_head(b"OPTIONS sip:x SIP/2.0\r\nSubject: one\r\n  two\r\n\tthree")
    assert isinstance(request, SipRequest)
    assert request.first("subject") == "one two three"


def test_a_response_is_told_apart():
    response = parse_head(b"SIP/2.0 200 OK\r\nContent-Length: 4")
    assert isinstance(response, SipResponse)
    assert (response.status, response.body_bytes) == (200, 4)


@pytest.mark.parametrize(
    ("head", "status", "message"),
    [
        (b"OPTIONS sip:x", 400, "request line"),
        (b"OPT(ONS sip:x SIP/2.0", 400, "request line"),
        (b" sip:x SIP/2.0", 400, "request line"),
        (b"OPTIONS  sip:x SIP/2.0", 400, "request line"),
        (b"GET / HTTP/1.1", 400, "SIP version"),
        (b"OPTIONS sip:x SIP/3.0", 505, "only SIP/2.0"),
        (b"OPTIONS sip:x SIP/2.0\r\nnonsense", 400, "no name"),
        (b"OPTIONS sip:x SIP/2.0\r\nA B: c", 400, "no name"),
        (b"OPTIONS sip:x SIP/2.0\r\nTo: a\r\nTo: b", 400, "to occurs more than once"),
        (b"OPTIONS sip:x SIP/2.0\r\nTo: a\x00b", 400, "control characters"),
        (b"OPTIONS sip:x SIP/2.0\r\nTo: a\r\n \nb", 400, "control characters"),
        (
            b"OPTIONS sip:x SIP/2.0\r\n" + b"A" * 9_000 + b": a\x00b",
            400,
            f"^header {'a' * 32} holds control characters$",
        ),
        (b"OPTIONS sip:x SIP/2.0" + b"\r\nA: b" * 129, 400, "more than 128 headers"),
        (b"OPTIONS sip:x SIP/2.0" + b"\r\nVia: b" * 129, 400, "more than 128 headers"),
        (b"SIP/2.0 abc OK", 400, "status is not a number"),
    ],
)
def test_what_is_malformed_is_named(head, status, message):
    with pytest.raises(SipError, match=message) as caught:
        parse_head(head)
    assert caught.value.status == status


def test_what_could_be_read_of_a_malformed_request_is_kept_for_the_answer():
    with pytest.raises(SipError) as caught:
        parse_head(HEAD.encode() + b"\r\nnonsense")
    assert caught.value.request is not None
    assert caught.value.request.first("call-id") == "1@phone"


@pytest.mark.parametrize("value", ["", "-1", "1e3", "4 4", "9999999999", "٣"])
def test_a_content_length_that_is_no_number_is_refused(value):
    request = parse_head(f"OPTIONS sip:x SIP/2.0\r\nContent-Length: {value}".encode())
    with pytest.raises(SipError, match="not a number"):
        _ = request.body_bytes


def test_a_response_copies_what_identifies_the_transaction():
    request = parse_head(HEAD.encode())
    assert isinstance(request, SipRequest)
    assert response_bytes(request, 200, "f00d", (("Allow", "OPTIONS"),)).decode() == (
        "SIP/2.0 200 OK\r\n"
        "Via: SIP/2.0/TLS phone.example:5061;branch=z9hG4bK77\r\n"
        "Via: SIP/2.0/TLS proxy.example\r\n"
        'From: "Phone; one" <sip:phone@example>;tag=abc\r\n'
        "To: <sip:box.example;transport=tls>;tag=f00d\r\n"
        "Call-ID: 1@phone\r\n"
        "CSeq: 7 OPTIONS\r\n"
        "Allow: OPTIONS\r\n"
        "Content-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("<sip:a>", "<sip:a>;tag=t"),
        ("<sip:a>;tag=x", "<sip:a>;tag=x"),
        ("<sip:a>; TAG = x", "<sip:a>; TAG = x"),
        ("<sip:a;tag=inside>", "<sip:a;tag=inside>;tag=t"),
        ("sip:a;tag=x", "sip:a;tag=x"),
        ("sip:a", "sip:a;tag=t"),
    ],
)
def test_to_gets_a_tag_only_where_it_has_none(address, expected):
    assert tagged(address, "t") == expected


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("SIP/2.0/TCP 192.0.2.7:5060;branch=z", "SIP/2.0/TCP 192.0.2.7:5060;branch=z"),
        ("SIP/2.0/TCP 192.0.2.7;branch=z", "SIP/2.0/TCP 192.0.2.7;branch=z"),
        ("SIP/2.0/TCP phone;branch=z", "SIP/2.0/TCP phone;branch=z;received=192.0.2.7"),
        ("SIP/2.0/TCP phone;received=1.2.3.4", "SIP/2.0/TCP phone;received=192.0.2.7"),
        ("SIP/2.0/TCP 192.0.2.7;rport;branch=z", "SIP/2.0/TCP 192.0.2.7;rport=40000;branch=z;received=192.0.2.7"),
        ("SIP/2.0/TCP a;x=1, SIP/2.0/TCP b", "SIP/2.0/TCP a;x=1;received=192.0.2.7, SIP/2.0/TCP b"),
    ],
)
def test_via_says_where_the_request_really_came_from(via, expected):
    assert received_via(via, "192.0.2.7:40000") == expected


def test_the_largest_number_of_headers_is_taken_whatever_their_names():
    for name in (b"A", b"Via"):
        assert len(parse_head(b"OPTIONS sip:x SIP/2.0" + b"\r\n%s: b" % name * 128).headers) == 128


PIECES = st.sampled_from([*USUAL, *"v\t \x00\x1f\x7f:;a\u00e9\u2003\ud7ff", "\r\n ", "X-", "ﬀ"])


@given(st.lists(PIECES, max_size=3).map("".join), st.lists(PIECES, max_size=6).map("".join))
def test_what_a_header_may_consist_of_is_decided_character_by_character(raw_name, raw_value):
    line = f"{raw_name}:{raw_value}".replace("\r\n ", " ")
    name, _, value = line.partition(":")
    named = bool(name.strip()) and set(name.strip().lower()) <= TOKEN
    clean = all(ord(character) >= 32 or character == "\t" for character in value)
    problem = (
        f"header {name.strip().lower()[:SHOWN]} holds control characters" if named else "a header line has no name"
    )
    found = ""
    try:
        headers = parse_head(f"OPTIONS sip:x SIP/2.0\r\n{raw_name}:{raw_value}".encode()).headers
    except SipError as error:
        found, headers = str(error), error.request.headers
    fits = named and clean
    assert (found, [header[1] for header in headers]) == (("", [value.strip()]) if fits else (problem, []))


@pytest.mark.parametrize("name", USUAL)
def test_a_usual_name_is_read_as_in_any_other_case(name):
    usual, other = (parse_head(f"OPTIONS sip:x SIP/2.0\r\n{each}: 1".encode()) for each in (name, name.swapcase()))
    assert usual.headers == other.headers == ((name.lower(), "1"),)


@given(st.lists(st.tuples(st.sampled_from(["Via", "To", "CSeq", "Subject"]), st.text(max_size=6)), max_size=5))
def test_plain_headers_read_as_they_would_with_a_blank_before_the_colon(pairs):
    def read(colon):
        lines = [f"{name}{colon}{value}" for name, value in pairs]
        try:
            return parse_head("\r\n".join(["OPTIONS sip:x SIP/2.0", *lines]).encode(errors="replace")).headers
        except SipError as error:
            return str(error), error.request.headers

    assert read(":") == read(" :")
