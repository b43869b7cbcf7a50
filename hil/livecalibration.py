"""Calibration, measured live: a board gets certificates of several key lengths, and its handshakes are timed.

::

    network  |                                               ||||||               ||||||
             try                                         handshakes            handshakes
    console       log in -- servercert-create 1024 -- wait       2048 ... -- wait       servercert-clear -- log out

The certificates are application certificates of a name of their own, which handshakes ask for (RFC 6066 3): the board's
device certificate, whose key nobody could bring back, stays what it is. Boards that know no names in TLS are measured
with the device certificate, if that is the default one and so comes back by itself.

Whatever happens, the certificate is taken away again, or it is said that it was left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from hil.console import Console
from hil.errors import CommandFailed, DeviceFailure, EnvironmentRefused, RackMisuse, reason_from_oserror
from hil.handshakes import (
    PAUSE_MS,
    Handshake,
    HandshakeTimes,
    MeasurementFailed,
    Route,
    handshake,
    times_from_handshakes,
)
from hil.reply import Reply

KEYS = (1024, 2048, 4096)
"""What a board makes (reference text, Key types)."""

TARGET = "calibration.invalid"
"""Nobody's name (RFC 6761 6.4): what an interrupted measurement may have left under it is ours."""

DEVICE = "device"

DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")

MOST_HANDSHAKES = 1_000

PROMPT_MS = 15_000
"""For a first sign of life: the console may be locked for some seconds after wrong passwords."""

COMMAND_MS = 30_000

CREATION_MS = 4 * 3_600_000
"""A 4096-bit key takes minutes, with bad luck and a slow CPU hours."""

FIRST_ROUND = 1
"""Handshakes that do not count: the board reads its new key, and what the network has to look up it looks up."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Raises:
        RackMisuse: a key length that no board makes, a number of handshakes out of range, no domain name.
    """

    keys: tuple[int, ...] = (1024, 2048)
    count: int = 20
    target: str = TARGET

    def __post_init__(self) -> None:
        for bits in self.keys:
            if bits not in KEYS:
                raise RackMisuse(f"key length {bits}: must be one of {', '.join(map(str, KEYS))}")
        if len(set(self.keys)) != len(self.keys) or not self.keys:
            raise RackMisuse(f"key lengths {','.join(map(str, self.keys))}: must be at least one, and each once")
        if not DOMAIN.fullmatch(self.target):
            raise RackMisuse(f"target {self.target!r}: must be {DEVICE} or a domain name")
        if not 1 <= self.count <= MOST_HANDSHAKES:
            raise RackMisuse(f"{self.count} handshakes per key length: must be 1 to {MOST_HANDSHAKES}")


def measure(console: Console, route: Route, plan: Plan, say: Say) -> Generator[HandshakeTimes]:
    """Measures every key length of the plan, one after the other, and leaves the board as it was.

    To be read to its end, or closed: only then the board is as it was.

    Args:
        console: the board's; whoever is logged in stays so.
        say: gets lines on how it goes.

    Raises:
        MeasurementFailed: the board refused, failed, or went silent.
        EnvironmentRefused: the console or the network does.
        RackMisuse: the target's certificate is one that could not be brought back.
    """
    # With the certificate that is there: if this does not work, nothing on the board needs to be touched.
    handshake(route, None)
    with Dialogue(console, plan.target, say) as dialogue:
        for bits in plan.keys:
            say(f"{bits} bits: the board makes a key, which may take a while")
            dialogue.present(bits)
            say(f"{bits} bits: timing {plan.count} handshakes")
            yield times_from_handshakes(bits, list(_handshakes(route, plan, bits)))


def _handshakes(route: Route, plan: Plan, bits: int) -> Iterator[Handshake]:
    server_name = None if plan.target == DEVICE else plan.target
    for index in range(FIRST_ROUND + plan.count):
        route.pause(PAUSE_MS)
        done = handshake(route, server_name)
        if index < FIRST_ROUND:
            _check_certificate(done, plan.target, bits)
        else:
            yield done


def _check_certificate(done: Handshake, target: str, bits: int) -> None:
    wanted = TARGET if target == DEVICE else target
    if (done.name, done.key_bits) != (wanted, bits):
        raise MeasurementFailed(
            f"tls handshake for {wanted} with {bits} bits",
            f"the certificate shown is for {done.name!r} with {done.key_bits} bits (is it the same board as the "
            f"console's? one that knows no names in TLS needs --target {DEVICE})",
        )


# -- the console's part


class Dialogue:
    """What is said on the console: from logging in to logging out, the certificate cleared in between.

    ::

        with Dialogue(console, target, say) as dialogue:
            dialogue.present(2048)
    """

    def __init__(self, console: Console, target: str, say: Say) -> None:
        self._console = console
        self._target = target
        self._say = say
        self._logged_in = False
        self._touched = False
        self._creating = False

    def __enter__(self) -> Dialogue:
        self._log_in()
        try:
            self._check_target()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._touched:
            self._restore(interrupted=error is not None)
        self._leave()

    def present(self, bits: int) -> None:
        """Has a self-signed certificate made, and waits until it is in use. MeasurementFailed."""
        name = TARGET if self._target == DEVICE else self._target
        order = f"/key {bits}-bit /signature SHA256 /years 1 /dn-cn {name}"
        self._touched = self._creating = True
        try:
            self._run(f"x509 servercert-create /target {self._target} {order}")
        except MeasurementFailed as failure:
            # Refused: if something is being made, it is somebody else's.
            self._creating = not isinstance(failure.__cause__, CommandFailed)
            raise
        self._run("x509 servercert-wait", CREATION_MS)
        self._creating = False

    def _log_in(self) -> None:
        console = self._console
        with _one_line("console"):
            # Ends whatever somebody has half typed, and brings the prompt, or the login's, back.
            mark = console.mark()
            console.send(b"\x03")
            answer = console.expect(f"({console.prompt})|login: ", since=mark, timeout_ms=PROMPT_MS)
        if answer.groups[0] is None:
            with _one_line(f"login as {console.user!r}"):
                console.login()
            self._logged_in = True

    def _check_target(self) -> None:
        """RackMisuse when the target has a certificate that is not ours, and so would be lost for ever."""
        if self._target != TARGET and self._has_own():
            raise RackMisuse(f"{self._target} has a certificate of its own on the board, whose key would be lost")

    def _has_own(self) -> bool:
        """Whether the target has a certificate, and not the default one or another that stands in."""
        command = "x509 servercert-list /json"
        reply = self._run(command)
        with _one_line(command):
            rows: list[dict[str, Any]] = reply.json
        return any(row["target"] == row["source"] == self._target for row in rows)

    def _restore(self, interrupted: bool) -> None:
        """Takes the certificate away; where that cannot be done, says so."""
        clear = f"x509 servercert-clear /target {self._target}"
        try:
            if interrupted:
                self._console.interrupt(COMMAND_MS)
            if self._creating:
                self._run("x509 servercert-cancel", check=False)
            # With none of its own, clearing would take the default one, which was there before.
            if self._has_own():
                self._say(f"{self._target}: {self._run(clear).text}")
        except (DeviceFailure, EnvironmentRefused, OSError):
            self._say(f"left on the board: the certificate of {self._target}; {clear} takes it away")

    def _leave(self) -> None:
        """Logs out if it was us who logged in."""
        if self._logged_in:
            try:
                self._console.send_line("logout")
                self._console.expect("login: ", timeout_ms=COMMAND_MS)
            except (DeviceFailure, OSError):
                self._say("left on the console: a login")

    def _run(self, command: str, timeout_ms: float = COMMAND_MS, *, check: bool = True) -> Reply:
        with _one_line(command):
            return self._console.run(command, timeout_ms=timeout_ms, check=check)


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Makes a failure of the console a line that begins with ``what``; what was said before it helps nobody here."""
    try:
        yield
    except CommandFailed as failure:
        raise MeasurementFailed(what, f"error: {failure.error}") from failure
    except DeviceFailure as failure:
        raise MeasurementFailed(what, f"expected {failure.expected}, got {failure.got}") from failure
    except OSError as error:
        raise EnvironmentRefused(f"{what}: {error}") from error
    except json.JSONDecodeError as error:
        raise MeasurementFailed(what, f"the answer is no JSON: {error}") from error


# -- the table


class LiveTable:
    """The file that a measurement is kept in, written after each key length; as ``measurements_from_file`` reads it.

    Args:
        path: is made; RackMisuse when it is there already, because a measurement is not made again in a minute.
        remark: where the times come from.

    Raises:
        EnvironmentRefused: the file cannot be written.
    """

    def __init__(self, path: Path, remark: str) -> None:
        self.path = path
        self.times: list[HandshakeTimes] = []
        try:
            self._file = path.open("x", encoding="utf-8")
        except FileExistsError as error:
            raise RackMisuse(f"{path} is there already: fit it without --live, or name another file") from error
        except OSError as error:
            raise EnvironmentRefused(f"{path}: cannot be written: {reason_from_oserror(error)}") from error
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._write([f"# {remark}, {now}", "key_bits,milliseconds"])

    def add(self, times: HandshakeTimes) -> None:
        """Writes the times of one key length."""
        self.times.append(times)
        lines = [f"# {times.suite}; {times.line()}"]
        lines += [f"{times.key_bits},{ms:.4f}" for ms in times.counted]
        lines += [f"# not of the closest half: {times.key_bits},{ms:.4f}" for ms in times.others]
        self._write(lines)

    def close(self) -> None:
        """Ends it; a table without a single time is taken away."""
        self._file.close()
        if not self.times:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> LiveTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, lines: Sequence[str]) -> None:
        self._file.write("".join(line + "\n" for line in lines))
        self._file.flush()
