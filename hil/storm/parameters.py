"""What a storm is made of, as a planner states it, checked before anything is built."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from hil.errors import RackMisuse
from hil.models import model_from_text

KEY_BITS = (1024, 2048, 4096)
HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
PROFILES = ("v11", "modern", "legacy")
CUTS = ("all", "registrar")
AT_ONCE, SPREAD, BACKOFF = "at-once", "spread", "backoff"

MOST_PHONES = 1_000
"""As many device entries as a registrar keeps, and as many boards as one process was made for."""

LONGEST_SPREAD_S = 3_600
LONGEST_RUN_S = 86_400
LONGEST_LATENCY_MS = 1_000
"""One way; a geostationary satellite takes 250 ms."""

MOST_LOSS = 0.5
"""With more than that nothing of TCP is left."""

DEFAULT_LIMIT_S = 600
"""How long a storm may take when nobody said: a planner whose phones are off for longer has his answer."""

AFTERGLOW_S = 60
"""How long it is looked on after the last one is registered: keep-alives come after 30 s or so."""

MOST_SETTINGS = 24
"""Compared on one page: more nobody reads."""


@dataclass(frozen=True)
class Parameters:
    """One setting of a storm. RackMisuse names a value that cannot be, and the limit.

    Attributes:
        key: bits of the registrar's key.
        phone_key: bits of each phone's key.
        hash: in the signatures of all device certificates.
        mutual: whether the registrar demands the phones' certificates.
        cut: who was without power: ``all``, or the ``registrar`` alone, while the phones were registered.
        arrival: ``at-once``: every phone tries as soon as it can, and after a failure every ten seconds;
            ``spread:SECONDS``: the first time at random within that time; ``backoff``: at once, and after each failure
            later, as RFC 5626 4.5 has it.
        share: percent of the CPU that background work may take.
        line: how many phones may stand in the registrar's line for a handshake, more are sent away at once; 0: as many
            as it can serve before they lose patience.
        loss: probability that a packet is lost, 0 to 0.5.
        latency_ms: one way.
        for_s: how long the run goes on; None: until all are registered and a minute more, ten minutes at most.
    """

    phones: int = 50
    key: int = 1024
    phone_key: int = 1024
    hash: str = "sha256"
    mutual: bool = True
    profile: str = "v11"
    model: str = "ip800"
    phone_model: str = "ip232"
    cut: str = "all"
    arrival: str = AT_ONCE
    share: int = 50
    line: int = 0
    loss: float = 0.0
    latency_ms: float = 0.1
    for_s: float | None = None

    def __post_init__(self) -> None:
        _within("phones", self.phones, 1, MOST_PHONES)
        _one_of("key", self.key, KEY_BITS)
        _one_of("phone-key", self.phone_key, KEY_BITS)
        _one_of("hash", self.hash, HASHES)
        _one_of("profile", self.profile, PROFILES)
        for model in (self.model, self.phone_model):
            model_from_text(model)
        _one_of("cut", self.cut, CUTS)
        arrival_from_text(self.arrival)
        _within("share", self.share, 1, 100)
        _within("line", self.line, 0, MOST_PHONES)
        _within("loss", self.loss, 0, MOST_LOSS)
        _within("latency-ms", self.latency_ms, 0.001, LONGEST_LATENCY_MS)
        if self.for_s is not None:
            _within("for", self.for_s, 1, LONGEST_RUN_S)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def limit_s(self) -> float:
        """When the run ends at the latest."""
        return DEFAULT_LIMIT_S if self.for_s is None else self.for_s


def arrival_from_text(text: str) -> tuple[str, float]:
    """How phones come after power is back, and within how many seconds. RackMisuse when there is no such way."""
    if text in (AT_ONCE, BACKOFF):
        return text, 0.0
    found = re.fullmatch(r"spread:(\d{1,5}(?:\.\d{1,3})?)", text)
    if found is None:
        raise RackMisuse(f"arrival {text!r}: must be at-once, spread:SECONDS or backoff")
    seconds = float(found[1])
    _within("arrival spread", seconds, 1, LONGEST_SPREAD_S)
    return SPREAD, seconds


def variations(base: Parameters, axes: Mapping[str, Sequence[Any]]) -> list[tuple[str, Parameters]]:
    """Every combination of the values of the axes, each with the label that sets it apart.

    RackMisuse when there are more than a page can compare, or the same one twice.
    """
    settings = list(_combinations(base, axes))
    if len(settings) > MOST_SETTINGS:
        raise RackMisuse(f"{len(settings)} settings to compare, limit {MOST_SETTINGS}")
    varying = [name for name, values in axes.items() if len(values) > 1] or ["key", "hash"]
    labels = [", ".join(_shown(name, getattr(setting, name)) for name in varying) for setting in settings]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise RackMisuse(f"setting {twice} is asked for twice")
    return list(zip(labels, settings, strict=True))


def _combinations(base: Parameters, axes: Mapping[str, Sequence[Any]]) -> Iterator[Parameters]:
    for values in itertools.product(*axes.values()):
        yield replace(base, **dict(zip(axes, values, strict=True)))


def _shown(name: str, value: Any) -> str:
    if name == "key":
        return f"{value}-bit"
    if name == "mutual":
        return "mutual" if value else "server only"
    if name == "line":
        return f"a line of {value}" if value else "a line it can serve"
    return str(value)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # a NaN is not either
        raise RackMisuse(f"{name} {value:g}: must be {least:g} to {most:g}")


def _one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise RackMisuse(f"{name} {value}: must be one of {', '.join(map(str, allowed))}")
