"""What a sweep says: the line while it runs, the table, and the failures with their commands."""

from __future__ import annotations

import io
from typing import Any

import pytest

from hil.sweep import summary
from hil.sweep.case import Case, Result
from hil.sweep.summary import Progress, counts_text, failures_text, table_text


class FakeTerminal(io.StringIO):
    """A stream that says that it is a terminal. Not modelled: what a terminal does."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now_s = [100.0]
    monkeypatch.setattr(summary.time, "monotonic", lambda: now_s[0])
    return now_s


def test_the_line_counts_and_estimates(make_results: Any, clock: list[float]) -> None:
    stream = FakeTerminal()
    progress = Progress(stream, 30, kept=10)
    clock[0] += 5
    progress.add([*make_results({}, {}, {}, {}), Result(Case("s", 1), "failed"), Result(Case("s", 2), "error")])
    assert stream.getvalue().endswith("16/40 cases, 1 failed, 1 error, 1.2/s, 20 s left")
    progress.end()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_the_line_is_not_drawn_more_often_than_it_can_be_read(make_results: Any, clock: list[float]) -> None:
    stream = FakeTerminal()
    progress = Progress(stream, 3, kept=0)
    for _ in range(3):
        progress.add(make_results({}))
    assert [line.partition(" ")[0] for line in stream.getvalue().split("\r\x1b[K")[1:]] == ["1/3", "3/3"]


def test_nothing_is_drawn_where_nobody_looks(make_results: Any) -> None:
    stream = io.StringIO()
    progress = Progress(stream, 3, kept=0)
    progress.add(make_results({}))
    progress.end()
    assert stream.getvalue() == ""


def test_the_table_has_median_and_90th_percentile_per_model_and_key(make_results: Any) -> None:
    results = make_results(*({"ms": value, "n": value, "b": True, "t": "x"} for value in range(1, 11)))
    results += make_results({"ms": 0.25}, {}, model="ip305")
    results.append(Result(Case("mine.py:quick", 99, "ip305"), "failed"))
    assert table_text(results, ()).splitlines() == [
        "model  key_bits  cases  failed  errors   ms  p90  n  p90",
        "ip305  1024          3       1       0  0.2  0.2  -    -",
        "ip800  1024         10       0       0    5    9  5    9",
    ]


def test_the_table_shows_the_measures_that_the_scenario_names(make_results: Any) -> None:
    text = table_text(make_results({"a": 1, "b": 12_345.678}), ("b", "not_there"))
    assert text.splitlines()[0].split() == ["model", "key_bits", "cases", "failed", "errors", "b", "p90"]
    assert text.splitlines()[1].split()[-1] == "12,345.7"


def test_an_axis_with_several_values_has_a_column_of_its_own() -> None:
    results = [
        Result(Case("s", seed, hash=hash_, faults=plan, extra=(("phones", "10"),)), "ok")
        for seed in range(2)
        for hash_, plan in (("SHA1", "none"), ("SHA256", "a.toml"))
    ]
    assert table_text(results, ()).splitlines()[0].split()[:4] == ["model", "key_bits", "hash", "faults"]
    assert len(table_text(results, ()).splitlines()) == 3


def test_failures_that_say_the_same_stand_together_each_with_its_command() -> None:
    results = [Result(Case("s", seed), "failed", f"expected a\ngot b\nvirtual time: {seed} s") for seed in range(3)]
    results += [Result(Case("s", 9), "error", "ValueError: x"), Result(Case("s", 10), "ok")]
    assert failures_text(results).splitlines() == [
        "failed: 3 cases",
        "    expected a",
        "    got b",
        *(f"  repeat: {Case('s', seed).repeat}" for seed in range(3)),
        "error: 1 case",
        "    ValueError: x",
        f"  repeat: {Case('s', 9).repeat}",
    ]


def test_the_whole_message_is_told_when_there_is_one_failure() -> None:
    text = failures_text([Result(Case("s", 1), "failed", "one\ntwo\nthree\nfour")])
    assert text.splitlines()[1:5] == ["    one", "    two", "    three", "    four"]


def test_a_long_list_of_failures_ends_with_how_many_there_are_more() -> None:
    same = failures_text([Result(Case("s", seed), "failed", "x") for seed in range(25)])
    assert same.splitlines()[-1] == "  and 5 more"
    kinds = failures_text([Result(Case("s", seed), "failed", f"x {seed}") for seed in range(25)])
    assert kinds.splitlines()[-1] == "and 5 failures of other kinds"


def test_no_failure_is_nothing_to_say(make_results: Any) -> None:
    assert failures_text(make_results({})) == ""


def test_the_last_line_tells_what_was_there_before(make_results: Any) -> None:
    results = make_results({}, {}, {}, {})
    assert counts_text(results, 4, 2.0) == "4 cases: 4 ok, 0 failed, 0 errors; 2.0 s, 2.0 cases/s"
    assert counts_text(results, 1, 2.0).endswith("; 3 were there before; 2.0 s, 0.5 cases/s")
    assert counts_text(results, 0, 2.0).endswith("; 4 were there before")


@pytest.mark.parametrize(("seconds", "text"), [(5.4, "5 s"), (89, "89 s"), (150, "2 min"), (7_200, "2.0 h")])
def test_an_estimate_is_as_coarse_as_it_is_uncertain(seconds: float, text: str) -> None:
    assert summary._duration(seconds) == text
