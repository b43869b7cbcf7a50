"""What looks at a kernel from outside: who becomes ready when, turns that were cut short, spans."""

from __future__ import annotations

import pytest

from firmware.kernel import Event, Kernel, Priority, Task
from firmware.kernel.booking import booked
from firmware.kernel.spans import span

MS = 1_000_000
HZ = 1_000_000_000
"""One cycle takes a nanosecond."""


class FakeWorld:
    """Nothing happens in it."""

    horizon_ns = 1 << 62


class FakeCpu:
    """A CPU that ends its program when it has worked for ``bites_ns``. Not modelled: everything else of a board."""

    hz = HZ

    def __init__(self, bites_ns: int = 1 << 62) -> None:
        self.now_ns = 0
        self.world = FakeWorld()
        self._bites_ns = bites_ns

    def spend(self, cycles: int) -> None:
        self.now_ns += cycles
        if self.now_ns > self._bites_ns:
            raise KeyboardInterrupt


class FakeTrace:
    def __init__(self) -> None:
        self.events: list[tuple[int, str, str, int | str]] = []

    def __call__(self, now_ns: int, kind: str, name: str, value: int | str) -> None:
        self.events.append((now_ns, kind, name, value))


def test_whoever_slept_while_another_had_the_cpu_is_ready_since_its_timer() -> None:
    kernel = Kernel(FakeCpu(), switch_cycles=0)
    seen: list[tuple[str, int]] = []

    async def sleeper() -> None:
        await kernel.sleep_ms(2)

    async def hog() -> None:
        kernel.charge(10 * MS, "parse")

    kernel.watch_ready(lambda task, due_ns: seen.append((task.name, due_ns)))
    kernel.spawn(sleeper(), "sleeper", Priority.CONSOLE)
    kernel.spawn(hog(), "hog")
    kernel.run()
    assert seen == [("sleeper", 0), ("hog", 0), ("sleeper", 2 * MS)]


def test_an_event_makes_ready_now_and_letting_others_run_is_no_waiting() -> None:
    kernel = Kernel(FakeCpu(), switch_cycles=0)
    seen: list[tuple[str, int]] = []
    event = Event(kernel)

    async def waiter() -> None:
        await event.wait()
        await kernel.switch()

    waiting = kernel.spawn(waiter(), "waiter")
    kernel.run()
    kernel.watch_ready(lambda task, due_ns: seen.append((task.name, due_ns)))
    event.set()
    kernel.run()
    assert waiting.done
    assert seen == [("waiter", 0)]


def test_nobody_is_told_any_more_when_the_watch_ends() -> None:
    kernel = Kernel(FakeCpu(), switch_cycles=0)
    seen: list[Task] = []

    async def sleeper() -> None:
        for _ in range(3):
            await kernel.sleep_ms(1)

    task = kernel.spawn(sleeper(), "sleeper")
    kernel.watch_ready(lambda task, due_ns: seen.append(task))
    kernel.watch_ready(None)
    kernel.run()
    assert task.done
    assert seen == []


def test_a_turn_that_ends_in_a_reset_is_in_the_trace_with_what_it_charged() -> None:
    trace = FakeTrace()
    kernel = Kernel(FakeCpu(bites_ns=5 * MS), trace, switch_cycles=0)

    async def hog() -> None:
        kernel.charge(1 * MS, "hash")
        kernel.charge(8 * MS, "parse")

    kernel.spawn(hog(), "hog")
    with pytest.raises(KeyboardInterrupt):
        kernel.run()
    assert trace.events == [
        (0, "charge:hash", "hog", 1 * MS),
        (1 * MS, "charge:parse", "hog", 8 * MS),
        (0, "task", "hog", 9 * MS),
    ]


def test_what_a_device_took_is_in_the_trace_as_a_charge() -> None:
    trace, cpu = FakeTrace(), FakeCpu()
    kernel = Kernel(cpu, trace)
    with booked(kernel, "card"):
        cpu.now_ns += 3 * MS
    assert trace.events == [(0, "charge:card", "", 3 * MS)]


def test_how_many_are_ready_is_told_by_priority() -> None:
    kernel = Kernel(FakeCpu())

    async def nothing() -> None: ...

    for priority in (Priority.SERVICE, Priority.SERVICE, Priority.URGENT):
        kernel.spawn(nothing(), "task", priority)
    assert kernel.queued == (1, 0, 2, 0)
    kernel.run()
    assert kernel.queued == (0, 0, 0, 0)


def test_a_span_ends_whatever_happens_in_it_and_is_silent_while_nobody_looks() -> None:
    kernel, spans = Kernel(FakeCpu()), FakeTrace()
    with span(kernel, "peer", "unseen"):
        pass
    kernel.spans = spans

    def fail() -> None:
        with span(kernel, "peer", "step"):
            kernel.charge(7, "tls")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert spans.events == [(0, "begin", "peer", "step"), (7, "end", "peer", "step")]
