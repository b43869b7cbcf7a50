"""The private binding is checked before anything relies on it."""

from __future__ import annotations

import pytest

from firmware.tls import TlsError, hooks


def test_what_is_needed_of_the_binding_is_there():
    hooks.check_binding(hooks.lib)


def test_a_binding_without_the_hooks_is_refused_with_names_and_versions():
    with pytest.raises(TlsError, match=r"lacks BIO_free, .*SSL_CTX_set_msg_callback.*needed is pyOpenSSL 26\.4\.0"):
        hooks.check_binding(object())


def test_an_unknown_group_is_refused():
    from OpenSSL import SSL

    with pytest.raises(TlsError, match="does not have the groups P-1"):
        hooks.offer_groups(SSL.Context(SSL.TLS_METHOD), "P-1")
