"""One SIP connection."""

from __future__ import annotations

import pytest

from firmware.sip import Registrar, serve_sip, watch_bindings

OPTIONS = (
    b"OPTIONS sip:box SIP/2.0\r\nVia: SIP/2.0/TCP phone;branch=z9hG4bK1\r\nFrom: <sip:p>;tag=1\r\nTo: <sip:box>\r\n"
    b"Call-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture
def line(service_board):
    """A connection that is being served: (task, stream of the test)."""
    stream = service_board.stream()
    task = service_board.spawn(
        serve_sip(
            service_board.kernel,
            service_board.costs,
            service_board.tcp(stream),
            service_board.entropy,
            "IP800/11",
            service_board.log,
        )
    )
    return task, stream


def test_options_is_answered_on_the_same_connection(service_board, line):
    _, stream = line
    for _ in range(3):
        stream.feed(OPTIONS)
        service_board.run_ms(1)
        answer = stream.take()
        assert answer.startswith(b"SIP/2.0 200 OK\r\n")
        assert b"Via: SIP/2.0/TCP phone;branch=z9hG4bK1;received=192.0.2.7\r\n" in answer
    assert stream.status == "open"


def test_every_response_has_a_tag_of_its_own(service_board, line):
    _, stream = line
    tags = set()
    for _ in range(5):
        stream.feed(OPTIONS)
        service_board.run_ms(1)
        tags.add(stream.take().partition(b"To: <sip:box>;tag=")[2][:16])
    assert len(tags) == 5


def test_a_ping_is_answered_with_a_pong(service_board, line):
    _, stream = line
    stream.feed(b"\r\n\r\n")
    service_board.run_ms(1)
    assert stream.take() == b"\r\n"


def test_a_malformed_request_is_400_logged_and_the_next_one_answered(service_board, line):
    _, stream = line
    stream.feed(OPTIONS.replace(b"Content-Length", b"nonsense\r\nContent-Length") + OPTIONS)
    service_board.run_ms(1)
    answers = stream.take()
    assert answers.startswith(b"SIP/2.0 400 Bad Request (a header line has no name)\r\n")
    assert b"SIP/2.0 200 OK" in answers
    assert service_board.lines == ["sip message from 192.0.2.7:40000 refused: a header line has no name"]


def test_a_request_without_length_is_answered_and_the_connection_closed(service_board, line):
    task, stream = line
    stream.feed(OPTIONS.replace(b"Content-Length: 0\r\n", b""))
    service_board.run_ms(1)
    assert stream.take().startswith(b"SIP/2.0 400 ")
    service_board.run_ms(1_100)
    assert task.done
    assert stream.status == "closed"


def test_responses_are_dropped(service_board, line):
    _, stream = line
    stream.feed(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    service_board.run_ms(1)
    assert stream.take() == b""


@pytest.mark.parametrize(("said", "limit_ms"), [(b"", 300_000), (b"OPTIONS", 32_000), (b"\r\n", 300_000)])
def test_silence_ends_the_connection(service_board, line, said, limit_ms):
    task, stream = line
    stream.feed(said)
    service_board.run_ms(limit_ms - 100)
    assert stream.status == "open"
    service_board.run_ms(200)
    assert stream.status == "closed"
    assert service_board.result(task) is None


@pytest.mark.parametrize("leave", ["end", "reset"])
def test_a_peer_that_leaves_ends_the_task_quietly(service_board, line, leave):
    task, stream = line
    stream.feed(OPTIONS[:30])
    service_board.run_ms(1)
    getattr(stream, leave)()
    service_board.run_ms(1)
    assert service_board.result(task) is None
    assert stream.status in ("closed", "reset")


def test_every_byte_is_charged(service_board, line):
    _, stream = line
    stream.feed(OPTIONS)
    service_board.run_ms(1)
    assert service_board.kernel.cycles["parse"] == 50 * len(OPTIONS)


# -- with a registrar

REGISTER = (
    b"REGISTER sip:box SIP/2.0\r\nVia: SIP/2.0/TCP phone;branch=z9hG4bK1\r\nFrom: <sip:alice@box>;tag=1\r\n"
    b"To: <sip:alice@box>\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\nContact: <sip:alice@phone>\r\nExpires: 400\r\n"
    b"Content-Length: 0\r\n\r\n"
)


@pytest.fixture
def told():
    return []


@pytest.fixture
def registrar(service_board, told):
    """A registrar at which everybody may register, and the task that ends what is not renewed."""
    made = Registrar(
        lambda user, name: "IP232-30-00-af", lambda: service_board.kernel.now_ns, lambda *event: told.append(event)
    )
    service_board.spawn(watch_bindings(service_board.kernel, made))
    return made


@pytest.fixture
def registering(service_board, registrar):
    """A connection that REGISTERs may come over."""
    stream = service_board.stream()
    task = service_board.spawn(
        serve_sip(
            service_board.kernel,
            service_board.costs,
            service_board.tcp(stream),
            service_board.entropy,
            flow=registrar.flow("tcp", None),
            date=lambda: "Thu, 01 Jan 2026 00:00:00 GMT",
        )
    )
    return task, stream


def test_a_register_is_answered_dated_and_charged(service_board, registering, registrar):
    _, stream = registering
    stream.feed(REGISTER)
    service_board.run_ms(1)
    answer = stream.take()
    assert answer.startswith(b"SIP/2.0 200 OK\r\n")
    assert b"\r\nContact: <sip:alice@phone>;expires=400\r\nExpires: 400\r\n" in answer
    assert b"\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n" in answer
    assert service_board.kernel.cycles["sip"] == service_board.costs.command
    assert len(registrar.bindings) == 1


@pytest.mark.parametrize("leave", ["end", "reset"])
def test_the_end_of_the_connection_is_the_end_of_the_registration(service_board, registering, registrar, told, leave):
    _, stream = registering
    stream.feed(REGISTER)
    service_board.run_ms(1)
    getattr(stream, leave)()
    service_board.run_ms(1)
    assert len(registrar.bindings) == 0
    assert told == [("binding", 1), ("binding", 0)]


def test_a_registration_that_is_not_renewed_ends_in_its_millisecond(service_board, registering, registrar, told):
    _, stream = registering
    stream.feed(REGISTER)
    service_board.run_ms(1)
    service_board.run_ms(399_998)
    assert told == [("binding", 1)]
    service_board.run_ms(3)
    assert told == [("binding", 1), ("expired", 0)]
    assert len(registrar.bindings) == 0


def test_a_device_that_does_not_ping_may_be_silent_for_as_long_as_it_is_registered(service_board, registering):
    task, stream = registering
    stream.feed(REGISTER)
    service_board.run_ms(690_000)
    assert stream.status == "open"
    service_board.run_ms(20_000)
    assert (task.done, stream.status) == (True, "closed")


def test_garbage_registers_nobody_and_ends_the_connection(service_board, registering, registrar):
    task, stream = registering
    stream.feed(bytes(range(256)) * 100)
    service_board.run_ms(2_000)
    assert task.done
    assert len(registrar.bindings) == 0
