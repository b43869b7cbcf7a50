"""The vocabulary of faults: what goes wrong, and the rule that says when.

Close to QEMU's ``blkdebug`` driver: an ``event``, a ``sector``, an ``errno``, ``once``, and a state machine that begins
in state 1 (``state``, ``new_state``), so that one rule can wait for another::

    every sector that is read, written, and every flush
        |
        +-- event?  sector?  state?     no: not this rule's business
        +-- the n-th such event (at)?   not yet: counted
        +-- probability?                drawn from the caller's noise
        |
        v
    fault, and from here on new_state

Where ``blkdebug`` only knows errors, a rule here names a fault. What it leaves out is ``error``.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

__all__ = ["ENDING", "FIRST_STATE", "Event", "Fault", "Rule", "RuleError", "Span", "error_number", "shown"]

FIRST_STATE = 1
"""As in ``blkdebug``; a rule with state 0 holds in all of them."""

LARGEST_STATE = 255

LARGEST_COUNT = 1 << 40
"""Of events, and of sectors: 512 TiB."""

LARGEST_WINDOW = 4096
"""Sectors that a card forgets, or writes in another order, at most: 2 MiB, more than its cache holds."""

LARGEST_DELAY_MS = 600_000
LARGEST_FACTOR = 10_000.0
LARGEST_FREE = 1 << 28


def shown(value: object) -> str:
    """A value in an error's one line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # of too many digits, or nested too deep
        return f"{type(value).__name__} too long to be shown"
    return text if len(text) <= 40 else f"{text[:37]}..."


class RuleError(ValueError):
    """A rule that cannot be: ``key``, its value and what is allowed."""

    def __init__(self, key: str, value: object, limit: str) -> None:
        super().__init__(f"{key} = {shown(value)}: {limit}")
        self.key = key


class Event(enum.Enum):
    """What a rule waits for. Sectors count one by one, also where a call moves many."""

    READ = "read"
    WRITE = "write"
    FLUSH = "flush"  # the card is told to empty its cache; it has no sector
    ARM = "arm"  # when the rule is armed on a card


class Fault(enum.Enum):
    """What goes wrong."""

    CUT = "cut"  # the power of the whole board goes; a sector that is being written keeps its old content
    PULL = "pull"  # only the card goes, in the same way
    TEAR_HEAD = "tear-head"  # gone while writing: the first half of the sector is new, the second half old
    TEAR_TAIL = "tear-tail"  # gone while writing: the first half is old, the second half new
    BURN_ONES = "burn-ones"  # gone while writing: the sector reads as all FFh, as erased flash does
    BURN_ZEROS = "burn-zeros"  # gone while writing: the sector reads as all zero
    GARBAGE = "garbage"  # gone while writing: the sector holds anything
    UNREADABLE = "unreadable"  # gone while writing: the sector can no longer be read until it is written again
    REORDER = "reorder"  # gone, and of the writes since the last flush only some had reached the card
    FORGET = "forget"  # gone, and some of the last `count` acknowledged sectors are as before, flushes or not
    LOSE = "lose"  # the write is reported as done and never happens
    MISDIRECT = "misdirect"  # the write lands in the next sector and is reported as done
    ERROR = "error"  # the access fails with `errno` and changes nothing; the card lives on
    WRITE_ERROR = "write-error"  # the same, of one write
    READ_ONCE = "read-once"  # one read fails, later ones work
    READ_ALWAYS = "read-always"  # every read of the sector fails until it is written
    PROTECT = "protect"  # from this write on the card refuses writes
    SLOW = "slow"  # the sector takes `delay_ms` more, or `factor` times as long
    FULL = "full"  # a file /FULL.BIN takes the volume's room, all but `free_clusters`
    STATE = "state"  # nothing: only `new_state`


class _Kind(NamedTuple):
    """What belongs to a fault: its events, the first one by default, and whether it happens once unless told."""

    events: tuple[Event, ...]
    once: bool
    keys: tuple[str, ...] = ()
    """Keys that only this fault has."""


_WRITE, _ANY = (Event.WRITE,), (Event.WRITE, Event.READ, Event.FLUSH)

_KINDS = {
    Fault.CUT: _Kind(_ANY, True),
    Fault.PULL: _Kind(_ANY, True),
    Fault.TEAR_HEAD: _Kind(_WRITE, True, ("ends",)),
    Fault.TEAR_TAIL: _Kind(_WRITE, True, ("ends",)),
    Fault.BURN_ONES: _Kind(_WRITE, True, ("ends",)),
    Fault.BURN_ZEROS: _Kind(_WRITE, True, ("ends",)),
    Fault.GARBAGE: _Kind(_WRITE, True, ("ends",)),
    Fault.UNREADABLE: _Kind(_WRITE, True, ("ends",)),
    Fault.REORDER: _Kind((Event.WRITE, Event.FLUSH), True, ("ends",)),
    Fault.FORGET: _Kind((Event.WRITE, Event.FLUSH), True, ("ends", "count")),
    Fault.LOSE: _Kind(_WRITE, True),
    Fault.MISDIRECT: _Kind(_WRITE, True),
    Fault.ERROR: _Kind(_ANY, False, ("errno",)),
    Fault.WRITE_ERROR: _Kind(_WRITE, True, ("errno",)),
    Fault.READ_ONCE: _Kind((Event.READ,), True, ("errno",)),
    Fault.READ_ALWAYS: _Kind((Event.READ,), False, ("errno",)),
    Fault.PROTECT: _Kind(_WRITE, True),
    Fault.SLOW: _Kind((Event.WRITE, Event.READ), False, ("delay_ms", "factor")),
    Fault.FULL: _Kind((Event.ARM,), True, ("free_clusters",)),
    Fault.STATE: _Kind(_ANY, True),
}

ENDING = frozenset(fault for fault, kind in _KINDS.items() if "ends" in kind.keys) | {Fault.CUT, Fault.PULL}
"""Faults after which the card does not answer any more until power comes back, or it is put in again."""

POWER, CARD = "power", "card"

Span = tuple[int, int]
"""First and last sector."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. RuleError when it contradicts itself."""

    fault: Fault = Fault.ERROR
    event: Event | None = None
    """None takes the fault's own: ``write`` for all that can have it."""
    sector: int | Span | None = None
    """Only at this sector of the card, or from the first to the last of two; counted from the card's first one."""
    at: int = 1
    """The n-th event that fits, counted from 1 since the rule was armed."""
    once: bool | None = None
    """True: there and never again. False: there and at every later one. None takes the fault's own."""
    state: int = 0
    """Only in this state of the machine; 0 in all."""
    new_state: int | None = None
    """The state after it fired."""
    probability: float = 1.0
    """Of firing where it could; the others count as events all the same."""
    errno: int = errno.EIO
    ends: str = POWER
    """How a card goes that is torn, burnt, reordered or forgetful: ``power`` of the whole board, or the ``card``."""
    count: int = 32
    """Sectors that ``forget`` may lose: what an industrial card's data sheet promises (Swissbit C-440)."""
    delay_ms: float = 0.0
    factor: float = 1.0
    free_clusters: int = 0
    name: str = ""
    """What it is called in records; without one, what it does."""

    def __post_init__(self) -> None:
        kind = _KINDS[self.fault]
        # The dataclass is frozen: what was left open is settled before anybody has seen it.
        if self.event is None:
            object.__setattr__(self, "event", kind.events[0])
        if self.event not in kind.events:
            allowed = ", ".join(event.value for event in kind.events)
            raise RuleError("event", self._event.value, f"{self.fault.value} goes with {allowed}")
        if self.once is None:
            object.__setattr__(self, "once", kind.once)
        self._check_place()
        self._check_numbers()
        self._check_what(kind)
        if not self.name:
            object.__setattr__(self, "name", self._described())

    @property
    def _event(self) -> Event:
        assert self.event is not None
        return self.event

    @property
    def pulls(self) -> bool:
        """Whether only the card goes where it ends."""
        return self.fault is Fault.PULL or (self.fault is not Fault.CUT and self.ends == CARD)

    def covers(self, lba: int | None) -> bool:
        """Whether that sector is among the rule's; None stands for an event that has none."""
        sector = self.sector
        if sector is None:
            return True
        if lba is None:
            return False
        return lba == sector if isinstance(sector, int) else sector[0] <= lba <= sector[1]

    def values(self) -> dict[str, object]:
        """What it says beyond its defaults, as plain values: as in a plan."""
        plain = {field.name: field.default for field in fields(self)}
        found: dict[str, object] = {"fault": self.fault.value, "name": self.name, "event": self._event.value}
        for key in ("sector", "at", "once", "state", "new_state", "probability", *_KINDS[self.fault].keys):
            value = getattr(self, key)
            if value != plain[key] or key == "at":
                found[key] = errno.errorcode.get(value, value) if key == "errno" else value
        return found

    def _check_place(self) -> None:
        sector = self.sector
        if sector is None:
            return
        if self.event in (Event.FLUSH, Event.ARM):
            raise RuleError("sector", sector, f"{self._event.value} has no sector")
        first, last = (sector, sector) if isinstance(sector, int) else sector
        if not 0 <= first <= last <= LARGEST_COUNT:
            raise RuleError("sector", sector, "must be a sector from 0 on, or the first and the last of them")

    def _check_numbers(self) -> None:
        _require("at", self.at, 1, LARGEST_COUNT)
        _require("state", self.state, 0, LARGEST_STATE)
        if self.new_state is not None:
            _require("new_state", self.new_state, FIRST_STATE, LARGEST_STATE)
        _require("count", self.count, 1, LARGEST_WINDOW)
        _require("delay_ms", self.delay_ms, 0, LARGEST_DELAY_MS)
        _require("factor", self.factor, 1, LARGEST_FACTOR)
        _require("free_clusters", self.free_clusters, 0, LARGEST_FREE)
        if not 0 < self.probability <= 1:
            raise RuleError("probability", self.probability, "must be above 0 and at most 1")
        if self.errno not in errno.errorcode:
            raise RuleError("errno", self.errno, "must be an error's name, as EIO, or its number")
        if self.ends not in (POWER, CARD):
            raise RuleError("ends", self.ends, f"must be {POWER} or {CARD}")

    def _check_what(self, kind: _Kind) -> None:
        if self.fault is Fault.STATE and self.new_state is None:
            raise RuleError("new_state", None, "a rule of state must have one")
        if self.fault is Fault.SLOW and not self.delay_ms and self.factor == 1:
            raise RuleError("delay_ms", self.delay_ms, "a slow card needs delay_ms above 0, or a factor above 1")
        for key, plain in _PARAMETERS.items():
            if key not in kind.keys and getattr(self, key) != plain:
                raise RuleError(key, getattr(self, key), f"{self.fault.value} has no {key}")

    def _described(self) -> str:
        """``pull at write 7``, ``error at read of sector 3``."""
        if self.fault is Fault.FULL:
            return f"full but for {self.free_clusters} clusters"
        words = [self.fault.value]
        if self.event is not None and not self.fault.value.startswith(self.event.value):
            words.append(f"at {self.event.value}")
        if self.at > 1 or (self.once and self.sector is None):
            words.append(str(self.at))
        if self.sector is not None:
            places = (self.sector,) if isinstance(self.sector, int) else self.sector
            words.append(f"of sector{'s' * (len(places) > 1)} {' to '.join(map(str, places))}")
        return " ".join(words)


_PARAMETERS: dict[str, object] = {
    "errno": errno.EIO,
    "ends": POWER,
    "count": 32,
    "delay_ms": 0.0,
    "factor": 1.0,
    "free_clusters": 0,
}
"""Keys that not every fault has, and what they are where nothing is said."""


def keys_of(fault: Fault) -> Sequence[str]:
    """What a rule of this fault can say, in the order of telling."""
    return ("fault", "name", "event", "sector", "at", "once", "state", "new_state", "probability", *_KINDS[fault].keys)


def error_number(name: str) -> int | None:
    """The number of ``EIO`` and its like; None for what is no error's name."""
    return next((number for number, text in errno.errorcode.items() if text == name), None)


def _require(key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RuleError(key, value, f"must be from {low:g} to {high:g}")
