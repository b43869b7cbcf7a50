"""A storm in every setting: all phones of a registrar come back at once, and a planner gets a row for each.

A case is what ``gatebench storm`` does with one setting, to its last event: the digests are the same. The registrar's
model, key and hash are the sweep's own axes; the others are below, called as there. Phones have their keys from the
seed, so that settings of one seed differ in nothing else.

What is measured, all times from the moment at which the registrar's power comes back:

================================  ======================================================================================
``verdict``                       how it went, in the words of the storm's page
``registered``                    phones that were registered at the end
``all_registered_s``              when the last one was, for the first time; none where some never were
``registered_50_s``, ``_90_`` ..  when so many percent were
``storm_s``                       from the first attempt until all were registered
``handshakes``                    those that gave a phone its connection
``handshake_p50_ms`` ..           how long they took, as the phones see it; ``_cpu_ms``: the registrar's part of one
``attempts``, ``_in_vain``        of phones to connect; those that gave them no TLS connection
``handshakes_in_vain``            begun by the registrar, given up by either side; ``in_vain_cpu_s``: what that cost
``timeouts``, ``timeouts_ ..``    all, and by what was waited for
``peak_ ..``                      the longest that each queue was
``load_mean_percent``             of the registrar's CPU, from the first attempt until all were registered; ``_peak_``
``busy_s``, ``busy_ .. _s``       how long it worked, all in all and by kind
================================  ======================================================================================

A storm that does not get everybody registered in its time has failed; its figures are told all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any

from hil.bench import Bench
from hil.errors import RackMisuse
from hil.storm import Parameters, SettingResult
from hil.storm.keys import Keys, find_keys
from hil.storm.page.figures import Figures
from hil.storm.run import run_storm
from hil.storm.world import key_names
from hil.sweep.case import Case, Measured, Value
from hil.sweep.scenario import Axis

__all__ = ["AXES", "parameters_from", "storm", "values_from"]

_keys: Keys = {}
"""Those of the latest seed: its settings follow one another, and most of them need the same."""


def storm(case: Case, bench: Bench) -> Measured:
    """Lets the storm of a case pass, in a world that it builds itself."""
    parameters = parameters_from(case)
    if any(name.seed != case.seed for name in _keys):
        _keys.clear()
    find_keys(key_names(parameters, case.seed), _keys, jobs=1)
    setting = run_storm(case.repeat, parameters, case.seed, _keys)
    failure = ""
    if setting.all_registered_ns is None:
        failure = f"not all phones were registered within {parameters.limit_s:g} s"
    return Measured(values_from(setting), setting.end_ns, setting.digest, failure)


def parameters_from(case: Case) -> Parameters:
    """The setting that a case stands for."""
    given = {name: KINDS[name](text) for name, text in case.extra}
    return Parameters(model=case.model, key=case.key_bits, hash=case.hash.lower(), **given)


def values_from(setting: SettingResult) -> dict[str, Value]:
    """A storm's result as columns; what did not happen has no value."""
    return {name: value for name, value in _values(setting) if value is not None}


def _values(setting: SettingResult) -> Iterator[tuple[str, Value | None]]:
    figures = Figures(1, setting)
    yield "verdict", figures.verdict.words
    yield "registered", setting.registered_at_end
    yield "all_registered_s", figures.all_s
    yield from ((f"registered_{rank}_s", value) for rank, value in setting.registration_s.items() if rank != "100")
    yield "storm_s", _seconds(setting.storm_ns)
    shakes = setting.handshakes
    yield "handshakes", shakes.count
    for rank in ("p50", "p90", "p99", "max"):
        yield f"handshake_{rank}_ms", getattr(shakes.latency_ms, rank)
    yield "handshake_cpu_ms", shakes.cpu_ms.p50
    yield "attempts", setting.attempts
    yield "attempts_in_vain", figures.fruitless
    yield "handshakes_in_vain", shakes.failed
    yield "in_vain_cpu_s", shakes.wasted_cpu_s
    yield "timeouts", sum(setting.timeouts.values())
    yield from ((f"timeouts_{what}", count) for what, count in setting.timeouts.items())
    yield "refused_connections", setting.refused_connections
    yield "watchdog_resets", setting.watchdog_resets
    for name in sorted(setting.queues.keys() - {"t_s"}):
        yield f"peak_{_column(name)}", round(max(setting.queues[name], default=0))
    yield "load_mean_percent", _percent(figures.load_mean)
    yield "load_peak_percent", _percent(figures.load_peak)
    yield "busy_s", setting.busy_s
    yield from ((f"busy_{_column(kind)}_s", spent_s) for kind, spent_s in sorted(setting.cpu_s_by_kind.items()))


def _column(name: str) -> str:
    return name.replace(" ", "_").replace("-", "_")


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / 1e9


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 2)


# -- axes


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


KINDS: dict[str, Callable[[str], Any]] = {
    "phones": int,
    "phone_key": int,
    "mutual": _truth,
    "profile": str,
    "phone_model": str,
    "cut": str,
    "arrival": str,
    "share": int,
    "line": int,
    "loss": float,
    "latency_ms": float,
    "for_s": float,
}
"""The settings of a storm that are axes of this scenario, and what makes a value of a text."""

ABOUT = {
    "phones": "how many, 1 to 1000",
    "phone_key": "of the phones' keys: 1024, 2048, 4096",
    "mutual": "true: phones must show certificates; false: only the registrar shows one",
    "profile": "of TLS: v11, modern, legacy",
    "phone_model": "the phones: models, or model files",
    "cut": "who had no power: all, registrar",
    "arrival": "at-once, spread:SECONDS, backoff",
    "share": "percent of the CPU for background work",
    "line": "phones that may wait for a handshake, more are sent away; 0: as the registrar sees fit",
    "loss": "probability that a packet is lost, 0 to 0.5",
    "latency_ms": "of the network, one way",
    "for_s": "virtual time of a storm (default: a minute past the last, 600 at most)",
}

WHAT = {int: "a whole number", float: "a number", _truth: "true or false"}


def _checked(name: str, text: str) -> str:
    kind = KINDS[name]
    try:
        value = kind(text)
    except ValueError as error:
        raise RackMisuse(f"{name.replace('_', '-')} {text}: must be {WHAT[kind]}") from error
    Parameters(**{name: value})
    return _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _axis(name: str) -> Axis:
    """Its default is the storm's; what has none there is no axis unless given."""
    (default,) = (field.default for field in fields(Parameters) if field.name == name)
    text = None if default is None else _text(default)
    return Axis(name, text, ABOUT[name], partial(_checked, name), models=name == "phone_model")


AXES = tuple(map(_axis, KINDS))
