"""Why a TLS connection fails: every suspect looked at by itself, each with the command that mends it.

A handshake ends at the first fault. Here each question is asked separately, so that a clock that is not set does not
hide a missing CA: whether the chain is trusted is judged at an instant at which all its certificates are valid, and
without a name; dates, purpose, name, signatures and extensions are looked at one by one.

Commands stand as they are typed here; those for the other end, if it is such a box, say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from textwrap import wrap

from firmware.hal import Costs
from firmware.x509.certificate import Certificate
from firmware.x509.connect import Report, certificates_from_ders
from firmware.x509.hostname import is_made_out_to, names_text
from firmware.x509.name import printable
from firmware.x509.rules import Purpose, general_fault, key_fault, purpose_fault, signature_fault
from firmware.x509.timestamp import iso8601_from_seconds
from firmware.x509.trustindex import TrustIndex
from firmware.x509.validation import validate
from firmware.x509.verdict import Reason, Trust, Verdict
from firmware.x509.work import Charge

__all__ = ["Diagnosis", "Finding", "Level", "Surroundings", "diagnose"]

WEAK_HASHES = ("md5", "sha1")
"""Taken here (reference text, Signing algorithms), and refused by today's browsers and libraries."""

CHEAP_BITS = 1024
"""Reference text, Certificate Key Length and CPU Usage: what devices are shipped with."""

COLUMNS = 79
"""A terminal's width, without the column at which some go to the next line."""

SET_CLOCK = "ctime YYYY-MM-DDTHH:MM:SSZ"

ON_PEER = "on the peer: "


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    NOTE = "note"
    """Works here, and may not work elsewhere; or cannot be told."""
    FAULT = "FAULT"
    """By itself enough to make the connection fail."""


@dataclass(frozen=True)
class Finding:
    """The answer to one question."""

    check: str
    level: Level
    text: str
    command: str = ""
    """What mends it; empty where nothing needs mending."""


@dataclass(frozen=True)
class Surroundings:
    """What the answers depend on besides the connection."""

    now_s: int
    time_known: bool
    trusted: TrustIndex
    costs: Costs
    hz: int


@dataclass(frozen=True)
class Diagnosis:
    """All answers, in the order in which a connection meets the questions."""

    report: Report
    findings: tuple[Finding, ...]
    charges: tuple[Charge, ...]
    """What it cost besides the connection itself."""

    @property
    def faults(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level is Level.FAULT)

    def text(self) -> str:
        """One screen."""
        lines = [self._head()]
        for finding in self.findings:
            label = f"{finding.level.value:<6}{finding.check:<12}"
            lines += wrap(label + finding.text, COLUMNS, subsequent_indent=" " * len(label), break_on_hyphens=False)
            if finding.command:
                lines += wrap(f"   -> {finding.command}", COLUMNS, subsequent_indent="      ", break_on_hyphens=False)
        return "\n".join(lines)

    def data(self) -> dict[str, object]:
        """For ``/json``."""
        return {
            "ok": self.report.ok,
            "peer": self.report.destination.address,
            "name": self.report.destination.name,
            "failure": self.report.failure or None,
            "cause": self.faults[0].check if self.faults else None,
            "command": self.faults[0].command if self.faults else None,
            "findings": [
                {"check": each.check, "level": each.level.value, "text": each.text, "command": each.command or None}
                for each in self.findings
            ],
        }

    def _head(self) -> str:
        where = self.report.destination.text
        if self.report.ok:
            return f"{where}: works"
        causes = ", ".join(dict.fromkeys(fault.check for fault in self.faults))
        return f"{where}: fails, look at {causes}" if causes else f"{where}: fails, {self.report.failure}"


def diagnose(report: Report, surroundings: Surroundings) -> Diagnosis:
    """Answers every question that the connection allows to be asked."""
    examination = _Examination(report, surroundings)
    findings = tuple(examination.findings())
    return Diagnosis(report, findings, tuple(examination.charges))


class _Examination:
    """The questions, each a method that gives at least one finding."""

    def __init__(self, report: Report, surroundings: Surroundings) -> None:
        self.charges: list[Charge] = []
        self._report = report
        self._around = surroundings
        self._chain = certificates_from_ders(report.chain_der)
        self._readable = [certificate for certificate in self._chain if certificate is not None]
        self._peer = self._chain[0] if self._chain else None
        self._timeless = self._judged_without_dates() if self._chain else None

    def findings(self) -> Iterator[Finding]:
        yield self._clock()
        yield self._port()
        if not self._report.reached:
            return
        yield self._tls()
        if self._chain:
            yield self._shown_chain()
            yield self._trust()
            yield from self._dates()
        if self._peer is not None:
            yield self._purpose(self._peer)
            yield self._name(self._peer)
            yield self._signatures()
            yield self._extensions()
        if self._report.version:
            yield self._client()
        yield self._cost()

    # -- before any certificate

    def _clock(self) -> Finding:
        now = iso8601_from_seconds(self._around.now_s)
        if self._around.time_known:
            return Finding("clock", Level.OK, f"it is {now}")
        text = f"the time is not set, it is {now} here: no certificate is valid yet"
        return Finding("clock", Level.FAULT, text, SET_CLOCK)

    def _port(self) -> Finding:
        if self._report.reached:
            return Finding("port", Level.OK, "accepts connections")
        command = f"{ON_PEER}info says which services are on, and x509 servercert-wait waits for its certificate"
        return Finding("port", Level.FAULT, self._report.failure, command)

    def _tls(self) -> Finding:
        report = self._report
        if report.version:
            return Finding("protocol", Level.OK, f"{report.version} {report.cipher}, profile {report.profile}")
        if report.refused_by_peer:
            text = f"the peer answers profile {report.profile} with alert {report.refused_by_peer}"
            return Finding("protocol", Level.FAULT, text, f"tls profile {_other_profile(report.profile)}")
        if "<ServerHello" in report.events:
            return Finding("protocol", Level.OK, f"TLS, profile {report.profile}")
        if not any(event.startswith("<") for event in report.events):
            text = f"the peer gives no answer of TLS: {report.failure}"
            return Finding("protocol", Level.FAULT, text, "another port: HTTPS has 443, SIPS 5061")
        return Finding("protocol", Level.FAULT, report.failure, f"tls profile {_other_profile(report.profile)}")

    # -- the chain

    def _shown_chain(self) -> Finding:
        names = [_called(each) for each in self._readable]
        text = f"{len(self._chain)} sent: {' < '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
        for index, certificate in enumerate(self._chain):
            if certificate is None:
                text = f"certificate {index + 1} of {len(self._chain)} cannot be read"
                return Finding("chain", Level.FAULT, text, f"{ON_PEER}x509 servercert-upload")
        verdict = self._timeless
        if verdict is not None and verdict.reason in (Reason.BAD_SIGNATURE, Reason.LIMITS, Reason.MALFORMED):
            return Finding("chain", Level.FAULT, verdict.text, f"{ON_PEER}x509 servercert-upload")
        return Finding("chain", Level.OK, text)

    def _judged_without_dates(self) -> Verdict:
        """The validator's word at an instant at which all certificates that were sent are valid, if there is one."""
        begins = max((each.not_before for each in self._readable), default=0)
        ends = min((each.not_after for each in self._readable), default=0)
        verdict = validate(
            self._report.chain_der,
            self._around.trusted,
            self._around.costs,
            now_s=min(max(self._around.now_s, begins), ends) if begins <= ends else self._around.now_s,
            purpose=Purpose.SERVER,
        )
        self.charges += verdict.charges
        return verdict

    def _trust(self) -> Finding:
        verdict = self._timeless
        assert verdict is not None
        if verdict.ok:
            return Finding("trust", Level.OK, f"trusted as {verdict.trust}: {_called(verdict.path[-1])}")
        certificate = verdict.certificate
        if verdict.reason not in (Reason.UNKNOWN_CA, Reason.UNTRUSTED_CA) or certificate is None:
            return Finding("trust", Level.NOTE, "cannot be told before the rest is mended")
        trusting = f"x509 rejected-trust /sha1 {certificate.fingerprint('sha1')}"
        if verdict.reason is Reason.UNTRUSTED_CA:
            text = f"untrusted CA: {_shown(certificate)} is not on the trust list"
            return Finding("trust", Level.FAULT, text, trusting)
        text = f"unknown CA: {_shown(certificate, issuer=True)}, which issued {_shown(certificate)}, is not sent"
        if len(self._chain) == 1:
            text += "; an intermediate is missing, or its CA here"
            return Finding(
                "trust",
                Level.FAULT,
                f"{text}, and not trusted",
                f"x509 trust-add takes its certificate; {ON_PEER}x509 servercert-upload the whole chain; or {trusting}",
            )
        return Finding(
            "trust", Level.FAULT, f"{text}, and not trusted", f"x509 trust-add takes its certificate; or {trusting}"
        )

    def _dates(self) -> Iterator[Finding]:
        found = False
        for certificate in self._path():
            fault = general_fault(certificate, self._around.now_s)
            if fault is None or fault.reason not in (Reason.EXPIRED, Reason.NOT_YET_VALID):
                continue
            found = True
            yield Finding("dates", Level.FAULT, f"{_shown(certificate)} {fault.text}", self._date_command(certificate))
        if not found:
            yield Finding("dates", Level.OK, "all are valid now")

    def _date_command(self, certificate: Certificate) -> str:
        if not self._around.time_known or self._around.now_s < certificate.not_before:
            return SET_CLOCK
        if certificate not in self._readable:
            sha1 = certificate.fingerprint("sha1")
            return f"x509 trust-remove /sha1 {sha1}, then x509 trust-add with its successor"
        return f"{ON_PEER}x509 servercert-renew, or servercert-create"

    def _path(self) -> Iterable[Certificate]:
        """What counts of the chain: the path to the trusted certificate, or all that was sent."""
        if self._timeless is not None and self._timeless.ok:
            return self._timeless.path
        return self._readable

    # -- the peer's own certificate

    @property
    def _is_trusted_itself(self) -> bool:
        return self._timeless is not None and self._timeless.trust is Trust.ENDPOINT

    def _purpose(self, peer: Certificate) -> Finding:
        fault = key_fault(peer) or purpose_fault(peer, Purpose.SERVER)
        text = f"{_shown(peer)} {fault.text}" if fault else ""
        if self._timeless is not None and self._timeless.reason in (Reason.PURPOSE, Reason.UNSUPPORTED):
            text = self._timeless.text
        if not text:
            return Finding("purpose", Level.OK, "made for a TLS server")
        return Finding("purpose", Level.FAULT, text, f"{ON_PEER}x509 servercert-create")

    def _name(self, peer: Certificate) -> Finding:
        wanted = self._report.destination.name
        if is_made_out_to(peer, wanted):
            return Finding("name", Level.OK, f"made out to {printable(wanted)}")
        text = f"made out to {names_text(peer)}, and {printable(wanted)} was asked for"
        if self._is_trusted_itself:
            return Finding("name", Level.OK, f"{text}; trusted itself, so that does not matter")
        command = f"ask for a name that it has, with /name; or {ON_PEER}x509 servercert-create /dn-cn {wanted}"
        return Finding("name", Level.FAULT, text, command)

    def _signatures(self) -> Finding:
        path = [certificate for certificate in self._path() if not certificate.is_self_issued]
        command = f"{ON_PEER}x509 servercert-create /signature SHA256"
        if not self._is_trusted_itself:
            for certificate in path:
                fault = signature_fault(certificate)
                if fault is not None:
                    return Finding("signature", Level.FAULT, f"{_shown(certificate)} {fault.text}", command)
        weak = [certificate for certificate in path or self._readable[:1] if certificate.signature_hash in WEAK_HASHES]
        if weak:
            text = f"{_shown(weak[0])} is signed with {weak[0].algorithm.name}: taken here, and refused by many others"
            return Finding("signature", Level.NOTE, text, command)
        return Finding("signature", Level.OK, ", ".join(dict.fromkeys(each.algorithm.name for each in self._readable)))

    def _extensions(self) -> Finding:
        for certificate in self._path():
            for extension in certificate.values.unsupported_critical:
                text = f"{_shown(certificate)} has the critical extension {extension.name}, which is not supported"
                command = f"{ON_PEER}a certificate without it, such as x509 servercert-create makes"
                return Finding("extensions", Level.FAULT, text, command)
        return Finding("extensions", Level.OK, "none that is critical and not supported")

    # -- what the other end thinks of us

    def _client(self) -> Finding:
        report = self._report
        if not report.asked:
            if report.refused_by_peer:
                return Finding("client", Level.FAULT, f"the peer breaks off with alert {report.refused_by_peer}")
            return Finding("client", Level.OK, "the peer asks for no certificate of ours")
        if report.presented is None:
            level = Level.FAULT if report.refused_by_peer else Level.NOTE
            return Finding(
                "client", level, "the peer asks for our certificate: there is none", "x509 servercert-create"
            )
        shown = f"the peer asks for our certificate, shown was {_shown(report.presented)}"
        if not report.refused_by_peer:
            return Finding("client", Level.OK, shown)
        text, command = REFUSALS.get(report.refused_by_peer, ("refuses it", "x509 servercert-show"))
        return Finding("client", Level.FAULT, f"{shown}: it {text} (alert {report.refused_by_peer})", command)

    # -- what it costs

    def _cost(self) -> Finding:
        costs, hz = self._around.costs, self._around.hz
        bits = max((each.key_bits for each in self._readable), default=0)
        ours = self._report.presented.key_bits if self._report.presented is not None else 0
        text = f"{self._report.cpu_us / 1_000:.1f} ms of this CPU"
        text += f", their longest key has {bits} bits" if bits else ""
        if ours:
            text += f"; as a server, our {ours} bits cost {costs.rsa_private(ours) * 1_000 / hz:.0f} ms"
        if ours > CHEAP_BITS:
            command = f"x509 servercert-create /key {CHEAP_BITS}-bit"
            return Finding("cost", Level.NOTE, f"{text}, 6 times as much per doubling", command)
        return Finding("cost", Level.OK, text)


REFUSALS = {
    "unknown_ca": (
        "trusts neither it nor its issuer",
        f"{ON_PEER}x509 rejected-trust, or x509 trust-add with what x509 servercert-get prints here",
    ),
    "certificate_expired": (
        "finds it expired or not yet valid",
        "x509 servercert-renew; and compare the clocks of both",
    ),
    "unsupported_certificate": ("finds it not made for a client", "x509 servercert-create"),
    "bad_certificate": ("finds it damaged", "x509 servercert-create"),
    "certificate_unknown": ("does not take it", "x509 servercert-create"),
    "handshake_failure": ("ends the handshake", "x509 servercert-show; the peer may want another certificate"),
    "certificate_required": ("did not get one", "x509 servercert-create"),
}
"""What a server means by an alert about our certificate, and what mends it."""


def _other_profile(profile: str) -> str:
    return "v11" if profile == "modern" else "modern"


def _called(certificate: Certificate) -> str:
    """As short as it can be said."""
    return printable(certificate.subject.common_name[:40]) or _shown(certificate)


def _shown(certificate: Certificate, *, issuer: bool = False) -> str:
    text = (certificate.issuer if issuer else certificate.subject).text or "(no subject)"
    return printable(text if len(text) <= 60 else text[:60] + "...")
