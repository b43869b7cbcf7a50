"""``gatebench repeat``: what it prints, writes and ends with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hil.bench import Bench
from hil.cli import main
from hil.record import record_from_file


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A record of two boards, and its digest."""
    path = tmp_path_factory.mktemp("record") / "record.zip"
    with Bench(seed=7, record=path) as bench:
        for card in ("ram", None):
            gateway = bench.gateway(card=card)
            gateway.power_on()
            gateway.console.login()
        bench.run_for(ms=1_000)
        return path, bench.trace.digest()


def test_it_says_that_the_digest_is_as_recorded(recorded: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    path, digest = recorded
    assert main(["repeat", str(path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("repeated ")
    assert first.endswith("seed 7")
    assert second == f"digest {digest}, as recorded"


@pytest.mark.parametrize("until", ["0.5", "event:40", "event 40"])
def test_it_stops_where_it_is_told_to(
    recorded: tuple[Path, str], capsys: pytest.CaptureFixture[str], until: str
) -> None:
    assert main(["repeat", str(recorded[0]), "--until", until]) == 0
    out = capsys.readouterr().out
    assert ", as recorded so far; the record has " in out
    if until == "0.5":
        assert "virtual time 0.500000000 s" in out


@pytest.mark.parametrize("until", ["soon", "-1", "nan", "event:0", "event:x", "event", "1e99", "time:3"])
def test_an_instant_that_is_none_is_wrong_usage(
    recorded: tuple[Path, str], capsys: pytest.CaptureFixture[str], until: str
) -> None:
    assert main(["repeat", str(recorded[0]), f"--until={until}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_consoles_are_shown_board_by_board(recorded: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repeat", str(recorded[0]), "--console"]) == 0
    out = capsys.readouterr().out
    assert out.index("IP800-06-11-ac:\n") < out.index("] login: admin") < out.index("IP800-06-11-ad:\n")


def test_boards_are_saved_and_timelines_written(
    recorded: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--save", str(tmp_path / "box.zip"), "--trace", str(tmp_path / "t.json"), "--vcd", str(tmp_path / "t.vcd")]
    assert main(["repeat", str(recorded[0]), "--until", "0.8", *files]) == 0
    saved = tmp_path / "box-IP800-06-11-ad.zip"
    assert f"saved IP800-06-11-ad: gatebench run --from {saved}" in capsys.readouterr().out
    with Bench(seed=1) as bench:
        gateway = bench.gateway_from(saved)
        gateway.power_on()
        gateway.console.login()
    assert json.loads((tmp_path / "t.json").read_text())
    assert (tmp_path / "t.vcd").read_text().count("$scope module IP800") == 2


def test_a_single_board_is_saved_under_the_name_that_was_given(tmp_path: Path) -> None:
    with Bench(seed=7, record=tmp_path / "record.zip") as bench:
        bench.gateway().power_on()
        bench.run_for(ms=50)
    assert main(["repeat", str(tmp_path / "record.zip"), "--save", str(tmp_path / "box.zip")]) == 0
    assert (tmp_path / "box.zip").exists()


def test_another_run_than_the_recorded_one_is_a_failure_that_names_the_first_difference(
    recorded: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_from_file(recorded[0])
    trace = list(record.trace)
    trace[20] = trace[20].replace("IP800", "IP900")
    replace(record, trace=trace, facts=replace(record.facts, versions={"python": "2.7.18"})).to_file(
        tmp_path / "other.zip"
    )
    assert main(["repeat", str(tmp_path / "other.zip"), "--console"]) == 1
    out, err = capsys.readouterr()
    assert "digest " in out
    assert "another run than the recorded one: expected trace event 21: " in err
    assert "IP900" in err
    assert "perhaps because python is " in err


def test_what_cannot_be_repeated_is_said_in_one_line(
    fake_program: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bench(seed=7, program=fake_program, record=tmp_path / "record.zip") as bench:
        bench.gateway().power_on()
    assert main(["repeat", str(tmp_path / "record.zip")]) == 2
    assert "FakeProgram: repeat it from Python" in capsys.readouterr().err
    (tmp_path / "none.zip").write_bytes(b"no record")
    assert main(["repeat", str(tmp_path / "none.zip")]) == 3
    assert main(["repeat", str(tmp_path / "missing.zip")]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize("option", ["--trace", "--vcd", "--save"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_repeated(
    recorded: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert main(["repeat", str(recorded[0]), option, str(tmp_path)]) == 3
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"gatebench: {option} {tmp_path}: cannot be written: is a directory\n")


def test_the_record_is_not_written_over(recorded: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    content = recorded[0].read_bytes()
    assert main(["repeat", str(recorded[0]), "--save", str(recorded[0])]) == 2
    assert "is the same file as the record" in capsys.readouterr().err
    assert recorded[0].read_bytes() == content
