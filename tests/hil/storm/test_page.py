"""The storm's report as a page: whole, self-contained, and of the figures that the JSON has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from board import model_named
from hil.calibrate import Measurement, fit, handshake_overhead
from hil.modelfile import save_model
from hil.storm.page import page_from_result
from hil.storm.result import storm_from_json
from hil.storm.world import RETRY_S

SAMPLE = Path(__file__).with_name("data") / "sample.json"

VOID = {"meta", "br", "hr", "img", "input", "link", "wbr"}

REFERENCES = ("src", "href", "xlink:href", "srcset", "action", "poster", "data", "cite", "formaction")
"""Attributes that make a browser go somewhere."""

MOST_BYTES = 300_000
"""Of a page with six settings."""


class Page(HTMLParser):
    """What a browser would find, and what it would have to mend."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.broken: list[str] = []
        self.cells: list[list[tuple[str, str | None]]] = []
        """Rows of tables: text, and value where it is told."""
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.broken += [f"<{name}> stays open" for name in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.broken.append(f"<{tag}> has an attribute twice: {names}")
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.cells.append([])
        elif tag in ("td", "th") and self.cells:
            self.cells[-1].append(("", None))
        elif tag == "data" and self.cells and {"td", "th"} & set(self._open):
            self.cells[-1][-1] = ("", dict(attrs)["value"])

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.broken.append(f"</{tag}> after {self._open[-3:]}")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)
        if {"td", "th"} & set(self._open):
            text, value = self.cells[-1][-1]
            self.cells[-1][-1] = (text + data, value)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]

    def rows(self, label: str) -> list[list[str | None]]:
        """Values of the rows of that name, one per table."""
        return [[value for _, value in row[1:]] for row in self.cells if row and row[0][0].endswith(label)]


def render(data: dict[str, Any]) -> Page:
    return Page(page_from_result(storm_from_json(data)))


@pytest.fixture
def data() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SAMPLE.read_text())
    return loaded


# -- what happened to a setting, by name


def unchanged(setting: dict[str, Any]) -> None:
    pass


def nobody_came(setting: dict[str, Any]) -> None:
    none = dict.fromkeys(("p50", "p90", "p99", "max"))
    setting.update(first_attempt_ns=None, all_registered_ns=None, storm_ns=None, outcome="time is up", attempts=0)
    setting.update(registered_at_end=0, registered=[[0.0, 0]], failures={}, timeouts={}, cpu_s_by_kind={}, busy_s=0.0)
    setting.update(load={"t_s": [], "kinds": {}}, queues={"t_s": []})
    setting["registration_s"] = dict.fromkeys(("50", "90", "99", "100"))
    shakes = {"count": 0, "failed": 0, "wasted_cpu_s": 0.0, "latency_ms": none, "cpu_ms": none}
    setting["handshakes"] = shakes | {"histogram": {"edges_ms": [], "counts": []}}


def nobody_registered(setting: dict[str, Any]) -> None:
    nobody_came(setting)
    setting.update(first_attempt_ns=1_000_000, attempts=90, failures={"refused": 40, "tls: timeout": 50})
    setting["timeouts"] = {"handshake": 50}


def some_lost_it_again(setting: dict[str, Any]) -> None:
    setting["registered"].append([setting["end_ns"] / 1e9 - 1, setting["phones"] - 20])
    setting["registered_at_end"] = setting["phones"] - 20
    setting["failures"] = {"pong-timeout": 20}


def interrupted(setting: dict[str, Any]) -> None:
    setting.update(all_registered_ns=None, storm_ns=None, outcome="interrupted", registered_at_end=7)
    setting["registration_s"] = dict.fromkeys(("50", "90", "99", "100"))


def everything_went_wrong(setting: dict[str, Any]) -> None:
    setting.update(watchdog_resets=3, refused_connections=12_345)
    setting["failures"] = {"tls: timeout": 1_000, "lost": 2, "status-503": 7, "timeout-f": 1}
    setting["timeouts"] = {"connect": 0, "handshake": 1_000, "transaction": 1, "pong": 0}


HAPPENINGS = (unchanged, nobody_came, nobody_registered, some_lost_it_again, interrupted, everything_went_wrong)


def altered(data: dict[str, Any], happening: Callable[[dict[str, Any]], None], settings: int) -> dict[str, Any]:
    """So many settings, of which the first went that way."""
    known = data["settings"]
    chosen = [json.loads(json.dumps(known[index % len(known)])) for index in range(settings)]
    for index, setting in enumerate(chosen):
        setting["label"] += "" if index < len(known) else f", variation {index}"
    happening(chosen[0])
    return data | {"settings": chosen}


# -- the markup


@pytest.mark.parametrize(
    ("happening", "settings"),
    [*((happening, settings) for happening in HAPPENINGS for settings in (1, 3)), (everything_went_wrong, 24)],
)
def test_the_page_needs_no_mending(
    data: dict[str, Any], happening: Callable[[dict[str, Any]], None], settings: int
) -> None:
    page = render(altered(data, happening, settings))
    assert page.broken == []
    ids = page.attributes("id")
    assert len(ids) == len(set(ids)) > 0
    assert {each for value in page.attributes("aria-labelledby") for each in value.split()} <= set(ids)
    assert not re.search(r"\b(None(?! of)|nan|inf)\b", page.text)


def test_a_parser_that_sees_a_broken_page_says_so() -> None:
    assert Page("<p><b>bold</p></b>").broken != []
    assert Page("<p>open").broken == ["<p> stays open"]


def test_nothing_is_loaded_from_elsewhere(data: dict[str, Any]) -> None:
    html = page_from_result(storm_from_json(data))
    page = Page(html)
    assert [value for name in REFERENCES for value in page.attributes(name)] == []
    assert {name for name, _ in page.elements} & {"link", "img", "iframe", "object", "embed", "use", "base"} == set()
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|import\(", html)


def test_every_chart_has_a_title_and_a_description(data: dict[str, Any]) -> None:
    page = render(data)
    charts = [attributes for name, attributes in page.elements if name == "svg"]
    assert len(charts) == 3 + 3 * len(data["settings"])
    names = [name for name, _ in page.elements]
    assert names.count("title") == 1 + len(charts)
    assert names.count("desc") == len(charts)
    assert all(chart["role"] == "img" for chart in charts)


def test_the_page_is_light(data: dict[str, Any]) -> None:
    html = page_from_result(storm_from_json(altered(data, unchanged, 6)))
    assert len(html.encode()) < MOST_BYTES


def test_the_same_result_gives_the_same_page(data: dict[str, Any]) -> None:
    assert page_from_result(storm_from_json(data)) == page_from_result(storm_from_json(data))


def test_how_fast_the_host_was_is_not_on_the_page(data: dict[str, Any]) -> None:
    before = page_from_result(storm_from_json(data))
    for setting in data["settings"]:
        setting["host_s"] *= 2
    assert page_from_result(storm_from_json(data)) == before


def test_nothing_from_outside_becomes_markup(data: dict[str, Any]) -> None:
    evil = "</style><script>alert(1)</script><b a='\"&"
    setting = data["settings"][0]
    data["command"] = setting["label"] = setting["digest"] = evil
    setting["failures"] = {evil: 3}
    setting["parameters"] |= {"model": evil, "hash": evil, "arrival": evil, evil: evil}
    setting["cpu_s_by_kind"] = {evil: 1.0}
    setting["load"]["kinds"] = {evil: setting["load"]["kinds"]["rsa-private"]}
    setting["queues"][evil] = [100.0] * len(setting["queues"]["t_s"])
    html = page_from_result(storm_from_json(data))
    assert html.count("<script>") == html.count("</style>") == 1
    page = Page(html)
    assert page.broken == []
    assert evil in "".join(page.texts)


# -- the figures


def test_registration_and_latency_are_those_of_the_json(data: dict[str, Any]) -> None:
    page = render(data)
    for setting in data["settings"]:
        told = page.rows(setting["label"])[0]
        latency = setting["handshakes"]["latency_ms"]
        wanted_s = [
            *setting["registration_s"].values(),
            *(latency[rank] / 1e3 for rank in ("p50", "p90", "p99", "max")),
        ]
        assert [None if value is None else float(value) for value in told[:8]] == pytest.approx(wanted_s)
        assert float(told[8] or 0) == pytest.approx(setting["handshakes"]["cpu_ms"]["p50"])
        timeouts, failures, resets = told[-3:]
        assert timeouts == str(sum(setting["timeouts"].values()))
        assert failures == str(sum(setting["failures"].values()))
        assert resets == str(setting["watchdog_resets"])


def test_a_rank_that_was_not_reached_is_never(data: dict[str, Any]) -> None:
    unfinished = data["settings"][-1]["label"]
    row = next(row for row in render(data).cells if row and row[0][0] == unfinished)
    assert [text.partition(": ")[2] for text, _ in row[1:5]] == [f"{rank}\xa0% never" for rank in (50, 90, 99, 100)]


def test_cpu_time_is_that_of_the_json(data: dict[str, Any]) -> None:
    page = render(data)
    for setting in data["settings"]:
        told = next(row for row in page.rows(setting["label"])[1:] if float(row[0] or 0) == setting["busy_s"])
        wanted_s = [setting["handshakes"]["wasted_cpu_s"], *sorted(setting["cpu_s_by_kind"].values(), reverse=True)]
        assert sorted(float(value or 0) for value in told[1:]) == pytest.approx(sorted(wanted_s))


def test_failures_are_told_by_reason_and_in_words(data: dict[str, Any]) -> None:
    everything_went_wrong(data["settings"][0])
    page = render(data)
    assert "1 000 × TLS handshake not done in time; 7 × status-503; 2 × connection lost" in page.text
    row = next(row for row in page.rows(data["settings"][0]["label"])[1:] if "1000" in row)
    assert sorted(int(value or 0) for value in row) == [0, 1, 2, 7, 1_000, 12_345]
    assert "of them timeouts" not in page.text  # the same figures once more
    data["settings"][0]["timeouts"]["pong"] = 4
    assert "of them timeouts: keep-alive" in render(data).text


def test_no_failures_make_no_table_of_failures(data: dict[str, Any]) -> None:
    data["settings"] = data["settings"][:1]
    page = render(data)
    assert "Failed attempts by reason" not in page.text
    assert "Every attempt led to a connection" in page.text


def test_command_seed_and_digests_are_on_the_page(data: dict[str, Any]) -> None:
    page = render(data)
    assert data["command"] in page.text
    assert f"Seed {data['seed']} " in page.text
    assert all(setting["digest"] in page.text for setting in data["settings"])


# -- the answer

QUICK = "All 50 phones are back 2.97 s after the power"


@pytest.mark.parametrize(
    ("happening", "settings", "headline"),
    [
        (unchanged, 1, QUICK),
        (unchanged, 2, f"{QUICK} with a 1024‑bit key, 16.1 s with a 2048‑bit key: 5.4 times as long"),
        (unchanged, 3, f"{QUICK} with a 1024‑bit key; with a 4096‑bit key they are not all back within 1 min"),
        (nobody_registered, 1, "None of 50 phones registered after 1 min 3 s"),
        (interrupted, 1, "7 of 50 phones registered after 1 min 3 s"),
    ],
)
def test_the_headline_is_the_answer(
    data: dict[str, Any], happening: Callable[[dict[str, Any]], None], settings: int, headline: str
) -> None:
    html = page_from_result(storm_from_json(altered(data, happening, settings)))
    found = re.search("<h1>(.*?)</h1>", html)
    assert found is not None
    assert re.sub(r"\s", " ", found[1]) == headline


def test_each_setting_says_how_it_compares_and_what_a_handshake_costs(data: dict[str, Any]) -> None:
    text = render(data).text
    assert "All 50 phones are registered after 16.1 s, 5.4 times as long as with a 1024‑bit key." in text
    assert (
        "Not all in time: 24 of 50 phones registered within 1 min; the handshakes outlast the phones' patience." in text
    )
    assert (
        "A handshake takes 1.89 s of the gateway's CPU: 32 a minute at most, and 1 min 35 s for all phones at least."
        in text
    )


@pytest.mark.parametrize(
    ("happening", "words"),
    [
        (unchanged, "✓ without a failure"),
        (everything_went_wrong, "! failures on the way"),
        (some_lost_it_again, "! some were lost again"),
        (nobody_came, "✕ not all in time"),
        (interrupted, "‖ was interrupted"),
    ],
)
def test_each_setting_bears_its_verdict(
    data: dict[str, Any], happening: Callable[[dict[str, Any]], None], words: str
) -> None:
    assert words in render(altered(data, happening, 1)).text


def test_one_phone_is_one_phone(data: dict[str, Any]) -> None:
    setting = data["settings"][0]
    setting.update(phones=1, registered_at_end=1, registered=[[0.0, 0], [2.970759, 1]], attempts=1)
    setting["handshakes"]["histogram"] = {"edges_ms": [0, 100, 200], "counts": [0, 1]}
    page = render(data | {"settings": [setting]})
    assert "The phone is back 2.97 s after the power" in page.text
    assert "1 phone comes back to one gateway" in page.text
    assert "1 of 1 attempt led to a connection" in page.text


def test_nothing_measured_is_still_a_page(data: dict[str, Any]) -> None:
    page = render(data | {"settings": [], "interrupted": True})
    assert page.broken == []
    assert "Nothing was measured" in page.text
    assert data["command"] in page.text


def test_an_interrupted_comparison_says_so(data: dict[str, Any]) -> None:
    assert "Interrupted." not in render(data).text
    assert "Interrupted." in render(data | {"interrupted": True}).text


# -- what it rests on


def test_a_calibrated_model_is_not_said_to_be_assumed(data: dict[str, Any], tmp_path: Path) -> None:
    measured = [Measurement(2, 1024, 53.0), Measurement(3, 2048, 316.0)]
    calibration = fit(measured, model_named("ip800"), overhead=handshake_overhead("ip800"))
    save_model(calibration, tmp_path / "lab.toml", "fitted to a box")
    for setting in data["settings"]:
        setting["parameters"]["model"] = str(tmp_path / "lab.toml")
    text = render(data).text
    assert f"one gateway ({tmp_path / 'lab.toml'})" in text
    assert "Seconds rest on an assumed CPU" not in text


def test_attempts_that_were_open_at_the_end_are_not_said_to_have_failed(data: dict[str, Any]) -> None:
    setting = data["settings"][2]
    setting["attempts"] = sum(setting["handshakes"]["histogram"]["counts"]) + sum(setting["failures"].values())
    assert "came to nothing or" not in render(data).text
    setting["attempts"] += 10
    assert "attempts came to nothing or were still open at the end; what was in vain took" in render(data).text


def test_assumed_figures_are_marked(data: dict[str, Any]) -> None:
    text = render(data).text
    assert "Seconds rest on an assumed CPU, IP800 at 200 MHz" in text
    assert "IP800: 200 MHz assumed" in text
    assert "fitted to the reference text" in text


def test_a_model_that_is_not_to_be_had_is_named(data: dict[str, Any]) -> None:
    for setting in data["settings"]:
        setting["parameters"]["model"] = "./gone.toml"
    text = render(data).text
    assert "Model ./gone.toml: its file is not to be had here" in text
    assert "Seconds rest" not in text


def test_what_differs_stands_in_a_table_and_the_rest_in_a_list(data: dict[str, Any]) -> None:
    page = render(data)
    assert page.rows("4096-bit")[-2:-1] != []
    assert "RSA 4096 bit" in page.text
    assert page.text.count("SHA256") == 2, "once as a parameter of all, once in the cost table"


def test_the_phones_patience_is_the_worlds(data: dict[str, Any]) -> None:
    assert f"after a failure again every {RETRY_S} s" in render(data).text
