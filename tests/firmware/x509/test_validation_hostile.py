"""The validator against anything: always a verdict, within a bounded number of bytes read and signatures verified.

Work is counted, not timed: the bench measures the time that the most of it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.x509 import (
    Certificate,
    CertificateOrder,
    DistinguishedName,
    PrivateKey,
    PublicKey,
    certificate_from_der,
    der,
    validation,
)
from firmware.x509.builder import CertificateTemplate, device_extensions, issue, root_extensions
from firmware.x509.name import Attribute, Name, printable
from firmware.x509.path import MAX_LINKS, MAX_SIGNATURE_CHECKS
from firmware.x509.rules import MAX_ATTRIBUTE_BYTES
from firmware.x509.trustindex import TrustIndex
from firmware.x509.validation import MAX_CERTIFICATES, MAX_CHAIN_BYTES, MAX_READ_BYTES, Purpose, validate
from firmware.x509.verdict import Reason, Verdict

NOW = 1_800_000_000
COSTS: Any = SimpleNamespace(certificate=1, digest=lambda *_: 1, rsa_public=lambda _: 1)
FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Keys = Mapping[int, PrivateKey]


@dataclass
class Work:
    """What the validator really did."""

    read_bytes: list[int] = field(default_factory=list)
    signatures: list[int] = field(default_factory=list)
    compared_bytes: list[int] = field(default_factory=list)

    def clear(self) -> None:
        for done in (self.read_bytes, self.signatures, self.compared_bytes):
            done.clear()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    done = Work()
    verify, comparable = PublicKey.verify, Attribute.comparable

    def read(data: bytes) -> Certificate:
        done.read_bytes.append(len(data))
        return certificate_from_der(data)

    def verified(self: PublicKey, *arguments: Any) -> bool:
        done.signatures.append(self.bits)
        return verify(self, *arguments)

    def compared(self: Attribute) -> Any:
        done.compared_bytes.append(len(self.raw))
        return comparable(self)

    monkeypatch.setattr(validation, "certificate_from_der", read)
    monkeypatch.setattr(PublicKey, "verify", verified)
    monkeypatch.setattr(Attribute, "comparable", compared)
    return done


@pytest.fixture
def chain(
    template: CertificateTemplate, keys: Keys, other_key: PrivateKey, third_key: PrivateKey, order: CertificateOrder
) -> Sequence[Certificate]:
    """Device, middle, root: valid."""
    middle_name = DistinguishedName(common_name="Middle").name()
    middle = replace(
        template, subject=middle_name, spki=third_key.spki(), extensions=root_extensions(third_key.public_key)
    )
    extensions = device_extensions(order, other_key.public_key, third_key.public_key.key_id())
    device = replace(
        template, subject=order.subject.name(), issuer=middle_name, spki=other_key.spki(), extensions=extensions
    )
    return issue(device, third_key), issue(middle, keys[1024]), issue(template, keys[1024])


@pytest.fixture
def judge(chain: Sequence[Certificate], work: Work) -> Callable[..., Verdict]:
    """Judges against the chain's root, and checks what holds for every verdict."""

    def judged(sent: Sequence[bytes], *trusted: Certificate) -> Verdict:
        work.clear()
        index = TrustIndex(trusted or (chain[-1],))
        verdict = validate(sent, index, COSTS, now_s=NOW, purpose=Purpose.SERVER, names="gw.example.com")
        assert len(work.read_bytes) <= MAX_CERTIFICATES
        assert sum(work.read_bytes) <= MAX_READ_BYTES
        assert len(work.signatures) <= MAX_SIGNATURE_CHECKS
        # Each name at most twice: once in haste, once in full.
        assert sum(work.compared_bytes) <= 2 * sum(work.read_bytes) + 1_000
        assert max(work.compared_bytes, default=0) <= MAX_ATTRIBUTE_BYTES
        kinds = [kind for kind, _ in verdict.charges]
        assert kinds.count("parse") == len(work.read_bytes)
        assert kinds.count("rsa-public") == kinds.count("hash") == len(work.signatures)
        assert verdict.text == printable(verdict.text)
        assert verdict.ok == (verdict.reason is None) == (verdict.clause == "") == (verdict.trust is not None)
        assert verdict.index is None or 0 <= verdict.index < len(sent)
        return verdict

    return judged


def test_the_chain_is_accepted_as_it_is(judge: Callable[..., Verdict], chain: Sequence[Certificate]) -> None:
    assert judge([certificate.der for certificate in chain]).ok


@FUZZ
@given(sent=st.lists(st.binary(max_size=300), max_size=14))
def test_any_bytes_at_all_have_a_verdict(judge: Callable[..., Verdict], sent: list[bytes]) -> None:
    assert not judge(sent).ok


@settings(FUZZ, max_examples=40)
@given(size=st.integers(0, MAX_CHAIN_BYTES + 1), start=st.binary(max_size=64), count=st.integers(1, 24))
def test_any_size_has_a_verdict(judge: Callable[..., Verdict], size: int, start: bytes, count: int) -> None:
    data = (start + b"\x30\x80" * (size // 2))[:size]
    pieces = [data[len(data) * n // count : len(data) * (n + 1) // count] for n in range(count)]
    assert not judge(pieces).ok


@FUZZ
@given(data=st.data())
def test_a_chain_with_changed_bytes_has_a_verdict_and_is_hardly_ever_accepted(
    judge: Callable[..., Verdict], chain: Sequence[Certificate], data: st.DataObject
) -> None:
    sent = [bytearray(certificate.der) for certificate in chain]
    for _ in range(data.draw(st.integers(1, 4))):
        victim = sent[data.draw(st.integers(0, 2))]
        victim[data.draw(st.integers(0, len(victim) - 1))] = data.draw(st.integers(0, 255))
    unchanged = [bytes(now) == before.der for now, before in zip(sent, chain, strict=True)]
    # The root need not be sent at all.
    assert judge([bytes(certificate) for certificate in sent]).ok == all(unchanged[:2])


@FUZZ
@given(data=st.data())
def test_cut_and_joined_pieces_of_a_chain_have_a_verdict(
    judge: Callable[..., Verdict], chain: Sequence[Certificate], data: st.DataObject
) -> None:
    whole = b"".join(certificate.der for certificate in chain)
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)]
    order = data.draw(st.permutations(pieces))
    judge(order)


def test_every_byte_of_the_signed_parts_changed_is_refused(
    judge: Callable[..., Verdict], chain: Sequence[Certificate]
) -> None:
    for victim in (0, 1):
        for position in range(0, len(chain[victim].der), 3):
            sent = [bytearray(certificate.der) for certificate in chain]
            sent[victim][position] ^= 0x01
            assert not judge([bytes(certificate) for certificate in sent]).ok


# -- graphs


def crowd(template: CertificateTemplate, members: Sequence[tuple[PrivateKey, PrivateKey]]) -> list[bytes]:
    """Self-issued CA certificates of one name: the key of each, and the key that signed it."""
    made = []
    for serial, (own, signer) in enumerate(members, 1):
        extensions = root_extensions(own.public_key)[:1]
        made.append(issue(replace(template, spki=own.spki(), serial=serial, extensions=extensions), signer).der)
    return made


@pytest.fixture
def stranger(template: CertificateTemplate, third_key: PrivateKey) -> Certificate:
    """A trusted root of another name, so that nothing leads to it."""
    name = DistinguishedName(common_name="Elsewhere").name()
    return issue(replace(template, subject=name, issuer=name), third_key)


def test_one_name_and_one_key_in_all_certificates(
    judge: Callable[..., Verdict],
    template: CertificateTemplate,
    other_key: PrivateKey,
    stranger: Certificate,
    work: Work,
) -> None:
    verdict = judge(crowd(template, [(other_key, other_key)] * MAX_CERTIFICATES), stranger)
    assert (verdict.reason, verdict.clause) == (Reason.LIMITS, f"limit of {MAX_LINKS} links")
    assert len(work.signatures) <= MAX_CERTIFICATES


def test_one_name_and_many_keys_that_certify_each_other(
    judge: Callable[..., Verdict],
    template: CertificateTemplate,
    keys: Keys,
    other_key: PrivateKey,
    third_key: PrivateKey,
    stranger: Certificate,
) -> None:
    pool = [keys[1024], other_key, third_key, keys[2048]]
    members = [(pool[n % 4], pool[(n + n // 4 + 1) % 4]) for n in range(MAX_CERTIFICATES)]
    verdict = judge(crowd(template, members), stranger)
    assert verdict.reason in (Reason.LIMITS, Reason.UNKNOWN_CA, Reason.BAD_SIGNATURE)


def test_the_number_of_signature_checks_is_limited(
    judge: Callable[..., Verdict],
    template: CertificateTemplate,
    chain: Sequence[Certificate],
    other_key: PrivateKey,
    work: Work,
) -> None:
    # On our own list: forty CAs of the name that issued the device, each with another key; all have to be tried.
    middle = replace(template, subject=chain[1].subject)
    impostors = []
    for number in range(40):
        spki = PublicKey((1 << 1024) - 1 - 2 * number, 65537).spki()
        extensions = root_extensions(PublicKey((1 << 1024) - 1, 65537))[:1]
        impostors.append(replace(middle, spki=spki, extensions=extensions))
    trusted = [issue(impostor, other_key) for impostor in impostors]
    verdict = judge([chain[0].der], *trusted)
    assert (verdict.reason, verdict.index) == (Reason.LIMITS, 0)
    assert verdict.clause == f"limit of {MAX_SIGNATURE_CHECKS} signature checks"
    assert len(work.signatures) == MAX_SIGNATURE_CHECKS


def test_names_made_to_be_hard_to_compare_are_not_compared(
    judge: Callable[..., Verdict], template: CertificateTemplate, keys: Keys, work: Work
) -> None:
    marks = ("\u0344\u0316" * 3_000).encode()
    part = der.set_of([der.sequence(der.object_identifier("2.5.4.3"), der.tagged(der.UTF8_STRING, marks))])
    slow = Name(der.sequence(part), ())
    peer = issue(replace(template, issuer=slow), keys[1024])
    assert judge([peer.der]).reason is Reason.LIMITS
    nobody = DistinguishedName(common_name="Nobody").name()
    fine = issue(replace(template, issuer=nobody, extensions=()), keys[1024])
    other = issue(replace(template, subject=slow), keys[1024])
    assert judge([fine.der, other.der]).reason is Reason.LIMITS
