"""The temperature sensor."""

from __future__ import annotations

from board.clock import VirtualClock
from board.temperature import WARM_UP_NS, Temperature


def test_a_board_starts_cold_and_warms_up_to_its_working_temperature(clock: VirtualClock) -> None:
    sensor = Temperature(clock, ambient=20.0, rise=16.0)
    readings = [sensor.read()]
    for hours in (1, 5, 50):
        clock.run_until(hours * WARM_UP_NS)
        readings.append(sensor())
    assert readings == [20.0, 30.0, 36.0, 36.0]


def test_it_reads_half_degrees(clock: VirtualClock) -> None:
    sensor = Temperature(clock, ambient=20.3, rise=0.0)
    assert sensor.read() == 20.5


def test_a_board_that_comes_back_starts_cold(clock: VirtualClock) -> None:
    sensor = Temperature(clock, ambient=20.0, rise=16.0)
    clock.run_until(50 * WARM_UP_NS)
    sensor.power_on()
    assert sensor.read() == 20.0


def test_the_room_can_be_heated(clock: VirtualClock) -> None:
    sensor = Temperature(clock, ambient=20.0, rise=0.0)
    sensor.ambient = 55.0
    assert sensor.read() == 55.0
