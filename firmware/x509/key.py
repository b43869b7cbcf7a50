"""RSA keys: numbers, their encodings (PKCS#1, PKCS#8, SubjectPublicKeyInfo), signatures.

The arithmetic is cryptography's, through its plain RSASSA-PKCS1-v1_5 operation: its certificate layer refuses MD5 and
SHA-1, which the device must still make and read. It is imported at the first signature, not before.

Not modelled: the timing and fault protection of a real signing core; nothing here costs virtual time by itself.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from firmware.errors import CertificateError
from firmware.x509 import der
from firmware.x509.arithmetic import modular_power
from firmware.x509.der import Reader
from firmware.x509.memory import remembered
from firmware.x509.oid import HASHES, RSA_ENCRYPTION
from firmware.x509.pem import KEY_LABELS, der_from_file, pem_from_der

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = [
    "KEY_BITS",
    "PrivateKey",
    "PublicKey",
    "private_key_from_der",
    "private_key_from_file",
    "private_key_from_primes",
    "public_key_from_spki",
]

KEY_BITS = (1024, 2048, 4096)
"""Sizes that the device makes (reference text, Key types)."""

MIN_PRIVATE_BITS = 1024
MAX_PRIVATE_BITS = 4096
"""Sizes between those of `KEY_BITS`, 3072 for one, are taken when they come from outside."""

MAX_PUBLIC_BITS = 8192
"""Verifying costs the square of the size; a stranger must not choose it freely."""

MAX_EXPONENT_BITS = 64
"""OpenSSL's own limit for large keys."""

_RSA_ALGORITHM = der.sequence(der.object_identifier(RSA_ENCRYPTION), b"\x05\x00")


@cache
def _padding_and_hash(hash_name: str) -> tuple[Any, Any]:
    """What asks cryptography for RSASSA-PKCS1-v1_5 with this hash. CertificateError for an unknown one."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    if hash_name not in HASHES:
        raise CertificateError(f"hash {hash_name!r} is none of {', '.join(HASHES)}")
    return padding.PKCS1v15(), getattr(hashes, hash_name.upper())()


@dataclass(frozen=True)
class PublicKey:
    """An RSA public key (RFC 8017 A.1.1)."""

    modulus: int
    exponent: int

    @property
    def bits(self) -> int:
        return self.modulus.bit_length()

    def _pkcs1(self) -> bytes:
        return der.sequence(der.integer(self.modulus), der.integer(self.exponent))

    def spki(self) -> bytes:
        """SubjectPublicKeyInfo."""
        return der.sequence(_RSA_ALGORITHM, der.bit_string(self._pkcs1()))

    def key_id(self) -> bytes:
        """20 bytes: SHA-1 of the public key's bit string, RFC 5280 4.2.1.2 method (1)."""
        return hashlib.sha1(self._pkcs1(), usedforsecurity=False).digest()

    @cached_property
    def _native(self) -> rsa.RSAPublicKey | None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        if self.bits > MAX_PUBLIC_BITS or self.exponent.bit_length() > MAX_EXPONENT_BITS:
            return None
        try:
            return rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()
        except ValueError:
            return None

    def verify(self, hash_name: str, data: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's over ``data``. False too for numbers that make no sensible key."""
        return _is_signature(data, signature, hash_name, self)


@remembered(entries=1_024, longest_bytes=2_048)
def _is_signature(data: bytes, signature: bytes, hash_name: str, key: PublicKey) -> bool:
    from cryptography.exceptions import InvalidSignature

    padding, algorithm = _padding_and_hash(hash_name)
    native = key._native
    if native is None:
        return False
    try:
        native.verify(signature, data, padding, algorithm)
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True, repr=False)
class PrivateKey:
    """An RSA private key with two primes; the numbers have their names from RFC 8017 A.1.2. ``repr`` hides them."""

    modulus: int
    public_exponent: int
    private_exponent: int
    prime1: int
    prime2: int
    exponent1: int
    exponent2: int
    coefficient: int

    def __repr__(self) -> str:
        return f"<PrivateKey of {self.bits} bits, public key id {self.public_key.key_id().hex()}>"

    @property
    def bits(self) -> int:
        return self.modulus.bit_length()

    @cached_property
    def public_key(self) -> PublicKey:
        return PublicKey(self.modulus, self.public_exponent)

    def spki(self) -> bytes:
        """SubjectPublicKeyInfo of the public half."""
        return self.public_key.spki()

    def pkcs1(self) -> bytes:
        """RSAPrivateKey, what stands under ``RSA PRIVATE KEY``."""
        return der.sequence(der.integer(0), *(der.integer(getattr(self, part.name)) for part in fields(self)))

    def der(self) -> bytes:
        """PKCS#8 PrivateKeyInfo (RFC 5208), unencrypted."""
        return der.sequence(der.integer(0), _RSA_ALGORITHM, der.octet_string(self.pkcs1()))

    def pem(self) -> str:
        """PKCS#8 under ``PRIVATE KEY``."""
        return pem_from_der(self.der(), "PRIVATE KEY")

    @cached_property
    def _native(self) -> rsa.RSAPrivateKey:
        from cryptography.hazmat.primitives.asymmetric import rsa

        public = rsa.RSAPublicNumbers(self.public_exponent, self.modulus)
        numbers = rsa.RSAPrivateNumbers(
            self.prime1, self.prime2, self.private_exponent, self.exponent1, self.exponent2, self.coefficient, public
        )
        # Checked already: by the search that made the key, or by private_key_from_der.
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)

    def sign(self, hash_name: str, data: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5 signature, as long as the modulus. Raises CertificateError for an unknown hash."""
        return self._native.sign(data, *_padding_and_hash(hash_name))


def private_key_from_primes(prime1: int, prime2: int, public_exponent: int) -> PrivateKey:
    """The key of two primes; the larger becomes ``prime1``."""
    p, q = max(prime1, prime2), min(prime1, prime2)
    # RFC 8017 3.2: any d that inverts e modulo both p-1 and q-1 does; this is the smaller one, modulo their lcm.
    d = pow(public_exponent, -1, math.lcm(p - 1, q - 1))
    return PrivateKey(p * q, public_exponent, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))


def _is_rsa(reader: Reader) -> bool:
    """Reads an AlgorithmIdentifier; whether it is rsaEncryption."""
    algorithm = reader.inside()
    return algorithm.oid() == RSA_ENCRYPTION


def public_key_from_spki(spki: bytes) -> PublicKey | None:
    """The key of a SubjectPublicKeyInfo; None where it is no RSA key. Raises CertificateError where it is damaged."""
    outer = Reader(spki, "public key")
    reader = outer.inside()
    outer.finish()
    is_rsa = _is_rsa(reader)
    bits = reader.take(der.BIT_STRING)
    reader.finish()
    if not is_rsa:
        return None
    inner = Reader(der.bits_from_element(bits), "public key")
    numbers = inner.inside()
    modulus, exponent = (numbers.integer() for _ in range(2))
    numbers.finish()
    inner.finish()
    if modulus <= 0 or exponent <= 0:
        raise CertificateError("public key: modulus and exponent must be positive")
    return PublicKey(modulus, exponent)


def private_key_from_der(data: bytes) -> PrivateKey:
    """Reads PKCS#8 or PKCS#1, whichever it is: the reference text shows PKCS#1 bytes under a PKCS#8 label.

    Raises:
        CertificateError: Damaged, encrypted, no RSA key, of a size outside 1024 to 4096 bits, or with numbers that do
            not belong together.
    """
    outer = Reader(data, "private key")
    reader = outer.inside()
    outer.finish()
    if reader.take_if(der.SEQUENCE):
        if reader.next_is(der.OCTET_STRING):
            raise CertificateError("private key is encrypted: decrypt it first, for example with openssl pkey")
        raise CertificateError("this is no private key")
    version = reader.integer()
    if reader.next_is(der.SEQUENCE):
        if not _is_rsa(reader):
            raise CertificateError("private key is not an RSA key")
        # What follows the key are attributes, which nobody needs.
        return _key_from_pkcs1(reader.content(der.OCTET_STRING))
    if reader.next_is(der.OCTET_STRING):  # RFC 5915
        raise CertificateError("private key is not an RSA key")
    if version == 1:
        raise CertificateError("private key of more than two primes is not supported")
    if version != 0:
        raise CertificateError("this is no private key")
    return _key_from_pkcs1(data)


def private_key_from_file(data: bytes) -> PrivateKey:
    """The one private key of a PEM or DER file. Raises CertificateError for none, several, or a bad one."""
    found = der_from_file(data, KEY_LABELS, "private key")
    if len(set(found)) > 1:
        raise CertificateError(f"{len(found)} private keys found, 1 expected")
    return private_key_from_der(found[0])


def _key_from_pkcs1(data: bytes) -> PrivateKey:
    outer = Reader(data, "private key")
    reader = outer.inside()
    outer.finish()
    reader.take(der.INTEGER)
    numbers = [reader.integer() for _ in fields(PrivateKey)]
    key = PrivateKey(*numbers)
    _check(key)
    return key


def _check(key: PrivateKey) -> None:
    if not MIN_PRIVATE_BITS <= key.bits <= MAX_PRIVATE_BITS or key.modulus < 0:
        raise CertificateError(f"private key of {key.bits} bits, limits {MIN_PRIVATE_BITS} and {MAX_PRIVATE_BITS}")
    p, q, e, d = key.prime1, key.prime2, key.public_exponent, key.private_exponent
    fits = (
        1 < min(p, q, d) <= max(p, q, d) < key.modulus
        and e > 2
        and e.bit_length() <= MAX_EXPONENT_BITS
        and p * q == key.modulus
        and (d * e - 1) % (p - 1) == 0
        and (d * e - 1) % (q - 1) == 0
        and key.exponent1 == d % (p - 1)
        and key.exponent2 == d % (q - 1)
        and 0 < key.coefficient < p
        and key.coefficient * q % p == 1
        # Numbers can agree with one another over a composite; such a key would sign nonsense.
        and modular_power(2, p - 1, p) == 1
        and modular_power(2, q - 1, q) == 1
    )
    if not fits:
        raise CertificateError(f"private key of {key.bits} bits is damaged: its numbers do not belong together")
