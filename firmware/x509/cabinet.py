"""Where the box keeps its certificates and keys: names in the flash store, changed in single atomic steps.

::

    X509/builtin/...       made by the manufacturer; never changes                       \
    X509/default/...       self-signed, made by the box when there is nothing else        > first found of
    X509/device/...        made or uploaded by the administrator                         /  device, builtin, default
    X509/app/DOMAIN/...    application certificates, found by domain name

    .../CHAIN       DER certificates, one behind the other, the box's own first
    .../KEY         its private key, PKCS#8 DER; overwritten in flash when it goes
    .../UNDATED     there when it was made before the box knew the time
    .../REQUEST     a pending signing request, DER, and
    .../REQUESTKEY  the private key that waits for its answer

    X509/device/REQUESTRESPONSE/00000 ...  certificates that a roll-out tool wrote, not taken up yet, as they came
    X509/device/REQUESTERROR               why they could not be taken up

Reading a chain needs no key: the expensive part of loading a key is left to whoever signs with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from firmware.errors import CommandError
from firmware.tls import Credentials
from firmware.x509.certificate import Certificate, certificate_from_der
from firmware.x509.der import Reader
from firmware.x509.identity import MAX_CHAIN, Identity, ordered_chain
from firmware.x509.key import PrivateKey, private_key_from_der
from firmware.x509.request import Request, request_from_der

BUILTIN, DEFAULT, DEVICE = "builtin", "default", "device"
PREFERENCE = (DEVICE, BUILTIN, DEFAULT)
APPLICATION = "app/"
ROOT = "X509/"
LARGEST_NUMBER_OF_APPLICATIONS = 10
"""Each takes some 3 KiB of flash; no published limit."""

LONGEST_DOMAIN = 64
"""An application certificate is found by its common name, which has at most 64 characters (RFC 5280 A.1)."""

RESPONSE = "REQUESTRESPONSE/"
RESPONSE_DIGITS = 5


class Store(Protocol):
    """What is needed of the flash store."""

    def get(self, name: str) -> bytes | None: ...

    def names(self, prefix: str = "") -> list[str]: ...

    def commit(self, changes: Mapping[str, bytes | None]) -> None: ...


def is_secret(name: str) -> bool:
    """Whether a value of that name must not stay readable in flash once it was replaced."""
    return name.startswith(ROOT) and name.endswith("KEY")


def chain_from_ders(data: bytes) -> tuple[Certificate, ...]:
    """Certificates that stand one behind the other."""
    reader, chain = Reader(data, "certificate chain"), []
    while reader.more:
        chain.append(certificate_from_der(reader.take().raw))
    return tuple(chain)


class Cabinet:
    """The certificates of one box, by target: ``device``, ``app/DOMAIN``, and the two that stand in for ``device``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chains: dict[str, tuple[Certificate, ...]] = {}

    def chain(self, target: str) -> tuple[Certificate, ...]:
        """The chain kept for exactly this target; empty when there is none."""
        if target not in self._chains:
            data = self._store.get(f"{ROOT}{target}/CHAIN")
            if not data:
                return ()  # Not remembered: names that peers ask for must not fill the memory.
            self._chains[target] = chain_from_ders(data)
        return self._chains[target]

    def is_read(self, target: str) -> bool:
        """Whether `chain` has been asked for since power-on or the last change, so that it costs nothing any more."""
        return target in self._chains

    def in_use(self, target: str = DEVICE) -> str | None:
        """The target whose certificate serves for ``target``: itself, or what stands in for the device's."""
        for candidate in PREFERENCE if target == DEVICE else (target,):
            if self.chain(candidate):
                return candidate
        return None

    def key(self, target: str) -> PrivateKey:
        """The private key that belongs to a target's chain. CommandError when there is none."""
        data = self._store.get(f"{ROOT}{target}/KEY")
        if data is None:
            raise CommandError(f"no key pair for {shown_target(target)}")
        return private_key_from_der(data)

    def credentials(self, target: str) -> Credentials | None:
        """What TLS presents for a target; None when there is no certificate."""
        chain = self.chain(target)
        key = self._store.get(f"{ROOT}{target}/KEY")
        if not chain or key is None:
            return None
        ders = tuple(certificate.der for certificate in chain)
        return Credentials(ders, key, chain[0].signature_hash or "sha256", chain[0].key_bits)

    def is_undated(self, target: str) -> bool:
        """Whether it was made before the box knew the time."""
        return self._store.get(f"{ROOT}{target}/UNDATED") is not None

    def install(self, target: str, identity: Identity, *, undated: bool = False, answers_request: bool = False) -> None:
        """Keeps a chain with its key, instead of what was there, in one step."""
        changes: dict[str, bytes | None] = {
            f"{ROOT}{target}/CHAIN": b"".join(certificate.der for certificate in identity.chain),
            f"{ROOT}{target}/KEY": identity.key.der(),
            f"{ROOT}{target}/UNDATED": b"1" if undated else None,
        }
        self.check_room(target)
        if answers_request:
            changes |= self._without_request(target)
        self._commit(target, changes)

    def clear(self, target: str) -> None:
        """Discards a chain with its key, for ever. A pending request stays."""
        self._commit(target, {f"{ROOT}{target}/{part}": None for part in ("CHAIN", "KEY", "UNDATED")})

    def request(self, target: str) -> Request | None:
        """The pending signing request."""
        data = self._store.get(f"{ROOT}{target}/REQUEST")
        return request_from_der(data) if data else None

    def keep_request(self, target: str, request: Request, key: PrivateKey) -> None:
        """Keeps a request and its key until the answer comes."""
        self.check_room(target)
        self._commit(target, {f"{ROOT}{target}/REQUEST": request.der, f"{ROOT}{target}/REQUESTKEY": key.der()})

    def remove_request(self, target: str) -> None:
        """Discards a request with its key: certificates made from it become useless."""
        self._commit(target, self._without_request(target))

    def answer(self, target: str, certificates: Iterable[Certificate]) -> tuple[Identity, bool]:
        """The identity that an uploaded chain without a key makes, and whether it answers the pending request.

        CommandError when neither the request's key nor the target's own fits.
        """
        pool = list(certificates)
        spkis = {certificate.spki for certificate in pool}
        for part, answers in (("REQUESTKEY", True), ("KEY", False)):
            data = self._store.get(f"{ROOT}{target}/{part}")
            if data is not None:
                key = private_key_from_der(data)
                if key.spki() in spkis:
                    return Identity(ordered_chain(pool, key.spki()), key), answers
        pending = "a signing request is pending, but for another key" if self.request(target) else "no signing request"
        raise CommandError(f"the certificate fits no private key on the box: {pending}")

    # -- application certificates

    def applications(self) -> list[str]:
        """Domains that have an application certificate or a request for one."""
        prefix = ROOT + APPLICATION
        return sorted({name.removeprefix(prefix).split("/")[0] for name in self._store.names(prefix)})

    def application_for(self, domain: str) -> str | None:
        """The target whose certificate is for this domain: by common name first, then by alternative name.

        None: there is none, the device certificate serves (reference text, Application certificates, Naming).
        """
        wanted = domain.lower().removesuffix(".")
        chains = {APPLICATION + name: self.chain(APPLICATION + name) for name in self.applications()}
        leaves = {target: chain[0] for target, chain in chains.items() if chain}
        for target, leaf in leaves.items():
            if leaf.subject.common_name.lower() == wanted:
                return target
        for target, leaf in leaves.items():
            if wanted in (name.lower() for name in leaf.values.dns_names):
                return target
        return None

    # -- what a roll-out tool wrote

    def keep_response(self, number: int, data: bytes) -> None:
        """Keeps one certificate of an answer, unread, until all of them are there. CommandError when there are many."""
        if not 0 <= number < MAX_CHAIN:
            raise CommandError(f"certificate {number} of an answer: must be 0 to {MAX_CHAIN - 1}")
        self._store.commit({f"{ROOT}{DEVICE}/{RESPONSE}{number:0{RESPONSE_DIGITS}}": data})

    def responses(self) -> dict[int, bytes]:
        """What was written of an answer, by number."""
        found = {}
        for name in self._response_names():
            data = self._store.get(name)
            if data is not None:
                found[int(name.rpartition("/")[2])] = data
        return found

    def drop_response(self, number: int) -> None:
        """Forgets one of them."""
        self._store.commit({f"{ROOT}{DEVICE}/{RESPONSE}{number:0{RESPONSE_DIGITS}}": None})

    def refuse_responses(self, reason: str) -> None:
        """Forgets them all, and remembers why."""
        changes: dict[str, bytes | None] = dict.fromkeys(self._response_names())
        self._store.commit(changes | {f"{ROOT}{DEVICE}/REQUESTERROR": reason.encode()})

    @property
    def request_error(self) -> str:
        """Why the last answer could not be taken up; empty when nothing is wrong. It stays until it is cleared."""
        return (self._store.get(f"{ROOT}{DEVICE}/REQUESTERROR") or b"").decode(errors="replace")

    def clear_request_error(self) -> None:
        self._store.commit({f"{ROOT}{DEVICE}/REQUESTERROR": None})

    def has_request_key(self, target: str) -> bool:
        """Whether a private key waits for an answer."""
        return self._store.get(f"{ROOT}{target}/REQUESTKEY") is not None

    def set_request_part(self, part: str, data: bytes | None) -> None:
        """Sets or removes ``REQUEST`` or ``REQUESTKEY`` of the device alone, as a roll-out tool does."""
        changes: dict[str, bytes | None] = {f"{ROOT}{DEVICE}/{part}": data}
        if part == "REQUEST" and data is None:
            changes |= dict.fromkeys(self._response_names())
        self._commit(DEVICE, changes)

    def _response_names(self) -> list[str]:
        return self._store.names(f"{ROOT}{DEVICE}/{RESPONSE}")

    def _without_request(self, target: str) -> dict[str, bytes | None]:
        changes: dict[str, bytes | None] = {f"{ROOT}{target}/REQUEST": None, f"{ROOT}{target}/REQUESTKEY": None}
        return changes | (dict.fromkeys(self._response_names()) if target == DEVICE else {})

    def check_room(self, target: str) -> None:
        """CommandError when there are as many application certificates as can be, and this would be one more."""
        if not target.startswith(APPLICATION):
            return
        domains = self.applications()
        if len(domains) >= LARGEST_NUMBER_OF_APPLICATIONS and shown_target(target) not in domains:
            raise CommandError(f"{len(domains)} application certificates, limit {LARGEST_NUMBER_OF_APPLICATIONS}")

    def _commit(self, target: str, changes: Mapping[str, bytes | None]) -> None:
        self._store.commit(changes)
        self._chains.pop(target, None)


def target_from_text(text: str) -> str:
    """``device``, or the target of an application certificate for the domain that ``text`` names. CommandError."""
    if text.lower() == DEVICE:
        return DEVICE
    domain = text.lower().removesuffix(".")
    labels = domain.split(".")
    if len(domain) > LONGEST_DOMAIN or not all(
        label and label.isascii() and label.replace("-", "").isalnum() for label in labels
    ):
        raise CommandError(f"target {text[:64]!r} is neither device nor a domain name")
    return APPLICATION + domain


def shown_target(target: str) -> str:
    """How a target is called towards people."""
    return target.removeprefix(APPLICATION)
