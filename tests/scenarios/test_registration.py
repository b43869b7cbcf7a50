"""Phones register at a gateway over mutual TLS: who may, who may not and why, and what brings a lost one back."""

from __future__ import annotations

import itertools
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
        """A command on a console, which may have logged out meanwhile, or be saying something at this moment."""
        self.bench.run_for(ms=50)
        gateway.console.login()
        return gateway.console.run(command, **what)

    def add_device(self, phone: Gateway, name: str, options: str = "/tls-only") -> None:
        self.run(self.registrar, f"pbx device-add /hw {phone.mac.hex()} /name {name} {options}")

    def remove_device(self, phone: Gateway) -> None:
        self.run(self.registrar, f"pbx device-remove /hw {phone.mac.hex()}")

    def configure(self, options: str = "", user: str = "alice", port: int = SIPS, name: str = "") -> None:
        """Has the phone register."""
        where = f"/registrar {self.registrar.netbios}:{port} /name {name or self.registrar.mac.hex()}"
        self.run(self.phone, f"config change PHONE {where} /user {user} {options}")
        self.run(self.phone, "config write")
        self.run(self.phone, "config activate")

    def set_profile(self, profile: str) -> None:
        for gateway in (self.registrar, self.phone):
            self.run(gateway, f"tls profile {profile}")

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


def test_it_registers_with_tls_1_3_as_well(office: Office) -> None:
    office.set_profile("modern")
    office.configure()
    office.wait_for("registered")
    assert office.registrations()[0]["hardware_id"].lower() == office.phone.mac.hex()


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


# -- trust


def test_a_phone_that_does_not_trust_the_registrar_says_why_and_knows_its_chain(office: Office) -> None:
    office.run(office.phone, "x509 trust-clear")
    office.configure()
    office.wait_for("failed")
    assert office.reasons() == ["tls: untrusted CA"]
    assert "untrusted CA" in office.status()["last_error"]
    assert f"registration as alice at {office.registrar.netbios}:5061 failed" in office.run(office.phone, "log").text
    (entry,) = office.run(office.phone, "x509 rejected-list /json").json
    assert (entry["role"], entry["reason"]) == ("server", "untrusted CA")
    office.run(office.phone, "x509 rejected-trust /index 0")
    office.wait_for("registered")


@pytest.mark.parametrize("profile", ["v11", "modern"])
def test_a_registrar_that_does_not_trust_the_phone_shows_it_on_its_rejected_list(office: Office, profile: str) -> None:
    """With TLS 1.3 the phone hears of it only when it has finished its handshake."""
    office.set_profile(profile)
    office.run(office.registrar, "x509 trust-clear")
    office.configure()
    office.wait_for("failed")
    assert office.reasons() == ["tls: unknown_ca"]
    (entry,) = office.run(office.registrar, "x509 rejected-list /json").json
    assert (entry["role"], entry["reason"]) == ("client", "untrusted CA")
    assert office.registrations() == []


def test_a_registrar_by_another_name_is_refused(office: Office) -> None:
    office.configure(name="somebody.else")
    office.wait_for("failed")
    assert office.reasons() == ["tls: name mismatch"]


def test_a_phone_that_does_not_know_the_time_registers_once_it_does(office: Office, bench: Bench) -> None:
    """The field failure after a power cut: everything is `not yet valid` in 1970."""
    lost = office.phone = bench.gateway("ip232", time="unset")
    lost.power_on()
    office.run(lost, "x509 servercert-trust /index 1")
    office.add_device(lost, "bob")
    office.configure(user="bob")
    office.wait_for("failed")
    assert office.reasons() == ["tls: not yet valid"]
    office.run(lost, "ctime 2026-01-01T00:01:00Z")
    office.wait_for("registered")


# -- what brings a lost one back


def test_a_power_cut_of_the_registrar_is_survived_without_anybody_doing_anything(registered: Office) -> None:
    registered.bench.run_for(ms=20_000)
    registered.registrar.power_cycle()
    registered.wait_for("registered", 2)
    assert registered.reasons()[0] == "lost"
    assert len(registered.registrations()) == 1


def test_a_phone_that_lost_its_power_registers_again_in_its_old_place(registered: Office) -> None:
    registered.phone.power_cycle()
    registered.wait_for("registered", 2)
    assert len(registered.registrations()) == 1
    assert registered.status()["attempts"] == 1


def test_attempts_are_counted_over_every_configuration_from_the_start_on(office: Office) -> None:
    office.configure("/retry constant /retry-base-ms 1000", port=4)
    office.wait_for("failed", 2)
    assert "since the start: 2 attempts, 2 failed or lost" in office.run(office.phone, "sip status").text
    office.configure()
    office.wait_for("registered")
    attempts = office.status()["attempts"]
    assert attempts >= 3
    office.registrar.power_cycle()
    office.wait_for("registered", 2)
    assert office.status()["attempts"] > attempts
    office.phone.press_button(300)
    office.wait_for("registered", 3)
    assert "since the start: 1 attempt, 0 failed or lost" in office.run(office.phone, "sip status").text


def test_a_cut_cable_is_noticed_by_the_missing_pong_and_got_over(registered: Office) -> None:
    """RFC 5626 4.4.1: nothing else tells a phone that its registrar has become unreachable."""
    with registered.bench.lan.cut_off(registered.phone):
        registered.wait_for("pong-timeout", timeout_ms=131_000)
        assert not registered.status()["registered"]
        registered.wait_for("failed", 2)
    registered.wait_for("registered", 2, timeout_ms=600_000)
    assert registered.reasons()[:2] == ["pong-timeout", "timeout-connect"]
    assert len(registered.registrations()) == 1


def test_failures_are_followed_by_longer_and_longer_waits(office: Office) -> None:
    times_ns: list[int] = []
    office.bench.trace.listen(
        lambda event: times_ns.append(event.time_ns) if (event.kind, event.name) == ("sip", "attempt") else None
    )
    office.configure(port=4)
    office.wait_for("attempt", 4, timeout_ms=600_000)
    assert set(office.reasons()) == {"refused"}
    waits_s = [(later - earlier) / 1e9 for earlier, later in itertools.pairwise(times_ns)]
    for wait_s, most_s in zip(waits_s, (60, 120, 240), strict=True):
        assert most_s / 2 <= wait_s <= most_s + 1
    assert office.status()["failures_in_a_row"] >= 3


def test_a_constant_wait_can_be_configured(office: Office) -> None:
    office.configure("/retry constant /retry-base-ms 2000", port=4)
    office.wait_for("attempt", 10, timeout_ms=20_000)
    office.wait_for("failed", 10)
    assert "waiting, since 0 s, next attempt in 1 s" in office.run(office.phone, "sip status").text


def test_a_registration_is_renewed_and_kept_alive_over_one_connection(office: Office) -> None:
    office.configure("/expires 600 /keepalive 30")
    office.wait_for("registered")
    office.bench.run_for(ms=3_600_000)
    (binding,) = office.registrations()
    assert binding["since_s"] >= 3_590
    assert binding["expires_in_s"] <= 600
    assert [name for name, _ in office.told] == ["attempt", "connected", "registered"]


# -- the configuration


def test_a_registration_ends_with_its_configuration(registered: Office) -> None:
    registered.run(registered.phone, "config rem PHONE /registrar")
    registered.run(registered.phone, "config activate")
    registered.bench.run_for(ms=1_000)
    assert registered.registrations() == []
    assert registered.status()["state"] == "off"
    assert registered.told[-1] == ("unregistered", "")


def test_a_changed_configuration_counts_at_once(registered: Office) -> None:
    registered.remove_device(registered.phone)
    registered.add_device(registered.phone, "carol")
    for user in ("dave", "erin", "carol"):
        registered.run(registered.phone, f"config change PHONE /user {user}")
        registered.run(registered.phone, "config activate")
    registered.wait_for("registered", 2)
    (binding,) = registered.registrations()
    assert binding["aor"] == f"sips:carol@{registered.registrar.netbios}"


def test_a_phone_without_a_certificate_waits_for_one(bench: Bench) -> None:
    office = Office(bench)
    office.phone = bench.gateway("ip232", factory="upgraded")
    office.listen()
    office.phone.power_on()
    office.configure()
    while not office.phone.services["sips"]:
        assert office.told == []
        bench.run_for(ms=100)
    office.wait_for("attempt")


def test_over_tcp_only_devices_whose_entry_allows_it_may_register(office: Office) -> None:
    office.run(office.registrar, "config change SIP /tcp on")
    office.run(office.registrar, "config activate")
    office.configure("/transport tcp /retry constant /retry-base-ms 1000", port=SIP)
    office.wait_for("failed")
    assert office.reasons() == ["status-403"]
    assert "alice registers over TLS" in office.status()["last_error"]
    office.remove_device(office.phone)
    office.add_device(office.phone, "alice", "")
    office.wait_for("registered")
    (binding,) = office.registrations()
    assert (binding["transport"], binding["aor"]) == ("tcp", f"sip:alice@{office.registrar.netbios}")


def test_without_being_told_so_no_gateway_takes_sip_without_tls(office: Office) -> None:
    assert SIP not in office.registrar.board.network.ports
    for value in ("on", "off"):
        office.run(office.registrar, f"config change SIP /tcp {value}")
        office.run(office.registrar, "config activate")
        assert (SIP in office.registrar.board.network.ports) is (value == "on")
    assert "SIP is off: as configured" in office.run(office.registrar, "log").text


# -- many at once


def office_with_phones(bench: Bench, count: int, settings: str) -> tuple[Office, list[Gateway]]:
    """An office with so many more phones, all of them off; the registrar is configured."""
    office = Office(bench)
    office.run(office.registrar, f"config change SIPS {settings}")
    office.run(office.registrar, "config activate")
    phones = [bench.gateway("ip232") for _ in range(count)]
    for number, phone in enumerate(phones):
        office.phone = phone
        office.phone.power_on()
        office.run(office.phone, "x509 servercert-trust /index 1")
        office.add_device(office.phone, f"u{number}")
        office.configure("/retry constant /retry-base-ms 5000", user=f"u{number}")
        office.phone.power_off()
    bench.run_for(ms=1_000)
    return office, phones


def test_who_comes_while_others_shake_hands_waits_in_line_and_gets_its_turn(bench: Bench) -> None:
    office, phones = office_with_phones(bench, 4, "/handshakes 1")
    for phone in phones:
        phone.power_on()
    bench.run_for(ms=3_000)
    assert len(office.registrations()) == 4
    queue = [int(value) for value in office.events("queue", office.registrar)]
    assert max(queue) > 1
    assert queue[-1] == 0
    assert not any("failed" in line.split("\t")[2:4] for line in bench.trace.tail(100_000))


def test_more_connections_than_there_is_room_for_are_closed_at_once_and_come_again(bench: Bench) -> None:
    office, phones = office_with_phones(bench, 3, "/connections 2")
    for phone in phones:
        phone.power_on()
    bench.run_for(ms=3_000)
    assert len(office.registrations()) == 2
    assert office.events("overflow", office.registrar) == ["2"]
    phones[0].power_off()
    bench.run_for(ms=8_000)
    assert len(office.registrations()) == 2, "the third has taken the place of the first"


def test_who_comes_to_a_full_line_is_sent_away_before_any_work_and_comes_again(bench: Bench) -> None:
    office, phones = office_with_phones(bench, 4, "/handshakes 1 /line 1")
    for phone in phones:
        phone.power_on()
    bench.run_for(ms=3_000)
    assert len(office.registrations()) == 2
    assert len(office.events("overflow", office.registrar)) == 2
    assert "sent away, 1 wait in line for their handshake" in office.run(office.registrar, "log").text
    bench.run_for(ms=8_000)
    assert len(office.registrations()) == 4


def test_connections_that_say_nothing_take_nobodys_turn_and_are_given_up(bench: Bench) -> None:
    office, (phone,) = office_with_phones(bench, 1, "/handshakes 1")
    silent = [office.registrar.connect(SIPS) for _ in range(5)]
    assert all(each.wait_open() for each in silent)
    phone.power_on()
    bench.run_for(ms=3_000)
    assert len(office.registrations()) == 1
    assert office.events("queue", office.registrar)[-1] == "5"
    bench.run_for(ms=30_000)
    assert office.events("queue", office.registrar)[-1] == "0"
    assert "tls handshake with bench: waited 30 s for the peer" in office.run(office.registrar, "log").text


def test_the_memory_says_how_many_connections_can_be_configured(office: Office) -> None:
    assert "1..546, default 546" in office.run(office.registrar, "config show SIPS").text
    refused = office.run(office.registrar, "config change SIPS /connections 547", check=False)
    assert "must be 1 to 546" in (refused.error or "")


# -- to be looked at


def test_the_commands_explain_themselves(registered: Office) -> None:
    text = registered.run(registered.registrar, "help sip").text
    assert "sip registrations" in text
    assert "sip status" in text
    assert "default 3600: seconds asked for" in registered.run(registered.phone, "config show PHONE").text
    line = registered.run(registered.registrar, "sip registrations").text
    assert "expires in" in line
    assert "registered, since" in registered.run(registered.phone, "sip status").text


def test_the_parts_can_be_looked_at_from_python(registered: Office) -> None:
    box = registered.registrar.program.box  # type: ignore[union-attr]
    assert (len(box.registrar.bindings), box.registrar.counts.accepted) == (1, 1)
    phone = registered.phone.program.box  # type: ignore[union-attr]
    assert (phone.registration.progress.attempts, phone.registration.progress.registered) == (1, 1)


def test_the_same_seed_makes_the_same_storm() -> None:
    digests = set()
    for _ in range(2):
        with Bench(seed=99) as bench:
            office = Office(bench)
            office.listen()
            office.configure("/start-spread-ms 5000")
            office.wait_for("registered")
            office.registrar.power_cycle()
            office.wait_for("registered", 2)
            digests.add((bench.trace.digest(), bench.now_ns))
    assert len(digests) == 1
