"""Writing board models: a calibrated model and its cost table, as files that ``board/model.py`` reads."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from board import Model
from board.model import MODELS, model_from_file
from hil.calibrate import Calibration
from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")

KEPT = ("rsa_private", "keygen", "handshake")
"""Sections that are fitted; all others are the base's, scaled where the clock rate is known."""


def save_model(calibration: Calibration, path: Path, source: str) -> Model:
    """Writes ``path`` and, in ``costs`` beside it, the cost table of the same name; both or none.

    Args:
        source: where the figures come from, for the files.

    Raises:
        RackMisuse: the name is none for a model.
        EnvironmentRefused: the files cannot be written.
    """
    name = path.stem
    if path.suffix != ".toml" or not NAME.fullmatch(name):
        raise RackMisuse(f"model file {path}: must be called NAME.toml, in lower-case letters, digits, - and _")
    try:
        return _write(calibration, path, name, source)
    except OSError as error:
        raise EnvironmentRefused(f"model file {path}: cannot be written: {reason_from_oserror(error)}") from error


def _write(calibration: Calibration, path: Path, name: str, source: str) -> Model:
    folder = path.parent
    with tempfile.TemporaryDirectory(prefix=".calibrate-", dir=folder) as draft_name:
        draft = Path(draft_name)
        (draft / "costs").mkdir()
        table, model = draft / "costs" / f"{name}.toml", draft / f"{name}.toml"
        table.write_text(toml_text(_cost_table(calibration, name, source)), encoding="utf-8")
        model.write_text(toml_text(_model(calibration, name, source)), encoding="utf-8")
        made = model_from_file(model)  # what cannot be read back is not left behind
        (folder / "costs").mkdir(exist_ok=True)
        os.replace(table, folder / "costs" / table.name)
        os.replace(model, path)
    return made


def _cost_table(calibration: Calibration, name: str, source: str) -> dict[str, Any]:
    base = calibration.base.costs
    table = tomllib.loads((MODELS / "costs" / f"{base.name}.toml").read_text(encoding="utf-8"))
    private = dict(calibration.private)
    if len(private) == 1:
        # One length alone is no table: the base's other lengths go with it, in proportion.
        ((bits, cycles),) = private.items()
        factor = cycles / base.rsa_private(bits)
        private = {other: round(factor * base.rsa_private(other)) for other in base.private_by_bits} | private
    for section, values in table.items():
        if isinstance(values, dict) and section not in KEPT:
            table[section] = _scaled(values, calibration.scale)
    by_bits = {str(bits): cycles for bits, cycles in sorted(private.items())}
    table["name"] = name
    table["rsa_private"] = {"source": source, **by_bits}
    table["keygen"] = {"source": "half of rsa_private", **{bits: max(1, n // 2) for bits, n in by_bits.items()}}
    table["handshake"] = {"source": source, "assumed": not calibration.fixed_fitted, "cycles": calibration.handshake}
    return table


def _scaled(section: Mapping[str, Any], scale: float) -> dict[str, Any]:
    if scale == 1.0:
        return dict(section)
    scaled = {key: max(1, round(value * scale)) if type(value) is int else value for key, value in section.items()}
    return {**scaled, "source": f"{section['source']}; times {scale:.4f}"}


def _model(calibration: Calibration, name: str, source: str) -> dict[str, Any]:
    base = calibration.base.name
    model = tomllib.loads((MODELS / f"{base}.toml").read_text(encoding="utf-8"))
    model["name"] = name
    model["description"] = f"{base} with the cpu calibrated"
    model["cpu"] = {**model["cpu"], "mhz": calibration.mhz, "cost_table": name}
    origins = {"cpu.cost_table": source}
    if calibration.mhz_known:
        origins["cpu.mhz"] = "given at calibration"
    model["assumed"] = [figure for figure in model["assumed"] if figure not in origins]
    model["sources"] = {**model.get("sources", {}), **origins}
    if not calibration.mhz_known and "cpu.mhz" not in model["assumed"]:
        model["sources"].pop("cpu.mhz", None)
        model["assumed"].append("cpu.mhz")
    return model


def toml_text(values: Mapping[str, Any]) -> str:
    """Plain values, lists of texts, and tables of these, as TOML."""
    lines = [_assignment(key, value) for key, value in values.items() if not isinstance(value, dict)]
    for key, table in values.items():
        if isinstance(table, dict):
            lines += ["", f"[{_key(key)}]", *(_assignment(name, value) for name, value in table.items())]
    return "\n".join(lines) + "\n"


def _assignment(key: str, value: Any) -> str:
    # Texts and lists of them are written the same way in JSON; so are true, false and numbers.
    return f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)
