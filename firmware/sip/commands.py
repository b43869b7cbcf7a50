"""The command that shows a registrar's table."""

from __future__ import annotations

from collections.abc import Callable

from firmware.commands.registry import Call, Operation, Registry, Reply
from firmware.sip.bindings import Binding
from firmware.sip.registrar import Registrar

MODULE = "SIP"


def register_registrations(registry: Registry, registrar: Registrar, now_ns: Callable[[], int]) -> None:
    """Registers ``sip registrations``."""

    async def registrations(call: Call) -> Reply:
        registrar.expire()
        now = now_ns()
        bindings = registrar.bindings.all()
        lines = [_line(binding, now) for binding in bindings]
        return Reply("\n".join(lines) or "no registrations", [_data(binding, now) for binding in bindings])

    registry.register(
        Operation(
            MODULE, "registrations", "devices registered here: who, where, for how long", registrations, query=True
        )
    )


def _line(binding: Binding, now_ns: int) -> str:
    return (
        f"{binding.aor}  {binding.hardware_id}  {binding.contact}  {binding.transport}"
        f"  expires in {binding.expires_s(now_ns)} s, since {_since_s(binding, now_ns)} s"
    )


def _data(binding: Binding, now_ns: int) -> dict[str, object]:
    return {
        "aor": binding.aor,
        "hardware_id": binding.hardware_id,
        "contact": binding.contact,
        "transport": binding.transport,
        "expires_in_s": binding.expires_s(now_ns),
        "since_s": _since_s(binding, now_ns),
    }


def _since_s(binding: Binding, now_ns: int) -> int:
    """For how many whole seconds it has been registered over this connection."""
    return (now_ns - binding.since_ns) // 1_000_000_000
