"""What a user hands over: certificates, perhaps with a private key, as PEM text or as base64 of DER.

PEM may hold anything between its blocks, and the blocks may come in any order. DER reaches a text channel as base64,
the way ``/format der`` prints it: one certificate behind the other, broken into lines anywhere.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from firmware.errors import CertificateError
from firmware.hal import Costs
from firmware.x509 import der
from firmware.x509.certificate import Certificate, certificate_from_der, certificates_from_pem
from firmware.x509.der import Reader
from firmware.x509.key import PrivateKey, private_key_from_der, private_key_from_file
from firmware.x509.pem import KEY_LABELS, MAX_PEM_BYTES, blocks_from_pem
from firmware.x509.work import Charge, parsing_work

__all__ = ["Upload", "upload_from_text", "upload_work"]

BYTE_ORDER_MARK = "\ufeff"

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True)
class Upload:
    """What was in it."""

    certificates: tuple[Certificate, ...]
    """At least one, in the order in which they came."""
    key: PrivateKey | None
    """None where there was no private key."""


def upload_from_text(text: str, *, with_key: bool = True) -> Upload:
    """Reads what was pasted or uploaded.

    Args:
        text: PEM or base64.
        with_key: False where a private key is of no use; it is skipped unread then.

    Raises:
        CertificateError: No certificate, a damaged or encrypted block, several keys, or too much of everything.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    if len(text) > MAX_PEM_BYTES:
        raise CertificateError(f"upload of {len(text)} characters, limit {MAX_PEM_BYTES}")
    if "-----BEGIN " in text:
        return _from_pem(text, with_key)
    return _from_der(_der_from_base64(text), with_key)


def upload_work(costs: Costs, upload: Upload) -> list[Charge]:
    """What reading it costs. That a key's numbers belong together is tried with one private operation."""
    charges = parsing_work(costs, len(upload.certificates))
    return charges + ([("rsa-private", costs.rsa_private(upload.key.bits))] if upload.key else [])


def _from_pem(text: str, with_key: bool) -> Upload:
    labels = [block.label for block in blocks_from_pem(text, None if with_key else frozenset())]
    keys = [label for label in labels if label.endswith("PRIVATE KEY")]
    for label in keys:
        if label not in KEY_LABELS:
            raise CertificateError(f"PEM block {label}: a private key must be an RSA key in PKCS#1 or PKCS#8")
    key = private_key_from_file(text.encode()) if keys else None
    return Upload(tuple(certificates_from_pem(text)), key)


def _der_from_base64(text: str) -> bytes:
    compact = "".join(text.split())
    pieces = _BASE64.findall(compact)
    try:
        if not pieces or "".join(pieces) != compact:
            raise ValueError
        data = b"".join(base64.b64decode(piece, validate=True) for piece in pieces)
    except (binascii.Error, ValueError):
        raise CertificateError(f"{len(text)} characters that are neither PEM nor base64 of a certificate") from None
    if data[:1] != bytes([der.SEQUENCE]):
        raise CertificateError(f"{len(data)} bytes in base64 that are no certificate")
    return data


def _from_der(data: bytes, with_key: bool) -> Upload:
    reader = Reader(data, "upload")
    certificates, keys = [], []
    while reader.more:
        element = reader.take(der.SEQUENCE)
        # A key begins with its version; a certificate and an encrypted key with a SEQUENCE.
        if element.content[:1] == bytes([der.INTEGER]):
            keys.append(element.raw)
        else:
            certificates.append(_certificate_from(element.raw))
    if len(keys) > 1:
        raise CertificateError(f"{len(keys)} private keys found, 1 expected")
    if not certificates:
        raise CertificateError(f"no certificate found in {len(data)} bytes")
    return Upload(tuple(certificates), private_key_from_der(keys[0]) if keys and with_key else None)


def _certificate_from(data: bytes) -> Certificate:
    try:
        return certificate_from_der(data)
    except CertificateError:
        if _is_encrypted_key(data):
            private_key_from_der(data)  # says so
        raise


def _is_encrypted_key(data: bytes) -> bool:
    """EncryptedPrivateKeyInfo (RFC 5958 3): an algorithm, and octets."""
    reader = Reader(data, "upload").inside()
    return reader.take_if(der.SEQUENCE) is not None and reader.next_is(der.OCTET_STRING)
