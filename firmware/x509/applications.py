"""What TLS presents for a domain that an application, or a client, names; looked up once, until something changes."""

from __future__ import annotations

from firmware.tls import Credentials
from firmware.x509.cabinet import Cabinet

__all__ = ["Applications"]

REMEMBERED = 32
"""Names whose certificate is remembered: strangers may ask for any number of them."""


class Applications:
    """Application certificates by domain name (reference text, Application certificates, Naming)."""

    def __init__(self, cabinet: Cabinet) -> None:
        self._cabinet = cabinet
        self._found: dict[str, Credentials | None] = {}

    def forget(self) -> None:
        """To be called after every change of a certificate."""
        self._found.clear()

    def credentials(self, name: str | None) -> Credentials | None:
        """What TLS presents for a domain; None when it has no certificate of its own, and the device's serves."""
        if not name:
            return None
        if name not in self._found:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            target = self._cabinet.application_for(name)
            self._found[name] = None if target is None else self._cabinet.credentials(target)
        return self._found[name]
