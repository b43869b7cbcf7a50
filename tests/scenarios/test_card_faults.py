"""Named faults on a running board: what the console says of each, that it goes on, and that a seed repeats it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cfcard import Fault, Rule
from cfcard.fat import Fat
from hil.bench import Bench
from hil.cardfaults import DESTROYING, CardFaults
from hil.control import CardBox, ControlFace
from hil.errors import RackMisuse
from hil.faultplan import fault_plan_from_toml
from hil.gateway import Gateway

pytestmark = pytest.mark.needs_faults

CREATE = "x509 rootca-create /key 1024-bit /years 10 /dn-cn Fault%20CA"
REMOVED = "error: root CA failed: rootca-create: the card was removed"
CREATED = "root CA ready: CN=Fault CA is on the card"
DARK = ""
"""A board without power says nothing."""


@dataclass(frozen=True)
class Case:
    """What is armed while a CA is being made, and what comes of it.

    ``sound`` says whether the volume is in order afterwards, once the board has looked it over.
    """

    rule: str
    says: str
    sound: bool = True


CASES = {
    "cut": Case('fault = "cut"\nat = 40', DARK),
    "cut-at-a-flush": Case('fault = "cut"\nevent = "flush"\nat = 5', DARK),
    "cut-at-a-read": Case('fault = "cut"\nevent = "read"\nat = 3', DARK),
    "pull": Case('fault = "pull"\nat = 40', REMOVED),
    "tear-head": Case('fault = "tear-head"\nat = 33\nends = "card"', REMOVED),
    "tear-tail": Case('fault = "tear-tail"\nat = 50', DARK),
    "burn-ones": Case('fault = "burn-ones"\nat = 33\nends = "card"', REMOVED),
    "burn-zeros": Case('fault = "burn-zeros"\nat = 50', DARK),
    "garbage": Case('fault = "garbage"\nat = 33\nends = "card"', REMOVED),
    "unreadable": Case('fault = "unreadable"\nat = 60', DARK),
    "reorder": Case('fault = "reorder"\nat = 44\nends = "card"', REMOVED),
    "forget": Case('fault = "forget"\nat = 70', DARK),
    "lose": Case('fault = "lose"\nat = 30', CREATED, sound=False),
    "misdirect": Case('fault = "misdirect"\nat = 30', CREATED, sound=False),
    "write-error": Case('fault = "write-error"\nat = 30', "could not be read or written (sector"),
    "write-enospc": Case(
        'event = "write"\nat = 30\nerrno = "ENOSPC"', "error: root CA failed: rootca-create: the card is"
    ),
    "flush-error": Case('event = "flush"\nonce = true', "could not be read or written (what was written may be lost"),
    "read-once": Case('fault = "read-once"\nat = 4', "could not be read or written (sector"),
    "read-always": Case('fault = "read-always"', "could not be read or written (sector"),
    "protect": Case('fault = "protect"\nat = 10', "error: root CA failed: rootca-create: the card is write-protected"),
    "slow": Case('fault = "slow"\ndelay_ms = 25', CREATED),
    "slow-factor": Case('fault = "slow"\nevent = "read"\nfactor = 100', CREATED),
}


@pytest.fixture
def make() -> Iterator[Callable[[int], Gateway]]:
    """``make(seed)``: a board that is logged in, with a mounted card."""
    benches: list[Bench] = []

    def made(seed: int) -> Gateway:
        bench = Bench(seed)
        benches.append(bench)
        gateway = bench.gateway("ip800", card="ram", card_size="16M")
        gateway.power_on()
        gateway.console.login()
        gateway.console.run("card info")
        return gateway

    yield made
    for bench in benches:
        bench.close()


@pytest.fixture
def gateway(make: Callable[[int], Gateway]) -> Gateway:
    return make(7)


def by_python(gateway: Gateway, rule: str) -> None:
    """The same keys and values, as arguments."""
    values = dict(line.split(" = ") for line in rule.splitlines())
    gateway.faults.arm(**{key: json.loads(value) for key, value in values.items()})


def by_plan(gateway: Gateway, rule: str) -> None:
    assert fault_plan_from_toml(f"[[fault]]\n{rule}").apply(gateway) is gateway.faults


def by_control(gateway: Gateway, rule: str) -> None:
    ControlFace(gateway, CardBox(gateway, "16M")).answer("PUT", "/card/fault", f"[[fault]]\n{rule}")


def create(gateway: Gateway) -> str:
    """What the console says of making a CA, until it is over or the power gone."""
    console = gateway.console
    mark = console.mark()
    console.send_line(CREATE)
    gateway.bench.run_until(
        lambda: not gateway.powered or CREATED in console.since(mark) or "error: " in console.since(mark),
        timeout_ms=600_000,
    )
    gateway.bench.run_for(ms=1_000)
    return console.since(mark)


def go_on(gateway: Gateway, card: object) -> None:
    """The faults are over, power comes back, the card is put in again, or mounted anew: the board looks it over."""
    gateway.faults.disarm()
    if not gateway.powered:
        gateway.console.forget()
        gateway.power_on()
        gateway.console.login()
    if gateway.card is None:
        gateway.insert_card(card)  # type: ignore[arg-type]
    gateway.bench.run_for(ms=1_000)
    gateway.console.run("card unmount", check=False)
    gateway.console.run("card mount", timeout_ms=60_000)


@pytest.mark.parametrize("arm", [by_python, by_plan, by_control])
@pytest.mark.parametrize("name", CASES)
def test_the_board_survives_each_fault_and_says_what_it_saw(
    gateway: Gateway, name: str, arm: Callable[[Gateway, str], None]
) -> None:
    case, card = CASES[name], gateway.card
    assert card is not None
    arm(gateway, case.rule)
    said = create(gateway)
    assert case.says in said
    assert gateway.powered == (case.says != DARK)
    assert said.count("error: ") == (case.says not in (DARK, CREATED)), "one clear line"
    assert gateway.faults.fired, "otherwise nothing was tested"
    go_on(gateway, card)
    gateway.console.run("card info", timeout_ms=60_000)
    if case.sound:
        assert gateway.console.run("card check", timeout_ms=60_000).text == "clean"
    if gateway.console.run("x509 rootca-show", check=False).error:
        assert case.says != CREATED, "it had been reported"
        if case.sound:
            gateway.console.run(CREATE, timeout_ms=600_000)
    if case.sound:
        assert Fat().check(card.backend).problems == ()


def trace_of(gateway: Gateway) -> list[tuple[int, str, object]]:
    return [(event.time_ns, event.name, event.value) for event in gateway.bench.trace if event.kind == "fault"]


GARBLED = """
[[fault]]
fault = "garbage"
probability = 0.05
ends = "card"

[[fault]]
event = "read"
probability = 0.01
"""


def test_the_same_seed_makes_the_same_faults(make: Callable[[int], Gateway]) -> None:
    runs = []
    for seed in (7, 7, 8):
        gateway = make(seed)
        faults = fault_plan_from_toml(GARBLED).apply(gateway)
        card = gateway.card
        said = create(gateway)
        assert card is not None
        content = bytearray(1 << 20)
        card.backend.readblocks(0, content)
        assert trace_of(gateway) == [(hit.time_ns, hit.rule.name, hit.sector) for hit in faults.fired]
        runs.append((said, tuple(faults.fired), bytes(content), gateway.bench.trace.digest()))
    assert runs[0] == runs[1]
    assert runs[0][1] != runs[2][1]


def test_an_armed_plan_that_never_fires_changes_nothing(make: Callable[[int], Gateway]) -> None:
    digests = []
    for armed in (False, True):
        gateway = make(7)
        if armed:
            gateway.faults.arm("garbage", at=1_000_000)
        create(gateway)
        digests.append(gateway.bench.trace.digest())
    assert digests[0] == digests[1]


def test_a_slow_card_costs_time_and_nothing_else(make: Callable[[int], Gateway]) -> None:
    ends_ns = []
    for delay_ms in (0, 10):
        gateway = make(7)
        if delay_ms:
            gateway.faults.arm("slow", delay_ms=delay_ms)
        started_ns = gateway.bench.now_ns
        assert CREATED in create(gateway)
        ends_ns.append(gateway.bench.now_ns - started_ns)
    assert ends_ns[1] - ends_ns[0] > 1_000_000_000, "more than a hundred sectors"


def test_a_full_card_is_told_so_and_has_room_again_once_the_filler_is_gone(make: Callable[[int], Gateway]) -> None:
    with Bench(7) as bench:
        gateway = bench.gateway("ip800", card="ram", card_size="16M")
        gateway.faults.arm("full", free_clusters=5)
        gateway.power_on()
        gateway.console.login()
        gateway.console.run("card info")
        assert "error: root CA failed: the card is full: 10240 bytes are free" in create(gateway)
        card = gateway.remove_card()
        bench.run_for(ms=500)
        Fat().mount(card.backend).remove("/FULL.BIN")
        gateway.insert_card(card)
        bench.run_for(ms=500)
        assert CREATED in create(gateway)


def test_a_card_that_goes_into_a_running_board_is_filled_on_the_way(gateway: Gateway) -> None:
    card = gateway.remove_card()
    gateway.bench.run_for(ms=500)
    gateway.faults.arm("full", free_clusters=5)
    assert gateway.faults.fired == []
    gateway.insert_card(card)
    assert [hit.rule.fault for hit in gateway.faults.fired] == [Fault.FULL]
    gateway.bench.run_for(ms=500)
    assert "the card is full: 10240 bytes" in create(gateway)


def test_a_card_that_cannot_be_filled_goes_in_all_the_same(gateway: Gateway) -> None:
    card = gateway.remove_card()
    gateway.bench.run_for(ms=500)
    card.backend.writeblocks(0, bytes(512))
    gateway.faults.arm("full")
    gateway.insert_card(card)
    assert [name for _, name, _ in trace_of(gateway)] == ["not done"]
    gateway.bench.run_for(ms=500)
    assert "no usable FAT file system" in gateway.console.run("card mount", check=False).text


def test_rules_stay_with_the_slot_when_the_card_is_changed(gateway: Gateway) -> None:
    gateway.faults.arm("pull", at=10)
    first = gateway.card
    assert REMOVED in create(gateway)
    assert gateway.card is None
    gateway.faults.arm("pull", at=20, name="the next one")
    gateway.insert_card("ram", "16M")
    gateway.bench.run_for(ms=500)
    assert REMOVED in create(gateway)
    assert [hit.rule.name for hit in gateway.faults.fired] == ["pull at write 10", "the next one"]
    assert first is not None
    other = gateway.bench.gateway("ip800", name="other")
    gateway.faults.arm("cut")
    other.insert_card(first)
    first.device.writeblocks(0, bytes(512))
    assert gateway.powered, "a card in another board is under that board's rules"


def test_what_cannot_be_armed_is_refused_and_changes_nothing(gateway: Gateway) -> None:
    gateway.faults.arm("lose", at=99)
    before = gateway.faults.view()
    for values, text in (
        ({"fault": "explode"}, "must be one of cut, pull"),
        ({"fault": "cut", "at": 0}, "at = 0: must be from 1"),
        ({"fault": "full"}, "a running board may be using the volume, take the card out first"),
        ({"sector": 1 << 30}, "the card has sectors 0 to 32767"),
    ):
        with pytest.raises(RackMisuse, match=text):
            gateway.faults.arm(**values)  # type: ignore[arg-type]
    with pytest.raises(RackMisuse, match="the card has sectors"):
        gateway.faults.replace([Rule(Fault.CUT), Rule(sector=1 << 30)])
    assert gateway.faults.view() == before
    with pytest.raises(RackMisuse, match="IP232 has no card slot"):
        _ = gateway.bench.gateway("ip232").faults


def test_a_real_card_is_not_made_to_lose_what_no_cut_takes(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.cardfaults._is_real", lambda card: True)
    for fault in Fault:
        values = {"delay_ms": 1} if fault is Fault.SLOW else {"new_state": 2} if fault is Fault.STATE else {}
        rule = Rule(fault, **values)  # type: ignore[arg-type]
        if fault in DESTROYING:
            with pytest.raises(RackMisuse, match="not on a real card, it would write what nobody told it to write"):
                gateway.faults.arm(rule)
        else:
            gateway.faults.arm(rule)
    assert len(gateway.faults.armed) == len(Fault) - len(DESTROYING)


def test_a_real_card_does_not_go_into_a_slot_with_such_a_rule(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = gateway.remove_card()
    gateway.faults.arm("misdirect")
    monkeypatch.setattr("hil.cardfaults._is_real", lambda card: True)
    with pytest.raises(RackMisuse, match="misdirect at write 1: not on a real card"):
        gateway.insert_card(card)
    assert gateway.card is None


def test_one_fault_can_lead_to_another_and_both_are_in_the_timeline(gateway: Gateway, tmp_path: Path) -> None:
    seen: list[str] = []
    gateway.bench.save_timeline(tmp_path / "run.json")
    faults: CardFaults = gateway.faults
    faults.listen(lambda hit: seen.append(hit.rule.name))
    faults.arm("state", event="write", at=20, new_state=2, name="twenty written")
    faults.arm("protect", state=2, name="worn out")
    assert "write-protected" in create(gateway)
    assert seen == ["twenty written", "worn out"]
    assert [name for _, name, _ in trace_of(gateway)] == seen
    gateway.bench.close()
    written = (tmp_path / "run.json").read_text()
    assert "twenty written" in written
    assert "worn out" in written
