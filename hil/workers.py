"""Processes that work for this one: they leave Ctrl-C to it, and are gone when it is, however it ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable
from multiprocessing.connection import wait

__all__ = ["become_worker", "death_from_codes"]


def become_worker() -> None:
    """Leaves Ctrl-C to the process that started us, and ends with it; to be called first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def death_from_codes(codes: Iterable[int | None]) -> str:
    """How workers ended, in a few words, from their exit codes: the first that says anything."""
    code = next((code for code in codes if code), 0)
    if not code:
        return "nobody knows how"
    if code > 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, as when memory runs out" if name == "SIGKILL" else name


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
