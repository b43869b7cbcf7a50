"""Object identifiers that the firmware knows, and the words it uses for them."""

from __future__ import annotations

__all__ = [
    "ATTRIBUTE_NAMES",
    "AUTHORITY_KEY_IDENTIFIER",
    "BASIC_CONSTRAINTS",
    "CLIENT_AUTH",
    "EXTENSION_NAMES",
    "EXTENSION_REQUESTS",
    "EXT_KEY_USAGE",
    "HASHES",
    "HASH_OF_SIGNATURE",
    "KEY_USAGE",
    "PURPOSE_NAMES",
    "RSA_ENCRYPTION",
    "SERVER_AUTH",
    "SIGNATURE_NAMES",
    "SIGNATURE_OF_HASH",
    "SUBJECT_ALT_NAME",
    "SUBJECT_KEY_IDENTIFIER",
    "SUPPORTED_EXTENSIONS",
]

HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
"""Reference text, Signing algorithms."""

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"

SIGNATURE_OF_HASH = {
    "md5": "1.2.840.113549.1.1.4",
    "sha1": "1.2.840.113549.1.1.5",
    "sha224": "1.2.840.113549.1.1.14",
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
}
"""RFC 8017 A.2.4."""

HASH_OF_SIGNATURE = {oid: name for name, oid in SIGNATURE_OF_HASH.items()} | {
    # OIW sha1WithRSA: old Windows tools write it; same algorithm.
    "1.3.14.3.2.29": "sha1",
}

SIGNATURE_NAMES = {oid: f"{name}WithRSAEncryption" for oid, name in HASH_OF_SIGNATURE.items()}

BASIC_CONSTRAINTS = "2.5.29.19"
KEY_USAGE = "2.5.29.15"
EXT_KEY_USAGE = "2.5.29.37"
SUBJECT_ALT_NAME = "2.5.29.17"
SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"

SUPPORTED_EXTENSIONS = frozenset(
    {
        BASIC_CONSTRAINTS,
        KEY_USAGE,
        EXT_KEY_USAGE,
        SUBJECT_ALT_NAME,
        SUBJECT_KEY_IDENTIFIER,
        AUTHORITY_KEY_IDENTIFIER,
    }
)
"""Reference text, Certificate extensions: any other one that is critical makes validation fail."""

EXTENSION_NAMES = {
    BASIC_CONSTRAINTS: "basicConstraints",
    KEY_USAGE: "keyUsage",
    EXT_KEY_USAGE: "extKeyUsage",
    SUBJECT_ALT_NAME: "subjectAltName",
    SUBJECT_KEY_IDENTIFIER: "subjectKeyIdentifier",
    AUTHORITY_KEY_IDENTIFIER: "authorityKeyIdentifier",
    "2.5.29.30": "nameConstraints",
    "2.5.29.31": "cRLDistributionPoints",
    "2.5.29.32": "certificatePolicies",
    "2.5.29.33": "policyMappings",
    "2.5.29.36": "policyConstraints",
    "2.5.29.54": "inhibitAnyPolicy",
    "1.3.6.1.5.5.7.1.1": "authorityInfoAccess",
    "2.16.840.1.113730.1.1": "netscapeCertType",
    "2.16.840.1.113730.1.13": "netscapeComment",
}

EXTENSION_REQUESTS = frozenset(
    {
        "1.2.840.113549.1.9.14",  # extensionRequest, RFC 2985 5.4.2
        "1.3.6.1.4.1.311.2.1.14",  # the same from Windows
    }
)

SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"

PURPOSE_NAMES = {
    SERVER_AUTH: "serverAuth",
    CLIENT_AUTH: "clientAuth",
    "1.3.6.1.5.5.7.3.3": "codeSigning",
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.8": "timeStamping",
    "1.3.6.1.5.5.7.3.9": "OCSPSigning",
    "1.3.6.1.5.5.7.3.20": "sipDomain",
    "2.5.29.37.0": "anyExtendedKeyUsage",
}

ATTRIBUTE_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "sn",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.17": "postalCode",
    "2.5.4.42": "givenName",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
"""Short names of RFC 4514 section 3 and RFC 4519, and the one for mail addresses that everybody reads."""
