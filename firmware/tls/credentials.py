"""What a TLS endpoint presents: a certificate chain and the key that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Credentials"]


@dataclass(frozen=True)
class Credentials:
    """A certificate chain with its private key, as bytes: TLS needs no more of it than to hand it on."""

    chain_der: tuple[bytes, ...]
    """X.509 DER, the endpoint's own certificate first."""
    key_der: bytes = field(repr=False)
    """The RSA private key as PKCS#8 DER, not encrypted."""
    signature_hash: str
    """Hash of the signature on our own certificate, as ``hal.Costs.digest`` calls it, for example ``sha256``."""
    key_bits: int
    """Length of the RSA modulus."""
