"""``gatebench run --trace --vcd``: files of a paced run, also of one that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from vcd.reader import tokenize

RUN = (sys.executable, "-m", "hil", "run", "--console", "none", "--https", "0", "--http", "0", "--sips", "0")

PATIENCE_S = 20.0


def test_a_run_leaves_both_files_whole(tmp_path: Path) -> None:
    trace, vcd = tmp_path / "t.json", tmp_path / "t.vcd"
    done = subprocess.run(
        [*RUN, "--seed", "1", "--for", "2", "--speed", "max", "--trace", str(trace), "--vcd", str(vcd)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    events = json.loads(trace.read_text())
    assert any(event["ph"] == "X" and "firmware" in event["name"] for event in events), "the console's banner"
    assert events[-1]["ph"] in "EC"
    with vcd.open("rb") as file:
        assert len(list(tokenize(file))) > 30


def test_a_run_that_is_killed_has_written_what_was_there_a_second_ago(tmp_path: Path) -> None:
    trace, vcd = tmp_path / "t.json", tmp_path / "t.vcd"
    command = [*RUN, "--seed", "1", "--trace", str(trace), "--vcd", str(vcd)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (trace.exists() and trace.stat().st_size > 1_000 and vcd.exists() and vcd.stat().st_size > 500):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    text = trace.read_text()
    assert not text.endswith("]\n")
    assert any(event["name"] == "on" for event in json.loads(text + "]") if event["ph"] == "B"), "power"
    with vcd.open("rb") as file:
        assert len(list(tokenize(file))) > 30


def test_a_file_that_cannot_be_written_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    done = subprocess.run(
        [*RUN, "--for", "1", "--trace", str(tmp_path / "no" / "t.json")], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 3
    assert done.stderr.decode().splitlines() == [
        f"gatebench: --trace {tmp_path}/no/t.json: cannot be written: no such file or directory"
    ]
