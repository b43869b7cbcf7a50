"""The commands of the trust list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from firmware.commands.registry import Call, Operation, Option, Registry, Reply
from firmware.x509.certificate import Certificate
from firmware.x509.expiry import expiry_of
from firmware.x509.name import printable
from firmware.x509.options import FORMAT, MODULE, SHA1, never
from firmware.x509.task import X509Task
from firmware.x509.timestamp import iso8601_from_seconds
from firmware.x509.upload import upload_from_text, upload_work
from firmware.x509.view import certificate_text, certificate_view, copy_text
from firmware.x509.work import viewing_work

ONE = Option("sha1", SHA1, "fingerprint of the certificate", required=True)
ONE_OR_ALL = Option("sha1", SHA1, "fingerprint; without it, all")
SEVERAL = Option("sha1", SHA1, "fingerprint", required=True, repeat=100)


def register_trust(registry: Registry, x509: X509Task) -> None:
    """Adds the trust list's operations to the registry."""
    commands = TrustCommands(x509)
    get = Operation(MODULE, "trust-get", "trusted certificates to copy", commands.get, (ONE_OR_ALL, FORMAT))
    for operation in (
        Operation(MODULE, "trust-list", "certificates that are trusted", commands.list_all, query=True),
        Operation(MODULE, "trust-show", "details of a trusted certificate", commands.show, (ONE,), query=True),
        Operation(MODULE, "trust-add", "trusts certificates from a PEM file", commands.add, paste=True),
        Operation(MODULE, "trust-remove", "trusts certificates no more", commands.remove, (SEVERAL,)),
        Operation(MODULE, "trust-clear", "trusts nobody", commands.clear),
        replace(get, logged=never),
    ):
        registry.register(operation)


class TrustCommands:
    """Handlers, one per command."""

    def __init__(self, x509: X509Task) -> None:
        self._x509 = x509
        self._trust = x509.trust

    async def list_all(self, call: Call) -> Reply:
        await self._x509.read_trust_list()
        certificates = self._trust.certificates()
        if call.json:
            return Reply("", await self._views([*certificates.values()]))
        lines = [f"{sha1}  {self._line(certificate)}" for sha1, certificate in certificates.items()]
        lines += [f"{sha1}  damaged: {reason}" for sha1, reason in self._trust.damaged.items()]
        return Reply("\n".join(lines) or "the trust list is empty")

    async def show(self, call: Call) -> Reply:
        await self._x509.read_trust_list()
        certificate = self._trust.find(call.get("sha1").hex())
        (view,) = await self._views([certificate])
        return Reply(certificate_text(certificate, self._x509.now_s()), view)

    async def add(self, call: Call) -> Reply:
        upload = upload_from_text(await call.session.paste("PEM"), with_key=False)
        await self._x509.charge(upload_work(self._x509.costs, upload))
        given = list(dict.fromkeys(upload.certificates))
        await self._x509.read_trust_list()
        new = self._trust.add(given)
        known = len(given) - len(new)
        lines = [f"trusted: {printable(certificate.subject.text)}{self._mark(certificate)}" for certificate in new]
        if known:
            lines.append(f"{known} already trusted")
        return Reply("\n".join(lines))

    async def remove(self, call: Call) -> Reply:
        await self._x509.read_trust_list()
        gone = self._trust.remove([sha1.hex() for sha1 in call.values("sha1")])
        return Reply("\n".join(f"removed: {printable(subject)}" for subject in gone))

    async def clear(self, call: Call) -> Reply:
        count = self._trust.clear()
        return Reply(f"{count} certificate{'' if count == 1 else 's'} removed")

    async def get(self, call: Call) -> Reply:
        await self._x509.read_trust_list()
        sha1 = call.get("sha1")
        certificates = [self._trust.find(sha1.hex())] if sha1 else list(self._trust.certificates().values())
        return Reply(copy_text([certificate.der for certificate in certificates], "CERTIFICATE", call.text("format")))

    async def _views(self, certificates: Sequence[Certificate]) -> list[dict[str, object]]:
        await self._x509.charge(viewing_work(self._x509.costs, certificates))
        now_s = self._x509.now_s()
        return [certificate_view(certificate, now_s) for certificate in certificates]

    def _line(self, certificate: Certificate) -> str:
        end = iso8601_from_seconds(certificate.not_after)
        return f"{end}  {printable(certificate.subject.text)}{self._mark(certificate)}"

    def _mark(self, certificate: Certificate) -> str:
        """`` (expires in 12 days)`` behind what is listed."""
        now_s = self._x509.now_s()
        if now_s < certificate.not_before:
            return " (not yet valid)"
        expiry = expiry_of(certificate, now_s, self._x509.expiry_days())
        return f" ({expiry.mark})" if expiry else ""
