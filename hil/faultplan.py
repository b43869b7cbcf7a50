"""A fault plan: one TOML file that says what goes wrong with the card, and when.

::

    name = "worn"                  # what records call it; the file's name unless told

    [[fault]]                      # any number of these, looked at in this order
    fault = "pull"                 # what happens (cfcard/rules.py lists all); "error" unless told
    event = "write"                # at which event: read, write, flush; the fault's own unless told
    at = 40                        # the 40th such event, sectors counted one by one; 1 unless told

    [[fault]]
    event = "read"
    sector = [96, 127]             # only at these sectors, or at one: sector = 96
    errno = "EIO"
    once = false                   # at this and all later ones
    probability = 0.25             # drawn from the bench's seed
    state = 2                      # only in this state; new_state = 2 in another rule leads there

A plan that cannot be is refused in one line, with file, rule, key, value and what is allowed::

    worn.toml: fault 2 (error): at = 0: must be from 1 to 1.09951e+12
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfcard.rules import Event, Fault, Rule, RuleError, error_number, keys_of, shown
from hil.errors import EnvironmentRefused, RackMisuse, lowered, reason_from_oserror

if TYPE_CHECKING:
    from hil.cardfaults import CardFaults
    from hil.gateway import Gateway

MOST_RULES = 1_000
"""Each is looked at for each sector."""

LARGEST_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class FaultPlan:
    """Rules under a name. It can be applied to any number of gateways, and repeats with their bench's seed."""

    name: str
    rules: tuple[Rule, ...]

    def apply(self, gateway: Gateway) -> CardFaults:
        """Arms its rules on the gateway's card slot, in place of what was armed there, for whichever card is in.

        Gives the gateway's ``faults``, whose ``fired`` tells afterwards what happened when. RackMisuse when one of the
        rules cannot be armed now; then nothing has changed.
        """
        gateway.faults.replace(self.rules)
        return gateway.faults


def fault_plan_from_file(path: str | Path) -> FaultPlan:
    """The plan in a TOML file. RackMisuse when it is none, or empty; EnvironmentRefused when it cannot be read."""
    place = Path(path)
    try:
        with place.open("rb") as file:
            raw = file.read(LARGEST_FILE_BYTES + 1)
        if len(raw) > LARGEST_FILE_BYTES:
            raise RackMisuse(f"{place.name}: longer than {LARGEST_FILE_BYTES} bytes, no fault plan")
        text = raw.decode("utf-8")
    except OSError as error:
        raise EnvironmentRefused(f"fault plan {place}: cannot be read: {reason_from_oserror(error)}") from error
    except UnicodeDecodeError as error:
        raise RackMisuse(f"{place.name}: is not UTF-8, byte {error.start}") from error
    plan = fault_plan_from_toml(text, place.name)
    if not plan.rules:
        # Whoever names a file means something by it; a running board is disarmed with an empty text all the same.
        raise RackMisuse(f"{place.name}: holds no rule: at least one [[fault]] makes a plan")
    return plan


def fault_plan_from_toml(text: str, source: str = "fault plan") -> FaultPlan:
    """The plan in a text. ``source`` is what errors call it. RackMisuse when it is none."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of more digits than Python reads are a plain ValueError
        raise RackMisuse(f"{source}: is not TOML: {lowered(' '.join(str(error).split()))}") from error
    return fault_plan_from_values(values, source)


def fault_plan_from_json(text: str, source: str = "fault plan") -> FaultPlan:
    """The same in JSON: ``{"fault": [{...}]}``, or the list alone, or one rule. RackMisuse when it is none."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RackMisuse(f"{source}: is not JSON: {lowered(str(error))}") from error
    if isinstance(values, list):
        values = {"fault": values}
    if not isinstance(values, dict):
        raise RackMisuse(f"{source}: must be an object or a list of them")
    # One rule has its fault's name where a plan has its list.
    if not isinstance(values.get("fault", ""), list):
        values = {"fault": [values]}
    return fault_plan_from_values(values, source)


def fault_plan_from_values(values: Mapping[str, Any], source: str = "fault plan") -> FaultPlan:
    """The plan in the tables of a file that was parsed already. RackMisuse."""
    for key in values:
        if key not in ("name", "fault"):
            raise RackMisuse(f"{source}: {key} = {shown(values[key])}: a plan has name and [[fault]]")
    name = values.get("name", source.removesuffix(".toml"))
    if not isinstance(name, str) or not name or not name.isprintable():
        raise RackMisuse(f"{source}: name = {shown(name)}: must be a text that is not empty")
    tables = values.get("fault", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RackMisuse(f"{source}: fault = {shown(tables)}: must be tables: [[fault]]")
    if len(tables) > MOST_RULES:
        raise RackMisuse(f"{source}: {len(tables)} faults: at most {MOST_RULES}")
    rules = []
    for number, table in enumerate(tables, 1):
        what = table.get("fault", Fault.ERROR.value)
        try:
            rules.append(rule_from_values(table))
        except RuleError as error:
            raise RackMisuse(f"{source}: fault {number} ({shown(what).strip(chr(39))}): {error}") from error
    return FaultPlan(name, tuple(rules))


def rule_from_values(values: Mapping[str, Any]) -> Rule:
    """One rule from plain values, as a plan has them. RuleError."""
    fault = _member("fault", values.get("fault", Fault.ERROR), Fault)
    allowed = keys_of(fault)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in _TYPES:
            raise RuleError(key, value, f"there is no such key, only {', '.join(allowed)}")
        if key not in allowed:
            raise RuleError(key, value, f"{fault.value} has no {key}, only {', '.join(allowed)}")
        arguments[key] = _read(key, value)
    return Rule(**{**arguments, "fault": fault})


_TYPES: Mapping[str, type] = {
    "fault": Fault,
    "name": str,
    "event": Event,
    "sector": tuple,
    "at": int,
    "once": bool,
    "state": int,
    "new_state": int,
    "probability": float,
    "errno": int,
    "ends": str,
    "count": int,
    "delay_ms": float,
    "factor": float,
    "free_clusters": int,
}
"""Keys of a rule, and what each is made of."""

_WORDS = {str: "a text", int: "a whole number", bool: "true or false", float: "a number"}


def _read(key: str, value: object) -> object:
    """The value in the type that the key wants."""
    wanted = _TYPES[key]
    if wanted in (Fault, Event):
        return _member(key, value, wanted)
    if key == "errno":
        return _errno(value)
    if key == "sector":
        return _sector(value)
    if wanted is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise RuleError(key, value, "must be a number that is not so large") from None
    if type(value) is not wanted:
        raise RuleError(key, value, f"must be {_WORDS[wanted]}")
    if wanted is str and not str(value).isprintable():
        raise RuleError(key, value, "must be a text without control characters")
    return value


def _member(key: str, value: object, kind: Any) -> Any:
    if isinstance(value, kind):
        return value
    try:
        return kind(value)
    except ValueError:
        raise RuleError(key, value, f"must be one of {', '.join(member.value for member in kind)}") from None


def _errno(value: object) -> int:
    number = error_number(value) if isinstance(value, str) else value
    if type(number) is not int:
        raise RuleError("errno", value, "must be an error's name, as EIO, or its number")
    return number


def _sector(value: object) -> int | tuple[int, int]:
    if type(value) is int:
        return value
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(place) is int for place in value):
        return value[0], value[1]
    raise RuleError("sector", value, "must be a whole number, or two of them: the first and the last")
