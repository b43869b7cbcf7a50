"""The recorder: stands at the border between whoever uses a bench and its boards, and notes what crosses it.

::

    test, other program  --|-- power_on, type, insert, connect, write ... --> boards
                           |
                           +--> place (events so far, time), what it was

It takes the place of the parts' own verbs (``slot.insert``, ``line.send`` ...), so that it does not matter through
which door somebody comes. Three sorts of places there are: between two events; in an alarm that the outside has set,
which the repetition sets again without what it did; in a hook in the middle of an event, for which the trace events
are counted.
"""

from __future__ import annotations

import platform
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from board.clock import Alarm
from board.ethernet import Ethernet, Stream
from board.flash import StepHook
from hil.errors import RackMisuse
from hil.record.clock import RecordedClock
from hil.record.contents import CardLedger
from hil.record.file import BETWEEN, FORMAT, Action, Facts, Record
from hil.record.hands import blow_from
from hil.record.lan import LanWatch
from hil.record.streams import RecordedStream, TlsEnds, settings_of

if TYPE_CHECKING:
    from cfcard import CompactFlash
    from hil.bench import Bench
    from hil.gateway import Gateway

CHECKPOINT_EVENTS = 1_024
"""Trace events between two digests in the record: as many as the trace hashes at a time."""

ERASE = 6
"""The flash chip's ``ioctl`` that changes something."""

ISLANDS = ("board", "firmware", "cfcard")

Arguments = tuple[Any, ...]
T = TypeVar("T")


class Outside:
    """A context in which the outside acts: between events, or in an alarm of its own."""

    __slots__ = ("by", "depth", "driving", "seen")

    def __init__(self, by: int, clock: RecordedClock) -> None:
        self.by = by
        self.depth = clock.depth
        self.driving = 0
        self.seen = clock.asked


class Recorder:
    """Records what is done on one bench. RackMisuse where that cannot be repeated: without a seed, or in paced time."""

    def __init__(self, bench: Bench) -> None:
        if bench.seed is None:
            raise RackMisuse("a bench without a seed cannot be recorded: its keys come from the operating system")
        if not isinstance(bench.clock, RecordedClock):
            raise RackMisuse("a bench on a clock of the caller's cannot be recorded: only free-running time repeats")
        self._bench = bench
        self._clock = bench.clock
        self._trace = bench.trace
        self._actions: list[Action] = []
        self._contexts = [Outside(BETWEEN, bench.clock)]
        self._alarms: dict[int, Alarm] = {}
        self._alarm_numbers = 0
        self._busy = 0
        self._streams = 0
        self._checked = 0
        self._numbers: dict[Ethernet, int] = {}
        self._cards = CardLedger()
        self._doubts: list[str] = []
        self._stopped = False
        self._clock.driver = self
        self._lan = LanWatch(self, bench.lan, self._numbers)

    # -- what a bench and its gateways call

    def watch(self, gateway: Gateway, factory: str) -> None:
        """Notes that a gateway was made, and from now on what is done to it."""
        self.seen()
        named = {"mac": gateway.mac.hex(), "name": gateway.name, "factory": factory}
        self.note("gateway", {**gateway.model_facts, **named}, b"" if gateway.factory_fresh else gateway.flash_image)
        number = len(self._bench.gateways) - 1
        self._numbers[gateway.board.network] = number
        if gateway.card is not None:
            self.note("insert", number, *self._inserted(gateway.card))
        self._lan.watch_link(gateway, number)
        board, wrap = gateway.board, self.wrap
        wrap(board, "power_on", lambda: ("power", number, True))
        wrap(board, "power_off", lambda: ("power", number, False))
        wrap(board.rtc, "set_unix_ns", lambda unix_ns: ("rtc", number, unix_ns))
        line = board.uart.line
        wrap(line, "send", lambda data: ("type", number, bytes(data)))
        wrap(line, "send_break", lambda bits=13: ("break", number, bits))
        wrap(line, "send_framing_error", lambda byte: ("framing", number, byte))
        wrap(board.button_part, "press", lambda duration_ms=None: ("press", number, duration_ms or 0))
        wrap(board.button_part, "release", lambda: ("release", number), outside_only=True)
        wrap(board.button.line, "drive", lambda level: ("button", number, level), outside_only=True)
        self._watch_flash(gateway, number)
        self._watch_steps(gateway, number)
        if board.slot is not None:
            wrap(board.slot, "insert", lambda card: ("insert", number, *self._inserted(card)))
            wrap(board.slot, "bounce", lambda bounce_us: ("bounce", number, list(bounce_us)))
            self._watch_removal(gateway, number)
        self._watch_network(gateway, number)

    def watch_faults(self, gateway: Gateway) -> None:
        """Notes what is armed on a gateway's card slot."""
        faults, number = gateway.faults, self._numbers[gateway.board.network]
        self.wrap(faults, "_add", lambda rules, keep: ("faults", number, [rule.values() for rule in rules], keep))
        self.wrap(faults, "disarm", lambda: ("disarm", number))

    def watch_tls(self, stream: RecordedStream, ends: TlsEnds, context: ssl.SSLContext, name: str | None) -> TlsEnds:
        """The same client, with what it does noted: its ciphertext is another in every run."""
        settings, doubt = settings_of(context, name)
        self.doubt(doubt)
        self.note("tls", stream.number, settings)
        return ends.watched(stream, self.note)

    def note_fresh_card(self, card: CompactFlash, serial: int) -> None:
        """Says that the card which is to be put in next was just made."""
        self._cards.note_fresh(card, serial)

    def do(self, verb: Callable[[], T]) -> T:
        """Does something to a board, and gives what that gave; noting it is the caller's business."""
        self.notice()
        self._busy += 1
        try:
            return verb()
        finally:
            self._busy -= 1
            self.seen()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What is done meanwhile is none of the outside's doing: it follows from what is recorded."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    def stop(self) -> None:
        """Ends it: the bench is being closed."""
        self._stopped = True
        self._clock.driver = None

    @property
    def active(self) -> bool:
        """Whether what is done at this moment is to be noted."""
        return not self._busy and not self._stopped

    def record(self) -> Record:
        """The run so far."""
        self.notice()
        facts = Facts(
            format=FORMAT,
            seed=self._bench.seed or 0,
            program=_name_of(self._bench.program),
            events=self._clock.events,
            now_ns=self._clock.now_ns,
            trace_events=self._trace.count,
            digest=self._trace.digest(),
            repeat=self._bench.repeat or "",
            versions=versions(),
            doubts=list(self._doubts),
        )
        return Record(facts, tuple(self._actions), [event.line() for event in self._trace])

    # -- what the clock calls

    def begin(self, limit_ns: int) -> bool:
        """A run of the clock begins."""
        context = self._contexts[-1]
        if self._busy or self._clock.depth != context.depth:
            return False
        self.note("go", limit_ns)
        context.driving += 1
        return True

    def end(self, raised: str | None) -> None:
        """It has ended."""
        context = self._contexts[-1]
        context.driving -= 1
        context.seen = self._clock.asked
        count = self._trace.count
        checkpoint = count - self._checked >= CHECKPOINT_EVENTS
        if checkpoint:
            self._checked = count
        self.note("stop", count, self._trace.digest() if checkpoint else "", raised or "")

    # -- noting

    def note(self, kind: str, *arguments: Any) -> Action:
        """Notes one thing, with its place."""
        self.notice()
        return self._add(kind, *arguments)

    def _add(self, kind: str, *arguments: Any) -> Action:
        action = Action(*self._place(), kind, arguments)
        self._actions.append(action)
        return action

    def _place(self) -> tuple[int, int, int]:
        clock, context = self._clock, self._contexts[-1]
        by = context.by if clock.depth == context.depth else -1 - self._trace.count
        return clock.events, clock.now_ns, by

    @property
    def outside(self) -> bool:
        """Whether the outside is at work, and no event."""
        return self._clock.depth == self._contexts[-1].depth

    def wrap(self, part: object, verb: str, arguments: Callable[..., Arguments], *, outside_only: bool = False) -> None:
        """Puts a verb in the place of ``part``'s own that notes what it is called with."""
        original = getattr(part, verb)

        def act(*values: Any, **named: Any) -> Any:
            if not self.active or (outside_only and not self.outside):
                return original(*values, **named)
            action = self.note(*arguments(*values, **named))
            self._busy += 1
            try:
                return original(*values, **named)
            except BaseException:
                # A verb that refuses has done nothing.
                self._take_back(action)
                raise
            finally:
                self._busy -= 1
                self.seen()

        setattr(part, verb, act)

    def _take_back(self, action: Action) -> None:
        for index in range(len(self._actions) - 1, -1, -1):
            if self._actions[index] is action:
                del self._actions[index]
                return

    def doubt(self, text: str | None) -> None:
        if text is not None and text not in self._doubts:
            self._doubts.append(text)

    # -- alarms of the outside

    def seen(self) -> None:
        """Every alarm so far is the boards' own, or known."""
        context = self._contexts[-1]
        if self._clock.depth == context.depth:
            context.seen = self._clock.asked

    def notice(self) -> None:
        """Notes the alarms that the outside has set or cancelled since it was looked last."""
        clock, context = self._clock, self._contexts[-1]
        if context.driving or clock.depth != context.depth or self._stopped:
            return
        if clock.asked != context.seen:
            alarms = clock.alarms_since(context.seen)
            context.seen = clock.asked
            for alarm in alarms:
                self._adopt(alarm)
        if self._alarms:
            for number in [number for number, alarm in self._alarms.items() if not alarm.pending]:
                del self._alarms[number]
                self._add("cancel", number)

    def _adopt(self, alarm: Alarm) -> None:
        callback = alarm.callback
        assert callback is not None
        place = _module_of(callback)
        if place.partition(".")[0] in ISLANDS:
            self.doubt(f"something was done to a board that made {place} set an alarm")
            return
        self._alarm_numbers += 1
        number = self._alarm_numbers
        self._alarms[number] = alarm
        alarm.callback = partial(self._went_off, number, callback)
        self._add("alarm", number, alarm.when_ns)

    def _went_off(self, number: int, callback: Callable[[], None]) -> None:
        self._alarms.pop(number, None)
        self._contexts.append(Outside(number, self._clock))
        try:
            callback()
        finally:
            self.notice()
            self._contexts.pop()

    # -- parts that need more than a verb in the place of another

    def _inserted(self, card: CompactFlash) -> Arguments:
        number, facts, chunks, doubt = self._cards.insert(card)
        self.doubt(doubt)
        return number, facts, sorted(chunks), b"".join(chunks[piece] for piece in sorted(chunks))

    def _watch_removal(self, gateway: Gateway, number: int) -> None:
        slot = gateway.board.slot
        assert slot is not None
        self.wrap(slot, "remove", lambda: ("remove", number))
        remove = slot.remove

        def act() -> Any:
            card = remove()
            if not self._stopped:
                self._cards.remove(cast("CompactFlash", card))
            return card

        slot.remove = act  # type: ignore[method-assign]

    def _watch_flash(self, gateway: Gateway, number: int) -> None:
        """What is written into a chip from outside, by a programmer or a test; reading changes nothing."""
        board, flash = gateway.board, gateway.board.flash

        def place(block_num: int, offset: int, data: bytes) -> Arguments:
            times = [flash.read_ns_per_byte, flash.program_ns, flash.erase_ns]
            return "flash", number, board.cpu.now_ns, block_num, offset, data, times

        self.wrap(
            flash, "writeblocks", lambda block, buf, offset=0: place(block, offset, bytes(buf)), outside_only=True
        )
        ioctl = flash.ioctl
        self.wrap(flash, "ioctl", lambda op, arg=0: place(arg, 0, b""), outside_only=True)
        erase = flash.ioctl
        flash.ioctl = lambda op, arg=0: (erase if op == ERASE else ioctl)(op, arg)  # type: ignore[method-assign]

    def _watch_steps(self, gateway: Gateway, number: int) -> None:
        """Notes where a test's ``before_step`` cuts a step of the flash, and what such a step leaves behind.

        The hook itself cannot be recorded. What it does besides raising is, as from any other hook.
        """
        flash = gateway.board.flash
        do, told = flash._step, flash.tear

        def step(*what: Any) -> None:
            nonlocal told
            if flash.tear is not told:
                told = flash.tear
                self.note("tear", number, told.value)
            hook = flash.before_step
            if hook is None or not self.active:
                do(*what)
                return
            noted = flash.before_step = partial(self._before_step, gateway, number, hook)
            try:
                do(*what)
            finally:
                if flash.before_step is noted:
                    flash.before_step = hook

        flash._step = step  # type: ignore[method-assign,assignment]

    def _before_step(self, gateway: Gateway, number: int, hook: StepHook, kind: str, address: int, size: int) -> None:
        begun, place = len(self._actions), self._place()
        try:
            hook(kind, address, size)
        except BaseException as error:
            del self._actions[begun:]
            struck = number, gateway.board.flash.steps, gateway.powered, blow_from(error)
            self._actions.append(Action(*place, "strike", struck))
            raise

    def _watch_network(self, gateway: Gateway, number: int) -> None:
        network = gateway.board.network
        accept, on_connect = network.accept, network.on_connect

        def accepted(peer: str, port: int, moment: Any = None) -> Stream | RecordedStream:
            if not self.active:
                return accept(peer, port, moment)
            self._streams += 1
            self.note("connect", number, self._streams, peer, port)
            with self.inside():
                stream = RecordedStream(accept(peer, port, moment), self._streams, self)
            self.seen()
            return stream

        def answered(handler: Any) -> None:
            self.doubt(f"connections that {gateway.name} begins were answered by the test: they are not recorded")
            on_connect(handler)

        network.accept = accepted  # type: ignore[method-assign,assignment]
        network.on_connect = answered  # type: ignore[method-assign]


def versions() -> dict[str, str]:
    """What a run depends on besides its seed."""
    from importlib.metadata import version

    import hil

    return {
        "gatebench": hil.__version__,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "cryptography": version("cryptography"),
    }


def _name_of(program: Callable[..., Any] | None) -> str:
    if program is None:
        return ""
    return f"{getattr(program, '__module__', '')}.{getattr(program, '__qualname__', type(program).__qualname__)}"


def _module_of(callback: Any) -> str:
    while isinstance(callback, partial):
        callback = callback.func
    return str(getattr(callback, "__module__", None) or type(callback).__module__)
