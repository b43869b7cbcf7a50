"""OpenSSL's end of a connection over memory buffers: what pyOpenSSL's own has, as far as the engine needs it.

pyOpenSSL's raises an exception for each flight of a handshake, and for each look into an empty buffer. Here, nothing is
an answer like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from OpenSSL import SSL, _util

from firmware.tls.hooks import Heard, Owner, ffi, heard_by_connection, lib, present

if TYPE_CHECKING:
    from firmware.tls.hooks import Shown

__all__ = ["Connection", "Failed", "PeerClosed"]

OUTPUT_BYTES = 65_536
"""Taken out of OpenSSL at once: more than a flight of a handshake mostly is."""

RECORD_BYTES = 16_384
"""Largest plaintext of one record, RFC 8446 5.1."""

WANT_READ: int = lib.SSL_ERROR_WANT_READ

_Room: Any = ffi.typeof("char[]")
_new_room: Any = ffi.new_allocator(should_clear_after_alloc=False)
"""For each call, since OpenSSL works without the interpreter's lock: worlds of other threads go on meanwhile."""
_buffer: Any = ffi.buffer


class Failed(Exception):
    """OpenSSL goes no further; the text is its own, in one line. Never leaves the package."""


class PeerClosed(Exception):
    """The peer has said close_notify. Never leaves the package."""


class Connection:
    """One end of a connection.

    Args:
        owner: is asked what OpenSSL wants to know in the middle of a handshake.
        shown: what it presents instead of what its context has; CredentialsError when that cannot be used.
    """

    __slots__ = ("_context", "_from_ssl", "_into_ssl", "_ssl", "_ssl_address", "heard")

    def __init__(self, context: SSL.Context, owner: Owner, shown: Shown | None = None) -> None:
        self.heard = Heard(owner)
        """What was said and heard."""
        self._context = context
        self._ssl_address = lib.SSL_new(context._context)
        self._ssl = ffi.gc(self._ssl_address, lib.SSL_free)
        heard_by_connection[self._ssl_address] = self.heard
        self._into_ssl = lib.BIO_new(lib.BIO_s_mem())
        self._from_ssl = lib.BIO_new(lib.BIO_s_mem())
        lib.SSL_set_bio(self._ssl, self._into_ssl, self._from_ssl)  # which frees them with it
        if shown is not None:
            present(self._ssl, shown)

    def __del__(self, forget: Any = heard_by_connection.pop) -> None:
        forget(self._ssl_address, None)

    def accept(self) -> None:
        """Is the server's end."""
        lib.SSL_set_accept_state(self._ssl)

    def connect(self, server_name: bytes | None) -> None:
        """Is the client's end, which asks for this name."""
        lib.SSL_set_connect_state(self._ssl)
        if server_name is not None:
            lib.SSL_set_tlsext_host_name(self._ssl, server_name)

    @property
    def version(self) -> int:
        """As on the wire."""
        return cast(int, lib.SSL_version(self._ssl))

    @property
    def version_name(self) -> str:
        """For example ``TLSv1.2``."""
        return cast(bytes, ffi.string(lib.SSL_get_version(self._ssl))).decode()

    @property
    def cipher_name(self) -> str:
        """In OpenSSL's words; empty before a suite is chosen."""
        cipher = lib.SSL_get_current_cipher(self._ssl)
        return "" if cipher == ffi.NULL else cast(bytes, ffi.string(lib.SSL_CIPHER_get_name(cipher))).decode()

    def turn_to(self, context: SSL.Context) -> None:
        """Presents from now on what that context has."""
        lib.SSL_set_SSL_CTX(self._ssl, context._context)
        self._context = context

    def feed(self, data: bytes) -> None:
        """Takes what came from the wire: all of it."""
        lib.BIO_write(self._into_ssl, data, len(data))

    def drain(self) -> bytes:
        """What is to go onto the wire."""
        room = _new_room(_Room, OUTPUT_BYTES)
        count = lib.BIO_read(self._from_ssl, room, OUTPUT_BYTES)
        if count <= 0:
            return b""
        data: bytes = _buffer(room, count)[:]
        return data if count < OUTPUT_BYTES else data + self.drain()

    def shake_hands(self) -> bool:
        """Goes on with the handshake. False where more is wanted of the peer. Failed."""
        result = lib.SSL_do_handshake(self._ssl)
        if result > 0:
            return True
        if lib.SSL_get_error(self._ssl, result) != WANT_READ:
            self._raise(result)
        return False

    def receive(self) -> bytes | None:
        """What the peer said in one record; None where more is wanted of it. Failed, PeerClosed."""
        room = _new_room(_Room, RECORD_BYTES)
        count = lib.SSL_read(self._ssl, room, RECORD_BYTES)
        if count > 0:
            data: bytes = _buffer(room, count)[:]
            return data
        if lib.SSL_get_error(self._ssl, count) != WANT_READ:
            self._raise(count)
        return None

    def send(self, plaintext: bytes) -> None:
        """Encrypts it. Failed."""
        for start in range(0, len(plaintext), RECORD_BYTES):  # OpenSSL takes no more at once, as it is set
            piece = plaintext[start : start + RECORD_BYTES]
            result = lib.SSL_write(self._ssl, piece, len(piece))
            if result <= 0:
                self._raise(result)

    def close(self) -> None:
        """Says close_notify. Failed."""
        result = lib.SSL_shutdown(self._ssl)
        if result < 0:
            self._raise(result)

    def _raise(self, result: int) -> NoReturn:
        if lib.SSL_get_error(self._ssl, result) == lib.SSL_ERROR_ZERO_RETURN:
            raise PeerClosed
        raise Failed(_reason())


def _reason() -> str:
    """OpenSSL's own words for what went wrong, in one line."""
    try:
        _util.exception_from_error_queue(SSL.Error)
    except SSL.Error as error:
        return "; ".join([reason for _, _, reason in error.args[0]]) or "protocol error"
