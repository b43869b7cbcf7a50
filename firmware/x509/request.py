"""Certificate signing requests, PKCS#10 version 1 (RFC 2986): made, read, checked.

```
  Request = SEQUENCE { info, signatureAlgorithm, signature }
  info    = SEQUENCE { version 0, subject, spki, [0] attributes }     one attribute counts: extensionRequest
```
"""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware.errors import CertificateError
from firmware.x509 import der, oid
from firmware.x509.builder import requested_extensions, signature_algorithm
from firmware.x509.certificate import (
    MAX_CERTIFICATE_BYTES,
    AlgorithmIdentifier,
    algorithm_from_reader,
    signature_from_reader,
)
from firmware.x509.der import Element, Reader
from firmware.x509.extension import ExtensionSet, extension_set_from_elements
from firmware.x509.key import PrivateKey, PublicKey, public_key_from_spki
from firmware.x509.name import Name, name_from_element
from firmware.x509.order import CertificateOrder
from firmware.x509.pem import REQUEST_LABELS, der_from_file, pem_from_der

__all__ = ["Request", "request_from_der", "request_from_file", "signing_request"]

EXTENSION_REQUEST = "1.2.840.113549.1.9.14"


@dataclass(frozen=True, repr=False)
class Request:
    """One signing request. Two are equal when their bytes are."""

    der: bytes
    info: bytes = field(compare=False)
    """The slice that the signature covers."""
    subject: Name = field(compare=False)
    spki: bytes = field(compare=False)
    public_key: PublicKey | None = field(compare=False)
    """None where the key is no RSA key."""
    values: ExtensionSet = field(compare=False)
    """The extensions asked for."""
    algorithm: AlgorithmIdentifier = field(compare=False)
    signature: bytes = field(compare=False)

    def __repr__(self) -> str:
        return f"<Request for {self.subject.text!r}>"

    @property
    def key_bits(self) -> int:
        """0 for a key that is no RSA key."""
        return self.public_key.bits if self.public_key else 0

    def is_signature_valid(self) -> bool:
        """Whether the sender owns the private key. Takes one public RSA operation."""
        hash_name, key = self.algorithm.hash_name, self.public_key
        return key is not None and hash_name is not None and key.verify(hash_name, self.info, self.signature)

    def pem(self) -> str:
        return pem_from_der(self.der, "CERTIFICATE REQUEST")


def signing_request(order: CertificateOrder, key: PrivateKey) -> Request:
    """A request with subject, usages and alternative names of the order, signed with the key it asks for."""
    extensions = der.sequence(*requested_extensions(order))
    attribute = der.sequence(der.object_identifier(EXTENSION_REQUEST), der.set_of([extensions]))
    info = der.sequence(der.integer(0), order.subject.name().raw, key.spki(), der.context(0, attribute))
    signature = der.bit_string(key.sign(order.hash_name, info))
    return request_from_der(der.sequence(info, signature_algorithm(order.hash_name), signature))


def request_from_der(data: bytes) -> Request:
    """Reads one request. Raises CertificateError; the signature is not looked at."""
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise CertificateError(f"signing request of {len(data)} bytes, limit {MAX_CERTIFICATE_BYTES}")
    data = bytes(data)
    outer = Reader(data, "signing request")
    reader = outer.inside()
    outer.finish()
    info = reader.take(der.SEQUENCE)
    algorithm = algorithm_from_reader(reader)
    signature = signature_from_reader(reader)
    reader.finish()
    subject, spki, values = _parts_from_info(info)
    key = public_key_from_spki(spki)
    return Request(data, info.raw, subject, spki, key, values, algorithm, signature)


def _parts_from_info(info: Element) -> tuple[Name, bytes, ExtensionSet]:
    reader = Reader(info.content, "signing request")
    version = reader.integer()
    if version != 0:
        raise CertificateError(f"signing request with version field {version & 0xFFFF} instead of 0")
    subject = name_from_element(reader.take(der.SEQUENCE), "subject")
    spki = reader.take(der.SEQUENCE).raw
    # RFC 2986 demands the attributes, empty if need be; some old tools leave them out.
    attributes = reader.take_if(0xA0)
    reader.finish()
    return subject, spki, ExtensionSet() if attributes is None else _extensions_from(attributes)


def _extensions_from(attributes: Element) -> ExtensionSet:
    reader = Reader(attributes.content, "request attributes")
    found: ExtensionSet | None = None
    while reader.more:
        attribute = reader.inside()
        kind = attribute.oid()
        values = attribute.inside(der.SET)
        if kind in oid.EXTENSION_REQUESTS:
            if found is not None:
                raise CertificateError("signing request asks for extensions twice")
            found = extension_set_from_elements(values.content(der.SEQUENCE))
            values.finish()
        attribute.finish()
    return found or ExtensionSet()


def request_from_file(data: bytes) -> Request:
    """The one request of a PEM or DER file. Raises CertificateError for none, several, or a bad one."""
    found = der_from_file(data, REQUEST_LABELS, "signing request")
    if len(found) > 1:
        raise CertificateError(f"{len(found)} signing requests found, 1 expected")
    return request_from_der(found[0])
