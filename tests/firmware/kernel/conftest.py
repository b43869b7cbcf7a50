"""A CPU on a virtual clock with a kernel on it, and nothing else: the smallest machine that tasks can live in."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from board.clock import Alarm, VirtualClock
from board.cpu import Cpu
from firmware.kernel import Kernel, Priority, Share, Task

MS = 1_000_000


class Machine:
    """Calls the kernel as a board does: when it wants to be called, and after interrupts.

    Not modelled: every part of a board but its CPU.
    """

    def __init__(self, hz: int = 1_000_000_000, switch_cycles: int = 0, clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock()
        self.cpu = Cpu(self.clock, hz)
        self.trace: list[tuple[int, str, str, int | str]] = []
        self.kernel = Kernel(self.cpu, self._record, switch_cycles)
        self.seen: list[Any] = []
        self._alarm: Alarm | None = None
        self._running = False
        self.cpu.on_interrupt(self.wake)
        self.wake()

    def spawn(
        self,
        coro: Coroutine[Any, None, Any],
        name: str = "task",
        priority: Priority = Priority.SERVICE,
        share: Share | None = None,
    ) -> Task:
        task = self.kernel.spawn(coro, name, priority, share)
        self.wake()
        return task

    def at_ms(self, when_ms: float, action: Callable[[], object]) -> None:
        """Lets something happen in interrupt context."""

        def happen() -> None:
            action()
            self.wake()

        self.clock.at(round(when_ms * MS), happen)

    def run_ms(self, duration_ms: float) -> None:
        self.clock.run_for(round(duration_ms * MS))

    def note(self, what: object) -> None:
        """Keeps what a task says, with local time in ms."""
        self.seen.append((self.cpu.now_ns / MS, what))

    def wake(self) -> None:
        if not self._running:
            self._call_at(max(self.clock.now_ns, self.cpu.now_ns))

    def _call_at(self, when_ns: int) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.clock.at(when_ns, self._run)

    def _run(self) -> None:
        self._alarm = None
        self.cpu.now_ns = max(self.cpu.now_ns, self.clock.now_ns)
        self._running = True
        try:
            wake_ns = self.kernel.run()
        finally:
            self._running = False
        if wake_ns is not None:
            self._call_at(wake_ns)

    def _record(self, now_ns: int, kind: str, name: str, value: int | str) -> None:
        self.trace.append((now_ns, kind, name, value))


@pytest.fixture
def new_machine() -> Callable[..., Machine]:
    """Makes machines: ``new_machine(hz, switch_cycles, clock)``. By default a cycle is 1 ns and a dispatch is free."""
    return Machine


@pytest.fixture
def machine() -> Machine:
    """A machine on which a cycle is 1 ns and a dispatch is free, so that times in tests are round."""
    return Machine()


@pytest.fixture(scope="session")
def new_machine_of() -> Callable[..., Machine]:
    """The same as ``new_machine``, for property tests, which share their fixtures between examples."""
    return Machine
