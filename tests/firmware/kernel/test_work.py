"""Long work: slices that need no coroutine, and stretches that need no turns, against the same work turn by turn."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware.kernel import Cancelled, Event, Priority, Share

MS = 1_000_000

WORKERS = st.lists(
    st.tuples(
        st.sampled_from(list(Priority)),
        st.integers(0, 60 * MS),  # when it begins
        st.lists(st.integers(0, 30_000_000), min_size=1, max_size=3),  # cycles, one piece of work after the other
        st.sampled_from([None, None, 30]),  # its share
    ),
    max_size=4,
)
INTERRUPTS = st.lists(st.tuples(st.integers(0, 200 * MS), st.sampled_from(list(Priority))), max_size=6)


def run(machine, workers, interrupts):
    kernel = machine.kernel

    async def work(number, begin_ns, pieces):
        await kernel.sleep_ns(begin_ns)
        for index, cycles in enumerate(pieces):
            await kernel.work(cycles, f"kind{index}")
            machine.note((number, index))

    async def answer(number, event):
        await event.wait()
        kernel.charge(1_000, "answer")
        machine.note(("answered", number))

    for number, (priority, begin_ns, pieces, percent) in enumerate(workers):
        share = None if percent is None else Share(percent)
        machine.spawn(work(number, begin_ns, pieces), f"work{number}", priority, share)
    for number, (when_ns, priority) in enumerate(interrupts):
        event = Event(kernel)
        machine.spawn(answer(number, event), f"answer{number}", priority)
        machine.at_ms(when_ns / MS, event.set)
    machine.run_ms(2_000)
    loads = [kernel.load(span_ms) for span_ms in (1_000, 10_000)]
    uses = [(task.name, task.busy_ns, task.longest_ns) for task in kernel.tasks]
    return machine.trace, machine.seen, dict(kernel.cycles), loads, uses, kernel.use()


# A share that is free again at the very end of a slice.
@example([(Priority.URGENT, 0, [14_800_001], None), (Priority.URGENT, 2_000_001, [6_000_001], 30)], [], 0, 200_000_000)
@settings(max_examples=200, deadline=None)
@given(WORKERS, INTERRUPTS, st.sampled_from([0, 250]), st.sampled_from([200_000_000, 266_000_000, 333_333_333]))
def test_work_alone_on_the_cpu_is_the_same_work_to_the_nanosecond(
    new_machine_of, workers, interrupts, switch_cycles, hz
):
    at_once = run(new_machine_of(hz, switch_cycles), workers, interrupts)
    with patch("firmware.kernel.scheduler.LONGEST_NS", 0):
        turn_by_turn = run(new_machine_of(hz, switch_cycles), workers, interrupts)
    assert at_once == turn_by_turn


def test_work_alone_does_not_come_back_to_the_board_for_each_slice(new_machine):
    machine = new_machine()
    machine.clock.at(1, lambda: None)  # something happens out there: the horizon is near
    calls = []
    run_kernel = machine.kernel.run
    machine.kernel.run = lambda: calls.append(machine.clock.now_ns) or run_kernel()
    worker = machine.spawn(machine.kernel.work(80 * MS, "rsa-private"))
    for when_ms in range(1, 80):
        machine.clock.at(when_ms * MS, lambda: None)
    machine.run_ms(100)
    assert worker.done
    assert worker.longest_ns == 2 * MS
    assert len(calls) < 10
    assert sum(1 for _, kind, _, _ in machine.trace if kind == "charge:rsa-private") == 40


def test_work_alone_that_is_cancelled_ends_with_the_slice_that_runs(machine):
    kernel = machine.kernel
    ended = []

    async def work():
        try:
            await kernel.work(80 * MS, "keygen")
        except Cancelled:
            ended.append(machine.cpu.now_ns)
            raise

    worker = machine.spawn(work())
    machine.at_ms(9.5, worker.cancel)
    machine.run_ms(100)
    assert worker.done
    assert ended == [10 * MS]
    assert kernel.cycles["keygen"] == 10 * MS


def test_what_was_worked_before_everything_ends_is_in_the_books(machine):
    worker = machine.spawn(machine.kernel.work(80 * MS, "keygen"))
    machine.run_ms(9.5)
    machine.cpu.now_ns = machine.clock.now_ns
    machine.kernel.close()
    assert worker.busy_ns == 10 * MS
    assert [held_ns for _, kind, _, held_ns in machine.trace if kind == "task"] == [2 * MS] * 5
