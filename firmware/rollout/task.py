"""Takes up the answer to a signing request that a roll-out tool wrote into variables."""

from __future__ import annotations

from collections.abc import Callable

from firmware.errors import CommandError, FirmwareError
from firmware.kernel import Event, Kernel
from firmware.x509.cabinet import DEVICE
from firmware.x509.certificate import Certificate, certificate_from_der
from firmware.x509.task import X509Task
from firmware.x509.work import chain_work, parsing_work

QUIET_MS = 5_000
"""After the last variable was written. Tools write them in one go, at most some 100 ms apart over a serial line; how
long the real devices wait is not published."""


class Rollout:
    """Waits for answers, and installs them.

    Args:
        say: where a line about how it ended goes.
    """

    def __init__(self, kernel: Kernel, x509: X509Task, say: Callable[[str], None]) -> None:
        self._kernel = kernel
        self._x509 = x509
        self._say = say
        self._written = Event(kernel)

    def answered(self) -> None:
        """A part of an answer was written."""
        self._written.set()

    async def run(self) -> None:
        """Never ends. What was written before the power went is taken up after boot."""
        if self._x509.cabinet.responses():
            self._written.set()
        while True:
            await self._written.wait()
            while self._written.is_set:
                self._written.clear()
                await self._written.wait(QUIET_MS)
            await self._take_up()

    async def _take_up(self) -> None:
        cabinet = self._x509.cabinet
        if not cabinet.responses():
            return
        try:
            self._say(f"signed certificate installed: {await self._installed()}")
        except (FirmwareError, OSError) as error:
            self._say(f"import of the signed certificate failed: {error}")
            try:
                cabinet.refuse_responses(str(error))
            except (FirmwareError, OSError) as worse:
                self._say(f"X509/REQUESTERROR could not be stored: {worse}")

    async def _installed(self) -> str:
        """Installs what was written, as one step; gives the certificate's subject."""
        x509 = self._x509
        certificates = [_certificate(number, data) for number, data in x509.cabinet.responses().items()]
        await x509.charge(parsing_work(x509.costs, len(certificates)))
        identity, answers = await x509.answer(DEVICE, certificates)
        if not answers:
            raise CommandError("the certificate is not for the key of the pending signing request")
        await x509.charge(chain_work(x509.costs, identity.chain))
        x509.require_idle(DEVICE)
        x509.install(DEVICE, identity, answers_request=True)
        return identity.leaf.subject.text


def _certificate(number: int, data: bytes) -> Certificate:
    try:
        return certificate_from_der(data)
    except FirmwareError as error:
        raise CommandError(f"certificate {number} of the answer: {error}") from None
