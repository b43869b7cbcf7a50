"""Calibration measured live: the same code as on a real board, on an emulated one in virtual time, and over sockets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from board.model import model_from_file
from hil import livecalibration
from hil.bench import Bench
from hil.calibrate import fit, handshake_overhead, measurements_from_file
from hil.cli import main
from hil.console import Console
from hil.errors import EnvironmentRefused, RackMisuse
from hil.gateway import Gateway
from hil.handshakes import HandshakeTimes, MeasurementFailed, Wire, times_from_handshakes
from hil.livecalibration import TARGET, LiveTable, Plan, measure

ROOT = Path(__file__).parents[2]

SEED = 5

PATIENCE_S = 60.0


class VirtualWire:
    """A connection over the bench's LAN, in virtual time."""

    def __init__(self, gateway: Gateway, port: int) -> None:
        self._bench = gateway.bench
        began_ns = self.now_ns
        self._net = gateway.connect(port)
        if not self._net.wait_open():
            raise EnvironmentRefused(f"cannot reach port {port}")
        self.connect_ns = self.now_ns - began_ns

    @property
    def now_ns(self) -> int:
        return self._bench.now_ns

    def send(self, data: bytes) -> None:
        self._net.write(data)

    def receive(self) -> bytes:
        return self._net.read()

    def close(self) -> None:
        self._net.close()


class VirtualRoute:
    """To a gateway's HTTPS port.

    Args:
        before: called before each connection with its number; 0 tries the way, 1 does not count either.
    """

    def __init__(self, gateway: Gateway, before: Callable[[int], None] | None = None) -> None:
        self.gateway = gateway
        self.connections = 0
        self._before = before

    def connect(self) -> Wire:
        if self._before is not None:
            self._before(self.connections)
        self.connections += 1
        return VirtualWire(self.gateway, 443)

    def pause(self, ms: float) -> None:
        self.gateway.bench.run_for(ms=ms)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(SEED) as made:
        yield made


@pytest.fixture
def gateway(bench: Bench) -> Gateway:
    return booted(bench)


def booted(bench: Bench, factory: str = "v7") -> Gateway:
    """A new gateway at its login prompt, its ports open."""
    gateway = bench.gateway(factory=factory)
    gateway.power_on()
    gateway.console.expect("login: ")
    assert bench.run_until(lambda: gateway.services["https"])
    return gateway


def measured(gateway: Gateway, plan: Plan, *, latency_ms: float = 0.0) -> list[HandshakeTimes]:
    gateway.bench.lan.latency_ms = latency_ms
    return list(measure(gateway.console, VirtualRoute(gateway), plan, print))


def charged_ms(gateway: Gateway) -> float:
    """What the board itself says of its last handshake."""
    gateway.console.login()
    return float(gateway.console.run("cpu mips-usage /json").json["tls"]["last_us"]) / 1_000


def certificates(gateway: Gateway) -> list[dict[str, Any]]:
    """What the board has, and no more logins than before."""
    gateway.console.login()
    rows: list[dict[str, Any]] = gateway.console.run("x509 servercert-list /json").json
    gateway.console.send_line("logout")
    gateway.console.expect("login: ")
    return rows


def fingerprint(gateway: Gateway) -> str:
    """Of the device certificate in use."""
    gateway.console.login()
    return str(gateway.console.run("x509 servercert-show /json").json["chain"][0]["sha1"])


# -- what is measured


@pytest.mark.parametrize("latency_ms", [0.0, 40.0])
def test_what_is_measured_is_what_the_board_charges_whatever_the_network_takes(
    gateway: Gateway, latency_ms: float
) -> None:
    (times,) = measured(gateway, Plan((1024,), 2), latency_ms=latency_ms)
    assert times.round_trip_ms == pytest.approx(2 * latency_ms, abs=0.1)
    assert times.median_ms == pytest.approx(charged_ms(gateway), rel=0.005)
    assert times.suite.startswith("TLSv1.2 AES128")


def test_the_fitted_table_is_the_boards_own(gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "lab.csv"
    with LiveTable(path, "a board in virtual time") as table:
        for times in measured(gateway, Plan((1024, 2048), 2)):
            table.add(times)
    rows = measurements_from_file(path)
    assert [row.key_bits for row in rows] == [1024, 1024, 2048, 2048]
    found = fit(rows, gateway.model, overhead=handshake_overhead("ip800"))
    assert found.mhz == pytest.approx(200, rel=0.01)
    for bits in (1024, 2048):
        assert found.private[bits] == pytest.approx(gateway.model.costs.rsa_private(bits), rel=0.01)


# -- the board is as it was


def test_the_board_is_left_as_it_was(gateway: Gateway) -> None:
    before = certificates(gateway)
    said: list[str] = []
    list(measure(gateway.console, VirtualRoute(gateway), Plan((1024,), 1), said.append))
    assert gateway.console.text.endswith("login: ")
    assert certificates(gateway) == before
    assert said[-1] == f"{TARGET}: discarded: the device certificate serves this name now"


def test_whoever_was_logged_in_stays_so(gateway: Gateway) -> None:
    gateway.console.login()
    gateway.console.send("x509 half a comm")
    measured(gateway, Plan((1024,), 1))
    gateway.console.run("cpu mips-usage")


def test_an_interruption_between_handshakes_takes_the_certificate_away(gateway: Gateway) -> None:
    before = certificates(gateway)

    def interrupt(connection: int) -> None:
        if connection == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(measure(gateway.console, VirtualRoute(gateway, interrupt), Plan((1024,), 5), print))
    assert certificates(gateway) == before


def test_a_key_that_takes_too_long_is_cancelled(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    before = certificates(gateway)
    monkeypatch.setattr(livecalibration, "CREATION_MS", 50)
    with pytest.raises(MeasurementFailed, match=r"x509 servercert-wait: expected .* within 50 ms, got nothing"):
        measured(gateway, Plan((4096,), 1))
    assert certificates(gateway) == before
    gateway.console.login()
    assert (
        gateway.console.run("x509 servercert-wait", check=False).error
        == f"self-signed certificate for {TARGET} cancelled"
    )


def test_a_board_that_falls_silent_is_said_to_keep_the_certificate(gateway: Gateway) -> None:
    said: list[str] = []

    def cut(connection: int) -> None:
        if connection == 2:
            gateway.power_off()

    with pytest.raises((MeasurementFailed, EnvironmentRefused)):
        list(measure(gateway.console, VirtualRoute(gateway, cut), Plan((1024,), 5), said.append))
    assert said[-2:] == [
        f"left on the board: the certificate of {TARGET}; x509 servercert-clear /target {TARGET} takes it away",
        "left on the console: a login",
    ]


def test_the_default_device_certificate_comes_back_by_itself(gateway: Gateway) -> None:
    before = certificates(gateway)
    (times,) = measured(gateway, Plan((1024,), 1, "device"))
    assert times.median_ms == pytest.approx(charged_ms(gateway), rel=0.005)
    assert certificates(gateway) == before


@pytest.mark.parametrize("key_ready", [True, False])
def test_the_default_certificate_that_a_board_made_is_the_same_after_an_interruption(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, key_ready: bool
) -> None:
    gateway = booted(bench, "upgraded")
    before = fingerprint(gateway)
    if not key_ready:
        monkeypatch.setattr(livecalibration, "CREATION_MS", 50)

    def interrupt(connection: int) -> None:
        if connection == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt if key_ready else MeasurementFailed):
        list(measure(gateway.console, VirtualRoute(gateway, interrupt), Plan((1024,), 5, "device"), print))
    assert fingerprint(gateway) == before


@pytest.mark.parametrize("target", ["device", "example.com"])
def test_a_certificate_that_could_not_be_brought_back_is_not_touched(gateway: Gateway, target: str) -> None:
    gateway.console.login()
    gateway.console.run(f"x509 servercert-create /target {target} /dn-cn example.com")
    gateway.console.run("x509 servercert-wait", timeout_ms=60_000)
    before = certificates(gateway)
    with pytest.raises(RackMisuse, match=f"{target} has a certificate of its own on the board, whose key would be"):
        measured(gateway, Plan((1024,), 1, target))
    assert gateway.console.text.endswith("login: ")
    assert certificates(gateway) == before


# -- one line each


def test_a_wrong_password_is_one_line(gateway: Gateway) -> None:
    console = Console(gateway.console.link, password="guessed")
    with pytest.raises(MeasurementFailed) as caught:
        list(measure(console, VirtualRoute(gateway), Plan(), print))
    line = str(caught.value)
    assert line.startswith("login as 'admin': expected to be logged in, got the login prompt again: ")
    assert "wrong user or password" in line
    assert "\n" not in line


def test_a_console_that_says_nothing_is_one_line(bench: Bench, gateway: Gateway) -> None:
    off = bench.gateway()
    with pytest.raises(MeasurementFailed, match=r"console: expected .* within 15000 ms, got nothing of the kind"):
        list(measure(off.console, VirtualRoute(gateway), Plan(), print))


def test_a_serial_line_that_breaks_is_the_environments_refusal(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(data: bytes) -> None:
        raise OSError("write failed: unplugged")

    monkeypatch.setattr(gateway.console.link, "send", send)
    with pytest.raises(EnvironmentRefused, match="console: write failed: unplugged"):
        measured(gateway, Plan())


def test_a_board_that_cannot_be_reached_is_not_touched(gateway: Gateway) -> None:
    gateway.power_off()
    said = gateway.console.mark()
    with pytest.raises(EnvironmentRefused, match="cannot reach port 443"):
        measured(gateway, Plan())
    assert gateway.console.mark() == said


def test_what_the_board_refuses_is_quoted(gateway: Gateway) -> None:
    gateway.console.login()
    gateway.console.run("x509 servercert-create /key 4096-bit /dn-cn other")
    with pytest.raises(MeasurementFailed, match=r"x509 servercert-create /target calibration\.invalid .*: error: busy"):
        measured(gateway, Plan((1024,), 1))
    assert gateway.console.run("x509 servercert-show /json").json["busy"], "somebody else's key goes on"


def test_another_board_at_the_address_is_found_out(bench: Bench, gateway: Gateway) -> None:
    other = booted(bench)
    with pytest.raises(MeasurementFailed, match="the certificate shown is for '0090330611ad' with 1024 bits"):
        list(measure(gateway.console, VirtualRoute(other), Plan((1024,), 1), print))


def test_a_board_without_rsa_key_exchange_is_told_what_to_do(gateway: Gateway) -> None:
    gateway.console.login()
    gateway.console.run("tls profile modern")
    said = gateway.console.mark()
    with pytest.raises(MeasurementFailed, match=r"it must do RSA key exchange .* tls profile v11"):
        measured(gateway, Plan((1024,), 1))
    assert gateway.console.mark() == said, "it was seen before anything was changed"


# -- plan and table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keys": (512,)}, "key length 512: must be one of 1024, 2048, 4096"),
        ({"keys": ()}, "must be at least one, and each once"),
        ({"keys": (1024, 1024)}, "key lengths 1024,1024: must be at least one, and each once"),
        ({"count": 0}, "0 handshakes per key length: must be 1 to 1000"),
        ({"target": "a b"}, "target 'a b': must be device or a domain name"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RackMisuse, match=message):
        Plan(**arguments)


def times_of(*milliseconds: float) -> HandshakeTimes:
    from hil.handshakes import Handshake

    shakes = [Handshake(int(ms * 1e6), 2, 0, TARGET, 1024, "TLSv1.2 AES128-SHA") for ms in milliseconds]
    return times_from_handshakes(1024, shakes)


def test_a_table_holds_what_counts_and_what_does_not(tmp_path: Path) -> None:
    path = tmp_path / "lab.csv"
    with LiveTable(path, "lab") as table:
        table.add(times_of(50.0, 50.5, 58.0))
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# lab, 20")
    assert lines[1] == "key_bits,milliseconds"
    assert lines[3:] == ["1024,50.0000", "1024,50.5000", "# not of the closest half: 1024,58.0000"]
    assert [row.milliseconds for row in measurements_from_file(path)] == [50, 50.5]


def test_a_table_without_times_is_not_left_behind(tmp_path: Path) -> None:
    with LiveTable(tmp_path / "lab.csv", "lab"):
        assert (tmp_path / "lab.csv").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "lab.csv"
    path.write_text("1024,50\n")
    with pytest.raises(RackMisuse, match=r"lab\.csv is there already"):
        LiveTable(path, "lab")
    assert path.read_text() == "1024,50\n"
    with pytest.raises(EnvironmentRefused, match="cannot be written: no such file"):
        LiveTable(tmp_path / "none" / "lab.csv", "lab")


# -- the command


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "there is nothing to fit: name a TABLE, or measure one with --live HOST:PORT"),
        (["t.csv", "--count", "5"], 2, "--count is about --live HOST:PORT, and there is none"),
        (["--live", "box"], 2, "'box' is not HOST:PORT, with a port from 1 to 65535"),
        (["--live", "box:443"], 2, "--live needs the board's console too: --console /dev/ttyUSB0"),
        (["--live", "box:443", "--console", "gatebench://ip800"], 2, "that board has no port on the network"),
        (["--live", "box:443", "--console", "x", "--keys", "1k"], 2, "'1k' is no list of key lengths"),
        (["--live", "box:443", "--console", "x", "--keys", "512"], 2, "key length 512: must be one of"),
        (["--live", "box:443", "--console", "/none/tty"], 3, "cannot open the serial line /none/tty"),
        (["--live", "box:443", "--console", "x", "--model", "Lab 1"], 2, "--model Lab 1: must be lower-case letters"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate", "--model", "lab", *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


def accepts(url: str) -> bool:
    """Whether anybody listens there: a board's HTTPS comes up a moment after its console."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0


@pytest.fixture
def paced(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What the ready file of a gateway in a process of its own says; it runs ten times as fast as a real one."""
    ready = tmp_path / "ready.json"
    ports = [part for name in ("tcp-console", "https", "http", "sips") for part in (f"--{name}", "0")]
    options = ["--console", "none", "--seed", str(SEED), "--speed", "10", "--ready", str(ready), *ports]
    process = subprocess.Popen(
        [sys.executable, "-m", "hil", "run", *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (ready.exists() and accepts(json.loads(ready.read_text())["https"])):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield json.loads(ready.read_text())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_board_is_measured_over_real_sockets_and_its_model_written(
    paced: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No word on how long it takes: a busy host makes every time longer."""
    live = ["--live", paced["https"], "--console", paced["tcp_console"], "--keys", "1024", "--count", "3"]
    table, out = tmp_path / "lab.csv", tmp_path / "lab.toml"
    assert main(["calibrate", *live, "--model", "lab", "--out", str(out), str(table)]) == 0
    shown = capsys.readouterr()
    assert "1024 bits: 3 handshakes, median " in shown.out
    assert f"written: {table}\n" in shown.out
    assert "R² " in shown.out
    assert f"gatebench: {TARGET}: discarded: the device certificate serves this name now\n" in shown.err
    rows = measurements_from_file(table)
    assert [row.key_bits for row in rows] == [1024, 1024]
    model = model_from_file(out)
    took_ms = sum(row.milliseconds for row in rows) / 2
    model_ms = (model.costs.rsa_private(1024) + model.costs.handshake) / model.hz * 1_000
    assert 0.9 * took_ms < model_ms <= 1.01 * took_ms
    assert main(["calibrate", *live, "--model", "lab", "--out", str(out), str(table)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["calibrate", *live, "--model", "lab", "--password", "no", str(tmp_path / "b.csv")]) == 1
    assert capsys.readouterr().err.startswith("gatebench: login as 'admin': expected to be logged in")
    assert not (tmp_path / "b.csv").exists()
