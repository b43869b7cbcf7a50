"""X.509 certificates of versions 1 to 3, read from their bytes (RFC 5280 4.1).

```
  Certificate  = SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
  tbs          = SEQUENCE { [0] version?, serial, signature, issuer, validity, subject, spki,
                            [1] issuerUniqueID?, [2] subjectUniqueID?, [3] extensions? }
```

Everything that a signature or a comparison needs is kept as the slice it was: the whole, the part that is signed, the
public key, both algorithm identifiers, every extension. Nothing is judged here: an expired, self-made or absurd
certificate is read as well as a good one, so that it can be shown. What cannot be read is a `CertificateError`.

Tolerant where the field is: any serial number (zero, negative, long), version 2, unknown key and signature algorithms,
algorithm identifiers without NULL, default values written out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from firmware.errors import CertificateError
from firmware.x509 import der, oid
from firmware.x509.der import Element, Reader
from firmware.x509.extension import ExtensionSet, extension_set_from_elements
from firmware.x509.key import PublicKey, public_key_from_spki
from firmware.x509.memory import remembered
from firmware.x509.name import Name, name_from_element
from firmware.x509.pem import CERTIFICATE_LABELS, blocks_from_pem, pem_from_der
from firmware.x509.timestamp import seconds_from_element

__all__ = [
    "AlgorithmIdentifier",
    "Certificate",
    "algorithm_from_reader",
    "certificate_from_der",
    "certificates_from_file",
    "certificates_from_pem",
    "fingerprint",
    "key_bits_from_der",
    "signature_from_reader",
]

MAX_CERTIFICATE_BYTES = 16_384
"""A 4096-bit certificate with a hundred names takes 6 KiB; what is longer than a TLS record is refused unread."""

MAX_CERTIFICATES = 200
"""In one file."""


@dataclass(frozen=True)
class AlgorithmIdentifier:
    """Which algorithm, as it was encoded."""

    oid: str
    raw: bytes
    parameters: bytes
    """Empty where there are none."""

    @cached_property
    def hash_name(self) -> str | None:
        """``sha256`` for sha256WithRSAEncryption; None for an algorithm that the device does not know."""
        if self.parameters not in (b"", b"\x05\x00"):
            return None
        return oid.HASH_OF_SIGNATURE.get(self.oid)

    @property
    def name(self) -> str:
        return oid.SIGNATURE_NAMES.get(self.oid, self.oid)


def algorithm_from_reader(reader: Reader) -> AlgorithmIdentifier:
    element = reader.take(der.SEQUENCE)
    return _algorithm_from(element.content, element.raw)


@remembered(entries=64, longest_bytes=64)
def _algorithm_from(content: bytes, raw: bytes) -> AlgorithmIdentifier:
    inner = Reader(content, "algorithm identifier")
    dotted = inner.oid()
    return AlgorithmIdentifier(dotted, raw, inner.rest)


def signature_from_reader(reader: Reader) -> bytes:
    """A signature value; empty where it is not made of whole octets, as RSA's are, so that it verifies for nobody."""
    content = reader.content(der.BIT_STRING)
    return content[1:] if content[:1] == b"\x00" else b""


def fingerprint(encoding: bytes, hash_name: str) -> str:
    """Lower-case hexadecimal without separators. ``hash_name`` is ``md5``, ``sha1`` or ``sha256``."""
    return hashlib.new(hash_name, encoding, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, repr=False)
class Certificate:
    """One certificate. Two are equal when their bytes are."""

    der: bytes
    tbs: bytes = field(compare=False)
    """The slice that the signature covers."""
    version: int = field(compare=False)
    """1, 2 or 3."""
    serial: int = field(compare=False)
    tbs_algorithm: AlgorithmIdentifier = field(compare=False)
    """Inside the signed part; must be equal to the outer one (RFC 5280 4.1.1.2), which the validator demands."""
    issuer: Name = field(compare=False)
    not_before: int = field(compare=False)
    """Unix seconds."""
    not_after: int = field(compare=False)
    subject: Name = field(compare=False)
    spki: bytes = field(compare=False)
    """SubjectPublicKeyInfo as it came."""
    public_key: PublicKey | None = field(compare=False)
    """None where the key is no RSA key."""
    values: ExtensionSet = field(compare=False)
    algorithm: AlgorithmIdentifier = field(compare=False)
    """Outside the signed part."""
    signature: bytes = field(compare=False)

    def __repr__(self) -> str:
        return f"<Certificate {self.subject.text!r} issued by {self.issuer.text!r}, sha1 {self.fingerprint('sha1')}>"

    @property
    def key_bits(self) -> int:
        """0 for a key that is no RSA key."""
        return self.public_key.bits if self.public_key else 0

    @property
    def signature_hash(self) -> str | None:
        """``md5`` to ``sha512``; None for an unknown algorithm."""
        return self.algorithm.hash_name

    @property
    def is_ca(self) -> bool:
        """Says of itself that it is one: basicConstraints with cA TRUE."""
        constraints = self.values.basic_constraints
        return constraints is not None and constraints.ca

    @property
    def is_self_issued(self) -> bool:
        """Subject and issuer are the same name (RFC 5280 6.1)."""
        return self.subject == self.issuer

    @cached_property
    def is_self_signed(self) -> bool:
        """Self-issued, and the signature is its own key's. The check takes one public RSA operation, once."""
        return self.is_self_issued and self.is_signed_by(self.public_key)

    def is_signed_by(self, key: PublicKey | None) -> bool:
        """Whether the signature is ``key``'s over the raw signed part. Names are not looked at."""
        hash_name = self.signature_hash
        return key is not None and hash_name is not None and key.verify(hash_name, self.tbs, self.signature)

    def is_valid_at(self, now_s: int) -> bool:
        """Both ends of the period belong to it (RFC 5280 4.1.2.5)."""
        return self.not_before <= now_s <= self.not_after

    def fingerprint(self, hash_name: str) -> str:
        return fingerprint(self.der, hash_name)

    def pem(self) -> str:
        return pem_from_der(self.der)


def certificate_from_der(data: bytes) -> Certificate:
    """Reads one certificate. Raises CertificateError for anything else, bytes behind it included."""
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise CertificateError(f"certificate of {len(data)} bytes, limit {MAX_CERTIFICATE_BYTES}")
    known = _certificate_from_encoding(bytes(data))
    # A twin for each who asks: whether `is_self_signed` has been worked out is one board's business, and charged there.
    twin = object.__new__(Certificate)
    vars(twin).update(vars(known))
    return twin


def key_bits_from_der(data: bytes) -> int:
    """Length of the key in a certificate; 0 for a key that is no RSA key, and where no certificate can be read."""
    try:
        return _certificate_from_encoding(data).key_bits if len(data) <= MAX_CERTIFICATE_BYTES else 0
    except CertificateError:
        return 0


@remembered(entries=512, longest_bytes=2_048)
def _certificate_from_encoding(data: bytes) -> Certificate:
    outer = Reader(data, "certificate")
    reader = outer.inside()
    outer.finish()
    tbs = reader.take(der.SEQUENCE)
    algorithm = algorithm_from_reader(reader)
    signature = signature_from_reader(reader)
    reader.finish()
    return _certificate_from_tbs(data, tbs, algorithm, signature)


def _certificate_from_tbs(data: bytes, tbs: Element, algorithm: AlgorithmIdentifier, signature: bytes) -> Certificate:
    reader = Reader(tbs.content, "certificate")
    version = _version_from(reader.take_if(0xA0))
    serial = reader.integer()
    tbs_algorithm = algorithm_from_reader(reader)
    issuer = name_from_element(reader.take(der.SEQUENCE), "issuer")
    validity = reader.inside()
    not_before, not_after = seconds_from_element(validity.take()), seconds_from_element(validity.take())
    validity.finish()
    subject = name_from_element(reader.take(der.SEQUENCE), "subject")
    spki = reader.take(der.SEQUENCE)
    for unique_id in (0x81, 0x82):
        reader.take_if(unique_id)
    values = _extensions_from(reader.take_if(0xA3))
    reader.finish()
    return Certificate(
        data,
        tbs.raw,
        version,
        serial,
        tbs_algorithm,
        issuer,
        not_before,
        not_after,
        subject,
        spki.raw,
        public_key_from_spki(spki.raw),
        values,
        algorithm,
        signature,
    )


def _version_from(element: Element | None) -> int:
    if element is None:
        return 1
    inner = Reader(element.content, "certificate version")
    number = inner.integer()
    inner.finish()
    if number not in (0, 1, 2):
        raise CertificateError(f"certificate version field {number & 0xFFFF}, known are 0 to 2 for versions 1 to 3")
    return number + 1


def _extensions_from(element: Element | None) -> ExtensionSet:
    if element is None:
        return ExtensionSet()
    inner = Reader(element.content, "extensions")
    content = inner.content(der.SEQUENCE)
    inner.finish()
    return extension_set_from_elements(content)


def certificates_from_pem(text: str | bytes) -> list[Certificate]:
    """All certificates of a PEM text in its order; blocks of other kinds are skipped.

    Raises:
        CertificateError: None in it, too many, or one that is damaged (named by its number).
    """
    found = blocks_from_pem(text, CERTIFICATE_LABELS)
    if not found:
        raise CertificateError(f"no certificate found in {len(text)} characters")
    if len(found) > MAX_CERTIFICATES:
        raise CertificateError(f"{len(found)} certificates, limit {MAX_CERTIFICATES}")
    certificates: list[Certificate] = []
    for number, block in enumerate(found, 1):
        try:
            # OpenSSL's own label: a certificate with trust settings behind it.
            data = _first_element(block.der) if block.label == "TRUSTED CERTIFICATE" else block.der
            certificates.append(certificate_from_der(data))
        except CertificateError as error:
            raise CertificateError(f"certificate {number} of {len(found)}: {error}") from None
    return certificates


def _first_element(data: bytes) -> bytes:
    return Reader(data, "certificate").take().raw


def certificates_from_file(data: bytes) -> list[Certificate]:
    """Certificates of an uploaded file: PEM with any number, or DER of one. Raises CertificateError."""
    if data.startswith(b"\x30") and b"-----BEGIN " not in data:
        return [certificate_from_der(data)]
    return certificates_from_pem(data)
