"""Which protocol versions and cipher suites a device offers.

``v11`` is how devices of the reference text's firmware generation behave: TLS 1.0 to 1.2, and RSA key exchange before
ECDHE. That order is what makes the reference text's figures come true ("Certificate Key Length and CPU Usage": six
times the CPU power per doubling, 36 times for 4096 bits): with RSA key exchange nearly all of a handshake is one
private-key operation, while an ephemeral exchange adds the same amount whatever the key's length.

No profile has anonymous or unencrypted suites: the cipher strings list what is wanted, and never start from ``ALL``.
Security level 0, because 1024-bit keys and SHA-1 signatures are what such devices have.

SSL 3.0, RC4 and triple DES are not in the OpenSSL that is used: a peer that insists on them is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware.tls.errors import TlsError

__all__ = ["DEFAULT_PROFILE", "PROFILES", "Profile", "profile_from_name"]

TLS_1_0 = 0x0301
TLS_1_2 = 0x0303
TLS_1_3 = 0x0304
"""Protocol versions as on the wire, RFC 8446 4.2.1."""


@dataclass(frozen=True)
class Profile:
    """A named choice of versions, suites and groups."""

    name: str
    min_version: int
    max_version: int
    ciphers: str
    """OpenSSL cipher string for TLS 1.2 and earlier."""
    groups: str
    """Groups for ephemeral key exchange, preferred first."""
    ciphersuites: str = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"
    """Suites of TLS 1.3, where the profile has it."""


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "v11",
            TLS_1_0,
            TLS_1_2,
            # AES128 first: what the CPU is quickest at.
            "kRSA+AES128:kRSA+AES:ECDHE+aRSA+AES:!aNULL:!eNULL:!CCM:!CCM8:@SECLEVEL=0",
            "P-256:X25519",
        ),
        Profile(
            "modern",
            TLS_1_2,
            TLS_1_3,
            "ECDHE+aRSA+AESGCM+AES128:ECDHE+aRSA+AESGCM:ECDHE+aRSA+AES128:ECDHE+aRSA+AES:!aNULL:!eNULL:!CCM:!CCM8:@SECLEVEL=0",
            "X25519:P-256",
        ),
        Profile(
            "legacy",
            TLS_1_0,
            TLS_1_2,
            "kRSA+AES128:kRSA+AES:kRSA+SEED:kRSA+IDEA:ECDHE+aRSA+AES:!aNULL:!eNULL:!CCM:!CCM8:@SECLEVEL=0",
            "P-256:X25519",
        ),
    )
}

DEFAULT_PROFILE = PROFILES["v11"]


def profile_from_name(name: str) -> Profile:
    """The profile called ``name``. TlsError when there is none."""
    profile = PROFILES.get(name)
    if profile is None:
        raise TlsError(f"no TLS profile {name}, there are {', '.join(PROFILES)}")
    return profile
