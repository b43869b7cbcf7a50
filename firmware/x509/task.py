"""The certificate task: makes keys and certificates in the background, one job at a time.

::

    order --> key: search, step by step, each step charged; other tasks run between
                |                                    \\ cancel: nothing has changed
                v
              sign: hash and private operation charged
                |
                v
              store: one atomic step; from here on new connections see it

While the certificate in use is the default one and a new one is being made, the box has no certificate: HTTPS and SIPS
are off (reference text, Default certificate). Everything else leaves the certificate in use alone until the new one is
stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from firmware.card.errors import CardFailure
from firmware.card.task import CardTask
from firmware.errors import CommandError, FirmwareError
from firmware.hal import Costs, Entropy, Volume
from firmware.kernel import Cancelled, Event, Kernel, Priority, Share
from firmware.rootca.task import RootCa
from firmware.x509.builder import issued_certificate, root_certificate, self_signed_certificate
from firmware.x509.cabinet import APPLICATION, BUILTIN, DEFAULT, DEVICE, Cabinet, shown_target
from firmware.x509.certificate import Certificate
from firmware.x509.expiry import DEFAULT_DAYS, Expiry, expiries
from firmware.x509.identity import Identity
from firmware.x509.job import Job, Kind, State
from firmware.x509.key import PrivateKey
from firmware.x509.keygen import key_search
from firmware.x509.name import DistinguishedName
from firmware.x509.order import CertificateOrder
from firmware.x509.request import signing_request
from firmware.x509.trust import TrustList
from firmware.x509.work import Charge, chain_work, parsing_work, signing_work

DEFAULT_YEARS = 10
DEFAULT_KEY_BITS = 1024
"""Reference text, Default certificate and Certificate Key Length: valid for 10 years, 1024-bit RSA, SHA-256."""

TRUST_PART = 16
"""Certificates of the trust list that are read in one piece: some 10 ms, so that others come in between."""

TYPICAL_TBS_BYTES = 700
"""What is hashed for a certificate with names and the usual extensions."""

REPLACING = ("self-signed", "issue")
"""Jobs that end with another certificate for their target."""


class X509Task:
    """Makes what the cabinet keeps.

    Args:
        now_s: the box's time, Unix seconds.
        time_known: whether that time was ever set.
        expiry_days: how many days before its end a certificate is marked.
        say: where a line for the log and the console goes.
        log: where a line goes that somebody has been told already.
        changed: called after every change of a certificate in use, and when the box loses or gets one.
    """

    def __init__(
        self,
        kernel: Kernel,
        costs: Costs,
        cabinet: Cabinet,
        trust: TrustList,
        card: CardTask | None,
        entropy: Entropy,
        *,
        netbios: str,
        now_s: Callable[[], int],
        time_known: Callable[[], bool],
        say: Callable[[str], None],
        log: Callable[[str], None],
        changed: Callable[[], None],
        expiry_days: Callable[[], int] = lambda: DEFAULT_DAYS,
        share: Share | None = None,
    ) -> None:
        self.cabinet = cabinet
        self.trust = trust
        self.costs = costs
        self.netbios = netbios
        self.now_s = now_s
        self.time_known = time_known
        self.expiry_days = expiry_days
        self.job: Job | None = None
        """The job that runs, or the last one."""
        self._kernel = kernel
        self._card = card
        self._entropy = entropy
        self._say = say
        self._log = log
        self._changed = changed
        self._share = share or Share()
        self._rootca = RootCa(kernel)

    # -- what can be asked for

    @property
    def without_certificate(self) -> bool:
        """Whether HTTPS and SIPS have nothing to present: none there, or the default one is being made anew."""
        in_use = self.cabinet.in_use()
        making_default = self.job is not None and self.job.running and self.job.kind == "default"
        return in_use is None or (making_default and in_use == DEFAULT)

    def ensure_default(self) -> None:
        """Starts making the default certificate if the box has none at all."""
        if self.cabinet.in_use() is None:
            self.renew()

    def renew(self) -> Job:
        """Makes a new default certificate. CommandError when the default one is the manufacturer's."""
        if self.cabinet.chain(BUILTIN):
            raise CommandError("the default certificate is the built-in one, which the manufacturer signed")
        order = CertificateOrder(DistinguishedName(common_name=self.netbios), DEFAULT_KEY_BITS, "sha256", DEFAULT_YEARS)
        job = self._begin("default", DEVICE, DEFAULT_KEY_BITS, lambda job: self._make_default(job, order))
        meanwhile = ": HTTPS and SIPS are off until it is ready" if self.without_certificate else ""
        self._say(f"default certificate is being created{meanwhile}")
        self._changed()
        return job

    def create_self_signed(self, target: str, order: CertificateOrder) -> Job:
        """Starts making a self-signed certificate. CommandError when a job runs, or there is no key pair to reuse."""
        self.cabinet.check_room(target)
        bits = self._bits_for(order, target)
        return self._begin("self-signed", target, bits, lambda job: self._make_self_signed(job, target, order))

    def create_request(self, target: str, order: CertificateOrder) -> Job:
        """Starts making a signing request. CommandError as above, and when one is pending: its key would be lost."""
        self.cabinet.check_room(target)
        self._require_no_request_error(target)
        if self.cabinet.request(target) is not None:
            raise CommandError(
                f"a signing request for {shown_target(target)} is pending: upload its answer, or remove it first"
            )
        bits = self._bits_for(order, target)
        return self._begin("request", target, bits, lambda job: self._make_request(job, target, order))

    def create_root_ca(self, order: CertificateOrder) -> Job:
        """Starts making a root CA on the card. CommandError when a job runs or there is no usable card."""
        card = self._usable_card()
        if order.key_bits is None:
            raise CommandError("key reuse: a root CA has a key pair of its own")
        return self._begin("root-ca", "card", order.key_bits, lambda job: self._make_root_ca(job, card, order))

    def issue(self, target: str, order: CertificateOrder, *, backup: bool) -> Job:
        """Starts making a device certificate signed by the CA on the card."""
        self.cabinet.check_room(target)
        card = self._usable_card()
        bits = self._bits_for(order, target)
        return self._begin("issue", target, bits, lambda job: self._make_issued(job, card, target, order, backup))

    def cancel(self) -> Job:
        """Ends the running job; nothing has changed then. CommandError when none runs."""
        job = self.job
        if job is None or not job.running or job.task is None:
            raise CommandError("no key or certificate is being created")
        if job.writing:
            raise CommandError("too late: the result is being written")
        job.task.cancel()
        return job

    async def root_certificate(self) -> Certificate:
        """The certificate of the CA on the card. CommandError when there is none."""
        card = self._usable_card()
        await card.settle()
        with card.use("rootca-show") as volume:
            return (await self._rootca.load(volume)).certificate

    async def charge(self, charges: list[Charge]) -> None:
        """Uses up CPU time for work on certificates."""
        for kind, cycles in charges:
            await self._kernel.work(cycles, kind)

    async def read_trust_list(self) -> None:
        """Has the trust list read from flash, in parts, each paid for. Costs nothing once that is done."""
        while self.trust.unread:
            await self.charge(parsing_work(self.costs, self.trust.read(TRUST_PART)))

    async def answer(self, target: str, certificates: Sequence[Certificate]) -> tuple[Identity, bool]:
        """What `Cabinet.answer` makes of an uploaded chain without a key; paid for. Errors as there."""
        self._require_no_request_error(target)
        identity, answers = self.cabinet.answer(target, certificates)
        # That the numbers of the stored key belong together is tried with one private operation.
        await self.charge([("rsa-private", self.costs.rsa_private(identity.key.bits))])
        return identity, answers

    def require_idle(self, target: str) -> None:
        """CommandError while a certificate for this target is being made, which would replace what is installed now."""
        job = self.job
        if job is not None and job.running and job.kind in REPLACING and job.target == shown_target(target):
            raise CommandError(f"busy: {job.line()}")

    def install(self, target: str, identity: Identity, *, undated: bool = False, answers_request: bool = False) -> None:
        """Keeps a certificate with its key; new connections use it at once."""
        self.cabinet.install(target, identity, undated=undated, answers_request=answers_request)
        self._changed()

    def clear(self, target: str) -> str:
        """Discards a target's certificate and key; for the device, the default certificate comes back or is made.

        Gives one line that says what is in use now. CommandError when there is nothing to discard.
        """
        cleared = self.cabinet.in_use(target)
        if cleared is None:
            raise CommandError(f"no certificate for {shown_target(target)}")
        if cleared == BUILTIN:
            raise CommandError("the built-in certificate is in use: it cannot be discarded")
        if self.job is not None and self.job.running and target == DEVICE:
            raise CommandError(f"busy: {self.job.line()}")
        self.require_idle(target)
        self.cabinet.clear(cleared)
        self._changed()
        if target != DEVICE:
            return "discarded: the device certificate serves this name now"
        self.ensure_default()
        in_use = self.cabinet.in_use()
        return (
            "discarded: a new default certificate is being created" if in_use is None else "discarded: default restored"
        )

    # -- expiry

    async def expiries(self) -> list[Expiry]:
        """Certificates in use or trusted that have expired or soon will, the most urgent first."""
        await self.read_trust_list()
        targets = [DEVICE, *(APPLICATION + domain for domain in self.cabinet.applications())]
        placed = [
            (shown_target(target), certificate)
            for target in targets
            if (source := self.cabinet.in_use(target)) is not None
            for certificate in self.cabinet.chain(source)
        ]
        placed += [("trust list", certificate) for certificate in self.trust.certificates().values()]
        return expiries(placed, self.now_s(), self.expiry_days())

    # -- how it is done

    def _require_no_request_error(self, target: str) -> None:
        """After a failed import everything stops until it has been cleared by hand (vendor's roll-out tool)."""
        error = self.cabinet.request_error
        if target == DEVICE and error:
            mend = "x509 request-remove, then vars del X509/REQUESTERROR"
            raise CommandError(f"stopped by an earlier import that failed ({error}): {mend}")

    def _usable_card(self) -> CardTask:
        if self._card is None:
            raise CommandError("this model has no card slot")
        return self._card

    def _bits_for(self, order: CertificateOrder, target: str) -> int:
        if order.key_bits is not None:
            return order.key_bits
        return self.cabinet.key(self._key_owner(target)).bits

    def _key_owner(self, target: str) -> str:
        """Whose key pair "reuse" means: the one in use for the target."""
        owner = self.cabinet.in_use(target)
        if owner is None or owner == BUILTIN:
            raise CommandError(f"no key pair of {shown_target(target)} to reuse")
        return owner

    def _begin(self, kind: Kind, target: str, key_bits: int, make: Callable[[Job], Awaitable[str]]) -> Job:
        if self.job is not None and self.job.running:
            raise CommandError(f"busy: {self.job.line()}, servercert-wait waits for it")
        job = self.job = Job(kind, shown_target(target), key_bits, Event(self._kernel))
        job.task = self._kernel.spawn(self._run(job, make), "x509", Priority.BACKGROUND, self._share)
        return job

    async def _run(self, job: Job, make: Callable[[Job], Awaitable[str]]) -> None:
        try:
            outcome = await make(job)
        except Cancelled:
            self._ended(job, "cancelled", "")
            self._go_on_without(job)
            raise
        except (FirmwareError, OSError) as error:
            self._ended(job, "failed", str(error))
        else:
            self._ended(job, "done", outcome)

    def _ended(self, job: Job, state: State, outcome: str) -> None:
        job.end(state, outcome)
        (self._log if job.owned or job.waiting else self._say)(job.line())
        self._changed()

    def _go_on_without(self, cancelled: Job) -> None:
        """A box without any certificate goes on making one, whatever was cancelled."""
        if cancelled.kind == "default" and self.cabinet.in_use() is None:
            self.renew()

    async def _key(
        self, job: Job, order: CertificateOrder, target: str, guard: Callable[[], None] | None = None
    ) -> PrivateKey:
        """A new key pair, or the one to be used again. ``guard`` raises when the job has lost its point."""
        if order.key_bits is None:
            return self.cabinet.key(self._key_owner(target))
        search = key_search(order.key_bits, self._entropy)
        step_cycles = self.costs.keygen(order.key_bits)
        while True:
            try:
                progress = next(search)
            except StopIteration as found:
                key: PrivateKey = found.value
                return key
            await self._kernel.work(step_cycles, "keygen")
            job.fraction = progress.fraction
            if guard is not None:
                guard()

    async def _sign(self, bits: int, hash_name: str) -> None:
        await self.charge(signing_work(self.costs, bits, hash_name, TYPICAL_TBS_BYTES))

    async def _make_default(self, job: Job, order: CertificateOrder) -> str:
        identity = await self._self_signed(job, order, DEVICE)
        self.install(DEFAULT, identity, undated=not self.time_known())
        return f"{identity.leaf.subject.text}, valid for {order.years} years"

    async def _make_self_signed(self, job: Job, target: str, order: CertificateOrder) -> str:
        identity = await self._self_signed(job, order, target)
        self.install(target, identity, undated=not self.time_known())
        return identity.leaf.subject.text

    async def _self_signed(self, job: Job, order: CertificateOrder, target: str) -> Identity:
        key = await self._key(job, order, target)
        await self._sign(key.bits, order.hash_name)
        certificate = self_signed_certificate(order, key, self.now_s(), self._entropy)
        return Identity((certificate,), key)

    async def _make_request(self, job: Job, target: str, order: CertificateOrder) -> str:
        key = await self._key(job, order, target)
        await self._sign(key.bits, order.hash_name)
        request = signing_request(order, key)
        self.cabinet.keep_request(target, request, key)
        return f"{request.subject.text}: request-get shows it"

    async def _make_root_ca(self, job: Job, card: CardTask, order: CertificateOrder) -> str:
        await card.settle()
        with card.use("rootca-create") as volume:
            await self._rootca.require_empty(volume)
        guard = _still_in(card)
        key = await self._key(job, order, DEVICE, guard)
        await self._sign(key.bits, order.hash_name)
        certificate = root_certificate(order, key, self.now_s(), self._entropy)
        guard()  # another card that came while this was signed does not get the CA
        with card.use("rootca-create") as volume:
            await self._rootca.require_empty(volume)
            job.writing = True
            await self._rootca.store(volume, certificate, key)
        return f"{certificate.subject.text} is on the card{self._undated_remark()}"

    async def _make_issued(self, job: Job, card: CardTask, target: str, order: CertificateOrder, backup: bool) -> str:
        await card.settle()
        with card.use("rootca-issue") as volume:
            await self._rootca.load(volume)
        guard = _still_in(card)
        key = await self._key(job, order, target, guard)
        guard()
        with card.use("rootca-issue") as volume:
            job.writing = True
            identity, serial = await self._issue_on(volume, order, key)
            if backup:
                name = f"{self.netbios}-{serial:02X}"
                await self._rootca.backup(volume, name, _backup_pem(identity))
        self.install(target, identity, undated=not self.time_known())
        kept = ", backup on the card" if backup else ""
        return f"{identity.leaf.subject.text}, serial {serial:02X}{kept}{self._undated_remark()}"

    def _undated_remark(self) -> str:
        """Behind an outcome: whoever reads nothing else should not keep a certificate of 1970."""
        return "" if self.time_known() else ", made before the time was known"

    async def _issue_on(self, volume: Volume, order: CertificateOrder, key: PrivateKey) -> tuple[Identity, int]:
        """The CA's key is in memory only in here."""
        ca = await self._rootca.load(volume)
        await self._sign(ca.key.bits, order.hash_name)
        # Signed first, numbered for good second, handed out last: a refused order must not use up a number, and a
        # number must be used up before anybody can see a certificate that bears it.
        certificate = issued_certificate(order, key.public_key, ca.certificate, ca.key, ca.next_serial, self.now_s())
        serial = await self._rootca.take_serial(volume, ca)
        identity = Identity((certificate, ca.certificate), key)
        await self.charge(chain_work(self.costs, identity.chain))
        return identity, serial


def _still_in(card: CardTask) -> Callable[[], None]:
    """Raises CardFailure once the card that is in now has gone."""
    noticed = card.insertions

    def guard() -> None:
        if card.state == "absent" or card.insertions != noticed:
            raise CardFailure("the card was removed")

    return guard


def _backup_pem(identity: Identity) -> str:
    """Key and chain in one file, as "Uploading a certificate chain together with the private key" takes it."""
    return identity.key.pem() + "".join(certificate.pem() for certificate in identity.chain)
