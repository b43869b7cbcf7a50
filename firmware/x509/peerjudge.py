"""The judge of TLS peers: the validator, the trust list and the board's time, in the form in which TLS asks."""

from __future__ import annotations

from collections.abc import Callable

from firmware.hal import Costs
from firmware.tls import Judge, Judged, Judgement, PeerCheck
from firmware.tls.judgement import BAD_CERTIFICATE
from firmware.x509.trust import TrustList
from firmware.x509.trustindex import TrustIndex
from firmware.x509.validation import Purpose, validate

__all__ = ["PeerJudge"]


class PeerJudge:
    """Judges by what is trusted at the moment of each judgement: a change of the list counts for the next connection.

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
            self._revision = self._trust.revision
        return self._index

    def _judge(self, purpose: Purpose, name: str | None) -> Judge:
        def judge(chain_der: tuple[bytes, ...], /) -> Judgement:
            verdict = validate(chain_der, self.trusted, self._costs, now_s=self._now_s(), purpose=purpose, names=name)
            alert = verdict.alert or BAD_CERTIFICATE
            return Judgement(verdict.ok, verdict.text, alert, verdict.charges, verdict)

        return judge
