"""Cancellation and deadlines: what is thrown into a task, in whatever state it is."""

from __future__ import annotations

import pytest

from firmware.kernel import Cancelled, Event, Priority, Queue, Share

MS = 1_000_000


async def survive(machine, wait):
    """Waits, and says how that ended and when."""
    try:
        machine.note(await wait)
    except BaseException as ending:
        machine.note(type(ending).__name__)
        raise


@pytest.fixture
def event(machine):
    return Event(machine.kernel)


@pytest.mark.parametrize("wait", ["event", "event with timeout", "sleep", "get", "put", "join"])
def test_a_task_can_be_cancelled_wherever_it_waits(machine, event, wait):
    full = Queue(machine.kernel, 1)
    full.put_nowait("item")
    other = machine.spawn(event.wait())
    waits = {
        "event": event.wait(),
        "event with timeout": event.wait(timeout_ms=50),
        "sleep": machine.kernel.sleep_ms(50),
        "get": Queue(machine.kernel, 1).get(),
        "put": full.put("second"),
        "join": other.join(),
    }
    task = machine.spawn(survive(machine, waits.pop(wait)))
    for unused in waits.values():
        unused.close()
    machine.at_ms(3, task.cancel)
    machine.run_ms(100)
    assert machine.seen == [(3, "Cancelled")]
    assert task.done
    assert isinstance(task.error, Cancelled)
    assert not task._joiners
    event.set()
    machine.wake()
    machine.run_ms(100)
    assert machine.seen == [(3, "Cancelled")], "nothing wakes it afterwards"


def test_a_task_cancelled_before_its_first_turn_never_begins(machine):
    async def begin():
        machine.note("began")

    task = machine.spawn(begin())
    task.cancel()
    machine.run_ms(5)
    assert task.done
    assert machine.seen == []


def test_a_task_that_is_queued_gets_its_cancellation_at_its_turn(machine):
    async def canceller():
        victim.cancel()
        machine.note("cancelled it")

    async def spin():
        while True:
            await machine.kernel.switch()

    victim = machine.spawn(survive(machine, spin()))
    machine.spawn(canceller())
    machine.run_ms(1)
    assert machine.seen == [(0, "cancelled it"), (0, "Cancelled")]


def test_a_task_that_cancels_itself_goes_on_to_its_next_await(machine, event):
    async def quit():
        tasks[0].cancel()
        machine.note("still here")
        await event.wait()

    tasks = [machine.spawn(survive(machine, quit()))]
    machine.run_ms(1)
    assert machine.seen == [(0, "still here"), (0, "Cancelled")]


def test_a_task_cancelled_by_the_world_while_it_has_the_cpu_gets_it_at_its_next_await(machine):
    async def touch():
        machine.kernel.charge(5 * MS, "flash")
        machine.cpu.sync()
        machine.note("touched")
        await machine.kernel.sleep_ms(10)

    task = machine.spawn(survive(machine, touch()))
    machine.at_ms(3, task.cancel)
    machine.run_ms(100)
    assert machine.seen == [(5, "touched"), (5, "Cancelled")]


def test_a_task_that_waits_for_its_share_is_cancelled_at_once(machine):
    async def dig():
        while True:
            await machine.kernel.work(10 * MS, "keygen")

    task = machine.spawn(survive(machine, dig()), priority=Priority.BACKGROUND, share=Share(20, 100))
    machine.at_ms(30, task.cancel)
    machine.run_ms(200)
    assert machine.seen == [(30, "Cancelled")]
    assert task.busy_ns == 20 * MS


def test_a_task_may_clean_up_with_awaits_after_a_cancellation(machine, event):
    async def tidy():
        try:
            await event.wait()
        finally:
            await machine.kernel.sleep_ms(5)
            machine.note("tidy")

    task = machine.spawn(tidy())
    machine.at_ms(1, task.cancel)
    machine.run_ms(100)
    assert machine.seen == [(6, "tidy")]
    assert task.done


def test_cancelling_twice_and_after_the_end_has_no_further_effect(machine, event):
    task = machine.spawn(survive(machine, event.wait()))

    def cancel_twice():
        task.cancel()
        task.cancel()

    machine.at_ms(1, cancel_twice)
    machine.at_ms(2, task.cancel)
    machine.run_ms(10)
    assert machine.seen == [(1, "Cancelled")]


def test_except_exception_does_not_swallow_a_cancellation(machine, event):
    async def stubborn():
        while True:
            try:
                await event.wait()
            except Exception:
                machine.note("swallowed")

    task = machine.spawn(stubborn())
    machine.at_ms(1, task.cancel)
    machine.run_ms(10)
    assert task.done
    assert machine.seen == []


def test_who_joins_a_cancelled_task_hears_of_it(machine, event):
    task = machine.spawn(event.wait())
    machine.spawn(survive(machine, task.join()))
    machine.at_ms(1, task.cancel)
    machine.run_ms(10)
    assert machine.seen == [(1, "Cancelled")]


# -- deadlines


def test_a_deadline_ends_a_wait_in_time(machine, event):
    async def wait():
        with pytest.raises(TimeoutError, match="not done within 5 ms"), machine.kernel.deadline_ms(5):
            await event.wait()
        machine.note("gave up")

    machine.spawn(wait())
    machine.run_ms(100)
    assert machine.seen == [(5, "gave up")]


def test_a_deadline_kept_leaves_nothing_behind(machine):
    async def hurry():
        for _ in range(1_000):
            with machine.kernel.deadline_ms(10_000):
                await machine.kernel.sleep_ns(10)
        machine.note("done")

    machine.spawn(machine.kernel.sleep_ms(5_000))
    machine.spawn(hurry())
    machine.run_ms(1)
    assert len(machine.seen) == 1
    assert len(machine.kernel._timers.due) == 1
    assert len(machine.kernel._timers.times) < 600


@pytest.mark.parametrize("wait", ["sleep", "work", "switches"])
def test_a_deadline_strikes_in_any_kind_of_await(machine, wait):
    async def spin():
        while True:
            machine.kernel.charge(MS, "hash")
            await machine.kernel.switch()

    async def busy():
        waits = {"sleep": machine.kernel.sleep_ms, "work": lambda ms: machine.kernel.work(ms * MS, "hash")}
        with pytest.raises(TimeoutError), machine.kernel.deadline_ms(5):
            await (waits[wait](500) if wait in waits else spin())
        machine.note("struck")

    machine.spawn(busy())
    machine.run_ms(1_000)
    assert machine.seen == [(6 if wait == "work" else 5, "struck")], "at the first await after 5 ms"


def test_a_deadline_that_passes_during_a_charge_strikes_at_the_next_await_even_a_long_one(machine, event):
    async def charge_and(wait):
        machine.kernel.charge(8 * MS, "hash")
        await wait

    async def slow():
        for wait in (event.wait(), machine.kernel.sleep_ms(100)):
            with pytest.raises(TimeoutError), machine.kernel.deadline_ms(5):
                await charge_and(wait)
        machine.note("struck")

    machine.spawn(slow())
    machine.run_ms(1_000)
    assert machine.seen == [(16, "struck")]


@pytest.mark.parametrize(("outer_ms", "inner_ms"), [(5, 10), (10, 5), (5, 5)])
def test_of_nested_deadlines_each_ends_its_own_block(machine, event, outer_ms, inner_ms):
    async def nest():
        try:
            with machine.kernel.deadline_ms(outer_ms):
                try:
                    with machine.kernel.deadline_ms(inner_ms):
                        await event.wait()
                except TimeoutError:
                    machine.note("inner")
                await machine.kernel.sleep_ms(100)
        except TimeoutError:
            machine.note("outer")

    machine.spawn(nest())
    machine.run_ms(1_000)
    expected = {(5, 10): [(5, "outer")], (10, 5): [(5, "inner"), (10, "outer")], (5, 5): [(5, "outer")]}
    assert machine.seen == expected[outer_ms, inner_ms]


@pytest.mark.parametrize("outer_first", [True, False])
def test_an_inner_deadline_never_hides_that_the_outer_one_has_passed_too(machine, event, outer_first):
    outer_ms, inner_ms = (7, 8) if outer_first else (8, 7)

    async def try_and_wait_on():
        try:
            with machine.kernel.deadline_ms(inner_ms):
                machine.kernel.charge(20 * MS, "hash")
                await event.wait()
        except TimeoutError:
            await event.wait()

    async def nest():
        with pytest.raises(TimeoutError, match=f"within {outer_ms} ms"), machine.kernel.deadline_ms(outer_ms):
            await try_and_wait_on()
        machine.note("out")

    machine.spawn(nest())
    machine.run_ms(100)
    assert machine.seen == [(20, "out")]


@pytest.mark.parametrize("cancel_first", [True, False])
def test_a_cancellation_outweighs_a_deadline_of_the_same_instant(machine, event, cancel_first):
    async def wait():
        with machine.kernel.deadline_ms(5):
            await event.wait()

    async def hold():
        await machine.kernel.sleep_ms(5 if not cancel_first else 4)
        task.cancel()
        machine.kernel.charge(10 * MS, "hash")

    task = machine.spawn(survive(machine, wait()))
    machine.spawn(hold(), priority=Priority.URGENT)
    machine.run_ms(100)
    assert [what for _, what in machine.seen] == ["Cancelled"]


def test_a_task_that_survives_a_deadline_can_be_cancelled_later(machine, event):
    async def wait():
        with pytest.raises(TimeoutError), machine.kernel.deadline_ms(5):
            await event.wait()
        await event.wait()

    task = machine.spawn(survive(machine, wait()))
    machine.at_ms(20, task.cancel)
    machine.run_ms(100)
    assert machine.seen == [(20, "Cancelled")]


def test_an_error_of_somebody_elses_choice_can_be_thrown_in(machine, event):
    task = machine.spawn(survive(machine, event.wait()))
    machine.kernel.on_fault = lambda task, error: None
    machine.at_ms(2, lambda: machine.kernel.interrupt(task, ConnectionResetError("gone")))
    machine.run_ms(10)
    assert machine.seen == [(2, "ConnectionResetError")]
