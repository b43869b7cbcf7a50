"""Load over time, from turns."""

from __future__ import annotations

from hil.timeline.load import LoadCounter

MS = 1_000_000

Told = list[tuple[str, int, dict[str, float]]]


def counter() -> tuple[LoadCounter, Told]:
    told: Told = []
    return LoadCounter(lambda name, time_ns, values: told.append((name, time_ns, values))), told


def test_each_tenth_of_a_second_has_its_load_by_kind() -> None:
    load, told = counter()
    load.add(10 * MS, 20 * MS, [(10 * MS, "a", "hash", 15 * MS)])
    load.add(40 * MS, 10 * MS, [(40 * MS, "b", "parse", 10 * MS)])
    load.add(110 * MS, 5 * MS, [])
    load.close()
    assert told == [
        ("cpu load %", 0, {"busy": 30.0}),
        ("cpu load by kind %", 0, {"hash": 15.0, "parse": 10.0}),
        ("cpu load %", 100 * MS, {"busy": 5.0}),
        ("cpu load by kind %", 100 * MS, {"hash": 0.0, "parse": 0.0}),
        ("cpu load %", 200 * MS, {"busy": 0.0}),
    ]


def test_a_turn_over_several_tenths_is_shared_among_them() -> None:
    load, told = counter()
    load.add(50 * MS, 200 * MS, [(50 * MS, "a", "hash", 200 * MS)])
    load.close()
    busy = [(time_ns // MS, values["busy"]) for name, time_ns, values in told if name == "cpu load %"]
    assert busy == [(0, 50.0), (100, 100.0), (200, 50.0), (300, 0.0)]
    hashes = [values["hash"] for name, _, values in told if name == "cpu load by kind %"]
    assert hashes == [50.0, 100.0, 50.0, 0.0]


def test_rest_is_told_once() -> None:
    load, told = counter()
    load.add(0, 10 * MS, [])
    load.add(900 * MS, 10 * MS, [])
    load.close()
    assert [(time_ns // MS, values["busy"]) for _, time_ns, values in told] == [
        (0, 10.0),
        (100, 0.0),
        (900, 10.0),
        (1_000, 0.0),
    ]


def test_a_cpu_that_never_worked_says_nothing() -> None:
    load, told = counter()
    load.close()
    assert told == []
