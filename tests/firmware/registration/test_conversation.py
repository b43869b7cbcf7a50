"""What a phone says to its registrar, and when: the test is the registrar."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.registration.conversation import PONG_MS, TIMER_F_MS, Conversation, RegistrationFailed
from firmware.registration.request import Registrant
from firmware.registration.settings import Plan
from firmware.sip import SipRequest, parse_head, response_bytes

WHO = Registrant("IP232-06-11-ad", bytes.fromhex("0090330611ad"), "IP232 11", "call@phone")
INSTANCE = "<urn:uuid:00000000-0000-1000-8000-0090330611ad>"


class Line:
    """A conversation with a clock, and the registrar's side of it."""

    def __init__(self, **plan: Any) -> None:
        self.plan = Plan(**{"host": "box", "port": 5061, "name": "box", "secure": True, "user": "alice", **plan})
        self.now_ns = 0
        self.conversation = Conversation(self.plan, WHO, 7, random.Random(1), "box:5061")  # type: ignore[arg-type]
        self.request = self.read(self.conversation.begin(0))

    @staticmethod
    def read(said: bytes) -> SipRequest:
        """The one request that was said, behind a ping perhaps."""
        said = said.removeprefix(b"\r\n\r\n")
        assert said.endswith(b"\r\n\r\n")
        request = parse_head(said[:-4])
        assert isinstance(request, SipRequest)
        return request

    def hear(self, data: bytes) -> bytes:
        return self.conversation.receive(data, self.now_ns)

    def answer(self, status: int = 200, *, expires: str = "3600", outbound: bool = True, **headers: str) -> bytes:
        """The registrar answers the last request; gives what the phone says to that."""
        more = (
            [("Contact", f'<sips:alice@phone>;+sip.instance="{INSTANCE}";expires={expires}')] if status == 200 else []
        )
        more += [("Require", "outbound")] if outbound and status == 200 else []
        more += [(name.replace("_", "-"), value) for name, value in headers.items()]
        return self.hear(response_bytes(self.request, status, "tag", tuple(more)))

    def until(self, seconds: float) -> bytes:
        """Time goes on to that moment, and is told."""
        self.now_ns = int(seconds * 1_000_000_000)
        return self.conversation.tick(self.now_ns)

    def failure(self, what: Any) -> str:
        with pytest.raises(RegistrationFailed) as failed:
            what()
        return failed.value.reason

    @property
    def due_s(self) -> float:
        return self.conversation.due_ns / 1_000_000_000


@pytest.fixture
def line() -> Line:
    return Line()


def test_the_request_is_what_the_rfcs_ask_for(line: Line) -> None:
    request = line.request
    assert (request.method, request.uri) == ("REGISTER", "sips:box")
    assert request.first("to") == "<sips:alice@box>"
    assert (request.first("from") or "").startswith("<sips:alice@box>;tag=")
    assert request.first("cseq") == "8 REGISTER"
    assert request.first("expires") == "3600"
    assert request.first("contact") == f'<sips:alice@IP232-06-11-ad:5061>;+sip.instance="{INSTANCE}";reg-id=1'
    assert (request.first("via") or "").startswith("SIP/2.0/TLS IP232-06-11-ad:5061;branch=z9hG4bK")
    assert "outbound" in request.tokens("supported")
    assert request.body_bytes == 0


def test_over_tcp_everything_says_so() -> None:
    request = Line(secure=False, host="2001:db8::1").request
    assert request.uri == "sip:[2001:db8::1]"
    assert (request.first("via") or "").startswith("SIP/2.0/TCP IP232-06-11-ad:5060;")
    assert (request.first("contact") or "").startswith("<sip:alice@IP232-06-11-ad:5060;transport=tcp>;")


def test_it_is_renewed_before_its_time_is_over_and_with_the_next_number(line: Line) -> None:
    line.answer(expires="600", outbound=False)
    assert not line.conversation.pending
    assert line.due_s == 540
    again = line.read(line.until(540))
    assert again.first("cseq") == "9 REGISTER"
    assert again.first("call-id") == line.request.first("call-id")
    assert again.first("via") != line.request.first("via")


@pytest.mark.parametrize(("granted", "renewed"), [("60", 30), ("100", 68), ("3600", 3_240), ("999999999", 77_760)])
def test_a_whole_transaction_fits_between_renewal_and_end(line: Line, granted: str, renewed: int) -> None:
    line.answer(expires=granted, outbound=False)
    assert line.due_s == renewed


def test_without_an_answer_it_fails_after_timer_f(line: Line) -> None:
    assert line.due_s == TIMER_F_MS / 1_000 == 32
    assert line.until(31.999) == b""
    assert line.failure(lambda: line.until(32)) == "timeout-f"


def test_provisional_and_foreign_answers_do_not_stop_the_clock(line: Line) -> None:
    line.answer(200)
    request = line.read(line.until(line.plan.expires_s))
    old, line.request = line.request, request
    line.hear(response_bytes(request, 200, "tag").replace(b"200 OK", b"100 Trying"))
    line.hear(response_bytes(old, 200, "tag"))
    line.hear(response_bytes(request, 200, "tag").replace(b"REGISTER", b"OPTIONS"))
    assert line.conversation.pending
    line.answer()
    assert not line.conversation.pending


@pytest.mark.parametrize("status", [400, 403, 404, 503])
def test_a_refusal_ends_it_with_its_status(line: Line, status: int) -> None:
    assert line.failure(lambda: line.answer(status)) == f"status-{status}"


def test_asked_for_longer_it_asks_for_longer_once(line: Line) -> None:
    again = line.read(line.answer(423, Min_Expires="7200"))
    assert (again.first("expires"), again.first("cseq")) == ("7200", "9 REGISTER")
    line.request = again
    assert line.failure(lambda: line.answer(423, Min_Expires="9000")) == "status-423"


@pytest.mark.parametrize("least", ["", "0", "soon", "99999999", "0000000090" + "0" * 5_000])
def test_423_without_a_time_that_could_be_asked_for_is_a_refusal(line: Line, least: str) -> None:
    assert line.failure(lambda: line.answer(423, Min_Expires=least)) == "status-423"


def test_pings_are_answered_or_the_connection_is_dead(line: Line) -> None:
    line.answer()
    first_s = line.due_s
    assert 96 <= first_s <= 120
    assert line.until(first_s) == b"\r\n\r\n"
    assert line.due_s == first_s + PONG_MS / 1_000 == first_s + 10
    line.now_ns += 1_000_000_000
    assert line.hear(b"\r\n") == b""
    second_s = line.due_s
    assert first_s + 1 + 96 <= second_s <= first_s + 1 + 120
    line.until(second_s)
    assert line.failure(lambda: line.until(second_s + 10)) == "pong-timeout"


def test_a_registrar_that_does_not_do_outbound_is_not_pinged(line: Line) -> None:
    line.answer(outbound=False)
    assert line.due_s == 3_240


def test_a_pong_that_nobody_asked_for_means_nothing(line: Line) -> None:
    assert line.hear(b"\r\n\r\n\r\n") == b""
    line.answer()
    due_s = line.due_s
    line.hear(b"\r\n")
    assert line.due_s == due_s


@pytest.mark.parametrize("expires", ["0", "never", "-1"])
def test_a_200_that_grants_nothing_is_no_200(line: Line, expires: str) -> None:
    assert line.failure(lambda: line.answer(expires=expires)) == "protocol"


def test_a_200_with_a_contact_that_cannot_be_read_is_none(line: Line) -> None:
    assert line.failure(lambda: line.answer(Contact='"open')) == "protocol"


def test_the_time_may_stand_in_the_header_for_all_or_nowhere() -> None:
    for headers, due_s in (({"Expires": "600"}, 540), ({}, 3_240)):
        line = Line()
        line.hear(response_bytes(line.request, 200, "tag", tuple(headers.items())))
        assert line.due_s == due_s


def test_what_the_registrar_asks_is_answered(line: Line) -> None:
    asked = (
        b"OPTIONS sips:alice@phone SIP/2.0\r\nVia: SIP/2.0/TLS box;branch=z9hG4bKx\r\nFrom: <sips:box>;tag=1\r\n"
        b"To: <sips:alice@phone>\r\nCall-ID: y\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    assert line.hear(asked).startswith(b"SIP/2.0 200 OK\r\n")
    assert line.hear(asked.replace(b"OPTIONS", b"REGISTER")).startswith(b"SIP/2.0 405 ")
    assert line.hear(asked.replace(b"Max", b"").replace(b"CSeq: 1", b"CSeq: x")).startswith(b"SIP/2.0 400 ")


def test_garbage_ends_it(line: Line) -> None:
    assert line.failure(lambda: line.hear(b"\0\1\2\r\n\r\n")) == "protocol"


@given(st.binary(max_size=200), st.integers(0, 200))
def test_whatever_comes_it_is_answered_or_ended(data: bytes, cut: int) -> None:
    line = Line()
    answer = response_bytes(line.request, 200, "tag", (("Expires", "600"),))
    reason = ""
    try:
        line.hear(answer[:cut] + data + answer[cut:])
    except RegistrationFailed as failed:
        reason = failed.reason
    assert reason.startswith(("protocol", "status-")) or line.conversation.due_ns > line.now_ns


@given(st.lists(st.sampled_from(["tick", "200", "503", "423", "pong", "early"]), max_size=40), st.integers(60, 4_000))
def test_there_is_always_something_to_wait_for_and_numbers_only_grow(steps: list[str], granted: int) -> None:
    line = Line()
    cseq = line.conversation.cseq
    try:
        for step in steps:
            said = b""
            if step == "tick":
                said = line.until(line.due_s)
            elif step == "early":
                assert line.until((line.now_ns + line.conversation.due_ns) // 2 / 1e9) == b""
            elif step == "pong":
                line.hear(b"\r\n")
            elif line.conversation.pending:
                said = line.answer(int(step), expires=str(granted), Min_Expires="90")
            if b"REGISTER" in said:
                line.request = line.read(said)
            assert line.conversation.due_ns > line.now_ns
            assert line.conversation.cseq - cseq == (b"REGISTER" in said)
            cseq = line.conversation.cseq
    except RegistrationFailed:
        assert steps
