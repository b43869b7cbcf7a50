"""A scenario file of a user's, and workers that are none: the loop, the journal and the columns without processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from hil.errors import EnvironmentRefused
from hil.sweep.case import Case, Result
from hil.sweep.engine import WorkerDied
from hil.sweep.scenario import Scenario
from hil.sweep.work import run_cases

MINE = '''"""Scenarios of a user."""

import os
import signal
import time


def boot(case, bench):
    gateway = bench.gateway(case.model)
    gateway.power_on()
    gateway.console.login()
    drawn = int.from_bytes(bench.streams("mine").randbytes(2), "big")
    return {"booted_ms": bench.now_ns / 1e6, "drawn": drawn, "odd": case.seed % 2 == 1, "name": gateway.netbios}


def reads_card(case, bench):
    gateway = bench.gateway(case.model, card="ram")
    gateway.power_on()
    gateway.console.login()
    gateway.console.run("card info", check=False)
    assert case.seed % 3, "every third"
    return {"fired": len(gateway.faults.fired), "in": gateway.card is not None}


def set_up(case, bench):
    return {"answer": case["phones"] * 2, "kind": type(case["phones"]).__name__}


def every_third_fails(case, bench):
    values = boot(case, bench)
    if case.seed % 3 == 0:
        bench.gateways[0].console.expect("never said", timeout_ms=case.seed + 1)
    return values


def third_is_wrong(case, bench):
    if case.seed == 3:
        raise LookupError("nobody wrote this")
    return {"seed_again": case.seed}


def dies(case, bench):
    if case.seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if case.seed == 5:
        os._exit(7)
    return {"x": case.seed}


def waits(case, bench):
    while case.seed >= 4 and os.path.exists("hold"):
        time.sleep(0.01)
    return {"x": case.seed}


def quick(case, bench):
    return {"x": case.seed}
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``mine.py`` in the working directory, which is the test's own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


class FakeEngine:
    """One worker in this process, which runs a chunk while it is handed over.

    Not modelled: processes. Seeds in ``killers`` end the worker of theirs; so does, once, whatever is in flight beside
    them. After ``lasts`` cases the cluster has gone.
    """

    deaths = (BrokenPipeError,)

    def __init__(self, killers: Sequence[int] = (), *, lasts: int = 1 << 30) -> None:
        self.workers = 1
        self.killers = set(killers)
        self.broken = False
        self.chunks: list[list[int]] = []
        self.tried_alone: list[int] = []
        self.stopped = self.closed = False
        self.lasts = lasts

    def submit(self, scenario: Scenario, cases: Sequence[Case]) -> Future[list[Result]]:
        future: Future[list[Result]] = Future()
        seeds = [case.seed for case in cases]
        if self.broken:
            raise BrokenPipeError
        if self.lasts <= 0:
            raise EnvironmentRefused("the cluster has gone")
        self.lasts -= len(cases)
        self.chunks.append(seeds)
        if self.killers.intersection(seeds):
            self.broken = True
            future.set_exception(BrokenPipeError())
        else:
            future.set_result(run_cases(scenario, cases))
        return future

    def alone(self, scenario: Scenario, case: Case) -> Result:
        self.broken = False
        self.tried_alone.append(case.seed)
        if case.seed in self.killers:
            raise WorkerDied("SIGSEGV")
        return run_cases(scenario, [case])[0]

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def fake_engine() -> type[FakeEngine]:
    return FakeEngine


@pytest.fixture
def make_results() -> Callable[..., list[Result]]:
    """``make({"x": 1}, {"x": 2}, ...)``: a result per mapping of values, with seeds from 0 on."""

    def make(*values: dict[str, int | float | str | bool], model: str = "ip800") -> list[Result]:
        return [
            Result(Case("mine.py:quick", seed, model), "ok", virtual_ms=1.5, host_s=0.25, digest="d", values=row)
            for seed, row in enumerate(values)
        ]

    return make
