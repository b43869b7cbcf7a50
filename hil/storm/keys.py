"""The keys of a storm's boards: each from (seed, name, bits), found once, on all cores when there are many to find.

A comparison of several settings so uses the same phones, whatever differs between them. A 4096-bit key takes 0.4 s of
a host's core, a 1024-bit one 8 ms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, NamedTuple

from hil.errors import EnvironmentRefused
from hil.streams import SeededStream
from hil.workers import become_worker

if TYPE_CHECKING:
    from firmware.x509.key import PrivateKey

SECONDS = {1024: 0.008, 2048: 0.045, 4096: 0.4}
"""About what one takes."""

POOL_PAYS_S = 1.0
"""Starting processes and loading the arithmetic in them takes some 0.3 s."""

LOOK_S = 0.2
"""How long is searched, at most, before it is looked whether anybody still wants the keys."""


class KeyName(NamedTuple):
    """Which key."""

    seed: int
    name: str
    bits: int


Keys = dict[KeyName, bytes]
"""PKCS#8 DER, ready to be handed to another process."""


def never() -> bool:
    """Nobody ends it."""
    return False


def find_keys(
    names: Iterable[KeyName], known: Keys, jobs: int | None = None, stopped: Callable[[], bool] = never
) -> None:
    """Adds the keys of these names to ``known``, as far as they are not there; on ``jobs`` cores (default: all).

    Raises:
        KeyboardInterrupt: ``stopped`` said so before all were found.
        EnvironmentRefused: a process that searched was killed.
    """
    missing = [name for name in dict.fromkeys(names) if name not in known]
    missing.sort(key=lambda name: -name.bits)  # the long ones first, so that nobody waits for one at the end
    jobs = os.cpu_count() or 1 if jobs is None else jobs
    if jobs > 1 and sum(SECONDS[name.bits] for name in missing) >= POOL_PAYS_S:
        _find_side_by_side(missing, known, jobs, stopped)
        return
    for name in missing:
        if stopped():
            raise KeyboardInterrupt
        known[name] = _found(name)


def _find_side_by_side(names: Sequence[KeyName], known: Keys, jobs: int, stopped: Callable[[], bool]) -> None:
    with ProcessPoolExecutor(jobs, initializer=become_worker) as pool:
        try:
            waiting = {pool.submit(_found, name): name for name in names}
            while waiting:
                for future in wait(waiting, LOOK_S).done:
                    known[waiting.pop(future)] = future.result()
                if stopped():
                    raise KeyboardInterrupt
        except BrokenProcessPool as error:
            raise EnvironmentRefused("a process that searched for keys was killed, as when memory runs out") from error
        finally:
            pool.shutdown(cancel_futures=True)


def key_from(known: Keys, name: KeyName) -> PrivateKey:
    """One of the keys that were found."""
    from firmware.x509.key import private_key_from_der

    return private_key_from_der(known[name])


def _found(name: KeyName) -> bytes:
    from firmware.x509.keygen import key_search

    search = key_search(name.bits, SeededStream(name.seed, f"storm/{name.name}/{name.bits}"))
    while True:
        try:
            next(search)
        except StopIteration as found:
            key: bytes = found.value.der()
            return key
