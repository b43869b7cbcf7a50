"""What a worker does: runs cases, and makes a result of whatever happens."""

from __future__ import annotations

import math
import os
import re
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from hil.errors import RackMisuse
from hil.sweep.case import Case, CaseBench, Measured, Outcome, Result, Value
from hil.sweep.models import case_here
from hil.sweep.scenario import Scenario

__all__ = ["RESERVED", "code_fingerprint", "run_case", "run_cases"]

RESERVED = frozenset(
    (
        *("scenario", "seed", "model", "key_bits", "hash", "faults"),
        *("outcome", "message", "virtual_ms", "host_s", "digest", "repeat"),
        "model_sha256",
    )
)
"""Columns that every sweep has, or may have."""

MESSAGE_CHARACTERS = 4_000
"""A failure quotes the console and the trace; of a scenario's own message no more is kept."""

RING_AGAIN_S = 5.0

_one_at_a_time = threading.Lock()
"""A cluster's worker may run tasks in several threads; two worlds in one process would only wait for one another."""


def run_cases(scenario: Scenario, cases: Sequence[Case]) -> list[Result]:
    """Runs cases, one after the other."""
    with _one_at_a_time:
        return [run_case(scenario, case) for case in cases]


def run_case(scenario: Scenario, case: Case) -> Result:
    """Runs one case in a world of its own. Only KeyboardInterrupt gets out."""
    began = time.perf_counter()
    bench = CaseBench(case)
    values: Mapping[str, Value] = {}
    outcome: Outcome = "ok"
    message = ""
    digest, now_ns = "", 0
    try:
        with bench, _limited(scenario.limit_s):
            try:
                found = scenario.function(case_here(case), bench)
                own = found if isinstance(found, Measured) else None
                values = _checked(found if own is None else own.values, case)
                if not bench.plan_was_applied:
                    raise RackMisuse(f"fault plan {case.faults} was not applied: the scenario made no gateway")
            finally:
                digest, now_ns = bench.trace.digest(), bench.now_ns
        if own is not None:
            digest, now_ns = own.digest, own.now_ns
            outcome, message = ("failed", own.failure) if own.failure else ("ok", "")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome, message = _judged(error)
        if not bench.gateways:
            digest, now_ns = "", 0  # nothing happened there: it broke off before, or in a world of its own
    return Result(
        case.told,
        outcome,
        message[:MESSAGE_CHARACTERS],
        now_ns / 1e6,
        round(time.perf_counter() - began, 4),
        digest,
        dict(values),
    )


class TooLong(BaseException):
    """A case has taken more host time than it may. Nothing in a scenario or in the firmware catches it."""


@contextmanager
def _limited(limit_s: float | None) -> Iterator[None]:
    """Within, TooLong is raised when the time is over, wherever the case is; and again, should that be swallowed."""
    if limit_s is None:
        yield
    elif threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        # A cluster's worker: nobody can interrupt a thread, but it can take its process with it.
        timer = threading.Timer(limit_s, os._exit, (1,))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
    else:
        running = True

        def ring(number: int, frame: FrameType | None) -> None:
            if running:
                where = "" if frame is None else f" at {frame.f_code.co_filename}:{frame.f_lineno}"
                raise TooLong(f"took longer than {limit_s:g} s{where}")

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, limit_s, RING_AGAIN_S)
        try:
            yield
        finally:
            running = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _judged(error: BaseException) -> tuple[Outcome, str]:
    """Whose fault it is, and what is said of it."""
    text = str(error)
    if isinstance(error, AssertionError):
        return "failed", text or f"assertion failed at {_place(error)}"
    if isinstance(error, (RackMisuse, TooLong)):
        return "error", text
    return "error", f"{type(error).__name__}: {text} ({_place(error)})"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"


def _checked(values: object, case: Case) -> Mapping[str, Value]:
    """What a scenario gave, if it fits into a table. RackMisuse when it does not."""
    if not isinstance(values, Mapping):
        raise RackMisuse(f"the scenario gave {type(values).__name__}: must be a mapping of names to values")
    taken = RESERVED | dict(case.extra).keys()
    for name, value in values.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
            raise RackMisuse(f"value {name!r}: must be named with letters, digits and underscores, at most 64")
        if name in taken:
            raise RackMisuse(f"value {name!r}: every row has a column of that name already")
        if type(value) not in (int, float, str, bool):
            raise RackMisuse(f"value {name!r} is of type {type(value).__name__}: must be int, float, str or bool")
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise RackMisuse(f"value {name!r} is an integer of {value.bit_length()} bits: must fit into 64")
        if isinstance(value, float) and not math.isfinite(value):
            raise RackMisuse(f"value {name!r} is {value}: leave it out instead")
    return values


def code_fingerprint() -> str:
    """Of the programs and data files of gatebench as they are installed here: other code, other results."""
    import hashlib
    from importlib.util import find_spec
    from pathlib import Path

    whole = hashlib.sha256()
    for package in ("board", "cfcard", "firmware", "hil"):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations if spec is not None else None) or ():
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
                    whole.update(f"{package}/{path.relative_to(folder).as_posix()}\0".encode())
                    whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
