"""TLS on a board: what is paid, when bytes leave, and what slow or broken peers get."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from firmware.net import ConnectionLost
from firmware.tls import (
    ContextCache,
    CredentialsError,
    Judgement,
    PeerCheck,
    Role,
    TlsError,
    TlsStatistics,
    accept_tls,
    connect_tls,
    profile_from_name,
)


@pytest.fixture
def accepting(service_board, make_credentials):
    """A board that accepts one connection: (task, stream of the test, statistics)."""

    def make(bits=1024, profile="v11", window_bytes=65_535):
        stream, statistics = service_board.stream(window_bytes), TlsStatistics()
        task = service_board.spawn(
            accept_tls(
                service_board.kernel,
                service_board.costs,
                service_board.tcp(stream),
                ContextCache(),
                make_credentials(bits),
                profile_from_name(profile),
                statistics,
                service_board.log,
            )
        )
        return task, stream, statistics

    return make


def carry(board, stream, peer):
    """Carries bytes between peer and board until the handshake is over."""
    data = b""
    for _ in range(6):
        outgoing = peer.exchange(data)
        if outgoing:
            stream.feed(outgoing)
        board.run_ms(3_000)
        data = stream.take()
    assert peer.finished


@pytest.fixture
def opened(service_board, accepting, make_peer):
    """A connection with its handshake done: (TlsStream, stream of the test, peer)."""
    task, stream, _ = accepting()
    peer = make_peer()
    carry(service_board, stream, peer)
    return service_board.result(task), stream, peer


def test_a_handshake_is_counted_with_the_cpu_time_that_it_took(service_board, accepting, make_peer):
    task, stream, statistics = accepting()
    carry(service_board, stream, make_peer())
    tls = service_board.result(task)
    assert (tls.version, statistics.handshakes, statistics.failed) == ("TLSv1.2", 1, 0)
    assert statistics.last_us == pytest.approx(52_500, rel=0.05)
    charged = sum(cycles for kind, cycles in service_board.kernel.cycles.items() if kind != "switch")
    assert statistics.last_us == charged // 200


def test_last_us_follows_the_key_length_1_to_6_to_36(service_board, accepting, make_peer):
    times = []
    for bits in (1024, 2048, 4096):
        _, stream, statistics = accepting(bits)
        carry(service_board, stream, make_peer())
        times.append(statistics.last_us)
    assert times[1] / times[0] == pytest.approx(6, rel=0.05)
    assert times[2] / times[0] == pytest.approx(36, rel=0.05)


def test_no_answer_leaves_before_its_work_is_paid(service_board, accepting, make_peer):
    _, stream, _ = accepting(4096)
    peer = make_peer()
    stream.feed(peer.exchange())
    service_board.run_ms(10)
    stream.feed(peer.exchange(stream.take()))
    service_board.run_ms(1_880)
    assert stream.take() == b""
    service_board.run_ms(20)
    assert peer.exchange(stream.take()) == b""
    assert peer.finished


def test_others_run_while_the_private_operation_is_under_way(service_board, accepting, make_peer):
    _, stream, _ = accepting(4096)
    peer, ticks = make_peer(), []

    async def tick():
        for _ in range(100):
            await service_board.kernel.sleep_ms(5)
            ticks.append(service_board.kernel.now_ns)

    stream.feed(peer.exchange())
    service_board.run_ms(10)
    service_board.spawn(tick())
    stream.feed(peer.exchange(stream.take()))
    service_board.run_ms(600)
    assert len(ticks) >= 99
    assert max(later - earlier for earlier, later in pairwise(ticks)) < 8_000_000


def test_text_goes_both_ways_and_is_paid_for(service_board, opened):
    tls, stream, peer = opened
    before = service_board.kernel.cycles["cipher"]

    async def echo():
        await tls.write((await tls.read()).upper())

    task = service_board.spawn(echo())
    stream.feed(peer.say(b"hello"))
    service_board.run_ms(10)
    service_board.result(task)
    assert peer.hear(stream.take()) == b"HELLO"
    assert service_board.kernel.cycles["cipher"] - before == 10 * 70


def test_a_long_answer_waits_for_room_in_the_window(service_board, accepting, make_peer):
    accepted, stream, _ = accepting(window_bytes=5_000)
    peer = make_peer()
    carry(service_board, stream, peer)
    tls = service_board.result(accepted)
    task = service_board.spawn(tls.write(b"x" * 40_000))
    heard = b""
    for _ in range(100):
        service_board.run_ms(5)
        piece = stream.take()
        assert len(piece) <= 5_000
        heard += peer.hear(piece)
    service_board.result(task)
    assert heard == b"x" * 40_000


def test_close_notify_of_the_peer_ends_reading_properly(service_board, opened):
    tls, stream, peer = opened
    task = service_board.spawn(tls.read())
    stream.feed(peer.close())
    service_board.run_ms(1)
    assert service_board.result(task) == b""


def test_our_close_says_close_notify_and_closes_the_stream(service_board, opened):
    tls, stream, peer = opened
    service_board.result(service_board.spawn(tls.close()))
    assert peer.hear(stream.take()) == b""
    assert stream.status == "closed"


def test_a_cut_connection_is_lost_and_not_ended(service_board, opened):
    tls, stream, _ = opened
    service_board.spawn(tls.read())
    stream.end()
    with pytest.raises(ConnectionLost, match="without close_notify"):
        service_board.run_ms(1)


def test_a_reset_connection_is_lost(service_board, opened):
    tls, stream, _ = opened
    service_board.spawn(tls.read())
    stream.reset()
    with pytest.raises(ConnectionLost, match="was reset"):
        service_board.run_ms(1)


def test_a_peer_that_says_nothing_is_given_up_after_30_s(service_board, accepting):
    _, stream, statistics = accepting()
    service_board.run_ms(29_999)
    assert stream.status == "open"
    with pytest.raises(TlsError, match=r"192\.0\.2\.7:40000: waited 30 s for the peer"):
        service_board.run_ms(2)
    assert stream.status == "closed"
    assert (statistics.handshakes, statistics.failed) == (0, 1)


def test_a_peer_that_dribbles_is_given_up_as_well(service_board, accepting, make_peer):
    _, stream, _ = accepting()
    hello = make_peer().exchange()
    for index in range(14):
        stream.feed(hello[index : index + 1])
        service_board.run_ms(2_000)
    assert stream.status == "open"
    stream.feed(hello[14:15])
    with pytest.raises(TlsError, match="waited 30 s"):
        service_board.run_ms(2_001)


def test_a_peer_that_does_not_take_our_answer_is_given_up(service_board, accepting, make_peer):
    task, stream, statistics = accepting(window_bytes=100)
    peer = make_peer()
    stream.feed(peer.exchange(b""))
    service_board.run_ms(20_000)
    assert len(stream.take()) == 100
    service_board.run_ms(9_000)
    assert not task.done
    assert len(stream.take()) == 100, "room came, and patience did not come with it"
    with pytest.raises(TlsError, match="waited 30 s"):
        service_board.run_ms(2_000)
    assert (statistics.failed, stream.status) == (1, "closed")


def test_peers_that_all_come_at_once_are_all_served_however_long_it_takes(service_board, accepting, make_peer):
    crowd = [(*accepting(4096), make_peer()) for _ in range(20)]
    for _, stream, _, peer in crowd:
        stream.feed(peer.exchange())
    service_board.run_ms(100)
    for _, stream, _, peer in crowd:
        stream.feed(peer.exchange(stream.take()))
    service_board.run_ms(36_000)
    assert not any(task.done for task, _, _, _ in crowd)
    service_board.run_ms(3_000)
    assert all(statistics.handshakes == 1 for _, _, statistics, _ in crowd)


def test_a_peer_that_speaks_no_tls_gets_an_alert_and_a_line_in_the_log(service_board, accepting):
    _, stream, statistics = accepting()
    stream.feed(b"OPTIONS sip:box SIP/2.0\r\n\r\n")
    with pytest.raises(TlsError, match="failed"):
        service_board.run_ms(5)
    assert statistics.failed == 1
    assert "tls handshake with 192.0.2.7:40000 failed" in service_board.lines[-1]


def test_alerts_are_logged_with_name_number_and_direction(service_board, accepting, make_peer):
    _, stream, _ = accepting()
    stream.feed(make_peer("TLSv1_3").exchange())
    with pytest.raises(TlsError):
        service_board.run_ms(5)
    assert service_board.lines[0] == "tls alert protocol_version (70) sent to 192.0.2.7:40000"


def test_a_peer_that_leaves_in_the_middle_costs_no_handshake(service_board, accepting, make_peer):
    _, stream, statistics = accepting()
    stream.feed(make_peer().exchange())
    service_board.run_ms(5)
    stream.end()
    with pytest.raises(TlsError, match="ended during the handshake"):
        service_board.run_ms(5)
    assert (statistics.handshakes, statistics.last_us) == (0, 0)


def test_cancelling_the_task_closes_the_stream(service_board, accepting):
    task, stream, _ = accepting()
    task.cancel()
    service_board.run_ms(1)
    assert task.done
    assert stream.status == "closed"


def test_two_boards_ends_can_talk(service_board, accepting):
    accepted, ours, _ = accepting(2048)
    theirs = service_board.stream()
    connected = service_board.spawn(
        connect_tls(
            service_board.kernel,
            service_board.costs,
            service_board.tcp(theirs),
            ContextCache(),
            server_name="box.example",
        )
    )
    for _ in range(10):
        for source, target in ((theirs, ours), (ours, theirs)):
            if data := source.take():
                target.feed(data)
            service_board.run_ms(500)
    assert service_board.result(accepted).version == service_board.result(connected).version == "TLSv1.2"
    assert service_board.kernel.cycles["rsa-public"] == 1_700_000


def test_credentials_that_cannot_be_used_are_named_in_the_log_and_close_the_connection(service_board, make_credentials):
    stream, good = service_board.stream(), make_credentials(1024)
    bad = replace(good, key_der=b"nonsense")
    with pytest.raises(CredentialsError):
        service_board.spawn(
            accept_tls(
                service_board.kernel,
                service_board.costs,
                service_board.tcp(stream),
                ContextCache(),
                bad,
                log=service_board.log,
            )
        )
    assert "private key cannot be read" in service_board.lines[0]
    assert stream.status == "closed"


# -- peers that are judged


@pytest.fixture
def judged_pair(service_board, make_credentials):
    """Two ends on one board, each judging the other: runs them, gives the two tasks and what the listeners heard."""

    def make(ok_client=True, ok_server=True, profile="v11", charges=(("rsa-public", 1_000_000),)):
        heard = []

        def check(ok, required=True):
            def judge(chain_der, /):
                return Judgement(ok, "as told", 45, charges, "verdict")

            def judged(peer, role, chain_der, judgement):
                heard.append((role, len(chain_der), judgement, service_board.kernel.cycles["rsa-public"]))

            return PeerCheck(judge, required, judged)

        ours, theirs = service_board.stream(), service_board.stream()
        common = (service_board.kernel, service_board.costs)
        profile = profile_from_name(profile)
        accepted = service_board.spawn(
            ended(
                accept_tls(
                    *common,
                    service_board.tcp(ours),
                    ContextCache(),
                    make_credentials(1024),
                    profile,
                    log=service_board.log,
                    check=check(ok_client),
                )
            )
        )
        connected = service_board.spawn(
            ended(
                connect_tls(
                    *common,
                    service_board.tcp(theirs),
                    ContextCache(),
                    "box.example",
                    make_credentials(2048),
                    profile,
                    check=check(ok_server),
                )
            )
        )
        for _ in range(10):
            for source, target in ((theirs, ours), (ours, theirs)):
                if data := source.take():
                    target.feed(data)
                service_board.run_ms(500)
        return service_board.result(accepted), service_board.result(connected), heard

    async def ended(opening):
        try:
            return await opening
        except TlsError as error:
            return error

    return make


@pytest.mark.parametrize("profile", ["v11", "modern"])
def test_both_ends_tell_whom_they_judged_and_how(judged_pair, profile):
    server, client, heard = judged_pair(profile=profile)
    assert [(role, count, judgement.ok) for role, count, judgement, _ in heard] == [
        (Role.CLIENT, 1, True),
        (Role.SERVER, 1, True),
    ]
    assert (server.judgement.verdict, client.judgement.verdict) == ("verdict", "verdict")
    assert "<CertificateRequest" in client.events
    assert client.events[0] == ">ClientHello"


def test_what_the_judge_did_is_paid_before_its_word_counts(judged_pair, service_board):
    _, _, heard = judged_pair(charges=(("rsa-public", 40_000_000),))
    assert heard[0][3] >= 40_000_000
    assert service_board.kernel.cycles["rsa-public"] >= 80_000_000
    assert "parse" not in service_board.kernel.cycles, "reading certificates is part of what the judge charges"


def test_a_client_that_is_refused_costs_a_failed_handshake_and_a_line_in_the_log(judged_pair, service_board):
    server, client, heard = judged_pair(ok_client=False)
    assert isinstance(server, TlsError)
    assert str(client).endswith("failed: received alert certificate_expired")
    assert [role for role, _, judgement, _ in heard if not judgement.ok] == [Role.SERVER]
    assert "tls alert certificate_expired (45) sent to 192.0.2.7:40000" in service_board.lines
    assert service_board.lines[-1].endswith("failed: sent alert certificate_expired, as told")


def test_in_tls_1_3_a_client_learns_of_its_refusal_with_the_next_word(judged_pair, service_board):
    server, client, _ = judged_pair(ok_client=False, profile="modern")
    assert isinstance(server, TlsError)
    assert client.version == "TLSv1.3", "its own handshake is done"
    with pytest.raises(TlsError, match="received alert certificate_expired"):
        service_board.result(service_board.spawn(client.hear()))


def test_a_server_that_is_refused_never_sees_our_key_exchange(judged_pair, service_board):
    _, client, heard = judged_pair(ok_server=False)
    assert "sent alert certificate_expired, as told" in str(client)
    assert [(role, judgement.ok) for role, _, judgement, _ in heard] == [(Role.CLIENT, False)]
    assert service_board.kernel.cycles["rsa-private"] == 0


@pytest.mark.parametrize(("name", "cycles"), [("app.example", 62_500_000), ("box.example", 10_000_000)])
def test_the_key_of_the_certificate_that_was_chosen_by_name_is_paid_for(
    service_board, make_credentials, make_peer, name, cycles
):
    stream = service_board.stream()
    task = service_board.spawn(
        accept_tls(
            service_board.kernel,
            service_board.costs,
            service_board.tcp(stream),
            ContextCache(),
            make_credentials(1024),
            credentials_for=lambda asked: make_credentials(2048) if asked == "app.example" else None,
        )
    )
    carry(service_board, stream, make_peer(server_name=name))
    assert service_board.result(task).version == "TLSv1.2"
    assert service_board.kernel.cycles["rsa-private"] == cycles
