"""Handshake messages and alerts as values: what happened in a TLS connection, whoever pays for it or logs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple, cast

__all__ = [
    "HEADER_BYTES",
    "TLS_1_3",
    "Alert",
    "HandshakeEvent",
    "TlsEvent",
    "alert_from_message",
    "alert_name",
    "alert_sentence",
    "certificates_from_message",
    "event_from_message",
]


class MessageNames(dict[int, str]):
    """Names of handshake messages by their type; a number where the standards give no name."""

    def __missing__(self, number: int) -> str:
        return f"handshake_{number}"


MESSAGE_NAMES = MessageNames(
    {
        0: "HelloRequest",
        1: "ClientHello",
        2: "ServerHello",
        4: "NewSessionTicket",
        5: "EndOfEarlyData",
        8: "EncryptedExtensions",
        11: "Certificate",
        12: "ServerKeyExchange",
        13: "CertificateRequest",
        14: "ServerHelloDone",
        15: "CertificateVerify",
        16: "ClientKeyExchange",
        20: "Finished",
        22: "CertificateStatus",
        24: "KeyUpdate",
        254: "MessageHash",
    }
)
"""HandshakeType, RFC 5246 7.4 and RFC 8446 4."""

ALERT_NAMES = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}
"""AlertDescription, RFC 5246 7.2 and RFC 8446 6."""

FATAL = 2

HEADER_BYTES = 4
"""Type and length in front of each handshake message (RFC 5246 7.4)."""

TLS_1_3 = 0x0304
"""Protocol version on the wire, RFC 8446 4.2.1: from here on a Certificate message has another shape."""


class HandshakeEvent(NamedTuple):
    """One handshake message, sent or received."""

    sent: bool
    """True when it was ours."""
    name: str
    body: bytes
    """What follows the header."""

    @property
    def size_bytes(self) -> int:
        """Length with the header: what goes into the transcript."""
        return len(self.body) + HEADER_BYTES

    def __repr__(self) -> str:
        return f"<HandshakeEvent {self}, {self.size_bytes} bytes>"

    def __str__(self) -> str:
        return f"{'>' if self.sent else '<'}{self.name}"


class Alert(NamedTuple):
    """One alert, sent or received."""

    sent: bool
    fatal: bool
    code: int

    @property
    def name(self) -> str:
        return alert_name(self.code)

    def __str__(self) -> str:
        return f"{'>' if self.sent else '<'}alert {self.name}"


TlsEvent = HandshakeEvent | Alert


_made = cast(Callable[[tuple[bool, str, bytes]], HandshakeEvent], partial(tuple.__new__, HandshakeEvent))
"""Makes an event without the detour by its own ``__new__``: a connection has twenty."""


def alert_name(code: int) -> str:
    """The name that the standards give to an alert; its number where they give none."""
    return ALERT_NAMES.get(code, f"alert_{code}")


def alert_sentence(alert: Alert, peer: str) -> str:
    """One line for the log."""
    direction = "sent to" if alert.sent else "received from"
    return f"tls alert {alert.name} ({alert.code}) {direction} {peer}"


def event_from_message(sent: bool, data: bytes) -> HandshakeEvent:
    """Reads a handshake message, whole, as OpenSSL's message callback reports it."""
    return _made((sent, MESSAGE_NAMES[data[0]], data[HEADER_BYTES:]))


def alert_from_message(sent: bool, data: bytes) -> Alert:
    """Reads an alert."""
    return Alert(sent, data[0] == FATAL, data[1])


@lru_cache(maxsize=16)
def certificates_from_message(body: bytes, tls13: bool = False) -> tuple[bytes, ...]:
    """The chain in a Certificate message as DER, the peer's own first; what is cut short is left out.

    Remembered for a moment, since the engine and the meter of either end ask for the same.

    TLS 1.3 puts a context in front and extensions behind each certificate (RFC 8446 4.4.2).
    """
    position = 3
    if tls13:
        position += 1 + (body[0] if body else 0)
    chain = []
    while position + 3 <= len(body):
        length = int.from_bytes(body[position : position + 3], "big")
        position += 3
        if length == 0 or position + length > len(body):
            break
        chain.append(body[position : position + length])
        position += length
        if tls13:
            position += 2 + int.from_bytes(body[position : position + 2], "big")
    return tuple(chain)
