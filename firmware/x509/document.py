"""The XML that roll-out tools poll: certificates in use, pending requests, and whether a job runs."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from firmware.x509.cabinet import DEVICE, Cabinet
from firmware.x509.job import Job
from firmware.x509.timestamp import iso8601_from_seconds


def info_document(cabinet: Cabinet, job: Job | None) -> str:
    """One ``info`` element: ``servercert/certificate`` per certificate of the chain, ``requests/request``, ``busy``.

    Names and attributes as the vendor's published roll-out tool reads them.
    """
    source = cabinet.in_use()
    lines = ["<info>", " <servercert>"]
    for certificate in cabinet.chain(source) if source else ():
        attributes = {
            "subject_cn": certificate.subject.common_name,
            "issuer_cn": certificate.issuer.common_name,
            "not_before": iso8601_from_seconds(certificate.not_before),
            "not_after": iso8601_from_seconds(certificate.not_after),
        }
        text = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
        lines.append(f"  <certificate {text}/>")
    lines.append(" </servercert>")
    request = cabinet.request(DEVICE)
    if request is not None:
        lines += [" <requests>", f"  <request subject_cn={quoteattr(request.subject.common_name)}/>", " </requests>"]
    if job is not None and job.running:
        lines.append(" <busy/>")
    lines.append("</info>")
    return "\n".join(lines)
