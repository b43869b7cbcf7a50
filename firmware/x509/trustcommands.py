"""The commands of the trust list."""

from __future__ import annotations

from collections.abc import Callable

from firmware.commands.kinds import Choice, Hex
from firmware.commands.registry import Call, Operation, Option, Registry, Reply
from firmware.x509.certificate import certificates_from_file
from firmware.x509.timestamp import iso8601_from_seconds
from firmware.x509.trust import TrustList
from firmware.x509.view import certificate_text, certificate_view, copy_text

MODULE = "X509"
SHA1_BYTES = 20

SHA1 = Option("sha1", Hex(sizes=(SHA1_BYTES,)), "fingerprint of the certificate", required=True)
FORMAT = Option("format", Choice("pem", "der"), "der prints base64", default="pem")


def register_trust(registry: Registry, trust: TrustList, now_s: Callable[[], int]) -> None:
    """Adds the trust list's operations to the registry."""

    async def list_all(call: Call) -> Reply:
        lines = [
            f"{sha1}  {iso8601_from_seconds(certificate.not_after)}  {certificate.subject.text}"
            for sha1, certificate in trust.certificates().items()
        ]
        views = [certificate_view(certificate, now_s()) for certificate in trust.certificates().values()]
        return Reply("\n".join(lines) or "the trust list is empty", views)

    async def show(call: Call) -> Reply:
        certificate = trust.find(call.get("sha1").hex())
        return Reply(certificate_text(certificate, now_s()), certificate_view(certificate, now_s()))

    async def add(call: Call) -> Reply:
        certificates = certificates_from_file((await call.session.paste("PEM")).encode())
        new = trust.add(certificates)
        known = len(certificates) - len(new)
        lines = [f"trusted: {certificate.subject.text}" for certificate in new]
        if known:
            lines.append(f"{known} already trusted")
        return Reply("\n".join(lines))

    async def remove(call: Call) -> Reply:
        gone = trust.remove(sha1.hex() for sha1 in call.values("sha1"))
        return Reply("\n".join(f"removed: {certificate.subject.text}" for certificate in gone))

    async def clear(call: Call) -> Reply:
        return Reply(f"{trust.clear()} certificates removed")

    async def get(call: Call) -> Reply:
        sha1 = call.get("sha1")
        certificates = [trust.find(sha1.hex())] if sha1 else list(trust.certificates().values())
        return Reply(copy_text([certificate.der for certificate in certificates], "CERTIFICATE", call.text("format")))

    one_or_all = Option("sha1", SHA1.kind, "fingerprint; without it, all")
    several = Option("sha1", SHA1.kind, "fingerprint", required=True, repeat=100)
    for operation in (
        Operation(MODULE, "trust-list", "certificates that are trusted", list_all, query=True),
        Operation(MODULE, "trust-show", "details of a trusted certificate", show, (SHA1,), query=True),
        Operation(MODULE, "trust-add", "trusts certificates from a PEM file", add, paste=True),
        Operation(MODULE, "trust-remove", "trusts certificates no more", remove, (several,)),
        Operation(MODULE, "trust-clear", "trusts nobody", clear),
        Operation(
            MODULE, "trust-get", "trusted certificates to copy", get, (one_or_all, FORMAT), logged=lambda call: False
        ),
    ):
        registry.register(operation)
