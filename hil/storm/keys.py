"""The keys of a storm's boards: each from (seed, name, bits), found once, on all cores when there are many to find.

A comparison of several settings so uses the same phones, whatever differs between them. A 4096-bit key takes 0.4 s of
a host's core, a 1024-bit one 8 ms.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from hil.streams import SeededStream

if TYPE_CHECKING:
    from firmware.x509.key import PrivateKey

SECONDS = {1024: 0.008, 2048: 0.045, 4096: 0.4}
"""About what one takes."""

POOL_PAYS_S = 1.0
"""Starting processes and loading the arithmetic in them takes some 0.3 s."""


class KeyName(NamedTuple):
    """Which key."""

    seed: int
    name: str
    bits: int


Keys = dict[KeyName, bytes]
"""PKCS#8 DER, ready to be handed to another process."""


def find_keys(names: Iterable[KeyName], known: Keys, jobs: int | None = None) -> None:
    """Adds the keys of these names to ``known``, as far as they are not there; on ``jobs`` cores (default: all)."""
    missing = [name for name in dict.fromkeys(names) if name not in known]
    missing.sort(key=lambda name: -name.bits)  # the long ones first, so that nobody waits for one at the end
    jobs = os.cpu_count() or 1 if jobs is None else jobs
    if jobs < 2 or sum(SECONDS[name.bits] for name in missing) < POOL_PAYS_S:
        known.update((name, _found(name)) for name in missing)
        return
    with ProcessPoolExecutor(jobs) as pool:
        known.update(zip(missing, pool.map(_found, missing, chunksize=4), strict=True))


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
