"""The command that says how a phone's registration stands."""

from __future__ import annotations

from collections.abc import Callable

from firmware.commands.registry import Call, Operation, Registry, Reply
from firmware.registration.machine import State
from firmware.registration.task import Registration

MODULE = "SIP"


def register_status(registry: Registry, registration: Registration, now_ns: Callable[[], int]) -> None:
    """Registers ``sip status``."""

    async def status(call: Call) -> Reply:
        plan, progress = registration.plan, registration.progress
        since_s = (now_ns() - progress.since_ns) // 1_000_000_000
        next_ns = registration.next_attempt_ns
        next_s = None if next_ns is None else max(0, next_ns - now_ns()) // 1_000_000_000
        data = {
            "state": progress.state.value,
            "since_s": since_s,
            "registered": progress.stands,
            "registrar": plan.registrar if plan is not None else None,
            "user": plan.user if plan is not None else None,
            "transport": None if plan is None else "tls" if plan.secure else "tcp",
            "attempts": progress.attempts,
            "failed": progress.failed,
            "failures_in_a_row": progress.failures_in_a_row,
            "timeouts": progress.timeouts,
            "pong_timeouts": progress.pong_timeouts,
            "next_attempt_in_s": next_s,
            "last_error": progress.last_error or None,
        }
        if plan is None:
            return Reply("no registrar is configured: config change PHONE /registrar HOST:PORT /user NAME", data)
        waits = "off: waits for a certificate" if progress.state is State.OFF else progress.state.value
        then = "" if next_s is None else f", next attempt in {next_s} s"
        lines = [
            f"{waits}, since {since_s} s{then}",
            f"{plan.user} at {plan.registrar}, {data['transport']}",
            f"since the start: {_counted(progress.attempts, 'attempt')}, {progress.failed} failed or lost",
        ]
        if progress.last_error:
            lines.append(f"last error: {progress.last_error}")
        return Reply("\n".join(lines), data)

    registry.register(Operation(MODULE, "status", "how this phone's own registration stands", status, query=True))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
