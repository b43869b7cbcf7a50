"""A TLS connection as a task uses it: the engine's steps, paid for before their output leaves the board.

::

    wire --> engine.step --> events, judgement --> cost --> kernel.work, others run meanwhile --> output --> wire
                                                                                              --> plaintext to caller
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

from firmware.hal import Costs
from firmware.kernel import Kernel
from firmware.kernel.spans import span
from firmware.net import READ_BYTES, ByteStream, ConnectionLost
from firmware.tls.contexts import ContextCache
from firmware.tls.cost import Charge, CostMeter
from firmware.tls.credentials import Credentials
from firmware.tls.engine import CLOSED, FAILED, HANDSHAKE, OPEN, Engine, Step
from firmware.tls.errors import TlsError
from firmware.tls.judgement import Judgement, PeerCheck, Role
from firmware.tls.messages import TlsEvent, alert_sentence
from firmware.tls.profiles import DEFAULT_PROFILE, Profile

if TYPE_CHECKING:
    from OpenSSL import SSL

__all__ = ["CredentialsForName", "TlsStatistics", "TlsStream", "accept_tls", "client_stream", "connect_tls"]

T = TypeVar("T")

HANDSHAKE_MS = 30_000
"""How long a peer may keep us waiting during its handshake, all waits together: one that says nothing holds memory.
One time for the whole handshake, as TLS stacks have it, so a client that stands in a busy server's line loses its
patience there, too: that limits how many can be served after a power cut. Our own work does not count. Then many peers
come at once, a 4096-bit key takes 1.9 s of a 200 MHz CPU for each of them, and giving them up for that would only make
them come again."""

CLOSE_MS = 1_000
"""How long a close_notify may wait for room in the peer's window."""

MAX_UNREAD_BYTES = 262_144
"""Plaintext that arrived and was not asked for; a step can give no more than came in, so this bounds a fault."""

PIECE_BYTES = 16_384
"""Written at once: one record, so that a large answer is charged, and leaves, bit by bit."""

KEPT_EVENTS = 32
"""Of a connection's messages and alerts; a handshake has some 20, and more come from peers that mean no good."""

cycles_of = itemgetter(1)
"""Of a charge."""

CredentialsForName = Callable[[str | None], Credentials | None]
"""What a server presents to a client that asks for this name, or for none; None: what it presents otherwise."""


@dataclass
class TlsStatistics:
    """What a device says of its TLS work."""

    handshakes: int = 0
    """Finished server handshakes since power-on."""
    failed: int = 0
    """Server handshakes that ended otherwise."""
    last_us: int = 0
    """CPU time that was charged for the last finished server handshake."""


@coroutine
def resumed(waiting: Coroutine[Any, Any, T], wish: Any) -> Generator[Any, Any, T]:
    """Awaitable: the rest of a coroutine that has begun, and waits for ``wish``."""
    while True:
        try:
            yield wish
        except BaseException as error:
            try:
                wish = waiting.throw(error)
            except StopIteration as end:
                return cast(T, end.value)
        else:
            return cast(T, (yield from waiting))


def ignore(_line: str) -> None:
    """A log that nobody reads."""


class TlsStream:
    """A ``ByteStream`` through TLS, to be used when its handshake is done.

    Made by ``accept_tls`` and ``connect_tls``; by ``client_stream`` for whoever wants to look at one that fails.
    """

    secure = True

    def __init__(
        self,
        kernel: Kernel,
        costs: Costs,
        wire: ByteStream,
        engine: Engine,
        meter: CostMeter,
        log: Callable[[str], None],
        check: PeerCheck | None = None,
    ) -> None:
        self.peer = wire.peer
        self.handshake_cycles = 0
        """Cycles charged for the handshake."""
        self._events: list[TlsEvent] = []
        self._check = check
        self._judged = check is None
        """Whether there is nobody, or nothing more, to be told of a judgement."""
        self._kernel = kernel
        self._wire = wire
        self._engine = engine
        self._meter = meter
        self._log = log
        self._unread = bytearray()
        self._handshake_done = False
        self._patience_ns = HANDSHAKE_MS * 1_000_000

    @property
    def version(self) -> str:
        """Protocol version, for example ``TLSv1.2``."""
        return self._engine.version

    @property
    def cipher(self) -> str:
        """Name of the cipher suite, in OpenSSL's words."""
        return self._engine.cipher

    @property
    def peer_chain_der(self) -> tuple[bytes, ...]:
        """Certificates that the peer showed, its own first, whether it was accepted or not."""
        return self._engine.peer_chain_der

    @property
    def judgement(self) -> Judgement | None:
        """What was said of them; None where nobody judged, or there was nothing to judge."""
        return self._engine.judgement

    @property
    def events(self) -> list[str]:
        """Messages and alerts so far, ours with ``>`` in front: ``<Certificate``, ``>alert unknown_ca``."""
        return [str(event) for event in self._events]

    @property
    def failure(self) -> str:
        """Why the connection failed; empty while it has not."""
        return self._engine.failure

    async def handshake(self) -> None:
        """Goes through the handshake. TlsError when it fails, when the peer is too slow, or when it goes away."""
        if self._kernel.spans is None:
            await self._shake_hands()
        else:
            with span(self._kernel, self.peer, f"tls {self._engine.role.value} handshake"):
                await self._shake_hands()

    async def _shake_hands(self) -> None:
        engine = self._engine
        try:
            if engine.role is Role.CLIENT:
                await self._settle(engine.step(b""))
            while engine.state is HANDSHAKE:
                await self._advance()
        except TimeoutError:
            raise TlsError(f"tls handshake with {self.peer}: waited {HANDSHAKE_MS // 1_000} s for the peer") from None
        except ConnectionLost as error:
            raise TlsError(f"tls handshake with {self.peer}: {error}") from None
        self._handshake_done = True
        if engine.state is not OPEN:
            raise TlsError(f"tls handshake with {self.peer} failed: {engine.failure or 'closed by the peer'}")

    async def read(self, nbytes: int = READ_BYTES) -> bytes:
        """Waits for what the peer says; ``b""`` after its close_notify.

        Raises:
            ConnectionLost: the connection ended without one.
            TlsError: the peer broke the protocol.
        """
        while not self._unread:
            if self._engine.state is CLOSED:
                return b""
            self._raise_failure()
            await self._advance()
        data = bytes(self._unread[:nbytes])
        del self._unread[:nbytes]
        return data

    async def hear(self) -> None:
        """Waits for the peer's next word, whatever it is: a ticket, data, an alert. TlsError when it is a refusal."""
        if not self._unread and self._engine.state is OPEN:
            await self._advance()
        self._raise_failure()

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            self._raise_failure()
            if self._engine.state is not OPEN:
                raise ConnectionLost(f"connection to {self.peer} is {self._engine.state.value}")
            step = self._engine.send(piece)
            await self._pay(self._meter.records(len(piece)))
            await self._settle(step)

    async def close(self) -> None:
        """Says close_notify and ends the connection; a peer that is gone is no error."""
        try:
            if self._engine.state is OPEN:
                with self._kernel.deadline_ms(CLOSE_MS):
                    await self._settle(self._engine.close())
        except (ConnectionLost, TimeoutError):
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        self._wire.drop()

    async def _advance(self) -> None:
        """One step with what comes from the wire next."""
        data = await self._waiting(self._wire.read(READ_BYTES))
        step = self._engine.step(data) if data else self._engine.eof()
        await self._settle(step)

    async def _settle(self, step: Step) -> None:
        """Pays for a step, and only then lets its output go and its plaintext be seen."""
        if step.events or step.state is FAILED:
            await self._account_for(step)
        if step.plaintext:
            await self._pay(self._meter.records(len(step.plaintext)))
            self._keep(step.plaintext)
        for alert in step.alerts:
            if alert.name != "close_notify":
                self._log(alert_sentence(alert, self.peer))
        if step.output:
            try:
                await self._waiting(self._wire.write(step.output))
            except ConnectionLost:
                # A peer that hangs up right after its last word is common; it only matters while we have more to say.
                if step.state is HANDSHAKE or step.state is OPEN:
                    raise

    async def _account_for(self, step: Step) -> None:
        """Pays for what happened in a step; whom we judged is told before the peer hears of it."""
        charges = self._meter.handshake(step.events)
        judgement = None if self._judged else self._engine.judgement
        if judgement is not None:
            charges += judgement.charges
        if self._kernel.spans is None:
            await self._pay(charges)
        else:
            with span(self._kernel, self.peer, " ".join(map(str, step.events))):
                await self._pay(charges)
        if judgement is not None and self._check is not None:
            self._judged = True
            self._check.judged(self.peer, self._engine.role, self._engine.peer_chain_der, judgement)
        self._events += step.events[: KEPT_EVENTS - len(self._events)]

    @coroutine
    def _waiting(self, peer: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Awaitable: waits for the peer; during the handshake only as long as patience lasts.

        TimeoutError when that is over. Most of what is written is taken at once: that far, no deadline is set.
        """
        answer: T
        if self._handshake_done:
            answer = yield from peer
            return answer
        try:
            wish = peer.send(None)
        except StopIteration as end:
            answer = end.value
            return answer
        began_ns = self._kernel.now_ns
        try:
            with self._kernel.deadline_ms(max(1, self._patience_ns // 1_000_000)):
                return (yield from resumed(peer, wish))
        finally:
            self._patience_ns -= self._kernel.now_ns - began_ns

    async def _pay(self, charges: Sequence[Charge]) -> None:
        kernel = self._kernel
        if not self._handshake_done:
            self.handshake_cycles += sum(map(cycles_of, charges))
            if kernel.spans is not None:
                await self._pay_in_spans(charges)
                return
        for kind, cycles in charges:
            await kernel.work(cycles, kind)

    async def _pay_in_spans(self, charges: Sequence[Charge]) -> None:
        for kind, cycles in charges:
            with span(self._kernel, self.peer, kind):
                await self._kernel.work(cycles, kind)

    def _keep(self, plaintext: bytes) -> None:
        self._unread += plaintext
        if len(self._unread) > MAX_UNREAD_BYTES:
            raise TlsError(f"{len(self._unread)} bytes from {self.peer} were not read, limit {MAX_UNREAD_BYTES}")

    def _raise_failure(self) -> None:
        if self._engine.state is FAILED:
            if "without close_notify" in self._engine.failure:
                raise ConnectionLost(f"connection to {self.peer} ended without close_notify")
            raise TlsError(f"tls connection with {self.peer} failed: {self._engine.failure}")


async def accept_tls(
    kernel: Kernel,
    costs: Costs,
    wire: ByteStream,
    contexts: ContextCache,
    credentials: Credentials,
    profile: Profile = DEFAULT_PROFILE,
    statistics: TlsStatistics | None = None,
    log: Callable[[str], None] = ignore,
    *,
    check: PeerCheck | None = None,
    credentials_for: CredentialsForName | None = None,
) -> TlsStream:
    """A server's end, handshake done. On TlsError the connection is closed already, and the log knows.

    Args:
        credentials: What is presented to a client that asks for no name, or for one without a certificate of its own.
        check: Who judges clients; None asks them for no certificate.
        credentials_for: Finds what else is presented, by the name that a client asks for.
    """
    statistics = statistics if statistics is not None else TlsStatistics()
    try:
        meter = CostMeter(costs, credentials, judged=check is not None)

        context = contexts.server(credentials, profile, check)

        def context_for_name(name: str | None) -> SSL.Context:
            found = credentials_for(name) if credentials_for is not None else None
            meter.credentials = found or credentials
            return context if found is None else contexts.server(found, profile, check)

        engine = Engine(
            context,
            Role.SERVER,
            judge=check.judge if check is not None else None,
            context_for_name=context_for_name if credentials_for is not None else None,
        )
        stream = TlsStream(kernel, costs, wire, engine, meter, log, check)
        await stream.handshake()
    except TlsError as error:
        statistics.failed += 1
        log(str(error))
        wire.drop()
        raise
    except BaseException:
        wire.drop()
        raise
    statistics.handshakes += 1
    statistics.last_us = stream.handshake_cycles * 1_000_000 // kernel.cpu.hz
    return stream


async def connect_tls(
    kernel: Kernel,
    costs: Costs,
    wire: ByteStream,
    contexts: ContextCache,
    server_name: str | None = None,
    credentials: Credentials | None = None,
    profile: Profile = DEFAULT_PROFILE,
    log: Callable[[str], None] = ignore,
    *,
    check: PeerCheck | None = None,
) -> TlsStream:
    """A client's end, handshake done; arguments and errors as of ``client_stream`` and ``accept_tls``.

    In TLS 1.3 a server judges our certificate only after that: its refusal comes with the first ``read``.
    """
    try:
        stream = client_stream(kernel, costs, wire, contexts, server_name, credentials, profile, log, check=check)
        await stream.handshake()
    except BaseException:
        wire.drop()
        raise
    return stream


def client_stream(
    kernel: Kernel,
    costs: Costs,
    wire: ByteStream,
    contexts: ContextCache,
    server_name: str | None = None,
    credentials: Credentials | None = None,
    profile: Profile = DEFAULT_PROFILE,
    log: Callable[[str], None] = ignore,
    *,
    check: PeerCheck | None = None,
) -> TlsStream:
    """A client's end whose handshake is still to be done.

    Args:
        server_name: Whom we ask for; addresses are not sent.
        credentials: What we present if the server asks for it.
        check: Who judges the server; None takes any.

    Raises:
        TlsError: The credentials cannot be used, or the name can be none.
    """
    engine = Engine(
        contexts.client(credentials, profile, check),
        Role.CLIENT,
        server_name,
        judge=check.judge if check is not None else None,
    )
    meter = CostMeter(costs, credentials, judged=check is not None)
    return TlsStream(kernel, costs, wire, engine, meter, log, check)
