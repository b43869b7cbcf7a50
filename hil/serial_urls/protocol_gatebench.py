"""``gatebench://MODEL?OPTIONS``: the serial port of a gateway that is made, and switched on, when the port is opened.

Options, all of them those of ``Bench`` and ``Bench.gateway``: ``seed``, ``card``, ``card_size``, ``factory``,
``flash``, ``time``, ``name``. Closing the port switches the gateway off.

Time is virtual: a read with a timeout of five seconds lets five virtual seconds pass at most, however long the host
takes. A program that polls ``in_waiting`` sees ten milliseconds pass with every look that finds nothing.

Programs read in one thread and write in another; the world behind the port lives in a thread of its own, to which both
come one after the other.

Not modelled: rates other than the board's (accepted, without effect), modem lines (CTS, DSR and CD read as on).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from serial.serialutil import PortNotOpenError, SerialBase, SerialException

from board.errors import BoardError
from hil.bench import Bench
from hil.errors import EnvironmentRefused, RackMisuse
from hil.gateway import Gateway

OPTIONS = frozenset({"card", "card_size", "factory", "flash", "name", "seed", "time"})

POLL_MS = 10
"""What passes when ``in_waiting`` finds nothing."""

FOREVER_MS = 24 * 3_600_000
"""A read without a timeout gives up after a virtual day: nobody is left who could make the board speak."""


T = TypeVar("T")


class Serial(SerialBase):  # type: ignore[misc]
    """The port. ``bench`` and ``gateway`` lead to what is behind it while it is open."""

    bench: Bench
    gateway: Gateway
    is_open: bool

    def open(self) -> None:
        """Makes the gateway and switches it on. SerialException when the URL is not one of ours."""
        if self.is_open:
            raise SerialException("port is open already")
        if self._port is None:
            raise SerialException("port must be configured before it can be used")
        self._received = bytearray()
        self._break = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gatebench")
        try:
            self._in_world(lambda: self._make(str(self._port)))
        except (BoardError, EnvironmentRefused, RackMisuse, ValueError) as error:
            self._thread.shutdown()
            raise SerialException(f"{self._port}: {error}") from error
        self.is_open = True

    def close(self) -> None:
        """Switches the gateway off."""
        if self.is_open:
            self.is_open = False
            self._in_world(self.bench.close)
            self._thread.shutdown()

    @property
    def in_waiting(self) -> int:
        """Number of bytes that can be read at once."""
        self._require_open()
        if not self._received:
            self._in_world(lambda: self.bench.run_for(ms=POLL_MS))
        return len(self._received)

    def read(self, size: int = 1) -> bytes:
        """``size`` bytes, or what has come when the timeout ends."""
        self._require_open()
        timeout_ms = FOREVER_MS if self._timeout is None else math.ceil(self._timeout * 1_000)

        def take() -> bytes:
            self.bench.run_until(lambda: len(self._received) >= size, timeout_ms=timeout_ms)
            data = bytes(self._received[:size])
            del self._received[:size]
            return data

        return self._in_world(take)

    def write(self, b: Any, /) -> int:
        """Types ``b``; it goes onto the wire at the wire's speed."""
        self._require_open()
        data = bytes(b)
        self._in_world(lambda: self.gateway.board.uart.line.send(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""
        self._require_open()

    def reset_input_buffer(self) -> None:
        """Forgets what was received and not read."""
        self._require_open()
        self._received.clear()

    def reset_output_buffer(self) -> None:
        """What was written is on the wire already."""
        self._require_open()

    @property
    def cts(self) -> bool:
        return True

    @property
    def dsr(self) -> bool:
        return True

    @property
    def ri(self) -> bool:
        return False

    @property
    def cd(self) -> bool:
        return True

    def _make(self, url: str) -> None:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        unknown = sorted(set(options) - OPTIONS)
        if unknown:
            raise RackMisuse(f"unknown option {unknown[0]!r}, must be one of {', '.join(sorted(OPTIONS))}")
        seed = options.pop("seed", None)
        self.bench = Bench(None if seed is None else int(seed))
        arguments: dict[str, Any] = dict(options)
        self.gateway = self.bench.gateway(parts.netloc or "ip800", **arguments)
        self.gateway.board.uart.line.on_receive(self._received.extend)
        self.gateway.power_on()

    def _in_world(self, action: Callable[[], T]) -> T:
        return self._thread.submit(action).result()

    def _require_open(self) -> None:
        if not self.is_open:
            raise PortNotOpenError

    def _reconfigure_port(self, *arguments: Any, **keywords: Any) -> None:
        """Both ends of the emulated line always speak at one rate."""

    def _update_break_state(self) -> None:
        if self._break_state and not self._break:
            self._in_world(self.gateway.board.uart.line.send_break)
        self._break = bool(self._break_state)

    def _update_rts_state(self) -> None:
        """The line has none."""

    def _update_dtr_state(self) -> None:
        """The line has none."""
