"""The record of a run: what came into a free-running world from outside, so that it can be repeated to the last event.

A world with a seed does the same whenever the same is done to it. So a record holds the seed and everything that was
done, each with its place between two events of the world, and nothing of what the boards did::

    Bench(seed, record=True) --- Recorder, at the border between hil and board --- Record --- file
                                                                                     |
    Bench of the same seed  <--- Repeat: the clock is driven as it was, and everything done again at its place

Recorded: boards made (model, flash content, name), power, clock setting, what is typed, the button, cards with their
content, connections with their bytes, TLS clients by what they do, faults of the card, changes of the LAN, flash
written without power, steps of the flash that a hook has cut, and how the clock was driven.

Not recorded: attributes that a test sets on a part (``card.write_protected``), tasks and listeners that it puts into
the firmware, a card's own ``FaultyDevice``, what is written on a card that is in the slot, a program of the test's own
(its record is repeated with that program at hand), connections that a test takes from a board in the LAN's place, the
content of a real card. A hook in the middle of an event (``trace.listen``) acts again after the same trace event: what
of that event came between the two may differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.record.file import Record, record_from_file
    from hil.record.recorder import Recorder
    from hil.record.repeat import Repeat, RepeatDiffers, repeat_from

__all__ = ["Record", "Recorder", "Repeat", "RepeatDiffers", "record_from_file", "repeat_from"]

_PLACES = {
    "Record": "file",
    "Recorder": "recorder",
    "Repeat": "repeat",
    "RepeatDiffers": "repeat",
    "record_from_file": "file",
    "repeat_from": "repeat",
}


def __getattr__(name: str) -> object:
    """Loads a public name when it is first used (PEP 562): most benches record nothing."""
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
