"""What the administration pages show, as plain values: whoever owns the parts fills this in, pages only format it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["BoxView", "CardView", "CertificateEntry", "CertificateState", "LoadView", "ServiceView", "entry_from_view"]


@dataclass(frozen=True)
class CertificateEntry:
    """One certificate of a chain; values as in the JSON of the console."""

    subject: str
    issuer: str
    serial: str
    not_before: str
    """ISO 8601, UTC."""
    not_after: str
    key_bits: int
    signature: str
    version: int
    sha1: str
    """Lower-case hex without separators, as the other fingerprints."""
    md5: str
    sha256: str
    ca: bool
    valid: bool
    """Whether board time lies within its validity."""
    self_signed: bool
    san: tuple[str, ...] = ()
    der: bytes = b""


@dataclass(frozen=True)
class CertificateState:
    """The device certificate: what is in force, and what is going on with it."""

    chain: tuple[CertificateEntry, ...] = ()
    """Device certificate first, root last; empty while there is none."""
    origin: str = ""
    """In words: built-in, self-signed by this device, issued by the CA on the card."""
    busy: str = ""
    """What is being made, with its progress in words; empty when nothing is."""


@dataclass(frozen=True)
class LoadView:
    """What the CPU did."""

    hz: int
    load_1s: float
    """0 to 1, as the next two."""
    load_10s: float
    load_60s: float
    cycles: tuple[tuple[str, int], ...] = ()
    """(kind, cycles since power-on)."""
    tls_handshakes: int = 0
    tls_last_us: int = 0
    """CPU time charged for the last finished server handshake."""


@dataclass(frozen=True)
class CardView:
    """The CompactFlash slot."""

    state: str
    """In words: no slot, empty, mounted, not mounted, damaged."""
    ok: bool = True
    detail: str = ""
    size_bytes: int = 0
    free_bytes: int = 0
    root_ca: str = ""
    """Subject of the CA on the card; empty when there is none."""


@dataclass(frozen=True)
class ServiceView:
    """One network service."""

    name: str
    port: int
    running: bool
    reason: str = ""
    """Why it does not run."""
    wanted: bool = True
    """Whether it is configured to run; one that is not is off, and nothing is wrong with that."""


@dataclass(frozen=True)
class BoxView:
    """The whole device at one moment."""

    product: str
    """For example ``IP800``."""
    netbios_name: str
    """For example ``IP800-06-11-ac``."""
    mac: str
    """For example ``00-90-33-06-11-ac``."""
    firmware_version: str
    uptime_s: int
    time_s: int | None
    """Unix seconds; None while the time is not set."""
    temperature_c: float
    reset_cause: str
    certificate: CertificateState
    load: LoadView
    card: CardView
    services: tuple[ServiceView, ...]
    notice: str = ""
    """One line for the top of the page, for example that seeded keys are not secret."""


def entry_from_view(view: Mapping[str, Any], der: bytes) -> CertificateEntry:
    """An entry from the JSON that the console prints for a certificate, and the certificate itself."""
    san = view["san"]
    return CertificateEntry(
        subject=view["subject"],
        issuer=view["issuer"],
        serial=view["serial"],
        not_before=view["not_before"],
        not_after=view["not_after"],
        key_bits=view["key_bits"],
        signature=view["signature"],
        version=view["version"],
        sha1=view["sha1"],
        md5=view["md5"],
        sha256=view["sha256"],
        ca=view["ca"],
        valid=view["valid"],
        self_signed=view["self_signed"],
        san=(san,) if isinstance(san, str) else tuple(str(name) for name in san or ()),
        der=der,
    )
