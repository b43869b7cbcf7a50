"""The TLS client in virtual time: what it says of the board, and that it can refuse."""

from __future__ import annotations

import ssl

import pytest

from firmware.x509 import certificate_from_der
from hil.factory import MANUFACTURER_FILE
from hil.gateway import Gateway
from hil.tlsclient import TlsClient, client_context


def _manufacturer_pem() -> str:
    """The certificate in the manufacturer's file, without the key that stands beside it."""
    text = MANUFACTURER_FILE.read_text()
    begin = text.index("-----BEGIN CERTIFICATE-----")
    return text[begin : text.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")]


def test_it_gives_the_whole_chain_in_the_boards_order(board: Gateway) -> None:
    with TlsClient(board.connect(443)).handshake() as client:
        chain = [certificate_from_der(der) for der in client.peer_chain]
    assert [certificate.is_ca for certificate in chain] == [False, True]
    assert chain[0].issuer == chain[1].subject


def test_it_names_version_and_cipher_and_offers_what_it_is_told(board: Gateway) -> None:
    with TlsClient(board.connect(443)).handshake() as client:
        assert (client.version, client.cipher) == ("TLSv1.2", "AES128-GCM-SHA256")
    context = client_context(ciphers="ECDHE-RSA-AES128-SHA:@SECLEVEL=0", maximum=ssl.TLSVersion.TLSv1)
    with TlsClient(board.connect(443), context=context).handshake() as client:
        assert (client.version, client.cipher) == ("TLSv1", "ECDHE-RSA-AES128-SHA")


def test_it_verifies_when_it_has_a_trust_anchor(board: Gateway) -> None:
    with TlsClient(board.connect(443), context=client_context(trust_anchor=_manufacturer_pem())).handshake() as client:
        assert client.request("GET", "/").status == 200


@pytest.mark.gatebench(factory="upgraded")
def test_it_refuses_a_chain_that_does_not_lead_to_its_anchor(board: Gateway) -> None:
    board.console.expect("HTTPS is on", timeout_ms=60_000)
    client = TlsClient(board.connect(443), context=client_context(trust_anchor=_manufacturer_pem()))
    with pytest.raises(ssl.SSLCertVerificationError):
        client.handshake()


def test_requests_follow_one_another_on_one_connection(board: Gateway) -> None:
    with TlsClient(board.connect(443)).handshake() as client:
        keep = {"connection": "keep-alive"}
        assert client.request("GET", "/", headers=keep).status == 200
        assert client.request("GET", "/nowhere").status == 404


def test_a_port_that_refuses_is_a_connection_reset(board: Gateway) -> None:
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        TlsClient(board.connect(4_444)).handshake()
