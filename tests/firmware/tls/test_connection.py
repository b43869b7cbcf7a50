"""OpenSSL's end of a connection: bytes in and out of its buffers, and its own words when it goes no further."""

from __future__ import annotations

import threading

import pytest

from firmware.tls import DEFAULT_PROFILE
from firmware.tls.connection import OUTPUT_BYTES, Connection, Failed, PeerClosed
from firmware.tls.contexts import make_context


class FakeOwner:
    """Is never asked anything: its peers show no certificates that anybody judges."""

    def alert_for_peer(self) -> int | None:
        raise AssertionError

    def serve_name(self, name: str | None) -> None:
        raise AssertionError

    def fail(self, error: BaseException) -> None:
        raise AssertionError


OWNER = FakeOwner()


def pair(context):
    client = Connection(make_context(None, DEFAULT_PROFILE), OWNER)
    client.connect(None)
    server = Connection(context, OWNER)
    server.accept()
    return client, server


def shake_hands(ends):
    client, server = ends
    for _ in range(2):
        client.shake_hands()
        server.feed(client.drain())
        server.shake_hands()
        client.feed(server.drain())
    assert client.shake_hands()
    return ends


@pytest.fixture
def context(make_credentials):
    return make_context(make_credentials(1024), DEFAULT_PROFILE)


@pytest.fixture
def ends(context):
    """A client and a server before their handshake."""
    return pair(context)


@pytest.fixture
def opened(ends):
    """The two behind it."""
    return shake_hands(ends)


def test_nothing_to_read_and_nothing_to_write_are_no_errors(ends):
    _, server = ends
    assert (server.drain(), server.shake_hands(), server.drain()) == (b"", False, b"")
    assert server.cipher_name == ""


def test_both_ends_have_noted_the_same_messages(opened):
    client, server = opened
    assert [str(event)[1:] for event in client.heard.events] == [str(event)[1:] for event in server.heard.events]
    assert [event.sent for event in client.heard.events] == [not event.sent for event in server.heard.events]
    assert (client.version, client.version_name, client.cipher_name) == (0x0303, "TLSv1.2", "AES128-GCM-SHA256")


def test_what_is_longer_than_all_buffers_arrives_whole(opened):
    client, server = opened
    said = bytes(range(256)) * (3 * OUTPUT_BYTES // 256)
    client.send(said)
    server.feed(client.drain())
    heard = b""
    while (piece := server.receive()) is not None:
        heard += piece
    assert heard == said
    assert client.drain() == b""


def test_a_peers_close_notify_is_told_from_a_failure(opened):
    client, server = opened
    client.close()
    server.feed(client.drain())
    with pytest.raises(PeerClosed):
        server.receive()
    assert [alert.name for alert in server.heard.alerts] == ["close_notify"]


def test_a_failure_has_openssls_own_words(ends):
    _, server = ends
    server.feed(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(Failed, match=r"^http request$"):
        server.shake_hands()


def test_a_server_turns_to_another_context_in_the_middle(ends, make_credentials):
    client, server = ends
    other = make_credentials(2048)
    server.turn_to(make_context(other, DEFAULT_PROFILE))
    client.shake_hands()
    server.feed(client.drain())
    server.shake_hands()
    client.feed(server.drain())
    client.shake_hands()
    certificate = next(event for event in client.heard.events if str(event) == "<Certificate")
    assert other.chain_der[0] in certificate.body


def test_worlds_of_several_threads_do_not_hear_one_another(context):
    pairs = [shake_hands(pair(context)) for _ in range(4)]
    unheard = [f"pair {number}" for number in range(len(pairs))]

    def talk(number):
        client, server = pairs[number]
        said = bytes([number]) * 8_000
        for _ in range(600):
            client.send(said)
            server.feed(client.drain())
            if server.receive() != said:
                return
        unheard.remove(f"pair {number}")

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(len(pairs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unheard == []
