"""How long certificate work takes on this host: ``python tests/bench/bench_x509.py``.

Host time only: what the same work takes on a board comes from the board's cost table. Printed are medians, because key
search varies by nature, and the longest single step, which is how long the whole emulation stands still at most.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from firmware.x509 import (
    Certificate,
    CertificateOrder,
    DistinguishedName,
    certificate_from_der,
    key_search,
    self_signed_certificate,
)
from firmware.x509.arithmetic import modular_power, plain_power
from firmware.x509.keygen import expected_steps
from firmware.x509.memory import forget

RUNS = {1024: 40, 2048: 20, 4096: 5}


def searched(bits: int, seed: int, power: Callable[[int, int, int], int]) -> tuple[float, float, int]:
    """Seconds of CPU in all, of the longest step, and the number of steps."""
    search = key_search(bits, random.Random(seed), power)
    spent: list[float] = []
    while True:
        start = time.thread_time()
        try:
            next(search)
        except StopIteration:
            return sum(spent), max(spent), len(spent)
        spent.append(time.thread_time() - start)


def print_searches() -> None:
    for name, power in (("gmpy2", modular_power), ("pow", plain_power)):
        for bits, runs in RUNS.items():
            totals, longest, steps = zip(*(searched(bits, seed, power) for seed in range(runs)), strict=True)
            print(
                f"keygen {bits} {name:5}: median {statistics.median(totals) * 1e3:6.0f} ms, "
                f"longest step {max(longest) * 1e3:5.1f} ms, "
                f"steps mean {statistics.mean(steps):5.1f} (theory {expected_steps(bits):5.1f}), {runs} runs"
            )


def microseconds(work: Callable[[], object], rounds: int = 500) -> float:
    """Median of seven rounds."""
    samples = []
    for _ in range(7):
        start = time.thread_time()
        for _ in range(rounds):
            work()
        samples.append((time.thread_time() - start) / rounds * 1e6)
    return statistics.median(samples)


def print_certificates() -> None:
    order = CertificateOrder(DistinguishedName(common_name="IP800-06-11-ac"), dns_names=("gw.example.com",))
    search = key_search(1024, random.Random(1))
    while True:
        try:
            next(search)
        except StopIteration as end:
            key = end.value
            break
    made = self_signed_certificate(order, key, 1_800_000_000, random.Random(1))

    def parse() -> Certificate:
        forget()
        return certificate_from_der(made.der)

    print(f"parse {len(made.der)} bytes, six extensions: {microseconds(parse):6.1f} us")
    print(f"the same again, remembered:           {microseconds(lambda: certificate_from_der(made.der)):6.1f} us")
    verified = microseconds(lambda: parse().is_signed_by(key.public_key))
    print(f"parse and verify, 1024 bits:          {verified:6.1f} us")
    made_again = lambda: self_signed_certificate(order, key, 0, random.Random(1))  # noqa: E731
    print(f"build, sign, read back, 1024 bits:    {microseconds(made_again, 100):6.1f} us")


if __name__ == "__main__":
    print_certificates()
    print_searches()
