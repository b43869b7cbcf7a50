"""What certificate work costs, as lists of (kind, cycles) from the board's cost table.

Pure: whoever does the work charges it, before the result leaves the board. Reference text, Certificate Key Length and
CPU Usage: the key length decides, the hash adds its part.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from firmware.hal import Costs
from firmware.x509.certificate import Certificate
from firmware.x509.key import MAX_PUBLIC_BITS

__all__ = [
    "Charge",
    "chain_work",
    "parsing_work",
    "search_step_work",
    "signing_work",
    "verification_work",
    "viewing_work",
]

Charge = tuple[str, int]
"""Kind of cycles as the kernel counts them, and how many."""


def signing_work(costs: Costs, bits: int, hash_name: str, size_bytes: int) -> list[Charge]:
    """Hashing ``size_bytes`` (certificate or request to be signed) and one private operation of ``bits``."""
    return [("hash", costs.digest(hash_name, size_bytes)), ("rsa-private", costs.rsa_private(bits))]


def verification_work(costs: Costs, bits: int, hash_name: str, size_bytes: int) -> list[Charge]:
    """Hashing what was signed and one public operation of the signer's ``bits``."""
    return [("hash", costs.digest(hash_name, size_bytes)), ("rsa-public", costs.rsa_public(bits))]


def parsing_work(costs: Costs, count: int) -> list[Charge]:
    """Reading ``count`` certificates or requests."""
    return [("parse", count * costs.certificate)]


def chain_work(costs: Costs, chain: tuple[Certificate, ...]) -> list[Charge]:
    """Putting a chain in order: each certificate is checked with its issuer's key, the last with nobody's."""
    charges = parsing_work(costs, len(chain))
    for child, issuer in pairwise(chain):
        charges += verification_work(costs, issuer.key_bits, child.signature_hash or "sha256", len(child.tbs))
    return charges


def viewing_work(costs: Costs, certificates: Iterable[Certificate]) -> list[Charge]:
    """Showing certificates: whether one is self-signed takes a public operation, the first time it is asked."""
    charges: list[Charge] = []
    for certificate in certificates:
        hash_name = certificate.signature_hash
        # A key of a size that is refused unread, or of another kind, is not tried.
        is_tried = 0 < certificate.key_bits <= MAX_PUBLIC_BITS
        if hash_name and is_tried and certificate.is_self_issued and "is_self_signed" not in vars(certificate):
            charges += verification_work(costs, certificate.key_bits, hash_name, len(certificate.tbs))
    return charges


def search_step_work(costs: Costs, bits: int) -> list[Charge]:
    """One step of `keygen.key_search` for a key of ``bits``."""
    return [("keygen", costs.keygen(bits))]
