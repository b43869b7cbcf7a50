"""The commands of the root CA on the CF card, and how a command waits for a key job.

What is waited for says how far it is: one line after a second, and one every ten seconds from then on. The last line is
the outcome, whatever came before it::

    root CA, 2048-bit: 4%, Ctrl-C cancels
    root CA, 2048-bit: 51%
    root CA ready: CN=My CA is on the card
"""

from __future__ import annotations

from collections.abc import Sequence

from firmware.commands.registry import Call, Operation, Option, Reply, Session
from firmware.errors import CommandError
from firmware.kernel import Cancelled
from firmware.x509.certificate import Certificate
from firmware.x509.job import Job
from firmware.x509.name import printable
from firmware.x509.options import CA_ORDER, MODULE, ORDER, TARGET, order_of, target_of
from firmware.x509.task import X509Task
from firmware.x509.view import certificate_text, certificate_view
from firmware.x509.work import viewing_work

FIRST_PROGRESS_MS = 1_000
"""What fails at once fails in one line, and a key that is found at once needs no progress."""

PROGRESS_MS = 10_000
"""A 4096-bit key takes minutes: often enough to see that it goes on, and seldom enough to be read."""


def rootca_operations(x509: X509Task) -> Sequence[Operation]:
    """What can be done with the CA on the card."""
    commands = RootCaCommands(x509)
    backup = Option("backup", None, "keep certificate and key on the card, too")
    return (
        Operation(MODULE, "rootca-create", "makes a root CA on the card, and waits for it", commands.create, CA_ORDER),
        Operation(MODULE, "rootca-show", "certificate of the CA on the card", commands.show, query=True),
        Operation(MODULE, "rootca-trust", "puts the CA on the trust list", commands.trust),
        Operation(
            MODULE,
            "rootca-issue",
            "makes a certificate signed by that CA, and waits for it",
            commands.issue,
            (TARGET, *ORDER, backup),
        ),
    )


class RootCaCommands:
    """Handlers, one per command."""

    def __init__(self, x509: X509Task) -> None:
        self._x509 = x509

    async def create(self, call: Call) -> Reply:
        return await self._owned(call, self._x509.create_root_ca(order_of(call, self._x509.netbios)))

    async def show(self, call: Call) -> Reply:
        certificate = await self._x509.root_certificate()
        await self._x509.charge(viewing_work(self._x509.costs, [certificate]))
        now_s = self._x509.now_s()
        return Reply(certificate_text(certificate, now_s), certificate_view(certificate, now_s))

    async def trust(self, call: Call) -> Reply:
        certificate = await self._x509.root_certificate()
        await self._x509.read_trust_list()
        return Reply(added_text(self._x509.trust.add([certificate])))

    async def issue(self, call: Call) -> Reply:
        order = order_of(call, self._x509.netbios)
        return await self._owned(call, self._x509.issue(target_of(call), order, backup=call.flag("backup")))

    async def _owned(self, call: Call, job: Job) -> Reply:
        """Waits for a job that belongs to the command: interrupting the command cancels it, while that can be.

        Once the result is being written the end is near: it is waited for, so that the command tells what came of it.
        """
        job.owned = True
        try:
            return await finished(job, call.session, "Ctrl-C cancels")
        except Cancelled:
            if job.running and not job.writing:
                self._x509.cancel()
                await call.session.say(f"{job.title} cancelled: nothing was made")
                raise
        try:
            return await finished(job)
        except Cancelled:
            # Whoever gave the command does not wait even for that: the outcome goes to everybody.
            job.owned = False
            raise


async def finished(job: Job, session: Session | None = None, hint: str = "") -> Reply:
    """Waits for a job's end. CommandError when it did not end well.

    Args:
        session: who is told, meanwhile, how far it is; None: nobody.
        hint: what Ctrl-C does, for those who have one: told once.
    """
    job.waiting += 1
    try:
        if session is not None:
            await _tell_progress(job, session, hint)
        await job.finished.wait()
    finally:
        job.waiting -= 1
    if job.state != "done":
        raise CommandError(job.line())
    return Reply(job.line())


async def _tell_progress(job: Job, session: Session, hint: str) -> None:
    hint = f", {hint}" if session.channel == "console" else ""
    pause_ms = FIRST_PROGRESS_MS
    while not await job.finished.wait(pause_ms):
        await session.say(job.line() + hint)
        pause_ms, hint = PROGRESS_MS, ""


def added_text(new: Sequence[Certificate]) -> str:
    """What a command says that has put certificates on the trust list."""
    if not new:
        return "already trusted"
    return "\n".join(f"trusted: {printable(certificate.subject.text)}" for certificate in new)
