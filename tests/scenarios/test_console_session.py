"""Somebody sits down at the serial console: boots, logs in, asks for help, mistypes, and is answered in words."""

from __future__ import annotations

import pytest

from hil.bench import Bench
from hil.console import Console
from hil.errors import CommandFailed, DeviceFailure
from hil.gateway import Gateway


def test_the_board_says_who_it_is_and_asks_for_a_login(board: Gateway) -> None:
    assert board.console.expect("IP800-06-11-ac", since=0).offset < 40
    assert board.leds()["ready"] == "green"


def test_it_boots_in_virtual_time_that_no_host_load_changes(bench: Bench, board: Gateway) -> None:
    login = board.console.expect("login: ", since=0)
    assert login.time_ns < 100_000_000
    assert login.time_ns == bench.now_ns


def test_the_console_never_echoes_the_password(console: Console) -> None:
    password = console.expect("password: ", since=0)
    assert "ip800" not in console.since(password.end)


def test_a_wrong_password_is_refused_and_the_right_one_taken_after_it(board: Gateway) -> None:
    with pytest.raises(DeviceFailure, match="wrong user or password"):
        board.console.login(password="IP800")
    board.console.login()


def test_help_lists_the_commands_and_explains_one(console: Console) -> None:
    listed = console.run("help").text
    for word in ("info", "ctime", "X509", "CARD", "trust-list"):
        assert word in listed
    assert "/key" in console.run("help x509 servercert-create").text


def test_an_unknown_command_gets_one_line_and_a_suggestion(console: Console) -> None:
    reply = console.run("infos", check=False)
    assert len(reply.lines) == 1
    assert reply.error is not None
    assert "info" in reply.error
    with pytest.raises(CommandFailed, match="unknown"):
        console.run("x509 trust-list /jsn")


def test_both_forms_of_a_command_answer_the_same(console: Console) -> None:
    assert console.run("mod cmd X509 trust-list /json").json == console.run("x509 trust-list /json").json == []


def test_the_clock_is_set_with_ctime(console: Console, board: Gateway) -> None:
    console.run("ctime 2031-02-03T04:05:06Z")
    assert board.board.rtc.datetime()[:3] == (2031, 2, 3)  # type: ignore[index]
    assert "2031-02-03" in console.run("ctime").text


def test_ctrl_c_drops_the_line(console: Console) -> None:
    console.send("x509 trust-clear")
    console.interrupt()
    assert console.run("ser", check=False).error is None


def test_a_break_logs_out(console: Console, board: Gateway) -> None:
    board.board.uart.line.send_break()
    console.expect("login: ")


def test_what_is_typed_without_power_is_lost(console: Console, board: Gateway, bench: Bench) -> None:
    board.power_off()
    console.send_line("admin")
    bench.run_for(ms=10)
    board.power_on()
    console.expect("login: ")
    bench.run_for(ms=500)
    assert "password" not in console.since(console.position)
