"""Whether a certificate is made out to the name that the application asked for.

Where to look (spec: "SAN DNS and IP, then CN"; RFC 2818 3.1 and RFC 6125 6.4.4 say when the second counts)::

    asked for        looked at
    DNS name         subjectAltName dNSName; only if it has none of these: the common name
    IP address       subjectAltName iPAddress; only if it has none of these: the common name, read as an address

Comparison: letters of either case are the same, a dot at the end says nothing, addresses are compared as numbers.

Wildcards: the reference text does not mention them; the rule is RFC 9525 6.3's. ``*`` alone as the first label stands
for exactly one label, and two labels or more must follow: ``*.example.com`` is ``gw.example.com``, but not
``example.com``, not ``a.b.example.com``; ``*.com`` and ``gw*.example.com`` are nobody. Addresses have no wildcards.

Not modelled: comparison of international names other than in their ASCII form (what is asked for is converted,
RFC 3490; certificates hold the ASCII form, RFC 5280 7.2).
"""

from __future__ import annotations

import ipaddress

from firmware.x509.certificate import Certificate
from firmware.x509.name import printable

__all__ = ["is_made_out_to", "names_text"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MIN_LABELS_BEHIND_WILDCARD = 2
"""Nobody owns all of ``*.com``."""

MAX_SHOWN_NAMES = 5
MAX_SHOWN_LENGTH = 64
"""In a line for people; certificates may hold a hundred names, as long as they like."""


def is_made_out_to(certificate: Certificate, wanted: str) -> bool:
    """Whether one of the certificate's names is ``wanted``, a DNS name or an IP address (IPv6 in brackets or not)."""
    address = _address_from_text(wanted)
    if address is not None:
        return any(_address_from_text(text) == address for text in _address_texts(certificate))
    name = _dns_name_from_text(wanted)
    return bool(name) and any(_matches(pattern, name) for pattern in _dns_texts(certificate))


def names_text(certificate: Certificate) -> str:
    """The names that a certificate is made out to, for people."""
    names = list(dict.fromkeys((*_dns_texts(certificate), *_address_texts(certificate))))
    more = f" and {len(names) - MAX_SHOWN_NAMES} more" if len(names) > MAX_SHOWN_NAMES else ""
    shown = (printable(name[:MAX_SHOWN_LENGTH]) for name in names[:MAX_SHOWN_NAMES])
    return ", ".join(shown) + more if names else "nobody"


def _dns_texts(certificate: Certificate) -> tuple[str, ...]:
    return certificate.values.dns_names or _common_name(certificate)


def _address_texts(certificate: Certificate) -> tuple[str, ...]:
    return certificate.values.ip_addresses or _common_name(certificate)


def _common_name(certificate: Certificate) -> tuple[str, ...]:
    name = certificate.subject.common_name
    return (name,) if name else ()


def _address_from_text(text: str) -> Address | None:
    text = text.removesuffix(".")
    if ":" not in text and not text.replace(".", "").isdecimal():
        return None  # a name, as nearly always
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        # The zone of fe80::1%eth0 is a matter of this host alone (RFC 4007 11).
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _dns_name_from_text(text: str) -> str:
    """Lower case, ASCII, no dot at the end; empty where the text can be no name."""
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return text.lower().removesuffix(".")


def _matches(pattern: str, name: str) -> bool:
    pattern = pattern.lower().removesuffix(".")
    if "*" not in pattern:
        return pattern == name
    first, _, behind = pattern.partition(".")
    label, _, rest = name.partition(".")
    if first != "*" or "*" in behind or behind.count(".") < MIN_LABELS_BEHIND_WILDCARD - 1:
        return False
    return bool(label) and behind == rest
