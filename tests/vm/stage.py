"""What every scene has: the slot, empty and unprotected, a time limit, and an error that becomes its fact."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gadget import Slot

from cfcard.reader import ReaderDevice

__all__ = ["Act", "Facts", "perform", "reader", "scene"]

Facts = dict[str, Any]
Scene = Callable[[Slot], Facts]
Act = Callable[[ReaderDevice], Any]

SCENE_S = 120

SCENES: dict[str, Scene] = {}


def scene(function: Scene) -> Scene:
    """Has the scene played, in the order in which they are defined, and told under its name."""
    SCENES[function.__name__] = function
    return function


@contextmanager
def reader(slot: Slot, writable: bool = True) -> Iterator[ReaderDevice]:
    device = ReaderDevice(slot.device, writable=writable)
    try:
        yield device
    finally:
        device.close()


def play(slot: Slot, act: Scene) -> Facts:
    """One scene from an empty, unprotected slot; an error becomes its fact."""
    slot.eject()
    slot.protect(False)
    signal.alarm(SCENE_S)
    began = time.monotonic()
    try:
        facts = act(slot)
    except Exception:
        facts = {"traceback": traceback.format_exc()}
    signal.alarm(0)
    return {**facts, "seconds": round(time.monotonic() - began, 1)}


def too_long(number: int, frame: object) -> None:
    raise RuntimeError(f"a scene took more than {SCENE_S} s")  # no OSError, which would pass for an answer of the card


def perform(shared: Path) -> None:
    """Plays all scenes; after each, told.json holds what is known so far."""
    signal.signal(signal.SIGALRM, too_long)
    told: Facts = {"kernel": os.uname().release, "python": sys.version.split()[0]}
    slot = Slot()
    slot.plug()
    for name, act in SCENES.items():
        told[name] = play(slot, act)
        (shared / "told.json").write_text(json.dumps(told))
