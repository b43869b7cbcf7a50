"""A board that runs a few lines of Python instead of the firmware: the bench is tested without it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator

import pytest

from board import Board
from board.ethernet import Stream
from hil.bench import Bench

BOOT_NS = 1_000_000


class FakeProgram:
    """Speaks the console's dialogue: banner, login, prompt, a few commands; and echoes on TCP port 80.

    Commands: ``say TEXT`` prints it, ``fail TEXT`` prints an error, ``wait MS`` answers later, ``pem`` asks for a
    paste, ``json`` prints one line of JSON. Its password is the model's name.

    Not modelled: everything that makes a gateway.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.throttled_until_ns = 0
        self.busy_ns = 0
        self.busy_ns = 0
        self.name = f"{board.model.product}-{board.mac[3:].hex('-')}"
        self._line = bytearray()
        self._state = "login"
        self._user = ""
        self._pasted: list[str] = []
        self._due: list[tuple[int, str]] = []
        self._out = bytearray()
        self._streams: list[Stream] = []
        board.uart.irq(lambda uart: None)
        board.network.listen(80, self._accept)
        board.leds["ready"].set("green")
        card = board.slot is not None and board.slot.card is not None
        self._print(f"booted by {board.reset_cause}{', card in' if card else ''}\r\nlogin: ")

    def close(self) -> None:
        """Nothing is open."""

    def run(self) -> int | None:
        for byte in self.board.uart.read() or b"":
            self._key(byte)
        now_ns = self.board.cpu.now_ns
        for entry in [entry for entry in self._due if entry[0] <= now_ns]:
            self._due.remove(entry)
            self._print(entry[1] + "\r\n" + self._prompt())
        if self._out:
            del self._out[: self.board.uart.write(bytes(self._out)) or 0]
        for stream in self._streams:
            data = stream.read() if stream.status == "open" else None
            if data:
                stream.write(b"echo:" + data)
            elif data == b"":
                stream.close()
        wakes = [when_ns for when_ns, _ in self._due] + ([now_ns + BOOT_NS] if self._out else [])
        return min(wakes, default=None)

    def _accept(self, stream: Stream) -> None:
        self._streams.append(stream)
        stream.irq(lambda: None)

    def _print(self, text: str) -> None:
        self._out += text.encode()

    def _prompt(self) -> str:
        return f"{self.name}> "

    def _key(self, byte: int) -> None:
        if byte == 3:
            self._line.clear()
            self._due.clear()
            self._print("^C\r\n" + self._prompt())
        elif byte == 13:
            line = self._line.decode()
            self._line.clear()
            self._print("\r\n")
            getattr(self, f"_{self._state}")(line)
        else:
            self._line.append(byte)
            if self._state != "password":
                self._print(chr(byte))

    def _login(self, line: str) -> None:
        self._user, self._state = line, "password"
        self._print("password: ")

    def _password(self, line: str) -> None:
        if self._user == "admin" and line == self.board.model.name:
            self._state = "shell"
            self._print(self._prompt())
        else:
            self._state = "login"
            self._print("login incorrect\r\nlogin: ")

    def _shell(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "wait":
            self._due.append((self.board.cpu.now_ns + int(rest) * 1_000_000, "done"))
            return
        if word == "pem":
            self._state = "paste"
            self._print("paste PEM, end with a line that holds only a dot\r\n")
            return
        answers = {"say": f"{rest}\r\n", "fail": f"error: {rest}\r\n", "json": '{"n": 7}\r\n', "": ""}
        self._print(answers.get(word, f"error: unknown command {word}\r\n") + self._prompt())

    def _paste(self, line: str) -> None:
        if line != ".":
            self._pasted.append(line)
            return
        self._state = "shell"
        self._print(f"{len(self._pasted)} lines\r\n" + self._prompt())


@pytest.fixture
def fake_program() -> type[FakeProgram]:
    return FakeProgram


@pytest.fixture
def make_fake_bench() -> Iterator[Callable[..., Bench]]:
    """``make(seed)``: a bench whose boards run ``FakeProgram``; closed when the test ends."""
    benches: list[Bench] = []

    def make(seed: int | None = 7) -> Bench:
        benches.append(Bench(seed, program=FakeProgram))
        return benches[-1]

    yield make
    for made in benches:
        made.close()


@pytest.fixture
def fake_bench(make_fake_bench: Callable[..., Bench]) -> Bench:
    return make_fake_bench()


@pytest.fixture(scope="session")
def plugin_arguments() -> tuple[str, ...]:
    """What pytest needs to be told to have our plugin: nothing where it finds it by itself."""
    found = any(point.name == "gatebench" for point in importlib.metadata.entry_points(group="pytest11"))
    return () if found else ("-p", "hil.plugin")


@pytest.fixture(scope="session")
def everything_is_loaded() -> None:
    """A run inside this process forgets what it imported; modules of C do not stand being imported twice."""
    with Bench(1, record=True) as bench:
        gateway = bench.gateway(card="ram")
        gateway.power_on()
        gateway.console.login()


@pytest.fixture
def run_pytest(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    plugin_arguments: tuple[str, ...],
    everything_is_loaded: None,
) -> Callable[..., pytest.RunResult]:
    """``run_pytest(source, *arguments)``: runs pytest on a test file. For modules that name the plugin ``pytester``."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester: pytest.Pytester = request.getfixturevalue("pytester")

    def run(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=source)
        return pytester.runpytest_inprocess(*plugin_arguments, "-W", "error", "--strict-markers", *arguments)

    return run
