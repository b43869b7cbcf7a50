"""The private OpenSSL functions that the engine needs, all in one place: whoever moves the pinned versions looks here.

pyOpenSSL's public interface does not show handshake messages, does not let an own judge choose the alert that a refused
peer gets, and does not take a certificate that cryptography's own parser refuses (version 2, for example), although
OpenSSL itself serves it. All of that is reached through ``OpenSSL._util``, the binding that pyOpenSSL itself is written
on. What is used of it is checked when this module is imported.

OpenSSL calls back in the middle of a handshake::

    message complete -> _on_message -> the owner hears it
    ClientHello      -> _on_server_name -> the owner turns to another context, with another certificate
    Certificate      -> OpenSSL's own path check, which trusts nobody -> _on_certificate -> the owner's judge -> alert

OpenSSL reports each objection of its own to ``_on_certificate``; the first report is answered with our judgement, and
so is every further one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast
from weakref import ref

import OpenSSL
from OpenSSL import SSL, _util

from firmware.tls.errors import CredentialsError, TlsError

__all__ = [
    "Owner",
    "Shown",
    "ask_for_certificate",
    "attach",
    "certificate_from_der",
    "drain",
    "feed",
    "forward_messages",
    "forward_server_names",
    "offer_groups",
    "present",
    "receive",
    "rsa_key_from_der",
    "shake_hands",
    "use_certificates",
    "use_issuers",
    "use_key",
]

NEEDED = (
    "BIO_free",
    "BIO_new_mem_buf",
    "BIO_read",
    "BIO_write",
    "ERR_clear_error",
    "EVP_PKEY_free",
    "EVP_PKEY_id",
    "SSL_CTX_add_extra_chain_cert",
    "SSL_CTX_set1_curves_list",
    "SSL_CTX_set_msg_callback",
    "SSL_CTX_set_tlsext_servername_callback",
    "SSL_CTX_set_verify",
    "SSL_CTX_set_verify_depth",
    "SSL_CTX_use_PrivateKey",
    "SSL_CTX_use_certificate",
    "SSL_do_handshake",
    "SSL_get_error",
    "SSL_get_ex_data_X509_STORE_CTX_idx",
    "SSL_get_servername",
    "SSL_read",
    "SSL_use_PrivateKey",
    "SSL_use_certificate",
    "X509_STORE_CTX_get_ex_data",
    "X509_STORE_CTX_set_error",
    "X509_free",
    "X509_up_ref",
    "d2i_PrivateKey_bio",
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
USED = ("_ssl", "_into_ssl", "_from_ssl", "_raise_ssl_error")
"""Of a connection."""

_trial = SSL.Context(SSL.TLS_METHOD)
if not hasattr(_trial, "_context") or not all(hasattr(SSL.Connection(_trial, None), name) for name in USED):
    raise TlsError(f"pyOpenSSL {OpenSSL.__version__} hides its connection; needed is {PINNED}")


class Owner(Protocol):
    """Whoever drives a connection: hears of it, and is asked."""

    def hear(self, sent: bool, kind: int, data: bytes) -> None:
        """One message: whether it is ours, the record's type, its bytes."""
        ...

    def alert_for_peer(self) -> int | None:
        """Judges the peer's certificates, which are in the last message; None: accepted, else the alert's code."""
        ...

    def serve_name(self, name: str | None) -> None:
        """Turns to the context that serves a client asking for this name, or for none."""
        ...

    def fail(self, error: BaseException) -> None:
        """One of the two raised this. It cannot pass through OpenSSL, so whoever called that has to raise it."""
        ...


_owners: dict[Any, ref[Owner]] = {}
"""By OpenSSL's connection object. Weak, so that a connection goes with its owner, and without a garbage collector."""

HANDSHAKE = 22
ALERT = 21
REPORTED = frozenset((HANDSHAKE, ALERT))
"""Record types, RFC 5246 6.2.1. The callback also reports headers and change-cipher-spec, which nobody needs."""


def _on_message(sent: int, _version: int, kind: int, buffer: Any, size: int, ssl: Any, _argument: Any) -> None:
    """Called by OpenSSL for every protocol message, decrypted, before it is acted upon. Must not raise."""
    if kind in REPORTED:
        known = _owners.get(ssl)
        owner = None if known is None else known()
        if owner is not None:
            owner.hear(sent != 0, kind, _buffer(buffer, size)[:])


_buffer: Any = ffi.buffer


def _owner(ssl: Any) -> Owner | None:
    known = _owners.get(ssl)
    return None if known is None else known()


CONNECTION_INDEX: int = lib.SSL_get_ex_data_X509_STORE_CTX_idx()
"""Where a verification keeps its connection."""

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
    ssl = lib.X509_STORE_CTX_get_ex_data(store, CONNECTION_INDEX)
    alert = _alert_for(_owner(ssl))
    # Accepted means without any error, whatever OpenSSL itself objects to.
    code = 0 if alert is None else VERIFY_ERROR_OF_ALERT.get(alert, UNSPECIFIED)
    lib.X509_STORE_CTX_set_error(store, code)
    return int(alert is None)


def _alert_for(owner: Owner | None) -> int | None:
    if owner is None:
        return INTERNAL_ERROR
    try:
        return owner.alert_for_peer()
    except BaseException as error:  # power may be cut while the judge looks at the trust list
        owner.fail(error)
        return INTERNAL_ERROR


SERVED, REFUSED = 0, 2
"""SSL_TLSEXT_ERR_OK and SSL_TLSEXT_ERR_ALERT_FATAL."""


def _on_server_name(ssl: Any, _alert: Any, _argument: Any) -> int:
    """Called by OpenSSL for every ClientHello, also for one without a name. Must not raise."""
    owner = _owner(ssl)
    if owner is None:
        return SERVED
    name = lib.SSL_get_servername(ssl, lib.TLSEXT_NAMETYPE_host_name)
    try:
        owner.serve_name(None if name == ffi.NULL else ffi.string(name).decode("ascii", "replace"))
    except BaseException as error:
        owner.fail(error)
        return REFUSED
    return SERVED


_message_callback: Any = ffi.callback("void(int, int, int, const void *, size_t, SSL *, void *)", _on_message)
_verify_callback: Any = ffi.callback("int (*)(int, X509_STORE_CTX *)", _on_certificate)  # 0, refused, if all else fails
_name_callback: Any = ffi.callback("int (*)(SSL *, int *, void *)", _on_server_name, error=REFUSED)


def forward_messages(context: SSL.Context) -> None:
    """Makes connections of ``context`` report their messages to their owners."""
    lib.SSL_CTX_set_msg_callback(context._context, _message_callback)


def forward_server_names(context: SSL.Context) -> None:
    """Makes servers of ``context`` ask their owners which certificate a client is to see."""
    lib.SSL_CTX_set_tlsext_servername_callback(context._context, _name_callback)


def ask_for_certificate(context: SSL.Context, required: bool) -> None:
    """Makes connections of ``context`` have their peer judged by their owners; servers ask for a certificate then."""
    mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else 0)
    # OpenSSL need not look for a path, nor verify signatures, of which the judge will hear nothing.
    lib.SSL_CTX_set_verify_depth(context._context, 0)
    lib.SSL_CTX_set_verify(context._context, mode, _verify_callback)


OUTPUT_BYTES = 65_536
"""Taken out of OpenSSL at once: more than a flight of a handshake mostly is."""

_room: Any = ffi.new("char[]", OUTPUT_BYTES)


def shake_hands(connection: SSL.Connection) -> bool:
    """As ``do_handshake``, but False where more is wanted of the peer: an exception for each flight costs too much.

    SSL.Error when the handshake has failed.
    """
    unbound: Any = connection
    result = lib.SSL_do_handshake(unbound._ssl)
    if result <= 0:
        if lib.SSL_get_error(unbound._ssl, result) == lib.SSL_ERROR_WANT_READ:
            return False
        unbound._raise_ssl_error(unbound._ssl, result)
    return True


def receive(connection: SSL.Connection) -> bytes | None:
    """As ``recv`` of one record, but None where more is wanted of the peer. SSL.Error, SSL.ZeroReturnError."""
    unbound: Any = connection
    count = lib.SSL_read(unbound._ssl, _room, OUTPUT_BYTES)
    if count > 0:
        return cast(bytes, _buffer(_room, count)[:])
    if lib.SSL_get_error(unbound._ssl, count) != lib.SSL_ERROR_WANT_READ:
        unbound._raise_ssl_error(unbound._ssl, count)
    return None


def feed(connection: SSL.Connection, data: bytes) -> None:
    """As ``bio_write``. A memory buffer takes all there is."""
    unbound: Any = connection
    lib.BIO_write(unbound._into_ssl, data, len(data))


def drain(connection: SSL.Connection) -> bytes:
    """As ``bio_read``, all there is; nothing is no exception."""
    unbound: Any = connection
    data = b""
    while (count := lib.BIO_read(unbound._from_ssl, _room, OUTPUT_BYTES)) > 0:
        data += _buffer(_room, count)[:]
        if count < OUTPUT_BYTES:
            break
    return data


def attach(connection: SSL.Connection, owner: Owner) -> None:
    """Makes ``owner`` hear of ``connection``, as long as somebody else keeps it."""
    ssl: Any = connection._ssl

    def forget(gone: ref[Owner]) -> None:
        # A new connection may have got the same address meanwhile.
        if _owners.get(ssl_address) is gone:
            del _owners[ssl_address]

    ssl_address = ffi.cast("SSL *", ssl)  # the address alone: it must not keep the connection
    _owners[ssl_address] = ref(owner, forget)


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
        certificate = certificate_from_der(der, depth)
        # Either counts a reference of its own.
        if depth == 0:
            _check_taken(lib.SSL_CTX_use_certificate(raw, certificate), depth)
        else:
            _add_issuer(raw, certificate, depth)


def use_issuers(context: SSL.Context, issuers_der: tuple[bytes, ...]) -> None:
    """Gives ``context`` what is above the certificates of its connections; as ``use_certificates``."""
    raw: Any = context._context
    for depth, der in enumerate(issuers_der, 1):
        _add_issuer(raw, certificate_from_der(der, depth), depth)


def _add_issuer(context: Any, certificate: Any, depth: int) -> None:
    lib.X509_up_ref(certificate)
    taken = lib.SSL_CTX_add_extra_chain_cert(context, certificate)  # takes over the reference
    if taken != 1:
        lib.X509_free(certificate)
    _check_taken(taken, depth)


def _check_taken(taken: int, depth: int) -> None:
    if taken != 1:
        lib.ERR_clear_error()
        raise CredentialsError(f"certificate {depth} of the chain was not taken by OpenSSL")


def use_key(context: SSL.Context, key: Any) -> None:
    """Gives ``context`` the key of its certificate. CredentialsError when it is another's."""
    _check_fitting(lib.SSL_CTX_use_PrivateKey(context._context, key))


def present(connection: SSL.Connection, shown: Shown) -> None:
    """Gives ``connection`` a certificate and a key of its own; errors as of ``use_certificates`` and ``use_key``."""
    raw: Any = connection._ssl
    _check_taken(lib.SSL_use_certificate(raw, shown.certificate), 0)
    _check_fitting(lib.SSL_use_PrivateKey(raw, shown.key))


def _check_fitting(taken: int) -> None:
    if taken != 1:
        lib.ERR_clear_error()
        raise CredentialsError("the private key does not belong to the certificate")


class Shown(NamedTuple):
    """A certificate and its key as OpenSSL has read them; they go when nobody keeps them."""

    certificate: Any
    key: Any


def certificate_from_der(der: bytes, depth: int = 0) -> Any:
    """OpenSSL's certificate. CredentialsError, which names its place in the chain, when OpenSSL cannot read it."""
    certificate = _read(lib.d2i_X509_bio, der)
    if certificate == ffi.NULL:
        lib.ERR_clear_error()
        raise CredentialsError(f"certificate {depth} of the chain cannot be read by OpenSSL ({len(der)} bytes)")
    return ffi.gc(certificate, lib.X509_free)


def rsa_key_from_der(der: bytes) -> Any:
    """OpenSSL's private key, whose numbers are taken as they are. CredentialsError when it cannot be read or used."""
    key = _read(lib.d2i_PrivateKey_bio, der)
    if key == ffi.NULL:
        lib.ERR_clear_error()
        raise CredentialsError(f"the private key cannot be read by OpenSSL ({len(der)} bytes)")
    key = ffi.gc(key, lib.EVP_PKEY_free)
    if lib.EVP_PKEY_id(key) != lib.EVP_PKEY_RSA:
        raise CredentialsError("the private key is not an RSA key")
    return key


def _read(read: Callable[[Any, Any], Any], der: bytes) -> Any:
    """What one of OpenSSL's readers makes of ``der``; NULL where that is nothing."""
    buffer = ffi.from_buffer(der)
    bio = lib.BIO_new_mem_buf(buffer, len(der))
    try:
        return read(bio, ffi.NULL)
    finally:
        lib.BIO_free(bio)
