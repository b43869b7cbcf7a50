"""Handshake messages and alerts as values: what happened in a TLS connection, whoever pays for it or logs it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "CERTIFICATE",
    "CERTIFICATE_VERIFY",
    "CLIENT_HELLO",
    "CLIENT_KEY_EXCHANGE",
    "FINISHED",
    "SERVER_HELLO",
    "SERVER_KEY_EXCHANGE",
    "TLS_1_3",
    "Alert",
    "HandshakeEvent",
    "TlsEvent",
    "alert_from_message",
    "alert_name",
    "alert_sentence",
    "certificates_from_message",
]


CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, SERVER_KEY_EXCHANGE = 1, 2, 11, 12
CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE, FINISHED = 15, 16, 20
"""HandshakeType, RFC 5246 7.4 and RFC 8446 4: those that stand for work."""

MESSAGE_NAMES = {
    0: "HelloRequest",
    CLIENT_HELLO: "ClientHello",
    SERVER_HELLO: "ServerHello",
    4: "NewSessionTicket",
    5: "EndOfEarlyData",
    8: "EncryptedExtensions",
    CERTIFICATE: "Certificate",
    SERVER_KEY_EXCHANGE: "ServerKeyExchange",
    13: "CertificateRequest",
    14: "ServerHelloDone",
    CERTIFICATE_VERIFY: "CertificateVerify",
    CLIENT_KEY_EXCHANGE: "ClientKeyExchange",
    FINISHED: "Finished",
    22: "CertificateStatus",
    24: "KeyUpdate",
    254: "MessageHash",
}
"""All of them, by name."""

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
    """One handshake message, sent or received. A connection has twenty: what it says is read when somebody asks."""

    sent: bool
    """True when it was ours."""
    message: bytes
    """All of it, as it goes into the transcript."""

    @property
    def kind(self) -> int:
        """HandshakeType."""
        return self.message[0]

    @property
    def name(self) -> str:
        return MESSAGE_NAMES.get(self.kind) or f"handshake_{self.kind}"

    @property
    def body(self) -> bytes:
        """What follows the header."""
        return self.message[HEADER_BYTES:]

    def __repr__(self) -> str:
        return f"<HandshakeEvent {self}, {len(self.message)} bytes>"

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


def alert_name(code: int) -> str:
    """The name that the standards give to an alert; its number where they give none."""
    return ALERT_NAMES.get(code, f"alert_{code}")


def alert_sentence(alert: Alert, peer: str) -> str:
    """One line for the log."""
    direction = "sent to" if alert.sent else "received from"
    return f"tls alert {alert.name} ({alert.code}) {direction} {peer}"


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
