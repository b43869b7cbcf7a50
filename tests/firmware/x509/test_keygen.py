"""The key search: right keys, the same from the same bytes, in small steps, as many as theory says."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping

import pytest
from cryptography.hazmat.primitives import serialization

from firmware.errors import CertificateError
from firmware.x509 import PrivateKey, key_search
from firmware.x509.arithmetic import modular_power, plain_power
from firmware.x509.keygen import SIEVE_LIMIT, WINDOW, KeySearch, candidates, expected_steps

Drain = Callable[[KeySearch], PrivateKey]


@pytest.mark.parametrize("bits", [1024, 2048, 4096])
def test_a_key_has_the_form_that_the_standards_demand(keys: Mapping[int, PrivateKey], bits: int) -> None:
    key = keys[bits]
    p, q = key.prime1, key.prime2
    assert p > q
    assert key.bits == bits
    assert p.bit_length() == q.bit_length() == bits // 2
    assert p >> (bits // 2 - 2) == q >> (bits // 2 - 2) == 3
    assert (p - q).bit_length() > bits // 2 - 100
    assert key.public_exponent == 65537
    assert math.gcd(65537, (p - 1) * (q - 1)) == 1


@pytest.mark.parametrize("bits", [1024, 2048])
def test_another_implementation_checks_the_primes(keys: Mapping[int, PrivateKey], bits: int) -> None:
    # Loading checks the numbers, primality included.
    assert serialization.load_der_private_key(keys[bits].der(), None)


def test_the_same_bytes_give_the_same_key_and_others_another(drain: Drain) -> None:
    assert drain(key_search(1024, random.Random(5))) == drain(key_search(1024, random.Random(5)))
    assert drain(key_search(1024, random.Random(5))) != drain(key_search(1024, random.Random(6)))


def test_both_arithmetics_take_the_same_steps_to_the_same_key() -> None:
    searches = [key_search(1024, random.Random(11), power) for power in (modular_power, plain_power)]
    ends: list[PrivateKey] = []
    while not ends:
        steps = []
        for search in searches:
            try:
                steps.append(next(search))
            except StopIteration as end:
                ends.append(end.value)
        assert len(steps) in (0, 2)
        assert len(set(steps)) <= 1
    assert ends[0] == ends[1]


def test_one_step_is_one_exponentiation_of_half_the_size() -> None:
    calls: list[int] = []

    def counted(base: int, exponent: int, modulus: int) -> int:
        calls.append(modulus.bit_length())
        return modular_power(base, exponent, modulus)

    search = key_search(1024, random.Random(3), counted)
    for number, progress in enumerate(search, 1):
        assert progress.steps == number == len(calls)
    assert set(calls) == {512}


def test_progress_only_grows_and_stays_below_one() -> None:
    fractions = [progress.fraction for progress in key_search(1024, random.Random(8))]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < fractions[-1] < 1


def test_the_number_of_steps_varies_around_the_mean_that_prime_density_gives() -> None:
    counts = [sum(1 for _ in key_search(1024, random.Random(seed))) for seed in range(40)]
    mean = expected_steps(1024)
    assert 45 < mean < 53
    # 40 draws of a nearly exponential number: the standard error is below a seventh of the mean.
    assert mean * 0.6 < statistics.mean(counts) < mean * 1.4
    assert max(counts) > 2 * min(counts)


def test_longer_keys_take_more_steps() -> None:
    assert expected_steps(1024) < expected_steps(2048) < expected_steps(4096)


def test_a_search_can_be_dropped_half_way() -> None:
    search = key_search(4096, random.Random(1))
    next(search)
    search.close()
    with pytest.raises(StopIteration):
        next(search)


@pytest.mark.parametrize("bits", [0, 512, 1025, 3072, 8192])
def test_other_sizes_are_refused(bits: int) -> None:
    with pytest.raises(CertificateError, match=f"key of {bits} bits, possible are 1024, 2048, 4096"):
        next(key_search(bits, random.Random(1)))


def test_the_sieve_leaves_exactly_the_odd_numbers_without_a_small_factor() -> None:
    start = (3 << 510) | 12345
    primes = [n for n in range(3, SIEVE_LIMIT) if all(n % d for d in range(2, math.isqrt(n) + 1))]
    product = math.prod(primes)
    left = [n for n in range(start, start + 2 * WINDOW, 2) if math.gcd(n, product) == 1]
    assert list(candidates(start)) == left
    assert 0.04 < len(left) / WINDOW < 0.16


class Scripted:
    """Gives set draws at set places, and random ones otherwise."""

    def __init__(self, draws: Mapping[int, bytes]) -> None:
        self.draws = 0
        self._set = draws
        self._source = random.Random(4)

    def randbytes(self, n: int, /) -> bytes:
        self.draws += 1
        return self._set.get(self.draws) or self._source.randbytes(n)


def test_a_prime_to_which_the_exponent_has_no_inverse_is_passed_over(drain: Drain) -> None:
    unfit = (3 << 510) // 131_074 * 131_074 + 131_075
    while modular_power(2, unfit - 1, unfit) != 1:
        unfit += 131_074
    assert unfit % 65_537 == 1
    assert next(candidates(unfit)) == unfit
    key = drain(key_search(1024, Scripted({1: unfit.to_bytes(64, "big")})))
    assert unfit < key.prime1
    assert unfit not in (key.prime1, key.prime2)


def test_two_primes_that_lie_too_near_are_not_used() -> None:
    start = random.Random(5).randbytes(64)
    # Draws 2 to 5 are the bases of the rounds for the first prime; draw 6 leads to the same prime again.
    source = Scripted({1: start, 6: start})
    search = key_search(1024, source)
    fractions = []
    try:
        while True:
            fractions.append(next(search).fraction)
    except StopIteration as end:
        key = end.value
    assert source.draws > 10
    assert (key.prime1 - key.prime2).bit_length() > 412
    assert fractions == sorted(fractions)
