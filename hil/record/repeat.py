"""Repeats a recorded run, up to any instant, and says where it differs if it does.

The bench that does it is an ordinary one, of the same seed. Its clock is driven as the recorded one was, up to the same
limits, and each action is done again when as many events have happened and it is as late as it was then::

    actions   go 5 s ------ read --------- stop | type "help" | go 10 s ------ stop
    clock     ....events....  ....events...     |             | ....events....

What differs is found at the first of: a trace event that is not the recorded one (as far back as the record keeps
them), a digest, an action whose place never comes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from board import Board, Program
from board.clock import Alarm
from board.errors import BoardError
from board.trace import TraceEvent
from hil.bench import Bench
from hil.errors import DeviceFailure, EnvironmentRefused, RackMisuse
from hil.record.clock import RecordedClock
from hil.record.file import BETWEEN, Action, Record, record_from_file
from hil.record.hands import Hands
from hil.record.recorder import versions


class RepeatDiffers(DeviceFailure):
    """The repetition is another run than the recorded one."""


class RepeatClock(RecordedClock):
    """A recorded clock that lets somebody look at the beginning of each event."""

    def __init__(self) -> None:
        super().__init__()
        self.on_event: Callable[[], None] | None = None

    def _happen(self, callback: Callable[[], None]) -> None:
        super()._happen(callback if self.on_event is None else partial(_both, self.on_event, callback))


def _both(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()


class Repeat:
    """One repetition. ``bench`` is the world in which it happens.

    Args:
        program: what the boards ran instead of the firmware; a record that was made so needs it.
        watch: called whenever a gateway has been made.

    Raises:
        RackMisuse: the program is missing.
    """

    def __init__(
        self,
        record: Record,
        *,
        program: Callable[[Board], Program] | None = None,
        watch: Callable[[Bench], None] | None = None,
    ) -> None:
        facts = record.facts
        if facts.program and program is None:
            raise RackMisuse(
                f"{record.source} is of boards that ran {facts.program}: repeat it from Python, with that program"
            )
        self.record = record
        self.difference: RepeatDiffers | None = None
        """Where it differs from the recorded run; None as long as it does not."""
        self._clock = RepeatClock()
        self.bench = Bench(facts.seed, self._clock, program=program, record=True)
        self.bench.repeat = facts.repeat or None
        self._hands = Hands(self.bench, watch)
        self._actions = record.actions
        self._next = 0
        self._alarms: dict[int, Alarm] = {}
        self._until_ns: int | None = None
        self._until_count: int | None = None
        self._first_line = record.first_traced
        self._count = 0
        self.bench.trace.listen(self._compare)
        self._clock.on_event = self._hook

    @property
    def at_end(self) -> bool:
        """Whether all of the recorded run has happened."""
        return self._next == len(self._actions) and self._at(self.record.facts.events, self.record.facts.now_ns)

    def run(self, *, until_ns: int | None = None, until_event: int | None = None) -> None:
        """Repeats it to its end, or to the first of these: a time, or the step that makes trace event ``until_event``.

        Raises:
            RepeatDiffers: it is another run than the recorded one; the bench is left where that was seen.
        """
        __tracebackhide__ = True
        self._until_ns, self._until_count = until_ns, until_event
        try:
            while not self._over() and not self.at_end:
                if self._due(BETWEEN):
                    self._take()
                elif not self._missed() and not self._step():
                    self._differ(self._expected(), "nothing more to happen")
        finally:
            self._leave()
        if self.difference is None and self.at_end and self.bench.trace.digest() != self.record.facts.digest:
            self._differ(f"digest {self.record.facts.digest}", f"digest {self.bench.trace.digest()}")
        if self.difference is not None:
            raise self.difference

    def reasons(self) -> list[str]:
        """What may be why it differs: things done that are not recorded, other versions."""
        facts, here = self.record.facts, versions()
        return facts.doubts + [
            f"{name} is {here[name]} here, and was {recorded}"
            for name, recorded in facts.versions.items()
            if name in here and here[name] != recorded
        ]

    # -- where it is

    def _at(self, events: int, now_ns: int) -> bool:
        return self._clock.events == events and self._clock.now_ns == now_ns

    def _due(self, by: int) -> bool:
        """Whether the next action's place is here, in this context."""
        if self._next >= len(self._actions) or self.difference is not None:
            return False
        action = self._actions[self._next]
        return action.by == by and self._at(action.events, action.now_ns)

    def _missed(self) -> bool:
        """Notes a difference when the next action's place has gone by, or will never come."""
        events, now_ns = self._place()
        if self._clock.events > events or self._clock.now_ns > now_ns:
            self._differ(self._expected(), "other events in the meantime")
        return self.difference is not None

    def _over(self) -> bool:
        """Whether to stop here."""
        if self.difference is not None:
            return True
        if self._until_count is not None and self.bench.trace.count >= self._until_count:
            return True
        if self._until_ns is None:
            return False
        events, now_ns = self._place()
        if self._clock.events == events and now_ns <= self._until_ns:
            return False  # there is something to be done yet, without an event before it
        next_ns = self._clock.next_ns
        return next_ns is None or next_ns > self._until_ns

    def _place(self) -> tuple[int, int]:
        """Where the next action is, or the end."""
        facts = self.record.facts
        if self._next >= len(self._actions):
            return facts.events, facts.now_ns
        return self._actions[self._next].events, self._actions[self._next].now_ns

    # -- what is done

    def _take(self) -> None:
        """Does the next action."""
        action = self._actions[self._next]
        self._next += 1
        if action.kind == "go":
            self._go(action)
        elif action.kind == "stop":
            self._differ("the clock to be driven", "a rest that nothing began")
        elif action.kind == "alarm":
            number, when_ns = action.arguments
            self._alarms[number] = self._clock.at(when_ns, partial(self._went_off, number))
        elif action.kind == "cancel":
            alarm = self._alarms.pop(action.arguments[0], None)
            if alarm is not None:
                alarm.cancel()
        else:
            self._do(action)

    def _do(self, action: Action) -> None:
        try:
            self._hands.do(action.kind, *action.arguments)
        except (BoardError, RackMisuse, OSError, EnvironmentRefused) as error:
            self._differ(self._text(action), " ".join(str(error).split()))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            text = f"action {self._next} ({action.kind}) cannot be done: {type(error).__name__}: {error}"
            raise EnvironmentRefused(f"{self.record.source}: {text}") from error

    def _go(self, begun: Action) -> None:
        """Drives the clock as it was, until the recorded rest."""
        rested = False

        def unfinished() -> bool:
            nonlocal rested
            while self._due(begun.by):
                if self._actions[self._next].kind == "stop":
                    rested = True
                    self._rest(self._actions[self._next])
                    return False
                self._take()
            return not self._over() and not self.at_end and not self._missed()

        limit_ns = begun.arguments[0]
        if self._until_ns is not None and self._rest_ns() > self._until_ns:
            # In the drive that would go on beyond it, no CPU that runs ahead may take the world along either.
            limit_ns = min(limit_ns, self._until_ns)
        try:
            self._clock.run_while(unfinished, limit_ns - self._clock.now_ns)
        except Exception as error:
            if not self._due(begun.by) or self._actions[self._next].arguments[2] != type(error).__name__:
                raise
            rested = True
            self._rest(self._actions[self._next])
        if not rested and not self._over() and not self.at_end:
            self._differ(self._expected(), "nothing more to happen before the clock rests")

    def _rest_ns(self) -> int:
        """When the drive that has just begun came to its end."""
        depth = 1
        for index in range(self._next, len(self._actions)):
            depth += {"go": 1, "stop": -1}.get(self._actions[index].kind, 0)
            if depth == 0:
                return self._actions[index].now_ns
        return self.record.facts.now_ns

    def _rest(self, action: Action) -> None:
        """The clock rests where it did; a digest that the record has of this place is compared."""
        self._next += 1
        count, digest, _ = action.arguments
        if self.bench.trace.count != count:
            self._differ(f"{count} trace events", f"{self.bench.trace.count}")
        elif digest and self.bench.trace.digest() != digest:
            self._differ(f"digest {digest} after {count} trace events", f"digest {self.bench.trace.digest()}")

    def _step(self) -> bool:
        """One step of a clock that was stepped by hand."""
        before = self._clock.events
        if self._until_ns is None:
            return self._clock.step()
        self._clock.run_while(lambda: self._clock.events == before, self._until_ns - self._clock.now_ns)
        return self._clock.events > before

    def _went_off(self, number: int) -> None:
        """An alarm that the outside had set: what it did then is done now."""
        self._alarms.pop(number, None)
        while self._due(number) and not self._over():
            self._take()

    def _hook(self) -> None:
        """Does what was done in the middle of an event, after as many trace events."""
        while self._due(-1 - self.bench.trace.count):
            self._take()

    def _leave(self) -> None:
        """Leaves the bench to whoever wants to go on with it."""
        self._clock.on_event = None
        self.bench.trace.unlisten(self._compare)
        for alarm in self._alarms.values():
            alarm.cancel()
        self._alarms.clear()
        if self._until_ns is not None and self.difference is None and self._clock.now_ns < self._until_ns:
            next_ns = self._clock.next_ns
            if not self.at_end and (next_ns is None or next_ns > self._until_ns):
                self._clock.run_until(self._until_ns)

    # -- what differs

    def _compare(self, event: TraceEvent) -> None:
        self._count += 1
        index = self._count - self._first_line
        if 0 <= index < len(self.record.trace) and self.difference is None:
            expected = self.record.trace[index]
            if event.line() != expected:
                self._differ(f"trace event {self._count}: {_readable(expected)}", _readable(event.line()))
        self._hook()

    def _differ(self, expected: str, got: str) -> None:
        if self.difference is None:
            bench = self.bench
            self.difference = RepeatDiffers(
                expected,
                got,
                time_ns=self._clock.now_ns,
                events=() if self._count == 0 else bench.last_events(8),
                seed=bench.seed,
                repeat=bench.repeat,
            )

    def _expected(self) -> str:
        if self._next >= len(self._actions):
            facts = self.record.facts
            return f"the end, after {facts.events} events at {facts.now_ns} ns"
        return self._text(self._actions[self._next])

    def _text(self, action: Action) -> str:
        return f"{action.kind} after {action.events} events at {action.now_ns} ns"


def repeat_from(
    path: str | Path,
    *,
    until_ns: int | None = None,
    until_event: int | None = None,
    program: Callable[[Board], Program] | None = None,
) -> Bench:
    """The world of a recorded run at an instant, its end unless told otherwise: a live bench, to look around in.

    Raises:
        RepeatDiffers: it is another run than the recorded one.
        RackMisuse: the record needs a program.
        EnvironmentRefused: the file cannot be read, or is no record.
    """
    __tracebackhide__ = True
    repeat = Repeat(record_from_file(path), program=program)
    try:
        repeat.run(until_ns=until_ns, until_event=until_event)
    except BaseException:
        repeat.bench.close()
        raise
    return repeat.bench


def _readable(line: str) -> str:
    return line.replace("\t", " ")
