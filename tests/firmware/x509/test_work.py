"""Cost descriptions: kinds and sums, from a table with numbers that tell where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from firmware.x509 import Certificate, PrivateKey
from firmware.x509.builder import CertificateTemplate, issue
from firmware.x509.work import chain_work, parsing_work, search_step_work, signing_work, verification_work


@pytest.fixture
def costs() -> Any:
    return SimpleNamespace(
        certificate=30_000,
        rsa_private=lambda bits: bits * 1_000_000,
        rsa_public=lambda bits: bits * 1_000,
        keygen=lambda bits: bits * 7,
        digest=lambda name, size: size * {"sha256": 65, "sha512": 155}[name],
    )


def test_signing_costs_a_hash_and_a_private_operation(costs: Any) -> None:
    assert signing_work(costs, 1024, "sha256", 700) == [("hash", 45_500), ("rsa-private", 1_024_000_000)]


def test_a_longer_hash_costs_more(costs: Any) -> None:
    cheap, dear = (dict(signing_work(costs, 1024, name, 700)) for name in ("sha256", "sha512"))
    assert cheap["hash"] < dear["hash"]
    assert cheap["rsa-private"] == dear["rsa-private"]


def test_verification_costs_a_public_operation(costs: Any) -> None:
    assert verification_work(costs, 2048, "sha512", 100) == [("hash", 15_500), ("rsa-public", 2_048_000)]


def test_parsing_and_searching_cost_per_piece(costs: Any) -> None:
    assert parsing_work(costs, 3) == [("parse", 90_000)]
    assert search_step_work(costs, 4096) == [("keygen", 28_672)]


def test_a_chain_costs_one_verification_per_link_with_the_issuer_s_key(
    costs: Any, root: Certificate, template: CertificateTemplate, keys: Mapping[int, PrivateKey]
) -> None:
    link = verification_work(costs, 1024, "sha256", len(root.tbs))
    assert chain_work(costs, (root,)) == parsing_work(costs, 1)
    larger = issue(replace(template, spki=keys[2048].spki()), keys[1024])
    assert chain_work(costs, (root, larger))[1:] == verification_work(costs, 2048, "sha256", len(root.tbs))
    assert chain_work(costs, (root, root, root)) == [*parsing_work(costs, 3), *link, *link]
