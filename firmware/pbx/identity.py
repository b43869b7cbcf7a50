"""The name in the certificate of a TLS peer: which device it is."""

from __future__ import annotations

from firmware.tls.judgement import Judgement
from firmware.x509.certificate import certificate_from_der

__all__ = ["common_name_from_peer"]


def common_name_from_peer(judgement: Judgement | None, chain_der: tuple[bytes, ...]) -> str | None:
    """The common name of a certificate that was judged and found good; None where there is none, or no such name."""
    if judgement is None or not judgement.ok or not chain_der:
        return None
    return certificate_from_der(chain_der[0]).subject.common_name or None
