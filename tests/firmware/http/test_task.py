"""One HTTP connection, byte by byte."""

from __future__ import annotations

import pytest

from firmware.errors import FirmwareError, RequestError
from firmware.http import Router, serve_http, text_response


class Talk:
    """A client at the other end of a connection that is being served."""

    def __init__(self, board, secure=False):
        self.board = board
        self.stream = board.stream()
        self.now_s = None
        self.seen = []
        router = Router()
        router.get("/", self.home)
        router.get("/slow", self.slow)
        router.get("/broken", self.broken)
        router.get("/card", self.card)
        router.get("/gone", self.gone)
        router.add("POST", "/upload", self.upload, body_bytes=100)
        router.add("POST", "/secret", self.upload, secure_only=True)
        wire = board.tcp(self.stream)
        wire.secure = secure
        self.task = board.spawn(
            serve_http(board.kernel, board.costs, wire, router, "IP800/11.00", lambda: self.now_s, board.log)
        )

    def home(self, request):
        self.seen.append(request)
        return text_response("<p>hello</p>")

    async def slow(self, request):
        await self.board.kernel.sleep_ms(100)
        return text_response("at last")

    def card(self, request):
        raise OSError(19, "no card in the slot")

    def broken(self, request):
        raise FirmwareError("the card is on fire")

    def gone(self, request):
        raise RequestError(410, "it was here")

    def upload(self, request):
        self.seen.append(request)
        return text_response(f"{len(request.body)} bytes", "text/plain")

    def say(self, data: bytes, wait_ms: int = 5) -> bytes:
        self.stream.feed(data)
        self.board.run_ms(wait_ms)
        return self.stream.take()

    def ask(self, line: str, *headers: str, wait_ms: int = 5) -> bytes:
        return self.say("\r\n".join((line, "Host: box", *headers, "", "")).encode(), wait_ms)


@pytest.fixture
def talk(service_board):
    return Talk(service_board)


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1]) if answer else 0


def test_a_page_comes_with_length_server_and_security_headers(talk):
    head, _, body = talk.ask("GET / HTTP/1.1").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert body == b"<p>hello</p>"
    for line in (
        "Server: IP800/11.00",
        "Content-Type: text/html; charset=utf-8",
        "Content-Length: 12",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
    ):
        assert line in lines
    policy = next(line for line in lines if line.startswith("Content-Security-Policy: "))
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_no_date_while_the_time_is_not_set(talk):
    assert b"Date:" not in talk.ask("GET / HTTP/1.1")
    talk.now_s = 784_111_777
    assert b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" in talk.ask("GET / HTTP/1.1")


def test_head_gives_the_same_headers_and_no_body(talk):
    with_body = talk.ask("GET / HTTP/1.1")
    assert talk.ask("HEAD / HTTP/1.1") == with_body.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def test_a_connection_is_kept_for_the_next_request(talk):
    for _ in range(3):
        assert status(talk.ask("GET / HTTP/1.1")) == 200
    assert talk.stream.status == "open"


def test_requests_in_one_piece_are_answered_in_order(talk):
    one = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"
    two = b"GET /none HTTP/1.1\r\nHost: box\r\n\r\n"
    answers = talk.say(one + two + one)
    assert [int(part[1:4]) for part in answers.split(b"HTTP/1.1")[1:]] == [200, 404, 200]


def test_http_1_0_is_closed_after_the_answer(talk):
    answer = talk.say(b"GET / HTTP/1.0\r\n\r\n")
    assert status(answer) == 200
    assert talk.stream.status == "closed"


def test_connection_close_is_obeyed(talk):
    answer = talk.ask("GET / HTTP/1.1", "Connection: close")
    assert b"connection: close" in answer.lower()
    assert talk.task.done


def test_a_handler_may_wait(talk):
    assert talk.ask("GET /slow HTTP/1.1") == b""
    talk.board.run_ms(100)
    assert talk.stream.take().endswith(b"at last")


def test_the_handler_sees_the_whole_request(talk):
    talk.ask("GET /?index=1 HTTP/1.1", "X-Word: a", "X-Word: b")
    request = talk.seen[0]
    assert (request.method, request.path, request.query) == ("GET", "/", {"index": "1"})
    assert request.headers["x-word"] == "a, b"
    assert (request.secure, request.peer) == (False, "192.0.2.7:40000")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("GET /none HTTP/1.1", 404),
        ("DELETE / HTTP/1.1", 405),
        ("GET /gone HTTP/1.1", 410),
        ("GET /broken HTTP/1.1", 500),
        ("GET /../x HTTP/1.1", 400),
    ],
)
def test_refusals_keep_the_connection(talk, line, code):
    assert status(talk.ask(line)) == code
    assert status(talk.ask("GET / HTTP/1.1")) == 200


def test_405_says_what_is_possible(talk):
    assert b"\r\nAllow: GET, HEAD\r\n" in talk.ask("PUT / HTTP/1.1")


def test_a_failing_handler_is_logged_and_answered(talk):
    assert b"the card is on fire" in talk.ask("GET /broken HTTP/1.1")
    assert [line for line in talk.board.lines if "the card is on fire" in line] == talk.board.lines
    assert len(talk.board.lines) == 1


def test_a_card_that_fails_a_handler_is_logged_and_answered(talk):
    assert b"no card in the slot" in talk.ask("GET /card HTTP/1.1")
    assert talk.board.lines == ["http 500 to 192.0.2.7:40000: GET /card: no card in the slot"]
    assert status(talk.ask("GET / HTTP/1.1")) == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: box\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: box\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
)
def test_what_is_no_request_is_400_and_ends_the_connection(talk, request_bytes):
    assert status(talk.say(request_bytes)) == 400
    talk.board.run_ms(1_100)
    assert talk.stream.status == "closed"


def test_headers_over_16_kib_are_431(talk):
    assert status(talk.ask("GET / HTTP/1.1", "X-Long: " + "x" * 17_000)) == 431


def test_headers_just_under_16_kib_are_fine(talk):
    assert status(talk.ask("GET / HTTP/1.1", "X-Long: " + "x" * 16_000)) == 200


def test_headers_that_trickle_in_are_408(talk):
    talk.say(b"GET / HT")
    assert talk.say(b"TP/1.1\r\n", wait_ms=14_900) == b""
    assert status(talk.say(b"", wait_ms=200)) == 408


def test_an_idle_connection_is_closed_without_a_word(talk):
    talk.ask("GET / HTTP/1.1")
    assert talk.say(b"", wait_ms=29_900) == b""
    assert talk.stream.status == "open"
    assert talk.say(b"", wait_ms=200) == b""
    assert talk.stream.status == "closed"


def test_a_body_reaches_the_handler(talk):
    answer = talk.ask("POST /upload HTTP/1.1", "Content-Length: 5")
    assert answer == b""
    assert talk.say(b"12345").endswith(b"5 bytes")
    assert talk.seen[0].body == b"12345"


def test_a_chunked_body_reaches_the_handler(talk):
    talk.ask("POST /upload HTTP/1.1", "Transfer-Encoding: chunked")
    assert talk.say(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").endswith(b"5 bytes")


def test_a_body_over_the_limit_is_413_before_it_is_read(talk):
    answer = talk.ask("POST /upload HTTP/1.1", "Content-Length: 101", "Expect: 100-continue")
    assert status(answer) == 413
    assert b"body of 101 bytes, limit 100" in answer
    assert b"connection: close" in answer.lower()
    assert talk.seen == []


def test_a_chunked_body_over_the_limit_is_413(talk):
    talk.ask("POST /upload HTTP/1.1", "Transfer-Encoding: chunked")
    assert status(talk.say(b"65\r\n" + b"x" * 101 + b"\r\n")) == 413


def test_100_continue_is_said_only_to_what_is_wanted(talk):
    assert status(talk.ask("POST /upload HTTP/1.1", "Content-Length: 2", "Expect: 100-continue")) == 100
    assert talk.say(b"ok").endswith(b"2 bytes")


def test_a_body_that_does_not_come_is_408(talk):
    talk.ask("POST /upload HTTP/1.1", "Content-Length: 5")
    assert status(talk.say(b"12", wait_ms=60_100)) == 408


def test_what_must_not_travel_in_the_clear_is_refused_before_its_body(talk):
    answer = talk.ask("POST /secret HTTP/1.1", "Content-Length: 5")
    assert status(answer) == 403
    assert b"use https" in answer
    assert talk.seen == []


def test_the_same_is_taken_through_tls(service_board):
    talk = Talk(service_board, secure=True)
    talk.ask("POST /secret HTTP/1.1", "Content-Length: 5")
    assert talk.say(b"12345").endswith(b"5 bytes")
    assert talk.seen[0].secure


def test_an_answer_to_a_refused_upload_survives_the_upload(talk):
    talk.ask("POST /upload HTTP/1.1", "Content-Length: 100000")
    talk.say(b"x" * 50_000)
    assert talk.stream.status == "open"
    talk.say(b"", wait_ms=1_100)
    assert talk.stream.status == "closed"


def test_a_peer_that_leaves_or_breaks_ends_the_task_quietly(service_board):
    for leave in ("end", "reset"):
        for said in (b"", b"GET / HT", b"POST /upload HTTP/1.1\r\nHost: box\r\nContent-Length: 9\r\n\r\n12"):
            talk = Talk(service_board)
            talk.say(said)
            getattr(talk.stream, leave)()
            service_board.run_ms(1_100)
            assert talk.task.done
            assert talk.task.error is None


def test_a_peer_that_does_not_read_is_dropped_after_a_minute(service_board):
    talk = Talk(service_board)
    talk.stream.window_bytes = 10
    talk.stream.feed(b"GET / HTTP/1.1\r\nHost: box\r\n\r\n")
    service_board.run_ms(59_900)
    assert talk.stream.status == "open"
    service_board.run_ms(200)
    assert talk.stream.status == "closed"
    assert talk.task.error is None


def test_every_byte_of_a_request_is_charged(talk):
    before = talk.board.kernel.cycles["parse"]
    request = b"POST /upload HTTP/1.1\r\nHost: box\r\nContent-Length: 5\r\n\r\n12345"
    talk.say(request)
    assert talk.board.kernel.cycles["parse"] - before == 50 * len(request)
