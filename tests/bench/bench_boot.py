"""Boot: host CPU time from power-on to the login prompt, of a free-running board with a built-in certificate.

Run it: ``python tests/bench/bench_boot.py``. Wanted: less than 50 ms.
"""

from __future__ import annotations

import statistics
import sys
import time

from hil import Bench

ROUNDS = 9


def boot_ms(seed: int) -> float:
    """Host CPU time of one boot; the factory's work, the certificate included, is not part of it."""
    with Bench(seed=seed) as bench:
        gateway = bench.gateway("ip800")
        began_ns = time.process_time_ns()
        gateway.power_on()
        gateway.console.expect("login: ")
        return (time.process_time_ns() - began_ns) / 1e6


def main() -> int:
    first, *others = [boot_ms(seed) for seed in range(ROUNDS)]
    print(f"first boot in a process  {first:6.1f} ms of host CPU")
    print(f"median of {len(others)} more         {statistics.median(others):6.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
