"""Board models as people name them: one of ours by its name, or a file of their own."""

from __future__ import annotations

from pathlib import Path

from board import Model, ModelError, model_named
from board.model import model_from_file
from hil.errors import RackMisuse

__all__ = ["is_model_file", "model_from_text"]


def is_model_file(text: str) -> bool:
    """Whether that names a file and not a model of ours."""
    return text.endswith(".toml")


def model_from_text(text: str) -> Model:
    """The model of that name (``ip800``), or in that file (``./lab.toml``). RackMisuse when there is none."""
    if is_model_file(text):
        try:
            return model_from_file(Path(text))
        except ModelError as error:
            raise RackMisuse(str(error)) from error
    try:
        return model_named(text)
    except ModelError as error:
        raise RackMisuse(f"{error}, or the path of a model file, such as ./lab.toml") from error
