"""How long judging a peer's certificates takes on this host: ``python tests/bench/bench_validation.py``.

CPU time of the host only: what the same work takes on a board comes from the board's cost table. Printed are

- a chain of three (peer, intermediate, trusted root), already read, as if its signatures had never been seen: the
  whole verdict, the RSA operations in it measured alone, and what is left for the rules. Target for the last at 1024
  bits: less than 60 us;
- the same with 1,000 entries on the trust list. Target: at most 10 % more;
- messages made to take long. Target: a verdict within 50 ms.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from firmware.x509 import (
    Certificate,
    DistinguishedName,
    Name,
    PrivateKey,
    certificate_from_der,
    der,
    key_search,
    memory,
)
from firmware.x509.builder import CertificateTemplate, issue, root_extensions, signature_algorithm
from firmware.x509.extension import subject_key_identifier
from firmware.x509.timestamp import time_from_seconds
from firmware.x509.trustindex import TrustIndex
from firmware.x509.validation import MAX_CERTIFICATES, MAX_CHAIN_BYTES, Purpose, validate
from firmware.x509.verdict import Verdict

NOW = 1_800_000_000
ROUNDS = 15
BATCH = 40
TRUST_ENTRIES = 1_000
TARGET_RULES_US = 60
TARGET_TRUST_PERCENT = 10
TARGET_WORST_MS = 50

FREE: Any = SimpleNamespace(certificate=0, digest=lambda *_: 0, rsa_public=lambda _: 0)
"""A CPU that works for nothing."""

Chain = Sequence[Certificate]


def made_key(bits: int, seed: int) -> PrivateKey:
    search = key_search(bits, random.Random(seed))
    while True:
        try:
            next(search)
        except StopIteration as end:
            key: PrivateKey = end.value
            return key


def named(common_name: str) -> Name:
    return DistinguishedName(common_name=common_name, organization="Example AG", country="DE").name()


def made_chain(bits: int) -> Chain:
    """Peer, intermediate and root, each with a key of its own."""
    keys = [made_key(bits, seed) for seed in range(3)]
    names = [named("gw.example.com"), named("Example Device CA"), named("Example Root CA")]
    chain = []
    for place, (key, name) in enumerate(zip(keys, names, strict=True)):
        above = min(place + 1, 2)
        extensions = (
            (subject_key_identifier(key.public_key.key_id()),) if place == 0 else root_extensions(key.public_key)
        )
        template = CertificateTemplate(
            name, names[above], key.spki(), place + 1, NOW - 1000, NOW + 1000, extensions=extensions
        )
        chain.append(issue(template, keys[above]))
    return chain


def fresh(chain: Chain) -> Chain:
    return [certificate_from_der(certificate.der) for certificate in chain]


def judged(sent: Sequence[Certificate | bytes], trusted: TrustIndex) -> Verdict:
    return validate(sent, trusted, FREE, now_s=NOW, purpose=Purpose.SERVER, names="gw.example.com")


def rsa_alone(sent: Chain, root: Certificate) -> None:
    """The public operations of a path of three; OpenSSL's key of the root, which is on the trust list, is made once."""
    assert sent[0].is_signed_by(sent[1].public_key)
    assert sent[1].is_signed_by(root.public_key)


def microseconds(chain: Chain, *works: Callable[[Chain], object]) -> list[float]:
    """CPU time per call of each, on fresh objects and nothing remembered: the median, taking turns."""
    samples: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS * BATCH):
        for work, taken in zip(works, samples, strict=True):
            sent = fresh(chain)
            memory.forget()
            start = time.thread_time()
            work(sent)
            taken.append((time.thread_time() - start) * 1e6)
    return [statistics.median(taken) for taken in samples]


def print_chains() -> None:
    for bits in (1024, 2048, 4096):
        chain = made_chain(bits)
        few = TrustIndex([chain[2]])
        strangers = trust_entries(chain[2])
        many = TrustIndex([*strangers, chain[2]])
        assert judged(chain, few).ok
        assert judged(chain, many).ok
        total, crowded, rsa = microseconds(
            chain,
            lambda sent, few=few: judged(sent, few),  # type: ignore[misc]
            lambda sent, many=many: judged(sent, many),  # type: ignore[misc]
            lambda sent, root=chain[2]: rsa_alone(sent, root),  # type: ignore[misc]
        )
        print(
            f"chain of 3, {bits} bits: verdict {total:6.1f} us = RSA alone {rsa:6.1f} us + rules {total - rsa:5.1f} us"
            f" (target at 1024 bits < {TARGET_RULES_US} us); with {len(many)} entries on the trust list "
            f"{crowded:6.1f} us, {100 * (crowded / total - 1):+.1f} % (target < {TARGET_TRUST_PERCENT} %)"
        )


def trust_entries(root: Certificate) -> list[bytes]:
    """Other certificates, each with a name of its own; nobody looks at their signatures."""
    return [root.der.replace(b"Example Root CA", b"Example Root%03d" % number) for number in range(TRUST_ENTRIES - 1)]


def print_messages_made_to_take_long() -> None:
    for what, (sent, trusted) in hostile_messages().items():
        taken = []
        for _ in range(5):
            memory.forget()
            start = time.thread_time()
            verdict = judged(sent, trusted)
            taken.append((time.thread_time() - start) * 1e3)
        size = sum(len(one if isinstance(one, bytes) else one.der) for one in sent)
        print(
            f"{what}: {len(sent)} certificates, {size} bytes: longest of {len(taken)} {max(taken):5.1f} ms "
            f"(target < {TARGET_WORST_MS} ms): {verdict.reason}, {verdict.clause}"
        )


def hostile_messages() -> dict[str, tuple[list[bytes], TrustIndex]]:
    keys = [made_key(4096, 4096 + number) for number in range(2)]
    name = named("Everybody")
    return {
        "one name, two keys of 4096 bits": (
            [forged(name, keys[n % 2], n) for n in range(MAX_CERTIFICATES)],
            TrustIndex(),
        ),
        "one name, one key": ([forged(name, keys[0], n) for n in range(MAX_CERTIFICATES)], TrustIndex()),
        "names made to be hard to compare": (
            [forged(slow_name(n), keys[0], n, issuer=slow_name(n + 1)) for n in range(MAX_CERTIFICATES)],
            TrustIndex(),
        ),
        "thousands of extensions": ([forged(name, keys[0], 0), *many_extensions(name, keys[0])], TrustIndex()),
        "one certificate of thousands of attributes": ([forged(many_attributes(), keys[0], 0)], TrustIndex()),
        "noise": ([random.Random(1).randbytes(MAX_CHAIN_BYTES)], TrustIndex()),
    }


def forged(subject: Name, key: PrivateKey, serial: int, *, issuer: Name | None = None) -> bytes:
    template = CertificateTemplate(
        subject, issuer or subject, key.spki(), serial + 1, 0, NOW * 2, extensions=root_extensions(key.public_key)[:1]
    )
    return issue(template, key).der


def slow_name(number: int) -> Name:
    """Combining marks in the wrong order: Unicode normalisation sorts them one by one."""
    marks = ("\u0344" * 120 + "\u0316" * 120).encode()
    parts = [
        der.set_of([der.sequence(der.object_identifier("2.5.4.3"), der.tagged(der.UTF8_STRING, text))])
        for text in (marks, marks, marks[:-2] + bytes((0xCC, 0x80 + number)))
    ]
    return Name(der.sequence(*parts), ())


def many_attributes() -> Name:
    empty = der.sequence(der.object_identifier("2.5.4.3"), der.tagged(der.UTF8_STRING, b""))
    return Name(der.sequence(*[der.set_of([empty])] * 550), ())


def many_extensions(name: Name, key: PrivateKey) -> list[bytes]:
    listed = [
        der.sequence(der.tagged(der.OBJECT_IDENTIFIER, bytes((n // 127, n % 127))), der.octet_string(b""))
        for n in range(1_700)
    ]
    tbs = der.sequence(
        der.context(0, der.integer(2)),
        der.integer(1),
        signature_algorithm("sha256"),
        name.raw,
        der.sequence(time_from_seconds(0), time_from_seconds(NOW * 2)),
        name.raw,
        key.spki(),
        der.context(3, der.sequence(*listed)),
    )
    one = der.sequence(tbs, signature_algorithm("sha256"), der.bit_string(key.sign("sha256", tbs)))
    return [one] * (MAX_CERTIFICATES - 1)


if __name__ == "__main__":
    print_chains()
    print_messages_made_to_take_long()
