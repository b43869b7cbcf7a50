"""The hands of a repetition: each recorded action, done again on a bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import TYPE_CHECKING, Any

from board.cpu import CpuReset
from board.flash import Tear
from hil.errors import PowerLoss
from hil.gateway import Gateway, Power
from hil.record.contents import card_from_facts, split, write_chunks
from hil.record.modelfiles import model_from_facts
from hil.record.streams import RecordedStream, RepeatedTls, TlsEnds

if TYPE_CHECKING:
    from board.ethernet import Stream
    from cfcard import CompactFlash
    from hil.bench import Bench

SECTOR_BYTES = 512


class Hands:
    """Does on ``bench`` what was done on another. BoardError and OSError as the boards raise them.

    Args:
        watch: called with the bench whenever a gateway has been made.
    """

    def __init__(self, bench: Bench, watch: Callable[[Bench], None] | None = None) -> None:
        self._bench = bench
        self._watch = watch
        self._cards: dict[int, CompactFlash] = {}
        self._streams: dict[int, Stream] = {}
        self._tls: dict[int, RepeatedTls] = {}
        self._deeds: Mapping[str, Callable[..., object]] = {
            "gateway": self._make,
            "power": self._power,
            "rtc": lambda number, unix_ns: self._board(number).rtc.set_unix_ns(unix_ns),
            "type": lambda number, data: self._line(number).send(data),
            "break": lambda number, bits: self._line(number).send_break(bits),
            "framing": lambda number, byte: self._line(number).send_framing_error(byte),
            "press": lambda number, ms: self._board(number).button_part.press(ms or None),
            "release": lambda number: self._board(number).button_part.release(),
            "button": lambda number, level: self._board(number).button.line.drive(level),
            "insert": self._insert,
            "remove": lambda number: self._board(number).remove_card(),
            "bounce": lambda number, times_us: self._slot(number).bounce(times_us),
            "flash": self._flash,
            "tear": self._tear,
            "strike": self._strike,
            "faults": self._faults,
            "disarm": lambda number: self._gateway(number).faults.disarm(),
            "lan": self._lan,
            "connect": self._connect,
            "write": lambda stream, data: self._write(stream, data),
            "write-tls": lambda stream, size: self._write(stream, self._tls[stream].take(size), size),
            "read": self._read,
            "end": lambda stream: self._streams[stream].end(),
            "close": lambda stream: self._streams[stream].close(),
            "abort": lambda stream: self._streams[stream].abort(),
            "tls": self._speak_tls,
            "tls-do": lambda stream, kind, data: self._tls[stream].do(kind, data),
            "tls-feed": lambda stream, size: self._tls[stream].feed(size),
            "tls-eof": lambda stream: self._tls[stream].feed_eof(),
        }

    def do(self, kind: str, *arguments: Any) -> None:
        """Does one thing. KeyError, IndexError, TypeError or ValueError when it makes no sense."""
        self._deeds[kind](*arguments)

    # -- boards

    def _gateway(self, number: int) -> Gateway:
        if number < 0:
            raise IndexError(f"gateway {number}")
        return self._bench.gateways[number]

    def _board(self, number: int) -> Any:
        return self._gateway(number).board

    def _line(self, number: int) -> Any:
        return self._board(number).uart.line

    def _slot(self, number: int) -> Any:
        slot = self._board(number).slot
        if slot is None:
            raise ValueError(f"gateway {number} has no card slot")
        return slot

    def _make(self, facts: dict[str, Any], flash: bytes) -> None:
        # Its clock is set by an action of its own, to what it was set to.
        gateway = Gateway(
            self._bench,
            model_from_facts(facts),
            bytes.fromhex(facts["mac"]),
            power=Power(None),
            factory=facts["factory"],
            content=flash or None,
            name=facts["name"],
            program=self._bench.program,
        )
        self._bench.place(gateway, facts, facts["factory"])
        if self._watch is not None:
            self._watch(self._bench)

    def _power(self, number: int, on: bool) -> None:
        gateway = self._gateway(number)
        if on:
            gateway.power_on()
        else:
            gateway.power_off()

    def _flash(self, number: int, cpu_ns: int, block: int, offset: int, data: bytes, times: list[int]) -> None:
        board = self._board(number)
        chip, kept = board.flash, (board.flash.read_ns_per_byte, board.flash.program_ns, board.flash.erase_ns)
        chip.read_ns_per_byte, chip.program_ns, chip.erase_ns = times
        board.cpu.now_ns = cpu_ns
        try:
            if data:
                chip.writeblocks(block, data, offset)
            else:
                chip.ioctl(6, block)
        finally:
            chip.read_ns_per_byte, chip.program_ns, chip.erase_ns = kept

    def _tear(self, number: int, tear: str) -> None:
        self._board(number).flash.tear = Tear(tear)

    def _strike(self, number: int, step: int, powered: bool, blow: list[Any]) -> None:
        """Cuts a step of the flash that has not begun yet."""
        gateway = self._gateway(number)
        flash = gateway.board.flash
        error = _error_from(blow)

        def cut(kind: str, address: int, size: int) -> None:
            if flash.steps != step:
                return
            flash.before_step = None
            if not powered:
                gateway.power_off()
            raise error

        flash.before_step = cut

    # -- cards

    def _insert(self, number: int, card: int, facts: dict[str, Any], pieces: list[int], data: bytes) -> None:
        if card not in self._cards:
            self._cards[card] = made = card_from_facts(facts)
            if "fresh" in facts and self._bench.recorder is not None:
                self._bench.recorder.note_fresh_card(made, facts["fresh"])
        inserted = self._cards[card]
        write_chunks(inserted, split(pieces, data, inserted.sectors * SECTOR_BYTES))
        self._board(number).insert_card(inserted)

    def _faults(self, number: int, rules: list[dict[str, Any]], keep: bool) -> None:
        from hil.faultplan import rule_from_values

        faults, made = self._gateway(number).faults, [rule_from_values(values) for values in rules]
        if not keep:
            faults.replace(made)
            return
        for rule in made:
            faults.arm(rule)

    # -- the network

    def _lan(self, verb: str, hosts: list[int], values: dict[str, Any]) -> None:
        lan, gateways = self._bench.lan, [self._gateway(number) for number in hosts]
        if verb == "cut":
            lan.cut(*gateways, **values)
        elif verb == "restore":
            lan.restore(*gateways)
        elif verb == "set":
            place = lan.link(gateways[0]) if gateways else lan
            for name, value in values.items():
                if name not in ("latency_ms", "jitter_ms", "loss", "bandwidth_mbit"):
                    raise ValueError(f"the LAN has no {name}")
                setattr(place, name, value)
        else:
            raise ValueError(f"the LAN has no {verb}")

    def _connect(self, number: int, stream: int, peer: str, port: int) -> None:
        self._streams[stream] = self._board(number).network.accept(peer, port)

    def _write(self, stream: int, data: bytes, size: int | None = None) -> None:
        if size is not None and size != len(data):
            raise OSError(f"the TLS client made {len(data)} bytes, the recorded one {size}")
        taken = self._streams[stream].write(data)
        if taken != len(data):
            raise OSError(f"the board took {taken} bytes of {len(data)}")

    def _read(self, stream: int, size: int) -> None:
        data = self._streams[stream].read(size)
        if data is None or len(data) != size:
            raise OSError(f"{0 if data is None else len(data)} bytes had arrived, and not {size}")
        if stream in self._tls:
            self._tls[stream].arrived(data)

    def _speak_tls(self, stream: int, settings: dict[str, Any]) -> None:
        recorder, end = self._bench.recorder, self._streams[stream]

        def watch(ends: TlsEnds, context: SSLContext, name: str | None) -> TlsEnds:
            if recorder is None or not isinstance(end, RecordedStream):
                return ends
            return recorder.watch_tls(end, ends, context, name)

        self._tls[stream] = RepeatedTls(settings, watch)


def blow_from(error: BaseException) -> list[Any]:
    """An exception as plain values: what the firmware sees of it."""
    if isinstance(error, CpuReset):
        return ["reset", 0, error.cause]
    code = error.errno if isinstance(error, OSError) else None
    return [type(error).__name__, code or 0, str(error.args[-1]) if error.args else ""]


def _error_from(blow: list[Any]) -> BaseException:
    name, code, text = blow
    if name == "reset":
        return PowerLoss() if text == "power-off" else CpuReset(str(text))
    if code:
        return OSError(int(code), str(text))
    # Of the same name, because the firmware's log tells it.
    likeness: type[BaseException] = type(str(name), (Exception,), {})
    return likeness(text) if text else likeness()
