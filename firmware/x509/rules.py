"""What a single certificate must be, each rule with its clause: at any place of a path, at its end, above another.

Every function gives a `Fault`, or None where the certificate is fit. None of them does arithmetic that is worth
charging for; signatures are `path`'s business.

Sizes of keys: the reference text names 1024, 2048 and 4096 bits. Certificates of others come in every size, so
all sizes from 1024 to 4096 are taken; smaller keys are within reach of anybody, larger ones would let a
stranger choose how long this CPU is busy: both are "unsupported".
"""

from __future__ import annotations

from enum import StrEnum

from firmware.x509 import oid
from firmware.x509.certificate import Certificate
from firmware.x509.key import PublicKey
from firmware.x509.timestamp import iso8601_from_seconds
from firmware.x509.verdict import Fault, Reason

__all__ = ["Purpose", "general_fault", "issuer_fault", "key_fault", "purpose_fault", "signature_fault", "size_fault"]

MIN_KEY_BITS = 1024
MAX_KEY_BITS = 4096

MAX_NAME_BYTES = 1536
"""Six attributes of the longest that RFC 5280 appendix A allows, in letters of three bytes, are 1.4 KiB."""

MAX_ATTRIBUTE_BYTES = 512
"""The longest attribute has 128 characters. Unicode normalisation, without which names cannot be compared, takes the
square of the length for text made to that end: 84 ms for 16 KiB, 0.3 ms for this."""

ANY_PURPOSE = "2.5.29.37.0"


class Purpose(StrEnum):
    """Which end of TLS the peer is, hence what its certificate must be for."""

    SERVER = "server"
    CLIENT = "client"


_EXTENDED_USAGE = {Purpose.SERVER: oid.SERVER_AUTH, Purpose.CLIENT: oid.CLIENT_AUTH}

_USAGE = {
    # RFC 5246 7.4.2 and 7.4.6, for RSA keys: a server decrypts (RSA key exchange) or signs (every other one), a client
    # signs. Which exchange it will be is not known here, so one of them is enough.
    Purpose.SERVER: ("digitalSignature", "keyEncipherment"),
    Purpose.CLIENT: ("digitalSignature",),
}


def size_fault(certificate: Certificate) -> Fault | None:
    """Names too long to be compared with. To be asked before any name is."""
    if len(certificate.subject.raw) <= MAX_ATTRIBUTE_BYTES and len(certificate.issuer.raw) <= MAX_ATTRIBUTE_BYTES:
        return None  # as nearly always
    for what, name in (("subject", certificate.subject), ("issuer", certificate.issuer)):
        if len(name.raw) <= MAX_ATTRIBUTE_BYTES:
            continue
        longest = max((len(attribute.raw) for part in name.sets for attribute in part), default=0)
        for size, limit in ((len(name.raw), MAX_NAME_BYTES), (longest, MAX_ATTRIBUTE_BYTES)):
            if size > limit:
                text = f"has {size} bytes in its {what} where at most {limit} are read"
                return Fault(Reason.LIMITS, "RFC 5280 appendix A.1, upper bounds", text)
    return None


def general_fault(certificate: Certificate, now_s: int) -> Fault | None:
    """Dates, extensions and form: the same at every place of a path, that of the trusted certificate included."""
    if now_s < certificate.not_before:
        text = f"is valid from {iso8601_from_seconds(certificate.not_before)} on, it is {iso8601_from_seconds(now_s)}"
        return Fault(Reason.NOT_YET_VALID, "RFC 5280 4.1.2.5", text)
    if now_s > certificate.not_after:
        text = f"has expired on {iso8601_from_seconds(certificate.not_after)}, it is {iso8601_from_seconds(now_s)}"
        return Fault(Reason.EXPIRED, "RFC 5280 4.1.2.5", text)
    if not certificate.values.extensions:
        return None
    if certificate.version != 3:
        text = f"has extensions, which version {certificate.version} does not know"
        return Fault(Reason.MALFORMED, "RFC 5280 4.1.2.9", text)
    for extension in certificate.values.unsupported_critical:
        text = f"has the critical extension {extension.name}, which is not supported"
        return Fault(Reason.UNSUPPORTED_EXTENSION, "reference text, Certificate extensions", text)
    return None


def key_fault(certificate: Certificate) -> Fault | None:
    """A public key that this device cannot work with, be it to verify a signature or to speak TLS."""
    key: PublicKey | None = certificate.public_key
    if key is None:
        return Fault(Reason.UNSUPPORTED, "reference text, Key types", "has a key that is no RSA key")
    if not MIN_KEY_BITS <= key.bits <= MAX_KEY_BITS:
        text = f"has a key of {key.bits} bits, limits {MIN_KEY_BITS} and {MAX_KEY_BITS}"
        return Fault(Reason.UNSUPPORTED, "reference text, Key types", text)
    return None


def signature_fault(certificate: Certificate) -> Fault | None:
    """A signature that nobody's key needs to be tried on."""
    if certificate.algorithm.raw != certificate.tbs_algorithm.raw:
        text = "names one signature algorithm inside and another outside of what is signed"
        return Fault(Reason.MALFORMED, "RFC 5280 4.1.1.2", text)
    if certificate.signature_hash is None:
        text = f"is signed with {certificate.algorithm.name}, which is not supported"
        return Fault(Reason.UNSUPPORTED, "reference text, Signing algorithms", text)
    return None


def purpose_fault(certificate: Certificate, purpose: Purpose) -> Fault | None:
    """Usage of the peer's own certificate. What it does not mention is not restricted.

    Only the peer's own: RFC 5280 4.2.1.12 gives the extended usage of a CA certificate no meaning for what is below it.
    """
    extended = certificate.values.ext_key_usage
    if extended is not None and _EXTENDED_USAGE[purpose] not in extended and ANY_PURPOSE not in extended:
        text = f"is not made for a TLS {purpose.value}: its extKeyUsage is for {_purposes_text(extended)}"
        return Fault(Reason.PURPOSE, "RFC 5280 4.2.1.12", text)
    usage = certificate.values.key_usage
    if usage is not None and usage.isdisjoint(_USAGE[purpose]):
        wanted = " nor ".join(_USAGE[purpose])
        text = f"is not made for a TLS {purpose.value}: its keyUsage does not hold {wanted}"
        return Fault(Reason.PURPOSE, "RFC 5280 4.2.1.3", text)
    return None


def issuer_fault(certificate: Certificate, ca_below: int, *, trusted: bool) -> Fault | None:
    """What a certificate must be to stand above another.

    Args:
        certificate: The issuer's.
        ca_below: CA certificates between it and the peer's own, those that are self-issued not counted.
        trusted: Whether it is on the trust list. Versions 1 and 2 cannot say that they are CAs, so somebody must have
            said it for them (RFC 5280 6.1.4 (k)).
    """
    if certificate.version != 3:
        if trusted:
            return None
        text = f"has version {certificate.version} and issues others, which is only taken from a trusted one"
        return Fault(Reason.UNSUPPORTED, "RFC 5280 6.1.4 (k)", text)
    if not certificate.is_ca:
        text = "issued the one before it, but is not a CA certificate"
        return Fault(Reason.PURPOSE, "RFC 5280 4.2.1.9", text)
    usage = certificate.values.key_usage
    if usage is not None and "keyCertSign" not in usage:
        text = "issued the one before it, but its keyUsage does not hold keyCertSign"
        return Fault(Reason.PURPOSE, "RFC 5280 4.2.1.3", text)
    return _path_length_fault(certificate, ca_below)


def _path_length_fault(certificate: Certificate, ca_below: int) -> Fault | None:
    constraints = certificate.values.basic_constraints
    limit = constraints.path_length if constraints else None
    if limit is None or ca_below <= limit:
        return None
    return Fault(Reason.PURPOSE, "RFC 5280 4.2.1.9", f"has {ca_below} CA below it in the path, its limit is {limit}")


def _purposes_text(purposes: tuple[str, ...]) -> str:
    shown = [oid.PURPOSE_NAMES.get(purpose, purpose) for purpose in purposes[:4]]
    return ", ".join(shown) + (" and others" if len(purposes) > len(shown) else "")
