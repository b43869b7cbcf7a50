"""The console's task: the serial line on one side, the interpreter of commands on the other.

::

    UART irq --> wake --+
    announce(line) -----+--> [ console task ] -- spawns --> [ command task ] --> interpreter
    command ended ------+         |   ^                          |
                                  v   +--- paste, say -----------+
                              UART write, waits for room

The console reads the line while a command runs, so that Ctrl-C ends the command, pasted text reaches it, and what is
typed ahead is kept. Only the console writes to the UART.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from firmware.commands import Interpreter, Outcome, complete, line_from_call
from firmware.commands.language import MASK, call_from_line
from firmware.console.editor import EndOfInput, Interrupted, Line, LineEditor
from firmware.console.login import IDLE_MINUTES, Accounts, Lockout, LoginEvent, LoginState, following
from firmware.console.paste import Paste
from firmware.errors import CommandError
from firmware.hal import Costs, Uart
from firmware.kernel import Event, Kernel, Priority, Task

__all__ = ["Console"]

TYPE_AHEAD_LIMIT = 4096
"""Bytes typed while a command runs that are kept for later; more are dropped with a bell."""

ANNOUNCEMENT_LIMIT = 64
"""Lines that wait to be printed; more are only counted: the log has them."""

LOGIN_TIMEOUT_MS = 60_000
"""A half-given login is dropped after this."""

TX_POLL_MS = 100
"""Longest wait for room in the transmit buffer before looking again: a lost interrupt must not hang the console."""

CTRL_C = 0x03


class LineBreak(Exception):
    """A break on the line: whoever is there now has not logged in."""


class Interrupt(Exception):
    """Ctrl-C while something was being printed."""


@dataclass
class ConsoleSession:
    """The session of one login on the serial line; see ``firmware.commands.Session``."""

    console: Console
    user: str
    channel: str = "console"
    peer: str = ""
    secure: bool = True
    ended: bool = field(default=False)

    async def paste(self, what: str) -> str:
        return await self.console._paste_text(what)

    async def say(self, text: str) -> None:
        self.console._said.append(text)
        self.console._wake.set()

    def log_out(self) -> None:
        self.ended = True


class Console:
    """One serial console.

    Args:
        name: netbios name, shown in the prompt.
        banner: lines printed once, at power-on.
    """

    def __init__(
        self,
        kernel: Kernel,
        uart: Uart,
        interpreter: Interpreter,
        costs: Costs,
        accounts: Accounts,
        lockout: Lockout,
        name: str,
        banner: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.idle_minutes = IDLE_MINUTES
        """Minutes without input until the session ends; 0: never. Counts from the next prompt on."""
        self.state = LoginState.ASK_USER
        self._kernel = kernel
        self._uart = uart
        self._interpreter = interpreter
        self._costs = costs
        self._accounts = accounts
        self._lockout = lockout
        self._banner = tuple(banner)
        self._editor = LineEditor(lambda text: complete(interpreter.registry, text), self._is_private)
        self._wake = Event(kernel)
        self._room = Event(kernel)
        self._said: deque[str] = deque()
        self._announced: deque[str] = deque()
        self._unannounced = 0
        self._paste: Paste | None = None
        self._paste_ended = Event(kernel)
        self._command: Task | None = None

    # What others call.

    def start(self) -> Task:
        """Starts the console's task."""
        return self._kernel.spawn(self.run(), name="console", priority=Priority.CONSOLE)

    def announce(self, line: str) -> None:
        """Prints a line above the prompt, after the command that runs now; also from interrupt handlers."""
        if len(self._announced) >= ANNOUNCEMENT_LIMIT:
            self._unannounced += 1
        else:
            self._announced.append(line)
        self._wake.set()

    async def run(self) -> None:
        """Serves the line for ever."""
        self._uart.irq(self._on_irq)
        await self._write_lines(self._banner)
        user = ""
        while True:
            try:
                if self.state is LoginState.LOGGED_IN:
                    await self._serve(ConsoleSession(self, user))
                    self._step(LoginEvent.ENDED)
                else:
                    user = await self._log_in()
            except LineBreak:
                self._step(LoginEvent.BREAK)
                self._editor.forget()
                await self._write(b"\r\n")
            finally:
                self._end_command()
                self._editor.forget_history()

    # Login.

    async def _log_in(self) -> str:
        """Asks until somebody is in. The user's name."""
        user = ""
        while self.state is not LoginState.LOGGED_IN:
            if self._lockout.delay_ms and self.state is LoginState.ASK_USER:
                self.state = LoginState.LOCKED_OUT
            if self.state is LoginState.LOCKED_OUT:
                await self._wait_out()
                self._step(LoginEvent.DELAY_OVER)
                continue
            event = await self._ask()
            if not isinstance(event, Line):
                self._step(LoginEvent.ABANDONED)
            elif self.state is LoginState.ASK_PASSWORD:
                self._step(await self._verify(user, event.text))
            elif event.text.strip():
                user = event.text.strip()
                self._step(LoginEvent.LINE)
        return user

    async def _ask(self) -> Line | Interrupted | EndOfInput | None:
        if self.state is LoginState.ASK_USER:
            return await self._read_line("login: ", recall=False)
        return await self._read_line("password: ", echo=False, recall=False, timeout_ms=LOGIN_TIMEOUT_MS)

    def _step(self, event: LoginEvent) -> None:
        self.state = following(self.state, event)

    async def _verify(self, user: str, password: str) -> LoginEvent:
        await self._kernel.work(self._accounts.cost(self._costs), "hash")
        if self._accounts.verify(user, password):
            self._lockout.succeed()
            return LoginEvent.RIGHT
        self._lockout.fail()
        delay_ms = self._lockout.delay_ms
        wait = f", wait {-(-delay_ms // 1000)} s" if delay_ms else ""
        await self._write_lines([f"error: wrong user or password{wait}"])
        return LoginEvent.WRONG

    async def _wait_out(self) -> None:
        """Lets a lock-out pass; what is typed meanwhile is dropped."""
        while self._lockout.delay_ms:
            self._wake.clear()
            await self._wake.wait(self._lockout.delay_ms)
            self._take_input()
            self._editor.forget()

    # A session.

    async def _serve(self, session: ConsoleSession) -> None:
        while not session.ended:
            event = await self._read_line(f"{self.name}> ", timeout_ms=self._idle_ms)
            if isinstance(event, EndOfInput):
                return
            if event is None:
                await self._write_lines([f"logged out after {self.idle_minutes} minutes"])
                return
            if isinstance(event, Line) and event.text.strip():
                await self._run_command(event.text, session)

    async def _run_command(self, line: str, session: ConsoleSession) -> None:
        outcome: list[Outcome] = []
        self._said.clear()  # the last words of a command that nobody waited for are not this one's

        async def body() -> None:
            try:
                outcome.append(await self._interpreter.run(line, session))
            finally:
                self._wake.set()

        self._command = task = self._kernel.spawn(body(), name="command", priority=Priority.CONSOLE)
        fate = "cancelled"
        try:
            try:
                await self._supervise(task)
            except Interrupt:
                fate = "interrupted"
                await self._interrupt(task)
            await self._write_lines(outcome[0].text.split("\n") if outcome and outcome[0].text else ())
        except Interrupt:
            # In the middle of an answer, or while the command is slow to end.
            self._end_command()
            await self._write_lines(["^C"])
        finally:
            self._end_command()
        if not outcome:
            await self._write_lines([f"error: {fate}"])

    async def _interrupt(self, task: Task) -> None:
        """Ends a command. One that is past the point of no return goes on to its end, which is near, and answers."""
        self._said.clear()
        self._paste = None
        task.cancel()
        await self._write_lines(["^C"])
        # A task that never had its first turn ends in it without a word.
        await self._kernel.switch()
        await self._supervise(task)

    async def _supervise(self, task: Task) -> None:
        """Until the command has ended: passes it what is pasted, prints what it says, ends it on Ctrl-C."""
        last_ns = self._kernel.now_ns
        while not task.done or self._said:
            self._wake.clear()
            if self._take_input():
                last_ns = self._kernel.now_ns
            while self._said:
                await self._write_lines([self._said.popleft()])
            if task.done or self._wake.is_set:
                continue
            if self._paste is None:
                await self._wake.wait()
                continue
            # Nobody pastes for as long as makes a session idle: the command is given up.
            left_ms = self._left_ms(last_ns, self._idle_ms)
            if left_ms == 0 or not await self._wake.wait(left_ms):
                raise Interrupt

    @property
    def _idle_ms(self) -> int | None:
        return self.idle_minutes * 60_000 or None

    def _left_ms(self, since_ns: int, timeout_ms: int | None) -> int | None:
        """What is left of a timeout that began at ``since_ns``; None: for ever."""
        if timeout_ms is None:
            return None
        return max(0, timeout_ms - (self._kernel.now_ns - since_ns) // 1_000_000)

    def _end_command(self) -> None:
        if self._command is not None and not self._command.done:
            self._command.cancel()
        self._command = self._paste = None
        self._said.clear()

    async def _paste_text(self, what: str) -> str:
        """Runs in the command's task."""
        self._said.append(f"paste {what}, end with a line that holds only a dot")
        self._paste = paste = Paste()
        self._paste_ended.clear()
        self._editor.push(paste.push(self._editor.take_pending()))
        if not paste.done:
            self._wake.set()
            await self._paste_ended.wait()
        return paste.text()

    # Input.

    async def _read_line(
        self, prompt: str, echo: bool = True, recall: bool = True, timeout_ms: int | None = None
    ) -> Line | Interrupted | EndOfInput | None:
        """One line under a prompt. None when nobody typed anything for ``timeout_ms``."""
        # What others have to say comes above the prompt once it is there: never while a command runs, nor between its
        # reply and the prompt that ends it, where a program would take it for a part of the reply.
        editor = self._editor
        await self._write(editor.begin(prompt, echo, recall))
        last_ns = self._kernel.now_ns
        while True:
            self._wake.clear()
            if self._take_input():
                last_ns = self._kernel.now_ns
            out, event = editor.next()
            await self._write(out)
            if event is not None:
                return event
            if self._announced:
                await self._write(editor.hide())
                await self._print_announced()
                await self._write(editor.show())
            elif not self._wake.is_set:
                left_ms = self._left_ms(last_ns, timeout_ms)
                if left_ms == 0 or not await self._wake.wait(left_ms):
                    await self._write(b"\r\n")
                    return None

    def _take_input(self) -> bool:
        """Reads what has arrived and hands it to whom it belongs. Whether anything had arrived.

        Raises LineBreak after a break, and Interrupt for Ctrl-C while a command runs.
        """
        data = self._uart.read() or b""
        flags = self._uart.take_flags()
        if "break" in flags:
            raise LineBreak
        if data:
            self._kernel.charge(self._costs.parse(len(data)), "parse")
        if self._command is not None:
            data = self._for_command(data, "overrun" in flags)
        elif "overrun" in flags:
            self._editor.skip_line()
            self.announce("error: input came too fast, line dropped")
            return True
        self._editor.push(data)
        return bool(data)

    def _for_command(self, data: bytes, lost: bool) -> bytes:
        """What is left for the editor of input that came while a command runs."""
        if CTRL_C in data:
            self._editor.forget()
            self._editor.push(data[data.rindex(CTRL_C) + 1 :])
            raise Interrupt
        if self._paste is not None and not self._paste.done:
            if lost:
                self._paste.lose()
            data = self._paste.push(data)
            if self._paste.done:
                self._paste_ended.set()
        elif lost:
            self._editor.skip_line()
        if self._editor.pending + len(data) > TYPE_AHEAD_LIMIT:
            self._uart.write(b"\a")
            return b""
        return data

    def _is_private(self, line: str) -> bool:
        """Whether a line holds a secret."""
        try:
            return MASK in line_from_call(call_from_line(self._interpreter.registry, line, ConsoleSession(self, "")))
        except CommandError:
            return "password" in line.lower()

    # Output.

    async def _print_announced(self) -> None:
        """Prints what others had to say, with the line being edited out of the way."""
        while self._announced:
            await self._write_lines([self._announced.popleft()])
        if self._unannounced:
            count, self._unannounced = self._unannounced, 0
            await self._write_lines([f"{count} more lines, see log"])

    async def _write_lines(self, lines: Sequence[str]) -> None:
        await self._write("".join(f"{line}\r\n" for line in lines).encode(errors="replace"))

    async def _write(self, data: bytes) -> None:
        """Writes all of it, waiting for room. Interrupt when Ctrl-C is typed while a command's output waits."""
        while data:
            self._room.clear()
            taken = self._uart.write(data) or 0
            data = data[taken:]
            if data and not await self._room.wait(TX_POLL_MS):
                continue
            if data and self._command is not None:
                self._take_input()

    def _on_irq(self, _: object) -> None:
        self._wake.set()
        self._room.set()
