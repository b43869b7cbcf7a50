"""The serial port: MicroPython's ``machine.UART`` on one side, the far end of the cable on the other.

::

    firmware --write--> transmit buffer --> wire, 10 bit times per byte --> line.on_receive
    firmware <--read--- receive FIFO <----- wire, 10 bit times per byte <-- line.send

The wire goes on in world time while the CPU works. Events are not per byte but per some bytes, each at the exact
end of its last byte; what the FIFO holds at any instant, and which byte finds it full, is reckoned to the byte.

The firmware reads at its CPU's local time, which may lie ahead of the world: it finds what will have arrived by then of
all that was sent so far, not what the far end is going to send in between.

Not modelled: voltage levels, parity errors, flow control (RTS/CTS), blocking reads (``timeout``), two ends that speak
at different rates.
"""

from __future__ import annotations

from collections.abc import Callable

from board.clock import Alarm, VirtualClock
from board.cpu import Cpu
from board.errors import BoardError
from board.irq import EVERY_CAUSE, Handler, Irq
from board.lane import BREAK_BITS, Burst, Lane
from board.trace import BoardTrace

CHUNK_BYTES = 16
"""FIFO depth of a 16550: bytes that pass between two events of a busy wire."""

TX_CHUNK_BYTES = 64
"""The same for what the board puts out, which only has to be seen: 5.6 ms at 115200 baud, a third of a screen's frame.
Whatever is shorter, as an echo is, arrives with its last byte."""

RX_FIFO_BYTES = 256
"""The 16-byte hardware FIFO and the 240-byte ring that the driver's interrupt routine empties it into."""

TX_BUFFER_BYTES = 4096
"""The driver's transmit ring: 355 ms of output at 115200 baud."""


class Line:
    """The far end of the cable: a terminal, a bridge to a pty, a test."""

    def __init__(self, uart: Uart) -> None:
        self._uart = uart
        self._receivers: list[Callable[[bytes], None]] = []
        self._break_receivers: list[Callable[[], None]] = []

    @property
    def baudrate(self) -> int:
        """The rate at which both ends speak."""
        return self._uart.baudrate

    def send(self, data: bytes) -> None:
        """Types ``data``: its bytes arrive one after another, behind what is on its way. Without power, none does."""
        self._uart._from_outside(lambda lane, now_ns: lane.put(data, now_ns))

    def send_break(self, bits: int = BREAK_BITS) -> None:
        """Holds the wire low for ``bits`` bit times. BoardError when that is no longer than a byte."""
        if bits <= self._uart.frame_bits:
            raise BoardError(f"a break of {bits} bits is a byte: needs more than {self._uart.frame_bits}")
        self._uart._from_outside(lambda lane, now_ns: lane.put_break(now_ns, bits))

    def send_framing_error(self, byte: int) -> None:
        """Sends one byte whose stop bit is missing: it arrives, and is flagged."""
        self._uart._from_outside(lambda lane, now_ns: lane.put_without_stop_bit(byte, now_ns))

    def on_receive(self, handler: Callable[[bytes], None]) -> None:
        """Has ``handler(data)`` called with what the board puts out, as soon as it has ended. Several may listen."""
        self._receivers.append(handler)

    def on_break(self, handler: Callable[[], None]) -> None:
        """Has ``handler()`` called when a break of the board's has ended."""
        self._break_receivers.append(handler)

    def detach(self, handler: Callable[[bytes], None]) -> None:
        """Ends what ``on_receive`` began. BoardError when it does not listen."""
        if handler not in self._receivers:
            raise BoardError("this receiver is not attached to the line")
        self._receivers.remove(handler)

    def _deliver(self, burst: Burst) -> None:
        if burst.kind == "break":
            for on_break in list(self._break_receivers):
                on_break()
            return
        for receive in list(self._receivers):
            receive(burst.data)


class Uart:
    """One serial port, 115200 8N1 unless said otherwise.

    Args:
        trace: gets ``uart`` events: ``tx`` and ``rx`` with the number of bytes, ``overrun`` with the bytes lost.
    """

    IRQ_RXIDLE = 0x10
    """As IRQ_RX: a chunk has arrived."""
    IRQ_RX = 0x20
    IRQ_TXIDLE = 0x40
    """The transmit buffer has become empty, and the last byte has left."""
    IRQ_BREAK = 0x80
    IRQ_ERROR = 0x100
    """Overrun or framing error: ``take_flags`` says which."""

    def __init__(
        self,
        clock: VirtualClock,
        cpu: Cpu,
        *,
        baudrate: int = 115_200,
        rx_fifo_bytes: int = RX_FIFO_BYTES,
        tx_buffer_bytes: int = TX_BUFFER_BYTES,
        trace: BoardTrace | None = None,
        name: str = "uart0",
    ) -> None:
        self._clock = clock
        self._cpu = cpu
        self._trace = trace
        self._name = name
        self._default_baudrate = baudrate
        self._irq = Irq(cpu, self)
        self._tx, self._rx = Lane(baudrate, 10), Lane(baudrate, 10)
        self._tx_alarm: Alarm | None = None
        self._rx_alarm: Alarm | None = None
        self._fifo = bytearray()
        self._flags: set[str] = set()
        self._causes = 0
        self._powered = True
        self.rx_fifo_bytes = rx_fifo_bytes
        self.tx_buffer_bytes = tx_buffer_bytes
        self.overrun_bytes = 0
        """Bytes lost so far because the FIFO was full."""
        self.line = Line(self)

    @property
    def baudrate(self) -> int:
        return self._tx.baudrate

    @property
    def frame_bits(self) -> int:
        """Bit times per byte, start, parity and stop bits included."""
        return self._tx.frame_bits

    # What MicroPython's machine.UART has.

    def init(self, baudrate: int = 115_200, bits: int = 8, parity: int | None = None, stop: int = 1) -> None:
        """Sets rate and frame for what is sent from now on, at both ends of the line.

        ValueError for a rate or frame that the port cannot do; then nothing has changed.
        """
        if not 50 <= baudrate <= 4_000_000:
            raise ValueError(f"baudrate {baudrate}: must be 50 to 4000000")
        if bits not in (7, 8) or parity not in (None, 0, 1) or stop not in (1, 2):
            raise ValueError(f"frame bits={bits} parity={parity} stop={stop}: must be 7 or 8, None or 0 or 1, 1 or 2")
        frame_bits = 1 + bits + (parity is not None) + stop
        for lane in (self._tx, self._rx):
            lane.baudrate, lane.frame_bits = baudrate, frame_bits

    def any(self) -> int:
        """Number of bytes that can be read at once."""
        self._receive(self._cpu.now_ns)
        return len(self._fifo)

    def read(self, nbytes: int | None = None, /) -> bytes | None:
        """Up to ``nbytes`` (default: all there is); None when there is nothing."""
        available = self.any()
        if not available or nbytes == 0:
            return None
        size = available if nbytes is None or nbytes < 0 else min(nbytes, available)
        data = bytes(self._fifo[:size])
        del self._fifo[:size]
        return data

    def readinto(self, buf: bytearray | memoryview, nbytes: int | None = None, /) -> int | None:
        """Reads into ``buf``, at most ``nbytes``. Number of bytes read; None when there is nothing."""
        data = self.read(len(buf) if nbytes is None else min(nbytes, len(buf)))
        if data is None:
            return None
        buf[: len(data)] = data
        return len(data)

    def readline(self) -> bytes | None:
        """Up to and including the next newline, or all there is without one; None when there is nothing."""
        if not self.any():
            return None
        newline = self._fifo.find(b"\n")
        return self.read(None if newline < 0 else newline + 1)

    def write(self, buf: bytes | bytearray | memoryview, /) -> int | None:
        """Puts ``buf`` into the transmit buffer. Number of bytes taken; None when it is full."""
        if not self._powered:
            return len(buf)  # a program that is being unwound may still say something; nobody hears it
        now_ns = self._cpu.now_ns
        size = min(len(buf), self.tx_buffer_bytes - self._tx.pending(now_ns))
        if size <= 0:
            return None
        self._tx.put(bytes(buf[:size]), now_ns)
        self._arm_tx()
        return size

    def sendbreak(self) -> None:
        """Sends a break behind what is in the transmit buffer."""
        self._tx.put_break(self._cpu.now_ns)
        self._arm_tx()

    def txdone(self) -> bool:
        """Whether everything written has left, to the last stop bit."""
        return self._cpu.now_ns >= self._tx.busy_until_ns

    def flush(self) -> None:
        """Waits, on the CPU, until everything written has left: up to 355 ms in which nothing else runs."""
        self._cpu.spend_ns(max(0, self._tx.busy_until_ns - self._cpu.now_ns))

    def irq(self, handler: Handler | None = None, trigger: int = EVERY_CAUSE, hard: bool = False) -> Irq:
        """Has ``handler(uart)`` called for the causes in ``trigger``; 0 stands for all. ``hard`` changes nothing."""
        self._irq.connect(handler, trigger)
        return self._irq

    # What silicon reports by status bits.

    def take_flags(self) -> frozenset[str]:
        """Error flags since the last call, cleared by it: of ``overrun``, ``framing``, ``break``."""
        self._receive(self._cpu.now_ns)
        flags = frozenset(self._flags)
        self._flags.clear()
        return flags

    # What the board does to it.

    def reset(self) -> None:
        """The CPU was reset, at its local time: buffers, flags, handler and settings go; the far end goes on."""
        now_ns = self._cpu.now_ns
        self._tx.cut(now_ns)
        self._receive(now_ns)
        self._forget()
        self._arm_tx(anew=True)

    def power_off(self) -> None:
        """Power goes, at world time: bytes that have ended were sent, everything else in flight is lost."""
        self._send(self._clock.now_ns)
        for lane in (self._tx, self._rx):
            lane.cut(-1)
        for alarm in (self._tx_alarm, self._rx_alarm):
            if alarm is not None:
                alarm.cancel()
        self._tx_alarm = self._rx_alarm = None
        self._forget()
        self._powered = False

    def power_on(self) -> None:
        """Power comes, at world time."""
        self._powered = True

    def _forget(self) -> None:
        self._fifo.clear()
        self._flags.clear()
        self._causes = 0
        self._irq.connect(None)
        self.init(self._default_baudrate)

    # Transmitting.

    def _arm_tx(self, anew: bool = False) -> None:
        if anew and self._tx_alarm is not None:
            self._tx_alarm.cancel()
            self._tx_alarm = None
        if self._tx_alarm is None:
            when_ns = self._tx.next_ns(TX_CHUNK_BYTES)
            if when_ns is not None:
                self._tx_alarm = self._clock.at(when_ns, self._tx_due)

    def _tx_due(self) -> None:
        self._tx_alarm = None
        self._send(self._clock.now_ns)
        self._arm_tx()
        if self._tx_alarm is None:
            self._irq.fire(self.IRQ_TXIDLE)

    def _send(self, now_ns: int) -> None:
        for burst in self._tx.take(now_ns):
            if self._trace is not None:
                self._trace(now_ns, "uart", f"{self._name}.tx", len(burst.data))
            self.line._deliver(burst)

    # Receiving.

    def _from_outside(self, put: Callable[[Lane, int], None]) -> None:
        if not self._powered:
            return
        put(self._rx, self._clock.now_ns)
        self._arm_rx()

    def _arm_rx(self) -> None:
        if self._rx_alarm is None:
            when_ns = self._rx.next_ns(CHUNK_BYTES)
            if when_ns is not None:
                self._rx_alarm = self._clock.at(when_ns, self._rx_due)

    def _rx_due(self) -> None:
        self._rx_alarm = None
        self._receive(self._clock.now_ns)
        self._arm_rx()
        causes, self._causes = self._causes, 0
        if not self._fifo:
            # The firmware, ahead of the world, has read them already.
            causes &= ~(self.IRQ_RX | self.IRQ_RXIDLE)
        if causes:
            self._irq.fire(causes)

    def _receive(self, now_ns: int) -> None:
        """Moves what has arrived by ``now_ns`` from the wire into the FIFO."""
        for burst in self._rx.take(now_ns):
            if burst.kind == "break":
                self._raise_flag("break", self.IRQ_BREAK)
                continue
            if burst.kind == "framing":
                self._raise_flag("framing", self.IRQ_ERROR)
            self._enqueue(burst.data, now_ns)

    def _enqueue(self, data: bytes, now_ns: int) -> None:
        room = self.rx_fifo_bytes - len(self._fifo)
        self._fifo += data[: max(room, 0)]
        self._causes |= self.IRQ_RX | self.IRQ_RXIDLE
        lost = len(data) - max(room, 0)
        if lost > 0:
            self.overrun_bytes += lost
            self._raise_flag("overrun", self.IRQ_ERROR)
        if self._trace is not None:
            self._trace(now_ns, "uart", f"{self._name}.rx", len(data))
            if lost > 0:
                self._trace(now_ns, "uart", f"{self._name}.overrun", lost)

    def _raise_flag(self, flag: str, cause: int) -> None:
        self._flags.add(flag)
        self._causes |= cause
