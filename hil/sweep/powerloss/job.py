"""Every operation on the card, on every kind of volume, cut at write 1, 2, 3 ... under every model, recovery included.

::

    volume x operation --one run--> record --model--> cut, cut, cut ...      each one judged
                                                       |
                                                       +-- its recovery, on record --model--> cut, cut ...   judged, too

A state that was met before within the same job is counted, and not judged again: the same sectors and the same
promises give the same answer.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from cfcard import RamDevice
from hil.sweep.powerloss.core import reading_once
from hil.sweep.powerloss.device import Overlay, RecordingDevice
from hil.sweep.powerloss.judge import judge, promised
from hil.sweep.powerloss.models import MODELS, Cut, Samples, cuts
from hil.sweep.powerloss.operations import OPERATIONS, Operation, Promise
from hil.sweep.powerloss.peers import Peers
from hil.sweep.powerloss.volumes import VOLUMES, Format

__all__ = ["FULL", "REDUCED", "Effort", "Failure", "Job", "Tally", "jobs", "run_job"]


@dataclass(frozen=True, slots=True)
class Effort:
    """How thorough a sweep is.

    Attributes:
        samples: of the models that choose.
        stride: of the states of every model but the clean cut, one in so many is judged.
        recovery: of how many states' recoveries one is cut again, write by write, cleanly.
        recovery_models: the same for every other model.
        peers: of how many states one is shown to foreign programs.
    """

    samples: Samples
    recovery: int
    recovery_models: int
    peers: int
    stride: int = 1
    volumes: tuple[str, ...] = tuple(volume.name for volume in VOLUMES)


FULL = Effort(Samples(reorder=16, forget=4), recovery=40, recovery_models=400, peers=400)
REDUCED = Effort(
    Samples(reorder=6, forget=2, exhaustive=4),
    recovery=200,
    recovery_models=2000,
    peers=0,
    stride=7,
    volumes=("fat12", "fat16-one"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """One operation on one volume under one model."""

    volume: str
    operation: str
    model: str

    @property
    def name(self) -> str:
        return f"{self.volume}/{self.operation}/{self.model}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A state in which something is lost."""

    state: str
    """Volume/operation/model/cut/variant, with ``+model/cut/variant`` for a cut of its recovery."""
    wrong: tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """What a job, or all of them, found. States and losses by model; ``+`` models are cuts of a recovery."""

    states: Counter[str] = field(default_factory=Counter)
    distinct: Counter[str] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)
    seen_by_peers: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.states += other.states
        self.distinct += other.distinct
        self.losses += other.losses
        self.seen_by_peers += other.seen_by_peers
        self.failures += other.failures


def jobs(effort: Effort) -> list[Job]:
    """All jobs of a sweep, the long ones first."""
    long_first = sorted(MODELS, key=lambda model: model not in ("forget", "reorder"))
    return [
        Job(volume, operation.name, model)
        for model in long_first
        for volume in effort.volumes
        for operation in OPERATIONS
        if operation.name in (_format(volume).operations or (operation.name,))
    ]


def run_job(job: Job, effort: Effort, seed: int, only: str = "") -> Tally:
    """Judges every state of ``job``; with ``only``, the one state of that name."""
    form = _format(job.volume)
    operation = next(operation for operation in OPERATIONS if operation.name == job.operation)
    with Peers(form) as peers, reading_once():
        return _Run(job, form, operation, effort, seed, only, peers).run()


def _format(name: str) -> Format:
    return next(volume for volume in VOLUMES if volume.name == name)


class _Run:
    def __init__(
        self, job: Job, form: Format, operation: Operation, effort: Effort, seed: int, only: str, peers: Peers
    ) -> None:
        self._job = job
        self._operation = operation
        self._effort = effort
        self._seed = f"{seed}/{job.name}"
        self._only = only
        self._peers = peers
        self._samples = _weighted(effort.samples, form.weight)
        self._recovery = round(effort.recovery / form.weight)
        self._recovery_models = round(effort.recovery_models / form.weight)
        self._tally = Tally()
        self._met: dict[int, bool] = {}
        self._base: RamDevice
        self._base, self._promise = operation.begin(form)

    def run(self) -> Tally:
        device = RecordingDevice(self._base)
        self._operation.act(device)
        for number, cut in enumerate(self._cuts({}, device, self._job.model, self._seed, self._samples)):
            name = f"{self._job.name}/{cut.at}/{cut.variant}"
            if self._only and self._only.partition("+")[0] != name:
                continue
            if not self._only and cut.model != "clean" and number % self._effort.stride:
                continue
            self._first(cut, name, number)
        return self._tally

    def _cuts(
        self, overlay: Overlay, device: RecordingDevice, model: str, seed: str, samples: Samples
    ) -> Iterator[Cut]:
        return cuts(model, self._base, overlay, device.events, samples, seed)

    def _first(self, cut: Cut, name: str, number: int) -> None:
        promise = promised(self._promise, cut.marks)
        recovered = RecordingDevice(self._base, cut.overlay)
        again = not self._only or "+" in self._only
        judged = self._judge(recovered, cut, promise, name, cut.model)
        if (
            not self._only
            and judged
            and not promise.formats
            and self._effort.peers
            and number % self._effort.peers == 0
        ):
            self._show(recovered, cut, name)
        if again and judged and not promise.formats:
            for model in MODELS:
                stride = self._recovery if model == "clean" else self._recovery_models
                if self._only or (zlib.crc32(f"{name}+{model}".encode()) % stride == 0):
                    self._second(cut, recovered, promise, name, model)

    def _second(self, cut: Cut, recovered: RecordingDevice, promise: Promise, name: str, model: str) -> None:
        """The recovery of a state, cut in its turn."""
        few = Samples(16, 2, 6)
        for second in self._cuts(cut.overlay, recovered, model, f"{self._seed}/{cut.name}", few):
            state = f"{name}+{second.name}"
            if self._only in ("", state):
                device = RecordingDevice(self._base, second.overlay)
                self._judge(device, second, promise, state, f"+{model}", cut)

    def _judge(
        self, device: RecordingDevice, cut: Cut, promise: Promise, name: str, column: str, before: Cut | None = None
    ) -> bool:
        """Counts and judges one state; False when it was met before, so that nothing follows from it."""
        self._tally.states[column] += 1
        key = hash((frozenset(cut.overlay.items()), cut.marks, cut.spoiled, before is None, before and before.spoiled))
        if key in self._met:
            self._tally.losses[column] += self._met[key]
            return False
        wrong = judge(device, cut, promise, self._operation.root, before)
        self._met[key] = bool(wrong)
        self._tally.distinct[column] += 1
        if wrong:
            self._tally.losses[column] += 1
            self._tally.failures.append(Failure(name, tuple(wrong)))
        return True

    def _show(self, recovered: RecordingDevice, cut: Cut, name: str) -> None:
        """Foreign programs' word on the card as recovered."""
        promise = promised(self._promise, cut.marks)
        wrong = self._peers.judge(recovered, promise)
        if wrong is not None:
            self._tally.seen_by_peers += 1
            if wrong:
                self._tally.losses[cut.model] += 1
                self._tally.failures.append(Failure(name, tuple(wrong)))


def _weighted(samples: Samples, weight: float) -> Samples:
    few = 6 if weight < 1 else samples.exhaustive
    return Samples(max(1, round(samples.reorder * weight)), max(1, round(samples.forget * weight)), few)


def draw_seed() -> int:
    """A seed for a sweep that was given none."""
    return random.SystemRandom().randrange(1 << 32)
