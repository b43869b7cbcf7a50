"""Workers elsewhere: a Dask cluster, which hands the same tasks to the same function.

On every machine ``pip install gatebench[sweep]`` of the same version, and, one case per process, as each keeps a core
busy::

    dask scheduler                                       # on one; tells its address
    dask worker tcp://10.0.0.1:8786 --nworkers auto --nthreads 1     # on all

A scenario's file, fault plans and model files travel with the tasks: workers need none of them.
"""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from importlib import import_module
from typing import Any

from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror
from hil.sweep.case import Case, Result
from hil.sweep.engine import WorkerDied
from hil.sweep.scenario import Scenario
from hil.sweep.work import code_fingerprint, run_cases

__all__ = ["LOCAL", "ClusterEngine"]

LOCAL = "local"
"""Instead of an address: a cluster of our own on this machine, to try things out."""

LONGEST_GREETING_BYTES = 65_536
"""It is a few hundred: versions and compressions."""

ANSWER_S = 10
"""How long a scheduler, and the first of its workers, may take to answer."""

RECOUNT_S = 5.0
"""How often the workers are counted: each time asks the scheduler."""


class ClusterEngine:
    """A Dask cluster.

    Args:
        address: of its scheduler, for example ``tcp://10.0.0.1:8786``; or ``local``.
        workers: of a cluster of our own; None takes one per core.

    Raises:
        RackMisuse: the address is none.
        EnvironmentRefused: Dask is not installed, nobody answers there, or the workers run other code than we do.
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        _require_address(address)
        distributed = _distributed()
        self.deaths: tuple[type[BaseException], ...] = (distributed.scheduler.KilledWorker,)
        self._address = address
        self._cluster: Any = None
        self._client: Any = None
        self._counted_s = -math.inf
        self._count = 1
        try:
            if address == LOCAL:
                self._cluster = _own_cluster(distributed, workers or os.cpu_count() or 1)
            self._client = _client(distributed, address, self._cluster)
            # Not "pure": a case that is tried again is to run again, not to get the answer that is known.
            self._executor = self._client.get_executor(pure=False)
            self._check_workers()
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """How many there are: they may come and go."""
        now_s = time.monotonic()
        if now_s - self._counted_s > RECOUNT_S:
            self._count, self._counted_s = max(1, len(self._client.nthreads())), now_s
        return self._count

    def submit(self, scenario: Scenario, cases: Sequence[Case]) -> Future[list[Result]]:
        if self._client.status != "running":
            raise EnvironmentRefused(f"cluster {self._address}: the scheduler has gone")
        future: Future[list[Result]] = self._executor.submit(run_cases, scenario, cases)
        return future

    def alone(self, scenario: Scenario, case: Case) -> Result:
        try:
            return self.submit(scenario, [case]).result()[0]
        except self.deaths:
            raise WorkerDied("and so did each other that the cluster gave it to") from None

    def stop(self) -> None:
        """What has not begun is cancelled with the client; what runs ends by itself, and nobody hears of it."""

    def close(self) -> None:
        for part in (self._client, self._cluster):
            if part is not None:
                part.close()
        self._client = self._cluster = None

    def _check_workers(self) -> None:
        """Waits for the first worker, and asks all that are there what code they run."""
        try:
            self._client.wait_for_workers(1, timeout=ANSWER_S)
        except TimeoutError:
            raise EnvironmentRefused(f"cluster {self._address}: no worker within {ANSWER_S} s") from None
        own = code_fingerprint()
        for worker, found in self._client.run(_code_of_worker, on_error="return").items():
            if isinstance(found, BaseException):
                text = f"gatebench cannot be loaded: {type(found).__name__}: {found}"
                raise EnvironmentRefused(f"cluster {self._address}: worker {worker}: {text}")
            if found != own:
                text = "runs another gatebench than this one, and would give other results"
                raise EnvironmentRefused(f"cluster {self._address}: worker {worker} {text}")


def _code_of_worker() -> str:
    return code_fingerprint()


def _require_address(address: str) -> None:
    """Looks at an address before Dask does, which would try for long. A scheduler that is not there is soon known."""
    found = re.fullmatch(r"(?:(tcp|tls|ws|wss)://)?(\[[0-9A-Fa-f:]+\]|[^\s/:]+):([0-9]{1,5})", address)
    if address == LOCAL:
        return
    if found is None:
        raise RackMisuse(f"--cluster {address}: must be a scheduler's tcp://HOST:PORT, or {LOCAL}")
    try:
        with socket.create_connection((found[2].strip("[]"), int(found[3])), timeout=ANSWER_S) as peer:
            if found[1] in (None, "tcp") and not _greets(peer):
                raise EnvironmentRefused(f"cluster {address}: what answers there is no dask scheduler")
    except (OSError, OverflowError) as error:
        reason = reason_from_oserror(error) if isinstance(error, OSError) else str(error)
        raise EnvironmentRefused(f"cluster {address}: the scheduler does not answer: {reason}") from error


def _greets(peer: socket.socket) -> bool:
    """Whether a Dask scheduler's greeting comes, which it sends unasked: its length first, in eight bytes.

    Dask itself takes any eight bytes for that length, and waits without a limit for them and for what follows.
    """
    length = b""
    while len(length) < 8:
        more = peer.recv(8 - len(length))
        if not more:
            return False
        length += more
    return 0 < int.from_bytes(length, "little") <= LONGEST_GREETING_BYTES


def _distributed() -> Any:
    """Dask. Loaded only when a cluster is asked for; it has no types."""
    try:
        import_module("distributed.scheduler")
        return import_module("distributed")
    except ImportError as error:
        text = "--cluster needs Dask: pip install 'gatebench[sweep]'"
        raise EnvironmentRefused(f"{text} ({error.name} is missing)") from error


def _own_cluster(distributed: Any, workers: int) -> Any:
    # Ctrl-C is ours alone: processes that are started while it is ignored go on ignoring it.
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # Dask's own is to give a task that killed its worker to three more; ours tries it once more, alone.
        with import_module("dask").config.set({"distributed.scheduler.allowed-failures": 0}):
            return distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _client(distributed: Any, address: str, cluster: Any) -> Any:
    # A refusal is told in one line of ours; what Dask logs of it besides, each part of it by itself, goes nowhere.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        return distributed.Client(cluster or address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise EnvironmentRefused(f"cluster {address}: the scheduler does not answer: {reason}") from error
