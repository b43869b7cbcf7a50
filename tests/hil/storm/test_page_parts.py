"""What the storm's page is made of: units, axes, paths and the figures that are derived."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import hil.storm.page
from hil.storm.page.axis import coarser, count_axis, log_time_axis, mean, percent_axis, time_axis
from hil.storm.page.figures import Figures, Verdict, figures_from_result, mean_between, quickest
from hil.storm.page.plot import Flag, area_path, bar_path, flag_rows, slope_path, step_path
from hil.storm.page.units import count, duration, percent, plural, ratio, significant
from hil.storm.result import StormResult, storm_from_json

SAMPLE = Path(__file__).with_name("data") / "sample.json"


@pytest.fixture
def result() -> StormResult:
    return storm_from_json(json.loads(SAMPLE.read_text()))


def plain(text: str) -> str:
    """With blanks that everybody can type."""
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


# -- units


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0000025, "0.0025 ms"),
        (0.0655, "65.5 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (2.970759, "2.97 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (529.850657, "8 min 50 s"),
        (3_599.6, "1 h"),
        (3_725, "1 h 2 min"),
        (86_400, "24 h"),
    ],
)
def test_a_duration_has_the_unit_that_fits(seconds: float, text: str) -> None:
    assert plain(duration(seconds)) == text


def test_numbers_have_no_more_digits_than_mean_something() -> None:
    assert plain(count(12_345.4)) == "12 345"
    assert (significant(0.012345), significant(1234.5), significant(0)) == ("0.0123", "1230", "0")
    assert (ratio(1.24), ratio(9.96), ratio(39.8)) == ("1.2", "10", "40")
    assert plain(plural(1, "phone")) == "1 phone"
    assert plain(plural(200, "phone")) == "200 phones"


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0, "0 %"),
        (0.001, "< 1 %"),
        (0.254, "25 %"),
        (0.99, "99 %"),
        (0.992, "99.2 %"),
        (0.9999, "99.9 %"),
        (1, "100 %"),
    ],
)
def test_little_is_not_nothing_and_most_is_not_all(fraction: float, text: str) -> None:
    assert plain(percent(fraction)) == text


# -- axes


@pytest.mark.parametrize(
    ("high_s", "unit", "marks"),
    [
        (0.12, "ms", ["0", "20", "40", "60", "80", "100", "120"]),
        (13.5, "s", ["0", "2", "4", "6", "8", "10", "12"]),
        (120, "s", ["0", "20", "40", "60", "80", "100", "120"]),
        (562, "min", ["0", "2", "4", "6", "8"]),
        (86_400, "h", ["0", "6", "12", "18", "24"]),
    ],
)
def test_an_axis_of_time_has_round_marks_in_a_unit_that_fits(high_s: float, unit: str, marks: list[str]) -> None:
    axis = time_axis(high_s)
    assert (axis.unit, [text for _, text in axis.marks]) == (unit, marks)
    assert axis.at(0) == 0
    assert axis.at(high_s) == axis.at(high_s * 2) == 1_000


def test_a_logarithmic_axis_gives_each_ratio_the_same_room() -> None:
    axis = log_time_axis(1.2, 1_000)
    assert (axis.low, axis.high) == (1, 1_000)
    assert axis.at(10) == 333
    assert axis.at(100) == 667
    assert axis.at(0) == 0, "what is before the axis lies at its beginning"
    assert plain(axis.marks[1][1]) == "3 s"


def test_an_axis_of_nothing_can_still_be_drawn() -> None:
    assert time_axis(0).at(0) == 0
    assert log_time_axis(0, 0).at(0.001) == 0
    assert [text for _, text in count_axis(0).marks] == ["0", "1"]


def test_a_count_is_marked_at_whole_numbers() -> None:
    for high in range(1, 1_001):
        values = [value for value, _ in count_axis(high).marks]
        assert values == [round(value) for value in values]
        assert 2 <= len(values) <= 6


# -- paths


def test_a_line_of_steps_keeps_its_value_until_the_next() -> None:
    x, y = time_axis(10), count_axis(10)
    assert step_path([(0, 0), (2, 5), (4, 10)], x, y, 10) == "M0 1000h200v-500h200v-500h600"


def test_steps_too_fine_to_be_seen_cost_nothing() -> None:
    x, y = time_axis(10), count_axis(10)
    fine = [(index / 10_000, 3.0) for index in range(1_000)]
    assert step_path(fine, x, y, 10) == "M0 700h1000"
    assert step_path([], x, y, 10) == ""


def test_an_area_stands_on_the_axis() -> None:
    x, y = time_axis(10), percent_axis()
    assert area_path([(0, 0.5), (5, 1.0)], x, y, 10) == "M0 1000V500h500v-500h500V1000z"


def test_slopes_and_bars_go_where_their_values_are() -> None:
    x, y = time_axis(10), percent_axis()
    assert slope_path([(0, 0), (5, 1), (5, 1), (10, 1)], x, y) == "M0 1000l500 -1000l500 0"
    assert bar_path([0, 5, 10], [0, 0.25], x, y) == "M500 1000v-250h500v250z"
    assert bar_path([0, 10], [0.0001], x, y) == "M0 1000v-1h1000v1z", "what is there is seen"


def test_flags_that_would_meet_stand_in_rows() -> None:
    x = time_axis(100)
    flags = [Flag(2, "1024-bit: 13.3 s"), Flag(20, "2048-bit: 1 min 44 s"), Flag(95, "4096-bit: 8 min 50 s")]
    rows = flag_rows(flags, x)
    assert rows[1] < rows[0], "else the second's line ran through the first's text"
    assert flag_rows([Flag(2, "a"), Flag(95, "b")], x) == [0, 0]
    assert flag_rows([], x) == []


def test_flags_at_one_place_stand_above_one_another() -> None:
    assert sorted(flag_rows([Flag(50, "same")] * 4, time_axis(100))) == [0, 1, 2, 3]


def test_neighbours_are_joined_until_they_fit() -> None:
    starts_s = [float(index) for index in range(10)]
    values = [float(index) for index in range(10)]
    assert coarser(starts_s, values, 8, 4, max) == [(0.0, 1.0), (2.0, 3.0), (4.0, 5.0), (6.0, 7.0)]
    assert coarser(starts_s, values, 3, 4, mean) == [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]
    assert coarser([], [], 3, 4, mean) == []


# -- derived figures


def test_a_mean_counts_what_lies_in_the_span() -> None:
    assert mean_between([0, 1, 2], [1.0, 0.5, 0.0], 0.5, 2, 3) == pytest.approx((0.5 * 1 + 1 * 0.5) / 1.5)
    assert mean_between([0], [0.4], 0, 10, 2) == pytest.approx(0.4)
    assert mean_between([], [], 0, 10, 10) is None


def test_the_load_of_a_storm_is_near_the_time_that_the_cpu_was_busy(result: StormResult) -> None:
    quick = figures_from_result(result)[1]
    assert quick.load_mean is not None
    assert quick.all_s is not None
    assert quick.load_mean * quick.all_s == pytest.approx(quick.setting.busy_s, rel=0.05)
    assert 0.9 < (quick.load_peak or 0) <= 1.0


def test_the_quickest_is_who_had_all_phones_soonest(result: StormResult) -> None:
    everyone = figures_from_result(result)
    assert quickest(everyone) is everyone[0]
    assert quickest(everyone[2:]) is None


def test_attempts_that_came_to_nothing_are_those_without_a_connection(result: StormResult) -> None:
    clean, _, unfinished = figures_from_result(result)
    assert (clean.connected, clean.fruitless, clean.attempts_each) == (50, 0, 1.0)
    assert (unfinished.connected, unfinished.fruitless) == (24, 136)
    assert unfinished.attempts_each == pytest.approx(160 / 24)
    assert unfinished.handshakes_per_minute == pytest.approx(60_000 / 1891.512)


def test_charts_end_soon_after_the_last_registration_unless_something_happens_later(result: StormResult) -> None:
    clean, _, unfinished = figures_from_result(result)
    assert clean.all_s is not None
    assert clean.all_s < clean.shown_s < clean.all_s * 1.1
    assert unfinished.shown_s == unfinished.end_s == 60.0
    dip = (*clean.setting.registered, (20.0, 40), (30.0, 50))
    assert Figures(1, replace(clean.setting, registered=dip)).shown_s == clean.end_s


def test_a_dip_after_all_were_registered_is_told(result: StormResult) -> None:
    clean = figures_from_result(result)[0]
    assert clean.verdict is Verdict.CLEAN
    dip = (*clean.setting.registered, (20.0, 40), (30.0, 50))
    assert Figures(1, replace(clean.setting, registered=dip)).verdict is Verdict.LOST
    assert Figures(1, replace(clean.setting, registered_at_end=49)).lost_at_end == 1


# -- colours

STYLE = (Path(hil.storm.page.__file__).parent / "page.css").read_text()

AS_TEXT = ("text", "muted", "good", "warn", "bad", "s0", "s1", "s2", "s3", "s4", "s5")
AS_SHAPES = ("q0", "q1", "q2", "q3", "k0")


def colours(dark: bool) -> dict[str, str]:
    """The variables of the stylesheet, in the light or in the dark."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    found: dict[str, str] = {}
    for block in blocks[: 2 if dark else 1]:
        found |= dict(re.findall(r"--(\w+): (#[0-9a-f]+);", block))
    return found


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    channels = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_as_the_standard_computes_it() -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [False, True])
def test_words_and_lines_can_be_read_on_their_ground(dark: bool) -> None:
    """4.5 : 1 for text and 3 : 1 for graphics, WCAG 2.2 1.4.3 and 1.4.11."""
    known = colours(dark)
    weak = {name for name in AS_TEXT if contrast(known[name], known["surface"]) < 4.5}
    weak |= {name for name in AS_SHAPES if contrast(known[name], known["surface"]) < 3}
    assert weak == set()
    assert contrast(known["warn"], known["notice"]) >= 4.5
    assert contrast("#fff", known["head"]) >= 4.5
