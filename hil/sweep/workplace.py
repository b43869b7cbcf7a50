"""How workers on this machine begin and end: Ctrl-C is left to us, and what they have lying about goes with the sweep.

A worker may be killed at any moment, by us for one, and then cleans up nothing. So its temporary files are in a folder
of ours, which goes whole.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from hil.errors import EnvironmentRefused, reason_from_oserror
from hil.workers import become_worker

__all__ = ["begin_worker", "ctrl_c_waits", "temporary_folder"]


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for all workers' temporary files. EnvironmentRefused when the host has no room for any."""
    try:
        return tempfile.TemporaryDirectory(prefix="gatebench-sweep-", ignore_cleanup_errors=True)
    except OSError as error:
        raise EnvironmentRefused(f"temporary files of the workers: {reason_from_oserror(error)}") from error


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Ctrl-C comes after the block; a process that is started in it hears of none before it can leave that to us."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker(folder: str) -> None:
    """What a worker begins with, to be called first."""
    become_worker()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    tempfile.tempdir = folder
