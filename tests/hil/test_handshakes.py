"""Handshake times: what is the board's, what is the network's, and what is somebody else's."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from hil.errors import EnvironmentRefused
from hil.handshakes import (
    Handshake,
    HostRoute,
    MeasurementFailed,
    closest_half,
    handshake,
    times_from_handshakes,
)


def shakes(*waited_ms: float, round_trip_ms: float = 1.0) -> list[Handshake]:
    """Handshakes of two waits each."""
    return [
        Handshake(int(ms * 1e6), 2, int(round_trip_ms * 1e6), "box", 1024, "TLSv1.2 AES128-SHA") for ms in waited_ms
    ]


def test_the_network_is_taken_off_once_per_wait() -> None:
    times = times_from_handshakes(1024, shakes(54, 54, 54, round_trip_ms=2))
    assert times.counted == (50, 50, 50)
    assert times.round_trip_ms == 2


def test_what_disturbs_adds_to_some_and_does_not_count() -> None:
    times = times_from_handshakes(1024, shakes(52.0, 67.5, 52.2, 60.0, 52.1, 55.0, 52.3))
    assert times.counted == pytest.approx((50.0, 50.2, 50.1, 50.3))
    assert times.others == pytest.approx((65.5, 58.0, 53.0))
    assert times.median_ms == pytest.approx(50.3)
    assert "7 handshakes, median 50.300 ms, quartiles 50.150 and 55.500 ms" in times.line()


@pytest.mark.parametrize(
    ("values", "half"),
    [
        ([5.0], (5, 5)),
        ([9.0, 5.0], (5, 9)),
        ([9.0, 5.0, 6.0], (5, 6)),
        ([1.0, 7.0, 7.1, 7.2], (7, 7.2)),
        ([3.0, 3.0, 3.0, 3.0], (3, 3)),
        ([1.0, 2.0, 3.0, 4.0], (1, 3)),
    ],
)
def test_the_closest_half_is_more_than_half_of_the_values(values: list[float], half: tuple[float, float]) -> None:
    assert closest_half(values) == half


def test_one_handshake_has_a_median_and_quartiles_too() -> None:
    times = times_from_handshakes(2048, shakes(300))
    assert (times.median_ms, times.quartiles_ms) == (298, (298, 298))


def test_a_network_slower_than_the_handshake_is_refused() -> None:
    with pytest.raises(EnvironmentRefused, match=r"1024 bits: the network's round trip of 30\.000 ms hides"):
        times_from_handshakes(1024, shakes(55, 56, 57, round_trip_ms=30))


# -- boards that do not do their part


class FakeWire:
    """A connection whose other end gives this answer to everything, a millisecond later.

    Not modelled: TLS.
    """

    connect_ns = 1_000

    def __init__(self, answer: Callable[[], bytes]) -> None:
        self.now_ns = 0
        self.closed = False
        self._answer = answer

    def send(self, data: bytes) -> None:
        assert data

    def receive(self) -> bytes:
        self.now_ns += 1_000_000
        return self._answer()

    def close(self) -> None:
        self.closed = True


class FakeRoute:
    """Every connection is this one."""

    def __init__(self, wire: FakeWire) -> None:
        self.wire = wire

    def connect(self) -> FakeWire:
        return self.wire

    def pause(self, ms: float) -> None:
        self.wire.now_ns += int(ms * 1e6)


def raising(error: Exception) -> Callable[[], bytes]:
    def answer() -> bytes:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (raising(TimeoutError()), r"tls handshake: no answer within 60 s"),
        (raising(ConnectionResetError(104, "Connection reset by peer")), r"broken off by the board, connection reset"),
        (lambda: b"", r"broken off by the board, the connection ended"),
        (lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n", r"refused, (wrong version number|http request)"),
        (lambda: bytes.fromhex("15030300020228"), r"refused, .*handshake failure: it must do RSA key exchange"),
    ],
)
def test_a_board_that_does_not_do_its_part_is_one_line(answer: Callable[[], bytes], message: str) -> None:
    wire = FakeWire(answer)
    with pytest.raises(MeasurementFailed, match=message) as caught:
        handshake(FakeRoute(wire), "calibration.invalid")
    assert "\n" not in str(caught.value)
    assert wire.closed


def test_a_port_that_nobody_listens_at_is_the_environments_refusal() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentRefused, match=rf"cannot reach 127\.0\.0\.1:{port}: connection refused"):
            HostRoute("127.0.0.1", port).connect()


def test_a_name_that_nobody_has_is_the_environments_refusal() -> None:
    with pytest.raises(EnvironmentRefused, match=r"cannot find \.\.: "):
        HostRoute("..", 443).connect()
