"""Builds a storm's world: a registrar and its phones, provisioned as an installer leaves them, all without power.

::

    planner's CA (2048 bits, on every trust list)
      |-- registrar   IP800-06-11-ac   key and hash as asked for; a device entry for every phone
      +-- phones      IP232-06-11-ad   keys as asked for; told where the registrar is, and how to come
          ...

Keys come from (seed, name), so every setting of a comparison has the same phones. Clocks are set at power-on, as if a
time server were near: certificates are judged against them.

Not modelled: the minutes that real devices take to boot, and that they differ in it (``--arrival spread`` stands for
that); DHCP, DNS and NTP, which come before SIP; the switches' own start; calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.bench import Bench
from hil.factory import Provisions, provision
from hil.moment import DEFAULT_TIME, unix_ns_from_iso
from hil.storm.keys import KeyName, Keys, key_from
from hil.storm.parameters import BACKOFF, SPREAD, Parameters, arrival_from_text
from hil.streams import SeededStream

if TYPE_CHECKING:
    from firmware.x509.certificate import Certificate
    from firmware.x509.identity import Identity
    from firmware.x509.key import PrivateKey
    from hil.gateway import Gateway

CA = "ca"
REGISTRAR = "registrar"
CA_BITS = 2048
"""The planner's CA signs once a year; its key need not be short. Validating takes a public operation with it."""

MADE_S = unix_ns_from_iso(DEFAULT_TIME) // 1_000_000_000 - 86_400
"""Certificates were made the day before power went."""

YEARS = 10

SIPS_PORT = 5061

RETRY_S = 10
"""Phones that do not back off try again so long after a failure: impatient, but not mad. An assumption."""

KEEPALIVE_S = 30
"""Between pings, a fifth less at random: what phones do that may sit behind a NAT router. RFC 5626 4.4.1 asks for 120 s
at most; with 30 a report sees how pings fare while the CPU is busy."""


@dataclass
class World:
    """One storm's bench."""

    bench: Bench
    registrar: Gateway
    phones: list[Gateway]


def phone_name(number: int) -> str:
    """What a phone is called on the bench and in the PBX."""
    return f"phone-{number + 1:04}"


def key_names(parameters: Parameters, seed: int) -> Iterator[KeyName]:
    """The keys that a setting needs."""
    yield KeyName(seed, CA, CA_BITS)
    yield KeyName(seed, REGISTRAR, parameters.key)
    for number in range(parameters.phones):
        yield KeyName(seed, phone_name(number), parameters.phone_key)


def build(parameters: Parameters, seed: int, keys: Keys) -> World:
    """A world of these parameters, everybody without power. RackMisuse when there is no such model.

    Args:
        keys: those of ``key_names``.
    """
    from firmware.pbx.devices import DeviceEntry

    bench = Bench(seed)
    try:
        bench.lan.loss = parameters.loss
        bench.lan.latency_ms = parameters.latency_ms
        # Neither has a built-in certificate: nobody would look at it, and finding its key takes longer than the rest.
        registrar = bench.gateway(parameters.model, factory="upgraded", name=REGISTRAR)
        phones = [
            bench.gateway(parameters.phone_model, factory="upgraded", name=phone_name(number))
            for number in range(parameters.phones)
        ]
        authority = Authority(seed, keys, parameters.hash)
        devices = [DeviceEntry(phone.netbios, phone.name, tls_only=parameters.mutual) for phone in phones]
        share = {"background-percent": str(parameters.share)}
        serving = {
            "CPU": share,
            "SIPS": {"client-certificate": "required" if parameters.mutual else "off", "line": str(parameters.line)},
            "TLS": {"profile": parameters.profile},
        }
        identity = authority.identity(REGISTRAR, registrar.netbios, parameters.key)
        provision(registrar.board, Provisions(identity, (authority.certificate,), devices, serving))
        for phone in phones:
            settings = {
                "CPU": share,
                "TLS": {"profile": parameters.profile},
                "PHONE": phone_settings(parameters.arrival, registrar.netbios, phone.name),
            }
            identity = authority.identity(phone.name, phone.netbios, parameters.phone_key)
            provision(phone.board, Provisions(identity, (authority.certificate,), (), settings))
            phone.console.close()  # nobody reads what a phone says on its serial line
    except BaseException:
        bench.close()
        raise
    return World(bench, registrar, phones)


def phone_settings(arrival: str, registrar: str, user: str) -> dict[str, str]:
    """How a phone is told where to register, as whom, and when."""
    way, seconds = arrival_from_text(arrival)
    settings = {
        "registrar": f"{registrar}:{SIPS_PORT}",
        "user": user,
        "keepalive": str(KEEPALIVE_S),
        "start-spread-ms": str(round(seconds * 1_000) if way == SPREAD else 0),
    }
    if way == BACKOFF:
        return settings | {"retry": "exponential"}  # by as much as RFC 5626 4.5 says, the firmware's default
    return settings | {"retry": "constant", "retry-base-ms": str(RETRY_S * 1_000)}


class Authority:
    """The planner's CA."""

    def __init__(self, seed: int, keys: Keys, hash_name: str) -> None:
        from firmware.x509.builder import root_certificate
        from firmware.x509.name import DistinguishedName
        from firmware.x509.order import CertificateOrder

        self._seed = seed
        self._keys = keys
        self._hash_name = hash_name
        self._key: PrivateKey = key_from(keys, KeyName(seed, CA, CA_BITS))
        self._serial = 0
        order = CertificateOrder(DistinguishedName(common_name="Storm CA"), CA_BITS, hash_name, YEARS)
        source = SeededStream(seed, "storm/serial")
        self.certificate: Certificate = root_certificate(order, self._key, MADE_S, source)

    def identity(self, name: str, common_name: str, bits: int) -> Identity:
        """A device certificate for a board, with the key of that name."""
        from firmware.x509.builder import issued_certificate
        from firmware.x509.identity import Identity
        from firmware.x509.name import DistinguishedName
        from firmware.x509.order import CertificateOrder

        self._serial += 1
        key = key_from(self._keys, KeyName(self._seed, name, bits))
        order = CertificateOrder(DistinguishedName(common_name=common_name), bits, self._hash_name, YEARS)
        leaf = issued_certificate(order, key.public_key, self.certificate, self._key, self._serial, MADE_S)
        return Identity((leaf, self.certificate), key)
