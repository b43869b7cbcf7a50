"""Board models of a sweep: ours by name, or files of the user's, whose content travels with each case.

::

    lab.toml, costs/lab.toml  --read once-->  ModelFile --with the case-->  a folder of the worker's  -->  case.model
                                                  |
                                                  +--> sha256: in the row, and in the journal

Workers elsewhere so need no such file, and one that is changed in the middle of a sweep changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from board import Model
from board.costs import CostTable
from hil.models import is_model_file, model_from_text
from hil.record.modelfiles import laid_out, model_facts, model_from_facts
from hil.sweep.case import Case

__all__ = ["MODEL", "ModelFile", "case_here", "model_file_from"]

MODEL = "model"
"""The axis that every sweep has; scenarios may have more that name models."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model of the user's, ready to be sent.

    Attributes:
        facts: its files, as a record has them.
        sha256: of the figures that they state: remarks and sources make no difference.
    """

    facts: Mapping[str, Any]
    sha256: str


def model_file_from(name: str) -> ModelFile | None:
    """What must be sent of a model; nothing of ours. RackMisuse when there is none."""
    model = model_from_text(name)
    if not is_model_file(name):
        return None
    facts = model_facts(model, name)
    # Of what is sent, should the file have been changed this very moment.
    sent = model_from_facts(facts)
    return ModelFile(facts, hashlib.sha256(f"{_figures(sent)}{_figures(sent.costs)}".encode()).hexdigest())


def case_here(case: Case) -> Case:
    """The case as its scenario gets it: files of models are named by where they are on this machine."""
    paths = {axis: _path_here(json.dumps(file.facts)) for axis, file in case.files.items()}
    if not paths:
        return case
    extra = tuple((name, paths.get(name, text)) for name, text in case.extra)
    return replace(case, model=paths.get(MODEL, case.model), extra=extra)


@cache
def _folder(content: str) -> tempfile.TemporaryDirectory[str]:
    """One per content and process: boards remember cost tables by their path. It goes when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="gatebench-model-", ignore_cleanup_errors=True)
    laid_out(json.loads(content), Path(folder.name))
    return folder


def _path_here(content: str) -> str:
    return str(Path(_folder(content).name) / json.loads(content)["model"])


def _figures(table: Model | CostTable) -> str:
    """What a model or a cost table says, without where it was published."""
    names = [part.name for part in fields(table) if part.compare and part.name not in ("sources", "assumed", "costs")]
    return repr([(name, getattr(table, name)) for name in names])
