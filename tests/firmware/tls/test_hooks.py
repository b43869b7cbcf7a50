"""The private binding is checked before anything relies on it."""

from __future__ import annotations

import random

import pytest
from OpenSSL import SSL

from firmware.tls import DEFAULT_PROFILE, ContextCache, Credentials, Engine, Role, State, TlsError, hooks
from firmware.tls.contexts import make_context
from firmware.x509 import CertificateOrder, DistinguishedName, PrivateKey, key_search
from firmware.x509.builder import issued_certificate, root_certificate

MADE_S = 1_767_225_600


def test_what_is_needed_of_the_binding_is_there():
    hooks.check_binding(hooks.lib)


def test_a_binding_without_the_hooks_is_refused_with_names_and_versions():
    with pytest.raises(TlsError, match=r"lacks BIO_free, .*SSL_CTX_set_msg_callback.*needed is pyOpenSSL 26\.4\.0"):
        hooks.check_binding(object())


def test_an_unknown_group_is_refused():
    with pytest.raises(TlsError, match="does not have the groups P-1"):
        hooks.offer_groups(SSL.Context(SSL.TLS_METHOD), "P-1")


@pytest.fixture(scope="module")
def issued() -> Credentials:
    """A chain of two, whose signatures are right."""
    ca_key, key = key_from_seed(1), key_from_seed(2)
    ca = root_certificate(order("CA"), ca_key, MADE_S, random.Random(1))
    leaf = issued_certificate(order("box.example"), key.public_key, ca, ca_key, 7, MADE_S)
    return Credentials((leaf.der, ca.der), key.der(), "sha256", 1024)


def order(name: str) -> CertificateOrder:
    return CertificateOrder(DistinguishedName(common_name=name), years=20)


def key_from_seed(seed: int) -> PrivateKey:
    search = key_search(1024, random.Random(seed))
    while True:
        try:
            next(search)
        except StopIteration as end:
            return end.value


UNABLE_TO_GET_ISSUER_CERT_LOCALLY = 20


def test_openssl_looks_at_the_peers_own_certificate_alone_and_finds_its_issuer_missing(issued):
    """Who issued it, and whether that signature is right, is the judge's business: it would be done twice."""
    reports = []

    @hooks.ffi.callback("int (*)(int, X509_STORE_CTX *)")
    def report(_ok, store):
        reports.append((hooks.lib.X509_STORE_CTX_get_error_depth(store), hooks.lib.X509_STORE_CTX_get_error(store)))
        hooks.lib.X509_STORE_CTX_set_error(store, 0)
        return 1

    context = make_context(None, DEFAULT_PROFILE)
    hooks.ask_for_certificate(context, required=True)
    hooks.lib.SSL_CTX_set_verify(context._context, SSL.VERIFY_PEER, report)
    ends = [Engine(context, Role.CLIENT), Engine(ContextCache().server(issued), Role.SERVER)]
    data = b""
    for turn in range(5):
        data = ends[turn % 2].step(data).output
    assert ends[0].state is State.OPEN
    assert {depth for depth, _ in reports} == {0}
    assert UNABLE_TO_GET_ISSUER_CERT_LOCALLY in [error for _, error in reports]


def test_a_connection_is_forgotten_with_its_engine(make_credentials):
    before = len(hooks.heard_by_connection)
    engine = Engine(ContextCache().server(make_credentials(1024)), Role.SERVER)
    assert len(hooks.heard_by_connection) == before + 1
    del engine
    assert len(hooks.heard_by_connection) == before
