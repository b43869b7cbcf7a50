"""The grid: which cases a sweep has, from the axes as they are typed.

Every axis is a list, and every combination of their values is a case. Seeds change slowest: what is there when a sweep
is broken off is whole grids of the first seeds, rather than one model with all of them.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from firmware.x509.key import KEY_BITS
from firmware.x509.oid import HASHES
from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror
from hil.models import model_from_text
from hil.sweep.case import NO_FAULTS, Case, FaultPlan, option_of_axis
from hil.sweep.models import MODEL, ModelFile, model_file_from
from hil.sweep.scenario import Axis
from hil.sweep.work import RESERVED

__all__ = ["Grid", "grid_from_texts", "seeds_from_text"]

MOST_CASES = 1_000_000
"""A row takes half a kilobyte, a case a fifth of a second: more is a mistyped axis."""


@dataclass(frozen=True)
class Grid:
    """All cases of a sweep.

    Attributes:
        faults: plans by name, as they were named.
        extra: further axes by name, their values as they were typed.
        inputs: files that the cases depend on, with what tells their contents apart.
        files: model files by name, as they were named.
        model_axes: axes whose values are models.
    """

    scenario: str
    seeds: Sequence[int]
    models: Sequence[str]
    keys: Sequence[int]
    hashes: Sequence[str]
    faults: dict[str, FaultPlan | None]
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    files: dict[str, ModelFile] = field(default_factory=dict)
    model_axes: tuple[str, ...] = (MODEL,)

    def __len__(self) -> int:
        count = len(self.seeds) * len(self.models) * len(self.keys) * len(self.hashes) * len(self.faults)
        for values in self.extra.values():
            count *= len(values)
        return count

    def __iter__(self) -> Iterator[Case]:
        extras = [tuple(zip(self.extra, values, strict=True)) for values in itertools.product(*self.extra.values())]
        for seed, model, key_bits, hash_, (faults, plan), extra in itertools.product(
            self.seeds, self.models, self.keys, self.hashes, self.faults.items(), extras
        ):
            files = self._files(((MODEL, model), *extra)) if self.files else {}
            digests = tuple((axis, file.sha256) for axis, file in files.items())
            yield Case(self.scenario, seed, model, key_bits, hash_, faults, extra, digests, plan, files)

    def _files(self, point: Sequence[tuple[str, str]]) -> dict[str, ModelFile]:
        return {axis: self.files[name] for axis, name in point if axis in self.model_axes and name in self.files}


def grid_from_texts(
    scenario: str,
    *,
    seeds: str = "0:10",
    models: str = "ip800",
    keys: str = "1024",
    hashes: str = "SHA256",
    faults: str = NO_FAULTS,
    settings: Sequence[str] = (),
    own: Mapping[Axis, str | None] | None = None,
) -> Grid:
    """The grid of axes as they are typed; files that they name are read.

    Args:
        settings: axes of a user's scenario, ``name=value,value``.
        own: axes of one of our scenarios, with their values; None for one that is not there.

    Raises:
        RackMisuse: a value is none of its axis, or the grid is too large; the text says which and why.
        EnvironmentRefused: a file cannot be read.
    """
    inputs: dict[str, str] = {}
    files: dict[str, ModelFile] = {}
    model_axes = tuple(axis.name for axis in own or {} if axis.models)
    extra = _extra(settings) | _own(own or {})
    for axis in model_axes:
        for name in extra.get(axis, ()):
            _model(name, files, inputs)
    grid = Grid(
        scenario,
        seeds_from_text(seeds),
        [_model(name, files, inputs) for name in _values(models, "--models")],
        [_key_bits(text) for text in _values(keys, "--keys")],
        [_hash(text) for text in _values(hashes, "--hashes")],
        {name: _plan(name, inputs) for name in _values(faults, "--faults")},
        extra,
        inputs,
        files,
        (MODEL, *model_axes),
    )
    slotless = [model for model in grid.models if not model_from_text(model).has_slot]
    if slotless and any(plan is not None for plan in grid.faults.values()):
        raise RackMisuse(f"--faults {faults}: {slotless[0]} has no card slot")
    if len(grid) > MOST_CASES:
        raise RackMisuse(f"a grid of {len(grid):,} cases: at most {MOST_CASES:,}")
    return grid


def seeds_from_text(text: str) -> list[int]:
    """Seeds from ``17``, ``1,2,7``, ``0:100`` (100 is not among them) or ``0:100:10``; each once."""
    seeds: dict[int, None] = {}
    for part in _values(text, "--seeds"):
        found = re.fullmatch(r"([0-9]{1,18})(?::([0-9]{1,18})(?::([0-9]{1,18}))?)?", part)
        first, end, step = (None if group is None else int(group) for group in found.groups()) if found else (0, 0, 0)
        if first is None or step == 0 or (end is not None and end <= first):
            raise RackMisuse(
                f"--seeds {part}: must be N, FIRST:END or FIRST:END:STEP, in whole numbers, END above FIRST"
            )
        chosen = range(first, first + 1 if end is None else end, step or 1)
        if len(chosen) > MOST_CASES:
            raise RackMisuse(f"--seeds {part}: {len(chosen):,} seeds, at most {MOST_CASES:,}")
        seeds.update(dict.fromkeys(chosen))
    return list(seeds)


def _values(text: str, option: str) -> list[str]:
    """The values of a list, each once, in their order."""
    values = [value.strip() for value in text.split(",")]
    if not all(values):
        raise RackMisuse(f"{option} {text!r}: must be values with commas between them, none of them empty")
    return list(dict.fromkeys(values))


def _key_bits(text: str) -> int:
    if text not in map(str, KEY_BITS):
        raise RackMisuse(f"--keys {text}: must be of {', '.join(map(str, KEY_BITS))}")
    return int(text)


def _hash(text: str) -> str:
    if text.lower() not in HASHES:
        raise RackMisuse(f"--hashes {text}: must be of {', '.join(name.upper() for name in HASHES)}")
    return text.upper()


def _model(name: str, files: dict[str, ModelFile], inputs: dict[str, str]) -> str:
    """The model as it was named; its file, where it is one, is read and noted."""
    file = model_file_from(name)
    if file is not None:
        files[name] = file
        inputs[name] = file.sha256
    return name


def _plan(name: str, inputs: dict[str, str]) -> FaultPlan | None:
    if name == NO_FAULTS:
        return None
    from hil.faultplan import fault_plan_from_file

    try:
        inputs[name] = _fingerprint(Path(name).read_bytes())
    except OSError as error:
        raise EnvironmentRefused(f"fault plan {name}: {reason_from_oserror(error)}") from error
    plan: FaultPlan = fault_plan_from_file(name)
    return plan


def _extra(settings: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Further axes from ``name=value,value``."""
    extra: dict[str, tuple[str, ...]] = {}
    for setting in settings:
        name, equals, values = setting.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
            raise RackMisuse(f"--set {setting}: must be NAME=VALUE,VALUE, the name of letters, digits and underscores")
        if name in RESERVED:
            raise RackMisuse(f"--set {setting}: every row has a column {name} already")
        if name in extra:
            raise RackMisuse(f"--set {setting}: {name} is given twice")
        extra[name] = tuple(_values(values, f"--set {name}"))
    return extra


def _own(axes: Mapping[Axis, str | None]) -> dict[str, tuple[str, ...]]:
    """Further axes of one of our scenarios."""
    found = {}
    for axis, text in axes.items():
        if text is not None:
            # As the scenario spells them: 0.10 and 0.1 are one case.
            found[axis.name] = tuple(dict.fromkeys(map(axis.checked, _values(text, option_of_axis(axis.name)))))
    return found


def _fingerprint(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
