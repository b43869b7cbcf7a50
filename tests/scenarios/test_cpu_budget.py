"""The CPU's budget of a whole gateway: what signalling may count on while a key is being made."""

from __future__ import annotations

import pytest

from hil.console import Console
from hil.errors import DeviceFailure
from hil.gateway import Gateway
from hil.tlsclient import TlsClient


def test_signalling_keeps_its_latency_while_a_key_is_generated(console: Console, board: Gateway) -> None:
    budget = board.budget
    budget.restart()
    console.run("x509 servercert-create /key 4096-bit /dn-cn slow")
    for _ in range(20):
        with TlsClient(board.connect(443)) as client:
            client.handshake()
        board.bench.run_for(ms=200)
    budget.assert_never_held(ms=10)
    budget.assert_latency(p50_ms=2.1, p99_ms=5)
    budget.assert_load_below(90, over_ms=1_000)
    # And the same assertions do fail: the search takes its half, and a slice of it takes 2 ms.
    with pytest.raises(DeviceFailure, match="x509"):
        budget.assert_load_below(45, over_ms=1_000)
    with pytest.raises(DeviceFailure, match=r"meanwhile ran .*; the longest turn was task "):
        budget.assert_latency(max_ms=0.5)
    console.run("x509 servercert-cancel")
