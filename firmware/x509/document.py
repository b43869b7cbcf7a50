"""The XML that roll-out tools poll: certificates in use, pending requests, and whether something is being done."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from firmware.x509.cabinet import APPLICATION, DEVICE, Cabinet
from firmware.x509.certificate import Certificate
from firmware.x509.job import Job
from firmware.x509.request import Request
from firmware.x509.timestamp import iso8601_from_seconds


def info_document(cabinet: Cabinet, job: Job | None) -> str:
    """One ``info`` element, with names and attributes as the vendor's published roll-out tool reads them.

    ``servercert/certificate`` for each certificate of the device's chain, ``requests/request`` while a signing request
    is pending, ``busy`` while a key is made or an answer waits to be taken up, ``request-error`` after an answer could
    not be taken up. Application certificates, of which such tools know nothing, stand apart from these, below
    ``applications``.
    """
    source = cabinet.in_use()
    lines = ["<info>", " <servercert>"]
    lines += [f"  {_certificate(certificate)}" for certificate in (cabinet.chain(source) if source else ())]
    lines.append(" </servercert>")
    lines += _requests(cabinet.request(DEVICE), " ")
    lines += _applications(cabinet)
    error = cabinet.request_error
    if (job is not None and job.running) or (cabinet.responses() and not error):
        lines.append(" <busy/>")
    if error:
        lines.append(f" <request-error>{_text(error)}</request-error>")
    lines.append("</info>")
    return "\n".join(lines)


def _certificate(certificate: Certificate) -> str:
    attributes = {
        "subject_cn": certificate.subject.common_name,
        "issuer_cn": certificate.issuer.common_name,
        "not_before": iso8601_from_seconds(certificate.not_before),
        "not_after": iso8601_from_seconds(certificate.not_after),
    }
    text = " ".join(f"{name}={quoteattr(_character_data(value))}" for name, value in attributes.items())
    return f"<certificate {text}/>"


def _requests(request: Request | None, indent: str) -> Iterable[str]:
    if request is None:
        return ()
    name = quoteattr(_character_data(request.subject.common_name))
    return (f"{indent}<requests>", f"{indent} <request subject_cn={name}/>", f"{indent}</requests>")


def _applications(cabinet: Cabinet) -> Iterable[str]:
    domains = cabinet.applications()
    if not domains:
        return
    yield " <applications>"
    for domain in domains:
        yield f"  <application domain={quoteattr(domain)}>"
        for certificate in cabinet.chain(APPLICATION + domain):
            yield f"   {_certificate(certificate)}"
        yield from _requests(cabinet.request(APPLICATION + domain), "   ")
        yield "  </application>"
    yield " </applications>"


def _text(value: str) -> str:
    return escape(_character_data(value))


def _character_data(value: str) -> str:
    """XML 1.0 2.2 has no way to write most control characters; names in certificates may hold them."""
    return "".join(each if each.isprintable() else "?" for each in value)
