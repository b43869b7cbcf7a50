"""The REGISTER requests of one phone (RFC 3261 10.2, RFC 5626 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from firmware.registration.settings import Plan
from firmware.sip.message import SipResponse

__all__ = ["Register", "Registrant"]

MAX_FORWARDS = 70
"""RFC 3261 8.1.1.6."""

MAGIC = "z9hG4bK"
"""How every branch begins (RFC 3261 8.1.1.7)."""

PORTS = {"TLS": 5061, "TCP": 5060}
"""Where the phone's own services listen."""


@dataclass(frozen=True)
class Registrant:
    """Who registers: what does not change as long as the phone has power."""

    host: str
    """The phone's own name."""
    mac: bytes
    agent: str
    """Product and firmware version."""
    call_id: str
    """RFC 3261 10.2.4: the same for all registrations with a registrar."""

    @property
    def instance(self) -> str:
        """RFC 5626 4.1: a UUID that stays through power cuts, made of the MAC address as its example shows."""
        return f"urn:uuid:00000000-0000-1000-8000-{self.mac.hex()}"


class Register(NamedTuple):
    """One REGISTER."""

    who: Registrant
    plan: Plan
    cseq: int
    branch: str
    """Without the magic; random."""
    tag: str
    expires_s: int

    def to_bytes(self) -> bytes:
        """As it is sent."""
        host = f"[{self.plan.host}]" if ":" in self.plan.host else self.plan.host
        scheme, transport = ("sips", "TLS") if self.plan.secure else ("sip", "TCP")
        aor = f"<{scheme}:{self.plan.user}@{host}>"
        here = f"{self.who.host}:{PORTS[transport]}"
        suffix = "" if self.plan.secure else ";transport=tcp"
        lines = [
            f"REGISTER {scheme}:{host} SIP/2.0",
            f"Via: SIP/2.0/{transport} {here};branch={MAGIC}{self.branch}",
            f"Max-Forwards: {MAX_FORWARDS}",
            f"From: {aor};tag={self.tag}",
            f"To: {aor}",
            f"Call-ID: {self.who.call_id}",
            f"CSeq: {self.cseq} REGISTER",
            f'Contact: <{scheme}:{self.plan.user}@{here}{suffix}>;+sip.instance="<{self.who.instance}>";reg-id=1',
            f"Expires: {self.expires_s}",
            "Supported: path, outbound",
            f"User-Agent: {self.who.agent}",
            "Content-Length: 0",
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def is_answered_by(self, response: SipResponse) -> bool:
        """Whether a response is to this request (RFC 3261 17.1.3: branch of the topmost Via, method of CSeq)."""
        via = (response.first("via") or "").partition(",")[0]
        number, _, method = (response.first("cseq") or "").partition(" ")
        return (
            f"branch={MAGIC}{self.branch}" in map(str.strip, via.split(";"))
            and number == str(self.cseq)
            and method.strip() == "REGISTER"
        )
