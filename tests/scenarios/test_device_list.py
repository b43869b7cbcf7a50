"""Device entries of the PBX on a whole device: kept through a power cut, removed without touching any certificate."""

from __future__ import annotations

from hil.console import Console
from hil.gateway import Gateway


def test_a_device_entry_survives_a_power_cycle_and_its_removal_does_too(console: Console, board: Gateway) -> None:
    console.run("pbx device-add /hw IP232-30-00-af /name alice /tls-only")
    console.run("pbx device-add /hw IP232-30-00-b0 /name bob")
    board.power_cycle()
    console.login()
    assert console.run("pbx device-list /json").json == [
        {"hardware_id": "IP232-30-00-af", "name": "alice", "tls_only": True},
        {"hardware_id": "IP232-30-00-b0", "name": "bob", "tls_only": False},
    ]
    assert "may not register as alice any more" in console.run("pbx device-remove /hw ip232-30-00-af").text
    assert "no device entry" in (console.run("pbx device-remove /hw ip232-30-00-af", check=False).error or "")
    board.power_cycle()
    console.login()
    assert [entry["name"] for entry in console.run("mod cmd PBX0 device-list /json").json] == ["bob"]
