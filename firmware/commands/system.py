"""The words of the top level that look at the board or restart it, and the CPU module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from firmware.commands.eventlog import KEPT_LINES, EventLog
from firmware.commands.kinds import Number
from firmware.commands.registry import TOP_LEVEL, Call, Operation, Option, Registry, Reply
from firmware.kernel import Kernel, Task, TaskUse

__all__ = [
    "Restarting",
    "TlsStatistics",
    "register_cpu",
    "register_info",
    "register_leds",
    "register_log",
    "register_logout",
    "register_restart",
    "register_tasks",
]


class Restarting(Protocol):
    """What ``reset`` and ``ireset`` ask for."""

    def now(self) -> None: ...

    def when_idle(self) -> Sequence[str]:
        """What is busy now; empty: at once."""
        ...


class TlsStatistics(Protocol):
    """What ``cpu mips-usage`` says of TLS."""

    @property
    def handshakes(self) -> int:
        """Server handshakes finished since power-on."""
        ...

    @property
    def last_us(self) -> int:
        """CPU time charged for the last of them."""
        ...


def register_logout(registry: Registry) -> None:
    """Registers ``exit`` and ``logout``."""

    async def log_out(call: Call) -> Reply:
        call.session.log_out()
        return Reply()

    for name in ("exit", "logout"):
        registry.register(Operation(TOP_LEVEL, name, "ends the session", log_out, logged=lambda call: False))


def register_info(registry: Registry, facts: Callable[[], Mapping[str, object]]) -> None:
    """Registers ``info``; ``facts()`` gives what it says, in order: model, serial number, firmware, services ..."""

    async def info(call: Call) -> Reply:
        data = dict(facts())
        width = max((len(name) for name in data), default=0)
        return Reply("\n".join(f"{name:<{width}}  {_plain(value)}" for name, value in data.items()), data)

    registry.register(Operation(TOP_LEVEL, "info", "says what this is and how it is", info, query=True))


def register_log(registry: Registry, log: EventLog) -> None:
    """Registers ``log``."""

    async def show(call: Call) -> Reply:
        lines = list(log.last(call.get("lines")))
        return Reply("\n".join(lines), lines)

    lines = Option("lines", Number(1, KEPT_LINES), "how many, the newest", default=50)
    registry.register(Operation(TOP_LEVEL, "log", "shows the last log lines", show, options=(lines,), query=True))


def register_leds(registry: Registry, states: Callable[[], Mapping[str, str]]) -> None:
    """Registers ``leds``; ``states()`` gives ``off``, ``green``, ``orange blinking`` ... by LED."""

    async def leds(call: Call) -> Reply:
        data = dict(states())
        return Reply("\n".join(f"{name}: {state}" for name, state in data.items()), data)

    registry.register(Operation(TOP_LEVEL, "leds", "says what the lights show", leds, query=True))


def register_restart(registry: Registry, restart: Restarting) -> None:
    """Registers ``reset``, ``ireset`` and ``ser``."""

    async def reset(call: Call) -> Reply:
        restart.now()
        return Reply("resetting")

    async def ireset(call: Call) -> Reply:
        busy = restart.when_idle()
        return Reply(f"resetting when idle, busy: {', '.join(busy)}" if busy else "resetting")

    async def ser(call: Call) -> Reply:
        return Reply()

    registry.register(Operation(TOP_LEVEL, "reset", "restarts the board at once", reset))
    registry.register(Operation(TOP_LEVEL, "ireset", "restarts the board when it is idle", ireset))
    registry.register(Operation(TOP_LEVEL, "ser", "does nothing (scripts use it as a place holder)", ser))


def register_tasks(registry: Registry, kernel: Kernel) -> None:
    """Registers ``tasks``."""

    async def tasks(call: Call) -> Reply:
        data = [_task(task, kernel.cpu.hz) for task in kernel.tasks]
        return Reply("\n".join(_task_lines(data)), data)

    registry.register(Operation(TOP_LEVEL, "tasks", "lists the tasks and what they used", tasks, query=True))


def register_cpu(registry: Registry, kernel: Kernel, tls: TlsStatistics) -> None:
    """Registers ``cpu mips-usage``."""

    async def mips_usage(call: Call) -> Reply:
        data = _usage(kernel, tls)
        return Reply(_usage_text(data), data)

    registry.register(
        Operation("CPU", "mips-usage", "shows the load and what the cycles were used for", mips_usage, query=True)
    )


def _usage(kernel: Kernel, tls: TlsStatistics) -> dict[str, Any]:
    return {
        "hz": kernel.cpu.hz,
        "load_1s": round(kernel.load(1_000), 4),
        "load_10s": round(kernel.load(10_000), 4),
        "load_60s": round(kernel.load(60_000), 4),
        "cycles": dict(sorted(kernel.cycles.items())),
        "tasks": [_task(use, kernel.cpu.hz) for use in kernel.use()],
        "tls": {"handshakes": tls.handshakes, "last_us": tls.last_us},
    }


def _usage_text(data: Mapping[str, Any]) -> str:
    loads = ", ".join(f"{span} s: {data[f'load_{span}s']:.1%}" for span in (1, 10, 60))
    lines = [f"CPU {data['hz'] / 1e6:g} MHz, load {loads}"]
    lines += [f"  {kind:<12} {cycles:>16} cycles" for kind, cycles in data["cycles"].items()]
    lines += ["", *_task_lines(data["tasks"]), ""]
    tls = data["tls"]
    last = f", the last took {tls['last_us']} us of CPU time" if tls["handshakes"] else ""
    lines.append(f"TLS handshakes {tls['handshakes']}{last}")
    return "\n".join(lines)


def _task_lines(data: Sequence[Mapping[str, Any]]) -> list[str]:
    head = f"{'name':<24} {'priority':<10} {'cycles':>16} {'longest us':>12}"
    return [head, *(f"{t['name']:<24} {t['priority']:<10} {t['cycles']:>16} {t['longest_us']:>12}" for t in data)]


def _task(task: Task | TaskUse, hz: int) -> dict[str, Any]:
    return {
        "name": task.name,
        "priority": task.priority.name.lower(),
        "cycles": task.busy_ns * hz // 1_000_000_000,
        "longest_us": task.longest_ns // 1_000,
    }


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return "yes" if value is True else "no" if value is False else "-" if value is None else str(value)
