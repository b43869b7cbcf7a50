"""What is to be seen of an LED, and when."""

from __future__ import annotations

import pytest

from board.clock import VirtualClock
from board.cpu import Cpu
from board.led import Led
from board.trace import BoardTrace, Trace

MS = 1_000_000


@pytest.fixture
def led(clock: VirtualClock, cpu: Cpu, trace: BoardTrace) -> Led:
    return Led(clock, cpu, trace=trace)


def test_it_is_dark_to_begin_with(led: Led) -> None:
    assert (led.state(), led.lit) == ("off", False)


def test_steady_and_blinking_are_told_apart(led: Led) -> None:
    led.set("green")
    assert led.state() == "green"
    led.set("orange", 500)
    assert led.state() == "orange blinking"


def test_it_changes_when_the_world_reaches_the_time_of_the_cpu(clock: VirtualClock, cpu: Cpu, led: Led) -> None:
    cpu.spend_ns(10)
    led.set("green")
    cpu.spend_ns(10)
    led.set("red")
    states = []
    for when_ns in (9, 10, 19, 20):
        clock.run_until(when_ns)
        states.append(led.state())
    assert states == ["off", "green", "green", "red"]


def test_it_blinks_with_its_half_period_lit_half_first(clock: VirtualClock, led: Led) -> None:
    led.set("red", 100)
    lit = []
    for when_ms in (0, 99, 100, 199, 200):
        clock.run_until(when_ms * MS)
        lit.append(led.lit)
    assert lit == [True, True, False, False, True]


def test_the_same_again_is_no_change_and_does_not_restart_the_blinking(
    clock: VirtualClock, cpu: Cpu, led: Led, events: Trace
) -> None:
    led.set("red", 100)
    cpu.now_ns = 150 * MS
    led.set("red", 100)
    clock.run_until(199 * MS)
    assert not led.lit
    assert len(events) == 1


def test_a_reset_makes_it_dark_at_the_time_of_the_cpu(clock: VirtualClock, cpu: Cpu, led: Led) -> None:
    led.set("green")
    cpu.spend_ns(50)
    led.reset()
    assert led.state() == "green"
    clock.run_until(50)
    assert led.state() == "off"


def test_power_off_takes_back_what_was_still_to_be_shown(clock: VirtualClock, cpu: Cpu, led: Led) -> None:
    cpu.spend_ns(50)
    led.set("green")
    clock.run_until(20)
    led.power_off()
    clock.run_until(100)
    assert led.state() == "off"


def test_a_cpu_that_starts_again_at_world_time_takes_back_what_it_set_ahead_of_it(
    clock: VirtualClock, cpu: Cpu, led: Led
) -> None:
    cpu.spend_ns(50)
    led.set("red")
    cpu.restart()
    led.set("green")
    assert led.state() == "green"
    clock.run_until(100)
    assert led.state() == "green"


def test_the_trace_holds_the_history(cpu: Cpu, led: Led, events: Trace) -> None:
    led.set("green", 250)
    cpu.spend_ns(5)
    led.set("green")
    assert [(event.time_ns, event.value) for event in events] == [(0, "green blinking"), (5, "green")]


def test_an_unknown_colour_or_period_is_refused(led: Led) -> None:
    with pytest.raises(ValueError, match="colour 'blue': must be one of off, green, orange, red"):
        led.set("blue")
    with pytest.raises(ValueError, match="blink_ms -1"):
        led.set("red", -1)
    assert led.state() == "off"
