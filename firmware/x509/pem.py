"""PEM: named blocks of base64 in text (RFC 7468), read as tolerantly as users need.

```
  anything at all                       text before, between and after the blocks is skipped
  -----BEGIN RSA PRIVATE KEY-----       label: RSA PRIVATE KEY
  MIICXAIBAAKBgQDe...                   base64, split by any white space
  -----END RSA PRIVATE KEY-----         the same label
```

The reference text shows whole files with every line break turned into a blank, so line breaks are never relied on.
A byte-order mark, CRLF, CR and blank lines inside a block are all fine. A block that is damaged is an error: half an
upload must not pass for the whole.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from firmware.errors import CertificateError

__all__ = [
    "CERTIFICATE_LABELS",
    "KEY_LABELS",
    "REQUEST_LABELS",
    "PemBlock",
    "blocks_from_pem",
    "der_from_file",
    "is_pem",
    "pem_from_der",
    "text_from_file",
]

MAX_PEM_BYTES = 1 << 18
"""256 KiB: over a hundred certificates. What is longer is no certificate file."""

CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
REQUEST_LABELS = frozenset({"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"})
KEY_LABELS = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY"})
"""The last two so that the user hears what is wrong with the key."""

_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_END = re.compile(r"-----END ([A-Z0-9 ]{1,40})-----")


class PemBlock(NamedTuple):
    """One block."""

    label: str
    der: bytes


def text_from_file(data: bytes) -> str:
    """Text of a file of unknown encoding. PEM itself is ASCII; what stands between the blocks may be anything."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    return data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")


def is_pem(data: bytes) -> bool:
    """True where ``data`` holds a PEM block rather than DER."""
    return "-----BEGIN " in text_from_file(data)


def pem_from_der(der: bytes, label: str = "CERTIFICATE") -> str:
    """One block, lines of 64 characters, newline at the end."""
    body = base64.b64encode(der).decode()
    lines = "".join(f"{body[i : i + 64]}\n" for i in range(0, len(body), 64))
    return f"-----BEGIN {label}-----\n{lines}-----END {label}-----\n"


def blocks_from_pem(text: str | bytes, labels: frozenset[str] | None = None) -> list[PemBlock]:
    """All blocks in order; an empty list where there is none.

    Args:
        text: What was uploaded or pasted.
        labels: Only blocks with these labels; what is inside the others does not matter. None for all.

    Raises:
        CertificateError: A block is cut off, nested, encrypted or no base64; the text names it by number and label.
    """
    if isinstance(text, bytes):
        text = text_from_file(text)
    if len(text) > MAX_PEM_BYTES:
        raise CertificateError(f"PEM text of {len(text)} characters, limit {MAX_PEM_BYTES}")
    blocks: list[PemBlock] = []
    count = position = 0
    while begin := _BEGIN.search(text, position):
        count, label = count + 1, begin[1]
        where = f"PEM block {count} ({label})"
        end = _END.search(text, begin.end())
        if end is None:
            raise CertificateError(f"{where} has no end line")
        if end[1] != label:
            raise CertificateError(f"{where} ends as {end[1]}")
        if labels is None or label in labels:
            blocks.append(PemBlock(label, _der_from_body(text[begin.end() : end.start()], where)))
        position = end.end()
    return blocks


def _der_from_body(body: str, where: str) -> bytes:
    if "Proc-Type:" in body:
        raise CertificateError(f"{where} is encrypted: decrypt it first, for example with openssl pkey")
    compact = "".join(body.split())
    try:
        der = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        raise CertificateError(f"{where} is damaged: {len(compact)} characters that are not base64") from None
    if not der:
        raise CertificateError(f"{where} is empty")
    return der


def der_from_file(data: bytes, labels: frozenset[str], what: str) -> list[bytes]:
    """The encodings of one kind in a file, which is PEM with these labels or DER of a single one.

    Args:
        data: The file.
        labels: Labels that count; other blocks are skipped.
        what: For the message where there is none: "certificate".
    """
    if data.startswith(b"\x30") and not is_pem(data):
        return [data]
    found = [block.der for block in blocks_from_pem(data, labels)]
    if not found:
        raise CertificateError(f"no {what} found in {len(data)} bytes")
    return found
