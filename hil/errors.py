"""What goes wrong on the bench, and whose fault it is.

::

    Exception
     +-- RackMisuse               the test is wrong: an unknown model, a card into a board without a slot
     +-- EnvironmentRefused       the host is: a port is taken, a file is locked or has the wrong size
     +-- AssertionError
          +-- DeviceFailure       the device is: the console never said what was expected
               +-- CommandFailed  a command answered with an error
    BaseException
     +-- CpuReset
          +-- PowerLoss           power goes at this very step; unwinds the firmware past every ``except Exception``
"""

from __future__ import annotations

from collections.abc import Sequence

from board.cpu import CpuReset

LAST_BYTES = 400
"""How much of a console's output a failure quotes: a screenful."""

LAST_EVENTS = 8
"""How many of the newest trace lines a failure quotes."""


class RackMisuse(Exception):
    """The test, or whoever drives the bench, asked for something that cannot be."""


class EnvironmentRefused(Exception):
    """The host does not give what the bench needs."""


class PowerLoss(CpuReset):
    """Power goes while a step is being done. A write hook raises it after it has switched the board off."""

    def __init__(self) -> None:
        super().__init__("power-off")


class DeviceFailure(AssertionError):
    """The device did not do what was expected.

    Args:
        expected: what should have come, in words.
        got: what came instead, in words.
        time_ns: virtual time at which it was given up (of a real board: since its console was opened).
        last_bytes: the end of what the console said.
        events: the newest lines of the trace.
        seed: of the run; None when it drew from the operating system.
        repeat: the command that repeats the run.
    """

    def __init__(
        self,
        expected: str,
        got: str,
        *,
        time_ns: int = 0,
        last_bytes: bytes = b"",
        events: Sequence[str] = (),
        seed: int | None = None,
        repeat: str | None = None,
    ) -> None:
        self.expected = expected
        self.got = got
        self.time_ns = time_ns
        self.last_bytes = last_bytes
        self.events = tuple(events)
        self.seed = seed
        self.repeat = repeat
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [f"expected {self.expected}", f"got {self.got}"]
        if self.last_bytes:
            lines.append(f"last {len(self.last_bytes)} bytes of the console:")
            lines += ["    " + line for line in readable(self.last_bytes)]
        if self.events:
            lines.append("last events (ns, board, kind, name, value):")
            lines += ["    " + event for event in self.events]
        lines.append(f"virtual time: {seconds_text(self.time_ns)}")
        lines.append("seed: none (operating-system entropy)" if self.seed is None else f"seed: {self.seed}")
        if self.repeat is not None:
            lines.append(f"repeat: {self.repeat}")
        return "\n".join(lines)


class CommandFailed(DeviceFailure):
    """A console command answered with an error; ``error`` is the board's own text."""

    error = ""


def reason_from_oserror(error: OSError) -> str:
    """What the operating system says of it, as our messages have it: in lower case, without number and file name."""
    return lowered(error.strerror or str(error))


def lowered(text: str) -> str:
    """``text`` with a small letter at its beginning, unless that is an abbreviation's."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def reason_from_damage(error: Exception) -> str:
    """What is wrong with a file that is not what it should be, in one line, as our messages have it."""
    return lowered(" ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split()))


def readable(data: bytes) -> list[str]:
    """``data`` as one ``repr`` per line of it, so that control characters can be seen."""
    return [repr(line)[1:] for line in data.splitlines(keepends=True)]


def seconds_text(time_ns: int) -> str:
    """``1.500000000 s``: seconds to the nanosecond."""
    return f"{time_ns // 1_000_000_000}.{time_ns % 1_000_000_000:09d} s"
