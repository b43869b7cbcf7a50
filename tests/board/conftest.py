"""A clock, a CPU on it, and a trace: what a peripheral is built upon."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from board.clock import VirtualClock
from board.cpu import Cpu
from board.trace import BoardTrace, Trace


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def cpu(clock: VirtualClock) -> Cpu:
    """200 MHz: 5 ns a cycle."""
    return Cpu(clock, 200_000_000)


@pytest.fixture
def run_until(clock: VirtualClock, cpu: Cpu) -> Callable[[int], None]:
    """Lets the world run to a time, with a CPU that idles meanwhile."""

    def run(when_ns: int) -> None:
        clock.run_until(when_ns)
        cpu.now_ns = max(cpu.now_ns, clock.now_ns)

    return run


@pytest.fixture
def events() -> Trace:
    return Trace()


@pytest.fixture
def trace(events: Trace) -> BoardTrace:
    return events.for_board("b1")
