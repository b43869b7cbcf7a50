"""Model files of the user's, as texts: what a record keeps of a model, and a sweep sends to its workers.

A model is two files, its own and its cost table, where that is not one of ours::

    {"model": "lab.toml", "files": {"lab.toml": "...", "costs/lab.toml": "..."}}
    {"model": "ip800"}                                                              one of ours: its name is enough
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from board import Model, ModelError, model_named
from hil.errors import EnvironmentRefused
from hil.models import is_model_file

__all__ = ["laid_out", "model_facts", "model_from_facts"]


def model_facts(model: Model, source: str) -> dict[str, Any]:
    """The model's name, or the files of one of the user's own."""
    if not is_model_file(source):
        return {"model": model.name}
    path = Path(source)
    table = path.parent / "costs" / f"{model.costs.name}.toml"
    files = {path.name: path.read_text(encoding="utf-8")}
    if table.is_file():
        files[f"costs/{table.name}"] = table.read_text(encoding="utf-8")
    return {"model": path.name, "files": files}


def model_from_facts(facts: Mapping[str, Any]) -> Model:
    """The model that is meant. EnvironmentRefused when there is none of that name here."""
    from board.model import model_from_file

    try:
        if "files" not in facts:
            return model_named(facts["model"])
        with tempfile.TemporaryDirectory() as name:
            return model_from_file(laid_out(facts, Path(name)))
    except ModelError as error:
        raise EnvironmentRefused(str(error)) from error


def laid_out(facts: Mapping[str, Any], folder: Path) -> Path:
    """Writes the files of a model of the user's into an empty folder; gives the path of the model's own."""
    (folder / "costs").mkdir()
    for place, text in facts["files"].items():
        _below(folder, place).write_text(text, encoding="utf-8")
    return folder / str(facts["model"])


def _below(folder: Path, place: str) -> Path:
    path = (folder / place).resolve()
    if path.parent not in (folder.resolve(), folder.resolve() / "costs"):
        raise ValueError(f"file {place!r} of a model")
    return path
