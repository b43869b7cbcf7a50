"""X.509: certificates, keys, signing requests and what belongs to them, as values over bytes.

Reading: `certificate`, `request`, `key`, from `pem` or `der`. Making: an `order`, a `keygen` search, then `builder` or
`request`. Showing: `view`. What each step costs: `work`. Nothing here waits, and nothing knows the time by itself.
"""

from __future__ import annotations

from firmware.x509.builder import issued_certificate, root_certificate, self_signed_certificate
from firmware.x509.certificate import Certificate, certificate_from_der, certificates_from_file, certificates_from_pem
from firmware.x509.identity import Identity, identity_from_certificates, identity_from_file, ordered_chain
from firmware.x509.key import PrivateKey, PublicKey, private_key_from_der, private_key_from_file
from firmware.x509.keygen import Progress, key_search
from firmware.x509.name import DistinguishedName, Name
from firmware.x509.order import CertificateOrder, order_from_options
from firmware.x509.pem import blocks_from_pem, pem_from_der
from firmware.x509.request import Request, request_from_der, request_from_file, signing_request
from firmware.x509.serial_file import FIRST_SERIAL, serial_file_from_number, serial_from_file
from firmware.x509.view import certificate_text, certificate_view, request_text, request_view

__all__ = [
    "FIRST_SERIAL",
    "Certificate",
    "CertificateOrder",
    "DistinguishedName",
    "Identity",
    "Name",
    "PrivateKey",
    "Progress",
    "PublicKey",
    "Request",
    "blocks_from_pem",
    "certificate_from_der",
    "certificate_text",
    "certificate_view",
    "certificates_from_file",
    "certificates_from_pem",
    "identity_from_certificates",
    "identity_from_file",
    "issued_certificate",
    "key_search",
    "order_from_options",
    "ordered_chain",
    "pem_from_der",
    "private_key_from_der",
    "private_key_from_file",
    "request_from_der",
    "request_from_file",
    "request_text",
    "request_view",
    "root_certificate",
    "self_signed_certificate",
    "serial_file_from_number",
    "serial_from_file",
    "signing_request",
]
