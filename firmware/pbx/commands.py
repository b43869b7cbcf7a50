"""The commands of module PBX: device entries."""

from __future__ import annotations

from firmware.commands.kinds import Text
from firmware.commands.registry import Call, Operation, Option, Registry, Reply
from firmware.pbx.devices import LONGEST_HARDWARE_ID, DeviceEntry, DeviceList

MODULE = "PBX"

LONGEST_NAME = 64


def register_pbx(registry: Registry, devices: DeviceList) -> None:
    """Adds the module's operations to the registry."""

    async def device_list(call: Call) -> Reply:
        entries = devices.entries()
        lines = [f"{entry.hardware_id:<24} {entry.name}{'  TLS only' if entry.tls_only else ''}" for entry in entries]
        data = [{"hardware_id": e.hardware_id, "name": e.name, "tls_only": e.tls_only} for e in entries]
        return Reply("\n".join(lines) or "no device entries", data)

    async def device_add(call: Call) -> Reply:
        entry = DeviceEntry(call.text("hw"), call.text("name"), call.flag("tls-only"))
        devices.add(entry)
        return Reply(f"{devices.find(entry.hardware_id).hardware_id} may register as {entry.name}")

    async def device_remove(call: Call) -> Reply:
        gone = devices.remove(call.text("hw"))
        return Reply(f"{gone.hardware_id} may not register as {gone.name} any more")

    hardware_id = Option(
        "hw",
        Text(limit=LONGEST_HARDWARE_ID),
        "hardware id, the common name of its certificate: IP232-30-00-af",
        required=True,
    )
    name = Option("name", Text(limit=LONGEST_NAME), "object that it registers as", required=True)
    tls_only = Option("tls-only", None, "only over TLS, with a certificate in its name")
    for operation in (
        Operation(MODULE, "device-list", "devices that may register", device_list, query=True),
        Operation(MODULE, "device-add", "lets a device register", device_add, (hardware_id, name, tls_only)),
        Operation(MODULE, "device-remove", "ends a device's right to register", device_remove, (hardware_id,)),
    ):
        registry.register(operation)
