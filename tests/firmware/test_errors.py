"""The error tree: one root, and each error says whose fault it is."""

from __future__ import annotations

import pytest

from firmware.errors import CertificateError, CommandError, ConfigError, FirmwareError, RequestError


@pytest.mark.parametrize(
    "error", [CommandError("text"), ConfigError("years", "text"), CertificateError("text"), RequestError(413, "text")]
)
def test_every_error_is_a_firmware_error_and_prints_its_text(error: FirmwareError) -> None:
    assert isinstance(error, FirmwareError)
    assert not isinstance(error, OSError)
    assert str(error) == "text"


def test_errors_carry_what_their_handler_needs() -> None:
    assert ConfigError("years", "text").field == "years"
    assert RequestError(413, "text").status == 413
    assert CertificateError("text").verdict is None
    assert CertificateError("text", "expired").verdict == "expired"
