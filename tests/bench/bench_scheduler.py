"""The kernel against asyncio, trio and SimPy: the same number of tasks and switches, in one process, in turn.

Run it: ``python tests/bench/bench_scheduler.py``. Medians of interleaved rounds; the ratios are what counts.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable

from board.clock import FOREVER_NS
from firmware.kernel import Event, Kernel

TASKS = 100
SWITCHES = 200_000
ROUNDS = 5


class FakeWorld:
    """A world in which nothing happens."""

    def __init__(self) -> None:
        self.horizon_ns = FOREVER_NS


class FakeCpu:
    """A CPU without watchdog or neighbours, with the arithmetic of the real one.

    Not modelled: everything else of a board.
    """

    def __init__(self) -> None:
        self.hz = 200_000_000
        self.now_ns = 0
        self.world = FakeWorld()
        self._remainder = 0

    def spend(self, cycles: int) -> None:
        duration_ns, self._remainder = divmod(cycles * 1_000_000_000 + self._remainder, self.hz)
        self.now_ns += duration_ns


def kernel_switches() -> None:
    kernel = Kernel(FakeCpu())

    async def spin() -> None:
        switch = kernel.switch
        for _ in range(SWITCHES // TASKS):
            await switch()

    for number in range(TASKS):
        kernel.spawn(spin(), f"spin{number}")
    kernel.run()


def kernel_timeouts() -> None:
    kernel = Kernel(FakeCpu())

    async def sleep() -> None:
        for _ in range(SWITCHES // TASKS):
            await kernel.sleep_ns(1_000_000)

    for number in range(TASKS):
        kernel.spawn(sleep(), f"sleep{number}")
    kernel.run()


def kernel_timeouts_with_charges() -> None:
    kernel = Kernel(FakeCpu())

    async def sleep() -> None:
        for _ in range(SWITCHES // TASKS):
            kernel.charge(100, "parse")
            await kernel.sleep_ns(1_000_000)

    for number in range(TASKS):
        kernel.spawn(sleep(), f"sleep{number}")
    kernel.run()


def asyncio_switches() -> None:
    async def spin() -> None:
        for _ in range(SWITCHES // TASKS):
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(spin() for _ in range(TASKS)))

    asyncio.run(main())


def trio_switches() -> None:
    import trio

    async def spin() -> None:
        for _ in range(SWITCHES // TASKS):
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(spin)

    trio.run(main)


def simpy_timeouts() -> None:
    import simpy

    environment = simpy.Environment()

    def sleep(offset_ns: int) -> object:
        # Dispatches take time on the kernel's CPU, so that its tasks do not all fall due at once: nor do these.
        yield environment.timeout(offset_ns)
        for _ in range(SWITCHES // TASKS):
            yield environment.timeout(1_000_000)

    for number in range(TASKS):
        environment.process(sleep(number * 1_000))  # type: ignore[arg-type]
    environment.run()


def rate(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return SWITCHES / (time.perf_counter() - began)


def idle_task_bytes(tasks: int = 2_000) -> float:
    """Memory of one task that waits for an event."""
    kernel = Kernel(FakeCpu())
    event = Event(kernel)

    async def idle() -> None:
        await event.wait()

    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(tasks):
        kernel.spawn(idle(), f"idle{number}")
    kernel.run()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / tasks


def main() -> int:
    contenders = {
        "kernel switch": kernel_switches,
        "asyncio sleep(0)": asyncio_switches,
        "trio checkpoint()": trio_switches,
        "kernel timeout": kernel_timeouts,
        "SimPy timeout": simpy_timeouts,
        "timeout + charge": kernel_timeouts_with_charges,
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            rates[name].append(rate(work))
    median = {name: statistics.median(values) for name, values in rates.items()}
    for name, value in median.items():
        print(f"{name:18} {value / 1e6:6.2f} M/s")
    print(f"switches : asyncio   {median['kernel switch'] / median['asyncio sleep(0)']:.2f}   (wanted: 2.5 or more)")
    print(f"switches : trio      {median['kernel switch'] / median['trio checkpoint()']:.2f}")
    print(f"timeouts : SimPy     {median['kernel timeout'] / median['SimPy timeout']:.2f}   (wanted: 1.2 or more)")
    print(f"idle task            {idle_task_bytes():.0f} bytes   (wanted: below 2048)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
