"""The search for a path from a peer's certificate up to one that is trusted.

::

    peer's own  <--signs--  CA  <--signs--  ...  <--signs--  entry of the trust list: path found
         |
         +-- candidates: whoever has the issuer's name (RFC 5280 7.1), of the trust list first, then of what was sent;
             those first whose key identifier is the one asked for (RFC 5280 4.2.1.1: a hint, no proof)

Depth first, each step one link: whose key verifies the signature, is the issuer; only then it is asked whether it may
be one. So what is reported as unfit has really issued what stands below it, and a stranger of the same name is passed
over. The trusted end need not be self-signed, and obeys the same rules as the others.

Which fault is told, when there is no path: one of the trust list's own entries before any other, then the one furthest
up, then the first.

A hostile message can offer any graph of certificates: all of one name and one key, each above each. What bounds the
work is counted: links looked at, signatures verified (the result for a certificate and a key is kept), depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from firmware.hal import Costs
from firmware.x509.certificate import Certificate
from firmware.x509.rules import general_fault, issuer_fault, key_fault, signature_fault
from firmware.x509.trustindex import TrustIndex, is_same_name
from firmware.x509.verdict import Fault, Reason
from firmware.x509.work import Charge, verification_work

__all__ = ["MAX_DEPTH", "MAX_LINKS", "MAX_SIGNATURE_CHECKS", "Finding", "LimitReached", "Path", "PathSearch"]

MAX_DEPTH = 8
"""Certificates in a path, both ends included. Real ones have two to four; a federation of federations has six."""

MAX_SIGNATURE_CHECKS = 32
"""For one peer. At 4096 bits and 200 MHz they take one second of the CPU; a straight path needs seven."""

MAX_LINKS = 64
"""Candidates looked at for one peer: with one key in all its certificates, a message of ten has a million paths
although it needs ten signature checks."""

Path = tuple[Certificate, ...]
"""From the peer's own certificate upwards."""


class Finding(NamedTuple):
    """A fault, and the path at whose end it was found."""

    fault: Fault
    path: Path


class LimitReached(Exception):
    """The search was given up. Never leaves the package: the validator makes a verdict of it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.fault.text)
        self.finding = finding


class PathSearch:
    """One search.

    Args:
        trusted: The trust list.
        sent: What the peer sent besides its own certificate.
        costs: The board's cost table.
        now_s: Board time, Unix seconds.
        charges: Where every charge is noted, in the order of the work.
    """

    def __init__(
        self, trusted: TrustIndex, sent: Sequence[Certificate], costs: Costs, now_s: int, charges: list[Charge]
    ) -> None:
        self._trusted = trusted
        self._sent = [certificate for certificate in sent if certificate not in trusted]
        self._costs = costs
        self._now_s = now_s
        self._charges = charges
        self._verified: dict[tuple[bytes, bytes], bool] = {}
        self._links = 0
        self._weight = (False, 0)
        self.finding: Finding | None = None
        """The fault to tell, when there is no path."""

    @property
    def signature_checks(self) -> int:
        return len(self._verified)

    def climb(self, path: Path) -> Path | None:
        """The path continued up to a trusted certificate, or None. Raises LimitReached."""
        child = path[-1]
        fault = signature_fault(child)
        if fault is not None:
            self._note(fault, path)
            return None
        issued = False
        candidates = self._candidates(child, path)
        for issuer in candidates:
            self._count_link(path)
            above = (*path, issuer)
            fault = key_fault(issuer)
            if fault is None:
                if not self._is_signed(child, issuer, path):
                    continue
                issued = True
                fault = self._fault_of_issuer(issuer, path)
            if fault is not None:
                self._note(fault, above)
            elif issuer in self._trusted:
                return above
            elif (found := self.climb(above)) is not None:
                return found
        if not issued:
            self._note(self._dead_end(child, candidates, path), path)
        return None

    def _candidates(self, child: Certificate, path: Path) -> list[Certificate]:
        trusted = self._trusted.issuers(child.issuer)
        sent = [c for c in self._sent if is_same_name(c.subject, child.issuer) and c not in path]
        candidates = [*trusted, *sent]
        if len(candidates) > 1:
            candidates.sort(key=lambda candidate: _hint(child, candidate))
        return candidates

    def _fault_of_issuer(self, issuer: Certificate, path: Path) -> Fault | None:
        trusted = issuer in self._trusted
        ca_below = len([c for c in path[1:] if not _is_self_issued(c)])
        fault = general_fault(issuer, self._now_s) or issuer_fault(issuer, ca_below, trusted=trusted)
        if fault is not None and fault.reason is Reason.UNSUPPORTED and self._is_own_root(issuer, path):
            # A root of version 1 lacks nothing but somebody's trust.
            return UNTRUSTED
        if fault is None and not trusted and len(path) + 1 == MAX_DEPTH:
            return Fault(Reason.LIMITS, f"limit of {MAX_DEPTH} certificates in a path", "is one too many in the path")
        return fault

    def _dead_end(self, child: Certificate, candidates: Sequence[Certificate], path: Path) -> Fault:
        """Why nobody is there who issued ``child``."""
        if self._is_own_root(child, path):
            return UNTRUSTED
        # Its own signature counts among those that failed, unless the identifiers say that it is another key's.
        tried = [*candidates, child] if _is_self_issued(child) else candidates
        if any(_hint(child, candidate) is not _OTHER_KEY for candidate in tried):
            return BAD_SIGNATURE
        return UNKNOWN

    def _is_own_root(self, certificate: Certificate, path: Path) -> bool:
        if not _is_self_issued(certificate) or key_fault(certificate) or signature_fault(certificate):
            return False
        return self._is_signed(certificate, certificate, path)

    def _is_signed(self, child: Certificate, issuer: Certificate, path: Path) -> bool:
        """Whether the issuer's key made the child's signature. The issuer's key must be a fit one."""
        # By key, not by certificate: a CA that changed its certificate but not its key needs no second look.
        pair = (child.der, issuer.spki)
        known = self._verified.get(pair)
        if known is not None:
            return known
        if len(self._verified) == MAX_SIGNATURE_CHECKS:
            raise LimitReached(_limit("signature checks", MAX_SIGNATURE_CHECKS, path))
        hash_name = child.signature_hash or ""
        self._charges += verification_work(self._costs, issuer.key_bits, hash_name, len(child.tbs))
        result = self._verified[pair] = child.is_signed_by(issuer.public_key)
        return result

    def _count_link(self, path: Path) -> None:
        if self._links == MAX_LINKS:
            raise LimitReached(_limit("links", MAX_LINKS, path))
        self._links += 1

    def _note(self, fault: Fault, path: Path) -> None:
        weight = (path[-1] in self._trusted, len(path))
        if weight > self._weight:
            self._weight = weight
            self.finding = Finding(fault, path)


def _is_self_issued(certificate: Certificate) -> bool:
    """As the certificate's own property, with the quicker comparison."""
    return is_same_name(certificate.subject, certificate.issuer)


_SAME_KEY, _NO_HINT, _OTHER_KEY = range(3)


def _hint(child: Certificate, issuer: Certificate) -> int:
    """What the key identifiers say; the smaller, the likelier that it is the issuer (RFC 5280 4.2.1.1)."""
    authority = child.values.authority_key
    wanted, offered = authority.key_id if authority else None, issuer.values.subject_key_id
    if wanted is None or offered is None:
        return _NO_HINT
    return _SAME_KEY if wanted == offered else _OTHER_KEY


def _limit(what: str, limit: int, path: Path) -> Finding:
    fault = Fault(Reason.LIMITS, f"limit of {limit} {what}", f"needs more than {limit} {what}")
    return Finding(fault, path)


UNTRUSTED = Fault(
    Reason.UNTRUSTED_CA,
    "reference text, Trust list",
    "is self-signed and not on the trust list, nor is any certificate below it",
)
UNKNOWN = Fault(
    Reason.UNKNOWN_CA,
    "reference text, Trust list",
    "was issued by somebody who is neither on the trust list nor in the chain",
)
BAD_SIGNATURE = Fault(
    Reason.BAD_SIGNATURE, "RFC 5280 6.1.3 (a) (1)", "has a signature that its issuer's key did not make"
)
