"""A Dask cluster: the same tasks, the same results; and what is refused."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from board.model import MODELS
from hil.cli import main
from hil.errors import EnvironmentRefused
from hil.sweep.cluster import ClusterEngine

COMMAND = [sys.executable, "-m", "hil", "sweep"]

PROBE = """
import sys
from hil.errors import EnvironmentRefused
from hil.sweep import cluster

def main():
    cluster.ANSWER_S = 5
    how = sys.argv[1]
    if how == "other code":
        cluster.code_fingerprint = lambda: "other"
    try:
        cluster.ClusterEngine("local", 1)
    except EnvironmentRefused as refusal:
        print(refusal)

if __name__ == "__main__":
    main()
"""


def rows(path: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "host_s"} for row in found]


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n", b"none"])
def test_what_is_no_scheduler_is_told_before_dask_waits_for_it(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=lambda: _say_and_close(server, said))
        answering.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(EnvironmentRefused, match=f"cluster {address}: what answers there is no dask scheduler"):
            ClusterEngine(address)
        answering.join()


def _say_and_close(server: socket.socket, said: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(said)


def test_what_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.sweep.cluster.ANSWER_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(EnvironmentRefused, match=f"cluster {address}: the scheduler does not answer: timed out"):
            ClusterEngine(address)


@pytest.fixture
def dask() -> None:
    """Dask in processes of its own: its threads would outlive a test in this one."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'gatebench[sweep]'")


@pytest.mark.slow
@pytest.mark.usefixtures("dask")
def test_a_cluster_gives_what_this_process_gives_and_survives_its_workers(
    mine: Path, fake_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that kills its worker, one that is wrong, one that fails: all in one sweep, as clusters start slowly."""
    mine.write_text(
        mine.read_text()
        + "\n\ndef all_of_it(case, bench):\n"
        + "    if case.seed == 2:\n        os._exit(9)\n"
        + "    return every_third_fails(case, bench)\n"
    )
    words = ["mine.py:all_of_it", "--seeds", "0:7", "--jobs", "2"]
    # Here in this process: what ends a worker's would end this one.
    monkeypatch.setattr("hil.sweep.engine.LocalEngine", lambda jobs: fake_engine(killers=[2]))
    assert main(["sweep", *words, "--out", "local.jsonl"]) == 1
    done = subprocess.run(
        [*COMMAND, *words, "--cluster", "local", "--out", "dask.jsonl"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "7 cases: 3 ok, 3 failed, 1 error;" in done.stdout
    here, there = rows("local.jsonl"), rows("dask.jsonl")
    killers = [found.pop(2) for found in (here, there)]
    assert here == there
    assert [row["message"] for row in killers] == [
        "its worker died: SIGSEGV",
        "its worker died: and so did each other that the cluster gave it to",
    ]


@pytest.fixture
def elsewhere(tmp_path: Path, dask: None) -> Iterator[str]:
    """A cluster of one worker, whose working directory is empty; gives its address."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    told = tmp_path / "scheduler.json"
    options: Any = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        for part, more in (
            ("scheduler", ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]),
            ("worker", ["--nworkers", "1", "--nthreads", "1", "--no-dashboard"]),
        ):
            words = [sys.executable, "-m", f"distributed.cli.dask_{part}", *more, "--scheduler-file", str(told)]
            process = subprocess.Popen(words, **options)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        ends = time.monotonic() + 60
        while not (told.exists() and told.read_text().endswith("}")):
            assert time.monotonic() < ends, "no scheduler within 60 s"
            time.sleep(0.05)
        yield json.loads(told.read_text())["address"]


@pytest.mark.slow
def test_storms_run_on_workers_that_have_no_model_file(
    mine: Path, elsewhere: str, fake_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = (MODELS / "ip800.toml").read_text().replace('"ip800"', '"lab"', 1).replace("mhz = 200", "mhz = 400")
    (mine.parent / "lab.toml").write_text(lab)
    words = ["storm", "--seeds", "3", "--models", "./lab.toml,ip800", "--phones", "1,2"]
    monkeypatch.setattr("hil.sweep.engine.LocalEngine", lambda jobs: fake_engine())
    assert main(["sweep", *words, "--out", "local.jsonl"]) == 0
    done = subprocess.run(
        [*COMMAND, *words, "--cluster", elsewhere, "--out", "dask.jsonl"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert rows("dask.jsonl") == rows("local.jsonl")
    assert [row["model_sha256"] is None for row in rows("dask.jsonl")] == [False, False, True, True]


@pytest.mark.slow
@pytest.mark.usefixtures("dask")
def test_workers_that_run_other_code_are_refused(tmp_path: Path) -> None:
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE)
    done = subprocess.run([sys.executable, probe, "other code"], capture_output=True, text=True, check=True)
    assert "runs another gatebench than this one, and would give other results" in done.stdout
    assert done.stdout.startswith("cluster local: worker ")
