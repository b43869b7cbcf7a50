"""The commands of module X509: certificates of the box, signing requests, and the CA on the card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from firmware.commands.kinds import Choice, Number, Text
from firmware.commands.registry import FORM_OPTIONS, Call, Operation, Option, Registry, Reply
from firmware.errors import CommandError
from firmware.kernel import Cancelled
from firmware.x509.cabinet import DEVICE, shown_target, target_from_text
from firmware.x509.certificate import Certificate, certificates_from_file
from firmware.x509.document import info_document
from firmware.x509.identity import Identity, identity_from_certificates
from firmware.x509.job import Job
from firmware.x509.key import private_key_from_file
from firmware.x509.order import (
    KEY_CHOICES,
    MAX_DNS_NAMES,
    MAX_IP_ADDRESSES,
    MAX_YEARS,
    SIGNATURE_CHOICES,
    CertificateOrder,
    order_from_options,
)
from firmware.x509.pem import blocks_from_pem
from firmware.x509.request import Request
from firmware.x509.task import X509Task
from firmware.x509.trust import TrustList
from firmware.x509.view import certificate_text, certificate_view, copy_text, request_text, request_view
from firmware.x509.work import chain_work, parsing_work

MODULE = "X509"

SELF_SIGNED, SIGNING_REQUEST = "Self-signed", "Signing request"

TARGET = Option("target", Text(), "device, or the domain of an application certificate", default=DEVICE)
INDEX = Option("index", Number(0, 9), "place in the chain, 0 is the box's own")
FORMAT = Option("format", Choice("pem", "der"), "der prints base64", default="pem")
SUBJECT = tuple(
    Option(f"dn-{part}", Text(), what)
    for part, what in (
        ("cn", "common name"),
        ("ou", "organizational unit"),
        ("o", "organization"),
        ("l", "locality"),
        ("st", "state or province"),
        ("c", "country, two letters"),
    )
)
CA_ORDER = (
    Option("key", Choice(*KEY_CHOICES), "key pair", default=KEY_CHOICES[0]),
    Option("signature", Choice(*SIGNATURE_CHOICES), "hash of the signature", default="SHA256"),
    Option("years", Number(1, MAX_YEARS), "validity", default=10),
    *SUBJECT,
)
ORDER = (
    *CA_ORDER,
    Option("san-dns", Text(), "DNS alternative name", repeat=MAX_DNS_NAMES),
    Option("san-ip", Text(), "IP alternative name", repeat=MAX_IP_ADDRESSES),
)

ONLY_LOOKING = ("xml-info", "servercert-get", "servercert-wait", "request-get")
"""Change nothing, so the log of administration need not have them; they print a format of their own, not JSON."""

REUSE_WARNING = "warning: the old key pair is used again, which is not recommended"


def register_x509(registry: Registry, x509: X509Task, trust: TrustList, netbios: str, now_s: Callable[[], int]) -> None:
    """Adds the module's operations to the registry."""
    commands = X509Commands(x509, trust, netbios, now_s)
    for operation in (*commands.of_the_box(), *commands.of_requests(), *commands.of_the_card()):
        registry.register(replace(operation, logged=_never) if operation.name in ONLY_LOOKING else operation)


def _never(call: Call) -> bool:
    return False


class X509Commands:
    """Handlers, one per command."""

    def __init__(self, x509: X509Task, trust: TrustList, netbios: str, now_s: Callable[[], int]) -> None:
        self._x509 = x509
        self._cabinet = x509.cabinet
        self._trust = trust
        self._netbios = netbios
        self._now_s = now_s

    def of_the_box(self) -> Sequence[Operation]:
        """Device and application certificates."""
        kind = Option("type", Choice(SELF_SIGNED, SIGNING_REQUEST), "what to make", default=SELF_SIGNED)
        create = (TARGET, kind, *ORDER, *FORM_OPTIONS)
        return (
            Operation(MODULE, "xml-info", "certificates and requests as XML, for roll-out tools", self.xml_info),
            Operation(MODULE, "servercert-create", "starts making a certificate or request", self.create, create),
            Operation(MODULE, "servercert-show", "certificate chain in use", self.show, (TARGET, INDEX), query=True),
            Operation(MODULE, "servercert-get", "certificate chain to copy", self.get, (TARGET, INDEX, FORMAT)),
            Operation(
                MODULE,
                "servercert-upload",
                "takes a chain with its key, or a request's answer",
                self.upload,
                (TARGET,),
                paste=True,
            ),
            Operation(MODULE, "servercert-clear", "discards certificate and key for ever", self.clear, (TARGET,)),
            Operation(MODULE, "servercert-renew", "makes a new default certificate", self.renew),
            Operation(MODULE, "servercert-trust", "puts the chain on the trust list", self.trust_own, (TARGET, INDEX)),
            Operation(MODULE, "servercert-cancel", "ends the creation that is running", self.cancel),
            Operation(MODULE, "servercert-wait", "waits for the creation that is running", self.wait),
        )

    def of_requests(self) -> Sequence[Operation]:
        """Signing requests."""
        return (
            Operation(MODULE, "request-show", "pending signing request", self.request_show, (TARGET,), query=True),
            Operation(MODULE, "request-get", "signing request to copy", self.request_get, (TARGET, FORMAT)),
            Operation(
                MODULE, "request-remove", "discards a request with its key, for ever", self.request_remove, (TARGET,)
            ),
        )

    def of_the_card(self) -> Sequence[Operation]:
        """The root CA on the CF card."""
        backup = Option("backup", None, "keep certificate and key on the card, too")
        return (
            Operation(MODULE, "rootca-create", "makes a root CA on the card", self.rootca_create, CA_ORDER),
            Operation(MODULE, "rootca-show", "certificate of the CA on the card", self.rootca_show, query=True),
            Operation(MODULE, "rootca-trust", "puts the CA on the trust list", self.rootca_trust),
            Operation(
                MODULE,
                "rootca-issue",
                "makes a certificate signed by that CA",
                self.rootca_issue,
                (TARGET, *ORDER, backup),
            ),
        )

    # -- device and application certificates

    async def xml_info(self, call: Call) -> Reply:
        return Reply(info_document(self._cabinet, self._x509.job))

    async def create(self, call: Call) -> Reply:
        target, order = self._target(call), self._order(call)
        if call.get("type") == SIGNING_REQUEST:
            job = self._x509.create_request(target, order)
        else:
            job = self._x509.create_self_signed(target, order)
        lines = [f"creating {job.title}: servercert-wait waits for it"]
        if order.key_bits is None:
            lines.insert(0, REUSE_WARNING)
        return Reply("\n".join(lines))

    async def show(self, call: Call) -> Reply:
        target = self._target(call)
        source = self._cabinet.in_use(target)
        job = self._x509.job
        if source is None:
            if job is not None and job.running:
                raise CommandError(f"no certificate yet: {job.line()}")
            raise CommandError(f"no certificate for {shown_target(target)}")
        now_s = self._now_s()
        chain = self._chosen(call, source)
        if call.number("index") is not None:
            return Reply(certificate_text(chain[0], now_s), certificate_view(chain[0], now_s))
        undated = self._cabinet.is_undated(source)
        head = f"{shown_target(target)}: {shown_target(source)} certificate"
        if undated:
            head += "\nmade before the time was known: renew it once the time is set"
        text = "\n\n".join([head, *(certificate_text(certificate, now_s) for certificate in chain)])
        data = {
            "target": shown_target(target),
            "source": shown_target(source),
            "undated": undated,
            "chain": [certificate_view(certificate, now_s) for certificate in chain],
            "busy": job.line() if job is not None and job.running else None,
        }
        return Reply(text, data)

    async def get(self, call: Call) -> Reply:
        source = self._cabinet.in_use(self._target(call))
        if source is None:
            raise CommandError(f"no certificate for {shown_target(self._target(call))}")
        return Reply(
            copy_text(
                [certificate.der for certificate in self._chosen(call, source)], "CERTIFICATE", call.text("format")
            )
        )

    async def upload(self, call: Call) -> Reply:
        target = self._target(call)
        if not call.session.secure:
            raise CommandError("refused: a private key travels over HTTPS or the console only")
        data = (await call.session.paste("PEM")).encode()
        certificates = certificates_from_file(data)
        await self._x509.charge(parsing_work(self._x509.costs, len(certificates)))
        if any("PRIVATE KEY" in block.label for block in blocks_from_pem(data)):
            identity, answers = identity_from_certificates(certificates, private_key_from_file(data)), False
        else:
            identity, answers = self._cabinet.answer(target, certificates)
        await self._x509.charge(chain_work(self._x509.costs, identity.chain))
        self._x509.install(target, identity, answers_request=answers)
        return Reply(f"installed for {shown_target(target)}: {self._names(identity)}")

    async def clear(self, call: Call) -> Reply:
        return Reply(self._x509.clear(self._target(call)))

    async def renew(self, call: Call) -> Reply:
        return Reply(f"creating {self._x509.renew().title}: servercert-wait waits for it")

    async def trust_own(self, call: Call) -> Reply:
        source = self._cabinet.in_use(self._target(call))
        if source is None:
            raise CommandError(f"no certificate for {shown_target(self._target(call))}")
        return Reply(_added(self._trust.add(self._chosen(call, source))))

    async def cancel(self, call: Call) -> Reply:
        return Reply(f"cancelled: {self._x509.cancel().title}")

    async def wait(self, call: Call) -> Reply:
        job = self._x509.job
        if job is None:
            raise CommandError("no key or certificate is being created")
        return await self._finished(job)

    # -- signing requests

    async def request_show(self, call: Call) -> Reply:
        request = self._pending(call)
        return Reply(request_text(request), request_view(request))

    async def request_get(self, call: Call) -> Reply:
        return Reply(copy_text([self._pending(call).der], "CERTIFICATE REQUEST", call.text("format")))

    async def request_remove(self, call: Call) -> Reply:
        request = self._pending(call)
        self._cabinet.remove_request(self._target(call))
        return Reply(
            f"removed {request.subject.text} with its private key: a certificate made from it cannot be used any more"
        )

    # -- the CA on the card

    async def rootca_create(self, call: Call) -> Reply:
        return await self._owned(self._x509.create_root_ca(self._order(call)))

    async def rootca_show(self, call: Call) -> Reply:
        certificate = await self._x509.root_certificate()
        now_s = self._now_s()
        return Reply(certificate_text(certificate, now_s), certificate_view(certificate, now_s))

    async def rootca_trust(self, call: Call) -> Reply:
        return Reply(_added(self._trust.add([await self._x509.root_certificate()])))

    async def rootca_issue(self, call: Call) -> Reply:
        order = self._order(call)
        return await self._owned(self._x509.issue(self._target(call), order, backup=call.flag("backup")))

    # -- what they share

    def _target(self, call: Call) -> str:
        return target_from_text(call.text("target"))

    def _order(self, call: Call) -> CertificateOrder:
        """What was ordered; the subject is the netbios name, or the target's domain, where none is given."""
        options: dict[str, str | Sequence[str]] = {}
        names = {option.name for option in call.operation.options}
        for option in ORDER:
            if option.name in names and (value := call.get(option.name)) is not None:
                options[option.name] = value if isinstance(value, tuple) else str(value)
        if not any(options.get(option.name) for option in SUBJECT):
            target = self._target(call) if "target" in names else DEVICE
            options["dn-cn"] = self._netbios if target == DEVICE else shown_target(target)
        return order_from_options(options)

    def _chosen(self, call: Call, source: str) -> tuple[Certificate, ...]:
        """The chain, or the one certificate of it that ``/index`` names."""
        chain = self._cabinet.chain(source)
        index = call.number("index")
        if index is None:
            return chain
        if index >= len(chain):
            raise CommandError(f"/index {index}: the chain has {len(chain)} certificates, 0 to {len(chain) - 1}")
        return (chain[index],)

    def _pending(self, call: Call) -> Request:
        target = self._target(call)
        request = self._cabinet.request(target)
        if request is None:
            raise CommandError(f"no signing request for {shown_target(target)}")
        return request

    async def _owned(self, job: Job) -> Reply:
        """Waits for a job that belongs to the command: interrupting the command cancels it."""
        job.owned = True
        try:
            return await self._finished(job)
        except Cancelled:
            if job.running and not job.writing:
                self._x509.cancel()
            raise

    async def _finished(self, job: Job) -> Reply:
        await job.finished.wait()
        if job.state != "done":
            raise CommandError(job.line())
        return Reply(job.line())

    @staticmethod
    def _names(identity: Identity) -> str:
        return ", issued by ".join(certificate.subject.text for certificate in identity.chain)


def _added(new: Sequence[Certificate]) -> str:
    if not new:
        return "already trusted"
    return "\n".join(f"trusted: {certificate.subject.text}" for certificate in new)
