"""The commands of module X509 that concern the box's own certificates: device and application certificates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from firmware.commands.registry import FORM_OPTIONS, Call, Operation, Option, Registry, Reply
from firmware.errors import CommandError
from firmware.kernel import Cancelled
from firmware.x509.cabinet import APPLICATION, DEFAULT, DEVICE, shown_target
from firmware.x509.certificate import Certificate
from firmware.x509.document import info_document
from firmware.x509.expiry import RENEW_HINT, expiry_of
from firmware.x509.identity import Identity, identity_from_certificates
from firmware.x509.name import printable
from firmware.x509.options import FORMAT, INDEX, MODULE, ORDER, TARGET, FormChoice, never, order_of, target_of
from firmware.x509.requestcommands import request_operations
from firmware.x509.rootcacommands import added_text, finished, rootca_operations
from firmware.x509.task import X509Task
from firmware.x509.timestamp import iso8601_from_seconds
from firmware.x509.upload import upload_from_text, upload_work
from firmware.x509.view import certificate_text, certificate_view, copy_text
from firmware.x509.work import chain_work, parsing_work, viewing_work

SELF_SIGNED, SIGNING_REQUEST = "Self-signed", "Signing request"

ONLY_LOOKING = ("xml-info", "servercert-get", "servercert-wait")
"""Change nothing, so the log of administration need not have them; they print a format of their own, not JSON."""

REUSE_WARNING = "warning: the old key pair is used again, which is not recommended"


def register_x509(registry: Registry, x509: X509Task) -> None:
    """Adds the module's operations to the registry, but those of the two lists."""
    operations = X509Commands(x509).operations()
    operations = [replace(each, logged=never) if each.name in ONLY_LOOKING else each for each in operations]
    for operation in (*operations, *request_operations(x509), *rootca_operations(x509)):
        registry.register(operation)


class X509Commands:
    """Handlers, one per command."""

    def __init__(self, x509: X509Task) -> None:
        self._x509 = x509
        self._cabinet = x509.cabinet

    def operations(self) -> Sequence[Operation]:
        """Everything that this class does."""
        kind = Option("type", FormChoice(SELF_SIGNED, SIGNING_REQUEST), "what to make", default=SELF_SIGNED)
        create = (TARGET, kind, *ORDER, *FORM_OPTIONS)
        upload_help = "takes a chain with its key, or a request's answer"
        return (
            Operation(MODULE, "xml-info", "certificates and requests as XML, for roll-out tools", self.xml_info),
            Operation(MODULE, "servercert-create", "starts making a certificate or request", self.create, create),
            Operation(MODULE, "servercert-list", "device and application certificates", self.list_all, query=True),
            Operation(MODULE, "servercert-show", "certificate chain in use", self.show, (TARGET, INDEX), query=True),
            Operation(MODULE, "servercert-get", "certificate chain to copy", self.get, (TARGET, INDEX, FORMAT)),
            Operation(MODULE, "servercert-upload", upload_help, self.upload, (TARGET,), paste=True),
            Operation(MODULE, "servercert-clear", "discards certificate and key for ever", self.clear, (TARGET,)),
            Operation(MODULE, "servercert-renew", "makes a new default certificate", self.renew),
            Operation(MODULE, "servercert-trust", "puts the chain on the trust list", self.trust_own, (TARGET, INDEX)),
            Operation(MODULE, "servercert-cancel", "ends the creation that is running", self.cancel),
            Operation(MODULE, "servercert-wait", "waits for the creation that is running", self.wait),
            Operation(MODULE, "expiry-list", "certificates that expire soon, or have", self.expiry, query=True),
        )

    async def xml_info(self, call: Call) -> Reply:
        return Reply(info_document(self._cabinet, self._x509.job))

    async def create(self, call: Call) -> Reply:
        target, order = target_of(call), order_of(call, self._x509.netbios)
        if call.get("type") == SIGNING_REQUEST:
            job = self._x509.create_request(target, order)
        else:
            job = self._x509.create_self_signed(target, order)
        lines = [f"creating {job.title}: servercert-wait waits for it"]
        if order.key_bits is None:
            lines.insert(0, REUSE_WARNING)
        return Reply("\n".join(lines))

    async def list_all(self, call: Call) -> Reply:
        targets = [DEVICE, *(APPLICATION + domain for domain in self._cabinet.applications())]
        rows = [await self._row(target) for target in targets]
        lines = [
            f"{row['target']}: {printable(str(row['subject'] or 'no certificate'))}{_remarks(row)}" for row in rows
        ]
        return Reply("\n".join(lines), rows)

    async def show(self, call: Call) -> Reply:
        target = target_of(call)
        source = self._source(target)
        now_s = self._x509.now_s()
        chain = await self._chosen(call, source)
        await self._x509.charge(viewing_work(self._x509.costs, chain))
        if call.number("index") is not None:
            return Reply(certificate_text(chain[0], now_s), certificate_view(chain[0], now_s))
        job = self._x509.job
        marks = self._marks(chain)
        hints = self._hints(source, chain)
        head = [f"{shown_target(target)}: {shown_target(source)} certificate"]
        head += [f"certificate {mark['index']} {mark['text']}" for mark in marks] + hints
        text = "\n\n".join(["\n".join(head), *(certificate_text(certificate, now_s) for certificate in chain)])
        data = {
            "target": shown_target(target),
            "source": shown_target(source),
            "undated": self._cabinet.is_undated(source),
            "chain": [certificate_view(certificate, now_s) for certificate in chain],
            "expiring": marks,
            "hints": hints,
            "busy": job.line() if job is not None and job.running else None,
        }
        return Reply(text, data)

    async def get(self, call: Call) -> Reply:
        chain = await self._chosen(call, self._source(target_of(call)))
        return Reply(copy_text([certificate.der for certificate in chain], "CERTIFICATE", call.text("format")))

    async def upload(self, call: Call) -> Reply:
        target, x509 = target_of(call), self._x509
        if not call.session.secure:
            raise CommandError("refused: a private key travels over HTTPS or the console only")
        upload = upload_from_text(await call.session.paste("PEM"))
        await x509.charge(upload_work(x509.costs, upload))
        x509.require_idle(target)
        if upload.key is not None:
            identity, answers = identity_from_certificates(upload.certificates, upload.key), False
        else:
            identity, answers = await x509.answer(target, upload.certificates)
        await x509.charge(chain_work(x509.costs, identity.chain))
        x509.install(target, identity, answers_request=answers)
        names = ", issued by ".join(printable(certificate.subject.text) for certificate in identity.chain)
        return Reply("\n".join([f"installed for {shown_target(target)}: {names}", *self._warnings(target, identity)]))

    async def clear(self, call: Call) -> Reply:
        return Reply(self._x509.clear(target_of(call)))

    async def renew(self, call: Call) -> Reply:
        return Reply(f"creating {self._x509.renew().title}: servercert-wait waits for it")

    async def trust_own(self, call: Call) -> Reply:
        chain = await self._chosen(call, self._source(target_of(call)))
        await self._x509.read_trust_list()
        return Reply(added_text(self._x509.trust.add(chain)))

    async def cancel(self, call: Call) -> Reply:
        return Reply(f"cancelled: {self._x509.cancel().title}")

    async def wait(self, call: Call) -> Reply:
        job = self._x509.job
        if job is None:
            raise CommandError("no key or certificate is being created")
        try:
            return await finished(job, call.session, "Ctrl-C stops waiting")
        except Cancelled:
            await call.session.say(f"{job.title} goes on: servercert-cancel ends it")
            raise

    async def expiry(self, call: Call) -> Reply:
        found = await self._x509.expiries()
        await self._x509.charge(viewing_work(self._x509.costs, [expiry.certificate for expiry in found]))
        now_s = self._x509.now_s()
        data = [
            {
                "place": expiry.place,
                "state": expiry.state,
                "days_left": expiry.days_left,
                "certificate": certificate_view(expiry.certificate, now_s),
            }
            for expiry in found
        ]
        return Reply("\n".join(expiry.line() for expiry in found) or "no certificate expires soon", data)

    # -- what they share

    def _source(self, target: str) -> str:
        """Whose certificate serves for the target. CommandError when there is none."""
        source = self._cabinet.in_use(target)
        if source is None:
            job = self._x509.job
            if job is not None and job.running and job.target == shown_target(target):
                raise CommandError(f"no certificate yet: {job.line()}")
            raise CommandError(f"no certificate for {shown_target(target)}")
        return source

    async def _chosen(self, call: Call, source: str) -> tuple[Certificate, ...]:
        """The chain, or the one certificate of it that ``/index`` names; paid for when it is read the first time."""
        is_read = self._cabinet.is_read(source)
        chain = self._cabinet.chain(source)
        if not is_read:
            await self._x509.charge(parsing_work(self._x509.costs, len(chain)))
        index = call.number("index")
        if index is None:
            return chain
        if index >= len(chain):
            raise CommandError(f"/index {index}: the chain has {len(chain)} certificates, 0 to {len(chain) - 1}")
        return (chain[index],)

    async def _row(self, target: str) -> dict[str, object]:
        """One line of the list of targets, as values."""
        source = self._cabinet.in_use(target)
        leaf = self._cabinet.chain(source)[0] if source else None
        mark = next(iter(self._marks([leaf] if leaf else [])), None)
        request = self._cabinet.request(target)
        await self._x509.charge(parsing_work(self._x509.costs, 1 if request else 0))
        return {
            "target": shown_target(target),
            "source": shown_target(source) if source else None,
            "subject": leaf.subject.text if leaf else None,
            "issuer": leaf.issuer.text if leaf else None,
            "not_after": iso8601_from_seconds(leaf.not_after) if leaf else None,
            "expiry": mark["state"] if mark else None,
            "request": request.subject.text if request else None,
        }

    def _marks(self, chain: Sequence[Certificate]) -> list[dict[str, object]]:
        """Which certificates of a chain have expired or soon will."""
        now_s, days = self._x509.now_s(), self._x509.expiry_days()
        return [
            {"index": index, "state": expiry.state, "days_left": expiry.days_left, "text": expiry.mark}
            for index, certificate in enumerate(chain)
            if (expiry := expiry_of(certificate, now_s, days))
        ]

    def _hints(self, source: str, chain: Sequence[Certificate]) -> list[str]:
        """What should be done about the certificate in use."""
        hints = []
        if self._cabinet.is_undated(source):
            hints.append("made before the time was known: renew it once the time is set")
        if source == DEFAULT and self._x509.now_s() > chain[0].not_after:
            hints.append(RENEW_HINT)
        return hints

    def _warnings(self, target: str, identity: Identity) -> list[str]:
        """What is allowed, and yet perhaps not meant."""
        leaf, now_s = identity.leaf, self._x509.now_s()
        warnings = []
        if not leaf.is_valid_at(now_s):
            is_early = now_s < leaf.not_before
            when = f"valid from {iso8601_from_seconds(leaf.not_before)} on" if is_early else "expired"
            warnings.append(f"warning: the certificate is {when}")
        if target != DEVICE and self._cabinet.application_for(shown_target(target)) != target:
            warnings.append(f"warning: {shown_target(target)} is none of its names, so it will not be found by it")
        if self._cabinet.request(target) is not None:
            warnings.append(f"a signing request for {shown_target(target)} is still pending")
        return warnings


def _remarks(row: dict[str, object]) -> str:
    remarks = []
    if row["source"] not in (None, row["target"]):
        remarks.append(f"{row['source']} certificate")
    if row["not_after"]:
        remarks.append(f"until {row['not_after']}")
    if row["expiry"]:
        remarks.append(str(row["expiry"]))
    if row["request"]:
        remarks.append("signing request pending")
    return f" ({', '.join(remarks)})" if remarks else ""
