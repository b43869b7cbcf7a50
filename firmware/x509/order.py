"""What a user orders: the choices behind "Create new", checked before any work starts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from firmware.errors import ConfigError
from firmware.x509.key import KEY_BITS
from firmware.x509.name import DistinguishedName
from firmware.x509.oid import HASHES

__all__ = ["KEY_CHOICES", "SIGNATURE_CHOICES", "CertificateOrder", "order_from_options"]

MAX_YEARS = 30
"""A root CA's life; the default certificate's is 10 (reference text, Default certificate)."""
MAX_DNS_NAMES = 3
MAX_IP_ADDRESSES = 2
"""As many as the form of the real devices has."""

REUSE = "reuse"
KEY_CHOICES = (*(f"{bits}-bit" for bits in KEY_BITS), REUSE)
SIGNATURE_CHOICES = tuple(name.upper() for name in HASHES)

_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


@dataclass(frozen=True)
class CertificateOrder:
    """A certificate or signing request to be made.

    Raises:
        ConfigError: A value out of its range; ``field`` is the option's name.
    """

    subject: DistinguishedName
    key_bits: int | None = 1024
    """None: use the key pair that is there again (not recommended, says the reference text)."""
    hash_name: str = "sha256"
    years: int = 10
    """Not used by a signing request: its CA decides."""
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.subject.common_name:
            raise ConfigError("dn-cn", "dn-cn is missing: a certificate needs a common name")
        if self.key_bits is not None and self.key_bits not in KEY_BITS:
            raise ConfigError("key", f"key has {self.key_bits} bits, possible are {', '.join(map(str, KEY_BITS))}")
        if self.hash_name not in HASHES:
            raise ConfigError("signature", f"signature {self.hash_name!r} is none of {', '.join(HASHES)}")
        if not 1 <= self.years <= MAX_YEARS:
            raise ConfigError("years", f"years must be from 1 to {MAX_YEARS}, not {self.years}")
        dns_names = _distinct("san-dns", map(_dns_name, self.dns_names), MAX_DNS_NAMES)
        ip_addresses = _distinct("san-ip", map(_ip_address, self.ip_addresses), MAX_IP_ADDRESSES)
        object.__setattr__(self, "dns_names", dns_names)
        object.__setattr__(self, "ip_addresses", ip_addresses)


def _distinct(option: str, values: Iterable[str], limit: int) -> tuple[str, ...]:
    """Without repetitions, in their order."""
    found = tuple(dict.fromkeys(values))
    if len(found) > limit:
        raise ConfigError(option, f"{len(found)} values of {option}, limit {limit}")
    return found


def _dns_name(text: str) -> str:
    """A host name (RFC 1123 2.1); its first label may be ``*`` (RFC 6125 6.4.3)."""
    name = text.strip().removesuffix(".")
    labels = name.removeprefix("*.").split(".")
    if len(name) > 253:
        raise ConfigError("san-dns", f"san-dns has {len(name)} characters, limit 253")
    if not text.isascii():
        raise ConfigError("san-dns", f"san-dns {text[:64]!r} must be ASCII: write it in its xn-- form")
    if not all(_DNS_LABEL.fullmatch(label) for label in labels):
        raise ConfigError("san-dns", f"san-dns {text[:64]!r} is not a host name")
    return name


def _ip_address(text: str) -> str:
    """An IPv4 or IPv6 address in its canonical form."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        raise ConfigError("san-ip", f"san-ip {text[:64]!r} is not an IPv4 or IPv6 address") from None
    if "%" in str(address):
        raise ConfigError("san-ip", f"san-ip {text[:64]!r} has a zone, which certificates cannot hold")
    return str(address)


def order_from_options(options: Mapping[str, str | Sequence[str]]) -> CertificateOrder:
    """The order of a console command or form.

    Args:
        options: By the console's names: ``key``, ``signature``, ``years``, ``dn-cn`` and so on, ``san-dns``, ``san-ip``
            (one text or several); absent and empty ones take their defaults. Others are not looked at.

    Raises:
        ConfigError: The first value that is not allowed.
    """
    subject = DistinguishedName(
        **{part.name: _single(options, part.metadata["option"]) for part in fields(DistinguishedName)}
    )
    return CertificateOrder(
        subject,
        _key_bits(_single(options, "key") or KEY_CHOICES[0]),
        _hash_name(_single(options, "signature") or "SHA256"),
        _years(_single(options, "years") or "10"),
        _several(options, "san-dns"),
        _several(options, "san-ip"),
    )


def _several(options: Mapping[str, str | Sequence[str]], option: str) -> tuple[str, ...]:
    value = options.get(option, ())
    values = (value,) if isinstance(value, str) else tuple(value)
    # A form sends its empty fields too.
    return tuple(text for text in values if text.strip())


def _single(options: Mapping[str, str | Sequence[str]], option: str) -> str:
    values = _several(options, option)
    if len(values) > 1:
        raise ConfigError(option, f"{option} is given {len(values)} times")
    return values[0] if values else ""


def _key_bits(text: str) -> int | None:
    if text not in KEY_CHOICES:
        raise ConfigError("key", f"key {text[:64]!r} is none of {', '.join(KEY_CHOICES)}")
    return None if text == REUSE else int(text.removesuffix("-bit"))


def _hash_name(text: str) -> str:
    if text.upper() not in SIGNATURE_CHOICES:
        choices = ", ".join(SIGNATURE_CHOICES)
        raise ConfigError("signature", f"signature {text[:64]!r} is none of {choices}")
    return text.lower()


def _years(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise ConfigError("years", f"years must be from 1 to {MAX_YEARS}, not {text[:64]!r}")
    return int(text)
