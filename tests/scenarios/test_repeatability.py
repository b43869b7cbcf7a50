"""The same seed gives the same run: times, order, sizes and names."""

from __future__ import annotations

from hil.bench import Bench
from hil.tlsclient import TlsClient


def run(seed: int) -> tuple[str, str]:
    """A board's day: boots without a certificate, makes one, serves a page, makes a CA on its card. (trace, console)"""
    with Bench(seed=seed) as bench:
        gateway = bench.gateway("ip800", card="ram", factory="upgraded")
        gateway.power_on()
        console = gateway.console
        console.login()
        console.run("x509 servercert-wait", timeout_ms=60_000)
        with TlsClient(gateway.connect(443)) as client:
            client.handshake()
            client.request("GET", "/style.css")
        console.run("x509 rootca-create /key 1024-bit /dn-cn Same", timeout_ms=600_000)
        console.run("x509 rootca-issue /dn-cn same /backup", timeout_ms=600_000)
        return bench.trace.digest(), console.text


def test_the_same_seed_gives_the_same_trace_and_the_same_console() -> None:
    first, second = run(11), run(11)
    assert first[1] == second[1]
    assert first[0] == second[0]


def test_another_seed_gives_another_trace() -> None:
    assert run(11)[0] != run(12)[0]


def test_the_banner_says_that_a_seeded_runs_keys_are_not_secret() -> None:
    with Bench(seed=1) as bench:
        gateway = bench.gateway("ip800")
        gateway.power_on()
        gateway.console.expect("its keys are not secret")
    with Bench() as bench:
        gateway = bench.gateway("ip800")
        gateway.power_on()
        gateway.console.login()
        assert "not secret" not in gateway.console.text


def test_several_boards_share_one_world_and_do_not_disturb_one_another() -> None:
    with Bench(seed=3) as bench:
        boards = [bench.gateway("ip800", factory="upgraded") for _ in range(5)]
        for gateway in boards:
            gateway.power_on()
        for gateway in boards:
            gateway.console.login()
            gateway.console.run("x509 servercert-wait", timeout_ms=60_000)
        names = [gateway.console.run("x509 servercert-show /json").json["chain"][0]["subject"] for gateway in boards]
    assert names == [f"CN={gateway.netbios}" for gateway in boards]
    assert len(set(names)) == 5
