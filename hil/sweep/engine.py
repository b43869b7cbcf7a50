"""Running cases on workers: the loop that hands them out, and the workers on this machine.

::

    cases --chunks--> worker ---+--> results, as they come
                      worker ---+
                      worker  X     died: nobody knows which of the cases in flight it was
                        |
                        +--> every suspect again, one at a time: the one that kills a worker once more is the culprit

A case is tried at most twice, and a worker's death costs one case. On a cluster the same loop hands out the same tasks.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Protocol

from hil.errors import EnvironmentRefused
from hil.sweep.case import Case, Result
from hil.sweep.scenario import Scenario
from hil.sweep.work import run_cases
from hil.sweep.workplace import begin_worker, ctrl_c_waits, temporary_folder
from hil.workers import death_from_codes

__all__ = ["Engine", "LocalEngine", "WorkerDied", "closing", "results"]

AHEAD = 2
"""Chunks in flight per worker: one that runs, and one that waits behind it."""

CHUNK_S = 0.25
"""Host time that a chunk should take: long against handing it over, short against what a broken-off sweep may lose."""

LARGEST_CHUNK = 64

LIFETIME_CASES = 200
"""After so many cases each, workers are replaced: what a case may have left in memory goes with them."""

TICK_S = 1.0
"""How often the loop gives an empty batch while nothing comes: whoever shows progress gets a turn."""


class WorkerDied(Exception):
    """A worker ended in the middle of a case; the text says how."""


class Engine(Protocol):
    """Something with workers.

    Attributes:
        deaths: what ``submit`` or its future raises when a worker died, and whose case it was is not known.
    """

    @property
    def workers(self) -> int: ...

    @property
    def deaths(self) -> tuple[type[BaseException], ...]: ...

    def submit(self, scenario: Scenario, cases: Sequence[Case]) -> Future[list[Result]]:
        """Hands a chunk over. EnvironmentRefused, there or in the future, when there is nobody left to take it."""

    def alone(self, scenario: Scenario, case: Case) -> Result:
        """Runs one case while nothing else runs. WorkerDied when it killed its worker."""

    def stop(self) -> None:
        """Ends what runs, at once: nobody waits for it."""

    def close(self) -> None:
        """Gives the workers back."""


@contextmanager
def closing(engine: Engine) -> Iterator[Engine]:
    """The engine, closed at the end; stopped first where the end is an exception."""
    try:
        yield engine
    except BaseException:
        engine.stop()
        raise
    finally:
        engine.close()


def results(engine: Engine, scenario: Scenario, cases: Iterable[Case]) -> Iterator[list[Result]]:
    """Runs all cases; gives batches of results as they come, now and then an empty one."""
    hand = _Hand(engine, scenario, deque(cases))
    while hand.waiting or hand.running or hand.suspects:
        hand.give()
        for future in wait(hand.running, TICK_S, FIRST_COMPLETED).done if hand.running else ():
            yield hand.take(future)
        if hand.suspects and not hand.running:
            yield [hand.try_alone()]
        else:
            yield []


class _Hand:
    """What waits, what runs, and what was running when a worker died."""

    def __init__(self, engine: Engine, scenario: Scenario, waiting: deque[Case]) -> None:
        self.waiting = waiting
        self.running: dict[Future[list[Result]], list[Case]] = {}
        self.suspects: deque[Case] = deque()
        self._engine = engine
        self._scenario = scenario
        self._case_s = CHUNK_S  # one case per chunk to begin with

    def give(self) -> None:
        """Keeps the workers busy; while there are suspects, only those that are still whole."""
        while self.waiting and len(self.running) < self._engine.workers * AHEAD:
            chunk = [self.waiting.popleft() for _ in range(self._chunk_size())]
            try:
                self.running[self._engine.submit(self._scenario, chunk)] = chunk
            except self._engine.deaths:
                if self.running:
                    self.waiting.extendleft(reversed(chunk))
                else:
                    self.suspects += chunk  # or nobody would ever be tried
                return

    def take(self, future: Future[list[Result]]) -> list[Result]:
        """The results of a chunk that has ended."""
        chunk = self.running.pop(future)
        try:
            batch = future.result()
        except self._engine.deaths:
            self.suspects += chunk
            return []
        except CancelledError:
            raise EnvironmentRefused("the workers have gone, and nobody is left to give cases to") from None
        for result in batch:
            self._case_s = max(1e-4, 0.9 * self._case_s + 0.1 * result.host_s)
        return batch

    def try_alone(self) -> Result:
        case = self.suspects.popleft()
        try:
            return self._engine.alone(self._scenario, case)
        except WorkerDied as death:
            return Result(case, "error", f"its worker died: {death}")

    def _chunk_size(self) -> int:
        """More when cases are quick; towards the end less, so that no worker is left with a long chunk."""
        count = len(self.waiting)
        fair = -(-count // (self._engine.workers * AHEAD))
        return min(count, max(1, min(LARGEST_CHUNK, int(CHUNK_S / self._case_s), fair)))


class LocalEngine:
    """Processes on this machine.

    Args:
        workers: how many; None takes one per core.
    """

    deaths: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._others = set(multiprocessing.active_children())
        self._pool: ProcessPoolExecutor | None = None
        self._lone: ProcessPoolExecutor | None = None
        self._retired: ProcessPoolExecutor | None = None
        self._given = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def submit(self, scenario: Scenario, cases: Sequence[Case]) -> Future[list[Result]]:
        if self._lone is not None:
            self.close()
        if self._given >= LIFETIME_CASES * self.workers:
            self._retire()
        if self._pool is None:
            self._pool = self._new_pool(self.workers)
        self._given += len(cases)
        with ctrl_c_waits():
            return self._pool.submit(run_cases, scenario, cases)

    def alone(self, scenario: Scenario, case: Case) -> Result:
        if self._pool is not None:
            self.close()
        if self._lone is None:
            self._lone = self._new_pool(1)
        with ctrl_c_waits():
            future = self._lone.submit(run_cases, scenario, [case])
        workers = self._processes()
        try:
            return future.result()[0]
        except BrokenProcessPool:
            self.close()
            raise WorkerDied(death_from_codes(process.exitcode for process in workers)) from None

    def stop(self) -> None:
        for process in self._processes():
            process.kill()

    def close(self) -> None:
        for pool in (self._pool, self._lone, self._retired):
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        self._pool = self._lone = self._retired = None
        self._given = 0
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _retire(self) -> None:
        """Lets the workers end when they have done what they were given; the one before has done so long ago."""
        if self._retired is not None:
            self._retired.shutdown()
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        self._pool, self._retired, self._given = None, self._pool, 0

    def _processes(self) -> set[BaseProcess]:
        return set(multiprocessing.active_children()) - self._others

    def _new_pool(self, workers: int) -> ProcessPoolExecutor:
        if self._folder is None:
            self._folder = temporary_folder()
        # Started anew rather than forked: whatever threads and files this process has, no worker inherits them.
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(workers, spawn, begin_worker, (self._folder.name,))
