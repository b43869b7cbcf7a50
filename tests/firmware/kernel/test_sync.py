"""Events and bounded queues."""

from __future__ import annotations

import pytest

from firmware.kernel import Event, Priority, Queue, QueueFull

MS = 1_000_000


@pytest.fixture
def event(machine):
    return Event(machine.kernel)


def names(machine):
    return [what for _, what in machine.seen]


async def tell(machine, name, wait):
    machine.note((name, await wait))


def test_an_event_wakes_its_waiters_in_the_order_in_which_they_came(machine, event):
    for name in "abc":
        machine.spawn(tell(machine, name, event.wait()))
    machine.at_ms(2, event.set)
    machine.run_ms(10)
    assert machine.seen == [(2, ("a", True)), (2, ("b", True)), (2, ("c", True))]


def test_a_set_event_does_not_make_anyone_wait_until_it_is_cleared(machine, event):
    event.set()
    machine.spawn(tell(machine, "at once", event.wait()))
    machine.run_ms(1)
    event.clear()
    machine.spawn(tell(machine, "later", event.wait()))
    machine.run_ms(1)
    assert names(machine) == [("at once", True)]


def test_who_waited_is_woken_even_if_the_event_is_cleared_at_once(machine, event):
    machine.spawn(tell(machine, "a", event.wait()))
    machine.at_ms(1, lambda: (event.set(), event.clear()))
    machine.run_ms(5)
    assert machine.seen == [(1, ("a", True))]


@pytest.mark.parametrize("timeout_ms", [0, 5])
def test_a_wait_that_times_out_says_so_and_leaves_the_line(machine, event, timeout_ms):
    machine.spawn(tell(machine, "a", event.wait(timeout_ms=timeout_ms)))
    machine.run_ms(10)
    assert machine.seen == [(timeout_ms, ("a", False))]
    assert not event._waiters


def test_a_set_at_the_very_end_of_the_timeout_counts_if_it_came_first(machine, event):
    async def setter():
        await machine.kernel.sleep_ms(5)
        event.set()

    machine.spawn(setter(), priority=Priority.URGENT)
    machine.spawn(tell(machine, "a", event.wait(timeout_ms=5)))
    machine.run_ms(10)
    assert machine.seen == [(5, ("a", True))]


def test_the_timer_of_a_wait_that_succeeded_disturbs_nobody(machine, event):
    async def wait_twice():
        machine.note(await event.wait(timeout_ms=10))
        event.clear()
        machine.note(await event.wait())

    machine.spawn(wait_twice())
    machine.at_ms(2, event.set)
    machine.run_ms(100)
    assert machine.seen == [(2, True)]


@pytest.mark.parametrize("timeout_ms", [None, 20])
def test_a_spurious_wake_ends_no_wait(machine, event, timeout_ms):
    task = machine.spawn(tell(machine, "a", event.wait(timeout_ms=timeout_ms)))
    machine.at_ms(3, lambda: machine.kernel.wake(task))
    machine.run_ms(10)
    assert machine.seen == []
    machine.at_ms(12, event.set)
    machine.run_ms(50)
    assert machine.seen == [(12, ("a", True))]


def test_a_spurious_wake_does_not_put_off_the_timeout(machine, event):
    task = machine.spawn(tell(machine, "a", event.wait(timeout_ms=20)))
    machine.at_ms(15, lambda: machine.kernel.wake(task))
    machine.run_ms(50)
    assert machine.seen == [(20, ("a", False))]


def test_waking_a_task_that_is_ready_running_or_done_changes_nothing(machine):
    async def turns():
        for turn in range(3):
            machine.kernel.wake(tasks[0])
            machine.kernel.wake_after(tasks[0], MS)
            machine.note(turn)
            await machine.kernel.switch()

    tasks = [machine.spawn(turns())]
    machine.kernel.wake(tasks[0])
    machine.run_ms(1)
    machine.kernel.wake(tasks[0])
    machine.run_ms(5)
    assert names(machine) == [0, 1, 2]


def test_wake_after_wakes_a_waiting_task_unless_something_else_was_faster(machine):
    async def nap():
        await machine.kernel.sleep_ms(50)
        machine.note("awake")

    slow, fast = machine.spawn(nap()), machine.spawn(nap())
    machine.run_ms(1)
    machine.cpu.now_ns = machine.clock.now_ns
    machine.kernel.wake_after(slow, 5 * MS)
    machine.kernel.wake_after(fast, 5 * MS)
    machine.at_ms(3, lambda: machine.kernel.wake(fast))
    machine.run_ms(100)
    assert [when_ms for when_ms, _ in machine.seen] == [3, 6]


def test_a_queue_hands_on_in_order_and_holds_back_who_puts_too_much(machine):
    queue = Queue(machine.kernel, 2)

    async def put():
        for number in range(5):
            await queue.put(number)
            machine.note(f"put {number}")

    async def get():
        await machine.kernel.sleep_ms(5)
        for _ in range(5):
            machine.note(await queue.get())

    machine.spawn(put())
    machine.spawn(get())
    machine.run_ms(3)
    assert names(machine) == ["put 0", "put 1"]
    assert len(queue) == 2
    machine.run_ms(10)
    assert [name for name in names(machine) if isinstance(name, int)] == [0, 1, 2, 3, 4]
    assert len(queue) == 0


def test_a_full_queue_refuses_what_cannot_wait(machine):
    queue = Queue(machine.kernel, 1)
    queue.put_nowait("a")
    with pytest.raises(QueueFull, match="queue holds 1 items, its limit is 1"):
        queue.put_nowait("b")
    assert len(queue) == 1


def test_a_queue_without_room_for_anything_is_refused(machine):
    with pytest.raises(ValueError, match="queue limit is 0, must be at least 1"):
        Queue(machine.kernel, 0)


def test_who_waited_first_gets_the_item_although_somebody_else_asks_before_it_runs(machine):
    queue = Queue(machine.kernel, 4)

    async def thief():
        queue.put_nowait("first")
        machine.note(("thief", await queue.get()))

    machine.spawn(tell(machine, "patient", queue.get()))
    machine.run_ms(1)
    machine.spawn(thief(), priority=Priority.URGENT)
    machine.at_ms(5, lambda: queue.put_nowait("second"))
    machine.run_ms(10)
    assert machine.seen == [(1, ("patient", "first")), (5, ("thief", "second"))]


def test_who_waited_first_for_room_gets_it_although_somebody_else_comes_before_it_runs(machine):
    queue = Queue(machine.kernel, 1)
    queue.put_nowait("old")

    async def take_and_push():
        machine.note(await queue.get())
        with pytest.raises(QueueFull):
            queue.put_nowait("pushed in")
        await queue.put("behind")

    machine.spawn(queue.put("patient"))
    machine.run_ms(1)
    machine.spawn(take_and_push(), priority=Priority.URGENT)
    machine.run_ms(1)
    machine.spawn(tell(machine, "next", queue.get()))
    machine.spawn(tell(machine, "next", queue.get()))
    machine.run_ms(1)
    assert names(machine) == ["old", ("next", "patient"), ("next", "behind")]


@pytest.mark.parametrize("how", ["cancel", "deadline"])
def test_a_turn_is_passed_on_by_who_is_interrupted_after_being_called(machine, how):
    queue = Queue(machine.kernel, 1)

    async def first():
        if how == "cancel":
            await queue.get()
        else:
            with pytest.raises(TimeoutError), machine.kernel.deadline_ms(5):
                await queue.get()

    task = machine.spawn(first())
    machine.spawn(tell(machine, "second", queue.get()))

    async def feed():
        await machine.kernel.sleep_ms(4)
        queue.put_nowait("item")
        task.cancel() if how == "cancel" else machine.kernel.charge(2 * MS, "hash")

    machine.spawn(feed())
    machine.run_ms(20)
    assert names(machine) == [("second", "item")]
    queue.put_nowait("another")
    assert len(queue) == 1, "and no room was lost"


def test_a_turn_that_nobody_else_wants_goes_back_to_the_queue(machine):
    queue = Queue(machine.kernel, 1)
    task = machine.spawn(queue.get())
    machine.run_ms(1)
    queue.put_nowait("item")
    task.cancel()
    machine.run_ms(1)
    machine.spawn(tell(machine, "later", queue.get()))
    machine.run_ms(1)
    assert names(machine) == [("later", "item")]


def test_every_getter_in_line_gets_an_item_when_there_are_enough(machine):
    queue = Queue(machine.kernel, 10)

    async def serve(name):
        while True:
            machine.note((name, await queue.get()))

    for name in "abc":
        machine.spawn(serve(name))
    machine.at_ms(1, lambda: [queue.put_nowait(number) for number in range(6)])
    machine.run_ms(5)
    assert [number for _, number in names(machine)] == [0, 1, 2, 3, 4, 5]
    assert {name for name, _ in names(machine)} == set("abc")
