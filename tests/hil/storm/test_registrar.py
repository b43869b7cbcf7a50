"""The registrar's meter, fed with events of our own: nothing is lost, whatever way turns and pauses fall."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.trace import TraceEvent
from firmware.kernel import Priority
from hil.storm.registrar import BATCH, RegistrarMeter
from hil.timeline.load import BUCKET_NS

HZ = 200_000_000
NS = 1_000_000_000 // HZ
"""Per cycle."""

QUIET = (0,) * len(Priority)


@dataclass
class FakeKernel:
    """What a meter asks a kernel. Not modelled: tasks that run."""

    queued: tuple[int, ...] = QUIET
    current: Any = None
    now_ns: int = 0


@dataclass
class FakeGateway:
    """A registrar without a board. Not modelled: everything but what a meter asks."""

    kernel: FakeKernel = field(default_factory=FakeKernel)
    model: Any = field(default_factory=lambda: SimpleNamespace(hz=HZ))
    program: Any = field(
        default_factory=lambda: SimpleNamespace(box=SimpleNamespace(services=SimpleNamespace(on_handshake=None)))
    )


def meter_of(gateway: FakeGateway, zero_ns: int = 0) -> RegistrarMeter:
    return RegistrarMeter(gateway, zero_ns)  # type: ignore[arg-type]


def turn(meter: RegistrarMeter, began_ns: int, charges: dict[str, int], switch_ns: int = 0) -> int:
    """A turn with these charges, in cycles; gives its end."""
    at_ns = began_ns + switch_ns
    for kind, cycles in charges.items():
        meter.event(TraceEvent(at_ns, "registrar", f"charge:{kind}", "sips", cycles))
        at_ns += cycles * NS
    meter.event(TraceEvent(began_ns, "registrar", "task", "sips", at_ns - began_ns))
    return at_ns


CHARGES = st.dictionaries(st.sampled_from(["tls", "hash", "rsa-private"]), st.integers(0, 3_000_000), max_size=3)
TURNS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1_000, 99_000_000, 250_000_000]), CHARGES, st.integers(0, 5_000)))


@given(TURNS, st.integers(0, 10**9))
def test_what_was_charged_is_told_whatever_lies_between(
    turns: list[tuple[int, dict[str, int], int]], zero_ns: int
) -> None:
    meter = meter_of(FakeGateway(), zero_ns)
    spent: Counter[str] = Counter()
    busy_ns, now_ns = 0, zero_ns
    for pause_ns, charges, switch_ns in turns:
        began_ns = now_ns + pause_ns
        meter.event(TraceEvent(began_ns, "registrar", "sip", "queue", "not a number of cycles"))
        now_ns = turn(meter, began_ns, charges, switch_ns)
        busy_ns += now_ns - began_ns
        spent.update({kind: cycles * NS for kind, cycles in charges.items()})
        spent["switch"] += switch_ns
    meter.close()
    assert +meter.cpu_ns == +spent
    assert meter.busy_ns == busy_ns
    buckets = (now_ns - zero_ns) // BUCKET_NS + 1
    levels = meter.levels.points(buckets * BUCKET_NS, BUCKET_NS)
    for kind, spent_ns in spent.items():
        # Each tenth is rounded to a hundredth of a percent, and then to four digits.
        assert sum(levels.get(kind, ())) * BUCKET_NS == pytest.approx(spent_ns, abs=1e-4 * BUCKET_NS * buckets)


def test_so_many_events_are_reckoned_while_it_goes_on() -> None:
    meter, now_ns = meter_of(FakeGateway()), 0
    for _ in range(2 * BATCH):
        now_ns = turn(meter, now_ns, {"tls": 400_000})
    assert 0 < BATCH * 400_000 * NS < meter.busy_ns < now_ns
    meter.close()
    assert meter.busy_ns == now_ns


def test_what_was_charged_in_a_turn_that_a_reset_broke_off_is_not_counted() -> None:
    meter = meter_of(FakeGateway())
    now_ns = turn(meter, 0, {"tls": 1_000})
    meter.event(TraceEvent(now_ns, "registrar", "charge:tls", "sips", 5_000))
    meter.event(TraceEvent(now_ns, "registrar", "reset", "watchdog", 0))
    meter.reset("watchdog")
    turn(meter, now_ns + 1_000_000, {"tls": 10})
    meter.close()
    assert meter.cpu_ns["tls"] == 1_010 * NS
    assert meter.resets == {"watchdog": 1}


def test_queues_are_as_long_as_when_they_were_looked_at_and_empty_while_nothing_runs() -> None:
    gateway = FakeGateway()
    meter = meter_of(gateway)
    gateway.kernel.queued = (0, 0, 7, 0)
    now_ns = turn(meter, 0, {"tls": 400_000})
    gateway.kernel.queued = QUIET
    turn(meter, now_ns + 3 * BUCKET_NS, {"tls": 400_000})
    meter.close()
    assert meter.queues["ready service"].points(4 * BUCKET_NS, BUCKET_NS) == (7, 0, 0, 0)
    assert meter.queues["ready console"].points(4 * BUCKET_NS, BUCKET_NS) == (0, 0, 0, 0)


def shake(gateway: FakeGateway, peer: str, begins: bool) -> None:
    gateway.program.box.services.on_handshake(peer, begins)


def test_a_handshake_costs_what_its_task_used_in_between() -> None:
    gateway = FakeGateway()
    meter = meter_of(gateway)
    meter.serving()
    task = gateway.kernel.current = SimpleNamespace(busy_ns=100)
    meter.event(TraceEvent(0, "registrar", "charge:tls", "sips", 20))
    shake(gateway, "phone:1", True)
    assert meter.wasted == [], "it still goes on"
    task.busy_ns += turn(meter, 0, {"rsa-private": 1_000})
    meter.event(TraceEvent(0, "registrar", "charge:tls", "sips", 30))
    shake(gateway, "phone:1", False)
    (done,) = meter.wasted
    assert done.cpu_ns == (1_000 - 20 + 30) * NS
    meter.served("phone")
    assert (meter.good, meter.wasted) == ([done], [])
    meter.close()
    assert gateway.program.box.services.on_handshake is None


def test_a_handshake_that_power_cut_off_was_in_vain() -> None:
    gateway = FakeGateway()
    meter = meter_of(gateway)
    meter.serving()
    gateway.kernel.current = SimpleNamespace(busy_ns=0)
    shake(gateway, "phone:1", True)
    meter.attach()
    assert len(meter.wasted) == 1
