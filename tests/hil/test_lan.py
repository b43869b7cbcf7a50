"""``bench.lan``: gateways that talk TLS over a network that loses, delays and is cut; and clients of the bench."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hil.bench import Bench
from hil.errors import DeviceFailure, EnvironmentRefused
from hil.gateway import Gateway
from hil.tlsclient import TlsClient

MS = 1_000_000
S = 1_000_000_000


def two(bench: Bench) -> tuple[Gateway, Gateway]:
    """Two gateways that are up; the first trusts the second."""
    gateways = (bench.gateway(), bench.gateway())
    for gateway in gateways:
        gateway.power_on()
    for gateway in gateways:
        gateway.console.login()
    one, other = gateways
    connect(one, other)
    one.console.run("x509 rejected-trust /index 0")
    return one, other


def tls_to(gateway: Gateway) -> str:
    """The command that opens a TLS connection to a gateway with the certificate that it came with."""
    return f"x509 connect {gateway.netbios}:443 /name {gateway.mac.hex()}"


def connect(one: Gateway, other: Gateway) -> Any:
    """What one gateway says of a TLS connection to the other."""
    return one.console.run(f"{tls_to(other)} /json", timeout_ms=120_000).json


def lan_events(bench: Bench) -> list[tuple[str, str, int | str]]:
    return [(event.board, event.name, event.value) for event in bench.trace if event.kind == "lan"]


# -- with boards that run a few lines of Python


def test_gateways_are_found_as_soon_as_they_are_on_the_bench_and_saved_ones_too(
    fake_bench: Bench, make_fake_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    one = fake_bench.gateway()
    one.save(tmp_path / "one")
    bench = make_fake_bench(8)
    back = bench.gateway_from(tmp_path / "one")
    late = bench.gateway(name="late")
    for gateway in (back, late):
        gateway.power_on()
    bench.run_for(ms=10)
    streams = [late.network.connect(back.netbios.upper(), 80), back.network.connect("late", 80)]
    bench.run_for(ms=10)
    assert [stream.status for stream in streams] == ["open", "open"]


def test_a_gateway_that_could_not_be_made_leaves_no_name_behind(fake_bench: Bench) -> None:
    one = fake_bench.gateway()
    with pytest.raises(EnvironmentRefused):
        fake_bench.gateway(card="/nowhere/at/all.img", name="two")
    two = fake_bench.gateway(name="two")
    for gateway in (one, two):
        gateway.power_on()
    fake_bench.run_for(ms=10)
    stream = one.network.connect("two", 80)
    fake_bench.run_for(ms=10)
    assert stream.status == "open"


def test_a_lan_that_nobody_touched_says_nothing(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway()
    gateway.power_on()
    with gateway.connect(80) as peer:
        peer.write(b"hello")
        assert peer.read() == b"echo:hello"
    assert fake_bench.lan.calm
    assert lan_events(fake_bench) == []


def test_a_client_of_the_bench_is_on_the_lan_too(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway()
    gateway.power_on()
    fake_bench.run_for(ms=10)
    fake_bench.lan.link(gateway).latency_ms = 50
    peer = gateway.connect(80)
    assert peer.wait_open()
    began_ns = fake_bench.now_ns
    peer.write(b"far away")
    assert peer.read() == b"echo:far away"
    assert 100 * MS < fake_bench.now_ns - began_ns < 102 * MS


def test_a_gateway_that_is_cut_off_is_silent_and_there_again_afterwards(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway(name="gw")
    gateway.power_on()
    peer = gateway.connect(80)
    assert peer.wait_open()
    with fake_bench.lan.cut_off(gateway):
        stranger = gateway.connect(80)
        assert not stranger.wait_open(timeout_ms=2_000)
        peer.write(b"anybody?")
        with pytest.raises(DeviceFailure, match="nothing"):
            peer.read(timeout_ms=500)
    assert stranger.wait_open()
    assert peer.read() == b"echo:anybody?"
    events = lan_events(fake_bench)
    assert (events[0], events[-1]) == (("gw", "cut", ""), ("gw", "restore", ""))
    assert ("gw", "lost", len(b"anybody?")) in events


def test_the_same_seed_gives_the_same_trace_whatever_is_lost(make_fake_bench: Callable[..., Bench]) -> None:
    def run(seed: int) -> str:
        bench = make_fake_bench(seed)
        gateway = bench.gateway()
        gateway.power_on()
        bench.lan.loss, bench.lan.jitter_ms = 0.3, 5
        with gateway.connect(80) as peer:
            for number in range(20):
                peer.write(bytes(number * 300 + 1))
                while not peer.read(timeout_ms=120_000):
                    pass
        return bench.trace.digest()

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_what_happens_on_the_lan_is_on_the_timeline(fake_bench: Bench, tmp_path: Path) -> None:
    fake_bench.save_timeline(tmp_path / "run.json")
    fake_bench.save_vcd(tmp_path / "run.vcd")
    gateway = fake_bench.gateway()
    gateway.power_on()
    with fake_bench.lan.cut_off(gateway):
        fake_bench.run_for(ms=10)
    fake_bench.close()
    events = json.loads((tmp_path / "run.json").read_text())
    (track,) = [event["tid"] for event in events if event["ph"] == "M" and event["args"].get("name") == "lan"]
    seen = [(event["name"].strip(), event["ts"]) for event in events if event["ph"] == "i" and event["tid"] == track]
    assert seen == [("cut", 0), ("restore", 10_000)]


# -- with the firmware


@pytest.mark.parametrize("seed", range(4))
def test_tls_between_two_gateways_gets_through_when_every_twentieth_segment_is_lost(seed: int) -> None:
    with Bench(seed) as bench:
        one, other = two(bench)
        bench.lan.loss = 0.05
        answers = [connect(one, other) for _ in range(5)]
        assert [answer["ok"] for answer in answers] == [True] * 5
        assert any(name == "lost" for _, name, _ in lan_events(bench))


def test_a_lossy_run_of_the_firmware_repeats_itself() -> None:
    def run() -> str:
        with Bench(5) as bench:
            one, other = two(bench)
            bench.lan.loss = 0.1
            for _ in range(3):
                connect(one, other)
            with TlsClient(other.connect(443)) as client:
                client.handshake()
            assert any(name == "lost" for _, name, _ in lan_events(bench))
            return bench.trace.digest()

    assert run() == run()


def begin(bench: Bench, one: Gateway, other: Gateway) -> None:
    """Begins a TLS connection, and stops in the middle of its handshake."""
    one.console.send_line(tls_to(other))
    assert bench.run_until(lambda: bool(other.network._streams))
    bench.run_for(ms=5)  # greetings have gone back and forth; the keys take ten times as long


def test_a_handshake_that_is_cut_for_five_seconds_is_completed_afterwards() -> None:
    with Bench(3) as bench:
        one, other = two(bench)
        mark = one.console.mark()
        begin(bench, one, other)
        began_ns = bench.now_ns
        bench.lan.cut(one, other, ms=5_000)
        one.console.expect("TLSv1.2", since=mark, timeout_ms=30_000)
        assert 5 * S < bench.now_ns - began_ns < 10 * S


def test_a_handshake_that_is_cut_for_good_is_given_up_by_who_waits_for_it() -> None:
    with Bench(3) as bench:
        one, other = two(bench)
        mark = one.console.mark()
        begin(bench, one, other)
        bench.lan.cut(other)
        one.console.expect("waited 30 s for the peer", since=mark, timeout_ms=60_000)


def test_a_gateway_that_is_cut_off_cannot_be_reached_and_says_so() -> None:
    with Bench(3) as bench:
        one, other = two(bench)
        with bench.lan.cut_off(one):
            said = one.console.run(tls_to(other), check=False, timeout_ms=60_000)
            assert f"no answer from {other.netbios}:443 within 10 s" in (said.error or "")
        assert connect(one, other)["ok"]
