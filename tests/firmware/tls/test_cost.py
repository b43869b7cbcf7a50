"""What handshakes cost: the reference text's law, with real handshakes against another implementation."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from firmware.tls import Alert, ContextCache, CostMeter, Engine, HandshakeEvent, Role, State, profile_from_name
from firmware.tls.cost import PRICES
from firmware.tls.messages import SERVER_HELLO, certificates_from_message


@pytest.fixture
def bill(service_board, make_credentials, make_peer):
    """``bill(bits, hash_name, profile, version)``: cycles by kind of one whole server handshake."""

    def make(bits=1024, hash_name="sha256", profile="v11", version="TLSv1_2"):
        credentials = replace(make_credentials(bits), signature_hash=hash_name)
        engine = Engine(ContextCache().server(credentials, profile_from_name(profile)), Role.SERVER)
        meter, peer, data = CostMeter(service_board.costs, credentials), make_peer(version), b""
        cycles = Counter()
        while not (peer.finished and engine.state is State.OPEN):
            step = engine.step(peer.exchange(data))
            assert step.state is not State.FAILED
            for kind, amount in meter.handshake(step.events):
                cycles[kind] += amount
            data = step.output
        return cycles

    return make


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2"])
def test_a_handshake_costs_6_times_per_doubling_and_36_times_for_4096(bill, version):
    small, middle, large = (bill(bits, version=version).total() for bits in (1024, 2048, 4096))
    assert middle / small == pytest.approx(6, rel=0.05)
    assert large / small == pytest.approx(36, rel=0.05)


def test_with_an_ephemeral_exchange_the_law_does_not_hold(bill):
    small, large = (bill(bits, profile="modern").total() for bits in (1024, 4096))
    assert large / small < 8


def test_costs_grow_with_the_hash_class_of_the_certificate(bill):
    totals = [bill(hash_name=name).total() for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")]
    assert all(earlier <= later for earlier, later in pairwise(totals))
    assert totals[3] < totals[4]


def test_one_private_operation_per_handshake_whatever_the_exchange(bill):
    for profile, version in (("v11", "TLSv1"), ("v11", "TLSv1_2"), ("modern", "TLSv1_2"), ("modern", "TLSv1_3")):
        assert bill(profile=profile, version=version)["rsa-private"] == 10_000_000


def test_an_ephemeral_exchange_is_paid_once(bill):
    assert bill(profile="v11")["tls"] == 500_000
    for version in ("TLSv1_2", "TLSv1_3"):
        assert bill(profile="modern", version=version)["tls"] == 500_000 + 64_000_000


def test_a_server_that_asks_no_certificate_does_no_public_operation(bill):
    assert bill()["rsa-public"] == 0


def test_the_private_operation_is_due_when_the_key_exchange_arrives(service_board, make_credentials, make_peer):
    credentials = make_credentials(1024)
    engine = Engine(ContextCache().server(credentials), Role.SERVER)
    meter, peer = CostMeter(service_board.costs, credentials), make_peer()
    first = engine.step(peer.exchange())
    assert "rsa-private" not in dict(meter.handshake(first.events))
    second = engine.step(peer.exchange(first.output))
    assert ("rsa-private", 10_000_000) in meter.handshake(second.events)


def test_a_client_pays_for_the_other_sides_key(service_board, make_credentials):
    cache = ContextCache()
    server = Engine(cache.server(make_credentials(2048)), Role.SERVER)
    client, meter, cycles = Engine(cache.client(), Role.CLIENT), CostMeter(service_board.costs), Counter()
    step = client.step(b"")
    while True:
        for kind, amount in meter.handshake(step.events):
            cycles[kind] += amount
        if not step.output:
            break
        step = client.step(server.step(step.output).output)
    assert cycles["rsa-public"] == 1_700_000
    assert cycles["parse"] == 30_000
    assert cycles["rsa-private"] == 0


def message(kind, body):
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


def test_records_cost_by_cipher_and_size(service_board):
    meter = CostMeter(service_board.costs)
    assert meter.records(100) == []
    hello = bytes.fromhex("0303") + bytes(32) + b"\0" + bytes.fromhex("003500")
    meter.handshake([HandshakeEvent(True, message(SERVER_HELLO, hello))])
    assert meter.records(100) == [("cipher", 9_500), ("hash", 3_100)]
    assert meter.records(0) == []


def test_an_unknown_suite_is_not_free(service_board):
    meter = CostMeter(service_board.costs)
    hello = bytes.fromhex("0303") + bytes(32) + b"\0" + b"\xfe\xfe\0"
    meter.handshake([HandshakeEvent(True, message(SERVER_HELLO, hello))])
    assert sum(cycles for _, cycles in meter.records(100)) >= 16_000


def test_alerts_are_free(service_board):
    assert CostMeter(service_board.costs).handshake([Alert(True, True, 40)]) == []


@pytest.mark.parametrize("size", range(0, 60, 7))
def test_messages_that_are_cut_short_are_priced_without_complaint(service_board, size):
    for kind in PRICES:
        CostMeter(service_board.costs).handshake([HandshakeEvent(False, message(kind, b"\x02" * size))])


def test_the_chain_of_a_certificate_message_is_found_in_both_formats():
    one, two = b"\x30\x01a", b"\x30\x02bb"
    old = b"".join((b"\0\0\x0d", b"\0\0\x03", one, b"\0\0\x04", two))
    new = b"".join((b"\0", b"\0\0\x11", b"\0\0\x03", one, b"\0\0", b"\0\0\x04", two, b"\0\x01x"))
    assert certificates_from_message(old) == (one, two)
    assert certificates_from_message(new, tls13=True) == (one, two)
    assert certificates_from_message(old[:-1]) == (one,)
    assert certificates_from_message(b"") == ()
