"""Calibration: a cost table fitted to handshake times that somebody measured on a real board.

A whole server handshake with RSA key exchange is one private operation plus a fixed part (reference text, Certificate
Key Length and CPU Usage)::

    milliseconds(bits) = (private(bits) + fixed) / clock rate

What a table of key lengths and times cannot tell apart is settled so, and said in the report:

- The fixed part could as well be a piece of every private operation. With four key lengths or more it is what leaves
  the private operations closest to a power law; with fewer its share is that of the model that we start from.
- Cycles could as well be fewer at a lower clock rate. Unless the rate is known, it becomes that at which the base
  model's code would take as long, so that what was not measured (hashes, ciphers, parsing) keeps its cycles.

Not modelled: what the network and the client add to a measured time; ``hil/handshakes.py`` measures without it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from board import Model
from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror

MIN_BITS, MAX_BITS = 256, 16_384
MAX_MS = 3_600_000.0
MAX_WEIGHT = 1e9

LENGTHS_FOR_FIXED = 4
"""A power law has two parameters and the fixed part is the third: with three key lengths everything would fit."""

MOST_FIXED = 0.5
"""The fixed part is at most this share of the shortest handshake: more would be no handshake with RSA."""

SEARCH_STEPS = 400

MAX_MHZ = 5_000
"""As in model files."""


@dataclass(frozen=True)
class Measurement:
    """One row: a whole server handshake with RSA key exchange, without a client certificate."""

    line: int
    key_bits: int
    milliseconds: float
    weight: float = 1.0


@dataclass(frozen=True)
class Calibration:
    """A fitted cost table, and how well it fits.

    Attributes:
        mhz: the clock rate that cycles are counted at.
        private: cycles of one private operation by key length.
        handshake: cycles of the fixed part, without what the emulator charges under other names.
        overhead: cycles of a handshake that are charged under other names: hashes, records.
        fixed_fitted: whether the fixed part is fitted, or has the base model's share.
        scale: what all the base table's other costs are multiplied by.
        r_squared: of the fitted against all measured times; None when these are all the same.
        per_doubling: how much longer a private operation takes per doubling of the key length; None with one length.
        law_error: how far, at most, a private operation is from that power law.
    """

    base: Model
    measurements: tuple[Measurement, ...]
    mhz: int
    mhz_known: bool
    private: Mapping[int, int]
    handshake: int
    overhead: int
    fixed_fitted: bool
    scale: float
    r_squared: float | None
    per_doubling: float | None
    law_error: float

    def predicted_ms(self, key_bits: int) -> float:
        """What a handshake takes by the fitted table."""
        return (self.private[key_bits] + self.handshake + self.overhead) / (self.mhz * 1_000)

    def report(self) -> list[str]:
        """Residuals, quality of the fit, and what was assumed, as lines of text."""
        lines = [f"{'line':>6}{'key bits':>10}{'measured':>14}{'fitted':>14}{'residual':>14}"]
        for row in self.measurements:
            fitted = self.predicted_ms(row.key_bits)
            off = 100 * (row.milliseconds - fitted) / fitted
            measured = f"{row.line:>6}{row.key_bits:>10}{row.milliseconds:>11.3f} ms"
            lines.append(f"{measured}{fitted:>11.3f} ms{off:>+12.2f} %")
        rows, lengths = len(self.measurements), len({row.key_bits for row in self.measurements})
        quality = "undefined, all times are the same" if self.r_squared is None else f"{self.r_squared:.6f}"
        lines.append(f"R² {quality} (measurements: {rows}, key lengths: {lengths})")
        if rows == lengths:
            lines.append("each key length was measured once, so each is met exactly; measure again to see the scatter")
        if self.per_doubling is not None:
            law = f", a power law misses none by more than {100 * self.law_error:.2f} %" if lengths > 2 else ""
            lines.append(f"private operation: x{self.per_doubling:.2f} per doubling of the key length{law}")
        fixed_ms = (self.handshake + self.overhead) / (self.mhz * 1_000)
        origin = "fitted" if self.fixed_fitted else f"assumed: the same share as of {self.base.name}"
        lines.append(f"fixed part: {fixed_ms:.3f} ms ({origin})")
        origin = "as given" if self.mhz_known else f"assumed: {self.base.name}'s code would take as long at it"
        lines.append(f"clock rate: {self.mhz} MHz ({origin})")
        return lines


# -- reading


def measurements_from_file(path: str | Path) -> list[Measurement]:
    """The rows of a CSV file: ``key_bits,milliseconds[,weight]``, a heading or not, ``#`` for remarks.

    Raises:
        RackMisuse: names file, line, value and limit.
        EnvironmentRefused: the file cannot be read.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise EnvironmentRefused(f"{path}: cannot be read: {reason_from_oserror(error)}") from error
    except UnicodeDecodeError as error:
        raise RackMisuse(f"{path}: is not text in UTF-8: byte {error.start}") from error
    rows: list[Measurement] = []
    headed = False
    for number, line in enumerate(text.splitlines(), 1):
        fields = [field.strip() for field in next(csv.reader([line]), [])]
        if not any(fields) or fields[0].startswith("#"):
            continue
        if not rows and not headed and fields[0].lower() == "key_bits":
            headed = True
            continue
        rows.append(_measurement(f"{path.name}:{number}", number, fields))
    if not rows:
        raise RackMisuse(f"{path.name}: holds no measurement: rows of key_bits,milliseconds[,weight] are needed")
    return rows


def _measurement(place: str, number: int, fields: list[str]) -> Measurement:
    if not 2 <= len(fields) <= 3:
        raise RackMisuse(f"{place}: fields: {len(fields)}, must be key_bits,milliseconds[,weight]")
    bits = _number(place, "key_bits", fields[0], MIN_BITS, MAX_BITS)
    if bits != int(bits):
        _refuse(place, "key_bits", fields[0], "must be a whole number")
    milliseconds = _number(place, "milliseconds", fields[1], 0, MAX_MS)
    weight = _number(place, "weight", fields[2], 0, MAX_WEIGHT) if len(fields) == 3 else 1.0
    for name, value in (("milliseconds", milliseconds), ("weight", weight)):
        if value == 0:
            _refuse(place, name, "0", "must be above 0")
    return Measurement(number, int(bits), milliseconds, weight)


def _number(place: str, name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        _refuse(place, name, text, f"must be a number from {low:g} to {high:g}")
    return value


def _refuse(place: str, name: str, text: str, limit: str) -> NoReturn:
    raise RackMisuse(f"{place}: {name} {text!r}: {limit}")


# -- fitting


def fit(measurements: Sequence[Measurement], base: Model, *, overhead: int, mhz: int | None = None) -> Calibration:
    """The cost table that meets these times best.

    Args:
        base: the model whose figures stand for what was not measured.
        overhead: cycles of the base's handshake that are neither private operation nor fixed part.
        mhz: the real board's clock rate, where it is known.

    Raises:
        RackMisuse: a longer key is not slower, or the clock rate comes out beyond 1 to 5000 MHz.
    """
    means = _means(measurements)
    shortest = min(means)
    fitted = len(means) >= LENGTHS_FOR_FIXED
    base_fixed = base.costs.handshake + overhead
    share = base_fixed / (base_fixed + base.costs.rsa_private(shortest))
    fixed_ms = _fixed_ms(means) if fitted else share * means[shortest]
    private_ms = {bits: mean - fixed_ms for bits, mean in means.items()}
    rate = mhz if mhz is not None else round(_matching_mhz(private_ms, base))
    if not 1 <= rate <= MAX_MHZ:
        raise RackMisuse(f"clock rate comes out at {rate} MHz: must be 1 to {MAX_MHZ}; give it with --mhz")
    cycles_per_ms = rate * 1_000
    scale = 1.0 if mhz is None else mhz / _matching_mhz(private_ms, base)
    other = round(overhead * scale)
    handshake = max(1, round(fixed_ms * cycles_per_ms) - other)
    private = {bits: round(mean * cycles_per_ms) - handshake - other for bits, mean in means.items()}
    _check_private(private, measurements)
    per_doubling, law_error = _power_law(private)
    return Calibration(
        base=base,
        measurements=tuple(measurements),
        mhz=rate,
        mhz_known=mhz is not None,
        private=private,
        handshake=handshake,
        overhead=other,
        fixed_fitted=fitted,
        scale=scale,
        r_squared=_r_squared(
            measurements, {bits: (cycles + handshake + other) / cycles_per_ms for bits, cycles in private.items()}
        ),
        per_doubling=per_doubling,
        law_error=law_error,
    )


def _means(measurements: Iterable[Measurement]) -> dict[int, float]:
    """Weighted mean time by key length, in rising order."""
    sums: dict[int, tuple[float, float]] = {}
    for row in measurements:
        total, weight = sums.get(row.key_bits, (0.0, 0.0))
        sums[row.key_bits] = (total + row.weight * row.milliseconds, weight + row.weight)
    return {bits: total / weight for bits, (total, weight) in sorted(sums.items())}


def _fixed_ms(means: Mapping[int, float]) -> float:
    """The fixed part that leaves the rest closest to a power law."""
    most = MOST_FIXED * min(means.values())
    candidates = [most * step / SEARCH_STEPS for step in range(SEARCH_STEPS)]

    def misfit(fixed_ms: float) -> float:
        _, _, errors = _line({bits: mean - fixed_ms for bits, mean in means.items()})
        # Relative to the whole time: a fixed part of half the shortest time must not count double there.
        return sum((error * (1 - fixed_ms / mean)) ** 2 for error, mean in zip(errors, means.values(), strict=True))

    return min(candidates, key=misfit)


def _line(values: Mapping[int, float]) -> tuple[float, float, list[float]]:
    """Slope, intercept and errors of the straight line through the logarithms."""
    xs, ys = [math.log(bits) for bits in values], [math.log(value) for value in values.values()]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    intercept = mean_y - slope * mean_x
    return slope, intercept, [y - slope * x - intercept for x, y in zip(xs, ys, strict=True)]


def _power_law(private: Mapping[int, int]) -> tuple[float | None, float]:
    """Factor per doubling, and the greatest relative distance from the law."""
    if len(private) < 2:
        return None, 0.0
    slope, _, errors = _line(private)
    return 2**slope, math.exp(max(map(abs, errors))) - 1


def _matching_mhz(private_ms: Mapping[int, float], base: Model) -> float:
    """The clock rate at which the base's private operations take that long, in the geometric mean."""
    logs = [math.log(base.costs.rsa_private(bits) / (ms * 1_000)) for bits, ms in private_ms.items()]
    return math.exp(sum(logs) / len(logs))


def _check_private(private: Mapping[int, int], measurements: Sequence[Measurement]) -> None:
    shorter = 0
    for bits, cycles in private.items():
        if cycles <= private.get(shorter, 0):
            lines = ", ".join(str(row.line) for row in measurements if row.key_bits in (shorter, bits))
            raise RackMisuse(f"lines {lines}: {bits} bits take no longer than {shorter} bits: must cost more")
        shorter = bits


def _r_squared(measurements: Sequence[Measurement], fitted_ms: Mapping[int, float]) -> float | None:
    weights = sum(row.weight for row in measurements)
    mean = sum(row.weight * row.milliseconds for row in measurements) / weights
    total = sum(row.weight * (row.milliseconds - mean) ** 2 for row in measurements)
    left = sum(row.weight * (row.milliseconds - fitted_ms[row.key_bits]) ** 2 for row in measurements)
    return None if total == 0 else 1 - left / total


# -- what the emulator charges beside the private operation and the fixed part


def handshake_overhead(model: str) -> int:
    """Cycles of a server handshake that are neither of both, from one on an emulated board of that model."""
    from hil.bench import Bench
    from hil.tlsclient import TlsClient

    with Bench(seed=0) as bench:
        gateway = bench.gateway(model)
        gateway.power_on()
        gateway.console.login()
        with TlsClient(gateway.connect(443)) as client:
            client.handshake()
        costs, hz = gateway.model.costs, gateway.model.hz
        charged_us = int(gateway.console.run("cpu mips-usage /json").json["tls"]["last_us"])
    return max(0, charged_us * hz // 1_000_000 - costs.rsa_private(1024) - costs.handshake)
