"""The serial console on sockets, ptys and standard input and output: shared, never stalled, nothing mangled."""

from __future__ import annotations

import os
import pty
import socket
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serial import rfc2217

from board.pacing import PacedClock
from hil.bench import Bench
from hil.bridges.console import ConsoleHub
from hil.bridges.outlet import Outlet
from hil.bridges.rfc2217 import Rfc2217Client
from hil.bridges.sockets import SocketConsole
from hil.bridges.terminal import MENU_KEY, Menu, PtyConsole, StdioConsole
from hil.poller import Poller, paced_clock

LOOPBACK = "127.0.0.1"

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


@pytest.fixture
def clock(poller: Poller) -> PacedClock:
    return paced_clock(poller)


@pytest.fixture
def paced_bench(clock: PacedClock, fake_program: type) -> Iterator[Bench]:
    """A paced world with one board that waits for a login."""
    with Bench(7, clock=clock, program=fake_program) as made:
        made.gateway().power_on()
        made.gateways[0].console.expect("login: ")
        yield made


@pytest.fixture
def hub(paced_bench: Bench) -> ConsoleHub:
    return ConsoleHub(paced_bench.clock, paced_bench.gateways[0].board.uart)


@pytest.fixture
def until(clock: PacedClock) -> Until:
    def wait(done: Callable[[], bool]) -> None:
        assert clock.run_while(lambda: not done(), 3_000_000_000)

    return wait


@pytest.fixture
def sockets(poller: Poller, hub: ConsoleHub) -> Iterator[SocketConsole]:
    made = SocketConsole(poller, hub, LOOPBACK, 0)
    yield made
    made.close()


class FakeTerminal:
    """Somebody at the other end of a socket or a pty, who reads when told to."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        os.set_blocking(fd, False)
        self.seen = bytearray()

    def reads(self, wanted: bytes) -> Callable[[], bool]:
        def done() -> bool:
            try:
                self.seen += os.read(self.fd, 65_536)
            except (BlockingIOError, OSError):
                pass
            return wanted in self.seen

        return done


@pytest.fixture
def connect(sockets: SocketConsole, until: Until) -> Iterator[Callable[[], FakeTerminal]]:
    """``connect()``: one more client of the TCP console."""
    made: list[socket.socket] = []

    def one() -> FakeTerminal:
        made.append(socket.create_connection((LOOPBACK, sockets.port)))
        until(lambda: len(sockets._clients) == len(made))
        return FakeTerminal(made[-1].fileno())

    yield one
    for client in made:
        client.close()


def test_everybody_sees_the_output_and_everybody_may_type(connect: Callable[[], FakeTerminal], until: Until) -> None:
    one, two = connect(), connect()
    os.write(one.fd, b"admin\r")
    until(one.reads(b"password: "))
    until(two.reads(b"password: "))
    os.write(two.fd, b"ip800\r")
    until(one.reads(b"IP800-06-11-ac> "))
    assert one.seen == two.seen or two.reads(b"IP800-06-11-ac> ")()


def test_a_client_that_leaves_disturbs_nobody(connect: Callable[[], FakeTerminal], until: Until) -> None:
    leaver, stayer = connect(), connect()
    os.write(leaver.fd, b"adm")
    until(stayer.reads(b"adm"))
    with socket.socket(fileno=os.dup(leaver.fd)) as leaving:
        leaving.shutdown(socket.SHUT_RDWR)
    os.write(stayer.fd, b"in\r")
    until(stayer.reads(b"password: "))


def test_what_is_typed_at_once_goes_onto_the_wire_at_its_speed(
    hub: ConsoleHub, paced_bench: Bench, until: Until
) -> None:
    console = paced_bench.gateways[0].console
    console.login()
    began_ns = paced_bench.now_ns
    hub.type(b"say " + b"y" * 500 + b"\r")
    console.expect("y{500}\r\ny{500}", timeout_ms=2_000)
    assert paced_bench.now_ns - began_ns > 1_000 * 10 * 1_000_000_000 // 115_200 * 0.9
    assert paced_bench.gateways[0].board.uart.overrun_bytes == 0


def test_a_reader_that_does_not_read_loses_output_and_is_told_so(poller: Poller) -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    outlet = Outlet(poller, write_fd, lambda: None, limit_bytes=2_000)
    for _ in range(3):
        outlet.send(b"x" * 900)
    assert outlet.pending == 1_800
    while outlet.pending:
        outlet.flush()
    outlet.send(b"next")
    outlet.flush()
    seen = os.read(read_fd, 65_536)
    assert seen == b"x" * 1_800 + b"\r\n[gatebench: 900 bytes dropped, the reader is too slow]\r\n" + b"next"
    poller.forget(write_fd)
    os.close(read_fd)
    os.close(write_fd)


def test_a_pty_is_a_raw_terminal_that_survives_its_clients(
    poller: Poller, hub: ConsoleHub, until: Until, tmp_path: Path
) -> None:
    link = tmp_path / "console"
    link.symlink_to("/nowhere")
    console = PtyConsole(poller, hub, str(link))
    assert os.path.realpath(link) == console.path
    for line, answer in ((b"admin\r", b"password: "), (b"ip800\r", b"ac> ")):
        fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, line)
        until(FakeTerminal(fd).reads(answer))
        os.close(fd)
    console.close()
    assert not link.is_symlink()


def test_a_pty_whose_link_cannot_be_made_is_not_left_open(poller: Poller, hub: ConsoleHub, tmp_path: Path) -> None:
    before = os.listdir("/dev/fd")
    for link in (tmp_path, tmp_path / "none" / "console"):
        with pytest.raises(OSError, match=f"pty link {link}: "):
            PtyConsole(poller, hub, str(link))
    assert os.listdir("/dev/fd") == before


def test_a_pty_link_never_replaces_a_file(poller: Poller, hub: ConsoleHub, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="something else"):
        PtyConsole(poller, hub, str(path))
    assert path.read_text() == "mine"


# RFC 2217


@pytest.fixture
def telnet(poller: Poller, hub: ConsoleHub, until: Until) -> Iterator[socket.socket]:
    server = SocketConsole(poller, hub, LOOPBACK, 0, Rfc2217Client)
    client = socket.create_connection((LOOPBACK, server.port))
    until(lambda: bool(server._clients))
    yield client
    client.close()
    server.close()


def _suboption(code: bytes, value: bytes = b"") -> bytes:
    return rfc2217.IAC + rfc2217.SB + rfc2217.COM_PORT_OPTION + code + value + rfc2217.IAC + rfc2217.SE


def test_settings_and_purges_are_confirmed_and_purging_loses_nothing(telnet: socket.socket, until: Until) -> None:
    terminal = FakeTerminal(telnet.fileno())
    telnet.send(rfc2217.IAC + rfc2217.DO + rfc2217.COM_PORT_OPTION)
    telnet.send(_suboption(rfc2217.SET_BAUDRATE, (9_600).to_bytes(4, "big")))
    until(terminal.reads(_suboption(rfc2217.SERVER_SET_BAUDRATE, (9_600).to_bytes(4, "big"))))
    telnet.send(b"admin\r" + _suboption(rfc2217.PURGE_DATA, rfc2217.PURGE_BOTH_BUFFERS))
    until(terminal.reads(_suboption(rfc2217.SERVER_PURGE_DATA, rfc2217.PURGE_BOTH_BUFFERS)))
    until(terminal.reads(b"password: "))


def test_a_break_reaches_the_board(telnet: socket.socket, paced_bench: Bench, until: Until) -> None:
    uart = paced_bench.gateways[0].board.uart
    telnet.send(_suboption(rfc2217.SET_CONTROL, rfc2217.SET_CONTROL_BREAK_ON))
    flags: set[str] = set()
    until(lambda: bool(flags.update(uart.take_flags()) or flags))
    assert flags == {"break"}


def test_malformed_telnet_ends_that_client_alone(telnet: socket.socket, until: Until) -> None:
    telnet.setblocking(False)
    telnet.send(rfc2217.IAC + rfc2217.SE)

    def ended() -> bool:
        try:
            return telnet.recv(1_000) == b""
        except BlockingIOError:
            return False

    until(ended)


# Standard input and output


@pytest.fixture
def at_terminal() -> Iterator[tuple[FakeTerminal, int, int]]:
    """(Who sits at a terminal, the terminal for standard input, and the same for output)."""
    user_fd, in_fd = pty.openpty()
    out_fd = os.dup(in_fd)
    yield FakeTerminal(user_fd), in_fd, out_fd
    for fd in (user_fd, in_fd, out_fd):
        os.close(fd)


def test_a_terminal_is_raw_while_the_run_lasts_and_put_back_after(
    poller: Poller, hub: ConsoleHub, until: Until, at_terminal: tuple[FakeTerminal, int, int]
) -> None:
    user, in_fd, out_fd = at_terminal
    before = termios.tcgetattr(in_fd)
    console = StdioConsole(poller, hub, Menu({}), in_fd, out_fd)
    assert not termios.tcgetattr(in_fd)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    os.write(user.fd, b"admin\r")
    until(user.reads(b"password: "))
    console.close()
    assert termios.tcgetattr(in_fd) == before


def test_the_menu_opens_on_its_key_acts_once_and_says_what_it_did(
    poller: Poller, hub: ConsoleHub, until: Until, at_terminal: tuple[FakeTerminal, int, int]
) -> None:
    user, in_fd, out_fd = at_terminal
    done: list[str] = []

    def act() -> str:
        done.append("acted")
        return "lever pulled"

    console = StdioConsole(poller, hub, Menu({"x": ("pull the lever", act)}), in_fd, out_fd)
    os.write(user.fd, bytes([MENU_KEY]))
    until(user.reads(b"[x] pull the lever"))
    os.write(user.fd, b"xadmin\r")
    until(user.reads(b"lever pulled"))
    until(user.reads(b"admin\r\npassword: "))
    assert done == ["acted"]
    os.write(user.fd, bytes([MENU_KEY]) + b"?")
    until(user.reads(b"[gatebench: menu closed]"))
    console.close()


def test_the_end_of_piped_input_ends_nothing(poller: Poller, hub: ConsoleHub, until: Until, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"admin\rip800\rsay piped\r")
    with (tmp_path / "in").open() as stdin, (tmp_path / "out").open("w") as stdout:
        console = StdioConsole(poller, hub, Menu({}), stdin.fileno(), stdout.fileno())
        until(lambda: b"piped\r\nIP800-06-11-ac> " in (tmp_path / "out").read_bytes())
        hub.type(b"say more\r")
        until(lambda: b"more\r\nIP800-06-11-ac> " in (tmp_path / "out").read_bytes())
        console.close()
    assert b"gatebench" not in (tmp_path / "out").read_bytes()
