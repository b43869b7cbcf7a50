"""The private OpenSSL functions that contexts need, and what OpenSSL calls back; connections' own are in `connection`.

Whoever moves the pinned versions looks into these two.

pyOpenSSL's public interface does not show handshake messages, does not let an own judge choose the alert that a refused
peer gets, and does not take a certificate that cryptography's own parser refuses (version 2, for example), although
OpenSSL itself serves it. All of that is reached through ``OpenSSL._util``, the binding that pyOpenSSL itself is written
on. What is used of it is checked when this module is imported.

OpenSSL calls back in the middle of a handshake::

    message complete -> _on_message -> it is noted for the owner
    ClientHello      -> _on_server_name -> the owner turns to another context, with another certificate
    Certificate      -> OpenSSL's own path check, which trusts nobody -> _on_certificate -> the owner's judge -> alert

OpenSSL reports each objection of its own to ``_on_certificate``; the first report is answered with our judgement, and
so is every further one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, cast
from weakref import ref

import OpenSSL
from OpenSSL import SSL, _util

from firmware.tls.errors import CredentialsError, TlsError
from firmware.tls.messages import Alert, HandshakeEvent, TlsEvent, alert_from_message

__all__ = [
    "Heard",
    "Owner",
    "Shown",
    "ask_for_certificate",
    "certificate_from_der",
    "ffi",
    "forward_messages",
    "forward_server_names",
    "heard_by_connection",
    "lib",
    "offer_groups",
    "present",
    "rsa_key_from_der",
    "use_certificates",
    "use_issuers",
    "use_key",
]

NEEDED = (
    "BIO_free",
    "BIO_new",
    "BIO_new_mem_buf",
    "BIO_read",
    "BIO_s_mem",
    "BIO_write",
    "ERR_clear_error",
    "EVP_PKEY_free",
    "EVP_PKEY_id",
    "SSL_CIPHER_get_name",
    "SSL_CTX_add_extra_chain_cert",
    "SSL_CTX_get0_param",
    "SSL_CTX_set1_curves_list",
    "SSL_CTX_set_msg_callback",
    "SSL_CTX_set_tlsext_servername_callback",
    "SSL_CTX_set_verify",
    "SSL_CTX_set_verify_depth",
    "SSL_CTX_use_PrivateKey",
    "SSL_CTX_use_certificate",
    "SSL_do_handshake",
    "SSL_free",
    "SSL_get_current_cipher",
    "SSL_get_error",
    "SSL_get_ex_data_X509_STORE_CTX_idx",
    "SSL_get_servername",
    "SSL_get_version",
    "SSL_new",
    "SSL_read",
    "SSL_set_SSL_CTX",
    "SSL_set_accept_state",
    "SSL_set_bio",
    "SSL_set_connect_state",
    "SSL_set_tlsext_host_name",
    "SSL_shutdown",
    "SSL_use_PrivateKey",
    "SSL_use_certificate",
    "SSL_version",
    "SSL_write",
    "X509_STORE_CTX_get_ex_data",
    "X509_STORE_CTX_set_error",
    "X509_VERIFY_PARAM_set_flags",
    "X509_free",
    "X509_up_ref",
    "d2i_PrivateKey_bio",
    "d2i_X509_bio",
)
"""Every private function that is called below, or in `connection`."""

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
if not hasattr(SSL.Context(SSL.TLS_METHOD), "_context"):
    raise TlsError(f"pyOpenSSL {OpenSSL.__version__} hides its context; needed is {PINNED}")


class Owner(Protocol):
    """Whoever drives a connection, and is asked about it."""

    def alert_for_peer(self) -> int | None:
        """Judges the peer's certificates, which were heard last; None: accepted, else the alert's code. Asked once."""
        ...

    def serve_name(self, name: str | None) -> None:
        """Turns to the context that serves a client asking for this name, or for none."""
        ...

    def fail(self, error: BaseException) -> None:
        """One of the two raised this. It cannot pass through OpenSSL, so whoever called that has to raise it."""
        ...


class Heard:
    """What a connection said and heard, until its owner takes note; and what was judged of the peer's certificates."""

    __slots__ = ("alerts", "events", "owner", "verify_error")

    def __init__(self, owner: Owner) -> None:
        self.owner = ref(owner)
        """Weak, so that a connection goes with its owner, and without a garbage collector."""
        self.events: list[TlsEvent] = []
        """Messages and alerts, in order."""
        self.alerts: list[Alert] = []
        """Those among the events."""
        self.verify_error: int | None = None
        """OpenSSL's number for our judgement; None before it was asked for."""


heard_by_connection: dict[Any, Heard] = {}
"""By OpenSSL's connection object, as long as it lives."""

HANDSHAKE = 22
ALERT = 21
"""Record types, RFC 5246 6.2.1. The callback also reports headers and change-cipher-spec, which nobody needs."""


_event = cast(Callable[[tuple[bool, bytes]], HandshakeEvent], partial(tuple.__new__, HandshakeEvent))
"""Makes an event without the detour by its class's own ``__new__``."""


def _on_message(sent: int, _version: int, kind: int, buffer: Any, size: int, ssl: Any, _argument: Any) -> None:
    """Called by OpenSSL for every protocol message, decrypted, before it is acted upon. Must not raise."""
    if kind == HANDSHAKE:
        heard = heard_by_connection.get(ssl)
        if heard is not None:
            heard.events.append(_event((sent != 0, _buffer(buffer, size)[:])))
    elif kind == ALERT:
        heard = heard_by_connection.get(ssl)
        if heard is not None:
            alert = alert_from_message(sent != 0, _buffer(buffer, size)[:])
            heard.events.append(alert)
            heard.alerts.append(alert)


_buffer: Any = ffi.buffer


CONNECTION_INDEX: int = lib.SSL_get_ex_data_X509_STORE_CTX_idx()
"""Where a verification keeps its connection."""

ACCEPTED = 0
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
    80: UNSPECIFIED,  # internal_error
}
"""AlertDescription to the X509_V_ERR of OpenSSL that makes it send that alert (``ssl_x509err2alert``)."""


def _on_certificate(_ok: int, store: Any) -> int:
    """Called by OpenSSL for each certificate of the peer and each objection to it. 1 accepts. Must not raise."""
    heard = heard_by_connection.get(lib.X509_STORE_CTX_get_ex_data(store, CONNECTION_INDEX))
    code = UNSPECIFIED
    if heard is not None:
        if heard.verify_error is None:
            heard.verify_error = _verify_error_from(heard.owner())
        code = heard.verify_error
    # Accepted means without any error, whatever OpenSSL itself objects to.
    lib.X509_STORE_CTX_set_error(store, code)
    return int(code == ACCEPTED)


def _verify_error_from(owner: Owner | None) -> int:
    if owner is None:
        return UNSPECIFIED
    try:
        alert = owner.alert_for_peer()
    except BaseException as error:  # power may be cut while the judge looks at the trust list
        owner.fail(error)
        return UNSPECIFIED
    return ACCEPTED if alert is None else VERIFY_ERROR_OF_ALERT.get(alert, UNSPECIFIED)


SERVED, REFUSED = 0, 2
"""SSL_TLSEXT_ERR_OK and SSL_TLSEXT_ERR_ALERT_FATAL."""


def _on_server_name(ssl: Any, _alert: Any, _argument: Any) -> int:
    """Called by OpenSSL for every ClientHello, also for one without a name. Must not raise."""
    heard = heard_by_connection.get(ssl)
    owner = None if heard is None else heard.owner()
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


NO_ISSUER = -2
"""As verify depth: so that OpenSSL looks for nobody above the peer's own certificate. 0 would allow one issuer, whose
key OpenSSL would read and whose signature it would verify; -1 means the default."""


def ask_for_certificate(context: SSL.Context, required: bool) -> None:
    """Makes connections of ``context`` have their peer judged by their owners; servers ask for a certificate then."""
    mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else 0)
    # OpenSSL need not look for a path, nor verify signatures, of which the judge will hear nothing: of the peer's own
    # certificate it says that its issuer is not there, which the judge is asked about.
    lib.SSL_CTX_set_verify_depth(context._context, NO_ISSUER)
    parameters = lib.SSL_CTX_get0_param(context._context)
    lib.X509_VERIFY_PARAM_set_flags(parameters, lib.X509_V_FLAG_PARTIAL_CHAIN)
    lib.SSL_CTX_set_verify(context._context, mode, _verify_callback)


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


def present(ssl: Any, shown: Shown) -> None:
    """Gives a connection a certificate and a key of its own; errors as of ``use_certificates`` and ``use_key``."""
    _check_taken(lib.SSL_use_certificate(ssl, shown.certificate), 0)
    _check_fitting(lib.SSL_use_PrivateKey(ssl, shown.key))


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
