"""The bench: one virtual world with gateways in it, and the hands that work on them.

::

    Bench -- clock, trace, seed, LAN ---+--- Gateway IP800-06-11-ac: board + firmware + flash + card + console
                                        +--- Gateway IP800-06-11-ad ...

A bench of its own runs free: virtual time passes as fast as the host can, jumps over idle time, and stands still while
nobody waits. With a paced clock handed in, the same bench serves people and other programs (``hil/run.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from board import Board, Lan, Program, Trace, VirtualClock
from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror
from hil.gateway import FIRST_MAC, Gateway, Power
from hil.models import is_model_file, model_from_text
from hil.moment import DEFAULT_TIME, time_source_from
from hil.saved import saved_from_file
from hil.streams import Streams

if TYPE_CHECKING:
    from hil.record import Recorder
    from hil.timeline import Timeline
    from hil.timeline.feed import Sink

TRACE_EVENTS = 100_000
"""How many events a bench keeps to be looked at; its digest covers all."""

TIMEOUT_MS = 60_000


class Bench:
    """One world. As a context manager it switches everything off at its end.

    Args:
        seed: the same seed makes the same run, to the last event; None takes the operating system's entropy.
        clock: a clock of the caller's, for a world that is tied to the wall clock.
        program: what the boards run instead of the firmware, on a blank flash: for tests of the bench itself.
        wall_ns: wall time, for the console's records; None in free-running time.
        record: record what comes from outside, for ``save_record``; a path is written when the bench is closed.

    Raises:
        RackMisuse: a record is wanted of what cannot be repeated: a bench without a seed, or a clock of the caller's.
    """

    def __init__(
        self,
        seed: int | None = None,
        clock: VirtualClock | None = None,
        *,
        program: Callable[[Board], Program] | None = None,
        wall_ns: Callable[[], int] | None = None,
        record: bool | str | Path = False,
    ) -> None:
        self.seed = seed
        self.clock = clock if clock is not None else _recorded_clock() if record else VirtualClock()
        self.trace = Trace(TRACE_EVENTS)
        self.gateways: list[Gateway] = []
        self.on_start: list[Callable[[Gateway], None]] = []
        """Called with a gateway whenever its program was started, before the program does anything."""
        self._timelines: list[Timeline] = []
        self.repeat: str | None = None if seed is None else f"Bench(seed={seed})"
        """The command that repeats this run, for the text of failures."""
        self.streams = Streams(seed)
        self.lan = Lan(self.clock, self.streams)
        """What joins the gateways, and the bench's own clients to them: ``lan.loss = 0.01``, ``lan.latency_ms = 2``,
        ``lan.cut(gateway)``, ``lan.link(gateway).jitter_ms = 5``. Quiet to begin with; real sockets are not on it."""
        self.program = program
        self._wall_ns = wall_ns
        self._record_path = None if isinstance(record, bool) else record
        self.recorder: Recorder | None = _recorder(self) if record else None
        """What notes all that comes from outside; None when nothing is recorded."""

    def gateway(
        self,
        model: str = "ip800",
        *,
        card: str | None = None,
        card_size: str = "64M",
        factory: str = "v7",
        flash: str | None = None,
        time: str | int | Callable[[], int] = DEFAULT_TIME,
        name: str | None = None,
    ) -> Gateway:
        """A gateway, off to begin with.

        Args:
            model: a file's name in ``board/models``, or the path of a model file of your own (``lab.toml``).
            card: ``ram``, or the path of an image (made when it is not there); None for an empty slot.
            card_size: of a card that is made.
            factory: ``v7`` came with a built-in certificate; ``upgraded`` has none and makes its own.
            flash: the file that holds the flash's content; without it a factory-fresh chip in memory.
            time: what the real-time clock is set to at power-on: ISO 8601 or Unix seconds, at virtual time 0;
                ``unset`` leaves it at 1970-01-01; or a function that gives Unix nanoseconds.
            name: what it is called in traces and files; the netbios name unless told.

        Raises:
            RackMisuse: there is no such model, factory state, time; the name is taken; the model has no card slot.
            EnvironmentRefused: the flash file or the card image cannot be used.
        """
        mac = (int.from_bytes(FIRST_MAC, "big") + len(self.gateways)).to_bytes(6, "big")
        gateway = Gateway(
            self,
            model_from_text(model),
            mac,
            power=Power(time_source_from(time, self.clock)),
            factory=factory,
            flash=flash,
            name=name,
            program=self.program,
            wall_ns=self._wall_ns,
        )
        try:
            if card is not None:
                gateway.insert_card(card, card_size)
        except BaseException:
            gateway.close()
            raise
        self.place(gateway, model, factory)
        return gateway

    def gateway_from(
        self,
        path: str | Path,
        *,
        flash: str | None = None,
        time: str | int | Callable[[], int] | None = None,
        name: str | None = None,
    ) -> Gateway:
        """A gateway as ``Gateway.save`` left it: its flash, its card (in memory), its address; off to begin with.

        Args:
            flash: a file that is made, and holds the flash from then on.
            time: as for ``gateway``; None goes on with the saved clock.

        Raises:
            RackMisuse: the flash file is there already, or the name is taken.
            EnvironmentRefused: the file cannot be opened, or is not a saved gateway.
        """
        saved = saved_from_file(path)
        if flash is not None and Path(flash).exists():
            raise RackMisuse(f"flash file {flash} is there already: the saved flash would be left aside")
        facts = saved.facts
        if time is None:
            start_ns = facts.unix_ns
            time = "unset" if start_ns is None else lambda: start_ns + self.clock.now_ns
        gateway = Gateway(
            self,
            saved.model(path),
            bytes.fromhex(facts.mac),
            power=Power(time_source_from(time, self.clock)),
            flash=flash,
            content=saved.flash,
            name=facts.name if name is None else name,
            program=self.program,
            wall_ns=self._wall_ns,
        )
        self.place(gateway, saved.model_facts)
        card = saved.ram_card()
        if card is not None:
            gateway.insert_card(card)
        return gateway

    # -- time

    @property
    def now_ns(self) -> int:
        """Virtual time."""
        return self.clock.now_ns

    def run_for(self, *, ms: float) -> None:
        """Lets ``ms`` of virtual time pass. DeviceFailure when a console said something forbidden."""
        __tracebackhide__ = True
        self.clock.run_for(int(ms * 1_000_000))
        self.check()

    def run_until(self, predicate: Callable[[], bool], *, timeout_ms: float = TIMEOUT_MS) -> bool:
        """Lets time pass until ``predicate()``, looked at after every event. False when that took too long."""
        __tracebackhide__ = True
        done = self.clock.run_while(lambda: not predicate(), int(timeout_ms * 1_000_000))
        self.check()
        return done

    def check(self) -> None:
        """Raises the DeviceFailure of a forbidden pattern that some console has said."""
        __tracebackhide__ = True
        for gateway in self.gateways:
            gateway.console.check()

    # -- what failures tell

    def last_events(self, number_of_lines: int) -> Sequence[str]:
        """The newest lines of the trace."""
        return self.trace.tail(number_of_lines)

    # -- timelines

    def save_timeline(self, path: str | Path) -> None:
        """Writes a timeline for Perfetto (Chrome's JSON trace format), and goes on with it until the bench is closed.

        It begins as far back as the trace reaches; TLS steps and console lines are there from this call on. Call it
        before the first power-on to have everything. EnvironmentRefused when the file cannot be written.
        """
        from hil.timeline import PerfettoSink

        self._add_timeline(path, PerfettoSink)

    def save_vcd(self, path: str | Path) -> None:
        """The same for waveform viewers, as a value change dump: the gateways that are on the bench at this moment."""
        from hil.timeline import VcdSink

        self._add_timeline(path, VcdSink)

    def flush_timelines(self) -> None:
        """Writes to the timelines' files what has happened so far."""
        for timeline in self._timelines:
            timeline.flush()

    def _add_timeline(self, path: str | Path, sink: Callable[[str | Path], Sink]) -> None:
        from hil.timeline import Timeline

        try:
            made = sink(path)
        except OSError as error:
            raise EnvironmentRefused(f"timeline {path}: cannot be written: {reason_from_oserror(error)}") from error
        self._timelines.append(Timeline(self, made))

    # -- the record

    def save_record(self, path: str | Path) -> None:
        """Writes what has come from outside so far: ``gatebench repeat`` and ``Bench.repeat_of`` do it all again.

        Raises:
            RackMisuse: nothing was recorded.
            OSError: the host does not let us.
        """
        if self.recorder is None:
            raise RackMisuse("this bench was not recorded: make it with a seed and record=True")
        self.recorder.record().to_file(path)

    @staticmethod
    def repeat_of(
        path: str | Path,
        *,
        until_ns: int | None = None,
        until_event: int | None = None,
        program: Callable[[Board], Program] | None = None,
    ) -> Bench:
        """A recorded run at an instant, its end unless told otherwise: a live bench, to look around in and to go on.

        Args:
            until_ns: up to and including this time.
            until_event: up to the step that made so many trace events.
            program: what the boards ran, where that was not the firmware.

        Raises:
            DeviceFailure: the run is another than the recorded one; it names the first difference.
            EnvironmentRefused: the file cannot be read, or is no record.
        """
        __tracebackhide__ = True
        from hil.record import repeat_from

        return repeat_from(path, until_ns=until_ns, until_event=until_event, program=program)

    def consequence(self) -> AbstractContextManager[None]:
        """What is done to boards meanwhile follows from what the bench was told before: a record leaves it out."""
        return nullcontext() if self.recorder is None else self.recorder.inside()

    # -- its end

    def close(self) -> None:
        """Switches every gateway off and closes its files, timelines last. A second call does nothing."""
        self._end_record()
        for gateway in self.gateways:
            gateway.close()
        for timeline in self._timelines:
            timeline.close()

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def name_is_free(self, name: str) -> bool:
        """Whether no gateway of this bench is called so."""
        return all(gateway.name != name for gateway in self.gateways)

    def place(self, gateway: Gateway, model: str | Mapping[str, Any], factory: str = "v7") -> None:
        """Puts it on the bench, and plugs it into the LAN: found by netbios name, MAC address, or name here.

        Args:
            model: what it was asked for by, or what a record says of that.
        """
        if not isinstance(model, str):
            gateway.model_facts = model
        elif is_model_file(model):
            from hil.record.modelfiles import model_facts

            gateway.model_facts = model_facts(gateway.model, model)
        self.gateways.append(gateway)
        names = (gateway.netbios, gateway.mac.hex("-"), gateway.name)
        self.lan.plug(gateway, names, self.trace.for_board(gateway.name))
        if self.recorder is not None:
            self.recorder.watch(gateway, factory)

    def _end_record(self) -> None:
        if self.recorder is None or not self.recorder.active:
            return
        path, self._record_path = self._record_path, None
        try:
            if path is not None:
                self.save_record(path)
        except OSError as error:
            raise EnvironmentRefused(f"record {path}: cannot be written: {reason_from_oserror(error)}") from error
        finally:
            self.recorder.stop()


def _recorded_clock() -> VirtualClock:
    from hil.record.clock import RecordedClock

    return RecordedClock()


def _recorder(bench: Bench) -> Recorder:
    from hil.record import Recorder

    return Recorder(bench)
