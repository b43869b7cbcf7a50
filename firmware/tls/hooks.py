"""The private OpenSSL functions that the engine needs, all in one place: whoever moves the pinned versions looks here.

pyOpenSSL's public interface does not show handshake messages, and does not take a certificate that cryptography's own
parser refuses (version 2, for example), although OpenSSL itself serves it. Both are reached through ``OpenSSL._util``,
the binding that pyOpenSSL itself is written on. What is used of it is checked when this module is imported.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

import OpenSSL
from OpenSSL import SSL, _util

from firmware.tls.errors import CredentialsError, TlsError

__all__ = ["MessageSink", "forward_messages", "listen_to", "offer_groups", "use_certificates"]

NEEDED = (
    "BIO_free",
    "BIO_new_mem_buf",
    "ERR_clear_error",
    "SSL_CTX_add_extra_chain_cert",
    "SSL_CTX_set1_curves_list",
    "SSL_CTX_set_msg_callback",
    "SSL_CTX_use_certificate",
    "X509_free",
    "d2i_X509_bio",
)
"""Every private function that is called below."""

PINNED = "pyOpenSSL 26.4.0 over cryptography 50.0.2"

lib: Any = _util.lib
ffi: Any = _util.ffi


def check_binding(binding: object) -> None:
    """Raises TlsError unless ``binding`` has all that is called here."""
    missing = [name for name in NEEDED if not hasattr(binding, name)]
    if missing:
        raise TlsError(
            f"the OpenSSL binding of pyOpenSSL {OpenSSL.__version__} lacks {', '.join(missing)}; needed is {PINNED}"
        )


check_binding(lib)
if not hasattr(SSL.Connection(SSL.Context(SSL.TLS_METHOD)), "_ssl") or not hasattr(
    SSL.Context(SSL.TLS_METHOD), "_context"
):
    raise TlsError(f"pyOpenSSL {OpenSSL.__version__} hides its connection; needed is {PINNED}")


class MessageSink:
    """Where the messages of one connection arrive, in order: (sent by us, record type, bytes)."""

    __slots__ = ("__weakref__", "messages")

    def __init__(self) -> None:
        self.messages: list[tuple[bool, int, bytes]] = []


_sinks: WeakValueDictionary[int, MessageSink] = WeakValueDictionary()
"""Who listens, by the address of OpenSSL's connection object."""

HANDSHAKE = 22
ALERT = 21
"""Record types, RFC 5246 6.2.1. The callback also reports headers and change-cipher-spec, which nobody needs."""


def _on_message(sent: int, _version: int, kind: int, buffer: Any, size: int, ssl: Any, _argument: Any) -> None:
    """Called by OpenSSL for every protocol message, decrypted, before it is acted upon. Must not raise."""
    if kind not in (HANDSHAKE, ALERT):
        return
    sink = _sinks.get(_address(ssl))
    if sink is not None:
        sink.messages.append((bool(sent), kind, bytes(ffi.buffer(buffer, size))))


_callback: Any = ffi.callback("void(int, int, int, const void *, size_t, SSL *, void *)", _on_message)


def _address(ssl: Any) -> int:
    return int(ffi.cast("uintptr_t", ssl))


def forward_messages(context: SSL.Context) -> None:
    """Makes connections of ``context`` report their messages to whoever listens to them."""
    lib.SSL_CTX_set_msg_callback(context._context, _callback)


def listen_to(connection: SSL.Connection) -> MessageSink:
    """A sink for the messages of ``connection``; it hears as long as somebody keeps it."""
    sink = MessageSink()
    _sinks[_address(connection._ssl)] = sink
    return sink


def offer_groups(context: SSL.Context, groups: str) -> None:
    """Sets the key-exchange groups, preferred first, in OpenSSL's names joined by colons."""
    if lib.SSL_CTX_set1_curves_list(context._context, groups.encode("ascii")) != 1:
        lib.ERR_clear_error()
        raise TlsError(f"OpenSSL does not have the groups {groups}")


def use_certificates(context: SSL.Context, chain_der: tuple[bytes, ...]) -> None:
    """Gives ``context`` its certificate and those above it, byte for byte as they are.

    CredentialsError when OpenSSL cannot read one of them, or does not take it.
    """
    raw: Any = context._context
    for depth, der in enumerate(chain_der):
        certificate = _certificate_from_der(der, depth)
        if depth == 0:
            taken = lib.SSL_CTX_use_certificate(raw, certificate)  # counts a reference of its own
            lib.X509_free(certificate)
        else:
            taken = lib.SSL_CTX_add_extra_chain_cert(raw, certificate)  # takes over ours
        if taken != 1:
            lib.ERR_clear_error()
            raise CredentialsError(f"certificate {depth} of the chain was not taken by OpenSSL")


def _certificate_from_der(der: bytes, depth: int) -> Any:
    buffer = ffi.from_buffer(der)
    bio = lib.BIO_new_mem_buf(buffer, len(der))
    try:
        certificate = lib.d2i_X509_bio(bio, ffi.NULL)
    finally:
        lib.BIO_free(bio)
    if certificate == ffi.NULL:
        lib.ERR_clear_error()
        raise CredentialsError(f"certificate {depth} of the chain cannot be read by OpenSSL ({len(der)} bytes)")
    return certificate
