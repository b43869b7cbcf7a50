"""The outside world of a paced run: descriptors of the host that become ready, and signals; all in one thread.

::

    clock waits -----> Poller.wait(timeout) --- select --- sockets, ptys, terminals, signal pipe
                             |
                             +--> time is brought up to date, then each ready descriptor's handler is called

Handlers act on boards and sockets and return; they never let virtual time pass themselves.
"""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from board.pacing import PacedClock

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

Handler = Callable[[int], None]
"""``handler(events)``, events of READ and WRITE."""


class Poller:
    """Descriptors and who handles them.

    ``select`` rather than ``epoll``: it waits to the microsecond, where epoll rounds up to whole milliseconds, ten
    byte times of the serial line; and it takes regular files as standard input and output.
    """

    def __init__(self) -> None:
        self._selector = selectors.SelectSelector()
        self.on_wake: Callable[[], None] | None = None
        """Called before handlers are: brings the clock up to date."""

    def watch(self, fd: Any, events: int, handler: Handler) -> None:
        """Has ``handler`` called when ``fd`` is ready for ``events``; 0 ends it. Changes what was said before."""
        known = fd in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(fd)
        elif known:
            self._selector.modify(fd, events, handler)
        else:
            self._selector.register(fd, events, handler)

    def forget(self, fd: Any) -> None:
        """Ends what ``watch`` began, if it did."""
        self.watch(fd, 0, lambda events: None)

    @property
    def watched(self) -> int:
        """Number of descriptors that are watched."""
        return len(self._selector.get_map())

    def wait(self, timeout_s: float) -> None:
        """Waits up to ``timeout_s`` for the first descriptor to be ready, and calls the handlers of all that are."""
        ready = self._selector.select(timeout_s)
        if not ready:
            return
        if self.on_wake is not None:
            self.on_wake()
        for key, events in ready:
            # An earlier handler may have closed this one.
            current = self._selector.get_map().get(key.fd)
            if current is not None and current.data is key.data:
                key.data(events)

    def close(self) -> None:
        """Ends all watching; the descriptors stay open."""
        self._selector.close()


def paced_clock(poller: Poller, *, speed: float | None = 1.0) -> PacedClock:
    """A clock that waits in ``poller``; what comes from outside bears the time at which it came."""
    clock = PacedClock(poller.wait, speed=speed)
    poller.on_wake = clock.catch_up
    return clock


class Signals:
    """SIGTERM, SIGINT and SIGHUP (the terminal went away), as something that the poller sees.

    Args:
        stop: called once for each signal, between two events and not inside one.
    """

    NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __init__(self, poller: Poller, stop: Callable[[], None]) -> None:
        self._poller = poller
        self._stop = stop
        self._read_fd, self._write_fd = os.pipe()
        for fd in (self._read_fd, self._write_fd):
            os.set_blocking(fd, False)
        self._old_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, self._note) for number in self.NUMBERS}
        poller.watch(self._read_fd, READ, self._arrived)

    def close(self) -> None:
        """Puts back what was before."""
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._poller.forget(self._read_fd)
        os.close(self._read_fd)
        os.close(self._write_fd)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The number is in the pipe already; this keeps Python from ending the process."""

    def _arrived(self, events: int) -> None:
        os.read(self._read_fd, 64)
        self._stop()
