"""Shares over a sliding window, load averages, and that what the tasks used is what the CPU worked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.kernel import Event, LoadMeter, Priority, Share
from firmware.kernel.timers import Timed

MS = 1_000_000
SLICE_NS = 2 * MS


def most_in_any_window(spells, window_ns):
    """The most work that lies in any window: a worst one begins with a spell or ends with one."""

    def work_in(begin_ns):
        return sum(max(0, min(end, begin_ns + window_ns) - max(start, begin_ns)) for start, end in spells)

    return max((work_in(edge) for start, end in spells for edge in (start, end - window_ns)), default=0)


def turns_of(machine, *names):
    return [(when, when + int(held)) for when, kind, name, held in machine.trace if kind == "task" and name in names]


async def dig(machine, cycles):
    await machine.kernel.work(cycles, "keygen")


async def dig_and_wait_for_events(machine, event):
    """Never just switches: pieces of every size, each followed by a wait that somebody else ends at once."""
    for turn in range(400):
        machine.kernel.charge((turn * 79_190) % SLICE_NS, "keygen")
        event.clear()
        await event.wait(timeout_ms=turn % 5 or None)


async def keep_setting(machine, event):
    while True:
        event.set()
        await machine.kernel.sleep_ns(50_000)


@pytest.mark.parametrize(("percent", "window_ms"), [(50, 100), (20, 100), (10, 50), (90, 10)])
def test_a_task_never_takes_more_than_its_share_of_any_window_beyond_one_slice(machine, percent, window_ms):
    machine.spawn(dig(machine, 400 * MS), "dig", Priority.BACKGROUND, Share(percent, window_ms))
    machine.run_ms(400 * 100 / percent + window_ms)
    spells = turns_of(machine, "dig")
    assert sum(end - start for start, end in spells) == 400 * MS, "it all gets done"
    assert most_in_any_window(spells, window_ms * MS) <= window_ms * MS * percent // 100 + SLICE_NS


def test_a_task_that_works_on_and_off_cannot_fill_a_window_from_two_sides(machine):
    async def on_and_off():
        await dig(machine, 2 * MS)
        await machine.kernel.sleep_ms(48)
        await dig(machine, 200 * MS)

    machine.spawn(on_and_off(), "dig", Priority.BACKGROUND, Share(50, 100))
    machine.run_ms(1_000)
    spells = turns_of(machine, "dig")
    assert most_in_any_window(spells, 100 * MS) <= 52 * MS


def test_waiting_for_events_is_no_way_around_a_share(machine):
    event = Event(machine.kernel)
    machine.spawn(keep_setting(machine, event))
    task = machine.spawn(dig_and_wait_for_events(machine, event), "dig", Priority.BACKGROUND, Share(30, 100))
    machine.run_ms(5_000)
    assert task.done
    assert 29 * MS < most_in_any_window(turns_of(machine, "dig"), 100 * MS) <= 30 * MS + SLICE_NS


def test_tasks_with_one_share_have_it_together(machine):
    share = Share(50, 100)
    for name in ("dig", "delve"):
        machine.spawn(dig(machine, 200 * MS), name, Priority.BACKGROUND, share)
    machine.run_ms(1_000)
    spells = turns_of(machine, "dig", "delve")
    assert sum(end - start for start, end in spells) == 400 * MS
    assert most_in_any_window(spells, 100 * MS) <= 50 * MS + SLICE_NS


def test_a_piece_that_is_larger_than_the_share_is_made_up_for(machine):
    async def gulp():
        machine.kernel.charge(200 * MS, "keygen")
        await machine.kernel.switch()
        machine.note("again")

    machine.spawn(gulp(), priority=Priority.BACKGROUND, share=Share(50, 100))
    machine.run_ms(1_000)
    assert machine.seen == [(250, "again")], "50 ms of the last 100 ms may be work"


def test_the_rest_of_the_time_is_free_for_others_of_the_same_priority(machine):
    async def count():
        while True:
            machine.kernel.charge(MS, "hash")
            await machine.kernel.switch()

    dug = machine.spawn(dig(machine, 10_000 * MS), "dig", Priority.BACKGROUND, Share(50, 100))
    counted = machine.spawn(count(), "count", Priority.BACKGROUND)
    machine.run_ms(1_000)
    assert dug.busy_ns <= 502 * MS
    assert dug.busy_ns + counted.busy_ns >= 999 * MS


def test_the_time_for_which_a_task_only_waits_for_its_share_is_known(machine):
    machine.spawn(dig(machine, 100 * MS), "dig", Priority.BACKGROUND, Share(50, 100))
    machine.run_ms(60)
    assert machine.kernel.throttled_until_ns == 100 * MS


def test_an_urgent_task_waits_for_one_slice_at_most_while_keys_are_made(machine):
    late = []

    async def tick():
        while True:
            due_ns = machine.kernel.now_ns + 3_300_000
            await machine.kernel.sleep_ns(3_300_000)
            late.append(machine.kernel.now_ns - due_ns)

    machine.spawn(tick(), priority=Priority.URGENT)
    for number in range(3):
        machine.spawn(dig(machine, 500 * MS), f"dig{number}", Priority.BACKGROUND)
    machine.run_ms(1_000)
    assert len(late) > 150
    assert max(late) <= SLICE_NS
    assert max(late) > 0, "or nothing was in its way"


def test_a_share_remembers_no_more_than_its_window():
    share = Share(50, 100)
    for number in range(10_000):
        share.use(number * 5 * MS, number * 5 * MS + 1_000)
    assert len(share._spells) <= 21


@pytest.mark.parametrize(("percent", "window_ms"), [(0, 100), (101, 100), (50, 0)])
def test_a_share_out_of_range_is_refused(percent, window_ms):
    with pytest.raises(ValueError, match="must be"):
        Share(percent, window_ms)


@given(
    st.integers(1, 100),
    st.lists(st.tuples(st.integers(0, 30 * MS), st.integers(0, SLICE_NS)), max_size=80),
)
def test_no_pattern_of_work_gets_past_a_share(percent, pattern):
    share = Share(percent, 20)
    now_ns, spells = 0, []
    for pause_ns, length_ns in pattern:
        now_ns = max(now_ns + pause_ns, share.free_ns)
        spells.append((now_ns, now_ns + length_ns))
        assert share.use(*spells[-1]) >= now_ns + length_ns
        now_ns += length_ns
    assert most_in_any_window(spells, 20 * MS) <= 20 * MS * percent // 100 + SLICE_NS


# -- load


async def busy_part_of_every_10_ms(machine, busy_ms):
    while True:
        began_ns = machine.kernel.now_ns
        machine.kernel.charge(busy_ms * MS, "hash")
        await machine.kernel.sleep_ns(began_ns + 10 * MS - machine.kernel.now_ns)


@pytest.mark.parametrize("span_ms", [1_000, 10_000, 60_000])
@pytest.mark.parametrize("busy_ms", [1, 3, 9])
def test_the_load_is_the_busy_part_of_the_time(machine, span_ms, busy_ms):
    machine.spawn(busy_part_of_every_10_ms(machine, busy_ms))
    machine.run_ms(span_ms + 150)
    assert machine.kernel.load(span_ms) == pytest.approx(busy_ms / 10, abs=0.001)


def test_time_before_the_kernel_began_counts_as_idle(machine):
    machine.spawn(busy_part_of_every_10_ms(machine, 5))
    machine.run_ms(6_050)
    assert machine.kernel.load(1_000) == pytest.approx(0.5, abs=0.005)
    assert machine.kernel.load(60_000) == pytest.approx(0.05, abs=0.001)


def test_a_task_sees_the_load_that_it_made_in_this_very_turn(machine):
    async def gulp():
        machine.kernel.charge(700 * MS, "hash")
        machine.note(machine.kernel.load(1_000))

    machine.spawn(gulp())
    machine.run_ms(1)
    assert machine.seen == [(700, pytest.approx(0.7))]


def test_a_mark_passed_at_work_is_exact_although_the_task_sleeps_right_after_it(machine):
    async def work_past_a_mark():
        machine.kernel.charge(50 * MS, "hash")
        await machine.kernel.sleep_ms(30)
        machine.note(machine.kernel.load(1_000))

    machine.run_ms(60)
    machine.spawn(work_past_a_mark())
    machine.run_ms(200)
    assert machine.seen == [(140, pytest.approx(0.04))], "40 ms up to the mark at 100 ms"


@pytest.mark.parametrize("gap_ms", [950, 61_000, 3_600_000, 86_400_000])
def test_after_a_gap_of_any_length_the_load_is_that_of_the_time_since(machine, gap_ms):
    async def gulp():
        machine.kernel.charge(1_000 * MS, "hash")
        await machine.kernel.sleep_ms(gap_ms)
        machine.note(machine.kernel.load(60_000))
        machine.kernel.charge(300 * MS, "hash")
        machine.note(machine.kernel.load(1_000))
        machine.note(machine.kernel.load(60_000))

    machine.spawn(gulp())
    machine.run_ms(gap_ms + 2_000)
    before, second, minute = (value for _, value in machine.seen)
    assert before == pytest.approx(1 / 60 if gap_ms < 59_000 else 0.0, abs=0.001)
    assert second == pytest.approx(0.3, abs=0.1)
    assert minute == pytest.approx((1.3 if gap_ms < 59_000 else 0.3) / 60, abs=0.002)


def test_a_board_that_rests_can_be_asked_for_its_load_too(machine):
    machine.spawn(machine.kernel.work(1_000 * MS, "hash"))
    machine.run_ms(1_000)
    assert machine.kernel.load(1_000) == pytest.approx(1.0)
    machine.run_ms(500)
    machine.cpu.now_ns = machine.clock.now_ns
    assert machine.kernel.load(1_000) == pytest.approx(0.5)


def test_a_rest_counts_once_when_somebody_asks_for_the_load_between_it_and_the_turn_that_follows(machine):
    machine.kernel.arm(Timed(lambda _: machine.note(machine.kernel.load(1_000))), 30)
    machine.run_ms(50)
    assert machine.seen == [(30, 0.0)]
    assert machine.kernel.busy_ns == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 250 * MS)), min_size=1, max_size=60))
def test_every_mark_holds_exactly_the_busy_time_there_had_been(spans):
    meter, now_ns, idle_ns, timeline = LoadMeter(0), 0, 0, []
    for busy, length_ns in spans:
        if busy:
            timeline.append((now_ns, now_ns + length_ns))
        else:
            # As the kernel does: a call before and after idling past a mark.
            if now_ns + length_ns >= meter.next_ns:
                meter.add(now_ns, idle_ns)
                idle_ns = 0
            idle_ns += length_ns
        now_ns += length_ns
        if not busy and now_ns >= meter.next_ns:
            meter.add(now_ns, idle_ns)
            idle_ns = 0
    meter.add(now_ns, idle_ns)
    mark_ns = now_ns // (100 * MS) * 100 * MS
    for span_ms in (1_000, 10_000, 60_000):
        begin_ns = mark_ns - span_ms * MS
        busy_ns = sum(max(0, min(end, mark_ns) - max(start, begin_ns)) for start, end in timeline)
        assert meter.over(span_ms) == pytest.approx(busy_ns / (span_ms * MS), abs=1e-12)


# -- everything at once

STEP = st.one_of(
    st.tuples(st.just("sleep"), st.integers(-1, 300_000)),
    st.tuples(st.just("switch"), st.just(0)),
    st.tuples(st.just("charge"), st.integers(0, 200_000)),
    st.tuples(st.just("work"), st.integers(0, 5_000_000)),
    st.tuples(st.just("set"), st.just(0)),
    st.tuples(st.just("clear"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(0, 3)),
    st.tuples(st.just("cancel"), st.integers(0, 7)),
    st.tuples(st.just("wake"), st.integers(0, 7)),
    st.tuples(st.just("join"), st.integers(0, 7)),
    st.tuples(st.just("deadline"), st.integers(0, 3)),
    st.tuples(st.just("sync"), st.just(0)),
)
PROGRAM = st.lists(st.tuples(st.sampled_from(Priority), st.booleans(), st.lists(STEP, max_size=8)), max_size=8)
EVENTS = st.lists(st.tuples(st.integers(0, 10), st.sampled_from(["set", "cancel", "wake"]), st.integers(0, 7)))


def run_program(machine, program, events):
    kernel, event, share = machine.kernel, Event(machine.kernel), Share(30, 10)
    tasks, times = [], []

    async def live(steps):
        for verb, number in steps:
            times.append(kernel.now_ns)
            await obey(verb, number)
            times.append(kernel.now_ns)

    async def obey(verb, number):
        other = tasks[number % len(tasks)]
        match verb:
            case "sleep":
                await kernel.sleep_ns(number)
            case "switch":
                await kernel.switch()
            case "charge":
                kernel.charge(number, "hash")
            case "work":
                await kernel.work(number, "keygen")
            case "wait":
                await event.wait(timeout_ms=number)
            case "deadline":
                try:
                    with kernel.deadline_ms(number):
                        await event.wait()
                except TimeoutError:
                    pass
            case "join":
                if other is not kernel.current:
                    try:
                        with kernel.deadline_ms(5):
                            await other.join()
                    except TimeoutError:
                        pass
            case "sync":
                machine.cpu.sync()
            case _:
                act(verb, other)

    def act(verb, other):
        {"set": event.set, "clear": event.clear}.get(
            verb, other.cancel if verb == "cancel" else lambda: kernel.wake(other)
        )()

    tasks += [machine.spawn(live(steps), f"t{n}", p, share if s else None) for n, (p, s, steps) in enumerate(program)]
    for when_ms, verb, number in events:
        if tasks:
            machine.at_ms(when_ms, lambda verb=verb, number=number: act(verb, tasks[number % len(tasks)]))
    machine.run_ms(2_000)
    return tasks, times


@settings(max_examples=150, deadline=None)
@given(PROGRAM, EVENTS)
def test_any_program_ends_in_order_of_time_with_every_nanosecond_accounted_for(new_machine_of, program, events):
    machine = new_machine_of(switch_cycles=100)
    tasks, times = run_program(machine, program, events)
    assert all(task.done for task in tasks)
    assert times == sorted(times), "local time never runs back"
    assert sum(task.busy_ns for task in tasks) == machine.kernel.busy_ns
    assert machine.kernel.cycles["switch"] % 100 == 0
    assert sum(machine.kernel.cycles.values()) == machine.kernel.busy_ns, "at a cycle per nanosecond"
    assert machine.kernel._timers.next_ns() is None
    again = new_machine_of(switch_cycles=100)
    run_program(again, program, events)
    assert again.trace == machine.trace
