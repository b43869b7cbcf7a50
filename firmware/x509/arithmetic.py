"""Modular exponentiation: gmpy2's where it is installed, Python's own otherwise. Both give the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

__all__ = ["Power", "modular_power", "plain_power"]

Power = Callable[[int, int, int], int]
"""``power(base, exponent, modulus)``."""


def plain_power(base: int, exponent: int, modulus: int) -> int:
    """With Python's own integers: four to six times slower."""
    return pow(base, exponent, modulus)


@lru_cache(maxsize=1)
def _fastest() -> Power:
    # At the first use: loading GMP takes tens of milliseconds, and a boot with a certificate in flash needs none of it.
    try:
        from gmpy2 import powmod
    except ImportError:
        return plain_power
    return lambda base, exponent, modulus: int(powmod(base, exponent, modulus))


def modular_power(base: int, exponent: int, modulus: int) -> int:
    """With the fastest arithmetic there is."""
    return _fastest()(base, exponent, modulus)
