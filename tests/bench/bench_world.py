"""A world of boards against SimPy, from 1 board to 1,000: what one event costs the host, and whether that grows.

Run it: ``python tests/bench/bench_world.py``. Two loads, the same number of events whatever the number of boards:

- "messages": every board passes on what it gets over the network to the next one, so that every step of every board is
  an event of the world's clock. SimPy's processes do the same with stores and a timeout for the way.
- "timers": every board has a task that sleeps for a while and works a little. A board alone runs ahead of a silent
  world, turn after turn; among others it has to come back to the clock after each turn, which is what the first step
  of this row shows.

Last line: ten virtual minutes of a world of 1,000 phones with the real firmware, all booted and idle.

Wanted: a message among 1,000 boards costs at most 1.5 times what it does with one, the idle world less than 2 s. The
second holds. The first does up to 100 boards; beyond, what 1,000 boards touch in turn is more than the host's
second-level cache holds, and SimPy's processes, which are a fraction of a board, grow by as much as 1.5 times for the
same reason. So both growths are printed.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

from board import Board
from firmware.kernel import Event, Kernel
from hil import Bench

BOARDS = (1, 10, 100, 1_000)
MESSAGES = 20_000
TIMEOUTS = 50_000
ROUNDS = 5
LATENCY_NS = 100_000
PORT = 9
MESSAGE = b"x" * 64


def worlds_messages(boards: int) -> Callable[[], None]:
    """Builds the boards, joins them in a ring, and gives what is to be timed."""
    left = MESSAGES
    kernels: list[Kernel] = []

    def program(board: Board) -> Kernel:
        kernel = Kernel(board.cpu, trace=board.trace)
        kernels.append(kernel)
        arrived = Event(kernel)

        async def pass_on(stream: Any, after: Any) -> None:
            nonlocal left
            while left > 0:
                await arrived.wait()
                arrived.clear()
                if stream.read():
                    left -= 1
                    after.write(MESSAGE)

        def accepted(stream: Any) -> None:
            stream.irq(arrived.set)
            kernel.spawn(pass_on(stream, onward[board]), "pass")

        board.network.listen(PORT, accepted)
        return kernel

    bench = Bench(1, program=program)
    gateways = [bench.gateway("ip232") for _ in range(boards)]
    onward: dict[Board, Any] = {}
    for gateway in gateways:
        gateway.power_on()
    bench.run_for(ms=1)
    for gateway, after in zip(gateways, [*gateways[1:], gateways[0]], strict=True):
        onward[gateway.board] = gateway.board.network.connect(after.netbios, PORT)
    bench.run_for(ms=10)

    def work() -> None:
        for stream in onward.values():
            stream.write(MESSAGE)
        while left > 0:
            bench.clock.step()

    return work


def simpys_messages(boards: int) -> Callable[[], None]:
    import simpy

    environment = simpy.Environment()
    stores = [simpy.Store(environment) for _ in range(boards)]
    left = MESSAGES

    def deliver(store: Any) -> Generator[Any, Any, None]:
        yield environment.timeout(LATENCY_NS)
        yield store.put(MESSAGE)

    def pass_on(store: Any, after: Any) -> Generator[Any, Any, None]:
        nonlocal left
        while left > 0:
            yield store.get()
            left -= 1
            environment.process(deliver(after))

    for store, after in zip(stores, [*stores[1:], stores[0]], strict=True):
        environment.process(pass_on(store, after))

    def work() -> None:
        for store in stores:
            store.put(MESSAGE)
        while left > 0:
            environment.step()

    return work


def worlds_timers(boards: int) -> Callable[[], None]:
    left = TIMEOUTS

    def program(board: Board) -> Kernel:
        kernel = Kernel(board.cpu, trace=board.trace)
        draw = random.Random(board.mac[5])

        async def sleep() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                kernel.charge(100, "parse")
                await kernel.sleep_ns(draw.randrange(1_000_000))

        kernel.spawn(sleep(), "sleep")
        return kernel

    bench = Bench(1, program=program)
    for gateway in [bench.gateway("ip232") for _ in range(boards)]:
        gateway.power_on()

    def work() -> None:
        while left > 0:
            bench.clock.step()

    return work


def simpys_timers(boards: int) -> Callable[[], None]:
    import simpy

    environment = simpy.Environment()
    left = TIMEOUTS

    def sleep(number: int) -> Generator[Any, Any, None]:
        nonlocal left
        draw = random.Random(number)
        while left > 0:
            left -= 1
            yield environment.timeout(500)
            yield environment.timeout(draw.randrange(1_000_000))

    for number in range(boards):
        environment.process(sleep(number))

    def work() -> None:
        while left > 0:
            environment.step()

    return work


LOADS: dict[str, tuple[int, Callable[[int], Callable[[], None]], Callable[[int], Callable[[], None]]]] = {
    "messages": (MESSAGES, worlds_messages, simpys_messages),
    "timers": (TIMEOUTS, worlds_timers, simpys_timers),
}


def microseconds(make: Callable[[int], Callable[[], None]], boards: int, events: int) -> float:
    """CPU time of one event."""
    work = make(boards)
    gc.collect()
    gc.freeze()  # what a world is made of stays: the collector need not look through it again and again
    began = time.process_time()
    work()
    spent_s = time.process_time() - began
    gc.unfreeze()
    return spent_s / events * 1e6


def idle_world(boards: int = 1_000) -> tuple[float, float]:
    """CPU seconds for booting a world of phones, and for ten minutes in which nothing happens."""
    with Bench(1) as bench:
        for gateway in [bench.gateway("ip232") for _ in range(boards)]:
            gateway.power_on()
        began = time.process_time()
        bench.run_for(ms=60_000)
        booted = time.process_time()
        bench.run_for(ms=600_000)
        return booted - began, time.process_time() - booted


def main() -> int:
    print(f"{'load':10}{'boards':>7}{'ours us':>10}{'SimPy us':>10}{'ours/SimPy':>12}{'ours/1':>9}{'SimPy/1':>9}")
    for load, (events, ours, simpys) in LOADS.items():
        first = simpy_first = 0.0
        for boards in BOARDS:
            pairs = [(microseconds(ours, boards, events), microseconds(simpys, boards, events)) for _ in range(ROUNDS)]
            our_us, simpy_us = (statistics.median(values) for values in zip(*pairs, strict=True))
            first, simpy_first = first or our_us, simpy_first or simpy_us
            growths = f"{our_us / first:9.2f}{simpy_us / simpy_first:9.2f}"
            print(f"{load:10}{boards:7}{our_us:10.2f}{simpy_us:10.2f}{our_us / simpy_us:12.2f}{growths}")
    boot_s, idle_s = idle_world()
    print(f"1,000 phones: boot {boot_s:.2f} s of host CPU, ten idle minutes {idle_s:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
