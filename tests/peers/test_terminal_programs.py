"""The serial console in the hands of other people's terminal programs."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

PATIENCE_S = 20.0

ENVIRONMENT = {**os.environ, "TERM": "vt100"}

Ready = dict[str, Any]


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[Ready]:
    """A running gateway with its console on a pty and on RFC 2217: what its ready file says."""
    path = tmp_path / "ready.json"
    arguments = ["--console", "pty", "--rfc2217", "0", "--https", "0", "--http", "0", "--sips", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hil", "run", *arguments, "--ready", str(path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield json.loads(path.read_text())
    process.terminate()
    assert process.wait(timeout=PATIENCE_S) == 0


class Terminal:
    """A program in a terminal of its own, and somebody who types and reads."""

    def __init__(self, command: list[str]) -> None:
        self.fd, tty_fd = pty.openpty()
        self._process = subprocess.Popen(
            command, stdin=tty_fd, stdout=tty_fd, stderr=tty_fd, start_new_session=True, env=ENVIRONMENT
        )
        os.close(tty_fd)
        self.seen = b""

    def expect(self, wanted: bytes) -> None:
        """Reads until ``wanted`` has been seen; what came before it is forgotten."""
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 65_536)
        self.seen = self.seen.partition(wanted)[2]

    def wake(self, wanted: bytes) -> None:
        """Presses Return until ``wanted`` is seen: a program that is still starting throws away what was typed."""
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self.seen:
            assert time.monotonic() < deadline, self.seen
            self.type(b"\r")
            if select.select([self.fd], [], [], 1.0)[0]:
                self.seen += os.read(self.fd, 65_536)
        self.seen = self.seen.partition(wanted)[2]

    def type(self, data: bytes) -> None:
        """Types ``data``."""
        os.write(self.fd, data)

    def close(self) -> None:
        """Ends the program with its terminal."""
        os.close(self.fd)
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(timeout=PATIENCE_S)


@pytest.fixture
def terminal() -> Iterator[Callable[[list[str]], Terminal]]:
    made: list[Terminal] = []

    def start(command: list[str]) -> Terminal:
        made.append(Terminal(command))
        return made[-1]

    yield start
    for one in made:
        one.close()


def _session(terminal: Terminal) -> None:
    terminal.wake(b"login: ")
    terminal.type(b"admin\r")
    terminal.expect(b"password: ")
    terminal.type(b"ip800\r")
    terminal.expect(b"IP800-06-11-ac> ")
    terminal.type(b"inf\x7ffo\r")
    terminal.expect(b"00-90-33-06-11-ac")
    terminal.expect(b"IP800-06-11-ac> ")


@pytest.mark.peer("picocom")
def test_picocom_on_the_pty(
    ready: Ready, terminal: Callable[[list[str]], Terminal], require_program: Callable[[str], str]
) -> None:
    program = terminal([require_program("picocom"), "--quiet", "--baud", "115200", ready["console"]])
    _session(program)
    program.type(b"\x01\x18")


def test_miniterm_over_rfc2217(ready: Ready, terminal: Callable[[list[str]], Terminal]) -> None:
    program = terminal([sys.executable, "-W", "ignore", "-m", "serial.tools.miniterm", ready["rfc2217"], "115200"])
    program.expect(b"Miniterm")
    _session(program)
    program.type(b"\x1d")
