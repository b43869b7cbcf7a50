"""The validator on NIST's Public Key Interoperability Test Suite; pyca's parser says which extensions are critical."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509

TABLE = Path(__file__).parents[2] / "bench" / "pkits_table.py"
KNOWN = {"2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.35", "2.5.29.37"}


@pytest.fixture(scope="module")
def suite() -> Any:
    """The command that prints the table, as a module."""
    specification = importlib.util.spec_from_file_location("pkits_table", TABLE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def judged(suite: ModuleType) -> Any:
    return suite.judged_suite()


def test_the_suite_is_complete(suite: Any, judged: Any) -> None:
    assert Counter(case.section for case, _ in judged.values()) == {
        "4.1": 6,
        "4.2": 8,
        "4.3": 11,
        "4.4": 21,
        "4.5": 8,
        "4.6": 17,
        "4.7": 5,
        "4.8": 20,
        "4.9": 8,
        "4.10": 14,
        "4.11": 11,
        "4.12": 10,
        "4.13": 38,
        "4.14": 35,
        "4.15": 10,
        "4.16": 2,
    }


def test_every_case_in_our_scope_is_judged_as_nist_does(suite: Any, judged: Any) -> None:
    in_scope = {name: pair for name, pair in judged.items() if pair[0].sort is suite.Sort.AS_NIST}
    assert len(in_scope) == 47
    assert Counter(case.valid for case, _ in in_scope.values()) == {True: 25, False: 22}
    assert [str(verdict) for case, verdict in in_scope.values() if verdict.ok != case.valid] == []


def test_what_we_do_not_support_is_refused_for_just_that(suite: Any, judged: Any) -> None:
    by_design = [pair for pair in judged.values() if pair[0].sort is suite.Sort.BY_DESIGN]
    assert Counter(case.section for case, _ in by_design) == {
        "4.1": 3,
        "4.9": 8,
        "4.10": 14,
        "4.11": 11,
        "4.12": 10,
        "4.13": 38,
    }
    for case, verdict in by_design:
        expected = suite.Reason.UNSUPPORTED if case.section == "4.1" else suite.Reason.UNSUPPORTED_EXTENSION
        assert (case.name, verdict.reason) == (case.name, expected)


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_another_parser_sees_the_same_critical_extensions(suite: Any, judged: Any) -> None:
    # DSA keys that inherit their parameters are beyond that parser.
    for case in (case for case, _ in judged.values() if "DSA" not in case.name):
        foreign = any(_has_unknown_critical(certificate.der) for certificate in case.chain)
        told = case.sort is suite.Sort.BY_DESIGN
        assert (case.name, foreign) == (case.name, told or case.name.startswith("InvalidUnknownCritical"))


def _has_unknown_critical(encoded: bytes) -> bool:
    extensions = x509.load_der_x509_certificate(encoded).extensions
    return any(extension.critical and extension.oid.dotted_string not in KNOWN for extension in extensions)


def test_where_revocation_or_policies_decide_the_path_alone_is_judged(suite: Any, judged: Any) -> None:
    path_only = [pair for pair in judged.values() if pair[0].sort is suite.Sort.PATH_ONLY]
    assert len(path_only) == 93
    assert [case.name for case, verdict in path_only if not verdict.ok] == ["InvalidBasicSelfIssuedCRLSigningKeyTest8"]


def test_without_the_trust_anchor_nothing_is_accepted(suite: Any, judged: Any) -> None:
    nobody = suite.TrustIndex()
    assert not any(case.judge(nobody).ok for case, _ in judged.values())


def test_the_table_tells_a_wrong_result(suite: Any, judged: Any) -> None:
    assert "| all |  | 224 | 47 of 47 | 84 of 84 | 92, 1 |" in suite.table(judged)
    case, verdict = judged["ValidSignaturesTest1"]
    spoilt = {**judged, "ValidSignaturesTest1": (case, judged["InvalidCASignatureTest2"][1])}
    assert "| 4.1 | signatures | 6 | 2 of 3 | 3 of 3 |  |" in suite.table(spoilt)
    assert verdict.ok
