"""Carries commands out: parses, charges the CPU, writes the log of administration, awaits the handler.

Every face (console, web page, machine URLs, scripts) runs its commands through one ``Interpreter``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from firmware.commands.language import call_from_line, line_from_call, resolve
from firmware.commands.registry import Call, Registry, Reply, Session
from firmware.errors import CommandError, FirmwareError, text_from_error
from firmware.hal import Costs
from firmware.kernel import Kernel, Priority

__all__ = ["Interpreter", "Outcome", "Restart", "error_line"]

GRACE_MS = 200
"""From the command to the reset: the answer leaves first, over the serial line and over HTTP."""

IDLE_POLL_MS = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to.

    Attributes:
        text: what the user reads, one or more lines or nothing; ``error: ...`` where it failed.
        ok: whether it was carried out.
    """

    text: str
    ok: bool
    reply: Reply | None = None


class Interpreter:
    """Runs lines and calls against a registry.

    Args:
        audit: gets the module ``CMD`` and ``admin@ mod cmd ...`` for every command that may change something, and a
            line about every fault of a command's own code.
    """

    def __init__(
        self, registry: Registry, kernel: Kernel, costs: Costs, audit: Callable[[str, str], None] | None = None
    ) -> None:
        self.registry = registry
        self._kernel = kernel
        self._costs = costs
        self._audit = audit

    async def run(self, line: str, session: Session) -> Outcome:
        """Runs one command line. What the user or the hardware did wrong comes back as an ``error:`` line."""
        self._kernel.charge(self._costs.command + self._costs.parse(len(line)), "command")
        return await self._outcome(lambda: call_from_line(self.registry, line, session))

    async def run_call(self, call: Call) -> Outcome:
        """As ``run`` for a call that was made from a form."""
        self._kernel.charge(self._costs.command, "command")
        return await self._outcome(lambda: call)

    async def _outcome(self, call: Callable[[], Call]) -> Outcome:
        try:
            return await self._carried_out(call())
        except (FirmwareError, OSError) as error:
            return Outcome(error_line(error), False)
        except Exception as error:
            # A mistake in one command's code ends that command: calls in progress and other users are not its business.
            return Outcome(self._fault(error), False)

    def _fault(self, error: Exception) -> str:
        task, name = self._kernel.current, type(error).__name__
        if self._audit is not None:
            self._audit("CMD", f"fault: task {task.name if task else '-'}: {name}: {text_from_error(error)}")
        return f"error: internal fault ({name}), see log"

    async def _carried_out(self, call: Call) -> Outcome:
        operation, session = call.operation, call.session
        logged = operation.logged(call) if operation.logged else not operation.query
        if logged and self._audit is not None:
            self._audit("CMD", f"{session.user}@{session.peer} {line_from_call(call)}")
        reply = await operation.handler(call)
        return Outcome(_json_line(reply) if call.json else reply.text, True, reply)

    async def run_script(self, text: str, session: Session) -> Outcome:
        """Runs lines one after another and stops at the first that fails, naming it. ``#`` begins a comment line."""
        replies: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            outcome = await self.run(line, session)
            if not outcome.ok:
                reason = outcome.text.removeprefix("error: ")
                return Outcome("\n".join([*replies, f"error: line {number}: {reason}"]), False)
            if outcome.text:
                replies.append(outcome.text)
            await self._kernel.switch()
        return Outcome("\n".join(replies), True)

    def check(self, line: str) -> None:
        """CommandError when the line names no operation; nothing runs."""
        resolve(self.registry, line)


def error_line(error: Exception) -> str:
    """``error: ...`` in one line."""
    text = text_from_error(error)
    return "error: " + (text or ("failed" if isinstance(error, CommandError) else ""))


def _json_line(reply: Reply) -> str:
    import json  # only for those who ask for it: boot to the login prompt is short

    data = reply.data if reply.data is not None else {"text": reply.text}
    return json.dumps(data)


class Restart:
    """Resets the board a moment after it was asked for.

    Args:
        reset: the board's own; does not return.
        busy: what must end before ``ireset`` may, one phrase each, such as ``creating the device certificate``.
    """

    def __init__(self, kernel: Kernel, reset: Callable[[], object], busy: Callable[[], Sequence[str]]) -> None:
        self._kernel = kernel
        self._reset = reset
        self._busy = busy
        self.pending = False

    def now(self) -> None:
        """Resets as soon as the answer is out."""
        self._kernel.spawn(self._after(()), name="reset", priority=Priority.URGENT)

    def when_idle(self) -> Sequence[str]:
        """Resets once nothing is busy. What is busy now; empty: the reset comes at once."""
        if not self.pending:
            self.pending = True
            self._kernel.spawn(self._after(self._busy), name="ireset", priority=Priority.URGENT)
        return self._busy()

    async def _after(self, busy: Callable[[], Sequence[str]] | Sequence[str]) -> None:
        await self._kernel.sleep_ms(GRACE_MS)
        while callable(busy) and busy():
            await self._kernel.sleep_ms(IDLE_POLL_MS)
        self._reset()
