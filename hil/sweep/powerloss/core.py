"""The firmware's own coroutines on the smallest machine that runs them: a CPU that only counts, and no board.

Not modelled: whatever is not a card; a sweep of whole boards is in ``boards``.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, TypeVar

from firmware.kernel import Kernel
from firmware.rootca import files
from firmware.x509.builder import root_certificate
from firmware.x509.certificate import Certificate
from firmware.x509.key import PrivateKey
from firmware.x509.keygen import key_search
from firmware.x509.name import DistinguishedName
from firmware.x509.order import CertificateOrder
from hil.streams import SeededStream

__all__ = ["NOW_S", "authority", "finish", "new_kernel", "reading_once"]

Result = TypeVar("Result")

NOW_S = 1_767_225_600
"""2026-01-01."""

HZ = 200_000_000


class _World:
    """Not modelled: anything happening there."""

    horizon_ns = 1 << 62


class CountingCpu:
    """A CPU at 200 MHz whose time is what it was charged."""

    hz = HZ

    def __init__(self) -> None:
        self.now_ns = 0
        self.world = _World()

    def spend(self, cycles: int) -> None:
        self.now_ns += cycles * 1_000_000_000 // HZ


def new_kernel() -> Kernel:
    """A kernel with nothing to do."""
    return Kernel(CountingCpu())


def finish(kernel: Kernel, work: Coroutine[Any, None, Result]) -> Result:
    """Runs one coroutine to its end. Gives what it returned, or raises what it raised."""
    task = kernel.spawn(work, name="sweep")
    while not task.done:
        kernel.run()
    if task.error is not None:
        raise task.error
    result: Result = task.result
    return result


@contextmanager
def reading_once() -> Iterator[None]:
    """Within, the same bytes are parsed once: of a hundred thousand cards most hold the same key and certificate."""
    names = ("certificates_from_pem", "private_key_from_file")
    parsers = {name: getattr(files, name) for name in names}
    for name, parser in parsers.items():
        setattr(files, name, lru_cache(maxsize=64)(parser))
    try:
        yield
    finally:
        for name, parser in parsers.items():
            setattr(files, name, parser)


@cache
def authority(name: str) -> tuple[Certificate, PrivateKey]:
    """A root CA with a 1024-bit key; the same name, the same one, and nobody's secret."""
    stream = SeededStream(0, f"sweep/{name}")
    search = key_search(1024, stream)
    while True:
        try:
            next(search)
        except StopIteration as found:
            key: PrivateKey = found.value
            break
    order = CertificateOrder(DistinguishedName(common_name=name), 1024, "sha256", 10)
    return root_certificate(order, key, NOW_S, stream), key
