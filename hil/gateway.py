"""One gateway on the bench: a board with its firmware, flash, card and console, and what hands can do to it.

What a network peer or a terminal does is here too, from outside: ``connect`` gives a connection in virtual time,
``console`` the far end of the serial cable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from board import Board, Ethernet, Model, Program
from board.flash import Storage
from board.sparse import SparseStorage
from cfcard import CompactFlash
from firmware.leds import READY
from hil.cards import CARD_SIZE, SERIAL, CardPort, card_from_text
from hil.console import Console
from hil.errors import RackMisuse
from hil.factory import netbios
from hil.flashfile import FlashFile
from hil.links import UartLink
from hil.moment import TimeSource
from hil.netclient import NetClient
from hil.saved import FORMAT, Facts, Saved, card_bytes

if TYPE_CHECKING:
    from firmware.kernel import Kernel
    from hil.bench import Bench
    from hil.budget import Budget
    from hil.cardfaults import CardFaults

FIRST_MAC = bytes.fromhex("0090330611ac")
"""Address of a bench's first board; the next ones count up. The reference text's IP800-06-11-ac has this one."""

FACTORIES = ("v7", "upgraded")

SERVICES = {80: "http", 443: "https", 1300: "h323", 5060: "sip", 5061: "sips"}
"""Ports that the gateways' services are known by."""


class Power:
    """The supply: knows what the real-time clock is to be set to when it comes.

    Args:
        time: gives Unix nanoseconds; None leaves the clock where power-on puts it.
    """

    def __init__(self, time: TimeSource | None) -> None:
        self._time = time

    def on(self, board: Board) -> None:
        """Switches a board on."""
        board.power_on()
        if self._time is not None:
            board.rtc.set_unix_ns(self._time())


class Gateway:
    """One gateway. Made by ``Bench.gateway``, whose arguments these are.

    Attributes:
        board: the raw board: LEDs, slot, UART line, network, flash, for whatever has no verb here.
        console: the client at the far end of its serial cable.
        name: what it is called in traces and files.
        netbios: the name that it gives itself.
    """

    def __init__(
        self,
        bench: Bench,
        model: Model,
        mac: bytes,
        *,
        power: Power,
        factory: str = "v7",
        flash: str | None = None,
        content: bytes | None = None,
        name: str | None = None,
        program: Callable[[Board], Program] | None = None,
        wall_ns: Callable[[], int] | None = None,
    ) -> None:
        if factory not in FACTORIES:
            raise RackMisuse(f"factory state {factory!r}: must be one of {', '.join(FACTORIES)}")
        self.bench = bench
        self.model = model
        self.model_facts: Mapping[str, Any] = {"model": model.name}
        """Where the model came from: its name, or the files of one of the user's own; ``Bench.place`` says so."""
        self.mac = mac
        self.netbios = netbios(model, mac)
        self.name = _checked_name(bench, self.netbios if name is None else name)
        self.program: Program | None = None
        """What runs on it, since the last reset."""
        self._budget: Budget | None = None
        self._faults: CardFaults | None = None
        self._power = power
        self._starts = 0
        self._start = _firmware() if program is None else program
        self._blank = program is not None
        self.factory_fresh = flash is None and content is None
        """Whether its flash began as from the factory, which follows from the seed."""
        self._storage = self._open_flash(flash, factory, content)
        self.board = Board(
            model,
            bench.clock,
            self._start_program,
            mac=mac,
            entropy=lambda part: bench.streams(f"{self.name}/{part}"),
            storage=self._storage,
            trace=bench.trace.for_board(self.name),
        )
        self.console = Console(
            UartLink(
                bench.clock, self.board.uart.line, wall_ns=wall_ns, restarts=lambda: self._starts + self.board.resets
            ),
            surroundings=bench,
            prompt=re.escape(self.netbios) + "> ",
            password=model.name,
        )

    # -- power and button

    @property
    def powered(self) -> bool:
        return self.board.powered

    def power_on(self) -> None:
        """Gives it power, and sets its clock. BoardError when it has power."""
        self._starts += 1
        self._power.on(self.board)

    def power_off(self) -> None:
        """Takes its power away at this instant; without effect on one that is off."""
        self.board.power_off()
        self.program = None

    def power_cycle(self, off_ms: int = 100) -> None:
        """Switches it off, waits, and switches it on; what it said so far cannot match a later ``expect``."""
        self.power_off()
        self.bench.run_for(ms=off_ms)
        self.console.forget()
        self.power_on()

    def press_button(self, ms: int) -> None:
        """Presses the reset button for so long, and waits until it is let go."""
        self.board.press_button(ms)
        self.bench.run_for(ms=ms)

    # -- the card

    @property
    def card(self) -> CompactFlash | None:
        """The card in the slot."""
        card = None if self.board.slot is None else self.board.slot.card
        assert card is None or isinstance(card, CompactFlash)
        return card

    def insert_card(self, card: str | CompactFlash = "ram", size: str = CARD_SIZE) -> CardPort:
        """Puts a card in: ``ram``, the path of an image, or a card made elsewhere.

        Raises:
            RackMisuse: there is no slot, or a card is in it, or there is no such card.
            EnvironmentRefused: the image cannot be used.
        """
        if self.board.slot is None:
            raise RackMisuse(f"{self.model.product} has no card slot")
        if self.board.slot.card is not None:
            raise RackMisuse("the slot has a card in it: remove it first")
        made = card_from_text(card, size) if isinstance(card, str) else card
        if made is None:
            raise RackMisuse("no card to insert: must be ram, the path of an image, or a reader's device")
        if self._faults is not None:
            self._faults.require_fit(made)
        if card == "ram" and self.bench.recorder is not None:
            self.bench.recorder.note_fresh_card(made, SERIAL)
        self.board.insert_card(made)
        return CardPort(self.board, made)

    def remove_card(self) -> CompactFlash:
        """Pulls the card, whatever the board does with it. BoardError when there is none."""
        card = self.board.remove_card()
        assert isinstance(card, CompactFlash)
        return card

    @property
    def faults(self) -> CardFaults:
        """What goes wrong with the card in its slot: to be armed, and to be looked at afterwards.

        RackMisuse for a model without a slot.
        """
        if self._faults is None:
            from hil.cardfaults import CardFaults

            self._faults = CardFaults(self)
            if self.bench.recorder is not None:
                self.bench.recorder.watch_faults(self)
        return self._faults

    # -- to be seen

    def leds(self) -> dict[str, str]:
        """What each LED shows: ``off``, ``green``, ``orange blinking`` ..."""
        return {name: led.state() for name, led in self.board.leds.items()}

    @property
    def services(self) -> dict[str, bool]:
        """Which of the known services accept connections."""
        return {name: port in self.board.network.ports for port, name in SERVICES.items()}

    def state(self) -> dict[str, Any]:
        """Everything that can be seen from outside, as plain values: what the control face gives as JSON."""
        return {
            "model": self.model.name,
            "name": self.netbios,
            "mac": self.mac.hex("-"),
            "power": int(self.powered),
            "card": int(self.card is not None),
            "boot": self._boot_state(),
            "reset_cause": self.board.reset_cause,
            "resets": self.board.resets,
            "leds": self.leds(),
            "services": self.services,
            "load": self._load(),
            "time_ns": self.bench.now_ns,
            "digest": self.bench.trace.digest(),
        }

    @property
    def kernel(self) -> Kernel | None:
        """The kernel of what runs on it; None while nothing does that has one."""
        from firmware.kernel import Kernel

        kernel = getattr(self.program, "kernel", self.program)
        return kernel if isinstance(kernel, Kernel) else None

    @property
    def budget(self) -> Budget:
        """What its CPU does, as a subject of tests; latencies are measured from the first time that it is asked for."""
        if self._budget is None:
            from hil.budget import Budget

            self._budget = Budget(self)
        return self._budget

    @property
    def flash_image(self) -> bytes:
        """The flash chip's content at this instant."""
        return _whole(self._storage)

    # -- the network

    @property
    def network(self) -> Ethernet:
        """The board's Ethernet port."""
        return self.board.network

    def connect(self, port: int) -> NetClient:
        """A TCP connection from outside, over the bench's LAN and in virtual time; ``status`` tells how it goes."""
        return NetClient(self.bench.clock, self.board.network.accept("bench", port), self.bench.recorder)

    # -- saving

    def save(self, path: str | Path) -> None:
        """Writes flash, card, clock and configuration into one file: ``Bench.gateway_from`` starts from it.

        A model of the user's own goes with it, as it was read.

        Raises:
            RackMisuse: the card is too large to be saved.
            OSError: the host does not let us.
        """
        facts = Facts(
            format=FORMAT,
            model=self.model_facts["model"],
            mac=self.mac.hex(),
            name=self.name,
            powered=self.powered,
            # The board reads its clock at its CPU's time, which stands still while the CPU idles.
            unix_ns=self.board.rtc.unix_ns() - self.board.cpu.now_ns + self.bench.now_ns if self.powered else None,
        )
        files = self.model_facts.get("files", {})
        Saved(facts, self.flash_image, card_bytes(self.card), files).to_file(path)

    def close(self) -> None:
        """Switches it off and closes its flash file and its card."""
        self.board.power_off()
        self.console.close()
        if self.card is not None:
            self.card.close()
        if isinstance(self._storage, FlashFile):
            self._storage.close()

    # -- how

    def _start_program(self, board: Board) -> Program:
        self.program = self._start(board)
        for look in self.bench.on_start:
            look(self)
        return self.program

    def _open_flash(self, flash: str | None, factory: str, content: bytes | None) -> Storage:
        """The chip's content: in the file, where one is named, and beginning as saved or as from the factory."""

        def begin() -> Storage:
            if content is None:
                return self._factory_storage(factory)
            if len(content) != self.model.flash_bytes:
                text = (
                    f"saved flash of {len(content)} bytes, the chip of {self.model.name} has {self.model.flash_bytes}"
                )
                raise RackMisuse(text)
            return bytearray(content)

        return begin() if flash is None else FlashFile(flash, self.model.flash_bytes, lambda: _whole(begin()))

    def _factory_storage(self, factory: str) -> Storage:
        if self._blank:
            return SparseStorage(self.model.flash_bytes)
        from hil.factory import flash_storage

        storage: Storage = flash_storage(self.model, self.mac, factory, self.bench.streams(f"{self.name}/factory"))
        return storage

    def _boot_state(self) -> str:
        """``off``, or what the ready LED shows of it, the one thing to be seen of a board from the beginning."""
        if not self.powered:
            return "off"
        shown = self.board.leds["ready"].state()
        return next((state for state, (colour, blink_ms) in READY.items() if shown == _shown(colour, blink_ms)), shown)

    def _load(self) -> dict[str, float] | None:
        load = getattr(getattr(self.program, "kernel", self.program), "load", None)
        if load is None:
            return None
        return {name: round(load(ms), 4) for name, ms in (("1s", 1_000), ("10s", 10_000), ("60s", 60_000))}


def _shown(colour: str, blink_ms: int) -> str:
    """How a LED's state reads."""
    return f"{colour} blinking" if blink_ms else colour


def _checked_name(bench: Bench, name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise RackMisuse(f"name {name!r}: must be 1 to 64 letters, digits, dots, hyphens or underscores")
    if not bench.name_is_free(name):
        raise RackMisuse(f"name {name!r}: another gateway of this bench has it")
    return name


def _firmware() -> Callable[[Board], Program]:
    """The real firmware; loaded only when a board is to run it."""
    from hil.wiring import start_firmware

    start: Callable[[Board], Program] = start_firmware
    return start


def _whole(storage: Storage) -> bytes:
    return bytes(storage[0 : len(storage)])
