"""Byte streams over a TCP connection."""

from __future__ import annotations

import errno

import pytest

from firmware.net import ConnectionLost, discard


def test_reading_waits_for_bytes_and_ends_with_the_connection(service_board):
    stream = service_board.stream()
    tcp = service_board.tcp(stream)
    first = service_board.spawn(tcp.read(3))
    assert not first.done
    stream.feed(b"abcdef")
    service_board.settle()
    assert service_board.result(first) == b"abc"
    assert service_board.result(service_board.spawn(tcp.read())) == b"def"
    stream.end()
    assert service_board.result(service_board.spawn(tcp.read())) == b""


def test_writing_waits_for_room(service_board):
    stream = service_board.stream(window_bytes=4)
    task = service_board.spawn(service_board.tcp(stream).write(b"0123456789"))
    assert not task.done
    taken = []
    for _ in range(3):
        taken.append(stream.take())
        service_board.settle()
    service_board.result(task)
    assert taken == [b"0123", b"4567", b"89"]


def test_writing_into_a_broken_connection_is_an_error_of_ours(service_board):
    stream = service_board.stream()
    tcp = service_board.tcp(stream)
    stream.reset()
    with pytest.raises(ConnectionLost, match="takes nothing more"):
        service_board.spawn(tcp.write(b"x"))


def test_a_writer_that_waits_for_room_hears_of_the_reset(service_board):
    stream = service_board.stream(window_bytes=0)
    service_board.spawn(service_board.tcp(stream).write(b"x"))
    stream.reset()
    with pytest.raises(ConnectionLost):
        service_board.settle()


def test_a_connection_that_was_given_up_says_that_it_timed_out(service_board):
    for use in (lambda tcp: tcp.read(), lambda tcp: tcp.write(b"x")):
        stream = service_board.stream()
        tcp = service_board.tcp(stream)
        stream.reset(errno.ETIMEDOUT)
        with pytest.raises(ConnectionLost, match=r"^connection to 192\.0\.2\.7:40000 timed out$"):
            service_board.result(service_board.spawn(use(tcp)))


def test_a_connection_that_is_refused_says_so(service_board):
    stream = service_board.stream()
    stream.status = "connecting"
    service_board.spawn(service_board.tcp(stream).connected())
    stream.status = "refused"
    stream.feed(b"")
    with pytest.raises(ConnectionLost, match="was refused"):
        service_board.settle()


def test_a_connection_that_opens_can_be_used(service_board):
    stream = service_board.stream()
    stream.status = "connecting"
    task = service_board.spawn(service_board.tcp(stream).connected())
    assert not task.done
    stream.open()
    service_board.settle()
    service_board.result(task)


def test_discarding_stops_after_a_second(service_board):
    stream = service_board.stream()
    task = service_board.spawn(discard(service_board.kernel, service_board.tcp(stream)))
    stream.feed(b"late")
    service_board.run_ms(999)
    assert not task.done
    service_board.run_ms(2)
    service_board.result(task)
