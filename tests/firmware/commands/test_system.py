"""The built-in words: help, ctime, info, log, leds, tasks, restarting, CPU."""

from __future__ import annotations

from typing import Any

import pytest

from firmware.commands import (
    Call,
    EventLog,
    Operation,
    Registry,
    Reply,
    call_from_line,
    line_from_call,
    register_cpu,
    register_ctime,
    register_help,
    register_info,
    register_leds,
    register_log,
    register_logout,
    register_restart,
    register_tasks,
)
from firmware.errors import CommandError
from firmware.kernel import Kernel, Priority


class FakeWorld:
    """Nothing happens outside."""

    horizon_ns = 1 << 62


class FakeCpu:
    """A CPU at 50 MHz. Not modelled: the watchdog."""

    hz = 50_000_000

    def __init__(self) -> None:
        self.now_ns = 0
        self.world = FakeWorld()

    def spend(self, cycles: int) -> None:
        self.now_ns += cycles * 20


class FakeTls:
    """Two handshakes were made."""

    handshakes = 2
    last_us = 4_711


class FakeRestart:
    """Keeps what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.busy: list[str] = []

    def now(self) -> None:
        self.asked.append("now")

    def when_idle(self) -> list[str]:
        self.asked.append("when idle")
        return self.busy


@pytest.fixture
def do(registry: Registry, session: Any, run_to_end: Any) -> Any:
    def run(line: str) -> Any:
        call = call_from_line(registry, line, session)
        return run_to_end(call.operation.handler(call))

    return run


def test_help_lists_words_and_modules(registry: Registry, do: Any) -> None:
    register_help(registry)
    text = do("help").text
    assert "reset" in text
    assert "  X509    servercert-create, trust-list, trust-remove, connect" in text.splitlines()
    assert do("help").data["X509"] == ["servercert-create", "trust-list", "trust-remove", "connect"]


def test_help_of_a_module_and_of_a_command_say_more(registry: Registry, do: Any) -> None:
    register_help(registry)
    assert "x509 trust-list" in do("help x509").text
    text = do("help x509 servercert-create").text
    assert text.startswith("x509 servercert-create [/target TEXT] [/type Self-signed|Signing%20request]")
    assert "/years" in text
    assert "redirect" not in text
    assert "validity (default: 10)\n" in text
    assert do("help mod cmd CARD ls").text.startswith("card ls [PATH] [/json]")
    with pytest.raises(CommandError, match="unknown command 'x50', did you mean x509"):
        do("help x50")


@pytest.mark.parametrize("line", ["help", "help x509 servercert-create", "help help"])
def test_help_fits_a_terminal(registry: Registry, do: Any, line: str) -> None:
    register_help(registry)
    assert all(len(line) <= 80 for line in do(line).text.splitlines())


def test_help_keeps_an_option_and_its_value_on_one_line(registry: Registry, do: Any) -> None:
    register_help(registry)
    reply = do("help x509 servercert-create")
    usage = [line for line in reply.text.splitlines() if "[" in line]
    assert len(usage) > 1
    assert all(line.count("[") == line.count("]") for line in usage)
    assert " ".join(line.strip() for line in usage) == reply.data["usage"]


def test_a_command_that_is_the_only_one_of_its_name_has_help_without_its_module(registry: Registry, do: Any) -> None:
    register_help(registry)
    assert do("help servercert-create").text == do("help x509 servercert-create").text
    registry.register(Operation("SIP", "connect", "the second of that name", _nothing))
    with pytest.raises(CommandError, match="unknown command 'connect'"):
        do("help connect")


async def _nothing(call: Call) -> Reply:
    return Reply()


def test_ctime_says_when_nobody_set_the_time(registry: Registry, do: Any, rtc: Any) -> None:
    register_ctime(registry, rtc)
    assert do("ctime").text.startswith("1970-01-01T00:00:12Z (time not set")
    assert do("ctime").data == {"time": "1970-01-01T00:00:12Z", "set": False}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-23T12:10:35Z", "2026-11-23T12:10:35Z"),
        ("2026-11-23T12:10:35", "2026-11-23T12:10:35Z"),
        ("2026-11-23T12:10:35+02:00", "2026-11-23T10:10:35Z"),
        ("2026-11-23", "2026-11-23T00:00:00Z"),
        ("20261123T121035Z", "2026-11-23T12:10:35Z"),
    ],
)
def test_ctime_sets_the_clock_in_utc(registry: Registry, do: Any, rtc: Any, text: str, shown: str) -> None:
    told: list[bool] = []
    register_ctime(registry, rtc, lambda: told.append(True))
    assert do(f"ctime {text}").text == shown
    assert do("ctime /json").data == {"time": shown, "set": True}
    assert told == [True]
    assert rtc.now[3] == 0  # a Monday


@pytest.mark.parametrize("text", ["yesterday", "1999-12-31T23:59:59Z", "2100-01-01", "2026-13-01", "12:00", "9" * 41])
def test_a_bad_time_leaves_the_clock_alone(registry: Registry, do: Any, rtc: Any, text: str) -> None:
    register_ctime(registry, rtc)
    before = rtc.now
    with pytest.raises(CommandError):
        do(f"ctime {text}")
    assert rtc.now == before


def test_setting_the_time_is_logged_and_looking_is_not(registry: Registry, rtc: Any, session: Any) -> None:
    register_ctime(registry, rtc)
    for line, logged in (("ctime", False), ("ctime 2026-11-23", True)):
        call = call_from_line(registry, line, session)
        assert call.operation.logged is not None
        assert call.operation.logged(call) is logged
        assert line_from_call(call) == line


def test_info_prints_facts_in_their_order(registry: Registry, do: Any) -> None:
    facts = {"model": "IP800", "services": ["HTTPS 443", "HTTP 80"], "card": None, "time_set": False}
    register_info(registry, lambda: facts)
    assert do("info").text.splitlines() == [
        "model     IP800", "services  HTTPS 443, HTTP 80", "card      -", "time_set  no",
    ]  # fmt: skip
    assert do("info").data == facts


def test_the_log_keeps_the_newest_lines_and_lets_no_line_forge_another(registry: Registry, do: Any, rtc: Any) -> None:
    log = EventLog(rtc)
    register_log(registry, log)
    heard: list[str] = []
    stop = log.listen(heard.append)
    log.write("TLS", "peer said\nCMD \x1b[2Jforged")
    stop()
    for number in range(1_500):
        log.write("TEST", f"line {number}")
    assert heard == ["19700101-000012 TLS peer said?CMD ?[2Jforged"]
    assert len(log.last()) == 1_000
    assert do("log /lines 2").text == "19700101-000012 TEST line 1498\n19700101-000012 TEST line 1499"
    assert len(do("log").data) == 50


def test_leds_and_logout(registry: Registry, do: Any, session: Any) -> None:
    register_leds(registry, lambda: {"ready": "green", "cf": "off"})
    register_logout(registry)
    assert do("leds").text == "ready: green\ncf: off"
    do("exit")
    assert session.logged_out


def test_restarting_words(run_to_end: Any, session: Any) -> None:
    registry, restart = Registry(), FakeRestart()
    register_restart(registry, restart)

    def do(line: str) -> str:
        call = call_from_line(registry, line, session)
        return str(run_to_end(call.operation.handler(call)).text)

    assert [do("reset"), do("ireset"), do("ser")] == ["resetting", "resetting", ""]
    restart.busy = ["creating a key"]
    assert do("ireset") == "resetting when idle, busy: creating a key"
    assert restart.asked == ["now", "when idle", "when idle"]


def test_mips_usage_has_the_promised_shape(registry: Registry, do: Any) -> None:
    kernel = Kernel(FakeCpu())  # type: ignore[arg-type]
    register_cpu(registry, kernel, FakeTls())
    register_tasks(registry, kernel)

    async def busy() -> None:
        await kernel.work(25_000_000, "keygen")
        await kernel.sleep_ms(3_600_000)

    kernel.spawn(busy(), "key", Priority.BACKGROUND)
    kernel.cpu.world.horizon_ns = 1_000_000_000  # type: ignore[misc]
    kernel.run()
    kernel.cpu.now_ns = 1_000_000_000
    kernel.run()
    data = do("cpu mips-usage /json").data
    assert list(data) == ["hz", "load_1s", "load_10s", "load_60s", "cycles", "tasks", "tls"]
    assert data["hz"] == 50_000_000
    assert 0.49 < data["load_1s"] < 0.52
    assert data["cycles"]["keygen"] == 25_000_000
    assert data["tls"] == {"handshakes": 2, "last_us": 4_711}
    (task,) = data["tasks"]
    assert list(task) == ["name", "priority", "cycles", "longest_us"]
    assert (task["name"], task["priority"]) == ("key", "background")
    assert 2_000 <= task["longest_us"] < 2_100
    text = do("cpu mips-usage").text
    assert "load 1 s: 50" in text
    assert [line.split()[:2] for line in text.splitlines() if line.startswith("key ")] == [["key", "background"]]
    assert "key" in do("tasks").text


@pytest.mark.parametrize(
    ("handshakes", "line"),
    [(0, "TLS handshakes 0"), (2, "TLS handshakes 2, the last took 4711 us of CPU time")],
)
def test_mips_usage_tells_of_a_last_handshake_when_there_was_one(
    registry: Registry, do: Any, handshakes: int, line: str
) -> None:
    tls = FakeTls()
    tls.handshakes = handshakes
    register_cpu(registry, Kernel(FakeCpu()), tls)  # type: ignore[arg-type]
    assert do("cpu mips-usage").text.splitlines()[-1] == line


def test_what_ended_tasks_used_is_kept_by_name(registry: Registry, do: Any) -> None:
    kernel = Kernel(FakeCpu())  # type: ignore[arg-type]
    register_cpu(registry, kernel, FakeTls())
    register_tasks(registry, kernel)

    async def job() -> None:
        kernel.charge(1_000_000, "keygen")

    for name in ("x509", "x509", *(f"guest{number}" for number in range(100))):
        kernel.spawn(job(), name, Priority.BACKGROUND)
    kernel.run()
    tasks = {task["name"]: task for task in do("cpu mips-usage /json").data["tasks"]}
    assert not do("tasks /json").data
    assert 2_000_000 <= tasks["x509"]["cycles"] < 2_010_000
    assert tasks["other"]["cycles"] >= 37_000_000
    assert len(tasks) == 65
    assert "x509" in do("cpu mips-usage").text
