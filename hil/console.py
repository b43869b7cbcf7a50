"""The console client: keeps every byte that the board says, with its place and its time, and waits for patterns in it.

::

    board says  |----------------------------------------------->  bytes, numbered from 0, never thrown away
                      ^ position: where the last expect ended         what came before cannot match again
                               ^ mark(): a place to look from, remembered by a test

``expect`` counts virtual time on an emulated board (wall time on a real one), lets the world go on event by event, and
stops at the event that completed the pattern: what the host's load is makes no difference.

A pattern is a regular expression when it is text (``^`` matches at a line's beginning), and literal when it is bytes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Protocol, TypeVar

from hil.errors import LAST_BYTES, LAST_EVENTS, CommandFailed, DeviceFailure
from hil.links import Link
from hil.reply import Match, Reply

TIMEOUT_MS = 5_000
"""How long ``expect`` waits unless told otherwise: a console answers at once, and boards boot in a second or two."""

PROMPT = r"[A-Z][A-Z0-9]*(?:-[0-9a-f]{2}){3}> "
"""A netbios name and the prompt's end."""

PASTE_INVITATION = "paste PEM, end with a line that holds only a dot"

_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
"""ANSI control sequences: a line editor's redrawing."""

Pattern = str | bytes
F = TypeVar("F", bound=DeviceFailure)


class Surroundings(Protocol):
    """What a failure says of the run around it: a ``Bench`` has all that."""

    @property
    def seed(self) -> int | None: ...

    @property
    def repeat(self) -> str | None: ...

    def last_events(self, number_of_lines: int) -> Sequence[str]: ...


class Console:
    """One board's serial console, from the far end of the cable.

    Args:
        link: the cable.
        surroundings: what failures say of the run.
        prompt: regular expression of the prompt.
        user, password: who ``login`` logs in as when it is not told.
    """

    def __init__(
        self,
        link: Link,
        *,
        surroundings: Surroundings | None = None,
        prompt: str = PROMPT,
        user: str = "admin",
        password: str = "",
    ) -> None:
        self.link = link
        self.data = bytearray()
        """Every byte so far."""
        self.position = 0
        """Where the last ``expect`` ended, and the next one begins to look."""
        self.prompt = prompt
        self.user = user
        self.password = password
        self._surroundings = surroundings
        self._offsets: list[int] = []
        self._times: list[tuple[int, int | None]] = []
        self._forbidden: list[tuple[re.Pattern[bytes], str, int]] = []
        self._violation: tuple[str, int] | None = None
        self._log: LogFile | None = None
        self._restarts = link.restarts
        self._started_at = 0
        link.attach(self._receive)

    # -- what was said

    @property
    def text(self) -> str:
        """Everything so far."""
        return self.data.decode("utf-8", "replace")

    def mark(self) -> int:
        """The place behind the last byte so far: pass it as ``since``."""
        return len(self.data)

    def since(self, mark: int) -> str:
        """What was said since ``mark``."""
        return self.data[mark:].decode("utf-8", "replace")

    def time_ns_at(self, offset: int) -> int:
        """Virtual time at which the byte ``offset`` arrived."""
        return self._stamp(offset)[0]

    def wall_ns_at(self, offset: int) -> int | None:
        """Wall time (ns since 1970) at which it arrived; None in free-running time, where there is none."""
        return self._stamp(offset)[1]

    def transcript(self) -> str:
        """Everything so far, each line with the virtual time at which its first byte arrived."""
        lines, offset = [], 0
        for line in bytes(self.data).splitlines(keepends=True):
            lines.append(stamped_line(self.time_ns_at(offset), line))
            offset += len(line)
        return "".join(lines)

    def log_to(self, path: str | Path) -> None:
        """Writes the transcript to a file, from the beginning, and goes on with every line that comes."""
        self._log = LogFile(Path(path))
        offset = 0
        for line in bytes(self.data).splitlines(keepends=True):
            self._log.add(self.time_ns_at(offset), line)
            offset += len(line)

    def forget(self) -> None:
        """Makes all that was said so far stale: the board behind the cable starts anew. The bytes are kept."""
        self.position = self._started_at = self.mark()

    # -- waiting

    def expect(self, pattern: Pattern, *, since: int | None = None, timeout_ms: float = TIMEOUT_MS) -> Match:
        """Lets time pass until ``pattern`` is there, in what came after ``since`` (default: the last expect's end).

        Raises:
            DeviceFailure: it did not come within ``timeout_ms``, or something forbidden came before it.
        """
        __tracebackhide__ = True
        start = self.position if since is None else since
        found = self._wait(_compiled(pattern), start, timeout_ms)
        if found is None:
            self._fail(f"{pattern!r} within {timeout_ms:g} ms", "nothing of the kind", start)
        self.position = max(self.position, found.end())
        return self._match(found, start)

    def forbid(self, pattern: Pattern) -> None:
        """From now on, output that matches ``pattern`` fails the next thing that waits, at the place where it came."""
        self._forbidden.append((_compiled(pattern), repr(pattern), self.mark()))

    def allow(self, pattern: Pattern) -> None:
        """Takes a ``forbid`` back."""
        self._forbidden = [entry for entry in self._forbidden if entry[1] != repr(pattern)]

    def check(self) -> None:
        """Raises the DeviceFailure of a forbidden pattern that has come."""
        __tracebackhide__ = True
        if self._violation is not None:
            (pattern, offset), self._violation = self._violation, None
            self._fail(
                f"no {pattern}", f"it at byte {offset}, {self.time_ns_at(offset)} ns", max(0, offset - LAST_BYTES)
            )

    # -- saying

    def send(self, text: str | bytes) -> None:
        """Types ``text`` as it is."""
        self.link.send(text.encode() if isinstance(text, str) else text)

    def send_line(self, text: str = "") -> None:
        """Types ``text`` and Return."""
        self.send(text + "\r")

    def interrupt(self, timeout_ms: float = TIMEOUT_MS) -> None:
        """Types Ctrl-C and waits for the prompt."""
        __tracebackhide__ = True
        mark = self.mark()
        self.send(b"\x03")
        self.expect(self.prompt, since=mark, timeout_ms=timeout_ms)

    # -- the gateway's dialogue

    def login(self, user: str | None = None, password: str | None = None, timeout_ms: float = 30_000) -> None:
        """Logs in; waits for the board to have booted so far. Without effect when somebody is logged in.

        Raises:
            DeviceFailure: no login prompt came, or the login was refused.
        """
        __tracebackhide__ = True
        since = self._last_start()
        line = _plain(bytes(self.data[max(since, self.data.rfind(b"\n") + 1) :]))
        if re.fullmatch(self.prompt, line):
            return
        if not line.endswith("login: "):
            self.expect("login: ", since=max(since, self.position), timeout_ms=timeout_ms)
        self.position = self.mark()
        self.send_line(self.user if user is None else user)
        self.expect("password: ", timeout_ms=timeout_ms)
        mark = self.mark()
        self.send_line(self.password if password is None else password)
        answer = self.expect(f"({self.prompt})|login: ", since=mark, timeout_ms=timeout_ms)
        if answer.groups[0] is None:
            self._fail("to be logged in", f"the login prompt again: {answer.before.strip()!r}", mark)

    def run(self, command: str, *, timeout_ms: float = TIMEOUT_MS, check: bool = True) -> Reply:
        """Types ``command``, waits for the next prompt, and gives what came in between.

        Raises:
            DeviceFailure: the prompt did not come back in time.
            CommandFailed: the answer has a line ``error: ...``, unless ``check`` is False.
        """
        __tracebackhide__ = True
        return self._reply(command, self._enter(command, timeout_ms), timeout_ms, check)

    def paste(self, command: str, pem: str, *, timeout_ms: float = TIMEOUT_MS, check: bool = True) -> Reply:
        """As ``run``, for a command that asks for PEM: pastes ``pem`` and the line with a dot.

        A command that refuses before it asks fails at once, and nothing is pasted.
        """
        __tracebackhide__ = True
        echo = self._enter(command, timeout_ms)
        asked = self.expect(
            rf"(?:{PASTE_INVITATION})\s*?\n|\n({self.prompt})", since=echo.end - 1, timeout_ms=timeout_ms
        )
        if asked.groups[0] is not None:
            return self._reply(command, echo, timeout_ms, check)
        for line in pem.splitlines():
            self.send_line(line)
        self.send_line(".")
        return self._reply(command, asked, timeout_ms, check)

    def close(self) -> None:
        """Closes the log and the link; what was said stays."""
        if self._log is not None:
            self._log.close()
            self._log = None
        self.link.close()

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- how

    def _enter(self, command: str, timeout_ms: float) -> Match:
        """Types a command line and gives its echo, line break included."""
        __tracebackhide__ = True
        mark = self.mark()
        self.send_line(command)
        # A message of the board's may come in between; then the line editor draws the line anew, and its last copy,
        # the whole one, is the one that a line break follows.
        return self.expect(re.escape(command) + r"\s*?\n", since=mark, timeout_ms=timeout_ms)

    def _reply(self, command: str, behind: Match, timeout_ms: float, check: bool) -> Reply:
        """Waits for the prompt; the answer is what stands between ``behind`` and it."""
        __tracebackhide__ = True
        # The line break before the prompt may be the one that ``behind`` ended with.
        prompt = self.expect(rf"\n{self.prompt}", since=behind.end - 1, timeout_ms=timeout_ms)
        text = _plain(bytes(self.data[behind.end : max(behind.end, prompt.offset)]))
        reply = Reply(text, behind.offset, prompt.time_ns, (prompt.time_ns - behind.time_ns) / 1e6)
        if check and reply.error is not None:
            failure = self._failure(CommandFailed, f"{command!r} to succeed", f"error: {reply.error}", behind.offset)
            failure.error = reply.error
            raise failure
        return reply

    def _wait(self, regex: re.Pattern[bytes], start: int, timeout_ms: float) -> re.Match[bytes] | None:
        """Lets time pass until ``regex`` is found from ``start`` on. None when it is not, in time."""
        __tracebackhide__ = True
        found: re.Match[bytes] | None = None
        searched = -1

        def unfinished() -> bool:
            nonlocal found, searched
            if len(self.data) != searched:
                searched = len(self.data)
                found = regex.search(self.data, start)
            return found is None and self._violation is None

        self.link.run_while(unfinished, timeout_ms)
        self.check()
        return found

    def _match(self, found: re.Match[bytes], start: int) -> Match:
        return Match(
            text=_text(found.group()),
            groups=tuple(None if group is None else _text(group) for group in found.groups()),
            named={name: None if value is None else _text(value) for name, value in found.groupdict().items()},
            before=_text(bytes(self.data[start : found.start()])),
            offset=found.start(),
            end=found.end(),
            time_ns=self.time_ns_at(max(found.start(), found.end() - 1)),
        )

    def _receive(self, data: bytes) -> None:
        self._last_start()
        self._offsets.append(len(self.data))
        self._times.append((self.link.now_ns, self.link.wall_ns))
        self.data += data
        if self._log is not None:
            self._log.add(self.link.now_ns, data)
        if self._forbidden and self._violation is None:
            self._look_for_forbidden()

    def _look_for_forbidden(self) -> None:
        """Looks from the beginning of the line before the newest bytes: patterns that span more lines are not seen."""
        newest = self._offsets[-1]
        line = self.data.rfind(b"\n", 0, max(0, newest - 1)) + 1
        for regex, pattern, since in self._forbidden:
            found = regex.search(self.data, max(line, since))
            if found is not None:
                self._violation = pattern, found.start()
                return

    def _stamp(self, offset: int) -> tuple[int, int | None]:
        index = bisect_right(self._offsets, offset) - 1
        return self._times[index] if index >= 0 else (0, None)

    def _last_start(self) -> int:
        """Where the output since the board's last start or reset begins: before it, prompts are of no account."""
        if self.link.restarts != self._restarts:
            self._restarts = self.link.restarts
            self._started_at = len(self.data)
        return self._started_at

    def _fail(self, expected: str, got: str, start: int) -> NoReturn:
        __tracebackhide__ = True
        raise self._failure(DeviceFailure, expected, got, start)

    def _failure(self, kind: type[F], expected: str, got: str, start: int) -> F:
        around = self._surroundings
        return kind(
            expected,
            got,
            time_ns=self.link.now_ns,
            last_bytes=bytes(self.data[max(min(start, len(self.data)), len(self.data) - LAST_BYTES) :])
            or bytes(self.data[-LAST_BYTES:]),
            events=() if around is None else around.last_events(LAST_EVENTS),
            seed=None if around is None else around.seed,
            repeat=None if around is None else around.repeat,
        )


class LogFile:
    """A console's transcript on disk, line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._line = bytearray()
        self._line_ns = 0
        self._file = path.open("w", encoding="utf-8")

    def add(self, time_ns: int, data: bytes) -> None:
        """Takes the next bytes; a line is written once it is whole."""
        for piece in data.splitlines(keepends=True):
            if not self._line:
                self._line_ns = time_ns
            self._line += piece
            if self._line.endswith(b"\n"):
                self._write()
        self._file.flush()

    def close(self) -> None:
        """Writes what is left of the last line."""
        if self._line:
            self._write()
        self._file.close()

    def _write(self) -> None:
        self._file.write(stamped_line(self._line_ns, bytes(self._line)))
        self._line.clear()


def stamped_line(time_ns: int, line: bytes) -> str:
    """One line of a transcript: ``[    1.234567] text``."""
    return f"[{time_ns / 1e9:12.6f}] {_plain(line)}\n"


def _compiled(pattern: Pattern) -> re.Pattern[bytes]:
    if isinstance(pattern, bytes):
        return re.compile(re.escape(pattern))
    return re.compile(pattern.encode(), re.MULTILINE)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _plain(data: bytes) -> str:
    """Text as it would be read: no control sequences, one kind of line break, none at the end."""
    return _text(_ESCAPES.sub(b"", data)).replace("\r\n", "\n").replace("\r", "").rstrip("\n")
