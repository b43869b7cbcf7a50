"""Who a TLS end is: a certificate chain with the private key of its first certificate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firmware.errors import CertificateError
from firmware.x509.certificate import Certificate, certificates_from_file
from firmware.x509.key import PrivateKey, private_key_from_file

__all__ = ["Identity", "identity_from_certificates", "identity_from_file", "ordered_chain"]

MAX_CHAIN = 10
"""Certificates in a chain; real ones have two to four."""


@dataclass(frozen=True)
class Identity:
    """A chain from the device's certificate upwards, and the key of the first one.

    Raises:
        CertificateError: The chain is empty, or the key is not its first certificate's.
    """

    chain: tuple[Certificate, ...]
    key: PrivateKey

    def __post_init__(self) -> None:
        if not self.chain:
            raise CertificateError("a chain needs at least one certificate")
        if self.chain[0].public_key != self.key.public_key:
            raise CertificateError(f"the private key does not match certificate {self.chain[0].subject.text}")

    @property
    def leaf(self) -> Certificate:
        return self.chain[0]


def identity_from_file(data: bytes) -> Identity:
    """An uploaded PEM file: chain and private key in any order. Raises CertificateError."""
    return identity_from_certificates(certificates_from_file(data), private_key_from_file(data))


def identity_from_certificates(certificates: Iterable[Certificate], key: PrivateKey) -> Identity:
    """Puts a chain in order around its key.

    Raises:
        CertificateError: No certificate matches the key; or one is left over because a link to it is missing.
    """
    return Identity(ordered_chain(certificates, key.public_key.spki()), key)


def ordered_chain(certificates: Iterable[Certificate], spki: bytes) -> tuple[Certificate, ...]:
    """The chain from the certificate of a public key upwards, each signed by the next.

    The root may be missing: whoever trusts it has it. Signatures are checked, not names alone, so that two CA
    certificates of one name are told apart; that takes one public RSA operation per link.

    Raises:
        CertificateError: As `identity_from_certificates`.
    """
    pool = list(dict.fromkeys(certificates))
    if len(pool) > MAX_CHAIN:
        raise CertificateError(f"chain of {len(pool)} certificates, limit {MAX_CHAIN}")
    leaves = [certificate for certificate in pool if certificate.spki == spki]
    if not leaves:
        raise CertificateError(f"none of {len(pool)} certificates matches the private key")
    chain = max((_chain_from(leaf, pool) for leaf in leaves), key=len)
    left_over = [certificate for certificate in pool if certificate not in chain]
    if left_over:
        raise CertificateError(_gap_text(chain[-1], left_over[0]))
    return tuple(chain)


def _chain_from(leaf: Certificate, pool: Sequence[Certificate]) -> list[Certificate]:
    chain = [leaf]
    while not chain[-1].is_self_issued and (issuer := _issuer_of(chain[-1], pool, chain)):
        chain.append(issuer)
    return chain


def _issuer_of(child: Certificate, pool: Iterable[Certificate], used: Sequence[Certificate]) -> Certificate | None:
    for candidate in pool:
        if candidate.subject == child.issuer and candidate not in used and child.is_signed_by(candidate.public_key):
            return candidate
    return None


def _gap_text(last: Certificate, left_over: Certificate) -> str:
    if last.is_self_issued:
        return f"certificate {left_over.subject.text} does not belong to the chain of {last.subject.text}"
    return f"gap in the chain: {last.issuer.text} is missing, which issued {last.subject.text}"
