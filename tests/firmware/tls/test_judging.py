"""The peer's certificates judged in the middle of a handshake: both roles, TLS 1.2 and 1.3, byte by byte in memory."""

from __future__ import annotations

import ssl

import pytest

from firmware.tls import (
    Alert,
    ContextCache,
    Credentials,
    Engine,
    Judgement,
    PeerCheck,
    Role,
    State,
    TlsError,
    profile_from_name,
)

VERSIONS = {"TLSv1.2": "v11", "TLSv1.3": "modern"}

ALERTS = {
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    48: "unknown_ca",
    51: "decrypt_error",
    80: "internal_error",
}
"""All that a judge may say (RFC 5246 7.2.2)."""


class FakeJudge:
    """Says what it was told to say, and remembers whom it was asked about. Not modelled: any law."""

    def __init__(self, ok: bool = True, alert: int = 48) -> None:
        self.chains: list[tuple[bytes, ...]] = []
        self._judgement = Judgement(ok, "for a reason", alert)

    def __call__(self, chain_der: tuple[bytes, ...], /) -> Judgement:
        self.chains.append(chain_der)
        return self._judgement


@pytest.fixture
def chain_of_three(make_credentials):
    """Credentials with three certificates that have nothing to do with one another."""
    own = make_credentials(1024)
    others = tuple(make_credentials(bits).chain_der[0] for bits in (2048, 4096))
    return Credentials(own.chain_der + others, own.key_der, "sha256", 1024)


class Pair:
    """Our server and our client."""

    def __init__(self, profile, server_credentials, client_credentials=None, *, of_client=None, of_server=None):
        cache, profile = ContextCache(), profile_from_name(profile)
        asks = None if of_client is None else PeerCheck(*of_client)
        expects = None if of_server is None else PeerCheck(of_server)
        self.server = Engine(
            cache.server(server_credentials, profile, asks), Role.SERVER, judge=asks.judge if asks else None
        )
        self.client = Engine(cache.client(client_credentials, profile, expects), Role.CLIENT, judge=of_server)
        self.seen: dict[Engine, list] = {self.server: [], self.client: []}

    def run(self):
        data, turn = self._step(self.client, b""), self.server
        while data:
            data, turn = self._step(turn, data), self.client if turn is self.server else self.server
        return self

    def _step(self, engine, data):
        step = engine.step(data)
        self.seen[engine] += step.events
        return step.output

    def alerts(self, engine):
        return [event for event in self.seen[engine] if isinstance(event, Alert)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("code", ALERTS)
def test_a_client_refuses_a_server_with_exactly_the_alert_that_the_judge_names(chain_of_three, version, code):
    judge = FakeJudge(False, code)
    pair = Pair(VERSIONS[version], chain_of_three, of_server=judge).run()
    assert pair.alerts(pair.client) == [Alert(sent=True, fatal=True, code=code)]
    assert pair.alerts(pair.server) == [Alert(sent=False, fatal=True, code=code)]
    assert pair.client.failure == f"sent alert {ALERTS[code]}, for a reason"
    assert pair.server.failure == f"received alert {ALERTS[code]}"
    assert pair.client.state is pair.server.state is State.FAILED
    assert judge.chains == [chain_of_three.chain_der], "the whole chain, once"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("code", ALERTS)
def test_a_server_refuses_a_client_with_exactly_the_alert_that_the_judge_names(
    make_credentials, chain_of_three, version, code
):
    judge = FakeJudge(False, code)
    pair = Pair(VERSIONS[version], make_credentials(1024), chain_of_three, of_client=(judge, True)).run()
    assert pair.alerts(pair.server) == [Alert(sent=True, fatal=True, code=code)]
    assert pair.alerts(pair.client) == [Alert(sent=False, fatal=True, code=code)]
    assert pair.server.failure == f"sent alert {ALERTS[code]}, for a reason"
    assert judge.chains == [chain_of_three.chain_der], "the whole chain, once"
    assert pair.server.peer_chain_der == chain_of_three.chain_der


@pytest.mark.parametrize("version", VERSIONS)
def test_both_ends_can_judge_each_other(chain_of_three, make_credentials, version):
    of_client, of_server = FakeJudge(), FakeJudge()
    pair = Pair(
        VERSIONS[version], chain_of_three, make_credentials(2048), of_client=(of_client, True), of_server=of_server
    ).run()
    assert (pair.server.state, pair.client.state) == (State.OPEN, State.OPEN)
    assert pair.client.version == version
    assert (of_server.chains, of_client.chains) == ([chain_of_three.chain_der], [make_credentials(2048).chain_der])
    assert pair.server.judgement.ok
    assert pair.client.judgement.ok


@pytest.mark.parametrize(("version", "code"), [("TLSv1.2", 40), ("TLSv1.3", 116)])
def test_a_client_without_certificate_is_refused_where_one_is_required(make_credentials, version, code):
    judge = FakeJudge()
    pair = Pair(VERSIONS[version], make_credentials(1024), of_client=(judge, True)).run()
    assert pair.alerts(pair.server) == [Alert(sent=True, fatal=True, code=code)]
    assert judge.chains == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_without_certificate_is_served_where_one_is_optional(make_credentials, version):
    judge = FakeJudge(False)
    pair = Pair(VERSIONS[version], make_credentials(1024), of_client=(judge, False)).run()
    assert pair.server.state is State.OPEN
    assert "<CertificateRequest" in [str(event) for event in pair.seen[pair.client]]
    assert (judge.chains, pair.server.judgement) == ([], None)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_that_need_not_be_shown_is_judged_all_the_same(make_credentials, version):
    judge = FakeJudge(False, 45)
    pair = Pair(VERSIONS[version], make_credentials(1024), make_credentials(2048), of_client=(judge, False)).run()
    assert pair.alerts(pair.server) == [Alert(sent=True, fatal=True, code=45)]


@pytest.mark.parametrize("version", VERSIONS)
def test_without_a_check_nobody_is_asked_for_a_certificate(make_credentials, version):
    pair = Pair(VERSIONS[version], make_credentials(1024), make_credentials(2048)).run()
    assert pair.server.state is State.OPEN
    assert "<CertificateRequest" not in [str(event) for event in pair.seen[pair.client]]
    assert pair.server.peer_chain_der == ()


def test_what_openssl_itself_objects_to_is_accepted_when_the_judge_accepts_it(make_credentials):
    good = make_credentials(1024)
    leaf = good.chain_der[0].replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020101"), 1)  # version 2, unsigned
    pair = Pair("v11", Credentials((leaf,), good.key_der, "sha256", 1024), of_server=FakeJudge()).run()
    assert pair.client.state is State.OPEN


@pytest.mark.parametrize("failure", [ZeroDivisionError("a mistake"), KeyboardInterrupt()])
def test_a_judge_that_fails_refuses_and_its_failure_comes_out(make_credentials, failure):
    def judge(chain_der, /):
        raise failure

    pair = Pair("v11", make_credentials(1024), of_server=judge)
    with pytest.raises(type(failure)):
        pair.run()
    assert pair.client.state is State.FAILED
    assert pair.client.step(b"").output, "the peer is told"


def test_an_alert_that_openssl_does_not_know_is_sent_as_internal_error(make_credentials):
    pair = Pair("v11", make_credentials(1024), of_server=FakeJudge(False, 200)).run()
    assert [alert.name for alert in pair.alerts(pair.client)] == ["internal_error"]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_session_is_not_resumed_past_the_judge(make_credentials, make_peer, version):
    judge, cache = FakeJudge(), ContextCache()
    check = PeerCheck(judge, required=False)
    context = cache.server(
        make_credentials(1024), profile_from_name("v11" if version == "TLSv1_2" else "modern"), check
    )
    first = make_peer(version)
    engine = shake(Engine(context, Role.SERVER, judge=judge), first)
    first.hear(engine.send(b"here are your tickets").output)
    second = make_peer(version, resume=first)
    engine = shake(Engine(context, Role.SERVER, judge=judge), second)
    assert second.object.session_reused is False
    assert engine.state is State.OPEN


def shake(engine, peer):
    data = b""
    for _ in range(6):
        step = engine.step(peer.exchange(data))
        data = step.output
    return engine


def test_a_certificate_that_openssl_cannot_read_is_known_and_judged_all_the_same(make_credentials):
    """A server that is not ours could send anything: here one byte of its certificate is changed on the way."""
    judge, good = FakeJudge(False, 42), make_credentials(1024)
    cache = ContextCache()
    server = Engine(cache.server(good), Role.SERVER)
    client = Engine(cache.client(check=PeerCheck(judge)), Role.CLIENT, judge=judge)
    flight = server.step(client.step(b"").output).output
    broken = flight.replace(b"\x30\x82", b"\x31\x82", 1)
    assert broken != flight
    step = client.step(broken)
    assert step.state is State.FAILED
    assert client.peer_chain_der[0][:1] == b"\x31"
    assert judge.chains == [client.peer_chain_der]
    assert [event.sent for event in step.events if isinstance(event, Alert)] == [True]


# -- the certificate by the client's word


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("asked", "bits"), [("app.example", 2048), ("other.example", 1024), (None, 1024)])
def test_the_server_shows_the_certificate_of_the_name_that_the_client_asks_for(make_credentials, version, asked, bits):
    cache, profile, asked_for = ContextCache(), profile_from_name(VERSIONS[version]), []

    def context_for_name(name):
        asked_for.append(name)
        return cache.server(make_credentials(2048 if name == "app.example" else 1024), profile)

    server = Engine(cache.server(make_credentials(1024), profile), Role.SERVER, context_for_name=context_for_name)
    client = Engine(cache.client(profile=profile), Role.CLIENT, asked)
    data = client.step(b"").output
    while data:
        data = client.step(server.step(data).output).output
    assert client.state is State.OPEN
    assert client.peer_chain_der == make_credentials(bits).chain_der
    assert asked_for == [asked]


def test_a_certificate_by_name_that_cannot_be_used_ends_the_connection_with_the_reason(make_credentials):
    def context_for_name(name):
        raise TlsError("that key is no key")

    cache = ContextCache()
    server = Engine(cache.server(make_credentials(1024)), Role.SERVER, context_for_name=context_for_name)
    with pytest.raises(TlsError, match="that key is no key"):
        server.step(Engine(cache.client(), Role.CLIENT, "app.example").step(b"").output)
    assert server.state is State.FAILED


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64 + ".example", ".".join(["label"] * 50)])
def test_a_name_that_can_be_none_is_refused_before_anything_is_sent(name):
    with pytest.raises(TlsError, match="is no host name"):
        Engine(ContextCache().client(), Role.CLIENT, name)


def test_contexts_are_kept_apart_by_what_they_ask_of_the_peer(make_credentials):
    cache, own = ContextCache(), make_credentials(1024)
    checks = [None, PeerCheck(FakeJudge(), required=False), PeerCheck(FakeJudge(), required=True)]
    assert len({id(cache.server(own, check=check)) for check in checks}) == 3
    assert cache.server(own, check=PeerCheck(FakeJudge())) is cache.server(own, check=checks[2])


def test_a_foreign_client_hears_the_alert(make_credentials, make_peer):
    judge = FakeJudge(False, 45)
    check = PeerCheck(judge)
    engine = Engine(ContextCache().server(make_credentials(1024), check=check), Role.SERVER, judge=judge)
    peer = make_peer()
    data = engine.step(peer.exchange()).output
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        peer.exchange(engine.step(peer.exchange(data)).output)
    assert judge.chains == [], "it has no certificate"
