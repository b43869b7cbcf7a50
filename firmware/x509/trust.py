"""The trust list: certificates to be accepted for TLS connections, endpoint or CA; kept in the flash store.

One stored value per certificate, named by its SHA-1 fingerprint, so that adding or removing several is one atomic step
and a list of a thousand is never rewritten. Reading a thousand takes a while: whoever has the time can do it in parts
(`read`), and charge for what it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from firmware.errors import CommandError, FirmwareError
from firmware.x509.cabinet import Store
from firmware.x509.certificate import Certificate, certificate_from_der

PREFIX = "X509/TRUST/"
LARGEST_NUMBER = 1_000
"""No published limit. Where the flash is too small for so many, it is full before: FlashFull, and nothing is added."""


class TrustList:
    """The trusted certificates, in the order of their fingerprints.

    Attributes:
        revision: counts the changes; what was made from the list is up to date while it stays the same.
        damaged: what is wrong with entries that cannot be read, by fingerprint. They are trusted no more; removing
            them, or clearing the list, tidies up.
    """

    def __init__(self, store: Store) -> None:
        self.revision = 0
        self.damaged: dict[str, str] = {}
        self._store = store
        self._certificates: dict[str, Certificate] = {}
        self._unread: list[str] | None = None

    @property
    def unread(self) -> int:
        """How many certificates still have to be read from flash before the list is known."""
        return len(self._waiting() if self._unread is None else self._unread)

    def read(self, count: int) -> int:
        """Reads up to ``count`` more certificates; gives how many it read."""
        waiting = self._waiting()
        taken = waiting[:count]
        del waiting[:count]
        for sha1 in taken:
            try:
                data = self._store.get(PREFIX + sha1)
                if data is not None:
                    self._certificates[sha1] = certificate_from_der(data)
            except FirmwareError as error:
                # One bad entry must not take the others along.
                self.damaged[sha1] = str(error)
        return len(taken)

    def certificates(self) -> dict[str, Certificate]:
        """All of them, by SHA-1 fingerprint (40 lower-case hexadecimal digits)."""
        if self.unread:
            self.read(self.unread)
        return self._certificates

    def find(self, sha1: str) -> Certificate:
        """The certificate with that fingerprint. CommandError when it is not on the list."""
        wanted = sha1.replace(":", "").replace(" ", "").lower()
        certificate = self.certificates().get(wanted)
        if certificate is None:
            raise CommandError(f"no certificate with sha1 {wanted[:64]!r} on the trust list")
        return certificate

    def add(self, certificates: Iterable[Certificate]) -> list[Certificate]:
        """Trusts them from now on, in one step; gives those that were not on the list before.

        CommandError when there are too many, FlashFull when they do not fit; nothing is added then.
        """
        known = self.certificates()
        new = {certificate.fingerprint("sha1"): certificate for certificate in certificates}
        new = {sha1: certificate for sha1, certificate in new.items() if sha1 not in known}
        count = len(known) + len(self.damaged)
        if count + len(new) > LARGEST_NUMBER:
            raise CommandError(f"{count} certificates on the trust list and {len(new)} new, limit {LARGEST_NUMBER}")
        if new:
            self._commit({sha1: certificate.der for sha1, certificate in new.items()})
            self._certificates = dict(sorted((known | new).items()))
            self._forget_damage(new)
        return list(new.values())

    def remove(self, sha1s: Iterable[str]) -> list[str]:
        """Trusts them no more, in one step; gives their subjects. CommandError when one is not on the list."""
        gone: dict[str, str] = {}
        for sha1 in sha1s:
            known = sha1 if sha1 in self.damaged else self.find(sha1).fingerprint("sha1")
            gone[known] = "damaged entry" if known in self.damaged else self._certificates[known].subject.text
        if gone:
            self._commit(dict.fromkeys(gone))
            self._certificates = {sha1: each for sha1, each in self.certificates().items() if sha1 not in gone}
            self._forget_damage(gone)
        return list(gone.values())

    def clear(self) -> int:
        """Trusts nobody; gives how many there were."""
        names = self._store.names(PREFIX)
        if names:
            self._commit({name.removeprefix(PREFIX): None for name in names})
        self._certificates, self._unread, self.damaged = {}, [], {}
        return len(names)

    def _waiting(self) -> list[str]:
        if self._unread is None:
            self._unread = [name.removeprefix(PREFIX) for name in self._store.names(PREFIX)]
        return self._unread

    def _forget_damage(self, sha1s: Iterable[str]) -> None:
        for sha1 in sha1s:
            self.damaged.pop(sha1, None)

    def _commit(self, changes: Mapping[str, bytes | None]) -> None:
        self._store.commit({PREFIX + sha1: data for sha1, data in changes.items()})
        self.revision += 1
