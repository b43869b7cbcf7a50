"""``gatebench sweep`` from end to end: its options, its exit codes, and what it leaves when it is broken off."""

from __future__ import annotations

import csv
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from board.model import MODELS
from hil.cli import main
from hil.sweep.journal import journal_path

COMMAND = [sys.executable, "-m", "hil", "sweep"]


@pytest.fixture
def run(
    mine: Path, fake_engine: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """``run("mine.py:quick", ...)`` in this process: exit code, output, errors."""
    monkeypatch.setattr("hil.sweep.engine.LocalEngine", lambda jobs: fake_engine())

    def run_(*words: str) -> tuple[int, str, str]:
        code = main(["sweep", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_


def rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def but_for_host_time(path: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "host_s"} for row in rows(path)]


def test_a_sweep_prints_a_table_and_writes_its_file(run: Any) -> None:
    code, out, err = run("mine.py:boot", "--seeds", "0:4", "--models", "ip800,ip232", "--out", "r.csv")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split()[:7] == ["model", "key_bits", "cases", "failed", "errors", "booted_ms", "p90"]
    assert [line.split()[:3] for line in out.splitlines()[1:3]] == [["ip232", "1024", "4"], ["ip800", "1024", "4"]]
    assert "8 cases: 8 ok, 0 failed, 0 errors" in out
    assert out.splitlines()[-1] == "written: r.csv"
    with open("r.csv", newline="") as file:
        assert [row["name"][:5] for row in csv.DictReader(file)] == ["IP232"] * 4 + ["IP800"] * 4


def test_nothing_is_written_unless_asked(run: Any, mine: Path) -> None:
    code, out, _ = run("mine.py:quick", "--seeds", "0:4")
    assert code == 0
    assert "written" not in out
    assert [path.name for path in mine.parent.iterdir() if path.suffix != ".pyc"] == ["mine.py"]


def test_failures_are_exit_code_1_and_their_commands_repeat_them_exactly(run: Any) -> None:
    code, out, _ = run("mine.py:every_third_fails", "--seeds", "0:5", "--models", "ip305", "--out", "r.jsonl")
    assert code == 1
    failed = [row for row in rows("r.jsonl") if row["outcome"] == "failed"]
    assert [row["seed"] for row in failed] == [0, 3]
    for row in failed:
        assert f"  repeat: {row['repeat']}\n" in out
        program, command, *words = shlex.split(row["repeat"])
        assert (program, command) == ("gatebench", "sweep")
        code, again, _ = run(*words, "--out", f"again{row['seed']}.jsonl")
        assert code == 1
        assert "expected 'never said'" in again
        (repeated,) = but_for_host_time(f"again{row['seed']}.jsonl")
        # The others of the first sweep have measured something, so that its rows have more columns.
        assert repeated == {name: row[name] for name in repeated}
        assert len(repeated["digest"]) == 64


def test_a_case_that_takes_too_long_is_an_error(run: Any) -> None:
    Path("hold").touch()
    code, out, _ = run("mine.py:waits", "--seeds", "0:5", "--timeout", "0.05")
    assert code == 1
    assert "5 cases: 4 ok, 0 failed, 1 error" in out
    assert "took longer than 0.05 s at mine.py:" in out


def test_further_axes_reach_the_scenario_as_numbers(run: Any) -> None:
    assert run("mine.py:set_up", "--seeds", "1", "--set", "phones=3,2.5", "--out", "r.jsonl")[0] == 0
    assert [(row["phones"], row["answer"], row["kind"]) for row in rows("r.jsonl")] == [
        (2.5, 5.0, "float"),
        (3.0, 6.0, "int"),
    ]


def test_an_interrupted_sweep_says_how_it_goes_on(
    run: Any, fake_engine: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def submit(self: Any, scenario: Any, cases: Any) -> Any:
        if sum(map(len, self.chunks)) >= 4:
            raise KeyboardInterrupt
        return original(self, scenario, cases)

    original = fake_engine.submit
    with monkeypatch.context() as patch:
        patch.setattr(fake_engine, "submit", submit)
        code, out, err = run("mine.py:quick", "--seeds", "0:200", "--out", "r.jsonl")
        assert code == 1
        done = len(journal_path(Path("r.jsonl")).read_text().splitlines()) - 1
        assert f"interrupted after {done} of 200 cases; what is done is kept: the same command goes on" in err
        assert not Path("r.jsonl").exists()
        _, _, err = run("mine.py:quick", "--seeds", "0:200")
        assert "nothing is kept without --out" in err
    code, out, _ = run("mine.py:quick", "--seeds", "0:200", "--out", "r.jsonl")
    assert code == 0
    assert f"{done} were there before" in out
    assert len(rows("r.jsonl")) == 200


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["certificats"], 2, "scenario 'certificats': must be certificates, storm, or path/to/file.py:function"),
        (["gone.py:quick"], 3, "scenario file gone.py: no such file or directory"),
        (["mine.py:gone"], 2, "there is no function 'gone' in mine.py"),
        (["mine.py:quick", "--seeds", "5:1"], 2, "--seeds 5:1: must be N, FIRST:END"),
        (["mine.py:quick", "--keys", "512"], 2, "--keys 512: must be of 1024, 2048, 4096"),
        (["mine.py:quick", "--models", "ip9"], 2, "ip9"),
        (["mine.py:quick", "--faults", "gone.toml"], 3, "fault plan gone.toml: no such file or directory"),
        (["mine.py:quick", "--jobs", "0"], 2, "'0' is not a number of processes: 1 to 1024"),
        (["mine.py:quick", "--timeout", "0"], 2, "'0' is no time limit: above 0, up to 1000000 s"),
        (["mine.py:quick", "--bogus"], 2, "unrecognized arguments: --bogus (see gatebench sweep mine.py:quick --help)"),
        (["mine.py:quick", "--out", "r.xlsx"], 2, "--out r.xlsx: must end in .parquet, .csv, .jsonl"),
        (["mine.py:quick", "--out", "gone/r.csv"], 3, "there is no folder gone"),
        (["mine.py:quick", "--fresh"], 2, "--fresh and --retry-errors are about the file of --out"),
        (["certificates", "--set", "a=1"], 2, "--set a=1: the scenario certificates has no axes of its own"),
        (["mine.py:quick", "--cluster", "here"], 2, "--cluster here: must be a scheduler's tcp://HOST:PORT, or local"),
        (["mine.py:quick", "--cluster", "tcp://127.0.0.1:1"], 3, "the scheduler does not answer: connection refused"),
    ],
)
def test_bad_input_is_one_line_and_the_right_exit_code(run: Any, words: list[str], code: int, message: str) -> None:
    found, out, err = run(*words)
    assert (found, out) == (code, "")
    assert err.startswith("gatebench: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_missing_extra_is_said_before_the_work_begins(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    code, out, err = run("mine.py:quick", "--out", "r.parquet")
    assert (code, out) == (3, "")
    assert err == ("gatebench: Parquet needs pyarrow: pip install 'gatebench[sweep]', or name a file .csv or .jsonl\n")
    assert not journal_path(Path("r.parquet")).exists()
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "distributed.scheduler", None)
    code, out, err = run("mine.py:quick", "--cluster", "local")
    assert (code, out) == (3, "")
    assert err.startswith("gatebench: --cluster needs Dask: pip install 'gatebench[sweep]'")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["certificates"], ["A box's life with its certificates", "--keys", "--faults"]),
        (["storm"], ["A storm in every setting", "--keys", "--phones", "--arrival"]),
        (["powerloss"], ["Cut every operation", "--boards"]),
        (["mine.py:quick"], ["--set NAME=LIST"]),
        ([], ["FILE.py:FUNCTION", "certificates", "storm", "powerloss"]),
    ],
)
def test_each_scenario_has_help_of_its_own(run: Any, words: list[str], found: list[str]) -> None:
    code, out, _ = run(*words, "--help")
    assert code == 0
    assert [text for text in found if text not in out] == []


def test_the_sweep_of_certificates_is_there_by_name(run: Any) -> None:
    pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    code, out, _ = run("certificates", "--seeds", "1", "--models", "ip232", "--out", "r.parquet")
    assert code == 0
    assert "default_ms" in out
    assert "handshake_cpu_ms" in out


# -- real processes


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_where_it_was(mine: Path) -> None:
    Path("hold").touch()
    words = [*COMMAND, "mine.py:waits", "--seeds", "0:40", "--jobs", "2", "--out", "r.jsonl"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = journal_path(Path("r.jsonl"))
    _until(lambda: journal.exists() and journal.read_bytes().count(b"\n") == 5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("r.jsonl").exists()
    Path("hold").unlink()
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "40 cases: 40 ok, 0 failed, 0 errors; 4 were there before" in done.stdout
    assert done.stderr == ""
    assert [row["x"] for row in rows("r.jsonl")] == list(range(40))


@pytest.mark.slow
def test_processes_give_what_one_process_gives_and_fault_plans_reach_them(run: Any) -> None:
    Path("pull.toml").write_text('[[fault]]\nfault = "pull"\nevent = "read"\n')
    words = ["mine.py:reads_card", "--seeds", "0:4", "--faults", "none,pull.toml", "--set", "phones=1,2"]
    assert run(*words, "--out", "one.jsonl")[0] == 1
    assert subprocess.run([*COMMAND, *words, "--out", "two.jsonl"], capture_output=True, check=False).returncode == 1
    assert but_for_host_time("one.jsonl") == but_for_host_time("two.jsonl")
    found = {(row["faults"], row["seed"]): (row["fired"], row["in"]) for row in rows("two.jsonl")}
    assert found[("none", 1)] == (0, True)
    assert found[("pull.toml", 1)] == (1, False)
    assert found[("pull.toml", 3)] == (None, None), "a failed case has measured nothing"


@pytest.mark.slow
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_on_a_terminal_stops_at_once_and_keeps_what_there_is(mine: Path, signal_: signal.Signals) -> None:
    """Ctrl-C goes to all processes of the terminal, and so does what ``timeout`` sends: none may leave a traceback."""
    Path("hold").touch()
    terminal, inner = pty.openpty()
    lab = (MODELS / "ip800.toml").read_text().replace('"ip800"', '"lab"', 1)
    (mine.parent / "lab.toml").write_text(lab)
    words = [*COMMAND, "mine.py:waits", "--seeds", "0:500", "--models", "lab.toml", "--jobs", "2", "--out", "r.jsonl"]
    temporary = mine.parent / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    process = subprocess.Popen(words, stdin=inner, stdout=inner, stderr=inner, start_new_session=True, env=environment)
    os.close(inner)
    journal = journal_path(Path("r.jsonl"))
    _until(lambda: journal.exists() and journal.read_bytes().count(b"\n") == 6)
    os.killpg(process.pid, signal_)
    said = _all_of(terminal)
    assert process.wait() == 1
    assert "/500 cases, 0 failed, 0 errors" in said
    assert "interrupted after 4 of 500 cases; what is done is kept: the same command goes on" in said
    assert "Traceback" not in said
    assert journal.read_bytes().endswith(b"\n")
    assert list(temporary.iterdir()) == [], "what workers have lying about goes with them"


def _all_of(terminal: int) -> str:
    said = b""
    try:
        while piece := os.read(terminal, 4096):
            said += piece
    except OSError:  # EIO: everybody at the other end has gone
        pass
    os.close(terminal)
    return said.decode()


def _until(look: Callable[[], Any]) -> None:
    """Waits for something that other processes do."""
    ends = time.monotonic() + 60
    while not look():
        assert time.monotonic() < ends, "it did not happen within 60 s"
        time.sleep(0.02)
