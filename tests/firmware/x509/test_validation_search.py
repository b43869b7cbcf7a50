"""The validator's search for a way up: strangers, key identifiers, loops, and which fault is told."""

from __future__ import annotations

from typing import Any

from firmware.x509 import (
    DistinguishedName,
    extension,
)
from firmware.x509.builder import root_extensions
from firmware.x509.trustindex import TrustIndex
from firmware.x509.verdict import Reason, Suggestion

NOW = 1_800_000_000
Issuing = Any
"""Root, middle and device, valid by default: the fixture of that name."""


def test_a_stranger_of_the_same_name_is_passed_over(issuing: Issuing) -> None:
    stranger = issuing.make("middle", signer="device", spki=issuing.keys["device"].spki(), not_after=NOW - 1)
    assert issuing.judge([issuing.device, stranger, issuing.middle]).ok
    # Not even an expired one takes the blame for a chain that lacks its link.
    bare = issuing.make("device", extensions=())
    alone = issuing.judge([bare, stranger])
    assert (alone.reason, alone.index) == (Reason.BAD_SIGNATURE, 0)


def test_key_identifiers_say_which_of_two_cas_of_one_name_is_asked_first(issuing: Issuing) -> None:
    other = issuing.keys["device"].public_key
    older = issuing.make("root", signer="device", spki=other.spki(), extensions=root_extensions(other))
    verdict = issuing.judge([issuing.device, issuing.middle], [older, issuing.root])
    assert verdict.ok
    assert [kind for kind, _ in verdict.charges].count("rsa-public") == 2
    unknown = issuing.judge([issuing.device, issuing.middle], [older])
    assert (unknown.reason, unknown.index) == (Reason.UNKNOWN_CA, 1)


def test_wrong_key_identifiers_are_a_hint_and_no_proof(issuing: Issuing) -> None:
    kept = issuing.extensions_without("device", "2.5.29.35")
    device = issuing.make("device", extensions=(*kept, extension.authority_key_identifier(b"somebody else")))
    assert issuing.judge([device, issuing.middle]).ok


def test_a_second_way_up_is_found_when_the_first_one_ends(issuing: Issuing) -> None:
    expired = issuing.make("middle", not_after=NOW - 1, serial=22)
    assert issuing.judge([issuing.device, expired, issuing.middle]).ok
    # Both are one key's: its signature is verified once.
    verdict = issuing.judge([issuing.device, expired, issuing.middle])
    assert [kind for kind, _ in verdict.charges].count("rsa-public") == 2


def test_two_cas_that_certify_each_other_do_not_make_a_loop(issuing: Issuing) -> None:
    back = issuing.make("root", issuer=issuing.middle.subject, signer="middle", serial=9)
    verdict = issuing.judge([issuing.device, issuing.middle, back], [])
    assert (verdict.reason, verdict.index) == (Reason.UNKNOWN_CA, 2)
    assert issuing.judge([issuing.device, issuing.middle, back]).ok


def test_a_fault_of_our_own_trust_list_is_told_before_any_other(issuing: Issuing) -> None:
    trusted = issuing.make("middle", not_after=NOW - 1, serial=21)
    verdict = issuing.judge([issuing.device, issuing.middle, issuing.root], [trusted])
    assert (verdict.reason, verdict.index, verdict.certificate) == (Reason.EXPIRED, None, trusted)
    assert verdict.suggestion is Suggestion.REPLACE_TRUSTED


def test_the_fault_furthest_up_is_told_and_of_two_as_far_the_first(issuing: Issuing) -> None:
    expired = [issuing.make("middle", not_after=NOW - n, serial=20 + n) for n in (1, 2)]
    verdict = issuing.judge([issuing.device, *expired], [])
    assert (verdict.reason, verdict.index) == (Reason.EXPIRED, 1)
    verdict = issuing.judge([issuing.device, *expired, issuing.middle, issuing.root], [])
    assert (verdict.reason, verdict.index) == (Reason.UNTRUSTED_CA, 4)


def test_names_are_compared_as_a_whole(issuing: Issuing) -> None:
    longer = DistinguishedName(common_name="Middle", organization="Example").name()
    other = DistinguishedName(common_name="Middle", organization="Another").name()
    device = issuing.make("device", issuer=longer)
    assert issuing.judge([device, issuing.make("middle", subject=longer)]).ok
    for name in (other, issuing.middle.subject):
        middle = issuing.make("middle", subject=name)
        assert issuing.judge([device, middle]).reason is Reason.UNKNOWN_CA
        assert issuing.judge([device], [middle]).reason is Reason.UNKNOWN_CA


def test_the_same_certificate_twice_on_the_trust_list_is_one(issuing: Issuing) -> None:
    index = TrustIndex([issuing.root, issuing.root.der, issuing.middle])
    assert (len(index), index.issuers(issuing.root.subject)) == (2, (issuing.root,))
    assert index.find(issuing.root.der) == issuing.root
    assert (index.find(issuing.device.der), issuing.device in index) == (None, False)


def test_a_dead_end_that_is_a_certificate_nobody_could_read_says_so(issuing: Issuing) -> None:
    verdict = issuing.judge([issuing.device, b"noise", issuing.middle])
    assert verdict.ok
    verdict = issuing.judge([issuing.device, issuing.middle, b"noise"], [])
    assert (verdict.reason, verdict.index) == (Reason.MALFORMED, 2)
    verdict = issuing.judge([issuing.device, issuing.middle, issuing.root, b"noise"], [])
    assert (verdict.reason, verdict.index) == (Reason.UNTRUSTED_CA, 2)
