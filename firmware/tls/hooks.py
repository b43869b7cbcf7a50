"""The private OpenSSL functions that the engine needs, all in one place: whoever moves the pinned versions looks here.

pyOpenSSL's public interface does not show handshake messages, does not let an own judge choose the alert that a refused
peer gets, and does not take a certificate that cryptography's own parser refuses (version 2, for example), although
OpenSSL itself serves it. All of that is reached through ``OpenSSL._util``, the binding that pyOpenSSL itself is written
on. What is used of it is checked when this module is imported.

OpenSSL calls back in the middle of a handshake::

    message complete -> _on_message -> the connection's list of messages
    ClientHello      -> _on_server_name -> another context, with another certificate
    Certificate      -> OpenSSL's own path check, which trusts nobody -> _on_certificate -> our judge, once -> alert

OpenSSL reports each objection of its own to ``_on_certificate``; the first report is answered with our judgement, and
so is every further one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import OpenSSL
from OpenSSL import SSL, _util

from firmware.tls.errors import CredentialsError, TlsError

__all__ = [
    "ConnectionHooks",
    "ask_for_certificate",
    "forward_messages",
    "forward_server_names",
    "hooks_of",
    "offer_groups",
    "use_certificates",
]

NEEDED = (
    "BIO_free",
    "BIO_new_mem_buf",
    "ERR_clear_error",
    "SSL_CTX_add_extra_chain_cert",
    "SSL_CTX_set1_curves_list",
    "SSL_CTX_set_msg_callback",
    "SSL_CTX_set_tlsext_servername_callback",
    "SSL_CTX_set_verify",
    "SSL_CTX_use_certificate",
    "SSL_get_ex_data_X509_STORE_CTX_idx",
    "SSL_get_servername",
    "X509_STORE_CTX_get_ex_data",
    "X509_STORE_CTX_set_error",
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


class ConnectionHooks:
    """What OpenSSL reports of one connection, and what it asks."""

    __slots__ = ("__weakref__", "alert_for_peer", "error", "messages", "serve_name")

    def __init__(self) -> None:
        self.messages: list[tuple[bool, int, bytes]] = []
        """In order: (sent by us, record type, bytes)."""
        self.alert_for_peer: Callable[[], int | None] | None = None
        """Judges the peer's certificates, which are in the last message; None: accepted, else the alert's code."""
        self.serve_name: Callable[[str | None], None] | None = None
        """Turns to the context that serves a client asking for this name, or for none."""
        self.error: BaseException | None = None
        """What one of the two raised. An exception cannot pass through OpenSSL: whoever called that has to raise it."""


_hooks: WeakValueDictionary[int, ConnectionHooks] = WeakValueDictionary()
"""By the address of OpenSSL's connection object."""

HANDSHAKE = 22
ALERT = 21
"""Record types, RFC 5246 6.2.1. The callback also reports headers and change-cipher-spec, which nobody needs."""


def _on_message(sent: int, _version: int, kind: int, buffer: Any, size: int, ssl: Any, _argument: Any) -> None:
    """Called by OpenSSL for every protocol message, decrypted, before it is acted upon. Must not raise."""
    if kind not in (HANDSHAKE, ALERT):
        return
    hooks = _hooks.get(_address(ssl))
    if hooks is not None:
        hooks.messages.append((bool(sent), kind, bytes(ffi.buffer(buffer, size))))


INTERNAL_ERROR = 80
UNSPECIFIED = 1
VERIFY_ERROR_OF_ALERT = {
    40: 50,  # handshake_failure: APPLICATION_VERIFICATION
    42: 28,  # bad_certificate: CERT_REJECTED
    43: 26,  # unsupported_certificate: INVALID_PURPOSE
    44: 23,  # certificate_revoked: CERT_REVOKED
    45: 10,  # certificate_expired: CERT_HAS_EXPIRED
    46: 34,  # certificate_unknown: UNHANDLED_CRITICAL_EXTENSION
    48: 20,  # unknown_ca: UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    51: 7,  # decrypt_error: CERT_SIGNATURE_FAILURE
    INTERNAL_ERROR: UNSPECIFIED,
}
"""AlertDescription to the X509_V_ERR of OpenSSL that makes it send that alert (``ssl_x509err2alert``)."""


def _on_certificate(_ok: int, store: Any) -> int:
    """Called by OpenSSL for each certificate of the peer and each objection to it. 1 accepts. Must not raise."""
    ssl = lib.X509_STORE_CTX_get_ex_data(store, lib.SSL_get_ex_data_X509_STORE_CTX_idx())
    alert = _alert_for(_hooks.get(_address(ssl)))
    # Accepted means without any error, whatever OpenSSL itself objects to.
    code = 0 if alert is None else VERIFY_ERROR_OF_ALERT.get(alert, UNSPECIFIED)
    lib.X509_STORE_CTX_set_error(store, code)
    return int(alert is None)


def _alert_for(hooks: ConnectionHooks | None) -> int | None:
    if hooks is None or hooks.alert_for_peer is None:
        return INTERNAL_ERROR
    try:
        return hooks.alert_for_peer()
    except BaseException as error:  # power may be cut while the judge looks at the trust list
        hooks.error = error
        return INTERNAL_ERROR


SERVED, REFUSED = 0, 2
"""SSL_TLSEXT_ERR_OK and SSL_TLSEXT_ERR_ALERT_FATAL."""


def _on_server_name(ssl: Any, _alert: Any, _argument: Any) -> int:
    """Called by OpenSSL for every ClientHello, also for one without a name. Must not raise."""
    hooks = _hooks.get(_address(ssl))
    if hooks is None or hooks.serve_name is None:
        return SERVED
    name = lib.SSL_get_servername(ssl, lib.TLSEXT_NAMETYPE_host_name)
    try:
        hooks.serve_name(None if name == ffi.NULL else ffi.string(name).decode("ascii", "replace"))
    except BaseException as error:
        hooks.error = error
        return REFUSED
    return SERVED


_message_callback: Any = ffi.callback("void(int, int, int, const void *, size_t, SSL *, void *)", _on_message)
_verify_callback: Any = ffi.callback("int (*)(int, X509_STORE_CTX *)", _on_certificate)  # 0, refused, if all else fails
_name_callback: Any = ffi.callback("int (*)(SSL *, int *, void *)", _on_server_name, error=REFUSED)


def _address(ssl: Any) -> int:
    return int(ffi.cast("uintptr_t", ssl))


def forward_messages(context: SSL.Context) -> None:
    """Makes connections of ``context`` report their messages to their hooks."""
    lib.SSL_CTX_set_msg_callback(context._context, _message_callback)


def forward_server_names(context: SSL.Context) -> None:
    """Makes servers of ``context`` ask their hooks which certificate a client is to see."""
    lib.SSL_CTX_set_tlsext_servername_callback(context._context, _name_callback)


def ask_for_certificate(context: SSL.Context, required: bool) -> None:
    """Makes connections of ``context`` have their peer judged by their hooks; servers ask for a certificate then."""
    mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else 0)
    lib.SSL_CTX_set_verify(context._context, mode, _verify_callback)


def hooks_of(connection: SSL.Connection) -> ConnectionHooks:
    """The hooks of ``connection``; they are called as long as somebody keeps them."""
    hooks = ConnectionHooks()
    _hooks[_address(connection._ssl)] = hooks
    return hooks


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
