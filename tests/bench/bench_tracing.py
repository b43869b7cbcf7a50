"""Timelines: what writing them costs, in host CPU time, against the same run without.

Run it: ``python tests/bench/bench_tracing.py``. Wanted: less than 30 % more for a device at work. An idle device and
the kernel alone are the worst cases, because there is nothing in them but the events that are written.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from board import Board
from firmware.kernel import Kernel
from hil import Bench
from hil.gateway import Gateway
from hil.tlsclient import TlsClient

ROUNDS = 7
HANDSHAKES = 60
TURNS = 20_000
WANTED_PERCENT = 30

Work = Callable[[Bench, Gateway], None]


def handshakes(bench: Bench, gateway: Gateway) -> None:
    """TLS connections with 1024 bits, one after the other, each with a page."""
    for _ in range(HANDSHAKES):
        with TlsClient(gateway.connect(443)) as client:
            client.handshake()
            client.request()


def key_generation(bench: Bench, gateway: Gateway) -> None:
    """A key of 2048 bits, in the background, slice by slice."""
    gateway.console.login()
    gateway.console.run("x509 servercert-create /key 2048-bit /dn-cn bench")
    gateway.console.run("x509 servercert-wait", timeout_ms=600_000)


def boot(bench: Bench, gateway: Gateway) -> None:
    """Power cycles, to the login prompt."""
    for _ in range(10):
        gateway.power_cycle()
        gateway.console.expect("login: ")


def idle(bench: Bench, gateway: Gateway) -> None:
    """Ten virtual hours without anything to do."""
    bench.run_for(ms=36_000_000)


def kernel_alone(bench: Bench, gateway: Gateway) -> None:
    """Turns with one small charge each."""
    bench.run_for(ms=60_000)


def spinning(board: Board) -> Kernel:
    """A program that has nothing but turns."""
    kernel = Kernel(board.cpu, board.trace)

    async def spin() -> None:
        for _ in range(TURNS):
            kernel.charge(1_000, "parse")
            await kernel.sleep_ns(100_000)

    kernel.spawn(spin(), "spin")
    return kernel


def host_ms(work: Work, folder: Path, traced: bool) -> float:
    """Host CPU time of the work; boot and the factory's work are no part of it."""
    alone = work is kernel_alone
    with Bench(seed=5, program=spinning if alone else None) as bench:
        gateway = bench.gateway("ip800")
        if traced:
            bench.save_timeline(folder / "timeline.json")
        gateway.power_on()
        if not alone:
            gateway.console.expect("login: ")
        began_ns = time.process_time_ns()
        work(bench, gateway)
        bench.flush_timelines()
        return (time.process_time_ns() - began_ns) / 1e6


def main() -> int:
    print(f"{'':<18}{'without':>12}{'timeline':>12}{'more':>9}     host CPU, best of {ROUNDS} rounds in turn")
    with tempfile.TemporaryDirectory() as name:
        for work in (handshakes, key_generation, boot, idle, kernel_alone):
            times: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(ROUNDS):
                for traced in (False, True):
                    times[traced].append(host_ms(work, Path(name), traced))
            without, traced_ms = (min(times[traced]) for traced in (False, True))
            more = 100 * (traced_ms / without - 1)
            note = "nothing but events" if work in (idle, kernel_alone) else f"wanted: < {WANTED_PERCENT} %"
            print(f"{work.__name__:<18}{without:>9.1f} ms{traced_ms:>9.1f} ms{more:>8.1f}%     {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
