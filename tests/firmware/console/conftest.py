"""A terminal with a screen, and a serial line whose far end is the test."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from firmware.commands import (
    Argument,
    Call,
    Choice,
    Field,
    Interpreter,
    Operation,
    Option,
    Registry,
    Reply,
    Settings,
    Text,
    register_config,
    register_help,
    register_logout,
)
from firmware.console import Accounts, Console, Lockout, login_fields
from firmware.errors import CommandError
from firmware.kernel import Cancelled, Kernel

SEQUENCE = re.compile(rb"\x1b\[(\d*)([A-Za-z])")


class FakeTerminal:
    """A VT100's screen: wraps as the real one does, with the cursor held on the last column until the next character.

    Not modelled: scrolling (it has rows without end), colours, wide characters.
    """

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0
        self.bells = 0

    def feed(self, data: bytes) -> None:
        text = data.decode()
        position = 0
        while position < len(text):
            match = SEQUENCE.match(text[position:].encode())
            if match:
                self._sequence(int(match[1] or 0), match[2].decode())
                position += match.end()
            else:
                self._character(text[position])
                position += 1

    @property
    def screen(self) -> list[str]:
        lines = ["".join(row).rstrip() for row in self.rows]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _character(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._down(1)
        elif character == "\b":
            self.column = max(0, min(self.column, self.columns - 1) - 1)
        elif character == "\a":
            self.bells += 1
        else:
            assert character.isprintable(), f"unexpected {character!r}"
            if self.column == self.columns:
                self.column = 0
                self._down(1)
            row = self.rows[self.row]
            row += [" "] * (self.column + 1 - len(row))
            row[self.column] = character
            self.column += 1

    def _down(self, count: int) -> None:
        self.row += count
        while len(self.rows) <= self.row:
            self.rows.append([])

    def _sequence(self, number: int, kind: str) -> None:
        count = number or 1
        self.column = min(self.column, self.columns - 1) if kind in "ABCDJK" else self.column
        if kind == "A":
            self.row -= count
            assert self.row >= 0, "moved above the first row"
        elif kind == "B":
            assert self.row + count < len(self.rows), "moved below the last row"
            self.row += count
        elif kind == "C":
            self.column = min(self.columns - 1, self.column + count)
        elif kind == "D":
            self.column = max(0, self.column - count)
        elif kind == "H":
            self.row = self.column = 0
        elif kind == "J" and number == 2:
            self.rows = [[] for _ in self.rows]
        elif kind == "J":
            del self.rows[self.row][self.column :]
            self.rows[self.row + 1 :] = [[] for _ in self.rows[self.row + 1 :]]
        else:
            raise AssertionError(f"unexpected sequence {number} {kind}")


class FakeWorld:
    """Nothing happens outside but what the test does."""

    horizon_ns = 1 << 62


class FakeCpu:
    """A CPU at 100 MHz. Not modelled: the watchdog."""

    def __init__(self) -> None:
        self.hz = 100_000_000
        self.now_ns = 0
        self.world = FakeWorld()

    def spend(self, cycles: int) -> None:
        self.now_ns += cycles * 10


class FakeCosts:
    """Two figures that the console asks for."""

    switch = 200
    command = 20_000

    def parse(self, size_bytes: int) -> int:
        return 50 * size_bytes

    def digest(self, algorithm: str, size_bytes: int) -> int:
        return 10_000


class FakeUart:
    """A UART whose buffers the test fills and empties. Not modelled: time per byte."""

    def __init__(self, room_bytes: int = 4096) -> None:
        self.room_bytes = room_bytes
        self.sent = bytearray()
        self.arrived = bytearray()
        self.flags: set[str] = set()
        self._waiting = 0
        self._handler: Callable[[Any], None] | None = None

    def any(self) -> int:
        return len(self.arrived)

    def read(self, nbytes: int | None = None, /) -> bytes | None:
        data = bytes(self.arrived)
        self.arrived.clear()
        return data or None

    def write(self, buf: bytes, /) -> int | None:
        size = min(len(buf), self.room_bytes - self._waiting)
        self.sent += buf[:size]
        self._waiting += size
        return size or None

    def txdone(self) -> bool:
        return self._waiting == 0

    def irq(self, handler: Callable[[Any], None] | None, trigger: int = 0, hard: bool = False) -> None:
        self._handler = handler

    def take_flags(self) -> frozenset[str]:
        flags = frozenset(self.flags)
        self.flags.clear()
        return flags

    def interrupt(self) -> None:
        if self._handler is not None:
            self._handler(self)

    def drain(self) -> None:
        """What was written leaves."""
        self._waiting = 0
        self.interrupt()


class FakeStore:
    """A dict in place of the flash store."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        return self.content.get(name)

    def commit(self, changes: Any) -> None:
        for name, value in changes.items():
            self.content[name] = value

    def names(self, prefix: str = "") -> list[str]:
        return [name for name in self.content if name.startswith(prefix)]


class Bench:
    """A console on a real kernel, with a few commands, and the test at the far end of the line."""

    def __init__(self) -> None:
        self.cpu = FakeCpu()
        self.kernel = Kernel(self.cpu)  # type: ignore[arg-type]
        self.faults: list[Exception] = []
        self.kernel.on_fault = lambda task, error: self.faults.append(error)
        self.uart = FakeUart()
        self.costs = FakeCosts()
        self.audit: list[str] = []
        self.pasted: list[str] = []
        self.ended: list[str] = []
        self.settings = Settings(FakeStore())
        self.settings.register("CMD", login_fields(lambda size: b"\x05" * size))
        self.registry = self._registry()
        self.accounts = Accounts("ip800", lambda: self.settings.value("CMD", "password"))
        self.lockout = Lockout(lambda: self.kernel.now_ns)
        self.console = Console(
            self.kernel,
            self.uart,
            Interpreter(
                self.registry, self.kernel, self.costs, lambda module, text: self.audit.append(f"{module} {text}")
            ),  # type: ignore[arg-type]
            self.costs,  # type: ignore[arg-type]
            self.accounts,
            self.lockout,
            "IP800-06-11-ac",
            ["IP800 boot"],
        )
        self._seen = 0
        self.task = self.console.start()
        self.settle()

    def _registry(self) -> Registry:
        registry = Registry()
        register_help(registry)
        register_logout(registry)
        register_config(registry, self.settings)
        for name, handler, extra in (
            ("show", self._show, {"query": True}),
            ("wait", self._wait, {}),
            ("upload", self._upload, {"paste": True}),
            ("refuse", self._refuse, {}),
            ("crash", self._crash, {}),
            ("flood", self._flood, {}),
            ("store", self._store, {}),
            ("lament", self._lament, {}),
        ):
            options = (Option("text", Text()), Option("key", Choice("1024-bit", "2048-bit")))
            registry.register(Operation("TEST", name, f"{name}s", handler, options, **extra))  # type: ignore[arg-type]
        registry.register(Operation("TRUST", "list", "lists", self._show, arguments=(Argument("name"),), query=True))
        return registry

    async def _show(self, call: Call) -> Reply:
        return Reply("first\nsecond", {"text": call.get("text"), "n": 1})

    async def _wait(self, call: Call) -> Reply:
        try:
            await call.session.say("waiting")
            await self.kernel.sleep_ms(60_000)
        finally:
            self.ended.append("wait")
        return Reply("waited")

    async def _upload(self, call: Call) -> Reply:
        self.pasted.append(await call.session.paste("PEM"))
        return Reply(f"{len(self.pasted[-1])} characters")

    async def _refuse(self, call: Call) -> Reply:
        raise CommandError("no card")

    async def _crash(self, call: Call) -> Reply:
        raise KeyError("bug")

    async def _lament(self, call: Call) -> Reply:
        try:
            await self.kernel.sleep_ms(60_000)
        finally:
            await call.session.say("not yet")
        return Reply("done")

    async def _store(self, call: Call) -> Reply:
        """Past the point of no return: ends two seconds after it is told to end."""
        try:
            await self.kernel.sleep_ms(60_000)
        except Cancelled:
            try:
                await self.kernel.sleep_ms(2_000)
            except Cancelled:
                await call.session.say("half stored")
                raise
        return Reply("stored")

    async def _flood(self, call: Call) -> Reply:
        return Reply("\n".join(f"line {number:06}" for number in range(10_000)))

    def settle(self, ms: int = 0) -> None:
        """Lets everything run that can, and ``ms`` of time pass."""
        until_ns = self.cpu.now_ns + ms * 1_000_000
        while True:
            self.cpu.world.horizon_ns = max(until_ns, self.cpu.now_ns) + 1
            wake_ns = self.kernel.run()
            if self.kernel.ready:  # long work is let come to its end
                self.cpu.now_ns = max(self.cpu.now_ns, wake_ns)
            elif wake_ns is None or wake_ns > max(until_ns, self.cpu.now_ns):
                break
        self.cpu.now_ns = max(self.cpu.now_ns, until_ns)

    def type(self, data: str | bytes, ms: int = 50) -> str:
        """Types, lets the board work, takes what it printed."""
        self.uart.arrived += data.encode() if isinstance(data, str) else data
        self.uart.interrupt()
        self.settle(ms)
        return self.output()

    def output(self) -> str:
        """What was printed since the last call, everything drained."""
        while not self.uart.txdone():
            self.uart.drain()
            self.settle(1)
        text = self.uart.sent[self._seen :].decode()
        self._seen = len(self.uart.sent)
        return text

    def login(self) -> None:
        self.type("admin\r")
        assert self.type("ip800\r").endswith("IP800-06-11-ac> ")


@pytest.fixture(scope="session")
def make_terminal() -> Callable[..., FakeTerminal]:
    return FakeTerminal


@pytest.fixture
def line_bench() -> Bench:
    return Bench()


@pytest.fixture
def secret_field() -> Field:
    return Field("password", secret=True)
