"""The validator: a chain that is valid by default, broken by name; each refusal with its reason, place and clause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from firmware.x509 import (
    Certificate,
    DistinguishedName,
    PrivateKey,
    PublicKey,
    der,
    extension,
)
from firmware.x509 import name as name_module
from firmware.x509.builder import signature_algorithm
from firmware.x509.oid import CLIENT_AUTH, HASHES, SERVER_AUTH, SIGNATURE_OF_HASH
from firmware.x509.validation import Purpose
from firmware.x509.verdict import ALERT_OF_REASON, SUGGESTION_OF_REASON, Reason, Suggestion, Trust

CODE_SIGNING, ANY_PURPOSE = "1.3.6.1.5.5.7.3.3", "2.5.29.37.0"
UNKNOWN_CRITICAL = der.sequence(der.object_identifier("1.2.3.4"), der.boolean(True), der.octet_string(b"\x05\x00"))
UNKNOWN_PLAIN = der.sequence(der.object_identifier("1.2.3.4"), der.octet_string(b"\x05\x00"))

Keys = Mapping[int, PrivateKey]
Changes = Mapping[str, Any]
Issuing = Any
"""Root, middle and device, valid by default: the fixture of that name."""


# -- accepted


def test_a_chain_up_to_a_trusted_root_is_accepted(issuing: Issuing) -> None:
    verdict = issuing.judge([issuing.device, issuing.middle], names="gw.example.com")
    assert verdict.ok
    assert verdict.trust is Trust.CA
    assert verdict.path == (issuing.device, issuing.middle, issuing.root)
    assert (verdict.index, verdict.certificate, verdict.alert, verdict.subject) == (None, None, None, "")
    assert str(verdict) == "accepted, trusted as CA: CN=Root"


def test_order_repetitions_strangers_and_the_root_itself_do_not_matter(issuing: Issuing, root: Certificate) -> None:
    stranger = issuing.make("root", subject=DistinguishedName(common_name="Stranger").name())
    for others in ((issuing.root, issuing.middle), (stranger, issuing.middle, issuing.middle, issuing.device)):
        assert issuing.judge([issuing.device, *others]).path == (issuing.device, issuing.middle, issuing.root)


def test_bytes_and_read_certificates_give_the_same_but_reading_costs(issuing: Issuing) -> None:
    chain = [issuing.device, issuing.middle]
    read, unread = issuing.judge(chain), issuing.judge([certificate.der for certificate in chain])
    assert read.path == unread.path
    assert [charge for charge in unread.charges if charge[0] != "parse"] == list(read.charges)
    assert [charge for charge in unread.charges if charge[0] == "parse"] == [("parse", 30_000)] * 2


def test_a_trusted_ca_need_not_be_a_root(issuing: Issuing) -> None:
    verdict = issuing.judge([issuing.device], [issuing.middle])
    assert (verdict.ok, verdict.path) == (True, (issuing.device, issuing.middle))


def test_the_certificate_itself_may_be_trusted_and_then_neither_issuer_nor_name_is_asked(
    issuing: Issuing, verifications: list[int]
) -> None:
    verdict = issuing.judge([issuing.device.der], [issuing.device], names="elsewhere.example.org")
    assert (verdict.ok, verdict.trust, verdict.path) == (True, Trust.ENDPOINT, (issuing.device,))
    assert verdict.charges == (("parse", 30_000),)
    assert verifications == []


def test_another_certificate_of_the_same_name_and_key_is_not_the_trusted_one(issuing: Issuing) -> None:
    renewed = issuing.make("device", serial=77)
    assert issuing.judge([renewed], [issuing.device]).reason is Reason.UNKNOWN_CA


@pytest.mark.parametrize("now", ["not_before", "not_after"])
def test_both_ends_of_the_validity_belong_to_it(issuing: Issuing, now: str) -> None:
    at = getattr(issuing.device, now)
    assert issuing.judge([issuing.device, issuing.middle], now_s=at).ok
    beside = at + (1 if now == "not_after" else -1)
    assert not issuing.judge([issuing.device, issuing.middle], now_s=beside).ok


@pytest.mark.parametrize("hash_name", HASHES)
def test_every_hash_of_the_reference_text_is_verified_and_charged(issuing: Issuing, hash_name: str) -> None:
    device = issuing.make("device", hash_name=hash_name)
    verdict = issuing.judge([device, issuing.middle])
    assert verdict.ok
    per_byte = 155 if hash_name == "sha512" else 65
    assert verdict.charges[0] == ("hash", len(device.tbs) * per_byte)


@pytest.mark.parametrize("bits", [1024, 2048, 4096])
def test_every_key_size_of_the_reference_text_issues(issuing: Issuing, keys: Keys, bits: int) -> None:
    issuing.keys = {**issuing.keys, "middle": keys[bits]}
    middle = issuing.make(
        "middle", spki=keys[bits].spki(), extensions=issuing.extensions_without("middle", "2.5.29.14")
    )
    verdict = issuing.judge([issuing.make("device"), middle])
    assert verdict.ok
    assert verdict.charges[1] == ("rsa-public", bits * 1_000)


@pytest.mark.parametrize(("bits", "ok"), [(1023, False), (1024, True), (3072, True), (4096, True), (4097, False)])
def test_a_peers_own_key_has_1024_to_4096_bits(issuing: Issuing, bits: int, ok: bool) -> None:
    device = issuing.make("device", spki=PublicKey((1 << bits) - 1, 65537).spki())
    verdict = issuing.judge([device, issuing.middle])
    assert verdict.ok is ok
    if not ok:
        assert (verdict.reason, verdict.index) == (Reason.UNSUPPORTED, 0)
        assert f"{bits} bits, limits 1024 and 4096" in verdict.text


@pytest.mark.parametrize("version", [1, 2])
def test_versions_without_extensions_do_for_peers_and_for_trusted_cas_only(issuing: Issuing, version: int) -> None:
    old: dict[str, Any] = {"version": version, "extensions": ()}
    device, middle, root = (issuing.make(who, **old) for who in ("device", "middle", "root"))
    assert issuing.judge([device, issuing.middle], [root]).ok
    assert issuing.judge([device], [middle]).ok
    between = issuing.judge([device, middle], [root])
    assert (between.reason, between.index, between.clause) == (Reason.UNSUPPORTED, 1, "RFC 5280 6.1.4 (k)")
    alone = issuing.judge([issuing.make("middle", **old), root], [])
    assert (alone.reason, alone.index) == (Reason.UNTRUSTED_CA, 1)


def test_names_may_be_encoded_differently(issuing: Issuing) -> None:
    value = der.tagged(der.PRINTABLE_STRING, b"  mIDDLE ")
    spelled = der.sequence(der.set_of([der.sequence(der.object_identifier("2.5.4.3"), value)]))
    device = issuing.make("device", issuer=name_module.name_from_element(der.Reader(spelled, "name").take()))
    assert device.issuer.raw != issuing.middle.subject.raw
    assert issuing.judge([device, issuing.middle]).ok
    assert issuing.judge([device], [issuing.middle]).ok


# -- refused: each case is the valid chain with one difference

EKU, KEY_USAGE, BASIC = "2.5.29.37", "2.5.29.15", "2.5.29.19"
TLS_BOTH = extension.ext_key_usage((SERVER_AUTH, CLIENT_AUTH))

Broken = Callable[[Issuing], "tuple[Certificate | bytes, Certificate | bytes]"]


def _device(**changes: Any) -> Broken:
    return lambda issuing: (issuing.make("device", **changes), issuing.middle)


def _middle(**changes: Any) -> Broken:
    return lambda issuing: (issuing.device, issuing.make("middle", **changes))


def _with(who: str, encoded: bytes, *instead_of: str) -> Broken:
    """One extension added, or in the place of another."""

    def broken(issuing: Issuing) -> tuple[Certificate, Certificate]:
        changed = issuing.make(who, extensions=(*issuing.extensions_without(who, *instead_of), encoded))
        return (changed, issuing.middle) if who == "device" else (issuing.device, changed)

    return broken


def _elliptic() -> bytes:
    return (
        ec.derive_private_key(7, ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


def _signed_with(oid: str) -> Broken:
    """Both algorithm identifiers replaced; the signature is another one's then, but that is not looked at."""
    known = der.object_identifier(SIGNATURE_OF_HASH["sha256"])
    assert len(der.object_identifier(oid)) == len(known)
    return lambda issuing: (issuing.device.der.replace(known, der.object_identifier(oid)), issuing.middle)


def _long_name() -> name_module.Name:
    value = der.tagged(der.UTF8_STRING, "\u0344".encode() * 260)
    encoded = der.sequence(der.set_of([der.sequence(der.object_identifier("2.5.4.3"), value)]))
    return name_module.name_from_element(der.Reader(encoded, "name").take())


def _two_algorithms(issuing: Issuing) -> tuple[Certificate | bytes, Certificate | bytes]:
    """The outer algorithm identifier alone replaced, which no signature covers."""
    before, _, behind = issuing.device.der.rpartition(signature_algorithm("sha256"))
    return before + signature_algorithm("sha512") + behind, issuing.middle


def _version_1_with_extensions(issuing: Issuing) -> tuple[Certificate | bytes, Certificate | bytes]:
    version = der.context(0, der.integer(2))
    content = der.Reader(issuing.device.tbs, "tbs").take().content.removeprefix(version)
    tbs = der.sequence(content)
    signature = issuing.keys["middle"].sign("sha256", tbs)
    return der.sequence(tbs, signature_algorithm("sha256"), der.bit_string(signature)), issuing.middle


HOUR = 3600
NOW = 1_800_000_000

BROKEN: dict[str, tuple[Broken, Reason, int | None, str]] = {
    "device expired": (_device(not_after=NOW - 1), Reason.EXPIRED, 0, "RFC 5280 4.1.2.5"),
    "middle expired": (_middle(not_after=NOW - 1), Reason.EXPIRED, 1, "RFC 5280 4.1.2.5"),
    "device not yet valid": (_device(not_before=NOW + 1), Reason.NOT_YET_VALID, 0, "RFC 5280 4.1.2.5"),
    "middle not yet valid": (_middle(not_before=NOW + 1), Reason.NOT_YET_VALID, 1, "RFC 5280 4.1.2.5"),
    "device damaged": (
        lambda i: (i.damaged(i.device), i.middle),
        *(Reason.BAD_SIGNATURE, 0, "RFC 5280 6.1.3 (a) (1)"),
    ),
    "middle damaged": (
        lambda i: (i.device, i.damaged(i.middle)),
        *(Reason.BAD_SIGNATURE, 1, "RFC 5280 6.1.3 (a) (1)"),
    ),
    "device with a critical extension": (
        _with("device", UNKNOWN_CRITICAL),
        *(Reason.UNSUPPORTED_EXTENSION, 0, "reference text, Certificate extensions"),
    ),
    "middle with a critical extension": (
        _with("middle", UNKNOWN_CRITICAL),
        *(Reason.UNSUPPORTED_EXTENSION, 1, "reference text, Certificate extensions"),
    ),
    "device for signing code": (
        _with("device", extension.ext_key_usage((CODE_SIGNING,)), EKU),
        *(Reason.PURPOSE, 0, "RFC 5280 4.2.1.12"),
    ),
    "device for clients": (
        _with("device", extension.ext_key_usage((CLIENT_AUTH,)), EKU),
        *(Reason.PURPOSE, 0, "RFC 5280 4.2.1.12"),
    ),
    "device key for signing certificates": (
        _with("device", extension.key_usage("keyCertSign"), KEY_USAGE),
        *(Reason.PURPOSE, 0, "RFC 5280 4.2.1.3"),
    ),
    "middle without basic constraints": (
        lambda i: (i.device, i.make("middle", extensions=i.extensions_without("middle", BASIC))),
        *(Reason.PURPOSE, 1, "RFC 5280 4.2.1.9"),
    ),
    "middle not a CA": (
        _with("middle", extension.basic_constraints(ca=False), BASIC),
        *(Reason.PURPOSE, 1, "RFC 5280 4.2.1.9"),
    ),
    "middle key not for certificates": (
        _with("middle", extension.key_usage("cRLSign"), KEY_USAGE),
        *(Reason.PURPOSE, 1, "RFC 5280 4.2.1.3"),
    ),
    "device with an elliptic key": (
        lambda i: (i.make("device", spki=_elliptic()), i.middle),
        *(Reason.UNSUPPORTED, 0, "reference text, Key types"),
    ),
    "middle with an elliptic key": (
        lambda i: (i.device, i.make("middle", spki=_elliptic())),
        *(Reason.UNSUPPORTED, 1, "reference text, Key types"),
    ),
    "middle with a short key": (
        _middle(spki=PublicKey((1 << 768) - 1, 65537).spki()),
        *(Reason.UNSUPPORTED, 1, "reference text, Key types"),
    ),
    "device signed with PSS": (
        _signed_with("1.2.840.113549.1.1.10"),
        *(Reason.UNSUPPORTED, 0, "reference text, Signing algorithms"),
    ),
    "middle of version 1": (_middle(version=1, extensions=()), Reason.UNSUPPORTED, 1, "RFC 5280 6.1.4 (k)"),
    "device with two algorithms": (_two_algorithms, Reason.MALFORMED, 0, "RFC 5280 4.1.1.2"),
    "device of version 1 with extensions": (_version_1_with_extensions, Reason.MALFORMED, 0, "RFC 5280 4.1.2.9"),
    "device is noise": (lambda i: (b"\x30\x03noise", i.middle), Reason.MALFORMED, 0, "RFC 5280 4.1"),
    "middle is noise": (lambda i: (i.device, b"noise"), Reason.MALFORMED, 1, "RFC 5280 4.1"),
    "device too large": (
        lambda i: (bytes(16_385), i.middle),
        *(Reason.LIMITS, 0, "limit of 16384 bytes in a certificate"),
    ),
    "device with a long name": (
        lambda i: (i.make("device", subject=_long_name()), i.middle),
        *(Reason.LIMITS, 0, "RFC 5280 appendix A.1, upper bounds"),
    ),
}


@pytest.mark.parametrize(("broken", "reason", "index", "clause"), BROKEN.values(), ids=BROKEN)
def test_one_difference_is_refused_with_its_reason_its_place_and_its_clause(
    issuing: Issuing, broken: Broken, reason: Reason, index: int, clause: str
) -> None:
    assert issuing.judge([issuing.device, issuing.middle]).ok
    sent = broken(issuing)
    verdict = issuing.judge(sent)
    assert (verdict.reason, verdict.index, verdict.clause) == (reason, index, clause)
    assert verdict.text.startswith(f"{reason.value}: certificate {index + 1} of 2 ")
    assert verdict.text.isprintable()
    if reason not in (Reason.MALFORMED, Reason.LIMITS):
        offending = sent[index]
        assert verdict.certificate is not None
        assert verdict.certificate.der == (offending if isinstance(offending, bytes) else offending.der)
        assert verdict.subject == verdict.certificate.subject.text
        assert verdict.path[-1] == verdict.certificate


def test_the_table_above_has_every_reason_that_is_one_certificates_fault() -> None:
    told_elsewhere = {Reason.UNKNOWN_CA, Reason.UNTRUSTED_CA, Reason.NAME_MISMATCH}
    assert {reason for _, reason, _, _ in BROKEN.values()} == set(Reason) - told_elsewhere


def test_extensions_that_are_unknown_and_not_critical_are_passed_over(issuing: Issuing) -> None:
    assert issuing.judge(_with("device", UNKNOWN_PLAIN)(issuing)).ok
    assert issuing.judge(_with("middle", UNKNOWN_PLAIN)(issuing)).ok


def test_a_chain_without_its_root_is_unknown_and_with_it_untrusted(issuing: Issuing) -> None:
    unknown = issuing.judge([issuing.device, issuing.middle], [])
    assert (unknown.reason, unknown.index, unknown.subject) == (Reason.UNKNOWN_CA, 1, "CN=Middle")
    untrusted = issuing.judge([issuing.device, issuing.middle, issuing.root], [])
    assert (untrusted.reason, untrusted.index, untrusted.subject) == (Reason.UNTRUSTED_CA, 2, "CN=Root")
    assert untrusted.path == (issuing.device, issuing.middle, issuing.root)
    alone = issuing.judge([issuing.make("device", issuer=issuing.device.subject, signer="device")], [])
    assert (alone.reason, alone.index) == (Reason.UNTRUSTED_CA, 0)


def test_what_a_verdict_names_is_what_mends_it_when_it_is_trusted(issuing: Issuing) -> None:
    for sent in ([issuing.device], [issuing.device, issuing.middle], [issuing.device, issuing.middle, issuing.root]):
        refused = issuing.judge(sent, [])
        assert refused.suggestion is Suggestion.TRUST_CERTIFICATE
        assert refused.certificate is not None
        assert issuing.judge(sent, [refused.certificate]).ok


def test_a_damaged_root_says_so_itself(issuing: Issuing) -> None:
    verdict = issuing.judge([issuing.device, issuing.middle, issuing.damaged(issuing.root)], [])
    assert (verdict.reason, verdict.index) == (Reason.BAD_SIGNATURE, 2)


@pytest.mark.parametrize(
    ("changes", "reason", "suggestion"),
    [
        ({"not_after": NOW - 1}, Reason.EXPIRED, Suggestion.REPLACE_TRUSTED),
        ({"not_before": NOW + 1}, Reason.NOT_YET_VALID, Suggestion.SET_CLOCK),
        ({"extensions": (UNKNOWN_CRITICAL, extension.basic_constraints(ca=True))}, Reason.UNSUPPORTED_EXTENSION, None),
        ({"extensions": (extension.basic_constraints(ca=False),)}, Reason.PURPOSE, None),
        ({"extensions": (extension.basic_constraints(ca=True, path_length=0),)}, Reason.PURPOSE, None),
    ],
    ids=["expired", "not yet valid", "critical extension", "not a CA", "path length"],
)
def test_a_trusted_ca_obeys_the_rules_too(
    issuing: Issuing, changes: Changes, reason: Reason, suggestion: Suggestion | None
) -> None:
    root = issuing.make("root", **changes)
    unsent = issuing.judge([issuing.device, issuing.middle], [root])
    assert (unsent.reason, unsent.index, unsent.certificate) == (reason, None, root)
    assert unsent.text.startswith(f"{reason.value}: trusted certificate CN=Root ")
    assert unsent.suggestion is (suggestion or Suggestion.REISSUE_CERTIFICATE)
    assert issuing.judge([issuing.device, issuing.middle, root], [root]).index == 2


@pytest.mark.parametrize(("limit", "ok"), [(0, False), (1, True), (2, True)])
def test_path_lengths_count_the_cas_below_and_not_those_that_are_self_issued(
    issuing: Issuing, keys: Keys, limit: int, ok: bool
) -> None:
    root = issuing.make("root", extensions=(extension.basic_constraints(ca=True, path_length=limit),))
    assert issuing.judge([issuing.device, issuing.middle], [root]).ok is ok
    # The middle's new key, certified by its old one under the same name: one step more, but not one CA more.
    issuing.keys = {**issuing.keys, "new": keys[2048]}
    renewed = issuing.make("middle", issuer=issuing.middle.subject, signer="middle", spki=keys[2048].spki())
    device = issuing.make("device", signer="new")
    verdict = issuing.judge([device, renewed, issuing.middle], [root])
    assert verdict.path == (device, renewed, issuing.middle, root)
    assert (verdict.ok, verdict.reason) == (ok, None if ok else Reason.PURPOSE)


@pytest.mark.parametrize("changes", [{"not_after": NOW - 1}, {"extensions": (UNKNOWN_CRITICAL,)}])
def test_a_trusted_peer_obeys_the_rules_too(issuing: Issuing, changes: Changes) -> None:
    device = issuing.make("device", **changes)
    verdict = issuing.judge([device], [device])
    assert (verdict.reason in (Reason.EXPIRED, Reason.UNSUPPORTED_EXTENSION), verdict.index) == (True, 0)


@pytest.mark.parametrize("purpose", Purpose)
def test_usage_must_fit_the_end_of_tls(issuing: Issuing, purpose: Purpose) -> None:
    own, other = (SERVER_AUTH, CLIENT_AUTH) if purpose is Purpose.SERVER else (CLIENT_AUTH, SERVER_AUTH)

    def reason(*extensions: bytes, trusted: bool = False) -> Reason | None:
        device = issuing.make("device", extensions=extensions)
        found: Reason | None = issuing.judge(
            [device, issuing.middle], [device] if trusted else [issuing.root], purpose=purpose
        ).reason
        return found

    assert reason() is None
    assert reason(extension.ext_key_usage((own,))) is None
    assert reason(extension.ext_key_usage((CODE_SIGNING, ANY_PURPOSE))) is None
    assert reason(extension.ext_key_usage((other,))) is Reason.PURPOSE
    assert reason(extension.ext_key_usage((other,)), trusted=True) is Reason.PURPOSE
    assert reason(extension.key_usage("digitalSignature")) is None
    deciphers = None if purpose is Purpose.SERVER else Reason.PURPOSE
    assert reason(extension.key_usage("keyEncipherment")) is deciphers
    assert reason(extension.key_usage("keyAgreement", "keyCertSign")) is Reason.PURPOSE


def test_usage_of_a_ca_for_something_else_does_not_bind_what_is_below(issuing: Issuing) -> None:
    sent = _with("middle", extension.ext_key_usage((CODE_SIGNING,)))(issuing)
    assert issuing.judge(sent).ok


def test_a_wrong_name_is_refused_last_of_all(issuing: Issuing) -> None:
    chain = [issuing.device, issuing.middle]
    verdict = issuing.judge(chain, names="other.example.com")
    assert (verdict.reason, verdict.index, verdict.certificate) == (Reason.NAME_MISMATCH, 0, issuing.device)
    assert verdict.text.endswith(
        "CN=Device is made out to gw.example.com, 192.0.2.1, 2001:db8::1, and other.example.com was asked for"
    )
    assert verdict.suggestion is Suggestion.USE_CERTIFIED_NAME
    assert issuing.judge(chain, names=("other.example.com", "gw.example.com")).ok
    assert issuing.judge(chain, names=()).reason is Reason.NAME_MISMATCH
    assert issuing.judge(chain, [], names="other.example.com").reason is Reason.UNKNOWN_CA


# -- what follows from a reason


def test_every_reason_has_an_alert_and_a_suggestion() -> None:
    assert set(ALERT_OF_REASON) == set(SUGGESTION_OF_REASON) == set(Reason)
    assert set(ALERT_OF_REASON.values()) == {42, 43, 45, 46, 48}


def test_a_verdict_knows_its_alert(issuing: Issuing) -> None:
    assert issuing.judge([issuing.device, issuing.middle], []).alert == 48
    assert issuing.judge([issuing.device, issuing.middle], now_s=NOW + 10 * HOUR).alert == 45
