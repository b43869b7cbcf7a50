"""The TLS engine against a client on another OpenSSL, byte by byte in memory."""

from __future__ import annotations

import ssl
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.tls import (
    PROFILES,
    Alert,
    ContextCache,
    Credentials,
    CredentialsError,
    Engine,
    Judgement,
    PeerCheck,
    Role,
    State,
    TlsError,
    profile_from_name,
)

CACHE = ContextCache()


def handshake(engine, peer):
    """Carries bytes until both sides are done or the engine has failed. Gives every event."""
    events = []
    data = b""
    for _ in range(10):
        outgoing = peer.exchange(data)
        step = engine.step(outgoing)
        events += step.events
        data = step.output
        if step.state is State.FAILED or (peer.finished and step.state is State.OPEN and not data):
            break
    return events


@pytest.fixture
def server(make_credentials):
    def make(profile="v11", bits=1024):
        return Engine(ContextCache().server(make_credentials(bits), profile_from_name(profile)), Role.SERVER)

    return make


def names(events):
    return [str(event) for event in events]


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2"])
@pytest.mark.parametrize("profile", ["v11", "legacy"])
def test_old_profiles_speak_tls_1_0_to_1_2_with_rsa_key_exchange(server, make_peer, version, profile):
    engine, peer = server(profile), make_peer(version)
    events = handshake(engine, peer)
    assert engine.state is State.OPEN
    assert engine.cipher.startswith("AES128")
    assert names(events) == [
        "<ClientHello",
        ">ServerHello",
        ">Certificate",
        ">ServerHelloDone",
        "<ClientKeyExchange",
        "<Finished",
        ">Finished",
    ]


def test_modern_profile_speaks_ecdhe(server, make_peer):
    engine = server("modern")
    events = handshake(engine, make_peer("TLSv1_2"))
    assert engine.cipher == "ECDHE-RSA-AES128-GCM-SHA256"
    assert ">ServerKeyExchange" in names(events)


def test_modern_profile_speaks_tls_1_3(server, make_peer):
    engine = server("modern")
    events = handshake(engine, make_peer("TLSv1_3"))
    assert engine.version == "TLSv1.3"
    assert ">CertificateVerify" in names(events)


@pytest.mark.parametrize(("profile", "version"), [("v11", "TLSv1_3"), ("modern", "TLSv1_1"), ("legacy", "TLSv1_3")])
def test_a_version_outside_the_profile_is_refused_with_protocol_version(server, make_peer, profile, version):
    engine, peer = server(profile), make_peer(version)
    step = engine.step(peer.exchange())
    assert step.state is State.FAILED
    assert step.events[-1] == Alert(sent=True, fatal=True, code=70)
    assert "sent alert protocol_version" in engine.failure
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        peer.exchange(step.output)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("ciphers", ["aNULL:@SECLEVEL=0", "eNULL:@SECLEVEL=0"])
def test_no_profile_takes_anonymous_or_unencrypted_suites(server, make_peer, profile, ciphers):
    engine, peer = server(profile), make_peer("TLSv1_2", ciphers)
    step = engine.step(peer.exchange())
    assert step.state is State.FAILED
    assert [event.name for event in step.events if isinstance(event, Alert)] == ["handshake_failure"]


def test_application_data_goes_both_ways(server, make_peer):
    engine, peer = server(), make_peer()
    handshake(engine, peer)
    assert engine.step(peer.say(b"ping")).plaintext == b"ping"
    assert peer.hear(engine.send(b"pong" * 10_000).output) == b"pong" * 10_000


def test_a_byte_at_a_time_gives_the_same_handshake(server, make_peer):
    engine, peer = server(), make_peer()
    events, data = [], b""
    while not peer.finished or engine.state is not State.OPEN:
        outgoing = peer.exchange(data)
        data = b""
        for index in range(len(outgoing)):
            step = engine.step(outgoing[index : index + 1])
            events += step.events
            data += step.output
    assert names(events)[-1] == ">Finished"


def test_nothing_is_sent_before_the_events_of_its_step_are_known(server, make_peer):
    engine, peer = server(), make_peer()
    step = engine.step(peer.exchange())
    assert step.output
    assert names(step.events) == ["<ClientHello", ">ServerHello", ">Certificate", ">ServerHelloDone"]


def test_close_notify_is_answered_and_ends_the_connection(server, make_peer):
    engine, peer = server(), make_peer()
    handshake(engine, peer)
    step = engine.step(peer.close())
    assert step.state is State.CLOSED
    assert names(step.events) == ["<alert close_notify", ">alert close_notify"]
    with pytest.raises(TlsError, match="closed"):
        engine.send(b"too late")


def test_our_close_sends_close_notify(server, make_peer):
    engine, peer = server(), make_peer()
    handshake(engine, peer)
    assert names(engine.close().events) == [">alert close_notify"]
    assert engine.state is State.CLOSED


def test_an_end_without_close_notify_is_a_failure(server, make_peer):
    engine, peer = server(), make_peer()
    handshake(engine, peer)
    assert engine.eof().state is State.FAILED
    assert engine.failure == "connection ended without close_notify"


def test_garbage_is_refused_and_the_engine_stays_failed(server, make_peer):
    engine = server()
    assert engine.step(b"GET / HTTP/1.1\r\nHost: box\r\n\r\n").state is State.FAILED
    assert engine.failure
    assert engine.step(make_peer().exchange()).state is State.FAILED


def test_a_flipped_bit_in_a_record_is_answered_with_bad_record_mac(server, make_peer):
    engine, peer = server(), make_peer()
    handshake(engine, peer)
    record = bytearray(peer.say(b"money"))
    record[-1] ^= 1
    step = engine.step(bytes(record))
    assert step.plaintext == b""
    assert [event.name for event in step.events] == ["bad_record_mac"]


def test_sessions_are_never_resumed(make_credentials, make_peer):
    context = ContextCache().server(make_credentials(1024))
    first = make_peer()
    handshake(Engine(context, Role.SERVER), first)
    second = make_peer(resume=first)
    events = handshake(Engine(context, Role.SERVER), second)
    assert second.object.session_reused is False
    assert "<ClientKeyExchange" in names(events)


def test_both_ends_can_be_ours(make_credentials):
    cache = ContextCache()
    server = Engine(cache.server(make_credentials(1024)), Role.SERVER)
    client = Engine(cache.client(), Role.CLIENT, "box.example")
    data, events = client.step(b"").output, []
    while data:
        reply = server.step(data)
        step = client.step(reply.output)
        events += step.events
        data = step.output
    assert (server.state, client.state) == (State.OPEN, State.OPEN)
    assert "<Certificate" in names(events)
    assert client.step(server.send(b"hello").output).plaintext == b"hello"


def test_events_of_two_connections_are_kept_apart(server, make_peer):
    one, two = server(), server()
    one.step(make_peer().exchange())
    assert two.step(b"").events == ()


def test_contexts_are_made_once_and_forgotten_on_clear(make_credentials):
    cache = ContextCache()
    first = cache.server(make_credentials(1024))
    assert cache.server(make_credentials(1024)) is first
    assert cache.server(make_credentials(1024), profile_from_name("modern")) is not first
    cache.clear()
    assert len(cache) == 0
    assert cache.server(make_credentials(1024)) is not first


def test_an_open_connection_outlives_its_context(make_credentials, make_peer):
    cache, peer = ContextCache(), make_peer()
    engine = Engine(cache.server(make_credentials(1024)), Role.SERVER)
    handshake(engine, peer)
    cache.clear()
    assert engine.step(peer.say(b"still here")).plaintext == b"still here"


def test_the_cache_does_not_grow_without_end(make_credentials):
    cache = ContextCache()
    good = make_credentials(1024)
    for bits in range(20):
        cache.server(Credentials(good.chain_der, good.key_der, "sha256", bits))
    assert len(cache) == 8


def test_clients_of_every_board_share_all_but_their_certificates_and_keys(make_credentials, make_peer):
    one, two = make_credentials(1024), make_credentials(2048)
    first, other, again = (ContextCache().client(each) for each in (one, two, one))
    assert first.shared is other.shared is again.shared
    assert first.shared is not ContextCache().client(one, profile_from_name("modern")).shared
    assert ContextCache().client().shown is None


@pytest.mark.parametrize("profile", ["v11", "modern"])
def test_each_client_shows_the_server_its_own_chain(make_credentials, profile):
    cache, judge = ContextCache(), lambda chain_der: Judgement(True, "welcome")
    profile, check = profile_from_name(profile), PeerCheck(judge)
    context = cache.server(make_credentials(1024), profile, check)
    for bits, above in ((1024, ()), (2048, (make_credentials(4096).chain_der[0],)), (1024, ())):
        shown = replace(make_credentials(bits), chain_der=make_credentials(bits).chain_der + above)
        server = Engine(context, Role.SERVER, judge=judge)
        client = Engine(ContextCache().client(shown, profile), Role.CLIENT)
        data = client.step(b"").output
        while data:
            data = client.step(server.step(data).output).output
        assert server.state is client.state is State.OPEN
        assert server.peer_chain_der == shown.chain_der


def test_a_client_s_key_and_certificate_must_belong_together(make_credentials):
    one, two = make_credentials(1024), make_credentials(2048)
    context = ContextCache().client(Credentials(one.chain_der, two.key_der, "sha256", 1024))
    with pytest.raises(CredentialsError, match="does not belong"):
        Engine(context, Role.CLIENT)


def test_key_and_certificate_must_belong_together(make_credentials):
    one, two = make_credentials(1024), make_credentials(2048)
    with pytest.raises(CredentialsError, match="does not belong"):
        ContextCache().server(Credentials(one.chain_der, two.key_der, "sha256", 1024))


@pytest.mark.parametrize(
    ("chain", "key", "message"),
    [
        ((), b"", "no certificate"),
        ((b"\x30\x03abc",), b"", "certificate 0 of the chain cannot be read"),
        (None, b"nonsense", "private key cannot be read"),
    ],
)
def test_unusable_credentials_are_refused_with_the_reason(make_credentials, chain, key, message):
    good = make_credentials(1024)
    bad = Credentials(good.chain_der if chain is None else chain, key, "sha256", 1024)
    for make in (ContextCache().server, ContextCache().client):
        with pytest.raises(CredentialsError, match=message):
            make(bad)


def test_a_certificate_of_version_2_is_served(make_credentials, make_peer):
    good = make_credentials(1024)
    leaf = good.chain_der[0].replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020101"), 1)
    engine = Engine(ContextCache().server(Credentials((leaf,), good.key_der, "sha256", 1024)), Role.SERVER)
    peer = make_peer()
    handshake(engine, peer)
    assert peer.object.getpeercert(binary_form=True) == leaf


def test_an_unknown_profile_is_named_with_the_known_ones():
    with pytest.raises(TlsError, match="no TLS profile v12, there are v11, modern, legacy"):
        profile_from_name("v12")


def test_importing_tls_does_not_load_openssl():
    code = "import sys, firmware.tls; print(sorted({'OpenSSL', 'cryptography'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("profile", ["v11", "modern"])
def test_a_client_knows_the_chain_that_it_was_shown(make_credentials, profile):
    cache, credentials = ContextCache(), make_credentials(1024)
    server = Engine(cache.server(credentials, profile_from_name(profile)), Role.SERVER)
    client = Engine(cache.client(profile=profile_from_name(profile)), Role.CLIENT)
    data = client.step(b"").output
    while data:
        data = client.step(server.step(data).output).output
    assert client.state is State.OPEN
    assert client.peer_chain_der == credentials.chain_der
    assert server.peer_chain_der == ()


@pytest.mark.parametrize(("host", "sent"), [("box.example", True), ("192.0.2.1", False), ("[2001:db8::1]", False)])
def test_a_server_name_is_sent_unless_it_is_an_address(host, sent):
    hello = Engine(ContextCache().client(), Role.CLIENT, host).step(b"").output
    assert (host.encode() in hello) is sent


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_no_bytes_make_the_engine_raise(make_credentials, pieces):
    engine = Engine(CACHE.server(make_credentials(1024)), Role.SERVER)
    for piece in pieces:
        step = engine.step(b"\x16\x03\x01" + piece)
        assert step.state in (State.HANDSHAKE, State.FAILED)
