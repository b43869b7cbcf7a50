"""Which figures of the gateway's CPU a result rests on, and which of them nobody ever published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from board import Model
from board.costs import CostTable
from firmware.admin.markup import Markup, element, join
from hil.errors import RackMisuse
from hil.models import model_from_text
from hil.storm.page.figures import Figures
from hil.storm.page.plot import table
from hil.storm.page.units import count, duration

FIXED = {
    "handshake": "TLS records, key derivation, state",
    "certificate": "reading a certificate",
    "switch": "switching tasks",
    "parse_per_byte": "reading a byte of SIP",
}

Row = tuple[str, int, str, bool]
"""(what, cycles, source, whether it is assumed)."""


def models_of(everyone: Iterable[Figures], parameter: str) -> dict[str, Model | None]:
    """The models that settings name there, in their order; None for one whose file is not to be had here."""
    names = dict.fromkeys(str(each.setting.parameters.get(parameter, "")) for each in everyone)
    return {name: _model(name) for name in names if name}


def _model(name: str) -> Model | None:
    try:
        return model_from_text(name)
    except RackMisuse:
        return None


def clock_words(models: Iterable[Model | None]) -> str:
    """What a reader must know of the clock rates before he reads seconds; empty when all were published or measured."""
    known = [model for model in models if model is not None]
    # A calibrated table has a source: its seconds are a real box's, whatever the clock rate that they are counted at.
    assumed = [model for model in known if "cpu.mhz" in model.assumed and "cpu.cost_table" not in model.sources]
    if not assumed:
        return ""
    rates = " and ".join(f"{model.product} at {model.hz // 1_000_000} MHz" for model in assumed)
    return (
        f"Seconds rest on an assumed CPU, {rates}: nobody published its clock rate. Trust the ratios between settings; "
        "for seconds of your own, fit the model to a measured box with gatebench calibrate."
    )


def model_section(name: str, model: Model | None, bits: Sequence[int], hashes: Sequence[str]) -> Markup:
    """One model: its clock rate and what work costs it, each with its source or the word that it is assumed."""
    if model is None:
        return element("p", f"Model {name}: its file is not to be had here, so its figures cannot be shown.")
    origin = "assumed" if "cpu.mhz" in model.assumed else model.sources.get("cpu.mhz", "")
    title = element("h3", f"{model.product}: {model.hz // 1_000_000} MHz ", _tag("cpu.mhz" in model.assumed))
    rows = [_row(row, model.hz) for row in _rows(model.costs, bits, hashes)]
    caption = f"What work costs its CPU (table {model.costs.name})"
    return join(
        title,
        element("p", f"{model.description}. Clock rate: {origin}."),
        table(["Work", "CPU cycles", "Time", "Where the figure comes from"], rows, caption, "costs"),
    )


def _rows(costs: CostTable, bits: Sequence[int], hashes: Sequence[str]) -> Iterator[Row]:
    for title, section, cost in (
        ("private key operation", "rsa_private", costs.rsa_private),
        ("public key operation", "rsa_public", costs.rsa_public),
    ):
        for length in bits:
            yield f"RSA {length} bit, {title}", cost(length), costs.sources[section], section in costs.assumed
    for name in hashes:
        if name in costs.digest_per_byte:
            per_kib = costs.digest_per_byte[name] * 1_024
            yield f"{name.upper()}, 1 KiB", per_kib, costs.sources["digest"], "digest" in costs.assumed
    for name, words in FIXED.items():
        yield words, getattr(costs, name), costs.sources[name], name in costs.assumed


def _row(row: Row, hz: int) -> list[Markup | str]:
    what, cycles, source, assumed = row
    where = join(_tag(assumed), source) if assumed else source
    return [what, element("data", count(cycles), value=cycles), duration(cycles / hz), element("span", where)]


def _tag(assumed: bool) -> Markup | None:
    return join(element("b", "assumed", class_="tag"), " ") if assumed else None
