"""A gateway board, assembled from its parts; and what the world can do to it.

::

                     +--------------------------- Board ----------------------------+
    power, button -->|  CPU  RAM(noinit)  RTC  watchdog  temperature    LEDs        |--> to be seen
    serial line  <-->|  UART        NOR flash        Ethernet         CF slot       |<-- card in, card out
                     +--------------------------------------------------------------+
                                   ^ run()  -> when to call again
                                   program: what the flash holds, started at each power-on and reset

The board owns when its program gets the CPU: when something is ready at the CPU's local time, and when an interrupt
comes. A program is started by a callable that gets the board, so that nothing here knows the firmware.

Not modelled: power supply ramps, brown-out, boot ROM, JTAG.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn, Protocol

from board.button import Button
from board.clock import Alarm, VirtualClock
from board.cpu import Cpu, CpuReset
from board.errors import BoardError
from board.ethernet import Ethernet
from board.flash import Flash, Storage
from board.led import Led
from board.model import Model
from board.pin import Pin
from board.rtc import Rtc
from board.slot import Card, Slot
from board.sparse import SparseStorage
from board.temperature import Temperature
from board.trace import BoardTrace
from board.uart import Uart
from board.watchdog import Watchdog

NOINIT_BYTES = 256
"""Size of the RAM that a reset leaves alone."""

RESET_NS = 1_000_000
"""How long the reset line is held: an assumption. A program that fails at its very start does not stop the world's
clock with its resets."""

RX_RING_BYTES = 4_096
"""The UART's FIFO with the driver's ring behind it: at 115200 baud a flash erase of 45 ms lets 520 bytes come in."""


class Program(Protocol):
    """What runs on the CPU."""

    @property
    def throttled_until_ns(self) -> int:
        """Up to then some of it waits only because its share of the CPU is used up, or works on undisturbed."""
        ...

    @property
    def busy_ns(self) -> int:
        """CPU time that it has used since it was started."""
        ...

    def close(self) -> None:
        """Ends it: what it left open is closed now, in order, and not whenever it is forgotten."""
        ...

    def run(self) -> int | None:
        """Works until nothing is ready or the horizon is reached; gives the local time of the next call, or None."""
        ...


class Entropy(Protocol):
    """A source of random bytes of one part's own."""

    secret: bool

    def randbytes(self, n: int, /) -> bytes: ...


class Board:
    """One board of a model. Off to begin with.

    Args:
        program: starts what the flash holds; called at each power-on and reset.
        mac: 6 bytes.
        storage: the flash's content; a blank one of the model's size without it.
        entropy: gives each named part its own stream.
        trace: gets what happens on the board.
    """

    def __init__(
        self,
        model: Model,
        clock: VirtualClock,
        program: Callable[[Board], Program],
        *,
        mac: bytes,
        entropy: Callable[[str], Entropy],
        storage: Storage | None = None,
        trace: BoardTrace | None = None,
        address: str = "",
    ) -> None:
        if len(mac) != 6:
            raise BoardError(f"MAC address of {len(mac)} bytes, must be 6")
        self.model = model
        self.clock = clock
        self.mac = mac
        self.entropy = entropy
        self.trace = trace
        self.costs = model.costs
        self.cpu = cpu = Cpu(clock, model.hz)
        self.uart = Uart(clock, cpu, baudrate=model.uart_baudrate, rx_fifo_bytes=RX_RING_BYTES, trace=trace)
        self.rtc = Rtc(clock, cpu, battery=model.has_battery)
        self.wdt = Watchdog(cpu, self._bitten, timeout_ms=model.watchdog_timeout_ms, trace=trace)
        self.flash = Flash(
            storage if storage is not None else SparseStorage(model.flash_bytes),
            cpu,
            program_ns=model.flash_program_ns,
            erase_ns=model.flash_erase_ns,
            trace=trace,
        )
        self.noinit = bytearray(NOINIT_BYTES)
        self.leds: Mapping[str, Led] = {name: Led(clock, cpu, trace=trace, name=name) for name in model.leds}
        self.button_part = Button(clock, Pin(clock, cpu, trace=trace, name="button"))
        self.button = self.button_part.pin
        self.slot = (
            Slot(
                clock,
                cpu,
                Pin(clock, cpu, trace=trace, name="cd"),
                bus_bytes_per_s=model.slot_bytes_per_s,
                trace=trace,
            )
            if model.has_slot
            else None
        )
        self.network = Ethernet(clock, cpu, address or "-".join(f"{byte:02x}" for byte in mac))
        self.sensor = Temperature(clock, ambient=model.ambient, rise=model.temperature_rise)
        self.reset_cause = "power-on"
        self.powered = False
        self.resets = 0
        """How often the CPU was reset since the board was made, power-ons not counted."""
        self._start = program
        self._program: Program | None = None
        self._alarm: Alarm | None = None
        self._called = False
        self._running = False
        cpu.watchdog = self.wdt
        cpu.on_interrupt(self._interrupted)
        self.uart.power_off()

    # -- what the firmware calls

    def temperature(self) -> float:
        """Degrees Celsius on the board."""
        return self.sensor.read()

    def reset(self, cause: str = "software") -> NoReturn:
        """Resets the CPU from within: unwinds what it runs."""
        raise CpuReset(cause)

    # -- what the world does

    def power_on(self) -> None:
        """Gives it power. BoardError when it has."""
        if self.powered:
            raise BoardError("power is on already")
        self.powered = True
        self._record(self.clock.now_ns, "power", "on")
        self.rtc.power_on()
        self.sensor.power_on()
        self.uart.power_on()
        self._restart("power-on")

    def power_off(self) -> None:
        """Takes its power away, at this very instant. Without effect on a board that is off."""
        if not self.powered:
            return
        self.powered = False
        self._record(self.clock.now_ns, "power", "off")
        self._forget_alarm()
        self.noinit[:] = bytes(NOINIT_BYTES)
        self.wdt.reset()
        self.button.reset()
        self.uart.power_off()
        for led in self.leds.values():
            led.power_off()
        self.network.power_off()
        if self.slot is not None:
            self.slot.reset()
        if self._running:
            self.cpu.stop("power-off")
        else:
            self._end_program()

    def press_button(self, duration_ms: int) -> None:
        """Presses the reset button for so long."""
        self.button_part.press(duration_ms)

    def insert_card(self, card: Card) -> None:
        """Puts a card into the slot. BoardError when there is no slot, or a card is in."""
        self._slot().insert(card)

    def remove_card(self) -> Card:
        """Pulls the card. BoardError when there is none."""
        return self._slot().remove()

    # -- how the program gets the CPU

    def _slot(self) -> Slot:
        if self.slot is None:
            raise BoardError(f"{self.model.product} has no card slot")
        return self.slot

    def _restart(self, cause: str) -> None:
        """Starts the program from its beginning; once the old one is unwound, when that still runs."""
        self.reset_cause = cause
        if self._running:
            return
        self.cpu.restart()
        self._wake_at(self.cpu.now_ns)

    def _run(self) -> None:
        """Gives the CPU to the program."""
        self._alarm = None
        self.cpu.rest()
        self._running = True
        self.cpu.run(self._turn)

    def _turn(self) -> None:
        """Lets the program work until it gives the CPU back."""
        try:
            program = self._program
            if program is None:
                program = self._program = self._start(self)
            began_ns, before_ns = self.clock.now_ns, program.busy_ns
            wake_ns = program.run()
        except CpuReset as reset:
            self._running = False
            if self.powered and reset.cause != "power-off":
                self._reset_by(reset.cause)
                return
            self._end_program()
            if self.powered:
                self._restart("power-on")  # power came back before the CPU noticed that it had gone
            return
        finally:
            self._running = False
        if not self.powered:
            self._end_program()
            return
        worked_until_ns = began_ns + program.busy_ns - before_ns
        self.clock.busy_until_ns = max(self.clock.busy_until_ns, worked_until_ns, program.throttled_until_ns)
        if wake_ns is not None:
            self._wake_at(wake_ns)

    def _end_program(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            self.cpu.rest()
            program.close()

    def _reset_by(self, cause: str) -> None:
        """The reset line was pulled: parts lose what a reset clears, and the program starts again."""
        self.resets += 1
        self._record(self.cpu.now_ns, "reset", cause)
        self.wdt.reset()
        self.uart.reset()
        for led in self.leds.values():
            led.reset()
        self.button.reset()
        self.network.power_off()
        if self.slot is not None:
            self.slot.reset()
        self._end_program()
        now_ns = self.cpu.now_ns + RESET_NS
        self._restart(cause)
        self.cpu.now_ns = now_ns
        self._forget_alarm()
        self._wake_at(now_ns)

    def _interrupted(self) -> None:
        if not self.powered or self._running or self._called:
            return
        # A CPU that is free takes an interrupt at once, and not after whatever else happens at this moment elsewhere.
        if self.cpu.now_ns <= self.clock.now_ns and self.clock.then(self._answer):
            self._called = True
        else:
            self._wake_at(max(self.clock.now_ns, self.cpu.now_ns))

    def _answer(self) -> None:
        """Runs the program for an interrupt: later when the same moment brought work or a reset, not without power."""
        self._called = False
        if not self.powered or self._running:
            return
        if self.cpu.now_ns <= self.clock.now_ns:
            self._forget_alarm()
            self._run()
        else:
            self._wake_at(self.cpu.now_ns)

    def _wake_at(self, when_ns: int) -> None:
        if self._alarm is not None:
            if self._alarm.pending and self._alarm.when_ns <= when_ns:
                return
            self._alarm.cancel()
        self._alarm = self.clock.at(when_ns, self._run)

    def _forget_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _bitten(self) -> NoReturn:
        raise CpuReset("watchdog")

    def _record(self, now_ns: int, kind: str, name: str) -> None:
        if self.trace is not None:
            self.trace(now_ns, kind, name, "")
