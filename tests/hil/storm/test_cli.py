"""``gatebench storm`` as a user types it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hil.cli import main
from hil.errors import EnvironmentRefused
from hil.storm.parameters import Parameters
from hil.storm.result import SettingResult
from hil.storm.run import run_storm

FEW = ["storm", "--phones", "2", "--seed", "10", "--jobs", "1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--phones", "0"], "gatebench: phones 0: must be 1 to 1000\n"),
        (["--phones", "many"], "gatebench: argument --phones: 'many' is not a whole number from 0 (see "),
        (["--key", "1024,1000"], "gatebench: key 1000: must be one of 1024, 2048, 4096\n"),
        (
            ["--key", "1024,"],
            "gatebench: argument --key: '1024,': must be values with commas between them",
        ),
        (["--key", "1024,1024"], "gatebench: setting 1024-bit is asked for twice\n"),
        (["--arrival", "later"], "gatebench: arrival 'later': must be at-once, spread:SECONDS or backoff\n"),
        (["--model", "ip9"], "gatebench: no model 'ip9': must be one of"),
        (["--loss", "nan"], "gatebench: argument --loss: 'nan' is not a number from 0"),
        (["--for", "0"], "gatebench: for 0: must be 1 to 86400\n"),
        (["--jobs", "0"], "gatebench: jobs 0: must be 1 to 256\n"),
        (["--key", "1024,2048", "--trace", "t.json"], "gatebench: trace t.json: 2 settings, a timeline holds 1\n"),
    ],
)
def test_a_bad_value_is_one_clear_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["storm", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(message)
    assert said.err.count("\n") == 1


def test_a_file_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FEW, "--json", str(tmp_path / "no" / "report.json")]) == 3
    assert "No such file or directory".lower() in capsys.readouterr().err.lower()


def test_two_keys_are_compared_in_a_table_and_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.json"
    assert main([*FEW, "--key", "1024, 2048", "--json", str(path)]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split()[:3] == ["setting", "50", "%"]
    assert [line.split()[0] for line in lines[1:3]] == ["1024-bit", "2048-bit"]
    assert "2 of 2 registered within" in said.out
    assert said.err == ""  # no terminal, no progress
    report: Any = json.loads(path.read_text())
    assert report["command"] == "gatebench storm --phones 2 --key 1024,2048 --seed 10"
    assert [setting["parameters"]["key"] for setting in report["settings"]] == [1024, 2048]
    assert not report["interrupted"]


def test_the_command_in_a_report_makes_it_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    options = ["--no-mutual", "--mutual", "--arrival", "spread:3", "--latency-ms", "2.5", "--for", "10"]
    assert main([*FEW, *options, "--json", str(first)]) == 0
    report: Any = json.loads(first.read_text())
    assert main([*report["command"].split()[1:], "--json", str(second)]) == 0
    again: Any = json.loads(second.read_text())
    for setting in (*report["settings"], *again["settings"]):
        setting["host_s"] = 0
    assert again == report
    assert len(report["settings"]) == 2


def test_a_setting_that_is_not_over_in_time_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FEW, "--key", "4096", "--for", "2"]) == 0
    said = capsys.readouterr().out
    assert "never" in said
    assert "0 of 2 registered within 2.0 s" in said


def test_a_timeline_is_written(tmp_path: Path) -> None:
    path = tmp_path / "storm.trace.json"
    assert main([*FEW, "--for", "2", "--trace", str(path)]) == 0
    names = {event["args"]["name"] for event in json.loads(path.read_text()) if event.get("name") == "process_name"}
    assert any("registrar" in name for name in names)


def test_ctrl_c_in_a_terminal_ends_all_workers_and_prints_what_there_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hil", "storm", "--phones", "2", "--seed", "10", "--jobs", "2"]
    path = tmp_path / "report.json"
    with subprocess.Popen(
        [*command, "--key", "1024,2048", "--for", "86400", "--json", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's Ctrl-C reaches the whole group of processes, and this is to be the only
    ) as process:
        while len(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()) < 2:
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        said, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (1, "")
    assert "of 2 registered within" in said or "nothing was measured" in said
    assert json.loads(path.read_text())["interrupted"]


def test_one_file_is_not_two_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "report")
    assert main([*FEW, "--json", path, "--html", path]) == 2
    assert capsys.readouterr().err == f"gatebench: --html {path}: is the same file as --json\n"


def test_a_setting_that_fails_does_not_take_the_others_results_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_with_long_keys(label: str, parameters: Parameters, *given: Any, **named: Any) -> SettingResult:
        if parameters.key == 2048:
            raise EnvironmentRefused("no memory")
        return run_storm(label, parameters, *given, **named)

    monkeypatch.setattr("hil.storm.comparison.run_storm", fail_with_long_keys)
    path = tmp_path / "report.json"
    assert main([*FEW, "--key", "1024,2048", "--json", str(path)]) == 3
    said = capsys.readouterr()
    assert said.err == "gatebench: no memory\n"
    assert "1024-bit: 2 of 2 registered" in said.out
    report: Any = json.loads(path.read_text())
    assert ([setting["label"] for setting in report["settings"]], report["interrupted"]) == (["1024-bit"], True)


def test_ctrl_c_while_keys_are_searched_is_heard_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hil", "storm", "--phones", "1000", "--phone-key", "4096", "--jobs", "2"]
    path = tmp_path / "report.json"
    with _started([*command, "--json", str(path)]) as process:
        os.killpg(process.pid, signal.SIGINT)
        said, error = process.communicate(timeout=60)  # all of the keys take minutes
    assert (process.returncode, said, error) == (1, "nothing was measured\n", "")
    assert json.loads(path.read_text())["interrupted"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--phones", "1000", "--phone-key", "4096"], "a process that searched for keys was killed"),
        (["--phones", "2", "--key", "1024,2048", "--for", "86400"], "the process of setting [12] ended in the middle"),
    ],
)
def test_a_worker_that_is_killed_is_one_clear_line(options: list[str], message: str) -> None:
    with _started([sys.executable, "-m", "hil", "storm", *options, "--jobs", "2"]) as process:
        os.kill(_children(process)[0], signal.SIGKILL)
        os.kill(_children(process)[-1], signal.SIGKILL)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 3
    assert re.fullmatch(f"gatebench: {message}.*, as when memory runs out\n", error)


@pytest.mark.parametrize(
    "options",
    [["--phones", "1000", "--phone-key", "4096"], ["--phones", "2", "--key", "1024,2048", "--for", "86400"]],
)
def test_workers_end_when_the_process_that_started_them_is_killed(options: list[str]) -> None:
    with _started([sys.executable, "-m", "hil", "storm", *options, "--jobs", "2"]) as process:
        workers = _children(process)
        process.kill()
        process.communicate(timeout=60)  # both ends of its pipes are the workers', too
    assert len(workers) == 2
    until_s = time.monotonic() + 30
    while any(map(_runs, workers)):  # each has closed its pipes by now, and dies as we look
        assert time.monotonic() < until_s


@contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A storm of its own group of processes that has two workers."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            while len(_children(process)) < 2:
                assert process.poll() is None
            yield process
        finally:
            process.kill()


def _children(process: subprocess.Popen[str]) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def _runs(pid: int) -> bool:
    """Not when it is dead, and nobody has asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
