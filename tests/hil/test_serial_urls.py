"""``gatebench://``: a pyserial port whose other end is an emulated gateway in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import serial

URL = "gatebench://ip800?seed=7&card=ram&card_size=4M"


@pytest.fixture(autouse=True)
def _handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial, "protocol_handler_packages", [*serial.protocol_handler_packages, "hil.serial_urls"])


@pytest.fixture
def port() -> Iterator[Any]:
    with serial.serial_for_url(URL, timeout=5) as made:
        yield made


def test_a_pyserial_program_logs_in(port: Any) -> None:
    assert port.read_until(b"login: ").endswith(b"login: ")
    port.write(b"admin\r")
    assert b"password: " in port.read_until(b"password: ")
    port.write(b"ip800\r")
    assert port.read_until(b"> ").endswith(b"IP800-06-11-ac> ")


def test_a_timeout_is_virtual(port: Any) -> None:
    port.read_until(b"CARD card inserted: 4 MiB, mounted")
    port.timeout = 3_600
    began_ns, began = port.bench.now_ns, time.monotonic()
    port.read(100_000)
    assert port.bench.now_ns - began_ns == 3_600 * 10**9
    assert time.monotonic() - began < 60


def test_polling_lets_time_pass(port: Any) -> None:
    while not port.in_waiting:
        pass
    assert port.read(port.in_waiting).startswith(b"IP800")


def test_a_break_reaches_the_board(port: Any) -> None:
    port.read_until(b"login: ")
    port.write(b"admin\r")
    port.read_until(b"password: ")
    port.send_break(0)
    assert b"login: " in port.read_until(b"login: ")


def test_a_port_that_was_closed_says_so(port: Any) -> None:
    gateway = port.gateway
    port.close()
    assert not gateway.powered
    with pytest.raises(serial.PortNotOpenError):
        port.read()


@pytest.mark.parametrize("url", ["gatebench://ip999", "gatebench://ip800?colour=red", "gatebench://ip800?seed=x"])
def test_a_url_that_will_not_do_is_a_serial_exception(url: str) -> None:
    with pytest.raises(serial.SerialException):
        serial.serial_for_url(url)


def test_one_thread_reads_while_another_writes(port: Any) -> None:
    received = bytearray()

    def read() -> None:
        while b"password: " not in received:
            received.extend(port.read(1))

    port.read_until(b"login: ")
    reader = threading.Thread(target=read)
    reader.start()
    port.write(b"admin\r")
    reader.join(timeout=60)
    assert b"password: " in received
