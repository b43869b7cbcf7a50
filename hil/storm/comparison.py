"""Several settings of a storm, one after the other or side by side in processes of their own.

A worker tells how far it has come over a pipe, and the result comes last. Ctrl-C ends every run within a fifth of a
second of virtual time, and what was measured until then is the result.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event as Ended
from pathlib import Path
from types import FrameType

from hil.errors import DeviceFailure, EnvironmentRefused, RackMisuse
from hil.storm.keys import Keys, find_keys
from hil.storm.parameters import Parameters
from hil.storm.result import SettingResult
from hil.storm.run import Progress, run_storm
from hil.storm.world import key_names
from hil.workers import become_worker, death_from_codes

Settings = Sequence[tuple[str, Parameters]]

Watch = Callable[[int, Progress], None]
"""``watch(index of the setting, how far it has come)``."""

Keep = Callable[[SettingResult], None]
"""Hears each result as soon as there is one: what is kept of a comparison that fails in the middle."""

LOOK_S = 0.2
"""How long is waited for a word of the workers, at most, before Ctrl-C is looked for."""


def watch_nothing(_index: int, _progress: Progress) -> None:
    """Nobody looks."""


def keep_nothing(_result: SettingResult) -> None:
    """All or nothing."""


@dataclass
class Stop:
    """Whether somebody has pressed Ctrl-C. A second time, it is a KeyboardInterrupt."""

    asked: bool = False


@contextmanager
def ending_on_interrupt() -> Iterator[Stop]:
    """Ctrl-C inside the block only asks for the end."""
    stop = Stop()

    def interrupted(_signal: int, _frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def compare(
    settings: Settings,
    seed: int,
    *,
    jobs: int = 1,
    watch: Watch = watch_nothing,
    keep: Keep = keep_nothing,
    trace: Path | None = None,
) -> list[SettingResult]:
    """The results of these settings, in their order; after Ctrl-C of those that were begun.

    Raises:
        RackMisuse: there is no such model.
        EnvironmentRefused: the timeline cannot be written, or a process was killed.
        DeviceFailure: as ``run_storm`` has it.
    """
    with ending_on_interrupt() as stop:
        keys: Keys = {}
        names = (name for _, parameters in settings for name in key_names(parameters, seed))
        try:
            find_keys(names, keys, jobs, lambda: stop.asked)
        except KeyboardInterrupt:
            return []  # before anything was begun
        if jobs > 1 and len(settings) > 1:
            return _side_by_side(settings, seed, keys, jobs, watch, keep, stop)
        return _in_turn(settings, seed, keys, watch, keep, stop, trace)


def _in_turn(
    settings: Settings, seed: int, keys: Keys, watch: Watch, keep: Keep, stop: Stop, trace: Path | None
) -> list[SettingResult]:
    results = []
    for index, (label, parameters) in enumerate(settings):
        if stop.asked:
            break

        def tell(progress: Progress, index: int = index) -> bool:
            watch(index, progress)
            return not stop.asked

        try:
            results.append(run_storm(label, parameters, seed, keys, tell, trace=trace))
        except KeyboardInterrupt:
            break  # before anything was measured
        keep(results[-1])
    return results


@dataclass
class _Workers:
    """Processes at work, by the pipe that they speak through."""

    running: dict[Connection, tuple[int, BaseProcess]] = field(default_factory=dict)
    results: dict[int, SettingResult] = field(default_factory=dict)
    error: BaseException | None = None


def _side_by_side(
    settings: Settings, seed: int, keys: Keys, jobs: int, watch: Watch, keep: Keep, stop: Stop
) -> list[SettingResult]:
    # Forked where that is to be had: a worker begins with everything loaded.
    context = get_context("fork") if sys.platform == "linux" else get_context("spawn")
    ended = context.Event()
    workers = _Workers()
    todo = list(enumerate(settings))
    try:
        while workers.running or (todo and not stop.asked and workers.error is None):
            while todo and len(workers.running) < jobs and not stop.asked and workers.error is None:
                index, (label, parameters) = todo.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                needed = {name: keys[name] for name in key_names(parameters, seed)}
                process: BaseProcess = context.Process(
                    target=_work, args=(theirs, label, parameters, seed, needed, ended)
                )
                process.start()
                theirs.close()
                workers.running[ours] = index, process
            if stop.asked:
                ended.set()
            for pipe in wait(list(workers.running), LOOK_S):
                assert isinstance(pipe, Connection)
                _hear(workers, pipe, watch, keep)
    finally:
        for _, process in workers.running.values():
            process.terminate()
            process.join()
    if workers.error is not None:
        raise workers.error
    return [workers.results[index] for index in sorted(workers.results)]


def _hear(workers: _Workers, pipe: Connection, watch: Watch, keep: Keep) -> None:
    """Takes one word of a worker."""
    index, process = workers.running[pipe]
    try:
        said = pipe.recv()
    except EOFError:
        del workers.running[pipe]
        process.join()
        if process.exitcode and workers.error is None:
            death = death_from_codes([process.exitcode])
            workers.error = EnvironmentRefused(f"the process of setting {index + 1} ended in the middle: {death}")
        return
    if isinstance(said, Progress):
        watch(index, said)
    elif isinstance(said, SettingResult):
        workers.results[index] = said
        keep(said)
    elif workers.error is None:
        workers.error = said() if isinstance(said, partial) else said


def _work(pipe: Connection, label: str, parameters: Parameters, seed: int, keys: Keys, ended: Ended) -> None:
    """What a worker does. A terminal's Ctrl-C reaches it, too, but it heeds its parent's word alone."""
    become_worker()

    def tell(progress: Progress) -> bool:
        pipe.send(progress)
        return not ended.is_set()

    try:
        pipe.send(run_storm(label, parameters, seed, keys, tell))
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # before anything was measured; or nobody listens any more
    except DeviceFailure as failure:
        # It cannot travel as it is: its constructor takes other arguments than an exception keeps.
        pipe.send(partial(DeviceFailure, failure.expected, failure.got, time_ns=failure.time_ns, seed=seed))
    except (RackMisuse, EnvironmentRefused) as error:
        pipe.send(error)
    pipe.close()
