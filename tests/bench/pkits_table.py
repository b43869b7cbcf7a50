"""The NIST Public Key Interoperability Test Suite, judged by our validator: ``python tests/bench/pkits_table.py``.

224 signed mails, each with exactly the certificates of one path; they come with the package ``cryptography_vectors``.
The certificates are sliced out of the mails as they are: re-encoding one would break its signature. Three sorts:

- *as NIST*: the device must come to NIST's own result.
- *by design*: certificates that the device refuses although some are valid, because it does not do what they ask for:
  DSA, and every critical extension outside its six (name constraints, policy mappings, policy constraints, inhibiting
  any policy). Each must be refused for just that.
- *path only*: what decides in NIST's suite is a revocation list, a key to sign such lists, or a set of wanted policies,
  none of which the device knows, on purpose. Its own result is told.
"""

from __future__ import annotations

import email
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cryptography_vectors

from firmware.x509 import Certificate, certificate_from_der
from firmware.x509.der import INTEGER, OBJECT_IDENTIFIER, SEQUENCE, SET, Reader, integer_from_element
from firmware.x509.trustindex import TrustIndex
from firmware.x509.validation import Purpose, validate
from firmware.x509.verdict import Reason, Verdict

FOLDER = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"

NOW = 1_600_000_000
"""2020-09-13: the suite's certificates are valid from 2010 to 2030."""

SECTIONS = (
    ("4.15", "delta CRLs", r"deltaCRL"),
    ("4.14", "distribution points", r"distributionPoint|DistributionPoint|onlyContains|onlySome|indirectCRL|cRLIssuer"),
    ("4.13", "name constraints", r"nameConstraints"),
    ("4.12", "inhibit any policy", r"inhibitAnyPolicy"),
    ("4.11", "inhibit policy mapping", r"inhibitPolicyMapping"),
    ("4.10", "policy mappings", r"Mapping"),
    ("4.9", "require explicit policy", r"[rR]equireExplicitPolicy"),
    ("4.8", "certificate policies", r"Polic|Qualifier"),
    ("4.7", "key usage", r"keyUsage"),
    ("4.6", "basic constraints", r"basicConstraints|cAFalse|pathLenConstraint"),
    ("4.5", "self-issued certificates", r"BasicSelfIssued"),
    ("4.16", "private extensions", r"CertificateExtension"),
    ("4.4", "revocation", r"CRL|Revoked|SerialNumber"),
    ("4.3", "names", r"NameChaining|RFC3280|Rollover|UTF8String"),
    ("4.2", "validity periods", r"notBeforeDate|notAfterDate"),
    ("4.1", "signatures", r"Signature|DSA"),
)
"""Section, its subject, and what the names of its tests hold; the first that fits counts."""

JUDGED_AS_NIST = {"4.1", "4.2", "4.3", "4.6", "4.16"}


class Sort(Enum):
    """What the device's result is measured by."""

    AS_NIST = "as NIST"
    BY_DESIGN = "by design"
    PATH_ONLY = "path only"


@dataclass(frozen=True)
class Case:
    """One test of the suite."""

    name: str
    """As NIST calls it, without blanks: ``InvalidCASignatureTest2``."""
    section: str
    sort: Sort
    chain: tuple[Certificate, ...]
    """The signer's own first."""

    @property
    def valid(self) -> bool:
        """NIST's result; of no meaning for the few names that have none."""
        return self.name.startswith("Valid")

    def judge(self, trusted: TrustIndex) -> Verdict:
        """Our result, from the bytes."""
        sent = [certificate.der for certificate in self.chain]
        return validate(sent, trusted, FREE, now_s=NOW, purpose=Purpose.CLIENT)

    def is_right(self, verdict: Verdict) -> bool:
        """Whether our result is what it should be; always, where only the path is told."""
        if self.sort is Sort.AS_NIST:
            return verdict.ok == self.valid
        if self.sort is Sort.BY_DESIGN:
            return verdict.reason is (Reason.UNSUPPORTED if self.section == "4.1" else Reason.UNSUPPORTED_EXTENSION)
        return True


FREE: Any = SimpleNamespace(certificate=0, digest=lambda *_: 0, rsa_public=lambda _: 0)
"""A CPU that works for nothing."""


def trust_anchor() -> TrustIndex:
    """The one trusted certificate of the whole suite."""
    return TrustIndex([(FOLDER / "certs" / "TrustAnchorRootCertificate.crt").read_bytes()])


def cases() -> Iterator[Case]:
    """All 224, by file name."""
    for path in sorted((FOLDER / "smime").glob("*.eml")):
        name = path.stem.removeprefix("Signed")
        section = next(number for number, _, pattern in SECTIONS if re.search(pattern, name))
        chain = chain_from_mail(path.read_bytes())
        yield Case(name, section, sort_of(name, section, chain), chain)


def sort_of(name: str, section: str, chain: tuple[Certificate, ...]) -> Sort:
    """What decides about a test."""
    if any(certificate.values.unsupported_critical for certificate in chain) and section != "4.16":
        return Sort.BY_DESIGN
    if "DSA" in name:
        return Sort.BY_DESIGN
    if section == "4.5":
        # The others are about old keys that signed revocation lists.
        return Sort.AS_NIST if re.fullmatch(r"Valid\w+(New|Old)With(New|Old)Test\d", name) else Sort.PATH_ONLY
    if section == "4.7":
        return Sort.PATH_ONLY if "cRLSign" in name else Sort.AS_NIST
    return Sort.AS_NIST if section in JUDGED_AS_NIST else Sort.PATH_ONLY


def chain_from_mail(mail: bytes) -> tuple[Certificate, ...]:
    """The certificates of an S/MIME signature (RFC 5652 5.1), the signer's first, in no order behind it."""
    part = next(p for p in email.message_from_bytes(mail).walk() if p.get_filename() == "smime.p7s")
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    info = Reader(content, "signed data").inside()
    info.take(OBJECT_IDENTIFIER)
    data = info.inside(0xA0).inside()
    data.take(INTEGER)
    data.take(SET)
    data.take(SEQUENCE)
    certificates, bag = [], data.inside(0xA0)
    while bag.more:
        certificates.append(certificate_from_der(bag.take(SEQUENCE).raw))
    data.take_if(0xA1)  # its revocation lists
    signer = data.inside(SET).inside()
    signer.take(INTEGER)
    identifier = signer.inside()
    issuer, serial = identifier.take(SEQUENCE).raw, integer_from_element(identifier.take(INTEGER))
    own = next(c for c in certificates if c.issuer.raw == issuer and c.serial == serial)
    return own, *(c for c in certificates if c is not own)


def table(judged: Mapping[str, tuple[Case, Verdict]]) -> str:
    """The suite by sections, in GitHub's table format: right of all, for each sort."""
    lines = [
        "| section | about | tests | judged as NIST | refused by design | path only: accepted, refused |",
        "|---|---|---|---|---|---|",
    ]
    for number, about, _ in sorted(SECTIONS, key=lambda section: float(section[0].split(".")[1])):
        lines.append(_row(number, about, [pair for pair in judged.values() if pair[0].section == number]))
    lines.append(_row("all", "", list(judged.values())))
    return "\n".join(lines)


def _row(number: str, about: str, pairs: list[tuple[Case, Verdict]]) -> str:
    cells = []
    for sort in (Sort.AS_NIST, Sort.BY_DESIGN):
        right = [case.is_right(verdict) for case, verdict in pairs if case.sort is sort]
        cells.append(f"{sum(right)} of {len(right)}" if right else "")
    accepted = [verdict.ok for case, verdict in pairs if case.sort is Sort.PATH_ONLY]
    cells.append(f"{sum(accepted)}, {len(accepted) - sum(accepted)}" if accepted else "")
    return f"| {number} | {about} | {len(pairs)} | {' | '.join(cells)} |"


def judged_suite() -> dict[str, tuple[Case, Verdict]]:
    """Every test with our verdict."""
    trusted = trust_anchor()
    return {case.name: (case, case.judge(trusted)) for case in cases()}


if __name__ == "__main__":
    suite = judged_suite()
    print(table(suite))
    wrong = [
        f"{case.section} {name}: {verdict}" for name, (case, verdict) in suite.items() if not case.is_right(verdict)
    ]
    print("\n" + ("\n".join(wrong) if wrong else "every result that can be judged is as it should be"))
    raise SystemExit(1 if wrong else 0)
