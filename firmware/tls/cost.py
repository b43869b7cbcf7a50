"""What a TLS connection costs the CPU: handshake messages in, cycles by kind out.

Each message stands for the work behind it (``<`` received, ``>`` sent, seen from the server)::

                          RSA key exchange          ECDHE, TLS 1.2             TLS 1.3
    <ClientHello          fixed part                fixed part                 fixed part
    >ServerHello                                                               both multiplications
    >Certificate          digest of our certificate, by the hash of its signature
    >ServerKeyExchange                              1 multiplication, RSA private
    <ClientKeyExchange    RSA private               1 multiplication
    >CertificateVerify                                                         RSA private
    Finished (each)       digest of the transcript so far
    <Certificate          reading each certificate of the peer's, unless a judge reads and validates, and charges, them
    <CertificateVerify    RSA public with the peer's key

A client pays for the same messages from the other side: public operations where the server pays private ones.

So a server with RSA key exchange pays one private operation plus little, and the reference text's figures ("Certificate
Key Length and CPU Usage": 6 times per doubling, 36 times for 4096 bits) follow from the private operation's cost. The
digest over our own certificate is what makes SHA-384 and SHA-512 certificates dearer than the others; on a real device
that work is small, and so it is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from firmware.errors import CertificateError
from firmware.hal import Costs
from firmware.tls.credentials import Credentials
from firmware.tls.messages import (
    CERTIFICATE,
    CERTIFICATE_VERIFY,
    CLIENT_HELLO,
    CLIENT_KEY_EXCHANGE,
    FINISHED,
    SERVER_HELLO,
    SERVER_KEY_EXCHANGE,
    TLS_1_3,
    HandshakeEvent,
    TlsEvent,
    certificates_from_message,
)
from firmware.tls.suites import ServerChoice, choice_from_server_hello, group_from_server_key_exchange

__all__ = ["Charge", "CostMeter"]

Charge = tuple[str, int]
"""(kind, cycles)."""

Charging = Callable[[Charge], None]
"""Where a charge is put down."""


class CostMeter:
    """The bill of one connection. Feed it every event, in order.

    Args:
        judged: Whether a judge looks at the peer's certificates, whose own charges hold reading them.
    """

    def __init__(self, costs: Costs, credentials: Credentials | None = None, *, judged: bool = False) -> None:
        self.credentials = credentials
        """What we present; may change when a client asks for a name."""
        self._costs = costs
        self._judged = judged
        self._choice: ServerChoice | None = None
        self._group = ""
        self._began = False
        self._transcript_bytes = 0
        self._transcript_hashes: tuple[str, ...] = ()
        self._peer_bits = 1024
        """Length of the peer's key; 0: it is no RSA key."""

    def handshake(self, events: Iterable[TlsEvent]) -> list[Charge]:
        """The work behind these events, in their order."""
        charges: list[Charge] = []
        for event in events:
            if isinstance(event, HandshakeEvent):
                message = event.message
                self._transcript_bytes += len(message)
                price = PRICES.get(message[0])
                if price is not None:
                    price(self, event, charges.append)
        return charges

    def records(self, size_bytes: int) -> list[Charge]:
        """Encrypting or decrypting ``size_bytes`` of application data, authentication included."""
        if self._choice is None or size_bytes == 0:
            return []
        suite = self._choice.suite
        return [
            ("cipher", self._costs.cipher(suite.cipher, size_bytes)),
            ("hash", self._costs.digest(suite.mac, size_bytes)),
        ]

    def _client_hello(self, _event: HandshakeEvent, charge: Charging) -> None:
        if not self._began:  # a second one answers a HelloRetryRequest
            self._began = True
            charge(("tls", self._costs.handshake))

    def _server_hello(self, event: HandshakeEvent, charge: Charging) -> None:
        self._choice = choice_from_server_hello(event.body)
        self._transcript_hashes = self._choice.transcript_hashes
        if self._choice.group is not None and not self._choice.retry:
            charge(("tls", self._costs.key_exchange(self._choice.group)))

    def _certificate(self, event: HandshakeEvent, charge: Charging) -> None:
        if event.sent:
            if self.credentials is not None:
                size_bytes = len(self.credentials.chain_der[0])
                charge(("hash", self._costs.digest(self.credentials.signature_hash, size_bytes)))
            return
        chain = certificates_from_message(event.body, self._version >= TLS_1_3)
        if chain:
            if not self._judged:
                charge(("parse", self._costs.certificate * len(chain)))
            self._peer_bits = _known_bits(chain[0]) if self._judged else _modulus_bits(chain[0])

    def _server_key_exchange(self, event: HandshakeEvent, charge: Charging) -> None:
        self._group = group_from_server_key_exchange(event.body)
        charge(("tls", self._costs.key_exchange(self._group) // 2))
        charge(self._private() if event.sent else self._verification())

    def _client_key_exchange(self, event: HandshakeEvent, charge: Charging) -> None:
        if self._group:
            charge(("tls", self._costs.key_exchange(self._group) // 2))
        else:
            charge(self._verification() if event.sent else self._private())

    def _certificate_verify(self, event: HandshakeEvent, charge: Charging) -> None:
        charge(self._private() if event.sent else self._verification())

    def _finished(self, _event: HandshakeEvent, charge: Charging) -> None:
        size_bytes, self._transcript_bytes = self._transcript_bytes, 0
        for algorithm in self._transcript_hashes:
            charge(("hash", self._costs.digest(algorithm, size_bytes)))

    @property
    def _version(self) -> int:
        return self._choice.version if self._choice is not None else 0

    def _private(self) -> Charge:
        return "rsa-private", self._costs.rsa_private(self.credentials.key_bits if self.credentials else 1024)

    def _verification(self) -> Charge:
        """One public operation with the peer's key. A signature of another kind is charged as an exchange."""
        if not self._peer_bits:
            return "tls", self._costs.key_exchange("p256")
        return "rsa-public", self._costs.rsa_public(self._peer_bits)


PRICES: dict[int, Callable[[CostMeter, HandshakeEvent, Charging], None]] = {
    CLIENT_HELLO: CostMeter._client_hello,
    SERVER_HELLO: CostMeter._server_hello,
    CERTIFICATE: CostMeter._certificate,
    SERVER_KEY_EXCHANGE: CostMeter._server_key_exchange,
    CLIENT_KEY_EXCHANGE: CostMeter._client_key_exchange,
    CERTIFICATE_VERIFY: CostMeter._certificate_verify,
    FINISHED: CostMeter._finished,
}


def _known_bits(der: bytes) -> int:
    """As `_modulus_bits`, of a certificate that the judge has just read, which is remembered."""
    from firmware.x509.certificate import key_bits_from_der

    return key_bits_from_der(der) or _modulus_bits(der)


@lru_cache(maxsize=64)
def _modulus_bits(der: bytes) -> int:
    """Length of the RSA key in a certificate (RFC 5280 4.1); 0 where there is none."""
    from firmware.x509.der import BIT_STRING, INTEGER, SEQUENCE, Reader, bits_from_element

    try:
        fields = Reader(der, "certificate").inside().inside()
        fields.take_if(0xA0)  # version
        fields.content(INTEGER)  # serial number
        for _ in ("signature", "issuer", "validity", "subject"):
            fields.content(SEQUENCE)
        key_info = fields.inside()
        key_info.content(SEQUENCE)
        key = Reader(bits_from_element(key_info.take(BIT_STRING)), "public key").inside()
        return int.from_bytes(key.content(INTEGER), "big").bit_length()
    except CertificateError:
        return 0
