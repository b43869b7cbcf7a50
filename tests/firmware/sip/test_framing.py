"""Cutting a stream into SIP messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.sip import Fault, Framer, Ping, SipRequest

ONE = b"OPTIONS sip:a SIP/2.0\r\nCall-ID: one\r\nContent-Length: 0\r\n\r\n"
TWO = b"MESSAGE sip:b SIP/2.0\r\nCall-ID: two\r\nl: 9\r\n\r\nbody\r\n\r\n!"


def kinds(items):
    return [item.method if isinstance(item, SipRequest) else type(item).__name__ for item in items]


def test_two_messages_in_one_piece_are_two():
    first, second = Framer().feed(ONE + TWO)
    assert isinstance(first, SipRequest)
    assert isinstance(second, SipRequest)
    assert (first.body, second.body) == (b"", b"body\r\n\r\n!")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_pieces_of_any_size_give_the_same_messages(size):
    data = b"\r\n" + ONE + b"\r\n\r\n" + TWO + ONE
    framer, items = Framer(), []
    for start in range(0, len(data), size):
        items += framer.feed(data[start : start + size])
    assert kinds(items) == ["OPTIONS", "Ping", "MESSAGE", "OPTIONS"]
    assert not framer.incomplete


def test_a_double_empty_line_is_a_ping_and_a_single_one_is_nothing():
    framer = Framer()
    assert framer.feed(b"\r\n\r\n\r\n\r\n") == [Ping.PING, Ping.PING]
    assert kinds(framer.feed(b"\r\n" + ONE)) == ["OPTIONS"]
    assert framer.feed(b"\r\n") == []
    assert not framer.incomplete


def test_a_message_that_has_begun_is_incomplete():
    framer = Framer()
    framer.feed(ONE[:10])
    assert framer.incomplete
    framer.feed(ONE[10:])
    assert not framer.incomplete
    framer.feed(TWO[:-1])
    assert framer.incomplete


def test_a_malformed_message_with_a_length_is_passed_over():
    items = Framer().feed(b"OPTIONS sip:a SIP/2.0\r\nnonsense\r\nContent-Length: 3\r\n\r\nabc" + ONE)
    assert kinds(items) == ["Fault", "OPTIONS"]
    assert isinstance(items[0], Fault)
    assert not items[0].fatal


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\n\r\n", 400),
        (b"OPTIONS sip:a SIP/2.0\r\nContent-Length: many\r\n\r\n", 400),
        (b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 65537\r\n\r\n", 513),
        (b"OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\nSubject: " + b"x" * 16_384, 513),
        (b"\x16\x03\x01" * 6_000, 513),
        (b"GET / HTTP/1.1\r\nHost: box\r\n\r\n", 400),
        (b"SIP/2.0 xyz\r\n\r\n", 400),
    ],
)
def test_where_the_next_message_begins_is_unknown_the_stream_is_broken(data, status):
    framer = Framer()
    (fault,) = framer.feed(data + ONE)
    assert isinstance(fault, Fault)
    assert (fault.fatal, fault.error.status) == (True, status)
    assert framer.broken
    assert framer.feed(ONE) == []


def test_a_head_that_is_too_long_can_still_be_answered():
    (fault,) = Framer().feed(b"OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\nSubject: " + b"x" * 16_384)
    assert isinstance(fault, Fault)
    assert fault.error.request is not None
    assert fault.error.request.first("call-id") == "x"


def test_the_largest_body_is_taken():
    (request,) = Framer().feed(b"MESSAGE sip:a SIP/2.0\r\nl: 65536\r\n\r\n" + b"x" * 65_536)
    assert isinstance(request, SipRequest)
    assert len(request.body) == 65_536


@given(
    st.lists(
        st.sampled_from(
            [b"\r\n", b"\r", b"\n", b" ", b":", b"OPTIONS sip:a SIP/2.0", b"l: 2", b"SIP/2.0 ", b"\xff", b"To"]
        )
    )
)
def test_no_bytes_make_it_raise(pieces):
    framer = Framer()
    for piece in pieces:
        framer.feed(piece)


def test_the_end_that_pings_takes_every_empty_line_for_a_pong():
    framer = Framer(pinging=True)
    assert framer.feed(b"\r\n") == [Ping.PONG]
    assert framer.feed(b"\r") == []
    assert framer.feed(b"\n\r\n") == [Ping.PONG, Ping.PONG]
    assert framer.feed(b"\r\nSIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab\r\n")[0::2] == [Ping.PONG, Ping.PONG]
    assert not framer.incomplete
