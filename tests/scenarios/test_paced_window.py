"""The window without a certificate, at the wall clock's pace: real clients are refused until it is stored."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from hil.bench import Bench
from hil.bridges.tcp import PortBridge
from hil.gateway import Gateway
from hil.poller import Poller, paced_clock

WINDOW_NS = 100_000_000
"""Virtual time from the stored certificate to an open port, at most."""


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


@pytest.fixture
def upgraded(poller: Poller) -> Iterator[Gateway]:
    """A board that has no certificate, not yet switched on, in a world that hurries through CPU time."""
    with Bench(11, clock=paced_clock(poller, speed=None)) as bench:
        yield bench.gateway(factory="upgraded")


@pytest.fixture
def https(poller: Poller, upgraded: Gateway) -> Iterator[PortBridge]:
    made = PortBridge(poller, upgraded.board.network, 443, "127.0.0.1", 0)
    upgraded.board.network.watch(lambda port, listening: made.follow(listening) if port == 443 else None)
    yield made
    made.close()


def _refused(bridge: PortBridge) -> bool:
    try:
        socket.create_connection(("127.0.0.1", bridge.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_real_client_is_refused_until_the_certificate_is_stored(upgraded: Gateway, https: PortBridge) -> None:
    assert _refused(https)
    upgraded.power_on()
    upgraded.console.expect("login: ")
    assert _refused(https)
    upgraded.console.expect("default certificate ready", timeout_ms=60_000)
    stored_ns = upgraded.bench.now_ns
    assert upgraded.bench.run_until(lambda: https.listening, timeout_ms=1_000)
    assert upgraded.bench.now_ns - stored_ns <= WINDOW_NS
    assert not _refused(https)
    upgraded.power_off()
    assert _refused(https)
