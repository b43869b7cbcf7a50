"""What a cut leaves: the failure models, each a way to choose from the record of an operation.

=============  =====================================================================================================
``clean``      writes 1 to n-1 are on the card, write n and later ones are not
``tear-head``  the same, and of sector n the first half is new
``tear-tail``  the second half is
``ones``       sector n reads as FFh, as erased flash does
``zeros``      sector n reads as 00h
``garbage``    sector n holds anything
``unreadable`` sector n gives an error until it is written again
``reorder``    all up to the last sync, and any of the writes after it: every subset of up to ten, samples of more
``forget``     any of the last 32 writes are missing although they were acknowledged, syncs or not
=============  =====================================================================================================

Sources: torn and destroyed sectors, Zheng et al., "Understanding the Robustness of SSDs under Power Fault" (FAST 2013);
the 32 sectors, the data sheet of an industrial CompactFlash card (Swissbit C-440): "max. 32 sectors data loss".
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cfcard import SECTOR_BYTES, RamDevice
from hil.sweep.powerloss.device import Mark, Overlay, Sync, Write

__all__ = ["MODELS", "ORDERLY", "Cut", "Samples", "cuts"]

MODELS = ("clean", "tear-head", "tear-tail", "ones", "zeros", "garbage", "unreadable", "reorder", "forget")

ORDERLY = frozenset(("clean", "tear-head", "tear-tail"))
"""Models of a card that spoils nothing but the sector at hand, and that at most by half."""

FORGOTTEN = 32
HALF = SECTOR_BYTES // 2


@dataclass(frozen=True, slots=True)
class Samples:
    """How many are drawn where not all can be tried."""

    reorder: int = 256
    """Subsets of a group of more writes."""
    forget: int = 12
    """Choices of forgotten sectors at each cut."""
    exhaustive: int = 10
    """Up to so many reordered writes, every subset is tried: 1,024 of ten."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One state of the card."""

    model: str
    at: int
    """The write that was cut, from 1; one more than there are for the end."""
    variant: int
    """Which of the model's states at this place."""
    overlay: Overlay
    marks: tuple[Mark, ...]
    """What had been promised by then."""
    spoiled: int | None = None
    """The sector that was destroyed."""

    @property
    def name(self) -> str:
        return f"{self.model}/{self.at}/{self.variant}"


Events = Sequence[Write | Sync | Mark]


def cuts(model: str, base: RamDevice, overlay: Overlay, events: Events, samples: Samples, seed: str) -> Iterator[Cut]:
    """Every state that ``model`` knows of: ``events`` cut, over ``overlay`` over ``base``. Same seed, same states."""
    if model == "reorder":
        yield from _reordered(overlay, events, samples, seed)
    elif model == "forget":
        yield from _forgotten(overlay, events, samples.forget, seed)
    else:
        yield from _spoiled(model, base, overlay, events, seed)


def _spoiled(model: str, base: RamDevice, overlay: Overlay, events: Events, seed: str) -> Iterator[Cut]:
    """One sector at a time, at each write; without a cut at the end."""
    state = dict(overlay)
    marks: list[Mark] = []
    at = 0
    for event in events:
        if isinstance(event, Mark):
            marks.append(event)
        elif isinstance(event, Write):
            at += 1
            after = dict(state)
            if model != "clean":
                after[event.lba] = _remains(model, base, state, event, f"{seed}/{at}")
            yield Cut(model, at, 0, after, tuple(marks), None if model in ORDERLY else event.lba)
            state[event.lba] = event.data
    if model == "clean":
        yield Cut(model, at + 1, 0, state, tuple(marks))


def _remains(model: str, base: RamDevice, state: Overlay, event: Write, seed: str) -> bytes | None:
    """What the sector holds at which the cut came."""
    if model == "ones":
        return b"\xff" * SECTOR_BYTES
    if model == "zeros":
        return bytes(SECTOR_BYTES)
    if model == "garbage":
        return random.Random(seed).randbytes(SECTOR_BYTES)
    if model == "unreadable":
        return None
    old = state.get(event.lba)
    if old is None:
        before = bytearray(SECTOR_BYTES)
        base.readblocks(event.lba, before)
        old = bytes(before)
    return event.data[:HALF] + old[HALF:] if model == "tear-head" else old[:HALF] + event.data[HALF:]


def _reordered(overlay: Overlay, events: Events, samples: Samples, seed: str) -> Iterator[Cut]:
    """Group by group between syncs: all before it, and any of it."""
    state = dict(overlay)
    marks: tuple[Mark, ...] = ()
    group: list[Write] = []
    at = 1
    for event in (*events, Sync()):
        if isinstance(event, Write):
            group.append(event)
        elif isinstance(event, Mark):
            marks = (*marks, event)
        elif group:
            for variant, chosen in enumerate(_subsets(len(group), samples, f"{seed}/{at}")):
                after = dict(state)
                after.update((write.lba, write.data) for i, write in enumerate(group) if chosen >> i & 1)
                yield Cut("reorder", at, variant, after, marks)
            state.update((write.lba, write.data) for write in group)
            at += len(group)
            group = []


def _subsets(count: int, samples: Samples, seed: str) -> Iterator[int]:
    """Subsets as bit masks: all, or so many of them, the density drawn as well."""
    if count <= samples.exhaustive:
        yield from range(1 << count)
        return
    draw = random.Random(seed)
    for _ in range(samples.reorder):
        density = draw.random()
        yield sum((draw.random() < density) << i for i in range(count))


def _forgotten(overlay: Overlay, events: Events, samples: int, seed: str) -> Iterator[Cut]:
    """At each cut, some of the last sectors that the card had acknowledged are as they were before."""
    writes: list[Write] = []
    marks: list[Mark] = []
    settled = dict(overlay)
    """What is older than the card can forget."""
    for event in (*events, None):
        if isinstance(event, Mark):
            marks.append(event)
            continue
        if isinstance(event, Sync):
            continue
        draw = random.Random(f"{seed}/{len(writes)}")
        recent = writes[-FORGOTTEN:]
        for variant in range(samples if writes else 0):
            reach = draw.randint(1, len(recent))
            density = draw.random()
            after = dict(settled)
            for i, write in enumerate(recent):
                if i < len(recent) - reach or draw.random() >= density:
                    after[write.lba] = write.data
            yield Cut("forget", len(writes) + 1, variant, after, tuple(marks))
        if event is not None:
            writes.append(event)
            if len(writes) > FORGOTTEN:
                old = writes[-FORGOTTEN - 1]
                settled[old.lba] = old.data
