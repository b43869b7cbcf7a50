"""What can go wrong in TLS.

::

    FirmwareError
     +-- TlsError                 the connection cannot be used: handshake failed, peer broke the protocol, too slow
          +-- CredentialsError    our own certificate or key cannot be used: the connection never began
"""

from __future__ import annotations

from firmware.errors import FirmwareError

__all__ = ["CredentialsError", "TlsError"]


class TlsError(FirmwareError):
    """A TLS connection cannot be made or used any more; the text says why."""


class CredentialsError(TlsError):
    """Certificate chain and key cannot be used: unreadable, or they do not belong together."""
