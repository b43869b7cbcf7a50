"""Booking the time of devices that hold the CPU: they move its local time on, and charge nothing themselves."""

from __future__ import annotations

from firmware.kernel.budget import CHARGES
from firmware.kernel.scheduler import Kernel

__all__ = ["Booking", "booked"]


class Booking:
    """A block whose time is counted; a class, as every look into flash has one."""

    __slots__ = ("_began_ns", "_kernel", "_kind")

    def __init__(self, kernel: Kernel, kind: str) -> None:
        self._kernel = kernel
        self._kind = kind
        self._began_ns = 0

    def __enter__(self) -> None:
        self._began_ns = self._kernel.cpu.now_ns
        self._kernel.last_charge = self._kind

    def __exit__(self, *_error: object) -> None:
        kernel, kind, began_ns = self._kernel, self._kind, self._began_ns
        cycles = (kernel.cpu.now_ns - began_ns) * kernel.cpu.hz // 1_000_000_000
        kernel.cycles[kind] += cycles
        if kernel.trace is not None:
            task = kernel.current
            kernel.trace(began_ns, CHARGES[kind], task.name if task is not None else "", cycles)


def booked(kernel: Kernel, kind: str) -> Booking:
    """Counts as cycles of ``kind`` the time that passes on the CPU inside the block, which must not await."""
    return Booking(kernel, kind)
