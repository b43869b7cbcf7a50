"""The validator: a chain that is valid by default, broken by name; each refusal with its reason, place and clause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from firmware.x509 import (
    Certificate,
    CertificateOrder,
    DistinguishedName,
    PrivateKey,
    PublicKey,
    certificate_from_der,
    der,
    extension,
)
from firmware.x509 import name as name_module
from firmware.x509.builder import CertificateTemplate, device_extensions, issue, root_extensions, signature_algorithm
from firmware.x509.oid import CLIENT_AUTH, HASHES, SERVER_AUTH, SIGNATURE_OF_HASH
from firmware.x509.trustindex import TrustIndex
from firmware.x509.validation import MAX_CERTIFICATES, MAX_CHAIN_BYTES, MAX_READ_BYTES, Purpose, judge, validate
from firmware.x509.verdict import ALERT_OF_REASON, SUGGESTION_OF_REASON, Reason, Suggestion, Trust, Verdict

CODE_SIGNING, ANY_PURPOSE = "1.3.6.1.5.5.7.3.3", "2.5.29.37.0"
UNKNOWN_CRITICAL = der.sequence(der.object_identifier("1.2.3.4"), der.boolean(True), der.octet_string(b"\x05\x00"))
UNKNOWN_PLAIN = der.sequence(der.object_identifier("1.2.3.4"), der.octet_string(b"\x05\x00"))

Keys = Mapping[int, PrivateKey]
Changes = Mapping[str, Any]

COSTS: Any = SimpleNamespace(
    certificate=30_000,
    digest=lambda name, size_bytes: size_bytes * {"sha512": 155}.get(name, 65),
    rsa_public=lambda bits: bits * 1_000,
)


class Issuing:
    """Root, middle and device, each with a key of its own. Valid by default; a test names what differs."""

    def __init__(self, template: CertificateTemplate, keys: Mapping[str, PrivateKey], order: CertificateOrder) -> None:
        self.keys = keys
        self.now_s = template.not_before + 1000
        names = {who: DistinguishedName(common_name=who.title()).name() for who in keys}
        middle, root = keys["middle"].public_key, keys["root"].public_key
        self.templates = {
            "root": replace(template, subject=names["root"], issuer=names["root"]),
            "middle": replace(
                template,
                subject=names["middle"],
                issuer=names["root"],
                spki=middle.spki(),
                serial=2,
                extensions=(*root_extensions(middle), extension.authority_key_identifier(root.key_id())),
            ),
            "device": replace(
                template,
                subject=names["device"],
                issuer=names["middle"],
                spki=keys["device"].spki(),
                serial=3,
                extensions=device_extensions(order, keys["device"].public_key, middle.key_id()),
            ),
        }
        self.signers = {"root": "root", "middle": "root", "device": "middle"}
        self.root, self.middle, self.device = (self.make(who) for who in ("root", "middle", "device"))

    def make(self, who: str, *, signer: str | None = None, **changes: Any) -> Certificate:
        """That certificate with some fields of its template replaced."""
        return issue(replace(self.templates[who], **changes), self.keys[signer or self.signers[who]])

    def extensions_without(self, who: str, *oids: str) -> tuple[bytes, ...]:
        """The encoded extensions that it has by default, save some."""
        unwanted = [der.object_identifier(oid) for oid in oids]
        return tuple(e for e in self.templates[who].extensions if not any(oid in e for oid in unwanted))

    def judge(
        self,
        sent: Sequence[Certificate | bytes],
        trusted: Iterable[Certificate] | None = None,
        *,
        now_s: int | None = None,
        purpose: Purpose = Purpose.SERVER,
        names: str | Sequence[str] | None = None,
    ) -> Verdict:
        index = TrustIndex([self.root] if trusted is None else trusted)
        return validate(sent, index, COSTS, now_s=self.now_s if now_s is None else now_s, purpose=purpose, names=names)


@pytest.fixture
def issuing(
    template: CertificateTemplate, keys: Keys, other_key: PrivateKey, third_key: PrivateKey, order: CertificateOrder
) -> Issuing:
    return Issuing(template, {"root": keys[1024], "middle": third_key, "device": other_key}, order)


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the key length with every signature that is really verified."""
    done: list[int] = []
    real = PublicKey.verify

    def counted(self: PublicKey, *arguments: Any) -> bool:
        done.append(self.bits)
        return real(self, *arguments)

    monkeypatch.setattr(PublicKey, "verify", counted)
    return done


def damaged(certificate: Certificate) -> Certificate:
    """With another last byte of its signature."""
    return certificate_from_der(certificate.der[:-1] + bytes((certificate.der[-1] ^ 1,)))


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
        lambda i: (damaged(i.device), i.middle),
        *(Reason.BAD_SIGNATURE, 0, "RFC 5280 6.1.3 (a) (1)"),
    ),
    "middle damaged": (
        lambda i: (i.device, damaged(i.middle)),
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
    verdict = issuing.judge([issuing.device, issuing.middle, damaged(issuing.root)], [])
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
        return issuing.judge([device, issuing.middle], [device] if trusted else [issuing.root], purpose=purpose).reason

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


# -- the search


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


# -- limits


def test_a_message_of_nothing_is_refused(issuing: Issuing) -> None:
    verdict = issuing.judge([])
    assert (verdict.reason, verdict.index, verdict.text) == (
        Reason.MALFORMED,
        None,
        "malformed: the peer sent no certificate",
    )


def test_a_chain_of_256_kib_is_read_and_one_byte_more_is_not(issuing: Issuing) -> None:
    filler = [bytes(16_000)] * 16
    size = len(issuing.device.der) + sum(map(len, filler))
    fits = [issuing.device.der, *filler, bytes(MAX_CHAIN_BYTES - size)]
    assert issuing.judge(fits, [issuing.device]).ok
    verdict = issuing.judge([*fits[:-1], fits[-1] + b"\0"], [issuing.device])
    assert (verdict.reason, verdict.index, verdict.charges) == (Reason.LIMITS, 17, ())


def test_ten_certificates_of_a_message_are_used(issuing: Issuing) -> None:
    names = [DistinguishedName(common_name=str(number)).name() for number in range(8)]
    strangers = [issuing.make("root", subject=name) for name in names]
    assert issuing.judge([issuing.device, *strangers, issuing.middle]).ok
    verdict = issuing.judge([issuing.device, *strangers, strangers[0], issuing.middle])
    assert (verdict.reason, verdict.index) == (Reason.LIMITS, MAX_CERTIFICATES)
    # What nobody needs may be there.
    assert issuing.judge([issuing.device, issuing.middle, *strangers * 2]).ok


def test_32_kib_of_a_message_are_read(issuing: Issuing) -> None:
    size = len(issuing.device.der) + len(issuing.middle.der)
    filler = [bytes(16_000), bytes(MAX_READ_BYTES - size - 16_000)]
    assert issuing.judge([issuing.device, *filler, issuing.middle]).ok
    verdict = issuing.judge([issuing.device, *filler, b"\0", issuing.middle])
    assert verdict.reason is Reason.MALFORMED  # the first one that could not be used
    assert issuing.judge([issuing.device.der, bytes(16_000), bytes(16_000), issuing.middle]).reason is Reason.MALFORMED


def _ladder(issuing: Issuing, rungs: int) -> list[Certificate]:
    """So many CA certificates above a device, all of the root's key, the last one issued by the root."""
    names = [DistinguishedName(common_name=f"Rung {n}").name() for n in range(rungs)] + [issuing.root.subject]

    def rung(number: int) -> Certificate:
        return issuing.make("root", subject=names[number], issuer=names[number + 1], serial=number + 5)

    device = issuing.make("device", issuer=names[0], signer="root", extensions=())
    return [device, *map(rung, range(rungs))]


def test_a_path_has_eight_certificates_at_most(issuing: Issuing) -> None:
    assert len(issuing.judge(_ladder(issuing, 6)).path) == 8
    verdict = issuing.judge(_ladder(issuing, 7))
    assert (verdict.reason, verdict.index, verdict.clause) == (
        Reason.LIMITS,
        7,
        "limit of 8 certificates in a path",
    )


# -- charges


def test_charges_come_in_order_and_each_before_its_work(issuing: Issuing, verifications: list[int]) -> None:
    device, middle = issuing.device, issuing.middle
    sent = [device.der, middle.der]
    steps = judge(sent, TrustIndex([issuing.root]), COSTS, now_s=NOW, purpose=Purpose.CLIENT)
    seen = []
    while True:
        try:
            charge = next(steps)
        except StopIteration as end:
            verdict: Verdict = end.value
            break
        seen.append((charge, len(verifications)))
    assert seen == [
        (("parse", 30_000), 0),
        (("parse", 30_000), 0),
        (("hash", len(device.tbs) * 65), 0),
        (("rsa-public", 1_024_000), 0),
        (("hash", len(middle.tbs) * 65), 1),
        (("rsa-public", 1_024_000), 1),
    ]
    assert verdict.charges == tuple(charge for charge, _ in seen)
    assert verifications == [1024, 1024]


def test_a_peer_that_is_refused_for_itself_costs_no_signature(issuing: Issuing, verifications: list[int]) -> None:
    verdict = issuing.judge([issuing.device.der, issuing.middle.der], now_s=0)
    assert (verdict.reason, verdict.suggestion) == (Reason.NOT_YET_VALID, Suggestion.SET_CLOCK)
    assert verdict.charges == (("parse", 30_000),)
    assert verifications == []


def test_a_thousand_trusted_certificates_cost_no_comparison_more(
    issuing: Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = issuing.root.der
    strangers = [certificate_from_der(pattern.replace(b"Root", b"%04d" % n)) for n in range(1_000)]
    few, many = TrustIndex([issuing.root]), TrustIndex([*strangers, issuing.root])
    assert (len(few), len(many)) == (1, 1_001)
    compared: list[str] = []

    def counted(method: str) -> Callable[..., Any]:
        real = getattr(name_module.Name, method)

        def call(*them: Any) -> Any:
            compared.append(method)
            return real(*them)

        return call

    for method in ("__eq__", "__hash__"):
        monkeypatch.setattr(name_module.Name, method, counted(method))
    work = []
    for trusted in (few, many):
        compared.clear()
        verdict = validate([issuing.device.der, issuing.middle.der], trusted, COSTS, now_s=NOW, purpose=Purpose.SERVER)
        work.append((verdict, list(compared)))
    assert work[0] == work[1]
    assert work[0][0].ok


# -- what follows from a reason


def test_every_reason_has_an_alert_and_a_suggestion() -> None:
    assert set(ALERT_OF_REASON) == set(SUGGESTION_OF_REASON) == set(Reason)
    assert set(ALERT_OF_REASON.values()) == {42, 43, 45, 46, 48}


def test_a_verdict_knows_its_alert(issuing: Issuing) -> None:
    assert issuing.judge([issuing.device, issuing.middle], []).alert == 48
    assert issuing.judge([issuing.device, issuing.middle], now_s=NOW + 10 * HOUR).alert == 45
