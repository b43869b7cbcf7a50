"""The interpreter: replies, errors, the log of administration, scripts, and restarting."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from typing import Any

import pytest

from firmware.commands import Call, Interpreter, Operation, Option, Outcome, Registry, Reply, Restart, call_from_line
from firmware.errors import CertificateError
from firmware.kernel import Kernel


class FakeWorld:
    """Nothing happens outside."""

    horizon_ns = 1 << 62


class FakeCpu:
    """A CPU at 1 GHz. Not modelled: the watchdog."""

    hz = 1_000_000_000

    def __init__(self) -> None:
        self.now_ns = 0
        self.world = FakeWorld()

    def spend(self, cycles: int) -> None:
        self.now_ns += cycles


class FakeCosts:
    """What a command costs."""

    command = 1_000

    def parse(self, size_bytes: int) -> int:
        return size_bytes


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(FakeCpu())  # type: ignore[arg-type]


@pytest.fixture
def audit() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def run(kernel: Kernel, registry: Registry, session: Any, audit: list[Any]) -> Callable[..., Outcome]:
    """Runs a line, or another method of the interpreter, to its end."""
    interpreter = Interpreter(registry, kernel, FakeCosts(), lambda module, text: audit.append((module, text)))  # type: ignore[arg-type]

    def run_now(what: Any, method: str = "run") -> Outcome:
        arguments = (what,) if method == "run_call" else (what, session)
        task = kernel.spawn(getattr(interpreter, method)(*arguments), "command")
        kernel.run()
        assert task.done
        return task.result

    return run_now


def failing(error: Exception) -> Operation:
    async def fail(call: Call) -> Reply:
        raise error

    return Operation("TEST", "fail", "fails", fail)


def test_a_reply_is_text_or_with_json_one_line(run: Callable[..., Outcome]) -> None:
    assert run("x509 trust-list").text == "done"
    outcome = run("x509 trust-list /json")
    assert outcome.ok
    assert json.loads(outcome.text) == {"options": {}}
    assert "\n" not in outcome.text


def test_a_query_without_data_still_prints_json(registry: Registry, run: Callable[..., Outcome]) -> None:
    async def lines(call: Call) -> Reply:
        return Reply("a\nb")

    registry.register(Operation("TEST", "lines", "", lines, query=True))
    assert json.loads(run("test lines /json").text) == {"text": "a\nb"}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CertificateError("no PEM block found"), "error: no PEM block found"),
        (OSError(errno.ENODEV, "no card in the slot"), "error: no card in the slot"),
        (OSError(errno.EROFS), "error: Read-only file system"),
        (CertificateError("two\nlines"), "error: two lines"),
    ],
)
def test_an_error_is_one_line(registry: Registry, run: Callable[..., Outcome], error: Exception, text: str) -> None:
    registry.register(failing(error))
    outcome = run("test fail")
    assert (outcome.text, outcome.ok) == (text, False)


def test_a_mistake_in_a_handler_ends_its_command_alone_and_is_logged(
    registry: Registry, run: Callable[..., Outcome], audit: list[tuple[str, str]]
) -> None:
    registry.register(failing(ValueError("two\nlines")))
    outcome = run("test fail")
    assert (outcome.text, outcome.ok) == ("error: internal fault (ValueError), see log", False)
    assert audit[-1] == ("CMD", "fault: task command: ValueError: two lines")
    assert run("x509 trust-list").ok


def test_changes_are_logged_with_user_and_peer_and_queries_are_not(
    run: Callable[..., Outcome], session: Any, audit: list[tuple[str, str]]
) -> None:
    session.peer = "192.0.2.7"
    run("x509 trust-list")
    run("x509 servercert-create /years 99")
    assert audit == []
    run("x509 servercert-create /years 3 /dn-cn A%20B")
    run("tls proxy /password hunter2")
    run("reset")
    assert audit == [
        ("CMD", "admin@192.0.2.7 mod cmd X509 servercert-create /years 3 /dn-cn A%20B"),
        ("CMD", "admin@192.0.2.7 mod cmd TLS proxy /password ********"),
        ("CMD", "admin@192.0.2.7 reset"),
    ]


def test_every_command_is_charged_a_wrong_one_too(run: Callable[..., Outcome], kernel: Kernel) -> None:
    run("nonsense")
    assert kernel.cycles["command"] == 1_000 + len("nonsense")


def test_a_call_from_a_form_is_run_like_a_line(
    run: Callable[..., Outcome], registry: Registry, session: Any, audit: list[tuple[str, str]]
) -> None:
    assert run(call_from_line(registry, "reset", session), "run_call") == Outcome("done", True, run("reset").reply)
    assert len(audit) == 2


def test_a_script_runs_line_by_line_and_stops_at_the_first_error(
    run: Callable[..., Outcome], audit: list[tuple[str, str]]
) -> None:
    script = "# a comment\n\nx509 trust-list\nreset\nx509 nonsense\nreset\n"
    outcome = run(script, "run_script")
    assert outcome.text.splitlines() == ["done", "done", "error: line 5: module X509 has no command 'nonsense'"]
    assert not outcome.ok
    assert len(audit) == 1


def test_reset_lets_the_answer_out_first(kernel: Kernel) -> None:
    resets: list[int] = []
    Restart(kernel, lambda: resets.append(kernel.now_ns // 1_000_000), list).now()
    assert resets == []
    kernel.run()
    assert resets == [200]


def test_ireset_waits_until_nothing_is_busy(kernel: Kernel) -> None:
    resets: list[int] = []
    restart = Restart(
        kernel,
        lambda: resets.append(kernel.now_ns // 1_000_000),
        lambda: ["key generation"] if kernel.now_ns < 5_000_000_000 else [],
    )
    assert restart.when_idle() == ["key generation"]
    assert restart.when_idle() == ["key generation"]
    kernel.run()
    assert resets == [5_200]


def test_required_options_are_looked_at_before_anything_runs(run: Callable[..., Outcome], registry: Registry) -> None:
    async def never(call: Call) -> Reply:
        raise AssertionError

    registry.register(Operation("TEST", "need", "", never, options=(Option("x", required=True),)))
    assert run("test need").text == "error: test need needs /x, usage: test need /x TEXT"
