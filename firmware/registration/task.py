"""A phone's registration at work: connects, registers, keeps it alive, and begins again when something fails.

Not modelled: finding the registrar by DNS (RFC 3263), a second registrar to fail over to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from firmware.hal import Costs, Entropy
from firmware.kernel import Kernel, Priority, Task
from firmware.net import READ_BYTES, ConnectionLost, TcpStream
from firmware.registration.chance import retry_ms, spread_ms
from firmware.registration.conversation import TIMER_F_MS, Conversation, RegistrationFailed
from firmware.registration.machine import Event, Progress
from firmware.registration.request import Registrant
from firmware.registration.settings import Plan, plan_from_values
from firmware.services.dialer import Dialer, NoAnswer
from firmware.sip import Tell
from firmware.tls import TlsStream
from firmware.tls.errors import TlsError
from firmware.x509.verdict import Verdict

__all__ = ["Registration"]

RANDOM_BYTES = 8


class Stream(Protocol):
    """What is used of a connection, with TLS or without."""

    async def read(self, nbytes: int = READ_BYTES) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...

    def drop(self) -> None: ...


class PatientWire:
    """A connection whose ``read`` waits until ``until_ns`` only.

    A deadline around a whole TLS read might strike while what has arrived is being worked on, and lose it; around the
    wire's read it can only strike while nothing has arrived.
    """

    secure = False

    def __init__(self, kernel: Kernel, wire: TcpStream) -> None:
        self.peer = wire.peer
        self.until_ns: int | None = None
        """None: for ever."""
        self._kernel = kernel
        self._wire = wire

    async def read(self, nbytes: int = READ_BYTES) -> bytes:
        """As of a ``ByteStream``. TimeoutError when it is time for something else."""
        if self.until_ns is None:
            return await self._wire.read(nbytes)
        # Rounded up, so that it is time when the deadline strikes.
        wait_ms = max(1, -((self._kernel.now_ns - self.until_ns) // 1_000_000))
        with self._kernel.deadline_ms(wait_ms):
            return await self._wire.read(nbytes)

    async def write(self, data: bytes) -> None:
        await self._wire.write(data)

    async def close(self) -> None:
        await self._wire.close()

    def drop(self) -> None:
        self._wire.drop()


class Registration:
    """Registers the phone as configured, from ``update`` on.

    Args:
        ready: whether a certificate is there: TLS waits for it.
        tell: hears what happens, see `firmware.sip.events`.
        log: where one line goes about each failure, and about each registration.
    """

    def __init__(
        self,
        kernel: Kernel,
        costs: Costs,
        dialer: Dialer,
        entropy: Entropy,
        *,
        host: str,
        mac: bytes,
        agent: str,
        ready: Callable[[], bool],
        tell: Tell,
        log: Callable[[str], None],
    ) -> None:
        self.progress = Progress()
        self.plan: Plan | None = None
        self.next_attempt_ns: int | None = None
        """When the next attempt begins, while it waits for that."""
        self._kernel = kernel
        self._costs = costs
        self._dialer = dialer
        self._entropy = entropy
        self._who = Registrant(host, mac, agent, f"{entropy.randbytes(RANDOM_BYTES).hex()}@{host}")
        self._ready = ready
        self._tell = tell
        self._log = log
        self._cseq = 0
        self._services_up = False
        self._task: Task | None = None

    def configure(self, values: Mapping[str, Any]) -> None:
        """Takes the module's values; what was going on ends, and begins anew if there is something to do."""
        self.plan = plan_from_values(values)
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._begin()

    def update(self) -> None:
        """Call it when the services are up, and whenever the certificate may have changed."""
        self._services_up = True
        self._begin()

    def _begin(self) -> None:
        plan = self.plan
        if plan is None or self._task is not None or not self._services_up or (plan.secure and not self._ready()):
            return
        self._task = self._kernel.spawn(self._run(plan), "registration", Priority.SERVICE)

    async def _run(self, plan: Plan) -> None:
        progress = self.progress
        try:
            self._move(Event.BEGIN)
            wait_ms = spread_ms(plan, self._entropy)
            while True:
                await self._wait(wait_ms)
                self._move(Event.DUE)
                self._tell("attempt", progress.attempts)
                try:
                    await self._attempt(plan)
                except RegistrationFailed as failure:
                    self._failed(plan, failure)
                wait_ms = retry_ms(plan, progress.failures_in_a_row, self._entropy)
        finally:
            if progress.stands:
                self._tell("unregistered", "")
            self._move(Event.ENDED)

    async def _wait(self, wait_ms: int) -> None:
        if not wait_ms:
            return
        self.next_attempt_ns = self._kernel.now_ns + wait_ms * 1_000_000
        try:
            await self._kernel.sleep_ms(wait_ms)
        finally:
            self.next_attempt_ns = None

    async def _attempt(self, plan: Plan) -> None:
        """One connection, to its end, which is always a RegistrationFailed."""
        wire = await self._reached(plan)
        try:
            stream = await self._secured(plan, wire) if plan.secure else wire
            self._move(Event.CONNECTED)
            self._tell("connected", "")
            await self._converse(plan, wire, stream)
        finally:
            wire.drop()

    async def _reached(self, plan: Plan) -> PatientWire:
        try:
            return PatientWire(self._kernel, await self._dialer.reach(plan.host, plan.port))
        except NoAnswer as error:
            raise RegistrationFailed("timeout-connect", str(error)) from None
        except ConnectionLost as error:
            raise RegistrationFailed("refused", str(error)) from None

    async def _secured(self, plan: Plan, wire: PatientWire) -> TlsStream:
        try:
            stream = self._dialer.secure(wire, plan.name)
        except TlsError as error:
            raise RegistrationFailed("tls: own certificate", str(error)) from None
        try:
            await stream.handshake()
        except TlsError as error:
            raise RegistrationFailed(tls_reason(stream, error), str(error)) from None
        return stream

    async def _converse(self, plan: Plan, wire: PatientWire, stream: Stream) -> None:
        conversation = Conversation(plan, self._who, self._cseq, self._entropy, wire.peer)
        try:
            await self._say(stream, conversation.begin(self._kernel.now_ns))
            while True:
                await self._say(stream, await self._next(wire, stream, conversation))
                self._follow(plan, conversation)
        except ConnectionLost as error:
            raise RegistrationFailed("lost", str(error)) from None
        except TlsError as error:
            # A TLS 1.3 server judges our certificate only now.
            reason = tls_reason(stream, error) if isinstance(stream, TlsStream) else "lost"
            raise RegistrationFailed(reason, str(error)) from None
        except RegistrationFailed:
            await stream.close()  # properly: the registrar is there, and told us no
            raise
        finally:
            self._cseq = conversation.cseq

    async def _next(self, wire: PatientWire, stream: Stream, conversation: Conversation) -> bytes:
        """Waits for what the registrar says, or for the time; gives what is to be said then."""
        wire.until_ns = conversation.due_ns
        try:
            data = await stream.read()
        except TimeoutError:
            return conversation.tick(self._kernel.now_ns)
        if not data:
            raise ConnectionLost(f"connection to {wire.peer} was closed")
        await self._kernel.work(self._costs.parse(len(data)), "parse")
        return conversation.receive(data, self._kernel.now_ns)

    async def _say(self, stream: Stream, data: bytes) -> None:
        if not data:
            return
        try:
            with self._kernel.deadline_ms(TIMER_F_MS):
                await stream.write(data)
        except TimeoutError:
            raise ConnectionLost(f"nothing could be sent for {TIMER_F_MS // 1_000} s") from None

    def _follow(self, plan: Plan, conversation: Conversation) -> None:
        """Has the state say what the conversation came to."""
        progress = self.progress
        if conversation.pending:
            if progress.stands and progress.state == "registered":
                self._move(Event.REFRESH)
        elif progress.state == "registering":
            first = not progress.stands
            self._move(Event.ACCEPTED)
            if first:
                self._tell("registered", progress.attempts)
                self._log(f"registered as {plan.user} at {plan.registrar}")

    def _failed(self, plan: Plan, failure: RegistrationFailed) -> None:
        progress = self.progress
        progress.last_error = str(failure)
        if failure.reason == "timeout-f":
            progress.timeouts += 1
        elif failure.reason == "pong-timeout":
            progress.pong_timeouts += 1
            self._tell("pong-timeout", "")
        self._tell("failed", failure.reason)
        self._log(f"registration as {plan.user} at {plan.registrar} failed: {failure}")
        self._move(Event.FAILED)

    def _move(self, event: Event) -> None:
        self.progress.move(event, self._kernel.now_ns)


def tls_reason(stream: TlsStream, error: TlsError) -> str:
    """Why a TLS connection failed, in a few words: what we have against the peer, or which alert there was."""
    judgement = stream.judgement
    if judgement is not None and not judgement.ok:
        verdict = judgement.verdict
        reason = verdict.reason if isinstance(verdict, Verdict) else None
        return f"tls: {reason.value if reason is not None else 'refused'}"
    alerts = [event.partition("alert ")[2] for event in stream.events if "alert " in event]
    fatal = [alert for alert in alerts if alert != "close_notify"]
    if fatal:
        return f"tls: {fatal[-1]}"
    return "tls: timeout" if "waited" in str(error) else "tls: connection lost"
