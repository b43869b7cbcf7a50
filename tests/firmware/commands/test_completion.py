"""What Tab offers."""

from __future__ import annotations

import pytest

from firmware.commands import Registry, complete


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("", ("card", "mod", "reset", "tls", "x509")),
        ("x5", ("x509",)),
        ("X5", ("X509",)),
        ("re", ("reset",)),
        ("mod", ("mod",)),
        ("mod ", ("cmd",)),
        ("mod cmd X", ("X509",)),
        ("mod cmd X509 tr", ("trust-list", "trust-remove")),
        ("x509 trust-", ("trust-list", "trust-remove")),
        ("x509 servercert-create /s", ("/san-dns",)),
        ("x509 servercert-create /KEY ", ("1024-bit", "2048-bit", "4096-bit", "reuse")),
        ("x509 servercert-create /type si", ("Signing%20request",)),
        ("x509 servercert-create /type Self-signed /t", ("/target",)),
        ("x509 servercert-create /san-dns a /sa", ("/san-dns",)),
        ("x509 servercert-create /dn-cn ", ()),
        ("x509 trust-list ", ("/json",)),
        ("x509 trust-list /json ", ()),
        ("x509 servercert-create /re", ()),
        ("nothing ", ()),
        ("x509 nothing ", ()),
    ],
)
def test_the_registry_knows_what_may_follow(registry: Registry, text: str, candidates: tuple[str, ...]) -> None:
    assert complete(registry, text).candidates == candidates


def test_the_common_part_is_what_all_candidates_begin_with(registry: Registry) -> None:
    assert complete(registry, "x509 t").common == "trust-"
    assert complete(registry, "x509 q").common == "q"
