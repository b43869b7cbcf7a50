"""Whether a TLS peer is accepted: what it sent, against the trust list, the time, its purpose, the name asked for.

::

    sent bytes --read--> peer's own --fit?--> on the trust list itself? --yes--> accepted as ENDPOINT
                                                     |no
                                                     +--> path to a trusted CA? --> its name? --> accepted as CA

Two sorts of trust (reference text, Trust list): "You can add either individual endpoint certificates or a CA
certificate if you want to accept all certificates issued by that CA."

- **Endpoint**: the peer's own certificate is on the list, byte for byte. Its dates, extensions, key and usage must be
  right; who signed it and for which name is not asked. Whoever put exactly this one there has decided that, and the
  fast set-up of the reference text (run, trust what was rejected, run again) works with self-made certificates, whose
  only name is that of the box.
- **CA**: a path of certificates leads to one on the list (`path`), every one of them is fit (`rules`), and the peer's
  own is made out to the name that the application asked for, where it asked for one (`hostname`).

The peer's own certificate is looked at first, because that costs nothing: before the clock is set, no signature is
verified at all. Nothing is ever revoked here (reference text, Revoke List).

Whatever the bytes are, the answer is a `Verdict`, in bounded time: sizes first, unread; then at most ten certificates
and 32 KiB are read, at most 32 signatures verified.

Not modelled: revocation, policies, name constraints (critical ones are refused like every extension outside the six),
dearer exponents than 65537.
"""

from __future__ import annotations

from collections.abc import Sequence

from firmware.errors import CertificateError
from firmware.hal import Costs
from firmware.x509.certificate import MAX_CERTIFICATE_BYTES, Certificate, certificate_from_der
from firmware.x509.hostname import is_made_out_to, names_text
from firmware.x509.name import printable
from firmware.x509.path import UNKNOWN, Finding, LimitReached, Path, PathSearch
from firmware.x509.rules import Purpose, general_fault, key_fault, purpose_fault, size_fault
from firmware.x509.trustindex import TrustIndex
from firmware.x509.verdict import SUGGESTION_OF_REASON, Fault, Reason, Suggestion, Trust, Verdict
from firmware.x509.work import Charge, parsing_work

__all__ = [
    "MAX_CERTIFICATES",
    "MAX_CHAIN_BYTES",
    "MAX_READ_BYTES",
    "Purpose",
    "validate",
]

MAX_CHAIN_BYTES = 256 * 1024
"""Of one message; more is refused unread. A chain of ten with 4096-bit keys and long names has 60 KiB at most."""

MAX_CERTIFICATES = 10
"""Of one message; what stands behind them is not read. As many as a chain of our own may have."""

MAX_READ_BYTES = 32 * 1024
"""Of one message. A real chain has 2 to 10 KiB; what was made to be slow takes the host 0.6 us per byte to read."""

MAX_SHOWN_SUBJECT = 100

Sent = bytes | Certificate
"""One certificate of the peer as it came, or already read (then reading it is not charged)."""

Misplaced = tuple[int | None, Fault]
"""A certificate that could not be used, by its place in the message (None: no certificate at all), and why."""


def validate(
    sent: Sequence[Sent],
    trusted: TrustIndex,
    costs: Costs,
    *,
    now_s: int,
    purpose: Purpose,
    names: str | Sequence[str] | None = None,
) -> Verdict:
    """Judges a peer; what that costs stands in the verdict, in the order of the work.

    Args:
        sent: The peer's certificates in the order of its message, its own first; any bytes at all.
        trusted: The trust list; make it once per change of the list.
        costs: The board's cost table.
        now_s: Board time, Unix seconds.
        purpose: Which end of TLS the peer is.
        names: The name that the application asked for, a DNS name or an IP address, or several of which one must fit;
            None where any will do. An empty sequence fits nobody.
    """
    wanted = (names,) if isinstance(names, str) else names
    return _Judgement(sent, trusted, costs, now_s, purpose, wanted).verdict()


class _Judgement:
    """One peer before the court."""

    def __init__(
        self,
        sent: Sequence[Sent],
        trusted: TrustIndex,
        costs: Costs,
        now_s: int,
        purpose: Purpose,
        names: Sequence[str] | None,
    ) -> None:
        self._sent = sent
        self._sizes_bytes = [len(one if isinstance(one, bytes) else one.der) for one in sent]
        self._trusted = trusted
        self._costs = costs
        self._now_s = now_s
        self._purpose = purpose
        self._names = names
        self._charges: list[Charge] = []
        self._places: dict[bytes, int] = {}
        self._unused: Misplaced | None = None
        """The first certificate that was left aside, and why."""

    def verdict(self) -> Verdict:
        """The whole course of it."""
        misplaced = self._message_fault()
        if misplaced is not None:
            return self._refused_unread(*misplaced)
        peer = self._read(0)
        if peer is None:
            return self._refused_unread(*(self._unused or _EMPTY))
        fault = general_fault(peer, self._now_s) or key_fault(peer) or purpose_fault(peer, self._purpose)
        if fault is not None:
            return self._refused(Finding(fault, (peer,)))
        if peer in self._trusted:
            return self._accepted(Trust.ENDPOINT, (peer,))
        return self._verdict_by_ca(peer)

    def _verdict_by_ca(self, peer: Certificate) -> Verdict:
        others = self._read_others()
        search = PathSearch(self._trusted, others, self._costs, self._now_s, self._charges)
        try:
            path = search.climb((peer,))
        except LimitReached as reached:
            return self._refused(reached.finding)
        if path is None:
            return self._without_path(search.finding or Finding(UNKNOWN, (peer,)))
        fault = self._name_fault(peer)
        return self._refused(Finding(fault, path), at=0) if fault else self._accepted(Trust.CA, path)

    # -- what was sent

    def _message_fault(self) -> Misplaced | None:
        if not self._sent:
            return _EMPTY
        if sum(self._sizes_bytes) <= MAX_CHAIN_BYTES:
            return None
        total = 0
        for index, size_bytes in enumerate(self._sizes_bytes):
            total += size_bytes
            if total > MAX_CHAIN_BYTES:
                text = f"makes a chain of more than {MAX_CHAIN_BYTES} bytes"
                return index, Fault(Reason.LIMITS, f"limit of {MAX_CHAIN_BYTES} bytes in a chain", text)
        return None

    def _read(self, index: int) -> Certificate | None:
        """The certificate at that place; None, and a note, where it is of no use."""
        sent = self._sent[index]
        if isinstance(sent, bytes):
            if len(sent) > MAX_CERTIFICATE_BYTES:
                limit = f"limit of {MAX_CERTIFICATE_BYTES} bytes in a certificate"
                self._leave_aside(index, Fault(Reason.LIMITS, limit, f"has {len(sent)} bytes, {limit}"))
                return None
            self._charges += parsing_work(self._costs, 1)
            try:
                sent = certificate_from_der(sent)
            except CertificateError as error:
                self._leave_aside(index, Fault(Reason.MALFORMED, "RFC 5280 4.1", f"cannot be read: {error}"))
                return None
        fault = size_fault(sent)
        if fault is not None:
            self._leave_aside(index, fault)
            return None
        self._places.setdefault(sent.der, index)
        return sent

    def _read_others(self) -> list[Certificate]:
        others: dict[bytes, Certificate] = {}
        total = self._sizes_bytes[0]
        for index in range(1, len(self._sent)):
            total += self._sizes_bytes[index]
            if index >= MAX_CERTIFICATES or total > MAX_READ_BYTES:
                limit = f"limits of {MAX_CERTIFICATES} certificates and {MAX_READ_BYTES} bytes that are read"
                self._leave_aside(index, Fault(Reason.LIMITS, limit, f"was not read: {limit}"))
                break
            certificate = self._read(index)
            if certificate is not None:
                others.setdefault(certificate.der, certificate)
        return list(others.values())

    def _leave_aside(self, index: int, fault: Fault) -> None:
        if self._unused is None:
            self._unused = index, fault

    # -- what comes of it

    def _name_fault(self, peer: Certificate) -> Fault | None:
        if self._names is None or any(is_made_out_to(peer, name) for name in self._names):
            return None
        asked = printable(", ".join(self._names)) or "nobody"
        text = f"is made out to {names_text(peer)}, and {asked} was asked for"
        return Fault(Reason.NAME_MISMATCH, "RFC 2818 3.1", text)

    def _without_path(self, finding: Finding) -> Verdict:
        # The link that is missing may be the one that could not be read.
        if self._unused is not None and finding.fault.reason is Reason.UNKNOWN_CA:
            return self._refused_unread(*self._unused, finding.path)
        return self._refused(finding)

    def _accepted(self, trust: Trust, path: Path) -> Verdict:
        text = f"accepted, trusted as {trust.value}: {_shown(path[-1])}"
        return Verdict(None, text, trust=trust, path=path, charges=tuple(self._charges))

    def _refused(self, finding: Finding, *, at: int = -1) -> Verdict:
        """The offending certificate is the one at that place of the path."""
        fault, path = finding
        certificate = path[at]
        index = self._places.get(certificate.der)
        return Verdict(
            fault.reason,
            f"{fault.reason.value}: {self._where(index)} {_shown(certificate)} {fault.text}",
            fault.clause,
            index,
            certificate,
            _suggestion(fault.reason, on_trust_list=certificate in self._trusted),
            path=path,
            charges=tuple(self._charges),
        )

    def _refused_unread(self, index: int | None, fault: Fault, path: Path = ()) -> Verdict:
        where = "the peer" if index is None else self._where(index)
        return Verdict(
            fault.reason,
            f"{fault.reason.value}: {where} {fault.text}",
            fault.clause,
            index,
            suggestion=_suggestion(fault.reason, on_trust_list=False),
            path=path,
            charges=tuple(self._charges),
        )

    def _where(self, index: int | None) -> str:
        return "trusted certificate" if index is None else f"certificate {index + 1} of {len(self._sent)}"


_EMPTY: Misplaced = (None, Fault(Reason.MALFORMED, "RFC 5246 7.4.2", "sent no certificate"))


def _shown(certificate: Certificate) -> str:
    text = certificate.subject.text or "(no subject)"
    return text if len(text) <= MAX_SHOWN_SUBJECT else text[:MAX_SHOWN_SUBJECT] + "..."


def _suggestion(reason: Reason, *, on_trust_list: bool) -> Suggestion:
    if on_trust_list and reason is Reason.EXPIRED:
        return Suggestion.REPLACE_TRUSTED
    return SUGGESTION_OF_REASON[reason]
