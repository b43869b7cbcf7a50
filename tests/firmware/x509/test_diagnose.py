"""The diagnosis of connections that hardly began, and of chains that nobody would send."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.x509 import CertificateOrder, DistinguishedName, key_search, self_signed_certificate
from firmware.x509.connect import Report, destination_from_text
from firmware.x509.diagnose import COLUMNS, REFUSALS, Surroundings, diagnose
from firmware.x509.trustindex import TrustIndex

MADE = 1_767_225_600


class FakeCosts:
    """Everything costs the same. Not modelled: sizes."""

    certificate = 1

    def digest(self, algorithm, size_bytes):
        return 1

    def rsa_public(self, bits):
        return 1

    def rsa_private(self, bits):
        return 10_000_000


AROUND = Surroundings(MADE, True, TrustIndex(), FakeCosts(), 200_000_000)


@pytest.fixture(scope="module")
def certificate():
    search = key_search(1024, random.Random(1))
    while True:
        try:
            next(search)
        except StopIteration as end:
            order = CertificateOrder(DistinguishedName(common_name="gw.example.com"), years=1)
            return self_signed_certificate(order, end.value, MADE, random.Random(1))


def report(**what):
    return Report(
        destination_from_text("box:443", "gw.example.com"),
        **{"reached": True, "profile": "v11", "events": ("<ServerHello", "<Certificate"), **what},
    )


def findings(made, check):
    return [finding for finding in diagnose(made, AROUND).findings if finding.check == check]


@pytest.mark.parametrize(
    ("what", "text", "command"),
    [
        (
            {"failure": "failed", "events": (">ClientHello", "<alert protocol_version")},
            "the peer answers profile v11 with alert protocol_version",
            "tls profile modern",
        ),
        ({"failure": "wrong version number", "events": (">ClientHello",)}, "no answer of TLS", "another port"),
    ],
)
def test_a_peer_that_never_chose_a_version_is_told_apart_by_what_it_said(what, text, command):
    (finding,) = findings(report(**what), "protocol")
    assert finding.level == "FAULT"
    assert text in finding.text
    assert finding.command.startswith(command)


@pytest.mark.parametrize("alert", [*REFUSALS, "access_denied"])
def test_each_alert_about_our_certificate_is_put_into_words(certificate, alert):
    events = ("<ServerHello", "<CertificateRequest", "<ServerHelloDone", f"<alert {alert}")
    made = report(failure="refused", version="TLSv1.2", cipher="any", events=events, presented=certificate)
    (finding,) = findings(made, "client")
    assert finding.level == "FAULT"
    assert f"(alert {alert})" in finding.text
    assert finding.command


def test_a_certificate_damaged_on_its_way_is_a_fault_of_the_chain(certificate):
    damaged = certificate.der[:-1] + bytes([certificate.der[-1] ^ 1])
    made = diagnose(report(failure="refused", chain_der=(damaged,)), AROUND)
    assert [fault.check for fault in made.faults] in (["chain"], ["trust"], ["chain", "trust"])


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=4))
def test_no_chain_makes_it_fail(chain):
    made = diagnose(report(failure="refused", chain_der=tuple(chain)), AROUND)
    assert made.faults[0].check == "chain"
    json.dumps(made.data())
    assert all(len(line) <= COLUMNS for line in made.text().splitlines())


@given(data=st.data())
def test_no_changed_certificate_makes_it_fail(certificate, data):
    der = bytearray(certificate.der)
    der[data.draw(st.integers(0, len(der) - 1))] ^= data.draw(st.integers(1, 255))
    made = diagnose(report(failure="refused", chain_der=(bytes(der),)), AROUND)
    assert made.faults
    assert made.text().isprintable() or "\n" in made.text()
