"""The options that the commands of module X509 share, and what their values mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from firmware.commands.kinds import Choice, Hex, Number, Text
from firmware.commands.registry import Call, Option
from firmware.x509.cabinet import DEVICE, shown_target, target_from_text
from firmware.x509.identity import MAX_CHAIN
from firmware.x509.order import (
    KEY_CHOICES,
    MAX_DNS_NAMES,
    MAX_IP_ADDRESSES,
    MAX_YEARS,
    REUSE,
    SIGNATURE_CHOICES,
    CertificateOrder,
    order_from_options,
)

MODULE = "X509"

SHA1_BYTES = 20
SHA1 = Hex(sizes=(SHA1_BYTES,))

TARGET = Option("target", Text(), "device, or the domain of an application certificate", default=DEVICE)
INDEX = Option("index", Number(0, MAX_CHAIN - 1), "place in the chain, 0 is the box's own")
FORMAT = Option("format", Choice("pem", "der"), "der prints base64", default="pem")
SUBJECT = tuple(
    Option(f"dn-{part}", Text(), what)
    for part, what in (
        ("cn", "common name"),
        ("ou", "organizational unit"),
        ("o", "organization"),
        ("l", "locality"),
        ("st", "state or province"),
        ("c", "country, two letters"),
    )
)
KEY = Option("key", Choice(*KEY_CHOICES), "key pair", default=KEY_CHOICES[0])
COMMON = (
    Option("signature", Choice(*SIGNATURE_CHOICES), "hash of the signature", default="SHA256"),
    Option("years", Number(1, MAX_YEARS), "validity in years", default=10),
    *SUBJECT,
)
CA_ORDER = (replace(KEY, kind=Choice(*(choice for choice in KEY_CHOICES if choice != REUSE))), *COMMON)
"""A root CA has a key pair of its own."""
ORDER = (
    KEY,
    *COMMON,
    Option("san-dns", Text(), "DNS alternative name", repeat=MAX_DNS_NAMES),
    Option("san-ip", Text(), "IP alternative name", repeat=MAX_IP_ADDRESSES),
)


class FormChoice(Choice):
    """A choice whose blanks may come as plus signs: some roll-out tools encode them as forms do."""

    __slots__ = ()

    def parse(self, text: str) -> str:
        return super().parse(text.replace("+", " "))


def target_of(call: Call) -> str:
    """The target that ``/target`` names. CommandError."""
    return target_from_text(call.text("target"))


def order_of(call: Call, netbios: str) -> CertificateOrder:
    """What was ordered; the subject is the netbios name, or the target's domain, where none is given."""
    options: dict[str, str | Sequence[str]] = {}
    names = {option.name for option in call.operation.options}
    for option in ORDER:
        if option.name in names and (value := call.get(option.name)) is not None:
            options[option.name] = value if isinstance(value, tuple) else str(value)
    if not any(options.get(option.name) for option in SUBJECT):
        target = target_of(call) if "target" in names else DEVICE
        options["dn-cn"] = netbios if target == DEVICE else shown_target(target)
    return order_from_options(options)


def never(call: Call) -> bool:
    """For ``Operation.logged``: changes nothing, so the log of administration need not have it."""
    return False
