"""The judge of TLS peers: the validator, the trust list and the board's time, in the form in which TLS asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from firmware.hal import Costs
from firmware.tls import Judge, Judged, Judgement, PeerCheck
from firmware.tls.judgement import BAD_CERTIFICATE
from firmware.x509.memory import Notes
from firmware.x509.trust import TrustList
from firmware.x509.trustindex import TrustIndex
from firmware.x509.validation import Purpose, validate
from firmware.x509.verdict import Verdict

__all__ = ["PeerJudge"]

REMEMBERED = 1_024
"""Accepted peers whose judgement is kept for the next time, in the whole process: the phones of some gateways, and the
gateways of all phones. Some 5 KiB of the host each."""


class Case(NamedTuple):
    """All that a judgement depends on but the time."""

    trusted: bytes
    """Digest of the trust list."""
    costs: int
    """Which cost table, by its ``id``."""
    purpose: Purpose
    """Which end the peer is."""
    name: str | None
    """Who it must be."""
    chain_der: tuple[bytes, ...]
    """What it showed."""


class Known(NamedTuple):
    """A judgement that would be the same again, from one instant to another."""

    judgement: Judgement
    begins_s: int
    ends_s: int
    costs: Costs
    """Kept with it, so that no other table gets the ``id``."""


_known: Notes[Case, Known] = Notes(REMEMBERED)


class PeerJudge:
    """Judges by what is trusted at the moment of each judgement: a change of the list counts for the next connection.

    The same chain before the same trust list is judged the same, on whichever board, as long as all its certificates
    are valid: that answer is remembered, charges included, so each board pays each time for all that judging takes.
    What is refused, and what was found only after looking at certificates that are not part of the path, is judged anew
    every time.

    Args:
        now_s: the box's time, Unix seconds.
        judged: hears of every judgement; `Judgement.verdict` is the validator's `Verdict`.
    """

    def __init__(self, trust: TrustList, costs: Costs, now_s: Callable[[], int], judged: Judged) -> None:
        self._trust = trust
        self._costs = costs
        self._now_s = now_s
        self._judged = judged
        self._revision: int | None = None
        self._index = TrustIndex()
        self._digest = b""

    def of_clients(self, required: bool) -> PeerCheck:
        """Clients of ours may (or must) show a certificate; whose name it bears is the application's business."""
        return PeerCheck(self._judge(Purpose.CLIENT, None), required, self._judged)

    def of_servers(self, name: str | None) -> PeerCheck:
        """The server that we connect to must be ``name``; None: any that is trusted."""
        return PeerCheck(self._judge(Purpose.SERVER, name), True, self._judged)

    @property
    def trusted(self) -> TrustIndex:
        """The trust list to look things up in; made anew only when the list has changed."""
        if self._trust.revision != self._revision:
            self._index = TrustIndex(self._trust.certificates().values())
            self._digest = self._index.digest()
            self._revision = self._trust.revision
        return self._index

    def _judge(self, purpose: Purpose, name: str | None) -> Judge:
        costs = self._costs

        def judge(chain_der: tuple[bytes, ...], /) -> Judgement:
            trusted, now_s = self.trusted, self._now_s()
            case = Case(self._digest, id(costs), purpose, name, chain_der)
            known = _known.get(case)
            if known is not None and known.begins_s <= now_s <= known.ends_s:
                return known.judgement
            verdict = validate(chain_der, trusted, costs, now_s=now_s, purpose=purpose, names=name)
            judgement = Judgement(verdict.ok, verdict.text, verdict.alert or BAD_CERTIFICATE, verdict.charges, verdict)
            if verdict.ok and _is_straight(verdict):
                begins_s = max([certificate.not_before for certificate in verdict.path])
                ends_s = min([certificate.not_after for certificate in verdict.path])
                _known.put(case, Known(judgement, begins_s, ends_s, costs))
            return judgement

        return judge


def _is_straight(verdict: Verdict) -> bool:
    """Whether no signature was verified besides those of the path: then it is accepted again, and at the same cost."""
    verified = [kind for kind, _ in verdict.charges].count("rsa-public")
    return verified == len(verdict.path) - 1
