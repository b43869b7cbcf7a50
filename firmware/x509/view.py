"""How certificates and requests are shown: as JSON values for machines, as text for people."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

from firmware.x509 import oid
from firmware.x509.certificate import Certificate, fingerprint
from firmware.x509.extension import ExtensionSet
from firmware.x509.name import Name, printable
from firmware.x509.pem import pem_from_der
from firmware.x509.request import Request
from firmware.x509.timestamp import iso8601_from_seconds

__all__ = ["certificate_text", "certificate_view", "copy_text", "request_text", "request_view", "serial_text"]

FINGERPRINTS = ("sha1", "md5", "sha256")
"""Reference text, Installing a certificate from a file: SHA1 and MD5 are what owners publish; SHA-256 is today's."""


def serial_text(serial: int) -> str:
    """Upper-case hexadecimal of an even number of digits, as other tools print it."""
    digits = f"{abs(serial):X}"
    return ("-" if serial < 0 else "") + "0" * (len(digits) % 2) + digits


def certificate_view(certificate: Certificate, now_s: int) -> dict[str, object]:
    """The JSON object of a certificate that every query prints; ``now_s`` decides ``valid``."""
    return {
        "subject": certificate.subject.text,
        "issuer": certificate.issuer.text,
        "serial": serial_text(certificate.serial),
        "not_before": iso8601_from_seconds(certificate.not_before),
        "not_after": iso8601_from_seconds(certificate.not_after),
        "key_bits": certificate.key_bits,
        "signature": certificate.algorithm.name,
        "version": certificate.version,
        "san": [str(name) for name in certificate.values.subject_alt_names],
        **{name: certificate.fingerprint(name) for name in FINGERPRINTS},
        "ca": certificate.is_ca,
        "valid": certificate.is_valid_at(now_s),
        "self_signed": certificate.is_self_signed,
    }


def request_view(request: Request) -> dict[str, object]:
    """The JSON object of a signing request, with the words of `certificate_view`."""
    return {
        "subject": request.subject.text,
        "key_bits": request.key_bits,
        "signature": request.algorithm.name,
        "version": 1,
        "san": [str(name) for name in request.values.subject_alt_names],
        **{name: fingerprint(request.der, name) for name in FINGERPRINTS},
    }


def certificate_text(certificate: Certificate, now_s: int) -> str:
    """Details for the console: several lines, each ``label: value``, without a newline at the end."""
    rows = [
        ("subject", _shown(certificate.subject)),
        ("issuer", "self-signed" if certificate.is_self_signed else _shown(certificate.issuer)),
        ("serial number", serial_text(certificate.serial)),
        ("version", str(certificate.version)),
        ("not before", iso8601_from_seconds(certificate.not_before)),
        ("not after", iso8601_from_seconds(certificate.not_after) + _validity_mark(certificate, now_s)),
        ("public key", _key_text(certificate.key_bits)),
        ("signature", certificate.algorithm.name),
        *_extension_rows(certificate.values),
        *_fingerprint_rows(certificate.der),
    ]
    return _table(rows)


def request_text(request: Request) -> str:
    """Details of a signing request, in the form of `certificate_text`."""
    rows = [
        ("subject", _shown(request.subject)),
        ("public key", _key_text(request.key_bits)),
        ("signature", request.algorithm.name),
        *_extension_rows(request.values),
        *_fingerprint_rows(request.der),
    ]
    return _table(rows)


def _shown(name: Name) -> str:
    return name.text or "(empty)"


def _validity_mark(certificate: Certificate, now_s: int) -> str:
    if certificate.is_valid_at(now_s):
        return ""
    return " (not yet valid)" if now_s < certificate.not_before else " (expired)"


def _key_text(bits: int) -> str:
    return f"RSA {bits}-bit" if bits else "not an RSA key"


def _extension_rows(values: ExtensionSet) -> Iterable[tuple[str, str]]:
    for extension in values.extensions:
        value = _extension_text(extension.oid, values)
        mark = " (critical)" if extension.critical else ""
        yield extension.name + mark, value if value is not None else f"{len(extension.value)} bytes, not supported"


def _extension_text(dotted: str, values: ExtensionSet) -> str | None:
    if dotted == oid.BASIC_CONSTRAINTS and values.basic_constraints:
        length = values.basic_constraints.path_length
        return ("CA" if values.basic_constraints.ca else "not a CA") + (f", path length {length:#x}" if length else "")
    if dotted == oid.KEY_USAGE and values.key_usage is not None:
        return ", ".join(sorted(values.key_usage)) or "none"
    if dotted == oid.EXT_KEY_USAGE and values.ext_key_usage is not None:
        return ", ".join(oid.PURPOSE_NAMES.get(purpose, purpose) for purpose in values.ext_key_usage)
    if dotted == oid.SUBJECT_ALT_NAME:
        return ", ".join(map(str, values.subject_alt_names)) or "none"
    if dotted == oid.SUBJECT_KEY_IDENTIFIER and values.subject_key_id is not None:
        return values.subject_key_id.hex()
    if dotted == oid.AUTHORITY_KEY_IDENTIFIER and values.authority_key is not None:
        key_id = values.authority_key.key_id
        return key_id.hex() if key_id is not None else "issuer and serial number"
    return None


def _fingerprint_rows(encoding: bytes) -> Iterable[tuple[str, str]]:
    for name in FINGERPRINTS:
        digits = fingerprint(encoding, name).upper()
        # In pairs: that is how the values are published that people compare it with.
        yield f"{name.upper()} fingerprint", ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{label + ':':<{_LABEL_WIDTH}}{printable(value)}" for label, value in rows)


_LABEL_WIDTH = 36


def copy_text(ders: Sequence[bytes], label: str, form: str) -> str:
    """What a user copies from the console: PEM blocks, or with ``form`` "der" one line of base64 for each."""
    if form == "der":
        return "\n".join(base64.b64encode(der).decode() for der in ders)
    return "".join(pem_from_der(der, label) for der in ders).rstrip("\n")
