"""What a storm was measured to be: one report, made of one result per setting, and its JSON.

The JSON is the dataclasses below, field by field, with nothing added and nothing left out::

    {
      "version": 1,
      "command": "gatebench storm --phones 50 --key 1024,4096 --seed 7",
      "seed": 7,
      "interrupted": false,
      "settings": [
        {
          "label": "4096-bit",                         what sets it apart from the others of this report
          "parameters": {"phones": 50, "key": 4096, "phone_key": 1024, "hash": "sha256", "mutual": true,
                         "profile": "v11", "model": "ip800", "phone_model": "ip232", "cut": "all",
                         "arrival": "at-once", "share": 50, "line": 0, "loss": 0.0, "latency_ms": 0.1, "for_s": null},
          "phones": 50,
          "end_ns": 161000000000,                      when the run ended
          "outcome": "all registered",                 or "time is up", "interrupted"
          "first_attempt_ns": 310000000,               or null
          "all_registered_ns": 101000000000,           or null: some never were
          "storm_ns": 100690000000,                    from the first attempt to the last 200, or null
          "registered_at_end": 50,
          "registration_s": {"50": 50.1, "90": 90.8, "99": 100.0, "100": 101.0},      null where it was not reached
          "attempts": 57,
          "handshakes": {"count": 50, "failed": 7, "wasted_cpu_s": 13.2,
                         "latency_ms": {"p50": 1890.1, "p90": ..., "p99": ..., "max": ...},
                         "cpu_ms": {"p50": 1893.0, "p90": ..., "p99": ..., "max": ...},
                         "histogram": {"edges_ms": [0, 100, 200, ...], "counts": [0, 3, ...]}},
          "registered": [[0.0, 0], [2.3, 1], ...],     steps: so many from then on
          "load": {"t_s": [0.0, 0.2, ...], "kinds": {"rsa-private": [0.0, 0.99, ...], ...}},
          "queues": {"t_s": [0.0, 0.2, ...], "handshakes": [0, 12, ...], "ready service": [0, 12, ...], ...},
          "failures": {"tls: timeout": 7},
          "timeouts": {"connect": 0, "handshake": 7, "transaction": 0, "pong": 0},
          "refused_connections": 0,
          "watchdog_resets": 0,
          "cpu_s_by_kind": {"rsa-private": 98.2, ...},
          "busy_s": 99.8,
          "host_s": 3.1,
          "digest": "5f2c..."
        }
      ]
    }

All times are virtual and count from the moment at which the registrar's power comes back. ``host_s`` is the only figure
that depends on the host: the same seed and options give the same JSON but for it. Lists under ``load`` and ``queues``
are as long as their ``t_s``, at most 600 points or so, each the beginning of a bucket. The load is the fraction 0 to 1
of that bucket that the registrar's CPU spent on a kind (``switch`` are dispatches). The queues are the longest within
the bucket: ``connections`` are accepted and have no TLS yet, ``handshakes`` are those of them that are being worked at,
``ready ...`` the kernel's tasks that could run, by priority.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hil.errors import RackMisuse

VERSION = 1

RANKS = (50, 90, 99, 100)
"""Percent of the phones whose registration is told."""

ALL_REGISTERED, TIME_IS_UP, INTERRUPTED = "all registered", "time is up", "interrupted"
"""How a run can end."""


@dataclass(frozen=True)
class Percentiles:
    """Values that occurred (nearest rank); None where nothing did."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Histogram:
    """``counts[n]`` values lie from ``edges_ms[n]`` up to, but not including, ``edges_ms[n + 1]``."""

    edges_ms: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Handshakes:
    """The TLS handshakes of a storm."""

    count: int
    """Those that gave a phone its connection."""
    failed: int
    """Those that the registrar began in vain: the phone, or the registrar, had lost its patience before the end."""
    wasted_cpu_s: float
    """CPU time that the registrar spent on those."""
    latency_ms: Percentiles
    """As a phone sees it, from its TCP connection attempt to TLS open, successful attempts alone."""
    cpu_ms: Percentiles
    """What a handshake that was not in vain cost the registrar."""
    histogram: Histogram
    """Of the latencies."""


@dataclass(frozen=True)
class Load:
    """The registrar's CPU: fraction of each bucket spent on each kind of work."""

    t_s: tuple[float, ...] = ()
    kinds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class SettingResult:
    """One storm. What each field means is drawn at the top of this file."""

    label: str
    parameters: Mapping[str, Any]
    phones: int
    end_ns: int
    outcome: str
    first_attempt_ns: int | None
    all_registered_ns: int | None
    storm_ns: int | None
    registered_at_end: int
    registration_s: Mapping[str, float | None]
    attempts: int
    handshakes: Handshakes
    registered: tuple[tuple[float, int], ...]
    load: Load
    queues: Mapping[str, tuple[float, ...]]
    failures: Mapping[str, int]
    """Of the phones' attempts, by reason."""
    timeouts: Mapping[str, int]
    """``connect`` and ``handshake``: the registrar did not come to it in time; ``transaction``: no answer to REGISTER
    (timer F, RFC 3261 17.1.2.2); ``pong``: no answer to a keep-alive (RFC 5626 4.4.1)."""
    refused_connections: int
    """By the registrar, because it held as many as it can."""
    watchdog_resets: int
    """Of the registrar and of the phones."""
    cpu_s_by_kind: Mapping[str, float]
    """What the registrar spent, from power to the end."""
    busy_s: float
    """All of that together."""
    host_s: float
    digest: str
    """SHA-256 over the run's trace."""

    @property
    def sentence(self) -> str:
        """How it went, in a few words: ``50 of 50 registered within 101.0 s``."""
        when_ns = self.end_ns if self.all_registered_ns is None else self.all_registered_ns
        return f"{self.registered_at_end} of {self.phones} registered within {when_ns / 1e9:.1f} s"


@dataclass(frozen=True)
class StormResult:
    """One report: several settings, compared."""

    command: str
    """The command that makes it again."""
    seed: int
    settings: tuple[SettingResult, ...]
    interrupted: bool = False
    """Whether some settings are not there, because it was ended before their turn."""
    version: int = VERSION

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def text(self) -> str:
        """The JSON file's content."""
        return json.dumps(self.to_json()) + "\n"


def storm_from_json(data: Any) -> StormResult:
    """Reads a report back. RackMisuse when it is none, or of another version."""
    if not isinstance(data, dict) or data.get("version") != VERSION:
        found = data.get("version") if isinstance(data, dict) else None
        raise RackMisuse(f"storm report of version {found}: must be {VERSION}")
    try:
        settings = tuple(map(_setting_from_json, data["settings"]))
        return StormResult(data["command"], data["seed"], settings, data["interrupted"])
    except (KeyError, TypeError) as error:
        raise RackMisuse(f"storm report is damaged: {error}") from error


def _setting_from_json(data: Mapping[str, Any]) -> SettingResult:
    shakes = data["handshakes"]
    histogram = shakes["histogram"]
    given = dict(data)
    given["handshakes"] = Handshakes(
        shakes["count"],
        shakes["failed"],
        shakes["wasted_cpu_s"],
        Percentiles(**shakes["latency_ms"]),
        Percentiles(**shakes["cpu_ms"]),
        Histogram(tuple(histogram["edges_ms"]), tuple(histogram["counts"])),
    )
    given["registered"] = tuple((t_s, number) for t_s, number in data["registered"])
    kinds = {kind: tuple(values) for kind, values in data["load"]["kinds"].items()}
    given["load"] = Load(tuple(data["load"]["t_s"]), kinds)
    given["queues"] = {name: tuple(values) for name, values in data["queues"].items()}
    return SettingResult(**given)


# -- figures from values


def nearest_rank(ordered: Sequence[float], percent: float) -> float:
    """The smallest of these values (in ascending order) that ``percent`` of them do not exceed."""
    return ordered[max(0, math.ceil(percent * len(ordered) / 100) - 1)]


def percentiles(values: Iterable[float]) -> Percentiles:
    """Of any values, rounded to the microsecond where they are milliseconds."""
    ordered = sorted(values)
    if not ordered:
        return Percentiles()
    return Percentiles(*(round(nearest_rank(ordered, percent), 3) for percent in (50, 90, 99, 100)))


def registration_percentiles(times_s: Iterable[float], phones: int) -> dict[str, float | None]:
    """When so many percent of ``phones`` were registered; None where they never were."""
    ordered = sorted(times_s)
    needed = {percent: math.ceil(percent * phones / 100) for percent in RANKS}
    return {str(percent): ordered[count - 1] if count <= len(ordered) else None for percent, count in needed.items()}


BINS = 40
"""Bars of a histogram, at most; a page shows that many side by side."""

STEPS = (1, 2, 5)


def histogram(values_ms: Sequence[float]) -> Histogram:
    """Bars of one round width (1, 2 or 5 times a power of ten) from 0 to the longest."""
    if not values_ms:
        return Histogram()
    width = _round_width(max(values_ms) / BINS)
    counts = [0] * (int(max(values_ms) // width) + 1)
    for value in values_ms:
        counts[int(value // width)] += 1
    return Histogram(tuple(round(index * width, 6) for index in range(len(counts) + 1)), tuple(counts))


def _round_width(least: float) -> float:
    """The smallest round width that is not below ``least``, 0.1 ms at least."""
    power = 10.0 ** math.floor(math.log10(max(least, 0.1)))
    return next((step * power for step in STEPS if step * power >= least), 10 * power)
