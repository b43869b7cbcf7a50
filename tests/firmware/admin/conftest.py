"""A device as the pages see it: valid by default, changed by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from firmware.admin import BoxView, CardView, CertificateEntry, CertificateState, LoadView, ServiceView

LEAF = CertificateEntry(
    subject="CN=IP800-06-11-ac",
    issuer="CN=Device CA",
    serial="01AB",
    not_before="2024-01-01T00:00:00Z",
    not_after="2034-01-01T00:00:00Z",
    key_bits=1024,
    signature="sha256WithRSAEncryption",
    version=3,
    sha1="aabbccddeeff00112233445566778899aabbccdd",
    md5="00112233445566778899aabbccddeeff",
    sha256="ab" * 32,
    ca=False,
    valid=True,
    self_signed=False,
    san=("DNS:box.example", "IP:192.0.2.1"),
    der=b"\x30\x03\x02\x01\x01",
)

ROOT = replace(LEAF, subject="CN=Device CA", ca=True, self_signed=True, der=b"\x30\x03\x02\x01\x02", san=())

BOX = BoxView(
    product="IP800",
    netbios_name="IP800-06-11-ac",
    mac="00-90-33-06-11-ac",
    firmware_version="0.1.0",
    uptime_s=3 * 86_400 + 4 * 3_600 + 5 * 60 + 6,
    time_s=1_700_000_000,
    temperature_c=41.6,
    reset_cause="power-on",
    certificate=CertificateState((LEAF, ROOT), "built-in, signed by the manufacturer"),
    load=LoadView(200_000_000, 0.42, 0.137, 0.05, (("hash", 1_500_000), ("rsa-private", 98_500_000)), 7, 52_712),
    card=CardView("mounted", size_bytes=64 << 20, free_bytes=61 << 20, root_ca="CN=My CA"),
    services=(ServiceView("HTTP", 80, True), ServiceView("HTTPS", 443, False, "no certificate")),
)


@pytest.fixture
def box() -> BoxView:
    """A device in good health."""
    return BOX


@pytest.fixture
def make_box() -> Callable[..., BoxView]:
    """``make_box(field=value)``: a device that differs in these fields."""

    def make(**changes: Any) -> BoxView:
        return replace(BOX, **changes)

    return make
