"""A whole sweep, on all cores: cards, flash, and some whole boards."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial

from hil.errors import EnvironmentRefused, RackMisuse
from hil.sweep.powerloss.boards import BOARD_OPERATIONS, run_board_job
from hil.sweep.powerloss.core import authority
from hil.sweep.powerloss.flash import FLASH_MODELS, FLASH_OPERATIONS, run_flash_job
from hil.sweep.powerloss.job import Effort, Job, Tally, jobs, run_job
from hil.sweep.powerloss.models import MODELS
from hil.sweep.powerloss.operations import CA, OPERATIONS
from hil.sweep.powerloss.volumes import VOLUMES
from hil.sweep.workplace import begin_worker, ctrl_c_waits, temporary_folder

__all__ = ["repeat", "sweep"]

Work = Callable[[], Tally]

KILLED = "a process of the sweep was killed, as when memory runs out: nothing was counted"

BOARD_CUTS = 12
"""Whole boards per operation: they boot, make keys and talk, so each takes some tenths of a second."""


def sweep(effort: Effort, seed: int, *, processes: int | None = None, boards: int = BOARD_CUTS) -> Tally:
    """Runs all of it.

    Args:
        processes: how many at once; None takes one per core.
        boards: how many cuts of whole boards per operation.
    """
    work: list[Work] = [partial(run_board_job, name, seed, boards) for name in BOARD_OPERATIONS if boards]
    work += [partial(run_job, job, effort, seed) for job in jobs(effort)]
    work += [partial(run_flash_job, name, model, seed) for name in FLASH_OPERATIONS for model in FLASH_MODELS]
    tally = Tally()
    authority(CA)  # made once, before the processes part
    with _pool(processes) as results:
        for result in results(work):
            tally.add(result)
    tally.failures.sort(key=lambda failure: failure.state)
    return tally


def repeat(state: str, effort: Effort, seed: int) -> Tally:
    """Judges one state again. RackMisuse when there is none of that name."""
    parts = state.partition("+")[0].split("/")
    if parts[0] == "flash" and len(parts) == 5 and parts[1] in FLASH_OPERATIONS and parts[2] in FLASH_MODELS:
        return run_flash_job(parts[1], parts[2], seed, state)
    if parts[0] == "board" and len(parts) == 4 and parts[1] in BOARD_OPERATIONS:
        return run_board_job(parts[1], seed, 1, state)
    volumes, operations = {volume.name for volume in VOLUMES}, {operation.name for operation in OPERATIONS}
    if len(parts) != 5 or parts[0] not in volumes or parts[1] not in operations or parts[2] not in MODELS:
        raise RackMisuse(f"state {state!r}: must be volume/operation/model/cut/variant, as a sweep prints it")
    tally = run_job(Job(parts[0], parts[1], parts[2]), effort, seed, state)
    if not sum(tally.states.values()):
        raise RackMisuse(f"state {state!r}: there is no such cut")
    return tally


def _call(work: Work) -> Tally:
    return work()


@contextmanager
def _pool(processes: int | None) -> Iterator[Callable[[list[Work]], Iterator[Tally]]]:
    count = processes or os.cpu_count() or 1
    if count == 1:
        yield lambda work: map(_call, work)
        return
    # Forked, so that they have the authority's key already.
    context = multiprocessing.get_context("fork")
    others = set(multiprocessing.active_children())
    with temporary_folder() as folder, ProcessPoolExecutor(count, context, begin_worker, (folder,)) as pool:

        def results(work: list[Work]) -> Iterator[Tally]:
            with ctrl_c_waits():
                waiting = [pool.submit(_call, item) for item in work]
            try:
                yield from (done.result() for done in as_completed(waiting))
            except BrokenProcessPool:
                raise EnvironmentRefused(KILLED) from None

        try:
            yield results
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.kill()  # or all that there is left to do would be waited for
            raise
