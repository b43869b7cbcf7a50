"""The cable between a console client and a board: in this process, or a serial line of the host.

A link also owns the time in which a client waits: virtual time for an emulated board, wall time for a real one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from board.clock import VirtualClock
from board.uart import Line
from hil.errors import EnvironmentRefused, lowered, reason_from_oserror

Receiver = Callable[[bytes], None]


class Link(Protocol):
    """One cable."""

    @property
    def now_ns(self) -> int:
        """Time on this link: virtual, or since it was opened."""
        ...

    @property
    def wall_ns(self) -> int | None:
        """Wall time, ns since 1970; None where none is tied to the run."""
        ...

    @property
    def restarts(self) -> int:
        """How often the board was started or reset so far; 0 on a link that cannot know."""
        ...

    def attach(self, receiver: Receiver) -> None:
        """``receiver(data)`` gets everything that the board says from now on."""
        ...

    def send(self, data: bytes) -> None: ...

    def run_while(self, unfinished: Callable[[], bool], timeout_ms: float) -> bool:
        """Lets time pass while ``unfinished()``, ``timeout_ms`` at most. True when it became finished."""
        ...

    def close(self) -> None: ...


class UartLink:
    """The cable to an emulated board: events of its world pass one by one.

    Args:
        wall_ns: wall time, where some is tied to the world.
        restarts: how often the board was started or reset.
    """

    def __init__(
        self,
        clock: VirtualClock,
        line: Line,
        *,
        wall_ns: Callable[[], int] | None = None,
        restarts: Callable[[], int] | None = None,
    ) -> None:
        self._clock = clock
        self._line = line
        self._wall_ns = wall_ns
        self._restarts = restarts
        self._receivers: list[Receiver] = []

    @property
    def now_ns(self) -> int:
        return self._clock.now_ns

    @property
    def wall_ns(self) -> int | None:
        return None if self._wall_ns is None else self._wall_ns()

    @property
    def restarts(self) -> int:
        return 0 if self._restarts is None else self._restarts()

    def attach(self, receiver: Receiver) -> None:
        self._receivers.append(receiver)
        self._line.on_receive(receiver)

    def send(self, data: bytes) -> None:
        self._line.send(data)

    def run_while(self, unfinished: Callable[[], bool], timeout_ms: float) -> bool:
        return self._clock.run_while(unfinished, int(timeout_ms * 1_000_000))

    def close(self) -> None:
        for receiver in self._receivers:
            self._line.detach(receiver)
        self._receivers.clear()


class SerialLink:
    """The cable to a real board, or to anything that pyserial has a URL for, in wall time.

    Args:
        url: a device (``/dev/ttyUSB0``) or a URL (``socket://host:port``, ``rfc2217://host:port``).
        baudrate: 115200 unless told.

    Raises:
        EnvironmentRefused: it cannot be opened.
    """

    POLL_S = 0.02
    """How long one look at the line takes when nothing comes."""

    def __init__(self, url: str, baudrate: int = 115_200) -> None:
        import serial

        try:
            self._serial: Any = serial.serial_for_url(url, baudrate=baudrate, timeout=self.POLL_S)
        except (OSError, ValueError) as error:
            raise EnvironmentRefused(f"cannot open the serial line {url}: {_reason(error)}") from error
        self._receivers: list[Receiver] = []
        self._opened_ns = time.monotonic_ns()

    @property
    def now_ns(self) -> int:
        return time.monotonic_ns() - self._opened_ns

    @property
    def wall_ns(self) -> int | None:
        return time.time_ns()

    @property
    def restarts(self) -> int:
        return 0

    def attach(self, receiver: Receiver) -> None:
        self._receivers.append(receiver)

    def send(self, data: bytes) -> None:
        self._serial.write(data)

    def run_while(self, unfinished: Callable[[], bool], timeout_ms: float) -> bool:
        deadline_ns = time.monotonic_ns() + int(timeout_ms * 1_000_000)
        while unfinished():
            if time.monotonic_ns() >= deadline_ns:
                return False
            # One byte with the timeout, and then what came with it: ``in_waiting`` says no more than 0 or 1 on sockets.
            data = self._serial.read(1)
            while data:
                for receiver in self._receivers:
                    receiver(data)
                data = self._serial.read(self._serial.in_waiting) if self._serial.in_waiting else b""
        return True

    def close(self) -> None:
        self._serial.close()


def _reason(error: Exception) -> str:
    """The host's own word for it, which pyserial wraps into sentences of its own, once or twice."""
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    return reason_from_oserror(cause) if isinstance(cause, OSError) else lowered(str(cause))
