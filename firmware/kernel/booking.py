"""Booking the time of devices that hold the CPU: they move its local time on, and charge nothing themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from firmware.kernel.scheduler import Kernel


@contextmanager
def booked(kernel: Kernel, kind: str) -> Iterator[None]:
    """Counts as cycles of ``kind`` the time that passes on the CPU inside the block, which must not await."""
    cpu = kernel.cpu
    began_ns = cpu.now_ns
    kernel.last_charge = kind
    try:
        yield
    finally:
        cycles = (cpu.now_ns - began_ns) * cpu.hz // 1_000_000_000
        kernel.cycles[kind] += cycles
        if kernel.trace is not None:
            task = kernel.current
            kernel.trace(began_ns, f"charge:{kind}", task.name if task is not None else "", cycles)
