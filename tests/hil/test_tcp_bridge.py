"""Real sockets in front of a board: refused while it does not listen, bytes both ways, ends and resets carried over."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Iterator

import pytest

from board.clock import VirtualClock
from board.ethernet import Ethernet, Listener, Outside, Stream
from board.pacing import PacedClock
from hil.bridges.outbound import MOST_TOLD, OutboundBridge
from hil.bridges.tcp import PortBridge, claimed_socket
from hil.errors import EnvironmentRefused
from hil.poller import Poller, paced_clock

LOOPBACK = "127.0.0.1"


class FakeServer:
    """A program that accepts at port 443 and keeps what it gets."""

    def __init__(self, network: Ethernet) -> None:
        self.network = network
        self.streams: list[Stream] = []
        self.listener: Listener | None = None

    def listen(self) -> None:
        self.listener = self.network.listen(443, self.streams.append)

    def stop(self) -> None:
        assert self.listener is not None
        self.listener.close()


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


@pytest.fixture
def clock(poller: Poller) -> PacedClock:
    return paced_clock(poller)


@pytest.fixture
def network(clock: VirtualClock) -> Ethernet:
    return Ethernet(clock, Outside(clock), "board")


@pytest.fixture
def server(network: Ethernet) -> FakeServer:
    return FakeServer(network)


@pytest.fixture
def bridge(poller: Poller, network: Ethernet) -> Iterator[PortBridge]:
    made = PortBridge(poller, network, 443, LOOPBACK, 0)
    network.watch(lambda port, listening: made.follow(listening))
    yield made
    made.close()


@pytest.fixture
def until(clock: PacedClock) -> Callable[[Callable[[], bool]], None]:
    """Lets the world and the host's sockets go on until something is so."""

    def wait(done: Callable[[], bool]) -> None:
        assert clock.run_while(lambda: not done(), 3_000_000_000)

    return wait


Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def client(bridge: PortBridge, server: FakeServer, until: Until) -> Iterator[socket.socket]:
    """Connected to the board through the bridge."""
    server.listen()
    made = socket.create_connection((LOOPBACK, bridge.port))
    made.setblocking(False)
    until(lambda: bool(server.streams))
    yield made
    made.close()


def _received(client: socket.socket) -> bytes | None:
    try:
        return client.recv(65_536)
    except BlockingIOError:
        return None


def test_the_port_refuses_until_the_board_listens_and_again_after(bridge: PortBridge, server: FakeServer) -> None:
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, bridge.port), timeout=1)
        server.listen()
        socket.create_connection((LOOPBACK, bridge.port), timeout=1).close()
        server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, bridge.port), timeout=1)


def test_nobody_else_gets_the_port_while_the_board_does_not_listen(bridge: PortBridge, server: FakeServer) -> None:
    for _ in range(2):
        with socket.socket() as thief, pytest.raises(OSError, match="in use"):
            thief.bind((LOOPBACK, bridge.port))
        server.listen()
        server.stop()


def test_a_port_that_somebody_has_is_refused_with_address_and_port(poller: Poller, network: Ethernet) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EnvironmentRefused, match=rf"cannot use 127\.0\.0\.1:{port}: address already in use"):
            PortBridge(poller, network, 443, LOOPBACK, port)


def test_a_port_is_nobody_elses_while_the_board_does_not_listen(
    poller: Poller, network: Ethernet, server: FakeServer, bridge: PortBridge
) -> None:
    for _ in range(2):
        with pytest.raises(EnvironmentRefused, match=rf":{bridge.port}: address already in use"):
            PortBridge(poller, network, 443, LOOPBACK, bridge.port)
        server.listen()
        server.stop()


def test_a_port_listens_again_though_connections_of_its_past_are_not_quite_over(
    server: FakeServer, bridge: PortBridge, until: Until
) -> None:
    for count in range(1, 4):
        server.listen()
        with socket.create_connection((LOOPBACK, bridge.port), timeout=1):
            until(lambda count=count: len(server.streams) == count)  # type: ignore[misc]
            server.streams[-1].close()  # the end that closes first is the one that waits
        server.stop()


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(EnvironmentRefused, match=r"cannot use 192\.0\.2\.1:0"):
        claimed_socket("192.0.2.1", 0)


def test_bytes_go_both_ways(client: socket.socket, server: FakeServer, until: Until) -> None:
    client.sendall(b"question")
    stream = server.streams[0]
    until(lambda: stream.any() == 8)
    assert stream.read() == b"question"
    stream.write(b"answer")
    got: list[bytes] = []
    until(lambda: bool((data := _received(client)) and got.append(data) is None))
    assert got == [b"answer"]


def test_the_boards_peer_is_the_real_one(client: socket.socket, server: FakeServer) -> None:
    assert server.streams[0].peer == f"127.0.0.1:{client.getsockname()[1]}"


def test_a_board_that_does_not_read_stops_the_client_and_nothing_is_lost(
    client: socket.socket, server: FakeServer, clock: PacedClock, until: Until
) -> None:
    stream = server.streams[0]
    content = bytes(range(256)) * 24_000
    sent = 0

    def push() -> bool:
        nonlocal sent
        try:
            sent += client.send(content[sent:])
        except BlockingIOError:
            return True
        return sent == len(content)

    until(push)
    clock.run_for(20_000_000)
    assert sent < len(content), "six megabytes fit into no window"
    got = bytearray()

    def drain() -> bool:
        push()
        got.extend(stream.read() or b"")
        return len(got) == len(content)

    until(drain)
    assert got == content


def test_half_closing_leaves_the_other_direction_open(client: socket.socket, server: FakeServer, until: Until) -> None:
    stream = server.streams[0]
    client.sendall(b"all of it")
    client.shutdown(socket.SHUT_WR)
    got: list[bytes | None] = []
    until(lambda: got.append(stream.read()) is None and got[-1] == b"")
    assert b"".join(piece or b"" for piece in got) == b"all of it"
    stream.write(b"late answer")
    stream.close()
    back: list[bytes | None] = []
    until(lambda: back.append(_received(client)) is None and back[-1] == b"")
    assert b"".join(piece or b"" for piece in back) == b"late answer"


def test_a_reset_of_either_side_reaches_the_other(
    bridge: PortBridge, client: socket.socket, server: FakeServer, until: Until
) -> None:
    server.streams[0].abort()

    def reset_seen() -> bool:
        try:
            return client.recv(1) is None
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    until(reset_seen)
    second = socket.create_connection((LOOPBACK, bridge.port))
    until(lambda: len(server.streams) == 2)
    second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    second.close()
    until(lambda: server.streams[1].status == "reset")


def test_clients_above_the_limit_wait_until_another_has_gone(
    bridge: PortBridge, server: FakeServer, clock: PacedClock, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.bridges.tcp.MAX_CONNECTIONS", 2)
    server.listen()
    clients = [socket.create_connection((LOOPBACK, bridge.port)) for _ in range(3)]
    until(lambda: len(server.streams) == 2)
    clock.run_for(5_000_000)
    assert len(server.streams) == 2
    server.streams[0].abort()
    until(lambda: len(server.streams) == 3)
    for client in clients:
        client.close()


def test_power_off_refuses_and_resets(
    bridge: PortBridge, client: socket.socket, network: Ethernet, until: Until
) -> None:
    network.power_off()

    def broken() -> bool:
        try:
            return client.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    until(broken)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, bridge.port), timeout=1)


# What the board begins


@pytest.fixture
def told() -> list[str]:
    """What the bridge said of destinations."""
    return []


@pytest.fixture
def outbound(poller: Poller, clock: PacedClock, network: Ethernet, told: list[str]) -> Iterator[OutboundBridge]:
    made = OutboundBridge(poller, clock, network, tell=told.append)
    yield made
    made.close()


@pytest.mark.usefixtures("outbound")
def test_the_board_reaches_a_server_on_this_machine(network: Ethernet, until: Until) -> None:
    with socket.create_server((LOOPBACK, 0)) as listening:
        stream = network.connect("localhost", listening.getsockname()[1])
        until(lambda: stream.status == "open")
        accepted, _ = listening.accept()
        with accepted:
            stream.write(b"hello")
            accepted.setblocking(False)
            until(lambda: _received(accepted) == b"hello")


@pytest.mark.usefixtures("outbound")
@pytest.mark.parametrize(
    ("host", "place"), [("192.0.2.1", "192.0.2.1:443"), ("example.com", "example.com:443"), ("::2", "[::2]:443")]
)
def test_the_board_reaches_nobody_beyond_this_machine_unless_allowed_and_the_bench_says_so_once(
    network: Ethernet, until: Until, told: list[str], host: str, place: str
) -> None:
    for _ in range(2):
        stream = network.connect(host, 443)
        until(lambda stream=stream: stream.status == "refused")  # type: ignore[misc]
    assert told == [f"the board asked for {place}: connections to the outside are off, start with --allow-outbound"]


@pytest.mark.usefixtures("outbound")
def test_of_a_port_that_refuses_by_itself_the_bench_says_nothing(
    network: Ethernet, until: Until, told: list[str]
) -> None:
    with socket.socket() as closed:
        closed.bind((LOOPBACK, 0))
        stream = network.connect("localhost", closed.getsockname()[1])
        until(lambda: stream.status == "refused")
    assert told == []


@pytest.mark.usefixtures("outbound")
def test_a_board_that_tries_one_address_after_the_other_does_not_fill_the_terminal(
    network: Ethernet, until: Until, told: list[str]
) -> None:
    streams = [network.connect("192.0.2.1", port) for port in range(1, 2 * MOST_TOLD)]
    until(lambda: all(stream.status == "refused" for stream in streams))
    assert len(told) == MOST_TOLD


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("nobody.invalid", 443, "this machine finds no address of that name"),
        ("a" * 64 + ".invalid", 443, "this machine finds no address of that name"),
        ("a\0b", 443, "this machine finds no address of that name"),
        ("255.255.255.255", 443, "network is unreachable|permission denied"),
        ("::1%nosuch", 443, "name or service not known"),
    ],
)
def test_what_the_host_refuses_is_told_in_its_words(
    poller: Poller,
    clock: PacedClock,
    network: Ethernet,
    until: Until,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    port: int,
    reason: str,
) -> None:
    def unknown(name: str, *_: object, **__: object) -> None:
        if "\0" in name:
            raise ValueError("embedded null character")
        raise UnicodeError("label too long") if len(name) > 64 else socket.gaierror("unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    bridge = OutboundBridge(poller, clock, network, anywhere=True, tell=told.append)
    stream = network.connect(host, port)
    until(lambda: stream.status == "refused")
    assert len(told) == 1
    place = f"[{host}]" if ":" in host else host
    assert re.fullmatch(f"the board asked for {re.escape(place)}:{port}: ({reason})", told[0])
    bridge.close()


@pytest.mark.usefixtures("outbound")
def test_a_host_that_makes_no_socket_refuses_the_board_and_not_the_bench(
    network: Ethernet, until: Until, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(socket, "socket", refuse)
    stream = network.connect("::1", 443)
    until(lambda: stream.status == "refused")
    assert told == ["the board asked for [::1]:443: address family not supported by protocol"]


@pytest.mark.usefixtures("outbound")
def test_a_port_nobody_listens_at_refuses_the_board(network: Ethernet, until: Until) -> None:
    with claimed_socket(LOOPBACK, 0) as silent:
        stream = network.connect(LOOPBACK, silent.getsockname()[1])
        until(lambda: stream.status == "refused")
