"""Cipher suites as numbers on the wire, and what each is made of: what the cost of a connection follows from.

Sources: RFC 5246 A.5, RFC 5289, RFC 5288, RFC 8446 B.4, RFC 4162 (SEED), RFC 5469 (IDEA).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["GROUPS", "ServerChoice", "Suite", "choice_from_server_hello", "group_from_server_key_exchange"]


@dataclass(frozen=True)
class Suite:
    """What a suite is made of."""

    cipher: str
    """``aes128`` or ``aes256``: names of the cost table."""
    mac: str
    """Hash that authenticates each record."""
    prf: str
    """Hash of the transcript and of key derivation from TLS 1.2 on."""
    ephemeral: bool = True
    """False with RSA key exchange."""


# GCM's GHASH in plain C costs about as many cycles per byte as SHA-1, so it is charged as that. SEED and IDEA have no
# column in the cost tables; both have 128-bit keys and are charged as AES-128. Both are assumptions.
SUITES = {
    0x0007: Suite("aes128", "sha1", "sha256", ephemeral=False),  # IDEA
    0x002F: Suite("aes128", "sha1", "sha256", ephemeral=False),
    0x0035: Suite("aes256", "sha1", "sha256", ephemeral=False),
    0x003C: Suite("aes128", "sha256", "sha256", ephemeral=False),
    0x003D: Suite("aes256", "sha256", "sha256", ephemeral=False),
    0x0096: Suite("aes128", "sha1", "sha256", ephemeral=False),  # SEED
    0x009C: Suite("aes128", "sha1", "sha256", ephemeral=False),
    0x009D: Suite("aes256", "sha1", "sha384", ephemeral=False),
    0xC013: Suite("aes128", "sha1", "sha256"),
    0xC014: Suite("aes256", "sha1", "sha256"),
    0xC027: Suite("aes128", "sha256", "sha256"),
    0xC028: Suite("aes256", "sha384", "sha384"),
    0xC02F: Suite("aes128", "sha1", "sha256"),
    0xC030: Suite("aes256", "sha1", "sha384"),
    0x1301: Suite("aes128", "sha1", "sha256"),
    0x1302: Suite("aes256", "sha1", "sha384"),
}

OTHER_SUITE = Suite("aes256", "sha256", "sha384")
"""For a suite that no profile offers: the dearest, so that nothing is ever free."""

GROUPS = {23: "p256", 29: "x25519"}
"""Named groups of the profiles (RFC 8446 4.2.7), by the names of the cost table."""

OTHER_GROUP = "p256"

RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""Random of a ServerHello that is in truth a HelloRetryRequest, RFC 8446 4.1.3."""

SUPPORTED_VERSIONS = 43
VERSION_EXTENSION = bytes.fromhex("002b0002")
"""How that begins in a ServerHello (RFC 8446 4.2.1)."""
KEY_SHARE = 51
NAMED_CURVE = 3
TLS_1_2 = 0x0303


class ServerChoice(NamedTuple):
    """What a ServerHello settled."""

    version: int
    suite: Suite
    group: str | None
    """Group of the key share: TLS 1.3 only."""
    retry: bool
    """True for a HelloRetryRequest."""

    @property
    def transcript_hashes(self) -> tuple[str, ...]:
        """Before TLS 1.2 the Finished message took MD5 and SHA-1 over the whole handshake (RFC 4346 7.4.9)."""
        return (self.suite.prf,) if self.version >= TLS_1_2 else ("md5", "sha1")


def choice_from_server_hello(body: bytes) -> ServerChoice:
    """Reads a ServerHello that OpenSSL made or accepted; what is cut short reads as not there."""
    version = int.from_bytes(body[:2], "big")
    random = body[2:34]
    position = 35 + (body[34] if len(body) > 34 else 0)
    suite = SUITES.get(int.from_bytes(body[position : position + 2], "big"), OTHER_SUITE)
    # Nothing else is looked for, and what TLS 1.3 brought is not there without its own version.
    extensions = _extensions(body[position + 3 :]) if VERSION_EXTENSION in body else {}
    if SUPPORTED_VERSIONS in extensions:
        version = int.from_bytes(extensions[SUPPORTED_VERSIONS], "big")
    share = extensions.get(KEY_SHARE)
    group = None if share is None else GROUPS.get(int.from_bytes(share[:2], "big"), OTHER_GROUP)
    return ServerChoice(version, suite, group, random == RETRY_RANDOM)


def group_from_server_key_exchange(body: bytes) -> str:
    """The named curve of an ECDHE key exchange (RFC 8422 5.4)."""
    if body[:1] == bytes((NAMED_CURVE,)):
        return GROUPS.get(int.from_bytes(body[1:3], "big"), OTHER_GROUP)
    return OTHER_GROUP


def _extensions(data: bytes) -> dict[int, bytes]:
    extensions = {}
    position = 2
    while position + 4 <= len(data):
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        extensions[int.from_bytes(data[position : position + 2], "big")] = data[position + 4 : position + 4 + length]
        position += 4 + length
    return extensions
