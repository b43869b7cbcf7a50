"""The judge of TLS peers: always the validator's word, at the validator's price, whatever is remembered of before."""

from __future__ import annotations

import random

import pytest

from firmware.tls import Role
from firmware.x509 import CertificateOrder, DistinguishedName, key_search, self_signed_certificate
from firmware.x509.peerjudge import PeerJudge
from firmware.x509.trust import TrustList
from firmware.x509.verdict import Reason, Trust

MADE = 1_767_225_600
YEAR = 365 * 86_400


class FakeStore:
    """Values in a dictionary. Not modelled: flash."""

    def __init__(self) -> None:
        self.values = {}

    def get(self, name):
        return self.values.get(name)

    def names(self, prefix=""):
        return [name for name in self.values if name.startswith(prefix)]

    def commit(self, changes):
        self.values.update(changes)
        self.values = {name: value for name, value in self.values.items() if value is not None}


class FakeCosts:
    """Each thing costs another number. Not modelled: sizes."""

    def __init__(self, certificate=7):
        self.certificate = certificate

    def digest(self, algorithm, size_bytes):
        return 11

    def rsa_public(self, bits):
        return 13


@pytest.fixture(scope="module")
def certificate():
    search = key_search(1024, random.Random(1))
    while True:
        try:
            next(search)
        except StopIteration as end:
            order = CertificateOrder(DistinguishedName(common_name="gw.example.com"), years=1)
            return self_signed_certificate(order, end.value, MADE, random.Random(1))


class Court:
    """A judge, its trust list and its clock."""

    def __init__(self, costs=None) -> None:
        self.trust = TrustList(FakeStore())
        self.now_s = MADE
        self.heard = []
        self.costs = costs or FakeCosts()
        self.peers = PeerJudge(self.trust, self.costs, lambda: self.now_s, lambda *what: self.heard.append(what))

    def judgement(self, certificate, name="gw.example.com"):
        return self.peers.of_servers(name).judge((certificate.der,))


@pytest.fixture
def court():
    return Court()


def test_a_judgement_has_the_validators_words_alert_price_and_verdict(court, certificate):
    judgement = court.judgement(certificate)
    assert not judgement.ok
    assert judgement.verdict.reason is Reason.UNTRUSTED_CA
    assert (judgement.alert, judgement.sentence) == (48, judgement.verdict.text)
    assert judgement.charges == judgement.verdict.charges != ()


def test_trust_counts_from_the_next_judgement_on_and_so_does_its_end(court, certificate):
    assert not court.judgement(certificate).ok
    court.trust.add([certificate])
    assert court.judgement(certificate).verdict.trust is Trust.ENDPOINT
    court.trust.remove([certificate.fingerprint("sha1")])
    assert not court.judgement(certificate).ok


def test_a_remembered_judgement_costs_what_it_cost_the_first_time(court, certificate):
    court.trust.add([certificate])
    first, second = court.judgement(certificate), court.judgement(certificate)
    assert first.charges == second.charges
    assert sum(cycles for _, cycles in first.charges) > 0


@pytest.mark.parametrize(("after_s", "reason"), [(-1, Reason.NOT_YET_VALID), (2 * YEAR, Reason.EXPIRED)])
def test_time_goes_on_for_a_peer_that_was_accepted_before(court, certificate, after_s, reason):
    court.trust.add([certificate])
    assert court.judgement(certificate).ok
    court.now_s = MADE + after_s
    judgement = court.judgement(certificate)
    assert (judgement.ok, judgement.verdict.reason, judgement.alert) == (False, reason, 45)
    court.now_s = MADE
    assert court.judgement(certificate).ok


def test_what_was_accepted_as_server_is_not_therefore_accepted_as_client(court, certificate):
    court.trust.add([certificate])
    as_server = court.judgement(certificate)
    as_client = court.peers.of_clients(True).judge((certificate.der,))
    assert as_client is not as_server


def test_boards_that_trust_the_same_judge_the_same_and_each_is_told_the_price(court, certificate):
    other = Court(court.costs)
    for each in (court, other):
        each.trust.add([certificate])
    first, second = court.judgement(certificate), other.judgement(certificate)
    assert second is first
    assert sum(cycles for _, cycles in second.charges) > 0


def test_a_board_that_trusts_others_does_not_hear_what_was_said_elsewhere(court, certificate):
    court.trust.add([certificate])
    assert court.judgement(certificate).ok
    assert not Court(court.costs).judgement(certificate).ok


def test_a_board_with_another_cpu_is_told_its_own_price(court, certificate):
    slower = Court(FakeCosts(certificate=8))
    for each in (court, slower):
        each.trust.add([certificate])
    assert court.judgement(certificate).charges == (("parse", 7),)
    assert slower.judgement(certificate).charges == (("parse", 8),)


def test_clients_may_or_must_show_a_certificate_and_servers_always_do(court):
    assert [court.peers.of_clients(required).required for required in (False, True)] == [False, True]
    assert court.peers.of_servers(None).required


def test_the_listener_is_handed_on(court):
    court.peers.of_servers(None).judged("peer", Role.CLIENT, (), None)
    assert court.heard == [("peer", Role.CLIENT, (), None)]
