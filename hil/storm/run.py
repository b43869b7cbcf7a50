"""One storm, from power-on to its result."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from board.trace import TraceEvent
from firmware.sip.events import KIND
from hil.errors import DeviceFailure
from hil.storm.gauge import MOST_POINTS, bucket_from_span, bucket_starts_s, steps_from
from hil.storm.keys import Keys
from hil.storm.parameters import AFTERGLOW_S, Parameters
from hil.storm.recorder import Recorder
from hil.storm.result import (
    ALL_REGISTERED,
    INTERRUPTED,
    TIME_IS_UP,
    Handshakes,
    Load,
    SettingResult,
    histogram,
    percentiles,
    registration_percentiles,
)
from hil.storm.world import World, build

if TYPE_CHECKING:
    from hil.gateway import Gateway

SLICE_NS = 200_000_000
"""Progress is told, and an interruption heard, this often in virtual time."""

OFF_S = 5
"""How long the registrar alone is without power: nobody renews a registration meanwhile."""

BOOT_MS = 10_000
"""How long phones wait for the registrar to serve, at most."""

AT_WORK = 8
"""Phones that are brought up at a time before the registrar's power is cut: the next follows when one is registered."""

BRING_UP_S = 7_200
"""Longest time for that."""


COLLECT_AFTER = 500_000
"""Objects made and not gone, between two looks for garbage: some hundred megabytes, were all of them."""


@dataclass(frozen=True)
class Progress:
    """How far a storm has come."""

    now_ns: int
    """Since power came back; negative while the phones are being brought up for a cut of the registrar alone."""
    registered: int
    phones: int


Tell = Callable[[Progress], bool]
"""Hears how far it has come; False ends the run there."""


def go_on(_progress: Progress) -> bool:
    """Nobody looks."""
    return True


def run_storm(
    label: str,
    parameters: Parameters,
    seed: int,
    keys: Keys,
    tell: Tell = go_on,
    *,
    trace: Path | None = None,
) -> SettingResult:
    """Builds a world, lets the storm pass over it, and gives what was measured.

    Args:
        keys: those of ``key_names``.
        trace: a file for a Perfetto timeline.

    Raises:
        RackMisuse: there is no such model.
        EnvironmentRefused: the timeline cannot be written.
        DeviceFailure: the phones could not be brought up before the registrar's power was to be cut.
    """
    began_s = time.perf_counter()
    world = build(parameters, seed, keys)
    with world.bench, spared_from_collection():
        if trace is not None:
            world.bench.save_timeline(trace)
        off_ns = 0
        if parameters.cut == "registrar":
            _bring_up(world, tell)
            world.registrar.power_off()
            off_ns = OFF_S * 1_000_000_000
        recorder = Recorder(world.bench, world.registrar, world.phones, world.bench.now_ns + off_ns)
        world.bench.run_for(ms=off_ns / 1e6)
        power_on(world)
        outcome = weather(world, recorder, parameters, tell)
        recorder.close()
        return _result(label, parameters, world, recorder, outcome, time.perf_counter() - began_s)


@contextmanager
def spared_from_collection() -> Iterator[None]:
    """Keeps the garbage collector from looking through hundreds of boards, which stay, again and again.

    It would take a third of a storm's time. What is made inside the block is still collected, at longer intervals.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def power_on(world: World) -> None:
    """Power is back, for all that have none: first for the registrar, and when it serves, for the phones.

    Emulated boards boot in milliseconds; without that order the phones would meet a registrar that is not there yet, or
    would not, by a hair's breadth. Real phones are fed by switches, which take their time.
    """
    if not world.registrar.powered:
        world.registrar.power_on()
    if not all(phone.powered for phone in world.phones):
        world.bench.run_until(lambda: world.registrar.services["sips"], timeout_ms=BOOT_MS)
        for phone in world.phones:
            phone.power_on()


def weather(world: World, recorder: Recorder, parameters: Parameters, tell: Tell = go_on) -> str:
    """Lets time pass until the storm is over, or its time is up, or somebody ends it. Gives which."""
    bench = world.bench
    end_ns = recorder.zero_ns + round(parameters.limit_s * 1e9)
    waiting = True
    while bench.now_ns < end_ns:
        left_ns = min(SLICE_NS, end_ns - bench.now_ns)
        if waiting:
            bench.run_until(lambda: recorder.all_registered, timeout_ms=left_ns / 1e6)
        else:
            bench.run_for(ms=left_ns / 1e6)
        if waiting and recorder.all_registered:
            waiting = False
            if parameters.for_s is None:
                end_ns = min(end_ns, (recorder.all_registered_ns or 0) + recorder.zero_ns + AFTERGLOW_S * 1_000_000_000)
        if not tell(Progress(bench.now_ns - recorder.zero_ns, recorder.registered, len(world.phones))):
            return INTERRUPTED
    return TIME_IS_UP if waiting else ALL_REGISTERED


def _bring_up(world: World, tell: Tell) -> None:
    """Has everybody registered. Not part of the storm."""
    bench = world.bench
    world.registrar.power_on()
    bench.run_until(lambda: world.registrar.services["sips"], timeout_ms=BOOT_MS)
    seen: set[str] = set()

    def listen(event: TraceEvent) -> None:
        if event.kind == KIND and event.name == "registered":
            seen.add(event.board)

    bench.trace.listen(listen)
    limit_ns = bench.now_ns + BRING_UP_S * 1_000_000_000
    switched_on: list[Gateway] = []
    while len(seen) < len(world.phones):
        for phone in world.phones[len(switched_on) : len(seen) + AT_WORK]:
            phone.power_on()
            switched_on.append(phone)
        count = len(seen)
        bench.run_until(lambda count=count: len(seen) > count, timeout_ms=SLICE_NS / 1e6)  # type: ignore[misc]
        if not tell(Progress(bench.now_ns - limit_ns, len(seen), len(world.phones))):
            raise KeyboardInterrupt
        if bench.now_ns > limit_ns:
            raise DeviceFailure(
                f"{len(world.phones)} phones to be registered before the registrar's power is cut",
                f"{len(seen)} within {BRING_UP_S} s",
                time_ns=bench.now_ns,
                seed=bench.seed,
            )
    bench.trace.unlisten(listen)


def _result(
    label: str, parameters: Parameters, world: World, recorder: Recorder, outcome: str, host_s: float
) -> SettingResult:
    meter = recorder.meter
    end_ns = world.bench.now_ns - recorder.zero_ns
    bucket_ns = bucket_from_span(end_ns)
    starts_s = bucket_starts_s(end_ns, bucket_ns)
    first_ns, last_ns = recorder.first_attempt_ns, recorder.all_registered_ns
    latencies_ms = [duration_ns / 1e6 for phone in recorder.phones.values() for duration_ns in phone.connected_ns]
    return SettingResult(
        label=label,
        parameters=parameters.to_json(),
        phones=parameters.phones,
        end_ns=end_ns,
        outcome=outcome,
        first_attempt_ns=first_ns,
        all_registered_ns=last_ns,
        storm_ns=None if first_ns is None or last_ns is None else last_ns - first_ns,
        registered_at_end=recorder.registered,
        registration_s=registration_percentiles(
            [round(time_ns / 1e9, 6) for time_ns in recorder.registration_ns], parameters.phones
        ),
        attempts=sum(phone.attempts for phone in recorder.phones.values()),
        handshakes=Handshakes(
            count=len(meter.good),
            failed=len(meter.wasted),
            wasted_cpu_s=round(sum(shake.cpu_ns for shake in meter.wasted) / 1e9, 6),
            latency_ms=percentiles(latencies_ms),
            cpu_ms=percentiles(shake.cpu_ns / 1e6 for shake in meter.good),
            histogram=histogram(latencies_ms),
        ),
        registered=steps_from(recorder.changes, MOST_POINTS),
        load=Load(starts_s, meter.levels.points(end_ns, bucket_ns)),
        queues={"t_s": starts_s} | {name: gauge.points(end_ns, bucket_ns) for name, gauge in meter.queues.items()},
        failures=dict(sorted(recorder.failures.items())),
        timeouts=recorder.timeouts,
        refused_connections=recorder.overflows,
        watchdog_resets=recorder.watchdog_resets,
        cpu_s_by_kind={kind: round(spent_ns / 1e9, 6) for kind, spent_ns in meter.cpu_ns.most_common()},
        busy_s=round(meter.busy_ns / 1e9, 6),
        host_s=round(host_s, 3),
        digest=world.bench.trace.digest(),
    )
