"""The trust list: certificates to be accepted for TLS connections, endpoint or CA; kept in the flash store.

One stored value per certificate, named by its SHA-1 fingerprint, so that adding or removing several is one atomic step
and a list of a thousand is never rewritten.
"""

from __future__ import annotations

from collections.abc import Iterable

from firmware.errors import CommandError
from firmware.x509.cabinet import Store
from firmware.x509.certificate import Certificate, certificate_from_der

PREFIX = "X509/TRUST/"
LARGEST_NUMBER = 1_000
"""Some 1 MiB of flash; no published limit."""


class TrustList:
    """The trusted certificates, in the order of their fingerprints."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._certificates: dict[str, Certificate] | None = None

    def certificates(self) -> dict[str, Certificate]:
        """All of them, by SHA-1 fingerprint (40 lower-case hexadecimal digits)."""
        if self._certificates is None:
            found = {}
            for name in sorted(self._store.names(PREFIX)):
                data = self._store.get(name)
                if data is not None:
                    found[name.removeprefix(PREFIX)] = certificate_from_der(data)
            self._certificates = found
        return self._certificates

    def find(self, sha1: str) -> Certificate:
        """The certificate with that fingerprint. CommandError when it is not on the list."""
        wanted = sha1.replace(":", "").replace(" ", "").lower()
        certificate = self.certificates().get(wanted)
        if certificate is None:
            raise CommandError(f"no certificate with sha1 {wanted[:64]!r} on the trust list")
        return certificate

    def add(self, certificates: Iterable[Certificate]) -> list[Certificate]:
        """Trusts them from now on; gives those that were not on the list before. CommandError when it is full."""
        known = self.certificates()
        new = {certificate.fingerprint("sha1"): certificate for certificate in certificates}
        new = {sha1: certificate for sha1, certificate in new.items() if sha1 not in known}
        if len(known) + len(new) > LARGEST_NUMBER:
            raise CommandError(
                f"{len(known)} certificates on the trust list and {len(new)} new, limit {LARGEST_NUMBER}"
            )
        self._change({sha1: certificate.der for sha1, certificate in new.items()})
        return list(new.values())

    def remove(self, sha1s: Iterable[str]) -> list[Certificate]:
        """Trusts them no more. CommandError, and nothing removed, when one of them is not on the list."""
        gone = [self.find(sha1) for sha1 in sha1s]
        self._change({certificate.fingerprint("sha1"): None for certificate in gone})
        return gone

    def clear(self) -> int:
        """Trusts nobody; gives how many there were."""
        count = len(self.certificates())
        self._change(dict.fromkeys(self.certificates()))
        return count

    def _change(self, changes: dict[str, bytes | None]) -> None:
        if changes:
            self._store.commit({PREFIX + sha1: data for sha1, data in changes.items()})
            self._certificates = None
