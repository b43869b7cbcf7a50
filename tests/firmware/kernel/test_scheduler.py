"""Tasks in order, in time, by priority; charges; and what the board sees of it."""

from __future__ import annotations

import pytest

from firmware.kernel import Event, Priority

MS = 1_000_000


async def say(machine, what, times=1):
    for _ in range(times):
        machine.note(what)
        await machine.kernel.switch()


def names(machine):
    return [what for _, what in machine.seen]


def test_tasks_of_one_priority_take_turns_in_the_order_in_which_they_were_spawned(machine):
    for name in "abc":
        machine.spawn(say(machine, name, 2))
    machine.run_ms(1)
    assert names(machine) == list("abcabc")


def test_the_more_urgent_goes_first_whenever_the_cpu_is_free(machine):
    machine.spawn(say(machine, "background", 2), priority=Priority.BACKGROUND)
    machine.spawn(say(machine, "service", 2), priority=Priority.SERVICE)
    machine.spawn(say(machine, "urgent", 2), priority=Priority.URGENT)
    machine.spawn(say(machine, "console", 2), priority=Priority.CONSOLE)
    machine.run_ms(1)
    assert names(machine) == [name for name in ("urgent", "console", "service", "background") for _ in range(2)]


def test_nobody_is_preempted(machine):
    async def hog():
        machine.kernel.charge(5 * MS, "hash")
        machine.note("hog done")

    async def urgent():
        await machine.kernel.sleep_ms(1)
        machine.note("urgent")

    machine.spawn(urgent(), priority=Priority.URGENT)
    machine.spawn(hog(), priority=Priority.BACKGROUND)
    machine.run_ms(10)
    assert machine.seen == [(5, "hog done"), (5, "urgent")]


def test_sleepers_wake_by_time_and_at_equal_times_in_the_order_of_going_to_sleep(machine):
    async def sleep(name, duration_ms):
        await machine.kernel.sleep_ms(duration_ms)
        machine.note(name)

    for name, duration_ms in (("late", 3), ("first", 2), ("second", 2), ("third", 2), ("early", 1)):
        machine.spawn(sleep(name, duration_ms))
    machine.run_ms(10)
    assert machine.seen == [(1, "early"), (2, "first"), (2, "second"), (2, "third"), (3, "late")]


def test_who_fell_due_during_a_charge_goes_before_who_charged(machine):
    async def sleeper():
        await machine.kernel.sleep_ms(1)
        machine.note("sleeper")

    async def worker():
        machine.kernel.charge(2 * MS, "hash")
        await machine.kernel.switch()
        machine.note("worker")

    machine.spawn(sleeper())
    machine.spawn(worker())
    machine.run_ms(10)
    assert names(machine) == ["sleeper", "worker"]


@pytest.mark.parametrize("duration_ns", [0, -1, -5 * MS])
def test_a_sleep_that_is_over_before_it_begins_is_a_switch(machine, duration_ns):
    async def sleep():
        await machine.kernel.sleep_ns(duration_ns)
        machine.note("awake")

    machine.spawn(sleep())
    machine.spawn(say(machine, "other"))
    machine.run_ms(1)
    assert machine.seen == [(0, "other"), (0, "awake")]


def test_a_sleep_without_end_asks_for_no_call(machine):
    async def sleep():
        await machine.kernel.sleep_ns(1 << 61)
        await machine.kernel.sleep_ns(1 << 62)

    machine.spawn(sleep())
    assert machine.kernel.run() == 1 << 61
    machine.cpu.now_ns = 1 << 61
    assert machine.kernel.run() is None


def test_a_charge_moves_local_time_on_exactly_and_the_world_follows(new_machine):
    machine = new_machine(hz=3)
    counted = []

    async def work():
        for _ in range(3):
            machine.kernel.charge(1, "hash")
            counted.append((machine.kernel.now_ns, machine.clock.now_ns))

    machine.spawn(work())
    machine.run_ms(2_000)
    assert counted == [(333_333_333, 0), (666_666_666, 0), (1_000_000_000, 0)], "no fraction of a cycle is lost"


def test_cycles_are_counted_by_kind_and_switches_too(new_machine):
    machine = new_machine(switch_cycles=7)

    async def work():
        machine.kernel.charge(10, "hash")
        machine.kernel.charge(20, "card")
        await machine.kernel.switch()
        machine.kernel.charge(5, "hash")

    machine.spawn(work())
    machine.run_ms(1)
    assert machine.kernel.cycles == {"hash": 15, "card": 20, "switch": 14}
    assert machine.kernel.last_charge == "hash"


def test_work_is_cut_into_slices_of_2_ms_and_others_run_between_them(machine):
    async def listen():
        while True:
            machine.note("heard")
            await machine.kernel.sleep_ms(1)

    machine.spawn(listen(), priority=Priority.URGENT)
    worker = machine.spawn(machine.kernel.work(5 * MS, "rsa-private"))
    machine.run_ms(5)
    assert worker.done
    assert worker.longest_ns == 2 * MS
    assert worker.busy_ns == 5 * MS
    assert machine.kernel.cycles["rsa-private"] == 5 * MS
    assert [when_ms for when_ms, _ in machine.seen] == [0, 2, 4, 5]


def test_no_work_takes_no_time_and_no_turn(machine):
    task = machine.spawn(machine.kernel.work(0, "hash"))
    machine.run_ms(1)
    assert task.done
    assert task.busy_ns == 0
    assert "hash" not in machine.kernel.cycles


def test_the_longest_hold_of_each_task_is_kept(new_machine):
    machine = new_machine(switch_cycles=100)

    async def work():
        for cycles in (10, 3_000, 20):
            machine.kernel.charge(cycles, "hash")
            machine.kernel.charge(1, "card")
            await machine.kernel.switch()

    task = machine.spawn(work())
    machine.run_ms(1)
    assert task.longest_ns == 3_101
    assert task.cycles == task.busy_ns == 3_433


def test_a_device_that_holds_the_cpu_counts_as_the_tasks_own_time(machine):
    async def write():
        machine.cpu.spend_ns(1_234)
        await machine.kernel.switch()

    task = machine.spawn(write())
    machine.run_ms(1)
    assert task.longest_ns == 1_234
    assert machine.kernel.busy_ns == 1_234


def test_run_says_when_it_wants_to_be_called_next(machine):
    async def sleep():
        await machine.kernel.sleep_ms(700)
        await Event(machine.kernel).wait()

    machine.kernel.spawn(sleep(), "sleep")
    assert machine.kernel.run() == 700 * MS
    machine.cpu.now_ns = 700 * MS
    assert machine.kernel.run() is None


def test_run_goes_no_further_than_the_horizon(machine):
    turns = []

    async def spin():
        while True:
            machine.kernel.charge(MS, "hash")
            turns.append(machine.kernel.now_ns)
            await machine.kernel.switch()

    machine.clock.at(3 * MS, lambda: turns.append("event"))
    machine.spawn(spin())
    machine.run_ms(4.5)
    assert turns == [1 * MS, 2 * MS, 3 * MS, "event", 4 * MS, 5 * MS]


def test_the_kernel_cannot_be_run_by_a_task_of_its_own(machine):
    async def nest():
        machine.kernel.run()

    machine.spawn(nest(), "nest")
    with pytest.raises(RuntimeError, match="task nest has the CPU already"):
        machine.run_ms(1)


def test_the_world_that_catches_up_with_a_task_may_make_others_ready(machine):
    event = Event(machine.kernel)

    async def toucher():
        machine.kernel.charge(5 * MS, "flash")
        machine.cpu.sync()
        machine.note("touched")
        await machine.kernel.switch()
        machine.note("again")

    async def waiter():
        await event.wait()
        machine.note("woken")

    machine.spawn(waiter(), priority=Priority.URGENT)
    machine.spawn(toucher())
    machine.at_ms(3, event.set)
    machine.run_ms(10)
    assert machine.seen == [(5, "touched"), (5, "woken"), (5, "again")]


def test_a_result_goes_to_everyone_who_joins_before_or_after(machine):
    async def answer():
        await machine.kernel.sleep_ms(1)
        return 42

    async def join(task):
        machine.note(await task.join())
        machine.note(await task)

    task = machine.spawn(answer())
    machine.spawn(join(task))
    machine.spawn(join(task))
    machine.run_ms(5)
    assert machine.seen == [(1, 42)] * 4
    assert task.result == 42
    assert task not in machine.kernel.tasks


def test_a_spurious_wake_ends_no_join(machine):
    async def join(task):
        machine.note(await task)

    task = machine.spawn(machine.kernel.sleep_ms(10))
    joiner = machine.spawn(join(task))
    machine.at_ms(3, lambda: machine.kernel.wake(joiner))
    machine.run_ms(20)
    assert machine.seen == [(10, None)]


def test_what_a_task_raises_goes_to_who_joins_it(machine):
    async def fail():
        await machine.kernel.sleep_ms(1)
        raise KeyError("lost")

    async def join(task):
        try:
            await task.join()
        except KeyError as error:
            machine.note(error)

    task = machine.spawn(fail())
    machine.spawn(join(task))
    machine.run_ms(5)
    assert machine.seen == [(1, task.error)]


def test_a_task_that_waits_for_itself_is_told_so(machine):
    async def narcissus():
        with pytest.raises(RuntimeError, match="task me waits for itself"):
            await tasks[0].join()
        machine.note("told")

    tasks = [machine.spawn(narcissus(), "me")]
    machine.run_ms(1)
    assert names(machine) == ["told"]


def test_a_fault_that_nobody_joined_for_comes_out_of_run_and_the_others_live_on(machine):
    async def fail():
        raise ValueError("broken")

    machine.spawn(fail())
    machine.spawn(say(machine, "alive"))
    with pytest.raises(ValueError, match="broken"):
        machine.run_ms(1)
    assert machine.kernel.current is None
    machine.wake()
    machine.run_ms(1)
    assert names(machine) == ["alive"]


def test_a_fault_goes_to_the_fault_handler_where_there_is_one(machine):
    async def fail():
        raise ValueError("broken")

    machine.kernel.on_fault = lambda task, error: machine.note((task.name, str(error)))
    machine.spawn(fail(), "fragile")
    machine.run_ms(1)
    assert machine.seen == [(0, ("fragile", "broken"))]
    assert not machine.kernel.tasks


def test_what_is_not_the_tasks_own_business_goes_up_and_the_time_until_then_is_booked(machine):
    class PowerLoss(BaseException):
        pass

    async def cut():
        machine.kernel.charge(500, "flash")
        raise PowerLoss

    machine.spawn(cut())
    with pytest.raises(PowerLoss):
        machine.run_ms(1)
    assert machine.kernel.busy_ns == 500


def test_close_drops_every_task_in_order_and_what_their_last_words_raise(machine):
    async def guarded(name):
        try:
            await Event(machine.kernel).wait()
        finally:
            machine.note(name)
            raise OSError("no power")

    tasks = [machine.spawn(guarded(name)) for name in ("first", "second")]
    machine.run_ms(1)
    tasks.append(machine.spawn(guarded("never ran")))
    machine.kernel.close()
    assert names(machine) == ["first", "second"]
    assert all(task.done for task in tasks)
    assert not machine.kernel.tasks


def test_a_thousand_tasks_all_get_their_turns(new_machine):
    machine = new_machine(switch_cycles=100)

    async def live(number):
        for _ in range(5):
            await machine.kernel.sleep_ns(1_000 + number)
            machine.kernel.charge(50, "parse")

    tasks = [machine.spawn(live(number), f"t{number}") for number in range(1_000)]
    machine.run_ms(100)
    assert all(task.done for task in tasks)
    assert machine.kernel.cycles["parse"] == 250_000
    assert {task.busy_ns for task in tasks} == {6 * 100 + 5 * 50}


def test_two_machines_on_one_clock_run_side_by_side(new_machine):
    left = new_machine()
    right = new_machine(clock=left.clock)
    order = []

    async def beat(machine, name, offset_ms):
        await machine.kernel.sleep_ms(offset_ms)
        for _ in range(3):
            order.append((machine.kernel.now_ns // MS, name))
            await machine.kernel.sleep_ms(200)

    left.spawn(beat(left, "left", 0))
    right.spawn(beat(right, "right", 100))
    left.run_ms(1_000)
    assert order == [(0, "left"), (100, "right"), (200, "left"), (300, "right"), (400, "left"), (500, "right")]


def test_the_same_program_twice_leaves_the_same_trace(new_machine):
    def run():
        machine = new_machine(hz=200_000_000, switch_cycles=200)
        event = Event(machine.kernel)

        async def noisy(number):
            for turn in range(10):
                machine.kernel.charge(number * 997 % 5_000, "hash")
                await event.wait(timeout_ms=1 + number * turn % 7)
                if number % 3 == 0:
                    event.set()
                await machine.kernel.sleep_ns(number * 7_919 % 100_000)
                event.clear()

        for number in range(30):
            machine.spawn(noisy(number), f"n{number}", Priority(number % 4))
        machine.at_ms(2, event.set)
        machine.run_ms(500)
        return machine.trace

    first, second = run(), run()
    assert len(first) > 600
    assert first == second


def test_the_trace_tells_turns_and_charges(new_machine):
    machine = new_machine(switch_cycles=10)

    async def work():
        machine.kernel.charge(90, "hash")
        await machine.kernel.switch()

    machine.spawn(work(), "worker")
    machine.run_ms(1)
    assert machine.trace == [
        (10, "charge:hash", "worker", 90),
        (0, "task", "worker", 100),
        (100, "task", "worker", 10),
    ]
