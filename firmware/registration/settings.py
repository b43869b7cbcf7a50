"""What can be configured of a phone's registration.

::

    config change PHONE /registrar IP800-06-11-ac:5061 /user alice
    config write
    config activate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firmware.commands.kinds import Choice, Number, Text
from firmware.commands.settings import Field
from firmware.errors import CommandError
from firmware.x509.connect import destination_from_text

__all__ = ["MODULE", "PHONE_FIELDS", "Plan", "plan_from_values"]

MODULE = "PHONE"

TLS, TCP = "tls", "tcp"

CONSTANT, EXPONENTIAL = "constant", "exponential"

UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()&=+$,;?/%")
"""What the user of a URI may consist of (RFC 3261 25.1)."""


@dataclass(frozen=True, slots=True)
class HostAndPort:
    """``HOST:PORT``, or nothing; kept as it was given."""

    shape: str = "HOST:PORT"

    @property
    def values(self) -> tuple[str, ...]:
        return ()

    def parse(self, text: str) -> str:
        if not text:
            return text
        try:
            destination_from_text(text)
        except CommandError as error:
            raise ValueError(f"must be HOST:PORT: {error}") from None
        return Text().parse(text)


@dataclass(frozen=True, slots=True)
class User:
    """The user of a SIP URI."""

    shape: str = "TEXT"
    limit: int = 64

    @property
    def values(self) -> tuple[str, ...]:
        return ()

    def parse(self, text: str) -> str:
        if len(text) > self.limit:
            raise ValueError(f"must be at most {self.limit} characters, is {len(text)}")
        if not set(text) <= UNRESERVED:
            raise ValueError("must be letters, digits and -_.!~*'()&=+$,;?/%")
        return text


PHONE_FIELDS = (
    Field("registrar", HostAndPort(), "", "where it registers; nothing: it does not"),
    Field("name", Text(), "", "whom the registrar's certificate must name; the host unless given"),
    Field("transport", Choice(TLS, TCP), TLS),
    Field("user", User(), "", "object that it registers as"),
    Field("expires", Number(60, 86_400), 3_600, "seconds asked for; renewed before they are over"),
    Field("keepalive", Number(1, 3_600), 120, "seconds between pings (RFC 5626), a random fifth less"),
    Field("start-spread-ms", Number(0, 3_600_000), 0, "first attempt at random within that time, 0: at once"),
    Field("retry", Choice(CONSTANT, EXPONENTIAL), EXPONENTIAL, "how the wait grows with each failure"),
    Field("retry-base-ms", Number(100, 3_600_000), 30_000, "constant: the wait. Exponential: doubled by each failure"),
    Field("retry-max-ms", Number(100, 86_400_000), 1_800_000, "longest wait"),
)
"""Defaults of the back-off: RFC 5626 4.5; of the time asked for: RFC 3261 10.2."""


@dataclass(frozen=True)
class Plan:
    """How to register."""

    host: str
    port: int
    name: str
    """Whom the registrar's certificate must name."""
    secure: bool
    user: str
    expires_s: int = 3_600
    keepalive_s: int = 120
    start_spread_ms: int = 0
    exponential: bool = True
    retry_base_ms: int = 30_000
    retry_max_ms: int = 1_800_000

    @property
    def registrar(self) -> str:
        """``HOST:PORT``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def plan_from_values(values: Mapping[str, Any]) -> Plan | None:
    """What the values of the module come to; None where there is no registrar, or nobody to register as."""
    if not values["registrar"] or not values["user"]:
        return None
    destination = destination_from_text(values["registrar"], values["name"])
    return Plan(
        destination.host,
        destination.port,
        destination.name,
        values["transport"] == TLS,
        values["user"],
        values["expires"],
        values["keepalive"],
        values["start-spread-ms"],
        values["retry"] == EXPONENTIAL,
        values["retry-base-ms"],
        values["retry-max-ms"],
    )
