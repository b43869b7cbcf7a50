"""Pins, and the button on one of them."""

from __future__ import annotations

import pytest

from board.button import Button
from board.clock import VirtualClock
from board.cpu import Cpu
from board.errors import BoardError
from board.pin import Pin
from board.trace import BoardTrace, Trace

MS = 1_000_000


@pytest.fixture
def pin(clock: VirtualClock, cpu: Cpu, trace: BoardTrace) -> Pin:
    return Pin(clock, cpu, trace=trace, name="button")


def test_the_firmware_reads_what_the_world_drives(pin: Pin) -> None:
    assert pin.value() == 1
    pin.line.drive(0)
    assert (pin.value(), pin()) == (0, 0)


def test_an_input_puts_nothing_out(pin: Pin) -> None:
    pin.value(0)
    assert pin.line.level == 1


def test_an_output_moves_the_copper_and_tells_who_watches(clock: VirtualClock, cpu: Cpu) -> None:
    pin = Pin(clock, cpu, mode=Pin.OUT, level=0)
    levels: list[int] = []
    pin.line.on_change(levels.append)
    pin.on()
    pin.high()
    pin.off()
    pin.init(value=1)
    assert levels == [1, 0, 1]


@pytest.mark.parametrize(
    ("trigger", "edges"),
    [(Pin.IRQ_FALLING, [0]), (Pin.IRQ_RISING, [1]), (Pin.IRQ_FALLING | Pin.IRQ_RISING, [0, 1]), (0, [0, 1])],
)
def test_the_edges_asked_for_interrupt_and_no_others(pin: Pin, trigger: int, edges: list[int]) -> None:
    seen: list[int | None] = []
    pin.irq(lambda source: seen.append(source.value()), trigger)
    pin.line.drive(0)
    pin.line.drive(0)
    pin.line.drive(1)
    assert seen == edges


def test_the_kernel_is_told_after_the_handler(cpu: Cpu, pin: Pin) -> None:
    calls: list[str] = []
    cpu.on_interrupt(lambda: calls.append("kernel"))
    pin.irq(lambda _: calls.append("handler"))
    pin.line.drive(0)
    assert calls == ["handler", "kernel"]


def test_a_reset_takes_the_handler_and_leaves_the_level(pin: Pin) -> None:
    calls: list[Pin] = []
    pin.irq(calls.append)
    pin.line.drive(0)
    pin.reset()
    pin.line.drive(1)
    assert calls == [pin]
    assert pin.value() == 1


def test_every_change_is_in_the_trace_once(clock: VirtualClock, pin: Pin, events: Trace) -> None:
    clock.run_until(7)
    pin.line.drive(0)
    pin.line.drive(0)
    assert [event.line() for event in events] == ["7\tb1\tpin\tbutton\t0"]


def test_a_press_lasts_as_long_as_asked(clock: VirtualClock, pin: Pin) -> None:
    button = Button(clock, pin)
    button.press(300)
    clock.run_until(300 * MS - 1)
    assert (pin.value(), button.pressed) == (0, True)
    clock.run_until(300 * MS)
    assert (pin.value(), button.pressed) == (1, False)


def test_a_new_press_replaces_the_old_one(clock: VirtualClock, pin: Pin) -> None:
    button = Button(clock, pin)
    button.press(100)
    clock.run_until(50 * MS)
    button.press(100)
    clock.run_until(149 * MS)
    assert button.pressed
    clock.run_until(150 * MS)
    assert not button.pressed


def test_a_held_button_stays_pressed_until_released(clock: VirtualClock, pin: Pin) -> None:
    button = Button(clock, pin)
    button.press()
    clock.run_until(20_000 * MS)
    assert button.pressed
    button.release()
    assert not button.pressed


@pytest.mark.parametrize("duration_ms", [0, -5])
def test_a_press_of_no_length_is_refused(clock: VirtualClock, pin: Pin, duration_ms: int) -> None:
    button = Button(clock, pin)
    with pytest.raises(BoardError, match=f"a press of {duration_ms} ms: must be at least 1"):
        button.press(duration_ms)
    assert not button.pressed
