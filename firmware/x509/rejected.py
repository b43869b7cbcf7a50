"""The rejected list: certificate chains that were refused on a connection, so that somebody can look at them and trust.

::

    refused --> newest first, at most 10; one entry per peer's own certificate, its newest refusal counts
    trusted --> the chains that hold a certificate which is trusted from now on leave

Kept in RAM. Any stranger on the network can have an entry made; in flash each would cost an erase cycle sooner or
later, and 45 ms in which the CPU stands still. After a restart, whoever is refused comes again.

The bytes are kept as they came, whether they can be read or not; they are only read when somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from firmware.errors import CertificateError, CommandError
from firmware.hal import Costs
from firmware.x509.certificate import Certificate, certificate_from_der, fingerprint
from firmware.x509.name import printable
from firmware.x509.work import Charge, parsing_work, verification_work

__all__ = ["CHAINS", "Rejected", "RejectedList", "Unreadable"]

CHAINS = 10
"""The vendor's page for version 7 keeps the last 10; later ones give no number."""

LARGEST_CHAIN_BYTES = 65_536
"""Of one chain; what goes beyond is left out, from its end: ten strangers must not fill the memory."""

LARGEST_CHAIN = 20
"""Certificates of one chain that are kept; real ones have two to four."""


@dataclass(frozen=True)
class Unreadable:
    """A certificate of the chain that is none."""

    der: bytes
    reason: str

    def fingerprint(self, hash_name: str) -> str:
        return fingerprint(self.der, hash_name)


@dataclass(frozen=True)
class Rejected:
    """One refused chain.

    Attributes:
        peer: address of the far end.
        role: what the peer was: ``server`` or ``client``.
        reason: in two words, as the verdict calls it: ``unknown CA``, ``expired``.
        detail: the verdict's line.
        chain_der: as sent, the peer's own certificate first.
        omitted: certificates that were sent but not kept.
        count: how many times this peer's certificate was refused while it was on the list.
    """

    time_s: int
    peer: str
    role: str
    reason: str
    detail: str
    chain_der: tuple[bytes, ...] = field(repr=False)
    omitted: int = 0
    count: int = 1

    @cached_property
    def chain(self) -> tuple[Certificate | Unreadable, ...]:
        """The chain, read. The first time it costs what `reading_work` says."""
        return tuple(_read(der) for der in self.chain_der)

    @cached_property
    def path(self) -> tuple[Certificate, ...]:
        """The peer's certificate and those that issued it, as far as the chain holds them; each signature is checked.

        What else a peer sends along has nothing to do with it, and must not be trusted by mistake.
        """
        readable = [certificate for certificate in self.chain if isinstance(certificate, Certificate)]
        if not self.chain or self.chain[0] not in readable:
            return ()
        path = [readable[0]]
        while not path[-1].is_self_issued:
            issuer = next((each for each in readable if each not in path and _issued(each, path[-1])), None)
            if issuer is None:
                break
            path.append(issuer)
        return tuple(path)

    @property
    def is_read(self) -> bool:
        return "path" in self.__dict__

    def reading_work(self, costs: Costs) -> list[Charge]:
        """What `chain` and `path` cost together when they are asked for the first time."""
        if self.is_read:
            return []
        charges = parsing_work(costs, len(self.chain_der))
        for child, issuer in zip(self.path, self.path[1:], strict=False):
            charges += verification_work(costs, issuer.key_bits, child.signature_hash or "sha256", len(child.tbs))
        return charges

    @property
    def has_root(self) -> bool:
        """Whether the peer sent its self-signed root: reference pages call the one case "untrusted", the other
        "unknown" CA."""
        return bool(self.path) and self.path[-1].is_self_signed

    @property
    def candidate(self) -> Certificate | None:
        """The certificate to trust so that this peer and its like are accepted: root, or last intermediate."""
        return self.path[-1] if self.path else None

    @property
    def hint(self) -> str:
        """One line: what would help. The vendor's pages since version 9 say so of the two kinds of CA."""
        reason = self.reason.lower().replace("-", " ")
        candidate = self.candidate
        if reason in ("unknown ca", "untrusted ca") and candidate is not None:
            if self.has_root:
                what = "this certificate" if len(self.path) == 1 else "the root"
                return f"untrusted CA: to accept this peer, trust {what}, {_shown(candidate)}"
            what = "this certificate" if len(self.path) == 1 else "the last intermediate"
            return f"unknown CA: the chain came without its root; trust {what}, {_shown(candidate)}, or add the root"
        return HINTS.get(reason, "")


HINTS = {
    "expired": "an expired certificate cannot be trusted: the peer needs a new one",
    "not yet valid": "set the time (ctime, NTP): a certificate that is not yet valid cannot be trusted",
    "name mismatch": "ask for the peer by a name in its certificate, or trust that very certificate",
}


class RejectedList:
    """The refused chains, the newest first."""

    def __init__(self) -> None:
        self._entries: list[Rejected] = []

    def add(
        self, peer: str, role: str, chain_der: Sequence[bytes], reason_text: str, reason_key: str, now_s: int
    ) -> Rejected | None:
        """Notes a refusal.

        Args:
            peer: address.
            role: what the peer was: ``server`` or ``client``.
            chain_der: what it showed; without any certificate there is nothing to note, and None comes back.
            reason_text: the verdict's line.
            reason_key: the verdict's reason.
            now_s: the box's time.
        """
        if not chain_der:
            return None
        kept = _kept(chain_der)
        entry = Rejected(now_s, peer, role, str(reason_key), reason_text, kept, len(chain_der) - len(kept))
        for known in self._entries:
            if known.chain_der[:1] == kept[:1]:
                self._entries.remove(known)
                entry = replace(entry, count=known.count + 1)
                break
        self._entries.insert(0, entry)
        del self._entries[CHAINS:]
        return entry

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> tuple[Rejected, ...]:
        """All of them, the newest first."""
        return tuple(self._entries)

    def entry(self, index: int) -> Rejected:
        """The entry at a place, 0 is the newest. CommandError when there is none."""
        if not self._entries:
            raise CommandError(f"/index {index}: no chain was rejected")
        if index >= len(self._entries):
            raise CommandError(f"/index {index}: rejected chains are 0 to {len(self._entries) - 1}")
        return self._entries[index]

    def with_certificate(self, sha1s: Iterable[str]) -> list[Rejected]:
        """The entries that hold one of these certificates."""
        wanted = set(sha1s)
        return [entry for entry in self._entries if any(fingerprint(der, "sha1") in wanted for der in entry.chain_der)]

    def drop(self, entries: Iterable[Rejected]) -> int:
        """Forgets these; gives how many there were."""
        gone = [id(entry) for entry in entries]
        before = len(self._entries)
        self._entries = [entry for entry in self._entries if id(entry) not in gone]
        return before - len(self._entries)

    def clear(self) -> int:
        """Forgets all; gives how many there were."""
        return self.drop(self.entries())


def _kept(chain_der: Sequence[bytes]) -> tuple[bytes, ...]:
    """As much of a chain as is kept: the first certificate always, TLS itself limits how large that can be."""
    kept: list[bytes] = []
    size = 0
    for der in chain_der[:LARGEST_CHAIN]:
        size += len(der)
        if kept and size > LARGEST_CHAIN_BYTES:
            break
        kept.append(bytes(der))
    return tuple(kept)


def _read(der: bytes) -> Certificate | Unreadable:
    try:
        return certificate_from_der(der)
    except CertificateError as error:
        return Unreadable(der, str(error))


def _issued(issuer: Certificate, child: Certificate) -> bool:
    return issuer.subject == child.issuer and child.is_signed_by(issuer.public_key)


def _shown(certificate: Certificate) -> str:
    return printable(certificate.subject.text) or certificate.fingerprint("sha1")
