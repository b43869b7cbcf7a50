"""Phones register at a gateway over mutual TLS: who may, who may not and why, and what brings a lost one back."""

from __future__ import annotations

from typing import Any

import pytest

from hil.bench import Bench
from hil.gateway import Gateway

SIPS, SIP = 5061, 5060

LONG_MS = 120_000


class Office:
    """A registrar and a phone that trust the manufacturer; the phone's device entry is there, and nothing configured.

    Both have their built-in certificates: common name is the MAC address without dashes.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.registrar = bench.gateway("ip800")
        self.phone = bench.gateway("ip232")
        for gateway in (self.registrar, self.phone):
            gateway.power_on()
            self.run(gateway, "x509 servercert-trust /index 1")
        self.add_device(self.phone, "alice")

    def run(self, gateway: Gateway, command: str, **what: Any) -> Any:
        """A command on a console, which may have logged out meanwhile."""
        gateway.console.login()
        return gateway.console.run(command, **what)

    def add_device(self, phone: Gateway, name: str, options: str = "/tls-only") -> None:
        self.run(self.registrar, f"pbx device-add /hw {phone.mac.hex()} /name {name} {options}")

    def remove_device(self, phone: Gateway) -> None:
        self.run(self.registrar, f"pbx device-remove /hw {phone.mac.hex()}")

    def configure(self, options: str = "", user: str = "alice", port: int = SIPS) -> None:
        """Has the phone register."""
        where = f"/registrar {self.registrar.netbios}:{port} /name {self.registrar.mac.hex()}"
        self.run(self.phone, f"config change PHONE {where} /user {user} {options}")
        self.run(self.phone, "config write")
        self.run(self.phone, "config activate")

    def status(self) -> Any:
        return self.run(self.phone, "sip status /json").json

    def registrations(self) -> Any:
        return self.run(self.registrar, "sip registrations /json").json

    def events(self, name: str, gateway: Gateway | None = None) -> list[str]:
        """Values of the trace's ``sip`` events of that name, in order."""
        of = (gateway or self.phone).name
        lines = [line.split("\t") for line in self.bench.trace.tail(100_000)]
        return [line[4] for line in lines if line[1:4] == [of, "sip", name]]

    def wait_for(self, name: str, count: int = 1, timeout_ms: int = LONG_MS) -> None:
        """Lets time pass until the phone has told ``name`` so often. Needs `listen` before."""
        assert self.bench.run_until(lambda: self.counted(name) >= count, timeout_ms=timeout_ms), (
            f"no {name} number {count}, but {self.told}"
        )

    def listen(self) -> None:
        """Begins to count what the phone tells."""
        self.told: list[tuple[str, str]] = []
        self.bench.trace.listen(
            lambda event: (
                self.told.append((event.name, str(event.value)))
                if event.kind == "sip" and event.board == self.phone.name
                else None
            )
        )

    def counted(self, name: str) -> int:
        return sum(1 for each, _ in self.told if each == name)

    def reasons(self) -> list[str]:
        return [value for name, value in self.told if name == "failed"]


@pytest.fixture
def office(bench: Bench) -> Office:
    made = Office(bench)
    made.listen()
    return made


@pytest.fixture
def registered(office: Office) -> Office:
    """One whose phone is registered already."""
    office.configure()
    office.wait_for("registered")
    return office


def test_a_phone_with_certificate_and_device_entry_registers(office: Office) -> None:
    office.configure()
    office.wait_for("registered")
    (binding,) = office.registrations()
    assert binding["aor"] == f"sips:alice@{office.registrar.netbios}"
    assert binding["hardware_id"].lower() == office.phone.mac.hex()
    assert binding["contact"] == f"sips:alice@{office.phone.netbios}:5061"
    assert binding["transport"] == "tls"
    assert 3_500 < binding["expires_in_s"] <= 3_600
    status = office.status()
    assert (status["state"], status["registered"], status["attempts"]) == ("registered", True, 1)
    assert "registered as alice" in office.run(office.phone, "log").text


def test_a_phone_without_a_registrar_does_nothing(office: Office) -> None:
    office.bench.run_for(ms=60_000)
    assert office.told == []
    assert office.status()["state"] == "off"
    assert "no registrar is configured" in office.run(office.phone, "sip status").text


def test_a_removed_device_entry_refuses_the_next_registration_though_the_certificate_is_good(
    registered: Office,
) -> None:
    """Reference text, Revoke List."""
    registered.remove_device(registered.phone)
    assert len(registered.registrations()) == 1, "what was granted stands"
    registered.wait_for("failed", timeout_ms=3_700_000)
    assert registered.reasons() == ["status-403"]
    assert registered.registrations() == []
    assert "403 Forbidden (no device entry for" in registered.status()["last_error"]
    assert registered.counted("connected") == 1, "and the connection, which the certificate opened, was fine"
