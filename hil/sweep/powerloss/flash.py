"""The flash store, cut at every step: what the firmware's cabinet commits when it installs, requests and clears.

A step is a page programmed or a block erased. NOR flash does one after the other and forgets nothing, so the models of
order and of forgetting do not exist here; one exists that cards do not have: an erasure programs all bits to 0 first.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from firmware.storage import Store
from hil.sweep.powerloss.job import Failure, Tally

__all__ = ["FLASH_MODELS", "FLASH_OPERATIONS", "FlashChip", "run_flash_job"]

PAGE_BYTES, BLOCK_BYTES = 256, 4096
BLOCKS = 8

FLASH_MODELS = ("clean", "tear-head", "tear-tail", "garbage", "zeros")

Changes = Mapping[str, bytes | None]

BEFORE: dict[str, bytes] = {
    "X509/device/KEY": b"DEVICE-KEY-1" * 50,
    "X509/device/CHAIN": b"chain one " * 150,
    "X509/TRUST": b"bystander " * 60,
}
NEW_KEY = b"DEVICE-KEY-2" * 51

FLASH_OPERATIONS: dict[str, tuple[Changes, ...]] = {
    "install": ({"X509/device/KEY": NEW_KEY, "X509/device/CHAIN": b"chain two " * 145, "X509/device/UNDATED": None},),
    "request": ({"X509/device/REQUEST": b"request " * 90, "X509/device/REQUESTKEY": b"REQUEST-KEY-1" * 45},),
    "answer": (
        {"X509/device/REQUEST": b"request " * 90, "X509/device/REQUESTKEY": b"REQUEST-KEY-1" * 45},
        {
            "X509/device/KEY": NEW_KEY,
            "X509/device/CHAIN": b"chain three " * 100,
            "X509/device/REQUEST": None,
            "X509/device/REQUESTKEY": None,
        },
    ),
    "clear": ({"X509/device/KEY": None, "X509/device/CHAIN": None},),
    "compaction": tuple(
        {"X509/device/KEY": b"DEVICE-KEY-%d" % number * 50, "vars/x": b"%d" % number * 900} for number in range(9)
    ),
}


class PowerCut(BaseException):
    """Unwinds the store past every ``except Exception``."""


class FlashChip:
    """NOR flash in memory: programming clears bits, erasing sets those of a block. Not modelled: time, wear."""

    def __init__(self, data: bytes = b"\xff" * BLOCKS * BLOCK_BYTES) -> None:
        self.data = bytearray(data)
        self.steps = 0
        self.cut_at = 0
        self.model = "clean"
        self.seed = ""

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None:
        at = block_num * BLOCK_BYTES + offset
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block_num: int, buf: bytes | bytearray | memoryview, offset: int = 0, /) -> None:
        at, data, done = block_num * BLOCK_BYTES + offset, bytes(buf), 0
        while done < len(data):
            size = min(len(data) - done, PAGE_BYTES - (at + done) % PAGE_BYTES)
            old = self.data[at + done : at + done + size]
            self._step(at + done, bytes(a & b for a, b in zip(old, data[done : done + size], strict=True)))
            done += size

    def ioctl(self, op: int, arg: int, /) -> int | None:
        if op == 6:
            self._step(arg * BLOCK_BYTES, b"\xff" * BLOCK_BYTES)
        return {4: BLOCKS, 5: BLOCK_BYTES}.get(op, 0)

    def _step(self, at: int, new: bytes) -> None:
        self.steps += 1
        if self.steps == self.cut_at:
            self.data[at : at + len(new)] = self._remains(bytes(self.data[at : at + len(new)]), new)
            raise PowerCut
        self.data[at : at + len(new)] = new

    def _remains(self, old: bytes, new: bytes) -> bytes:
        half = len(new) // 2
        if self.model == "tear-head":
            return new[:half] + old[half:]
        if self.model == "tear-tail":
            return old[:half] + new[half:]
        if self.model == "zeros":
            return bytes(len(new))
        return random.Random(f"{self.seed}/{self.steps}").randbytes(len(new)) if self.model == "garbage" else old


def run_flash_job(operation: str, model: str, seed: int, only: str = "") -> Tally:
    """Cuts an operation at step 1, 2, 3 ... until none fires; and each recovery in the same way."""
    tally = Tally(Counter(), Counter(), Counter())
    base = FlashChip()
    _open(base).commit(dict(BEFORE))
    commits = FLASH_OPERATIONS[operation]
    states = [dict(BEFORE)]
    for changes in commits:
        merged = {**states[-1], **changes}
        states.append({name: value for name, value in merged.items() if value is not None})
    for at, chip, done in _cuts(bytes(base.data), model, lambda chip: _commits(chip, commits), str(seed)):
        name = f"flash/{operation}/{model}/{at}/0"
        allowed = states[done : done + 2]
        if not only or only == name:
            _judge(tally, f"flash {model}", name, chip, allowed)
        for at_again, again, _ in _cuts(chip, model, _mount, f"{seed}/{at}"):
            state = f"{name}+{model}/{at_again}/0"
            if not only or only == state:
                _judge(tally, f"flash +{model}", state, again, allowed)
    return tally


def _open(chip: FlashChip) -> Store:
    store = Store(chip, 0, BLOCKS, secret=lambda name: name.endswith("KEY"))
    store.mount()
    return store


def _mount(chip: FlashChip) -> Iterator[int]:
    _open(chip)
    yield 1


def _commits(chip: FlashChip, commits: tuple[Changes, ...]) -> Iterator[int]:
    store = _open(chip)
    for number, changes in enumerate(commits, 1):
        store.commit(changes)
        yield number
        while store.tidy():
            pass


def _cuts(
    data: bytes, model: str, act: Callable[[FlashChip], Iterator[int]], seed: str
) -> Iterator[tuple[int, bytes, int]]:
    """(step that was cut, what is in flash then, how many commits had returned); last, without a cut."""
    at = 0
    while True:
        at += 1
        chip = FlashChip(data)
        chip.cut_at, chip.model, chip.seed = at, model, seed
        done = 0
        try:
            for count in act(chip):
                done = count
        except PowerCut:
            yield at, bytes(chip.data), done
        else:
            yield at, bytes(chip.data), done
            return


def _judge(tally: Tally, column: str, name: str, data: bytes, allowed: list[dict[str, bytes]]) -> None:
    tally.states[column] += 1
    tally.distinct[column] += 1
    chip = FlashChip(data)
    wrong = []
    try:
        store = _open(chip)
        found = {entry: store.get(entry) for entry in store.names()}
        if found not in allowed:
            wrong.append(f"flash holds neither the state before nor the one after: {', '.join(found)}")
        raw = bytes(chip.data)
        secrets = {value[:24] for state in (BEFORE, *allowed) for name_, value in state.items() if "KEY" in name_}
        kept = {value[:24] for entry, value in found.items() if "KEY" in entry and value}
        wrong += ["a key that was discarded can still be read" for secret in secrets - kept if secret in raw]
        store.commit({"probe": b"1" * 300})
        if store.get("probe") != b"1" * 300:
            wrong.append("the store does not go on")
    except Exception as error:
        wrong.append(f"the store does not come back: {error}")
    if wrong:
        tally.losses[column] += 1
        tally.failures.append(Failure(name, tuple(wrong)))
