"""When a certificate counts as expiring, to the second."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firmware.expiry.task import LOGGED, expiry_lines
from firmware.x509 import Certificate, PrivateKey
from firmware.x509.builder import CertificateTemplate, issue
from firmware.x509.expiry import RENEW_HINT, Expiry, expiries, expiry_of

DAY = 86_400


@pytest.mark.parametrize(
    ("left_s", "days", "mark"),
    [
        (30 * DAY, 30, None),
        (30 * DAY - 1, 30, "expires in 29 days"),
        (DAY, 30, "expires in 1 day"),
        (0, 30, "expires in 0 days"),
        (-1, 30, "expired"),
        (-1, 0, "expired"),
        (0, 0, None),
        (5 * DAY, 0, None),
    ],
)
def test_the_mark_begins_with_the_days_that_count_and_ends_with_the_end(
    root: Certificate, left_s: int, days: int, mark: str | None
) -> None:
    now_s = root.not_after - left_s
    expiry = expiry_of(replace(root, not_before=0), now_s, days)
    assert (expiry.mark if expiry else None) == mark


def test_what_is_not_valid_yet_does_not_expire(root: Certificate) -> None:
    assert expiry_of(root, root.not_before - 1, 3_650) is None


def test_the_most_urgent_comes_first(template: CertificateTemplate, keys: dict[int, PrivateKey], now_s: int) -> None:
    ends = {"late": 900, "gone": -5, "soon": 10, "fine": 40 * DAY}
    placed = [(place, issue(replace(template, not_after=now_s + end), keys[1024])) for place, end in ends.items()]
    found = expiries(placed, now_s, 30)
    assert [(expiry.place, expiry.state) for expiry in found] == [
        ("gone", "expired"),
        ("soon", "expiring"),
        ("late", "expiring"),
    ]


def test_a_long_trust_list_does_not_flood_the_log(root: Certificate) -> None:
    found = [Expiry("trust list", root, -1)] * 500
    lines = expiry_lines(found, is_default=False)
    assert len(lines) == LOGGED + 1
    assert lines[-1] == "480 more certificates expire or have expired: x509 expiry-list"


def test_an_expired_default_certificate_is_logged_with_what_mends_it(root: Certificate) -> None:
    assert expiry_lines([Expiry("device", root, -1)], is_default=True)[-1] == RENEW_HINT
    assert RENEW_HINT not in expiry_lines([Expiry("device", root, 1)], is_default=True)
    assert RENEW_HINT not in expiry_lines([Expiry("device", root, -1)], is_default=False)
