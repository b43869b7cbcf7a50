"""What came of one TLS connection that the box began, as text for people and JSON for machines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from firmware.errors import CertificateError, CommandError
from firmware.x509.certificate import Certificate, certificate_from_der, fingerprint
from firmware.x509.timestamp import iso8601_from_seconds
from firmware.x509.verdict import Verdict
from firmware.x509.view import certificate_view

__all__ = ["Destination", "Report", "certificates_from_ders", "destination_from_text"]

MAX_PORT = 65_535

MAX_SHOWN = 60
"""Characters of a subject in a line."""


class Destination(NamedTuple):
    """Where to, and whom to ask for."""

    host: str
    port: int
    name: str
    """Whose certificate it must be."""

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def text(self) -> str:
        """For the head line."""
        return self.address if self.name == self.host else f"{self.address} as {self.name}"

    @property
    def words(self) -> str:
        """As it is typed behind a command."""
        return self.address if self.name == self.host else f"{self.address} /name {self.name}"


def destination_from_text(text: str, name: str = "") -> Destination:
    """``HOST:PORT``, an IPv6 address in brackets; the name is the host's where none is given. CommandError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not host or (":" in host and not bracketed):
        raise CommandError(f"{text[:64]!r} is not HOST:PORT")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= MAX_PORT):
        raise CommandError(f"port {port[:16]!r}: must be a number from 1 to {MAX_PORT}")
    return Destination(host, int(port), name or host)


@dataclass(frozen=True)
class Report:
    """One connection, finished or failed."""

    destination: Destination
    reached: bool
    """Whether the port accepted the connection at all."""
    failure: str = ""
    """Why there is no TLS connection; empty when there was one."""
    profile: str = ""
    version: str = ""
    """Empty where the peer never chose one."""
    cipher: str = ""
    cpu_us: int = 0
    """CPU time of this board for the handshake."""
    events: tuple[str, ...] = ()
    """Handshake messages and alerts, ours with ``>`` in front."""
    chain_der: tuple[bytes, ...] = ()
    verdict: Verdict | None = None
    presented: Certificate | None = None
    """What we show when asked; None: there is nothing."""

    @property
    def ok(self) -> bool:
        return self.reached and not self.failure

    @property
    def asked(self) -> bool | None:
        """Whether the server asked for our certificate; None where it did not come to that."""
        if "<CertificateRequest" in self.events:
            return True
        return None if {"<ServerHelloDone", "<Finished"}.isdisjoint(self.events) else False

    @property
    def alerts(self) -> tuple[str, ...]:
        """Fatal or not, in order; a close_notify is nothing to speak of."""
        return tuple(event for event in self.events if " " in event and "close_notify" not in event)

    @property
    def refused_by_peer(self) -> str:
        """The name of the alert that the server sent; empty when it sent none."""
        heard = [alert.removeprefix("<alert ") for alert in self.alerts if alert.startswith("<")]
        return heard[-1] if heard else ""

    def text(self) -> str:
        """Several lines; the first says whether it works."""
        return "\n".join(f"{label + ':':<{_LABEL_WIDTH}}{value}" for label, value in self._rows())

    def _rows(self) -> Iterable[tuple[str, str]]:
        yield ("connected" if self.ok else "failed"), self.destination.text
        if self.failure and (self.verdict is None or self.verdict.ok):
            yield "reason", self.failure
        if self.verdict is not None:
            yield "certificate", self.verdict.text
        for index, certificate in enumerate(certificates_from_ders(self.chain_der)):
            yield f"  {index + 1} of {len(self.chain_der)}", _certificate_line(certificate)
        if self.asked is not None:
            yield "client", self._client_line
        if self.version:
            yield "protocol", f"{self.version} {self.cipher}, profile {self.profile}"
        if self.alerts:
            yield "alerts", ", ".join(_alert_words(alert) for alert in self.alerts)
        yield "cpu time", f"{self.cpu_us / 1_000:.1f} ms"

    @property
    def _client_line(self) -> str:
        if not self.asked:
            return "the server asks for no certificate"
        if self.presented is None:
            return "the server asks for a certificate, and there is none to show"
        return f"the server asks for a certificate, shown was {_shorter(self.presented.subject.text)}"

    def data(self, now_s: int) -> dict[str, object]:
        """For ``/json``."""
        return {
            "ok": self.ok,
            "peer": self.destination.address,
            "name": self.destination.name,
            "failure": self.failure or None,
            "verdict": _verdict_data(self.verdict),
            "chain": [_certificate_data(der, now_s) for der in self.chain_der],
            "asked": self.asked,
            "shown": self.presented.subject.text if self.asked and self.presented else None,
            "profile": self.profile,
            "version": self.version or None,
            "cipher": self.cipher or None,
            "alerts": [_alert_words(alert) for alert in self.alerts],
            "messages": [event for event in self.events if " " not in event],
            "cpu_us": self.cpu_us,
        }


def certificates_from_ders(chain_der: Iterable[bytes]) -> list[Certificate | None]:
    """A chain as it can be read: None for what cannot."""
    return [_readable(der) for der in chain_der]


def _readable(der: bytes) -> Certificate | None:
    try:
        return certificate_from_der(der)
    except CertificateError:
        return None


def _certificate_line(certificate: Certificate | None) -> str:
    if certificate is None:
        return "cannot be read"
    until = iso8601_from_seconds(certificate.not_after)
    kind = f"RSA {certificate.key_bits}-bit" if certificate.key_bits else "no RSA key"
    return f"{_shorter(certificate.subject.text)}, {kind}, {certificate.algorithm.name}, until {until}"


def _certificate_data(der: bytes, now_s: int) -> dict[str, object]:
    certificate = _readable(der)
    if certificate is None:
        return {"error": "cannot be read", "sha1": fingerprint(der, "sha1")}
    return certificate_view(certificate, now_s)


def _verdict_data(verdict: Verdict | None) -> dict[str, object] | None:
    if verdict is None:
        return None
    return {
        "ok": verdict.ok,
        "reason": verdict.reason.value if verdict.reason else None,
        "text": verdict.text,
        "clause": verdict.clause or None,
        "index": verdict.index,
        "trust": verdict.trust.value if verdict.trust else None,
        "suggestion": verdict.suggestion.value,
    }


def _alert_words(alert: str) -> str:
    return f"{alert[1:].removeprefix('alert ')} {'sent' if alert.startswith('>') else 'received'}"


def _shorter(text: str) -> str:
    text = text or "(no subject)"
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


_LABEL_WIDTH = 13
