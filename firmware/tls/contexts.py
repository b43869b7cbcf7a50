"""OpenSSL's contexts: what an endpoint presents, what it takes, and what it demands of its peer, kept ready."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from firmware.tls.credentials import Credentials
from firmware.tls.errors import CredentialsError
from firmware.tls.judgement import PeerCheck, Role
from firmware.tls.profiles import DEFAULT_PROFILE, Profile

if TYPE_CHECKING:
    from OpenSSL import SSL

    from firmware.tls.hooks import Shown

__all__ = ["ClientContext", "ContextCache", "make_context"]

CONTEXTS = 8
"""Contexts kept ready: the device certificate and a handful of application certificates. One takes about 0.4 ms and
some 50 KiB of the host to make."""

SHARED_CONTEXTS = 32
"""Of clients, in the whole process: profiles, demands on the peer, and the few chains that stand above many clients."""


class Asking(StrEnum):
    """Whether a peer has to show certificates."""

    NOTHING = "nothing"
    """A client takes whatever comes."""
    IF_ANY = "if any"
    CERTIFICATE = "certificate"

    @classmethod
    def by(cls, check: PeerCheck | None) -> Asking:
        """What a check makes us ask for."""
        if check is None:
            return cls.NOTHING
        return cls.CERTIFICATE if check.required else cls.IF_ANY


class ClientContext(NamedTuple):
    """What a client's connections are made from."""

    shared: SSL.Context
    """What it has in common with all that offer and ask for the same, on whichever board: it holds no secret."""
    shown: Shown | None
    """What it shows by itself."""


Key = tuple[Role, Credentials | None, Profile, Asking]

_T = TypeVar("_T", "SSL.Context", ClientContext)


class ContextCache:
    """OpenSSL contexts, one per role, credentials, profile and demand on the peer, made when first needed.

    A context holds the private key: ``clear`` when the identity changes. Connections that are open keep theirs.
    """

    def __init__(self) -> None:
        self._contexts: OrderedDict[Key, SSL.Context | ClientContext] = OrderedDict()

    def __len__(self) -> int:
        return len(self._contexts)

    def server(
        self, credentials: Credentials, profile: Profile = DEFAULT_PROFILE, check: PeerCheck | None = None
    ) -> SSL.Context:
        """The context of a server that shows ``credentials``. CredentialsError when they cannot be used."""
        asking = Asking.by(check)
        key = (Role.SERVER, credentials, profile, asking)
        return self._get(key, lambda: make_context(credentials, profile, asking, by_name=True))

    def client(
        self,
        credentials: Credentials | None = None,
        profile: Profile = DEFAULT_PROFILE,
        check: PeerCheck | None = None,
    ) -> ClientContext:
        """The context of a client, which shows ``credentials`` if the server asks for them. As ``server``."""
        asking = Asking.by(check)
        key = (Role.CLIENT, credentials, profile, asking)
        return self._get(key, lambda: _client_context(credentials, profile, asking))

    def clear(self) -> None:
        """Forgets every context and the keys in them: the next connection sees what is in force then."""
        self._contexts.clear()

    def _get(self, key: Key, make: Callable[[], _T]) -> _T:
        # Two roles never have a key in common, so what is found is what ``make`` would make.
        context = cast("_T | None", self._contexts.get(key))
        if context is None:
            context = make()
            while len(self._contexts) >= CONTEXTS:
                self._contexts.popitem(last=False)
            self._contexts[key] = context
        else:
            self._contexts.move_to_end(key)
        return context


def make_context(
    credentials: Credentials | None, profile: Profile, asking: Asking = Asking.NOTHING, *, by_name: bool = False
) -> SSL.Context:
    """A context that takes no session back and never renegotiates.

    Args:
        by_name: whether connections of it choose their certificate by the name that a client asks for.
    """
    # Imported here, not above: a board that never speaks TLS need not load OpenSSL.
    from OpenSSL import SSL

    from firmware.tls import hooks

    context = SSL.Context(SSL.TLS_METHOD)
    # First of all, since it also sets the security level that certificates are measured by.
    context.set_cipher_list(profile.ciphers.encode("ascii"))
    context.set_tls13_ciphersuites(profile.ciphersuites.encode("ascii"))
    context.set_min_proto_version(profile.min_version)
    context.set_max_proto_version(profile.max_version)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # some 40 KiB of each connection that says nothing
    context.set_verify(SSL.VERIFY_NONE)
    if asking is not Asking.NOTHING:
        hooks.ask_for_certificate(context, required=asking is Asking.CERTIFICATE)
    hooks.offer_groups(context, profile.groups)
    hooks.forward_messages(context)
    if by_name:
        hooks.forward_server_names(context)
    if credentials is not None:
        _present(context, credentials)
    return context


def _client_context(credentials: Credentials | None, profile: Profile, asking: Asking) -> ClientContext:
    if credentials is None:
        return ClientContext(_shared_context(profile, asking, ()), None)
    from firmware.tls import hooks

    certificate = hooks.certificate_from_der(_leaf(credentials))
    shared = _shared_context(profile, asking, credentials.chain_der[1:])
    return ClientContext(shared, hooks.Shown(certificate, _key(credentials)))


@lru_cache(maxsize=SHARED_CONTEXTS)
def _shared_context(profile: Profile, asking: Asking, issuers_der: tuple[bytes, ...]) -> SSL.Context:
    """Clients' alone: 200 phones of one vendor differ in their certificates and keys, not in the CA above them, and
    making a context costs the host a third of a handshake."""
    from firmware.tls import hooks

    context = make_context(None, profile, asking)
    hooks.use_issuers(context, issuers_der)
    return context


def _leaf(credentials: Credentials) -> bytes:
    if not credentials.chain_der:
        raise CredentialsError("there is no certificate in the chain")
    return credentials.chain_der[0]


def _present(context: SSL.Context, credentials: Credentials) -> None:
    from firmware.tls import hooks

    _leaf(credentials)
    hooks.use_certificates(context, credentials.chain_der)
    hooks.use_key(context, _key(credentials))


def _key(credentials: Credentials) -> Any:
    """OpenSSL's private key."""
    from firmware.tls import hooks

    # Not cryptography's: that would have to be encoded anew for OpenSSL. The primes are not tested again, which would
    # take 0.4 s of the host for 4096 bits: that a key is sound was settled when it was made or uploaded, and that it
    # fits the certificate is checked when it is used.
    return hooks.rsa_key_from_der(credentials.key_der)
