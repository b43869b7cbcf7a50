"""A TLS client that is not ours: Python's ``ssl`` over memory buffers, on the system's OpenSSL."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable

import pytest


class FakePeer:
    """A client that believes every certificate. Not modelled: a network."""

    def __init__(
        self,
        version: str = "TLSv1_2",
        ciphers: str = "ALL:@SECLEVEL=0",
        server_name: str | None = None,
        resume: FakePeer | None = None,
    ) -> None:
        context = resume.object.context if resume is not None else context_for(version, ciphers)
        session = resume.object.session if resume is not None else None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name, session=session)
        self.finished = False

    def exchange(self, data: bytes = b"") -> bytes:
        """Takes bytes from the server and gives bytes for it. ssl.SSLError when the handshake fails."""
        self._incoming.write(data)
        if not self.finished:
            try:
                self.object.do_handshake()
                self.finished = True
            except ssl.SSLWantReadError:
                pass
        return self._outgoing.read()

    def say(self, data: bytes) -> bytes:
        """Encrypts."""
        self.object.write(data)
        return self._outgoing.read()

    def hear(self, data: bytes) -> bytes:
        """Decrypts; ``b""`` at a close_notify."""
        self._incoming.write(data)
        heard = b""
        try:
            while piece := self.object.read(65_536):
                heard += piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return heard

    def close(self) -> bytes:
        """Says close_notify."""
        try:
            self.object.unwrap()
        except ssl.SSLError:
            pass
        return self._outgoing.read()


def context_for(version: str, ciphers: str) -> ssl.SSLContext:
    """One version, and suites by OpenSSL's cipher string."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old versions are what the tests are about
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers(ciphers)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    return context


@pytest.fixture
def make_peer() -> Callable[..., FakePeer]:
    """``make_peer(version="TLSv1_2", ciphers=..., server_name=None, resume=None)``."""
    return FakePeer
