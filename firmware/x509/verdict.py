"""What comes of looking at a peer's certificates: a verdict, with all that a list, a log line and an alert need of it.

A refused certificate is a value, never an exception; only the TLS border makes an alert of it (`ALERT_OF_REASON`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from firmware.x509.certificate import Certificate
from firmware.x509.work import Charge

__all__ = ["ALERT_OF_REASON", "Fault", "Reason", "Suggestion", "Trust", "Verdict"]


class Reason(StrEnum):
    """Why a peer is refused. The value is what people read."""

    UNKNOWN_CA = "unknown CA"
    """Nothing in the chain is trusted, and its self-signed root was not sent: the vendor's word for it."""
    UNTRUSTED_CA = "untrusted CA"
    """Nothing in the chain is trusted; its root is in it, or it is a self-signed certificate itself."""
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    BAD_SIGNATURE = "bad signature"
    UNSUPPORTED_EXTENSION = "unsupported critical extension"
    PURPOSE = "purpose"
    """Not made for this end of TLS; or, further up the chain, not made to issue what stands below it."""
    NAME_MISMATCH = "name mismatch"
    UNSUPPORTED = "unsupported"
    """An algorithm, a key or a version that this device does not do."""
    MALFORMED = "malformed"
    LIMITS = "limits exceeded"


class Suggestion(StrEnum):
    """What would mend it: a key for whoever explains it to people and names the command."""

    NOTHING = "nothing"
    TRUST_CERTIFICATE = "trust-certificate"
    """Trust the certificate that the verdict names: the root, the last intermediate, the peer itself."""
    SET_CLOCK = "set-clock"
    RENEW_CERTIFICATE = "renew-certificate"
    """The peer, or one of its CAs, needs a new one."""
    REPLACE_TRUSTED = "replace-trusted-certificate"
    """The entry of our own trust list is past use."""
    REISSUE_CERTIFICATE = "reissue-certificate"
    """It was made with the wrong choices: algorithm, key, usage, extensions."""
    REINSTALL_CERTIFICATE = "reinstall-certificate"
    """What the peer has was damaged on its way."""
    USE_CERTIFIED_NAME = "use-certified-name"
    """Ask for the peer by a name in its certificate, or trust that very certificate."""
    SHORTEN_CHAIN = "shorten-chain"


ALERT_OF_REASON: Mapping[Reason, int] = MappingProxyType(
    {
        # RFC 5246 7.2.2: "the CA certificate could not be located or couldn't be matched with a known, trusted CA".
        Reason.UNKNOWN_CA: 48,
        Reason.UNTRUSTED_CA: 48,
        # certificate_expired: "has expired or is not currently valid".
        Reason.EXPIRED: 45,
        Reason.NOT_YET_VALID: 45,
        # bad_certificate: "was corrupt, contained signatures that did not verify correctly, etc."; decrypt_error (51),
        # which OpenSSL sends by itself, is for signatures of the handshake.
        Reason.BAD_SIGNATURE: 42,
        Reason.MALFORMED: 42,
        Reason.NAME_MISMATCH: 42,
        # unsupported_certificate: "of an unsupported type".
        Reason.PURPOSE: 43,
        Reason.UNSUPPORTED: 43,
        # certificate_unknown: "some other (unspecified) issue ... rendering it unacceptable".
        Reason.UNSUPPORTED_EXTENSION: 46,
        Reason.LIMITS: 46,
    }
)
"""AlertDescription (RFC 5246 7.2) that the peer of a refused certificate is told."""


SUGGESTION_OF_REASON: Mapping[Reason, Suggestion] = MappingProxyType(
    {
        Reason.UNKNOWN_CA: Suggestion.TRUST_CERTIFICATE,
        Reason.UNTRUSTED_CA: Suggestion.TRUST_CERTIFICATE,
        Reason.EXPIRED: Suggestion.RENEW_CERTIFICATE,
        Reason.NOT_YET_VALID: Suggestion.SET_CLOCK,
        Reason.BAD_SIGNATURE: Suggestion.REINSTALL_CERTIFICATE,
        Reason.MALFORMED: Suggestion.REINSTALL_CERTIFICATE,
        Reason.UNSUPPORTED_EXTENSION: Suggestion.REISSUE_CERTIFICATE,
        Reason.PURPOSE: Suggestion.REISSUE_CERTIFICATE,
        Reason.UNSUPPORTED: Suggestion.REISSUE_CERTIFICATE,
        Reason.NAME_MISMATCH: Suggestion.USE_CERTIFIED_NAME,
        Reason.LIMITS: Suggestion.SHORTEN_CHAIN,
    }
)


class Fault(NamedTuple):
    """What is wrong with one certificate."""

    reason: Reason
    clause: str
    """What it offends: "RFC 5280 4.2.1.9", "reference text, Certificate extensions"."""
    text: str
    """Goes on behind the certificate's name: "has expired on ..."."""


class Trust(StrEnum):
    """What an accepted peer was accepted for."""

    ENDPOINT = "endpoint"
    """Its own certificate is on the trust list."""
    CA = "CA"
    """A CA certificate above it is."""


@dataclass(frozen=True)
class Verdict:
    """What was found; `ok` says whether the peer is accepted."""

    reason: Reason | None
    """None when the peer is accepted."""
    text: str
    """One line for people."""
    clause: str = ""
    index: int | None = None
    """Place of the offending certificate in what the peer sent; None when it stands only on the trust list, or when
    the peer is accepted or sent nothing."""
    certificate: Certificate | None = None
    """The offending certificate; None where it could not be read, too."""
    suggestion: Suggestion = Suggestion.NOTHING
    trust: Trust | None = None
    path: tuple[Certificate, ...] = ()
    """From the peer's own certificate to the trusted one; of a refused peer, as far as it was followed."""
    charges: tuple[Charge, ...] = ()
    """All that was done for it, in order: (kind, cycles)."""

    @property
    def ok(self) -> bool:
        return self.reason is None

    @property
    def subject(self) -> str:
        """Subject of the offending certificate; empty where there is none, or where it could not be read."""
        return self.certificate.subject.text if self.certificate else ""

    @property
    def alert(self) -> int | None:
        """Code of the TLS alert for it; None when the peer is accepted."""
        return ALERT_OF_REASON[self.reason] if self.reason else None

    def __str__(self) -> str:
        return self.text
