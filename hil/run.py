"""``gatebench run``: one gateway at the wall clock's pace, reachable as a real one is.

Everything of the host is opened first, so that what cannot be had is said before the gateway gets power; then the
gateway is switched on, and the ready file written. A signal, the bench menu or the end of ``--for`` switches it off and
closes everything in order.
"""

from __future__ import annotations

import ipaddress
import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from board import Ethernet
from cfcard import Hit, Rule
from hil.bench import Bench
from hil.bridges.console import ConsoleHub
from hil.bridges.outbound import OutboundBridge
from hil.bridges.sockets import SocketConsole
from hil.bridges.tcp import PortBridge, url_host
from hil.bridges.terminal import Menu, PtyConsole, StdioConsole
from hil.control import CardBox, ControlFace, ControlServer
from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror
from hil.faultplan import fault_plan_from_file
from hil.gateway import Gateway
from hil.poller import Poller, Signals, paced_clock
from hil.readers import LOOK_NS, ReaderWatch, reader_text

SHORT_PRESS_MS, LONG_PRESS_MS = 300, 12_000
"""The menu's two presses: one that reboots, one that clears the configuration."""

FLUSH_NS = 1_000_000_000

PORTS = {"https": 443, "http": 80, "sips": 5061}
"""Services that get a port of the host, and the board's port of each."""


@dataclass(frozen=True)
class RunOptions:
    """What ``gatebench run`` was told; the fields are its options."""

    model: str = "ip800"
    name: str | None = None
    factory: str = "v7"
    seed: int | None = None
    speed: float | None = 1.0
    """None: charged CPU time passes at once."""
    flash: str | None = None
    card: str = "none"
    card_size: str = "64M"
    faults: str | None = None
    """A fault plan, armed before the first power-on."""
    console: str = "stdio"
    pty_link: str | None = None
    rfc2217: int | None = None
    tcp_console: int | None = None
    bind: str = "127.0.0.1"
    https: int = 8443
    http: int = 8080
    sips: int = 5061
    control: int | None = None
    from_file: str | None = None
    """A saved gateway to start from; it brings model, flash and card with it."""
    time: str | None = None
    """None: the host's, or the saved clock."""
    ready: str | None = None
    trace: str | None = None
    vcd: str | None = None
    for_s: float | None = None
    allow_outbound: bool = False


class Run:
    """One run, from what it was told to its end."""

    def __init__(self, options: RunOptions, say: Callable[[str], None]) -> None:
        self.options = options
        self._say = say
        self._running = True
        self._stack = ExitStack()
        self._poller = Poller()
        self._stack.callback(self._poller.close)
        self._clock = paced_clock(self._poller, speed=options.speed)
        self._bench = Bench(options.seed, clock=self._clock, wall_ns=time.time_ns)
        self._ports: dict[str, PortBridge] = {}
        self._stdio: StdioConsole | None = None
        self._pty: PtyConsole | None = None
        self._consoles: dict[str, SocketConsole] = {}
        self._control: ControlServer | None = None
        self._told: list[Rule] = []

    def run(self) -> int:
        """Opens everything, serves until it is told to stop, and closes everything. The exit code."""
        with self._stack:
            gateway, cards = self._open()
            self._control_face(gateway, cards)
            hub = ConsoleHub(self._clock, gateway.board.uart)
            self._consoles_of(hub)
            self._say(self._greeting(gateway))
            if self.options.console == "stdio":
                self._stdio = StdioConsole(self._poller, hub, self._menu(gateway, cards))
                self._stack.callback(self._stdio.close)
            gateway.power_on()
            self._write_ready(gateway)
            if self.options.for_s is not None:
                self._clock.after(int(self.options.for_s * 1e9), self.stop)
            self._clock.serve(lambda: self._running)
            gateway.power_off()
        return 0

    def stop(self) -> None:
        """Ends the run soon."""
        self._running = False

    # -- opening

    def _open(self) -> tuple[Gateway, CardBox]:
        options = self.options
        self._forget_ready()
        plan = None if options.faults is None else fault_plan_from_file(options.faults)
        self._stack.callback(self._bench.close)
        gateway = self._gateway()
        if gateway.board.slot is not None:
            gateway.faults.listen(self._tell_fault)
        if plan is not None:
            plan.apply(gateway)
        self._timelines()
        cards = CardBox(gateway, options.card_size)
        self._stack.callback(cards.close)
        if options.card != "none":
            cards.remember(options.card)
        # A second of the host's between two looks: a reader does not get faster with the clock.
        ReaderWatch(
            self._clock, gateway, cards.remove, self._tell, every_ns=int(LOOK_NS * max(1.0, options.speed or 1.0))
        )
        network = gateway.board.network
        for name, board_port in PORTS.items():
            bridge = self._port_bridge(network, name, board_port)
            self._stack.callback(bridge.close)
            self._ports[name] = bridge
        by_port = {PORTS[name]: bridge for name, bridge in self._ports.items()}
        network.watch(lambda port, listening: by_port[port].follow(listening) if port in by_port else None)
        outbound = OutboundBridge(self._poller, self._clock, network, anywhere=options.allow_outbound, tell=self._tell)
        self._stack.callback(outbound.close)
        self._stack.callback(Signals(self._poller, self.stop).close)
        return gateway, cards

    def _port_bridge(self, network: Ethernet, name: str, board_port: int) -> PortBridge:
        port = getattr(self.options, name)
        try:
            return PortBridge(self._poller, network, board_port, self.options.bind, port)
        except EnvironmentRefused as error:
            hint = f", --{name} 0 takes a free port" if port else ""
            raise EnvironmentRefused(f"{error}{hint}") from error

    def _tell_fault(self, hit: Hit) -> None:
        where = "" if hit.sector is None else f", sector {hit.sector}"
        # A slow card is slow a hundred times in a second: once is enough to be told.
        if not hit.rule.once:
            if hit.rule in self._told:
                return
            self._told.append(hit.rule)
            where += ", and on"
        self._tell(f"fault at {hit.time_ns / 1e9:.6f} s: {hit.rule.name}{where}")

    def _tell(self, text: str) -> None:
        """A line of the bench's own, while the board may be writing on the same terminal."""
        if self._stdio is not None and self._stdio.interactive:
            self._stdio.say(text)
        else:
            self._say(text)

    def _gateway(self) -> Gateway:
        options = self.options
        host_time = time.time_ns if options.time in (None, "host") else options.time
        if options.from_file is None:
            return self._bench.gateway(
                options.model,
                card=None if options.card == "none" else options.card,
                card_size=options.card_size,
                factory=options.factory,
                flash=options.flash,
                time=host_time or "unset",
                name=options.name,
            )
        if options.card != "none":
            raise RackMisuse("a saved gateway brings its card with it: leave out --card, or --from")
        moment = None if options.time is None else host_time
        return self._bench.gateway_from(options.from_file, flash=options.flash, time=moment, name=options.name)

    def _timelines(self) -> None:
        """Opens them, and brings them up to date once in a second of the host's: somebody may look meanwhile."""
        options = self.options
        if options.trace is not None:
            self._bench.save_timeline(options.trace)
        if options.vcd is not None:
            self._bench.save_vcd(options.vcd)
        if options.trace is None and options.vcd is None:
            return
        every_ns = int(FLUSH_NS * max(1.0, options.speed or 1.0))

        def flush() -> None:
            self._bench.flush_timelines()
            self._clock.after(every_ns, flush)

        self._clock.after(every_ns, flush)

    def _control_face(self, gateway: Gateway, cards: CardBox) -> None:
        options = self.options
        if options.control is None:
            return
        if not ipaddress.ip_address(options.bind).is_loopback:
            raise RackMisuse(f"control face on {options.bind}: it has no login, and is for loopback addresses only")
        self._control = ControlServer(self._poller, ControlFace(gateway, cards), options.bind, options.control)
        self._stack.callback(self._control.close)

    def _consoles_of(self, hub: ConsoleHub) -> None:
        """All but the one on this terminal, which is begun last: it takes the terminal over."""
        options = self.options
        if options.tcp_console is not None:
            self._add_console("tcp_console", SocketConsole(self._poller, hub, options.bind, options.tcp_console))
        if options.rfc2217 is not None:
            from hil.bridges.rfc2217 import Rfc2217Client

            made = SocketConsole(self._poller, hub, options.bind, options.rfc2217, Rfc2217Client)
            self._add_console("rfc2217", made)
        if options.console == "pty":
            try:
                self._pty = PtyConsole(self._poller, hub, options.pty_link)
            except OSError as error:
                raise EnvironmentRefused(reason_from_oserror(error)) from error
            self._stack.callback(self._pty.close)
            print(self._pty.path, flush=True)

    def _add_console(self, name: str, console: SocketConsole) -> None:
        self._consoles[name] = console
        self._stack.callback(console.close)

    # -- the bench menu

    def _menu(self, gateway: Gateway, cards: CardBox) -> Menu:
        def card() -> str:
            if gateway.board.slot is None:
                return "this model has no card slot"
            if cards.inserted:
                cards.remove()
                return "card out"
            try:
                cards.insert()
            except (RackMisuse, EnvironmentRefused) as error:
                return str(error)
            return f"card in: {cards.name}"

        def press(duration_ms: int) -> str:
            gateway.board.press_button(duration_ms)
            return f"reset button, {duration_ms} ms"

        def power() -> str:
            if gateway.powered:
                gateway.power_off()
                return "power off"
            gateway.power_on()
            return "power on"

        def leave() -> str:
            self.stop()
            return "power off, good-bye"

        def heal() -> str:
            count = len(gateway.faults.armed)
            gateway.faults.disarm()
            return f"{count} faults disarmed"

        actions: dict[str, tuple[str, Callable[[], str]]] = {
            "c": ("card in/out", card),
            "b": ("reset button", lambda: press(SHORT_PRESS_MS)),
            "h": ("hold it for 12 s", lambda: press(LONG_PRESS_MS)),
            "p": ("power", power),
            "q": ("quit", leave),
        }
        if self.options.faults is not None:
            actions["f"] = ("faults off", heal)
        return Menu(actions)

    # -- what others are told

    def _greeting(self, gateway: Gateway) -> str:
        address = url_host(self.options.bind)
        lines = [f"{gateway.netbios} ({gateway.model.name}), login admin, password {gateway.model.name}"]
        lines.append(f"https://{address}:{self._ports['https'].port}  http://{address}:{self._ports['http'].port}")
        reader = None if gateway.card is None else reader_text(gateway.card.backend)
        if reader is not None:
            lines.append(f"card {reader}")
        if self.options.console == "stdio" and os.isatty(0) and os.isatty(1):
            lines.append("Ctrl-] is the bench menu; once logged in, help lists the board's commands")
        return "\n".join(lines)

    def _urls(self) -> dict[str, str | None]:
        address = url_host(self.options.bind)
        console = self._consoles
        return {
            "console": None if self._pty is None else self._pty.path,
            "rfc2217": f"rfc2217://{console['rfc2217'].host_port}" if "rfc2217" in console else None,
            "tcp_console": f"socket://{console['tcp_console'].host_port}" if "tcp_console" in console else None,
            "https": f"https://{address}:{self._ports['https'].port}",
            "http": f"http://{address}:{self._ports['http'].port}",
            "sips": f"sips:{address}:{self._ports['sips'].port}",
            "h323": None,
            "control": None if self._control is None else self._control.url,
        }

    def _write_ready(self, gateway: Gateway) -> None:
        """Writes the ready file whole or not at all: whoever waits for it may read it as soon as it is there."""
        if self.options.ready is None:
            return
        facts: dict[str, Any] = {
            "pid": os.getpid(),
            "model": gateway.model.name,
            "mac": gateway.mac.hex("-"),
            "seed": self.options.seed,
            **self._urls(),
        }
        path = Path(self.options.ready)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(json.dumps(facts) + "\n", encoding="utf-8")
        os.replace(draft, path)
        self._stack.callback(path.unlink, missing_ok=True)

    def _forget_ready(self) -> None:
        """An earlier run's ready file says nothing of this one. EnvironmentRefused where there can be none."""
        if self.options.ready is None:
            return
        path = Path(self.options.ready)
        if not os.access(path.parent, os.W_OK):
            raise EnvironmentRefused(f"ready file {path}: {path.parent} is not a directory that can be written to")
        path.unlink(missing_ok=True)
