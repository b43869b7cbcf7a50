"""Which certificates have expired or soon will: for marks in listings, and for a line in the log once a day.

How many days before its end a certificate is marked, the vendor's pages do not say where they can be read; 30 is the
time at which the family's automatic renewal begins (vendor's page on automatic certificates).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from firmware.commands.kinds import Number
from firmware.commands.settings import Field
from firmware.x509.certificate import Certificate
from firmware.x509.name import printable
from firmware.x509.timestamp import iso8601_from_seconds

__all__ = ["EXPIRY_FIELDS", "RENEW_HINT", "Expiry", "expiries", "expiry_of"]

SECONDS_A_DAY = 86_400
DEFAULT_DAYS = 30
LONGEST_DAYS = 3_650

RENEW_HINT = "the default certificate has expired: x509 servercert-renew makes a new one"
"""Reference text, Default certificate: "If the certificate has expired, press the Renew button"."""

EXPIRY_FIELDS = (
    Field(
        "expiry-days",
        Number(0, LONGEST_DAYS),
        DEFAULT_DAYS,
        "days before its end from which a certificate is marked; 0: only when it has expired",
    ),
)


@dataclass(frozen=True)
class Expiry:
    """One certificate that has expired, or will within the days that count."""

    place: str
    """``trust list``, ``device``, or an application certificate's domain."""
    certificate: Certificate
    seconds_left: int
    """Negative once it has expired."""

    @property
    def has_expired(self) -> bool:
        return self.seconds_left < 0

    @property
    def state(self) -> str:
        """For machines: ``expired`` or ``expiring``."""
        return "expired" if self.has_expired else "expiring"

    @property
    def days_left(self) -> int:
        """Whole days; negative once it has expired."""
        return self.seconds_left // SECONDS_A_DAY

    @property
    def mark(self) -> str:
        """For people, behind the certificate's line."""
        if self.has_expired:
            return "expired"
        return f"expires in {self.days_left} days" if self.days_left != 1 else "expires in 1 day"

    def line(self) -> str:
        """For the log."""
        name = printable(self.certificate.subject.text) or self.certificate.fingerprint("sha1")
        return f"{self.place}: {name} {self.mark}: {iso8601_from_seconds(self.certificate.not_after)}"


def expiry_of(certificate: Certificate, now_s: int, days: int, place: str = "") -> Expiry | None:
    """None for a certificate that is fine for longer, or that is not valid yet."""
    left = certificate.not_after - now_s
    if now_s < certificate.not_before or left >= days * SECONDS_A_DAY:
        return None
    return Expiry(place, certificate, left)


def expiries(placed: Iterable[tuple[str, Certificate]], now_s: int, days: int) -> list[Expiry]:
    """Those of ``placed`` (where, what) that have expired or soon will, the most urgent first."""
    found = [expiry for place, each in placed if (expiry := expiry_of(each, now_s, days, place))]
    return sorted(found, key=lambda expiry: expiry.seconds_left)
