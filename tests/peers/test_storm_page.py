"""The storm's page in a real browser: no error, nothing runs over, no labels meet, the pointer reads true values."""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hil.storm.page import page_from_result
from hil.storm.result import storm_from_json

SAMPLE = Path(__file__).parents[1] / "hil" / "storm" / "data" / "sample.json"
PROBE = Path(__file__).with_name("foreign") / "storm_probe.html"

TIMEOUT_S = 90

Probe = Callable[..., dict[str, Any]]


@pytest.fixture
def probe(chromium: list[str], tmp_path: Path) -> Probe:
    """What a browser of some width finds in the page of a report; ``spoil`` is put into the page first."""

    def look(data: dict[str, Any], width: int, spoil: str = "") -> dict[str, Any]:
        page = tmp_path / "storm.html"
        text = page_from_result(storm_from_json(data))
        page.write_text(text.replace("<head>", f"<head>{PROBE.read_text()}", 1).replace("</body>", f"{spoil}</body>"))
        done = subprocess.run(
            [*chromium, f"--window-size={width},3000", "--dump-dom", page.as_uri()],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        found = re.search('<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
        assert found is not None, "the probe's script did not come to its end"
        answer: dict[str, Any] = json.loads(html.unescape(found[1]))
        return answer

    return look


@pytest.fixture
def data() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SAMPLE.read_text())
    return loaded


def with_settings(data: dict[str, Any], number: int) -> dict[str, Any]:
    known = data["settings"]
    settings = [
        known[index % len(known)] | {"label": f"spread:60, setting {index + 1}-bit, as it was"}
        for index in range(number)
    ]
    return data | {"settings": settings}


@pytest.mark.slow
@pytest.mark.peer("chromium")
@pytest.mark.parametrize("width", [500, 1280, 1600])
@pytest.mark.parametrize("settings", [1, 3, 12])
def test_a_browser_shows_the_page_whole(probe: Probe, data: dict[str, Any], settings: int, width: int) -> None:
    answer = probe(data if settings == 3 else with_settings(data, settings), width)
    assert answer["errors"] == []
    assert answer["collisions"] == []
    assert answer["empty"] == answer["overflowing"] == []
    assert answer["wide"] <= answer["window"] == width
    assert answer["scrolling"] == []
    assert answer["charts"] >= 2 + 3 * settings
    assert answer["left"] == 0, "read-outs go with the pointer"


@pytest.mark.slow
@pytest.mark.peer("chromium")
def test_the_pointer_reads_what_the_report_says(probe: Probe, data: dict[str, Any]) -> None:
    readouts = probe(data, 1600)["readouts"]
    unfinished = data["settings"][-1]
    middle_s = unfinished["end_ns"] / 1e9 / 2
    registered = max(number for time_s, number in unfinished["registered"] if time_s <= middle_s)
    assert readouts["registered"] == [f"{middle_s:.1f} s", "1024-bit: 50", "2048-bit: 50", f"4096-bit: {registered}"]
    values = dict(line.split(": ") for line in readouts["load-3"][1:])
    index = sum(time_s <= middle_s for time_s in unfinished["load"]["t_s"]) - 1
    assert float(values["private key (RSA)"].removesuffix(" %")) == pytest.approx(
        unfinished["load"]["kinds"]["rsa-private"][index] * 100, abs=1
    )
    assert sum(float(value.removesuffix(" %")) for value in values.values()) == pytest.approx(100, abs=3)


@pytest.mark.slow
@pytest.mark.peer("chromium")
def test_the_probe_hears_of_an_error(probe: Probe, data: dict[str, Any]) -> None:
    answer = probe(data, 500, '<script>nobody.knows()</script><div style="width:900px">wide</div>')
    assert any("nobody is not defined" in error for error in answer["errors"])
    assert answer["wide"] > answer["window"]
