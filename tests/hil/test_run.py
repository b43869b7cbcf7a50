"""``gatebench run`` as people and racks start it: a process of its own, real ports, signals, files."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hil.console import Console
from hil.links import SerialLink

ROOT = Path(__file__).parents[2]

KEYS = {
    "pid", "model", "mac", "seed", "console", "rfc2217", "tcp_console", "https", "http", "sips", "h323", "control",
}  # fmt: skip

ANY_PORTS = ("--https", "0", "--http", "0", "--sips", "0")

PATIENCE_S = 20.0

Process = subprocess.Popen[str]


class Runs:
    """Starts runs and waits for them to be ready."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []

    def start(self, *arguments: str) -> tuple[Process, dict[str, Any]]:
        """A run that is ready, and what its ready file says."""
        ready = self.folder / f"ready{len(self.processes)}.json"
        process = self.spawn(*ANY_PORTS, "--ready", str(ready), *arguments)
        deadline = time.monotonic() + PATIENCE_S
        while not ready.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process, json.loads(ready.read_text())

    def spawn(self, *arguments: str) -> Process:
        command = [sys.executable, "-m", "hil", "run", *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.processes.append(process)
        return process

    def refused(self, *arguments: str) -> tuple[int, str]:
        """Exit code and standard error of a run that does not come up."""
        process = self.spawn(*arguments)
        _, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, err


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    made = Runs(tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE_S)


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def _put(url: str, body: str) -> str:
    request = urllib.request.Request(url, data=body.encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.read().decode())


def test_a_run_is_reachable_by_everything_that_its_ready_file_names_and_ends_on_sigterm(
    runs: Runs, tmp_path: Path
) -> None:
    flash, card = tmp_path / "box.flash", tmp_path / "card.img"
    process, ready = runs.start(
        "--console", "pty", "--pty-link", str(tmp_path / "tty"), "--tcp-console", "0", "--rfc2217", "0",
        "--control", "0", "--flash", str(flash), "--card", str(card), "--card-size", "4M", "--seed", "5",
    )  # fmt: skip
    assert set(ready) == KEYS
    assert (ready["pid"], ready["model"], ready["mac"], ready["seed"]) == (process.pid, "ip800", "00-90-33-06-11-ac", 5)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == ready["console"] == os.path.realpath(tmp_path / "tty")
    with Console(SerialLink(ready["tcp_console"]), password="ip800") as console:
        console.send("\r")
        console.login(timeout_ms=5_000)
        while "mounted" not in console.run("card info", check=False).text:
            assert console.link.now_ns < PATIENCE_S * 1e9
        assert console.wall_ns_at(0) is not None
        assert _put(ready["control"] + "/card", "0") == "0"
        console.expect("card removed")
    assert "IP800-06-11-ac" in _get(ready["http"] + "/")
    assert json.loads(_get(ready["control"] + "/state"))["boot"] == "operational"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err.count("\n")) == (0, 2)
    assert flash.stat().st_size == 8 * 1024**2
    assert not (tmp_path / "tty").is_symlink()


def test_piped_commands_are_answered_and_for_ends_the_run(runs: Runs) -> None:
    process = runs.spawn(*ANY_PORTS, "--for", "0.6", "--time", "2031-02-03T04:05:06Z")
    out, _ = process.communicate("admin\rip800\rctime\r", timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "2031-02-03T04:05:0" in out
    assert "gatebench:" not in out


def test_an_interrupt_ends_the_run_too(runs: Runs) -> None:
    process, _ = runs.start("--console", "none")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def test_what_was_stored_outlives_a_kill(runs: Runs, tmp_path: Path) -> None:
    flash = str(tmp_path / "box.flash")
    process, ready = runs.start("--console", "none", "--tcp-console", "0", "--flash", flash)
    with Console(SerialLink(ready["tcp_console"]), password="ip800") as console:
        console.send("\r")
        console.login(timeout_ms=5_000)
        console.run("vars create KEEP/ME ps 4711")
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    _, ready = runs.start("--console", "none", "--tcp-console", "0", "--flash", flash)
    with Console(SerialLink(ready["tcp_console"]), password="ip800") as console:
        console.send("\r")
        console.login(timeout_ms=5_000)
        assert "4711" in console.run("vars read KEEP/ME").text


def test_the_host_refusing_is_one_line_and_exit_code_3(runs: Runs, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, err = runs.refused(*ANY_PORTS, "--tcp-console", port)
        _, hinted = runs.refused(*ANY_PORTS, "--http", port)
    assert (code, err.splitlines()[-1]) == (3, f"gatebench: cannot use 127.0.0.1:{port}: address already in use")
    assert hinted == f"gatebench: cannot use 127.0.0.1:{port}: address already in use, --http 0 takes a free port\n"
    (tmp_path / "short.flash").write_bytes(b"\xff" * 100)
    code, err = runs.refused(*ANY_PORTS, "--flash", str(tmp_path / "short.flash"))
    assert code == 3
    assert err.endswith("has 100 bytes, the chip of this model has 8388608\n")
    assert err.count("\n") == 1
    assert (tmp_path / "short.flash").stat().st_size == 100


Refuse = Callable[..., tuple[int, str]]


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture[str]) -> Refuse:
    """``refuse(*arguments)``: exit code and standard error, in this process: nothing is started."""
    from hil.cli import main

    def call(*arguments: str) -> tuple[int, str]:
        code = main(["run", *arguments])
        return code, capsys.readouterr().err

    return call


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--model", "ip999"), "gatebench: no model 'ip999'"),
        (("--time", "soon"), "gatebench: time 'soon'"),
        (("--card", "ram", "--card-size", "3"), "gatebench: card size '3'"),
        (("--https", "70000"), "'70000' is not a port"),
        (("--speed", "0"), "'0' is not a speed"),
        (("--seed", "x"), "argument --seed: 'x' is not a seed: a whole number"),
        (("--seed", "9" * 5000), "is not a seed"),
        (("--speed", "nan"), "'nan' is not a speed"),
        (("--for", "-1"), "'-1' is not seconds"),
        (("--bind", "localhost"), "'localhost' is not an IP address"),
        (("--factory", "v6"), "invalid choice: 'v6'"),
        (("--ntp", "127.0.0.1:123"), "argument --ntp: '127.0.0.1:123': NTP is not modelled, --time or"),
        (("--h323", "x"), "argument --h323: 'x' is not a port"),
        (("--mod", "ip800"), "unrecognized arguments: --mod ip800"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(refuse: Refuse, arguments: tuple[str, ...], reason: str) -> None:
    code, err = refuse(*ANY_PORTS, *arguments)
    assert code == 2
    assert reason in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize(("option", "value"), [("--model", "ip305"), ("--factory", "upgraded"), ("--card", "ram")])
def test_a_saved_gateway_is_what_it_is(refuse: Refuse, option: str, value: str) -> None:
    code, err = refuse(*ANY_PORTS, "--from", "box.zip", option, value)
    assert (code, err) == (
        2,
        f"gatebench: a saved gateway brings its {option[2:]} with it: leave out {option}, or --from\n",
    )


def test_a_port_for_h323_is_taken_and_one_line_says_that_nothing_is_there(refuse: Refuse) -> None:
    code, err = refuse(*ANY_PORTS, "--console", "none", "--h323", "0", "--for", "0")
    assert code == 0
    assert "gatebench: --h323 0: H.323 is not modelled, nothing listens there\n" in err


def test_the_control_face_is_for_loopback_alone(refuse: Refuse) -> None:
    code, err = refuse(*ANY_PORTS, "--console", "none", "--bind", "0.0.0.0", "--control", "0", "--for", "0")
    assert code == 2
    assert "loopback" in err.splitlines()[-1]
