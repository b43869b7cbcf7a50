"""Whatever is done to a world, in whatever order and at whatever times: its repetition is the same run."""

from __future__ import annotations

import errno
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from board import BoardError
from hil.bench import Bench
from hil.errors import DeviceFailure, RackMisuse
from hil.gateway import Gateway
from hil.netclient import NetClient
from hil.record import Record, Repeat, record_from_file
from hil.tlsclient import TlsClient

pytestmark = pytest.mark.usefixtures("benches_closed")

LINES = (
    b"admin\rip800\r",
    b"help\r",
    b"card ls\r",
    b"\x03",
    b"reset\r",
    b"x509 servercert-create /key 1024-bit /dn-cn x\r",
    b"x509 rootca-create /key 1024-bit /dn-cn y\r",
    b"x509 connect IP800-06-11-ad:443\r",
)

REQUEST = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n"

EXPECTED = (BoardError, RackMisuse, DeviceFailure, OSError, ssl.SSLError)
"""What may come of doing anything at any time: what is refused has not been done."""


class World:
    """A recorded bench, and hands that can do anything with it."""

    def __init__(self, bench: Bench, number_of_boards: int) -> None:
        self.bench = bench
        self.boards = [bench.gateway(factory=("v7", "upgraded")[n % 2]) for n in range(number_of_boards)]
        self.connections: list[NetClient] = []
        self.seen: list[tuple[int, int, str]] = []
        self.left: list[tuple[bytes, bytes]] = []
        """What each board's console had said, and its flash, in the end."""

    def do(self, step: tuple[Any, ...]) -> None:
        verb, which, *arguments = step
        try:
            getattr(self, verb)(self.boards[which % len(self.boards)], *arguments)
        except EXPECTED:
            pass
        self.seen.append((self.bench.now_ns, self.bench.trace.count, self.bench.trace.digest()))

    def power(self, gateway: Gateway) -> None:
        if gateway.powered:
            gateway.power_off()
        else:
            gateway.power_on()

    def type(self, gateway: Gateway, data: bytes) -> None:
        gateway.console.send(data)

    def card(self, gateway: Gateway) -> None:
        if gateway.card is None:
            gateway.insert_card("ram", "1M")
        else:
            gateway.remove_card()

    def swap(self, gateway: Gateway) -> None:
        card = gateway.remove_card()
        card.backend.writeblocks(1_000, b"\x5a" * 512)
        gateway.insert_card(card)

    def press(self, gateway: Gateway, ms: int) -> None:
        gateway.board.press_button(ms)

    def connect(self, gateway: Gateway, port: int) -> None:
        self.connections.append(gateway.connect(port))

    def write(self, gateway: Gateway, data: bytes) -> None:
        self._client(gateway).write(data, timeout_ms=20)

    def read(self, gateway: Gateway, ms: int) -> None:
        self._client(gateway).read(timeout_ms=ms)

    def end(self, gateway: Gateway, how: str) -> None:
        getattr(self._client(gateway), how)()

    def tls(self, gateway: Gateway, ms: int) -> None:
        with TlsClient(gateway.connect(443)) as client:
            client.handshake(timeout_ms=ms)
            client.request(timeout_ms=ms)

    def later(self, gateway: Gateway, ns: int, verb: str) -> None:
        def act() -> None:
            try:
                getattr(self, verb)(gateway)
            except EXPECTED:
                pass

        self.bench.clock.after(ns, act)

    def fault(self, gateway: Gateway, fault: str, at: int) -> None:
        gateway.faults.arm(fault, at=at)

    def cut(self, gateway: Gateway, ms: int) -> None:
        self.bench.lan.cut(gateway, ms=ms)

    def weather(self, gateway: Gateway, loss: float, latency_ms: int) -> None:
        self.bench.lan.loss = loss
        self.bench.lan.link(gateway).latency_ms = latency_ms

    def run(self, gateway: Gateway, ns: int) -> None:
        self.bench.clock.run_for(ns)

    def look(self, gateway: Gateway, events: int) -> None:
        left = iter(range(events))
        self.bench.run_until(lambda: next(left, None) is None, timeout_ms=500)

    def step(self, gateway: Gateway, events: int) -> None:
        for _ in range(events):
            self.bench.clock.step()

    def _client(self, gateway: Gateway) -> NetClient:
        if not self.connections:
            raise OSError(errno.ENOTCONN, "no connection yet")
        return self.connections[-1]


def verb(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), st.integers(0, 1), *arguments)


SHORT_NS, LONG_NS = st.integers(1, 3_000_000), st.integers(1, 1_500_000_000)

PASSING = st.one_of(
    verb("run", SHORT_NS), verb("run", LONG_NS), verb("look", st.integers(1, 200)), verb("step", st.integers(1, 40))
)

DOING = st.one_of(
    verb("power"),
    verb("type", st.binary(min_size=1, max_size=60)),
    verb("type", st.sampled_from(LINES)),
    verb("card"),
    verb("swap"),
    verb("press", st.sampled_from((40, 1_200, 11_000))),
    verb("connect", st.sampled_from((80, 443, 5061, 99))),
    verb("write", st.sampled_from((REQUEST, b"\x16\x03\x01\x00\x05hello", bytes(2_000)))),
    verb("read", st.integers(1, 200)),
    verb("end", st.sampled_from(("end", "close", "abort"))),
    verb("tls", st.integers(1, 800)),
    verb("later", LONG_NS, st.sampled_from(("power", "card", "swap"))),
    verb("fault", st.sampled_from(("pull", "cut", "lose", "error", "tear-head")), st.integers(1, 60)),
    verb("cut", st.integers(1, 2_000)),
    verb("weather", st.sampled_from((0.0, 0.2)), st.integers(0, 30)),
)

STEPS = st.lists(st.one_of(DOING, PASSING), min_size=2, max_size=18)


def what_is_left(bench: Bench) -> list[tuple[bytes, bytes]]:
    return [(bytes(gateway.console.data), gateway.flash_image) for gateway in bench.gateways]


def recorded(seed: int, boards: int, steps: list[tuple[Any, ...]]) -> tuple[Record, World]:
    """A world in which that was done, after its boards were switched on; its record went through a file."""
    with Bench(seed, record=True) as bench, tempfile.TemporaryDirectory() as name:
        world = World(bench, boards)
        for number in range(boards):
            world.power(world.boards[number])
        for step in (("run", 0, 15_000_000), ("type", 0, LINES[0]), *steps):
            world.do(step)
        world.left = what_is_left(bench)
        bench.save_record(Path(name) / "record.zip")
        return record_from_file(Path(name) / "record.zip"), world


def trace_digest_at(repeat: Repeat, wanted: dict[int, str]) -> Callable[[object], None]:
    """Compares the digest each time that as many trace events have happened as when somebody looked."""

    def look(event: object) -> None:
        count = repeat.bench.trace.count
        if count in wanted:
            assert repeat.bench.trace.digest() == wanted.pop(count)

    return look


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1_000), boards=st.integers(1, 2), steps=STEPS)
def test_any_run_is_repeated_exactly(seed: int, boards: int, steps: list[tuple[Any, ...]]) -> None:
    record, world = recorded(seed, boards, steps)
    assert record.facts.doubts == []
    repeat = Repeat(record)
    wanted = {count: digest for _, count, digest in world.seen if count}
    repeat.bench.trace.listen(trace_digest_at(repeat, wanted))
    repeat.run()
    assert wanted == {}
    again = repeat.bench
    assert (again.now_ns, again.trace.count, again.trace.digest()) == world.seen[-1]
    assert what_is_left(again) == world.left


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1_000), steps=STEPS, part=st.floats(0, 1))
def test_any_run_is_repeated_up_to_any_instant(seed: int, steps: list[tuple[Any, ...]], part: float) -> None:
    record, world = recorded(seed, 1, steps)
    until_ns = int(world.bench.now_ns * part)
    repeat = Repeat(record)
    repeat.run(until_ns=until_ns)
    assert repeat.bench.now_ns == until_ns
    lines = [event.line() for event in repeat.bench.trace]
    assert lines == [event.line() for event in world.bench.trace][: len(lines)]
    assert all(count <= len(lines) for now_ns, count, _ in world.seen if now_ns <= until_ns)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000), steps=STEPS)
def test_a_repetition_that_is_recorded_is_repeated_exactly(seed: int, steps: list[tuple[Any, ...]]) -> None:
    record, _ = recorded(seed, 1, steps)
    first = Repeat(record)
    first.run()
    assert first.bench.recorder is not None
    second = Repeat(first.bench.recorder.record())
    second.run()
    assert second.bench.trace.digest() == record.facts.digest
