"""How a peer's certificates are judged: the seam between TLS, which asks, and whoever knows what is trusted.

TLS hands the judge what the peer showed, byte for byte and complete, and makes an alert of the answer. What a trust
list is, what a name must look like and what time it is, TLS does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

__all__ = ["BAD_CERTIFICATE", "Judge", "Judged", "Judgement", "PeerCheck", "Role"]

BAD_CERTIFICATE = 42
"""AlertDescription, RFC 5246 7.2.2: what a peer is told when nothing more fitting is known."""


class Role(StrEnum):
    """Which side of the handshake we are."""

    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True)
class Judgement:
    """Whether a peer is who it should be."""

    ok: bool
    sentence: str
    """For the log, in one line."""
    alert: int = BAD_CERTIFICATE
    """AlertDescription that a refused peer is told (RFC 5246 7.2.2)."""
    charges: tuple[tuple[str, int], ...] = ()
    """What the judge did: (kind, cycles). Reading the certificates is part of it."""
    verdict: object = field(default=None, compare=False)
    """What the judge knows besides; TLS hands it on to `Judged` without looking at it."""


class Judge(Protocol):
    """Looks at a chain. Called once per handshake, in the middle of it, so it neither waits nor charges."""

    def __call__(self, chain_der: tuple[bytes, ...], /) -> Judgement:
        """Judges certificates as the peer sent them, its own first: any bytes at all."""
        ...


Judged = Callable[[str, Role, tuple[bytes, ...], Judgement], None]
"""``judged(peer, our role, chain, judgement)``: hears of every judgement once it is paid for, before the peer does."""


def ignore(_peer: str, _role: Role, _chain_der: tuple[bytes, ...], _judgement: Judgement) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class PeerCheck:
    """That a peer is to be judged, and by whom."""

    judge: Judge
    required: bool = True
    """Whether a client that shows no certificate is refused; a server always shows one."""
    judged: Judged = ignore
