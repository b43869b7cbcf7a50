"""The rejected list: order, limits, what is kept of hostile chains, what is suggested."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from firmware.errors import CommandError
from firmware.x509 import Certificate, DistinguishedName, PrivateKey
from firmware.x509.builder import CertificateTemplate, issue
from firmware.x509.rejected import CHAINS, LARGEST_CHAIN, LARGEST_CHAIN_BYTES, RejectedList, Unreadable

UNKNOWN, UNTRUSTED = "unknown CA", "untrusted CA"


@pytest.fixture
def rejected() -> RejectedList:
    return RejectedList()


@pytest.fixture
def leaf(
    template: CertificateTemplate, keys: Mapping[int, PrivateKey], other_key: PrivateKey
) -> Callable[..., Certificate]:
    """A certificate that the root issued."""

    def make(name: str = "peer", **changes: Any) -> Certificate:
        subject = DistinguishedName(common_name=name).name()
        return issue(replace(template, subject=subject, spki=other_key.spki(), extensions=(), **changes), keys[1024])

    return make


def add(rejected: RejectedList, *chain: Certificate | bytes, reason: str = UNTRUSTED, now_s: int = 1) -> None:
    ders = tuple(each if isinstance(each, bytes) else each.der for each in chain)
    rejected.add("192.0.2.1:5061", "client", ders, "a sentence", reason, now_s)


def test_the_newest_comes_first_and_the_oldest_goes(rejected: RejectedList, leaf: Callable[..., Certificate]) -> None:
    for number in range(CHAINS + 2):
        add(rejected, leaf(f"p{number}"), now_s=number)
    assert [entry.time_s for entry in rejected.entries()] == list(range(CHAINS + 1, 1, -1))


def test_a_peer_that_comes_again_keeps_one_entry_with_its_newest_refusal(
    rejected: RejectedList, leaf: Callable[..., Certificate], root: Certificate
) -> None:
    add(rejected, leaf("a"), now_s=1, reason=UNKNOWN)
    add(rejected, leaf("b"), now_s=2)
    add(rejected, leaf("a"), root, now_s=3, reason="expired")
    first, second = rejected.entries()
    assert (first.time_s, first.reason, first.count, len(first.chain)) == (3, "expired", 2, 2)
    assert (second.time_s, second.count) == (2, 1)


def test_what_cannot_be_read_is_kept_byte_for_byte(rejected: RejectedList, root: Certificate) -> None:
    add(rejected, b"not a certificate", root)
    (entry,) = rejected.entries()
    assert entry.chain_der == (b"not a certificate", root.der)
    unreadable, readable = entry.chain
    assert isinstance(unreadable, Unreadable)
    assert unreadable.fingerprint("sha1") == hashlib.sha1(b"not a certificate").hexdigest()
    assert readable == root
    assert (entry.path, entry.candidate, entry.hint) == ((), None, "")


def test_a_peer_that_showed_nothing_leaves_nothing(rejected: RejectedList) -> None:
    assert rejected.add("x", "client", (), "no certificate", UNKNOWN, 1) is None
    assert len(rejected) == 0


def test_hostile_chains_do_not_fill_the_memory(rejected: RejectedList, root: Certificate) -> None:
    add(rejected, *[bytes([number]) * 10 for number in range(LARGEST_CHAIN + 5)])
    assert (len(rejected.entry(0).chain_der), rejected.entry(0).omitted) == (LARGEST_CHAIN, 5)
    add(rejected, root, *[bytes([number]) * (LARGEST_CHAIN_BYTES // 4) for number in range(8)])
    assert sum(map(len, rejected.entry(0).chain_der)) <= LARGEST_CHAIN_BYTES
    assert rejected.entry(0).omitted == 5
    add(rejected, b"x" * (2 * LARGEST_CHAIN_BYTES))
    assert len(rejected.entry(0).chain_der) == 1


def test_a_chain_with_its_root_is_an_untrusted_ca_and_the_root_is_to_be_trusted(
    rejected: RejectedList, leaf: Callable[..., Certificate], root: Certificate
) -> None:
    add(rejected, leaf(), root)
    entry = rejected.entry(0)
    assert entry.has_root
    assert entry.candidate == root
    assert entry.hint == "untrusted CA: to accept this peer, trust the root, CN=Test Root"


def test_a_chain_without_its_root_is_an_unknown_ca_and_its_last_certificate_is_to_be_trusted(
    rejected: RejectedList, leaf: Callable[..., Certificate]
) -> None:
    add(rejected, leaf(), reason=UNKNOWN)
    assert rejected.entry(0).candidate == leaf()
    assert rejected.entry(0).hint.startswith(
        "unknown CA: the chain came without its root; trust this certificate, CN=peer"
    )


def test_what_has_nothing_to_do_with_the_peer_is_never_suggested(
    rejected: RejectedList,
    leaf: Callable[..., Certificate],
    root: Certificate,
    template: CertificateTemplate,
    third_key: PrivateKey,
) -> None:
    forged = issue(replace(template, spki=third_key.spki()), third_key)
    assert forged.subject == root.subject
    add(rejected, leaf(), forged)
    assert rejected.entry(0).candidate == leaf(), "the same name, but its key has signed nothing of this"
    add(rejected, leaf(), forged, root)
    assert rejected.entry(0).candidate == root


def test_the_order_of_a_chain_does_not_matter(
    rejected: RejectedList,
    template: CertificateTemplate,
    keys: Mapping[int, PrivateKey],
    other_key: PrivateKey,
    third_key: PrivateKey,
    root: Certificate,
) -> None:
    middle = DistinguishedName(common_name="Middle").name()
    issuing = issue(replace(template, subject=middle, spki=third_key.spki()), keys[1024])
    subject = DistinguishedName(common_name="peer").name()
    peer = issue(replace(template, subject=subject, issuer=middle, spki=other_key.spki()), third_key)
    add(rejected, peer, root, issuing)
    assert rejected.entry(0).path == (peer, issuing, root)


def test_certificates_are_found_in_every_chain_that_holds_them(
    rejected: RejectedList, leaf: Callable[..., Certificate], root: Certificate
) -> None:
    add(rejected, leaf("a"), root)
    add(rejected, leaf("b"))
    add(rejected, leaf("c"), root)
    found = rejected.with_certificate([root.fingerprint("sha1")])
    assert [entry.path[0].subject.common_name for entry in found] == ["c", "a"]
    assert rejected.drop(found) == 2
    assert len(rejected) == 1


def test_an_index_out_of_range_is_said_so(rejected: RejectedList, root: Certificate) -> None:
    with pytest.raises(CommandError, match="/index 0: no chain was rejected"):
        rejected.entry(0)
    add(rejected, root)
    with pytest.raises(CommandError, match="/index 1: rejected chains are 0 to 0"):
        rejected.entry(1)
    assert rejected.clear() == 1
