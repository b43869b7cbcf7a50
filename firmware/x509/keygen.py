"""RSA key generation as a search in steps, for a CPU that has other things to do.

```
   draw an odd start, top two bits set
        |
   sieve a window of 4096 odd numbers by the primes up to 17000      94 % fall out; not worth charging
        |
   Fermat test to base 2            one step each: the many
        |
   four Miller-Rabin rounds         one step each: the survivor
        |
   prime found: twice, far enough apart -> key
```

A step is one modular exponentiation of half the key's size, the quantity that costs time. So the search is a generator
that stops after every step: the caller charges ``costs.keygen(bits)`` and lets others run. How many steps a key takes
varies as prime search does: on average 49, 90 and 172 for 1024, 2048 and 4096 bits (`expected_steps`).

The same bytes drawn give the same key, whichever arithmetic is installed.

Not modelled: the search is not hardened against somebody who times it; a seeded run's keys are not secret at all.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from functools import lru_cache
from typing import NamedTuple, Protocol

from firmware.errors import CertificateError
from firmware.x509.arithmetic import Power, modular_power
from firmware.x509.key import KEY_BITS, PrivateKey, private_key_from_primes

__all__ = ["KeySearch", "Progress", "RandomSource", "candidates", "expected_steps", "key_search"]

PUBLIC_EXPONENT = 65537
SIEVE_LIMIT = 17_000
"""Further primes would sieve out fewer candidates than they take time."""
WINDOW = 4096
"""Odd numbers per draw: some 20 primes among them for 1024-bit keys, 6 for 4096."""
SIEVED_FIRST = 512
"""Of a window: nineteen in twenty of the primes for 1024-bit keys are found there, half of those for 4096."""
MILLER_RABIN_ROUNDS = 4
"""Error below 2**-80 for random candidates of 512 bits and more (Handbook of Applied Cryptography, table 4.4)."""
MIN_DISTANCE_BITS = 100
"""FIPS 186-4 B.3.3: p and q differ within their top 100 bits, else n falls to Fermat's factoring."""

_EULER = 0.5772156649015329


class RandomSource(Protocol):
    """Where randomness comes from: ``hal.Entropy``, or ``random.Random`` in a test."""

    def randbytes(self, n: int, /) -> bytes: ...


class Progress(NamedTuple):
    """Where a search stands after a step."""

    steps: int
    """Modular exponentiations so far."""
    fraction: float
    """Estimate from 0 to 1 that only grows; half of it per prime. A search has no memory, so no estimate is exact."""


KeySearch = Generator[Progress, None, PrivateKey]
"""Yields after each step; returns the key."""


def expected_steps(bits: int) -> float:
    """Mean number of steps of a search."""
    return 2 * (_expected_candidates(bits // 2) + MILLER_RABIN_ROUNDS)


def _expected_candidates(prime_bits: int) -> float:
    """Numbers tested per prime: prime number theorem, and Mertens' theorem for what the sieve takes away."""
    return prime_bits * math.log(2) / (math.exp(_EULER) * math.log(SIEVE_LIMIT))


def key_search(bits: int, source: RandomSource, power: Power = modular_power) -> KeySearch:
    """Looks for a key.

    Args:
        bits: 1024, 2048 or 4096.
        source: Drawn from in the course of the search.
        power: The arithmetic; tests compare two.

    Raises:
        CertificateError: Another size (at the first step).
    """
    if bits not in KEY_BITS:
        raise CertificateError(f"key of {bits} bits, possible are {', '.join(map(str, KEY_BITS))}")
    search = _Search(bits // 2, source, power)
    first = yield from search.prime()
    while True:
        second = yield from search.prime()
        if abs(first - second) >> (bits // 2 - MIN_DISTANCE_BITS):
            return private_key_from_primes(first, second, PUBLIC_EXPONENT)
        search.found -= 1


class _Search:
    """State that the two searches of a key share."""

    def __init__(self, prime_bits: int, source: RandomSource, power: Power) -> None:
        self.prime_bits = prime_bits
        self.found = 0
        self._source = source
        self._power = power
        self._steps = 0
        self._fraction = 0.0

    def prime(self) -> Generator[Progress, None, int]:
        tested = 0
        while True:
            for candidate in candidates(self._draw(self.prime_bits) | 3 << (self.prime_bits - 2) | 1):
                # RFC 8017 3.1: e must have an inverse modulo p-1. And the window must not run over the top.
                if candidate % PUBLIC_EXPONENT == 1 or candidate.bit_length() > self.prime_bits:
                    continue
                probable = self._power(2, candidate - 1, candidate) == 1
                tested += 1
                yield self._progress(tested)
                if probable and (yield from self._passes_miller_rabin(candidate, tested)):
                    self.found += 1
                    return candidate

    def _passes_miller_rabin(self, n: int, tested: int) -> Generator[Progress, None, bool]:
        twos = ((n - 1) & -(n - 1)).bit_length() - 1
        odd = (n - 1) >> twos
        for _ in range(MILLER_RABIN_ROUNDS):
            base = 2 + self._draw(self.prime_bits) % (n - 3)
            x = self._power(base, odd, n)
            yield self._progress(tested)
            if x not in (1, n - 1) and not _reaches_minus_one(x, n, twos - 1):
                return False
        return True

    def _draw(self, bits: int) -> int:
        return int.from_bytes(self._source.randbytes(bits // 8), "big")

    def _progress(self, tested: int) -> Progress:
        self._steps += 1
        part = 1 - math.exp(-tested / _expected_candidates(self.prime_bits))
        self._fraction = max(self._fraction, (min(self.found, 1) + part) / 2)
        return Progress(self._steps, self._fraction)


def _reaches_minus_one(x: int, n: int, squarings: int) -> bool:
    for _ in range(squarings):
        x = x * x % n
        if x == n - 1:
            return True
    return False


@lru_cache(maxsize=1)
def _small_primes() -> tuple[int, ...]:
    """Odd primes up to the sieve's limit."""
    flags = bytearray(b"\x01") * SIEVE_LIMIT
    for n in range(3, math.isqrt(SIEVE_LIMIT) + 1, 2):
        if flags[n]:
            flags[n * n :: 2 * n] = bytes(len(range(n * n, SIEVE_LIMIT, 2 * n)))
    return tuple(n for n in range(3, SIEVE_LIMIT, 2) if flags[n])


def candidates(start: int) -> Iterator[int]:
    """The odd numbers of the window from ``start`` that no small prime divides, in ascending order."""
    # start + 2k = 0 modulo prime at k = -start / 2, and (prime + 1) / 2 is the inverse of 2.
    firsts = [-(start % prime) * ((prime + 1) // 2) % prime for prime in _small_primes()]
    begin = 0
    for end in (SIEVED_FIRST, WINDOW):
        flags = _sieved(firsts, begin, end)
        index = flags.find(1)
        while index >= 0:
            yield start + 2 * (begin + index)
            index = flags.find(1, index + 1)
        begin = end


def _sieved(firsts: list[int], begin: int, end: int) -> bytearray:
    """Part of a window: 1 for each number that no small prime divides. The first multiple of each prime is given."""
    flags = bytearray(b"\x01") * (end - begin)
    for prime, first in zip(_small_primes(), firsts, strict=True):
        if first < end:
            index = (first - begin) % prime
            flags[index::prime] = bytes(len(range(index, end - begin, prime)))
    return flags
