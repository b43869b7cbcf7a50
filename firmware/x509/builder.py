"""Makes certificates: writes the part to be signed, signs it, and reads the result back.

Own writer, because the usual layers refuse what the device must still make: MD5 and SHA-1 signatures, versions 1 and 2.
The profiles (which extensions a device or a root CA gets) are at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware.errors import CertificateError
from firmware.x509 import der, extension, oid
from firmware.x509.certificate import Certificate, certificate_from_der
from firmware.x509.key import PrivateKey, PublicKey
from firmware.x509.keygen import RandomSource
from firmware.x509.name import Name
from firmware.x509.order import CertificateOrder
from firmware.x509.timestamp import seconds_after_years, time_from_seconds

__all__ = [
    "CertificateTemplate",
    "device_extensions",
    "issue",
    "issued_certificate",
    "random_serial",
    "requested_extensions",
    "root_certificate",
    "root_extensions",
    "self_signed_certificate",
    "signature_algorithm",
]

SERIAL_BYTES = 16
"""RFC 5280 4.1.2.2 allows 20; 64 random bits are the least that keeps self-signed certificates apart: browsers refuse
a second certificate with the same issuer and serial number."""

MAX_SERIAL_BITS = 159
"""RFC 5280 4.1.2.2: 20 octets, and the first bit is the sign."""


@dataclass(frozen=True)
class CertificateTemplate:
    """Everything that is signed."""

    subject: Name
    issuer: Name
    spki: bytes
    serial: int
    not_before: int
    not_after: int
    hash_name: str = "sha256"
    version: int = 3
    extensions: tuple[bytes, ...] = ()
    """Encoded; only version 3 has any (RFC 5280 4.1.2.9)."""

    def tbs(self) -> bytes:
        """Encoded TBSCertificate. Raises CertificateError for a version or serial number that cannot be."""
        if self.version not in (1, 2, 3):
            raise CertificateError(f"certificate version {self.version}, possible are 1 to 3")
        if self.extensions and self.version != 3:
            raise CertificateError(f"certificate of version {self.version} cannot have extensions")
        if not 0 < self.serial < 1 << MAX_SERIAL_BITS:
            raise CertificateError(f"serial number of {self.serial.bit_length()} bits, limits 1 and {MAX_SERIAL_BITS}")
        # DER leaves defaults out, and version 1 is the default.
        version = der.context(0, der.integer(self.version - 1)) if self.version > 1 else b""
        extensions = der.context(3, der.sequence(*self.extensions)) if self.extensions else b""
        return der.sequence(
            version,
            der.integer(self.serial),
            signature_algorithm(self.hash_name),
            self.issuer.raw,
            der.sequence(time_from_seconds(self.not_before), time_from_seconds(self.not_after)),
            self.subject.raw,
            self.spki,
            extensions,
        )


def signature_algorithm(hash_name: str) -> bytes:
    """AlgorithmIdentifier with NULL parameters, as RFC 4055 section 5 demands. Raises CertificateError."""
    if hash_name not in oid.SIGNATURE_OF_HASH:
        raise CertificateError(f"hash {hash_name!r} is none of {', '.join(oid.HASHES)}")
    return der.sequence(der.object_identifier(oid.SIGNATURE_OF_HASH[hash_name]), b"\x05\x00")


def issue(template: CertificateTemplate, key: PrivateKey) -> Certificate:
    """Signs a template. That ``key`` belongs to the issuer is the caller's business."""
    tbs = template.tbs()
    signature = key.sign(template.hash_name, tbs)
    return certificate_from_der(der.sequence(tbs, signature_algorithm(template.hash_name), der.bit_string(signature)))


def random_serial(source: RandomSource) -> int:
    """Positive, always 16 octets long."""
    number = int.from_bytes(source.randbytes(SERIAL_BYTES), "big")
    top = 8 * SERIAL_BYTES - 1
    return number & (1 << top) - 1 | 1 << top - 1


def device_extensions(order: CertificateOrder, key: PublicKey, authority_key_id: bytes) -> tuple[bytes, ...]:
    """What makes a certificate fit for both ends of TLS."""
    return (
        extension.basic_constraints(ca=False),
        *requested_extensions(order),
        extension.subject_key_identifier(key.key_id()),
        extension.authority_key_identifier(authority_key_id),
    )


def requested_extensions(order: CertificateOrder) -> tuple[bytes, ...]:
    """Usage and names, which a signing request asks for as well."""
    names = order.dns_names or order.ip_addresses
    return (
        # Encipherment: RSA key exchange; signature: everything else.
        extension.key_usage("digitalSignature", "keyEncipherment"),
        extension.ext_key_usage((oid.SERVER_AUTH, oid.CLIENT_AUTH)),
        *([extension.subject_alt_name(order.dns_names, order.ip_addresses)] if names else []),
    )


def root_extensions(key: PublicKey) -> tuple[bytes, ...]:
    return (
        extension.basic_constraints(ca=True),
        extension.key_usage("keyCertSign", "cRLSign"),
        extension.subject_key_identifier(key.key_id()),
    )


def _own_certificate(
    order: CertificateOrder, key: PrivateKey, now_s: int, source: RandomSource, extensions: tuple[bytes, ...]
) -> Certificate:
    name = order.subject.name()
    template = CertificateTemplate(
        name,
        name,
        key.spki(),
        random_serial(source),
        now_s,
        seconds_after_years(now_s, order.years),
        order.hash_name,
        extensions=extensions,
    )
    return issue(template, key)


def self_signed_certificate(order: CertificateOrder, key: PrivateKey, now_s: int, source: RandomSource) -> Certificate:
    """A device certificate without a CA: valid from now for the years ordered, with a random serial number."""
    extensions = device_extensions(order, key.public_key, key.public_key.key_id())
    return _own_certificate(order, key, now_s, source, extensions)


def root_certificate(order: CertificateOrder, key: PrivateKey, now_s: int, source: RandomSource) -> Certificate:
    """The certificate of a new root CA."""
    return _own_certificate(order, key, now_s, source, root_extensions(key.public_key))


def issued_certificate(
    order: CertificateOrder, key: PublicKey, ca: Certificate, ca_key: PrivateKey, serial: int, now_s: int
) -> Certificate:
    """A device certificate signed by a CA.

    Args:
        order: Subject, names, years and hash.
        key: The device's public key.
        ca: Certificate of the CA.
        ca_key: Its private key.
        serial: Number that this CA has not given before.
        now_s: Start of validity. It ends after the years ordered, or with the CA's own where that is sooner: nobody
            could validate it any longer, and a box that renews in time shall see the end that counts.

    Raises:
        CertificateError: ``ca`` is no CA certificate, is not valid at ``now_s``, or ``ca_key`` is another one's key.
    """
    _check_ca(ca, ca_key, now_s)
    template = CertificateTemplate(
        order.subject.name(),
        ca.subject,
        key.spki(),
        serial,
        now_s,
        min(seconds_after_years(now_s, order.years), ca.not_after),
        order.hash_name,
        # RFC 5280 4.2.1.1: must be the CA's own subjectKeyIdentifier, however it was made.
        extensions=device_extensions(order, key, ca.values.subject_key_id or ca_key.public_key.key_id()),
    )
    return issue(template, ca_key)


def _check_ca(ca: Certificate, ca_key: PrivateKey, now_s: int) -> None:
    if ca.public_key != ca_key.public_key:
        raise CertificateError(f"the private key is not the one of CA {ca.subject.text}")
    usage = ca.values.key_usage
    if not ca.is_ca or (usage is not None and "keyCertSign" not in usage):
        raise CertificateError(f"{ca.subject.text} is not a CA certificate")
    if not ca.is_valid_at(now_s):
        state = "not yet valid" if now_s < ca.not_before else "expired"
        raise CertificateError(f"CA certificate {ca.subject.text} is {state}")
