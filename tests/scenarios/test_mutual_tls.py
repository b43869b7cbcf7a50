"""Mutual TLS between two gateways: who is asked for a certificate, who is refused, what is known, at what cost."""

from __future__ import annotations

from typing import Any

import pytest

from hil.bench import Bench
from hil.console import Console
from hil.gateway import Gateway
from hil.tlsclient import TlsClient

HTTPS, SIPS = 443, 5061

CHAIN = ["CN=0090330611ac,O=gatebench", "CN=gatebench Device Certification Authority,O=gatebench"]
"""What the first board of a bench shows."""


@pytest.fixture
def server(bench: Bench) -> Gateway:
    """A second gateway, which the first one trusts and which trusts nobody."""
    gateway = bench.gateway("ip800")
    gateway.power_on()
    gateway.console.login()
    return gateway


@pytest.fixture
def client(console: Console, server: Gateway) -> Console:
    """The first one's console; it trusts the manufacturer."""
    console.run("x509 servercert-trust /index 1")
    return console


def configure(server: Gateway, service: str, value: str) -> None:
    server.console.run(f"config change {service} /client-certificate {value}")
    server.console.run("config activate")


def connect(client: Console, server: Gateway, port: int) -> Any:
    where = f"{server.netbios}:{port} /name {server.mac.hex()}"
    return client.run(f"x509 connect {where} /json", timeout_ms=60_000).json


def test_unless_configured_https_asks_for_nothing_and_sips_for_what_there_is(client: Console, server: Gateway) -> None:
    assert connect(client, server, HTTPS)["asked"] is False
    assert connect(client, server, SIPS)["asked"] is True
    shown = server.console.run("config show SIPS").text
    assert "/client-certificate off|optional|required, default optional" in shown


@pytest.mark.parametrize(("service", "port"), [("HTTPS", HTTPS), ("SIPS", SIPS)])
@pytest.mark.parametrize("value", ["off", "optional", "required"])
def test_each_service_asks_as_configured_from_the_next_connection_on(
    client: Console, server: Gateway, service: str, port: int, value: str
) -> None:
    configure(server, service, value)
    answer = connect(client, server, port)
    assert answer["asked"] is (value != "off")
    assert answer["ok"] is (value == "off"), "the server trusts nobody"


@pytest.mark.parametrize("profile", ["v11", "modern"])
def test_a_refused_client_is_known_completely_and_can_be_trusted(
    client: Console, server: Gateway, profile: str
) -> None:
    client.run(f"tls profile {profile}")
    server.console.run(f"tls profile {profile}")
    answer = connect(client, server, SIPS)
    assert answer["version"] == {"v11": "TLSv1.2", "modern": "TLSv1.3"}[profile]
    assert (answer["ok"], answer["alerts"]) == (False, ["unknown_ca received"])
    (entry,) = server.console.run("x509 rejected-list /json").json
    assert [certificate["subject"] for certificate in entry["chain"]] == CHAIN
    assert (entry["role"], entry["reason"]) == ("client", "untrusted CA")
    assert "tls alert unknown_ca (48) sent to IP800-06-11-ac:" in server.console.run("log").text
    server.console.run("x509 rejected-trust /index 0")
    assert connect(client, server, SIPS)["ok"]
    assert server.console.run("x509 rejected-list /json").json == []


@pytest.mark.parametrize("profile", ["v11", "modern"])
def test_a_refused_server_is_known_completely(console: Console, server: Gateway, profile: str) -> None:
    console.run(f"tls profile {profile}")
    server.console.run(f"tls profile {profile}")
    connect(console, server, HTTPS)
    (entry,) = console.run("x509 rejected-list /json").json
    assert [certificate["subject"] for certificate in entry["chain"]] == [
        "CN=0090330611ad,O=gatebench",
        "CN=gatebench Device Certification Authority,O=gatebench",
    ]
    assert entry["role"] == "server"


def test_clients_without_certificate_are_served_unless_one_is_required(server: Gateway) -> None:
    with TlsClient(server.connect(SIPS)) as phone:
        assert phone.handshake().version == "TLSv1.2"
    configure(server, "SIPS", "required")
    phone = TlsClient(server.connect(SIPS))
    with pytest.raises(Exception, match=r"(?i)handshake.failure"):
        phone.handshake()
    assert "tls alert handshake_failure (40) sent to bench" in server.console.run("log").text
    assert server.console.run("x509 rejected-list /json").json == []


def test_mutual_tls_adds_what_the_remote_chain_is_worth(client: Console, server: Gateway) -> None:
    """Reference text, Certificate Key Length and CPU Usage."""
    server.console.run("x509 servercert-trust /index 1")
    costs = {}
    for key in ("1024-bit", "2048-bit"):
        client.run(f"x509 servercert-create /key {key} /dn-cn phone")
        client.run("x509 servercert-wait", timeout_ms=600_000)
        connect(client, server, SIPS)
        server.console.run("x509 rejected-trust /index 0")
        for service, port in (("off", HTTPS), ("optional", SIPS)):
            assert connect(client, server, port)["ok"]
            costs[key, service] = server.console.run("cpu mips-usage /json").json["tls"]["last_us"]
    assert costs["1024-bit", "optional"] > costs["1024-bit", "off"]
    assert costs["2048-bit", "optional"] > costs["1024-bit", "optional"]
    assert costs["2048-bit", "off"] == pytest.approx(costs["1024-bit", "off"], rel=0.01)


def test_open_connections_live_on_when_trust_goes_and_new_ones_see_it(client: Console, server: Gateway) -> None:
    server.console.run("x509 servercert-trust /index 1")
    assert connect(client, server, SIPS)["ok"]
    with TlsClient(server.connect(HTTPS)) as open_one:
        open_one.handshake()
        server.console.run("x509 trust-clear")
        assert open_one.request("GET", "/").status == 200
    assert connect(client, server, SIPS)["alerts"] == ["unknown_ca received"]


def test_a_new_certificate_is_shown_to_the_next_connection_and_the_old_one_stays_in_use(
    client: Console, server: Gateway
) -> None:
    with TlsClient(server.connect(HTTPS)) as open_one:
        open_one.handshake()
        server.console.run("x509 servercert-create /dn-cn fresh")
        server.console.run("x509 servercert-wait", timeout_ms=120_000)
        assert open_one.request("GET", "/").status == 200
    assert [each["subject"] for each in connect(client, server, HTTPS)["chain"]] == ["CN=fresh"]


def test_the_demand_for_certificates_survives_a_power_cut_once_it_is_written(client: Console, server: Gateway) -> None:
    configure(server, "HTTPS", "required")
    server.console.run("config write")
    server.power_cycle()
    server.console.login()
    assert connect(client, server, HTTPS)["asked"] is True


def test_a_board_that_does_not_know_the_time_refuses_with_certificate_expired(
    client: Console, bench: Bench, server: Gateway
) -> None:
    lost = bench.gateway("ip800", time="unset")
    lost.power_on()
    lost.console.login()
    answer = connect(client, lost, SIPS)
    assert answer["alerts"] == ["certificate_expired received"]
    assert lost.console.run("x509 rejected-list /json").json[0]["reason"] == "not yet valid"


def test_a_configured_tls_profile_outlasts_a_power_cut_and_a_chosen_one_does_not(server: Gateway) -> None:
    console = server.console
    console.run("config change TLS /profile modern")
    console.run("config write")
    console.run("config activate")
    assert console.run("tls profile /json").json == {"profile": "modern"}
    console.run("tls profile legacy")
    server.power_cycle()
    console.login()
    assert console.run("tls profile").text == "modern"
