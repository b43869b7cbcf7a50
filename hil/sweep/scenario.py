"""Scenarios: what is done in every case. One of ours by its name, or a function in a file of the user's own.

::

    # phones.py
    def register(case, bench):
        gateway = bench.gateway(case.model)
        gateway.power_on()
        ...
        return {"registered": 17, "slowest_ms": 812.5}

    gatebench sweep phones.py:register --seeds 0:100 --set phones=10,100

A user's file travels as text: every worker, wherever it is, runs what the file said when the sweep began.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from hil.bench import Bench
from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror
from hil.sweep.case import Case, Measured, Value

__all__ = ["BUILT_IN", "Axis", "Function", "Scenario", "scenario_named"]

Function = Callable[[Case, Bench], Mapping[str, Value] | Measured]
"""Runs a case and gives what it measured. An AssertionError is the device's failure, any other exception an error."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A further axis of one of our scenarios: an option of the command, and a column, of its name.

    Attributes:
        default: its one value unless told; None for an axis that is not there unless it is given.
        about: for the command's help.
        checked: gives a value as the scenario spells it. RackMisuse when it is none.
        models: whether its values are board models.
    """

    name: str
    default: str | None
    about: str
    checked: Callable[[str], str]
    models: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that can be sent to a worker.

    Attributes:
        name: as it was given on the command line.
        place: ``module:function``, or ``path/to/file.py:function``.
        source: the text of a user's file; empty for one of ours.
        measures: the values that the summary shows; empty takes the first numbers.
        own_axes: whether it takes axes of its own (``--set``).
        axes_place: ``module:name`` of its further axes, for one of ours; empty where it has none.
        faults: whether there is anything in it that a fault plan could break.
        limit_s: host time that a case may take; None for as long as it likes.
    """

    name: str
    place: str
    source: str = ""
    measures: tuple[str, ...] = ()
    own_axes: bool = False
    axes_place: str = ""
    faults: bool = True
    limit_s: float | None = None

    @property
    def function(self) -> Function:
        """The function itself. RackMisuse when the file cannot be run, or has no such function."""
        place, _, name = self.place.rpartition(":")
        module = _module_from_source(place, self.source) if self.source else importlib.import_module(place)
        found = getattr(module, name, None)
        if not callable(found):
            raise RackMisuse(f"scenario {self.name}: there is no function {name!r} in {place}")
        function: Function = found
        return function

    @property
    def about(self) -> str:
        """What it does, in a sentence; nothing is known of a user's."""
        if self.source:
            return ""
        text = importlib.import_module(self.place.rpartition(":")[0]).__doc__ or ""
        return text.partition("\n")[0]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Its further axes, loaded when somebody asks."""
        if not self.axes_place:
            return ()
        place, _, name = self.axes_place.rpartition(":")
        axes: tuple[Axis, ...] = getattr(importlib.import_module(place), name)
        return axes

    @property
    def fingerprint(self) -> str:
        """Of a user's file: results of another text are not of this scenario."""
        return hashlib.sha256(self.source.encode()).hexdigest()


BUILT_IN = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "certificates",
            "hil.sweep.certificates:certificates",
            measures=("default_ms", "create_ms", "ca_ms", "issue_ms", "handshake_cpu_ms"),
        ),
        Scenario(
            "storm",
            "hil.sweep.storm:storm",
            measures=("all_registered_s", "handshake_p99_ms", "attempts_in_vain", "load_mean_percent"),
            axes_place="hil.sweep.storm:AXES",
            faults=False,
        ),
    )
}
"""Ours, by name: another is one more line."""


def scenario_named(text: str) -> Scenario:
    """One of ours, or a user's, looked at already: it can be loaded here.

    Raises:
        RackMisuse: there is no such scenario, or the file has no such function.
        EnvironmentRefused: the file cannot be read.
    """
    if text in BUILT_IN:
        return BUILT_IN[text]
    path, _, name = text.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise RackMisuse(f"scenario {text!r}: must be {', '.join(BUILT_IN)}, or path/to/file.py:function")
    try:
        source = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = reason_from_oserror(error) if isinstance(error, OSError) else "is not UTF-8"
        raise EnvironmentRefused(f"scenario file {path}: {reason}") from error
    # A text is needed to be told from one of ours; an empty file has no function anyway.
    scenario = Scenario(text, f"{path}:{name}", source or "\n", own_axes=True)
    _ = scenario.function
    return scenario


@lru_cache(maxsize=8)
def _module_from_source(path: str, source: str) -> ModuleType:
    """Runs a file's text as a module, once per process. What lies beside the file can be imported, where there is such
    a place."""
    name = f"gatebench_scenario_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    module = ModuleType(name)
    module.__file__ = path
    folder = str(Path(path).resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise RackMisuse(f"scenario file {path}: {type(error).__name__}: {error}") from error
    return module
