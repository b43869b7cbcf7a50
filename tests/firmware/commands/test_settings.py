"""Configuration: working copy, flash, active; all or nothing at each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from firmware.commands import (
    Choice,
    Field,
    Number,
    Registry,
    Settings,
    Text,
    call_from_line,
    line_from_call,
    register_config,
)
from firmware.errors import CommandError, ConfigError

NTP = (
    Field("server", Text(limit=64)),
    Field("interval", Number(1, 1440), 60, "minutes"),
    Field("mode", Choice("a", "b")),
)
SECRET = (
    Field("user", Text()),
    Field("password", Text(limit=15), secret=True, seal=lambda text: f"sealed-{len(text)}"),
)


class Applied:
    """Keeps what was applied; refuses when told to."""

    def __init__(self) -> None:
        self.calls: list[Mapping[str, Any]] = []
        self.refuses = False

    def __call__(self, values: Mapping[str, Any]) -> None:
        if self.refuses:
            raise ConfigError("server", "no such server")
        self.calls.append(dict(values))


@pytest.fixture
def applied() -> Applied:
    return Applied()


@pytest.fixture
def settings(store: Any, applied: Applied) -> Settings:
    return registered(store, applied)


def registered(store: Any, applied: Applied) -> Settings:
    settings = Settings(store)
    settings.register("NTP", NTP, applied)
    settings.register("CMD", SECRET)
    return settings


@pytest.fixture
def do(settings: Settings, session: Any, run_to_end: Any) -> Any:
    registry = Registry()
    register_config(registry, settings)

    def run(line: str) -> Any:
        call = call_from_line(registry, line, session)
        return run_to_end(call.operation.handler(call))

    run.registry = registry  # type: ignore[attr-defined]
    return run


def test_a_change_counts_when_activated_and_stays_when_written(
    do: Any, settings: Settings, store: Any, applied: Applied
) -> None:
    do("config change ntp /server pool%20one /INTERVAL 15")
    assert settings.value("NTP", "interval") == 60
    assert do("config activate").text == "active: NTP"
    assert settings.value("NTP", "interval") == 15
    assert applied.calls == [{"server": "pool one", "interval": 15, "mode": None}]
    assert registered(store, applied).value("NTP", "interval") == 60
    assert do("config write").text == "written: NTP"
    again = registered(store, applied)
    assert (again.value("NTP", "server"), again.value("NTP", "interval")) == ("pool one", 15)


def test_several_modules_are_written_in_one_step(do: Any, store: Any) -> None:
    do("config change NTP /interval 15")
    do("config change CMD /user me")
    do("config write")
    assert store.commits == 1
    assert set(store.content) == {"config/NTP", "config/CMD"}
    assert do("config write").text == "nothing to write"
    assert store.commits == 1


def test_a_full_flash_leaves_the_change_unwritten(do: Any, settings: Settings, store: Any) -> None:
    do("config change NTP /interval 15")
    store.full = True
    with pytest.raises(OSError, match="flash is full"):
        do("config write")
    assert settings.unwritten == ["NTP"]
    store.full = False
    assert do("config write").text == "written: NTP"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("config change NTP /interval 0", "/interval '0': must be 1 to 1440"),
        ("config change NTP /server x /interval 0", "/interval '0': must be 1 to 1440"),
        ("config change NTP /mode c", "/mode 'c': must be one of a, b"),
        ("config change NTP /colour red", "module NTP has no option /colour, it has: /server, /interval, /mode"),
        ("config change NTP /server", "option /server needs a value: TEXT"),
        ("config change NTP /server a /server b", "option /server is given twice"),
        ("config change NTP", "which option of NTP? it has: /server, /interval, /mode"),
        ("config change NPT /server a", "no configuration module 'NPT', there are: NTP, CMD"),
        ("config rem NTP", "module NTP has no option set"),
        ("config rem NTP /server", "/server of NTP is not set"),
        ("config change", "config change needs MODULE, usage: config change MODULE [/OPTION VALUE ...]"),
        ("config change CMD /password " + "x" * 16, "/password: must be at most 15 characters, is 16"),
        ("config change CMD /password ********", "/password: the asterisks stand for a value that is not shown"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changes(do: Any, settings: Settings, line: str, text: str) -> None:
    with pytest.raises((CommandError, ConfigError)) as caught:
        do(line)
    assert str(caught.value) == text
    assert settings.inactive == settings.unwritten == []


def test_add_is_for_options_that_are_not_set_yet(do: Any) -> None:
    do("config add NTP /server one")
    with pytest.raises(ConfigError, match="/server of NTP is set already, use config change"):
        do("config add NTP /server two")
    assert do("config show NTP").text.splitlines()[0] == "config change NTP /server one"


def test_rem_brings_defaults_back(do: Any, settings: Settings, store: Any) -> None:
    do("config change NTP /server one /interval 5")
    do("config rem NTP /interval")
    assert settings.view("NTP") == {"server": "one"}
    do("config write")
    do("config rem NTP")
    do("config activate")
    do("config write")
    assert settings.value("NTP", "server") is None
    assert store.content.get("config/NTP") is None


def test_show_prints_the_commands_that_set_it_and_no_secret(do: Any) -> None:
    do("config change NTP /server a%20b /interval 15")
    do("config change CMD /password hunter2")
    reply = do("config show")
    assert reply.text.splitlines() == [
        "config change NTP /server a%20b /interval 15",
        "config change CMD /password ********",
        "# not written: NTP, CMD",
        "# not active: NTP, CMD",
    ]
    assert reply.data["modules"]["NTP"] == {"server": "a b", "interval": "15"}
    assert "hunter2" not in str(reply)


def test_show_of_nothing_says_where_to_go_on_in_a_comment(do: Any) -> None:
    assert do("config show").text == "# nothing is set; config show MODULE tells what can be: NTP, CMD"


def test_show_of_a_module_says_what_could_be_set(do: Any) -> None:
    assert do("config show ntp").text.splitlines() == [
        "# /server TEXT",
        "# /interval 1..1440, default 60: minutes",
        "# /mode a|b",
    ]


def test_a_secret_is_kept_sealed_and_logged_as_asterisks(do: Any, settings: Settings, store: Any, session: Any) -> None:
    call = call_from_line(do.registry, "config change CMD /user me /password hunter2", session)
    assert line_from_call(call) == "config change CMD /user me /password ********"
    do("config change CMD /password hunter2")
    do("config write")
    do("config activate")
    assert store.content["config/CMD"] == b"/password sealed-7"
    assert settings.value("CMD", "password") == "sealed-7"


def test_a_module_that_refuses_stops_the_activation_of_all(store: Any) -> None:
    first, second = Applied(), Applied()
    settings = Settings(store)
    settings.register("ONE", NTP, first)
    settings.register("TWO", NTP, second)
    settings.change("ONE", [("interval", "5")])
    settings.change("TWO", [("server", "bad")])
    second.refuses = True
    with pytest.raises(ConfigError):
        settings.activate()
    assert [call["interval"] for call in first.calls] == [5, 60]
    assert settings.value("ONE", "interval") == 60
    assert settings.inactive == ["ONE", "TWO"]


def test_what_another_firmware_wrote_is_left_out_where_it_no_longer_fits(store: Any, applied: Applied) -> None:
    store.content["config/NTP"] = b"/server a /colour red /interval 99999 /mode %zz"
    settings = registered(store, applied)
    assert settings.view("NTP") == {"server": "a"}


def test_completion_offers_modules_options_and_values(do: Any) -> None:
    from firmware.commands import complete

    assert complete(do.registry, "config change ").candidates == ("CMD", "NTP")
    assert complete(do.registry, "config change NTP /server a /i").candidates == ("/interval",)
    assert complete(do.registry, "config change NTP /mode ").candidates == ("a", "b")
