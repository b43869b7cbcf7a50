"""The validator's limits, and what it charges for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from firmware.x509 import (
    Certificate,
    DistinguishedName,
    certificate_from_der,
)
from firmware.x509 import name as name_module
from firmware.x509.trustindex import TrustIndex
from firmware.x509.validation import MAX_CERTIFICATES, MAX_CHAIN_BYTES, MAX_READ_BYTES, Purpose, validate
from firmware.x509.verdict import Reason, Suggestion

NOW = 1_800_000_000
Issuing = Any
"""Root, middle and device, valid by default: the fixture of that name."""


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
        made: Certificate = issuing.make("root", subject=names[number], issuer=names[number + 1], serial=number + 5)
        return made

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


def test_charges_come_in_the_order_of_the_work(issuing: Issuing, verifications: list[int]) -> None:
    device, middle = issuing.device, issuing.middle
    sent = [device.der, middle.der]
    verdict = validate(sent, TrustIndex([issuing.root]), issuing.costs, now_s=NOW, purpose=Purpose.CLIENT)
    assert verdict.charges == (
        ("parse", 30_000),
        ("parse", 30_000),
        ("hash", len(device.tbs) * 65),
        ("rsa-public", 1_024_000),
        ("hash", len(middle.tbs) * 65),
        ("rsa-public", 1_024_000),
    )
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
        verdict = validate(
            [issuing.device.der, issuing.middle.der], trusted, issuing.costs, now_s=NOW, purpose=Purpose.SERVER
        )
        work.append((verdict, list(compared)))
    assert work[0] == work[1]
    assert work[0][0].ok
