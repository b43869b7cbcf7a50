"""One SIP connection over TCP or TLS: requests in, responses out, pings answered. And the end of old bindings.

Not modelled: UDP and WebSocket, requests of our own over a connection that a device began.
"""

from __future__ import annotations

from collections.abc import Callable

from firmware.errors import FirmwareError
from firmware.hal import Costs, Entropy
from firmware.kernel import Event, Kernel
from firmware.net import ByteStream, ConnectionLost, discard
from firmware.sip.agent import Register, answer, refusal
from firmware.sip.framing import Fault, Framer, Ping
from firmware.sip.message import PONG, SipRequest, SipResponse
from firmware.sip.registrar import Flow, Registrar

__all__ = ["serve_sip", "watch_bindings"]

IDLE_MS = 300_000
"""Without a word the connection is closed: RFC 5626 4.4.1 has clients ping every 120 s at the latest. Who registered
and does not do that may be silent for as long as the registration lasts besides."""

MESSAGE_MS = 32_000
"""From a message's first byte to its last: 64 * T1, as long as any transaction may take (RFC 3261 17.1.1.2)."""

SEND_MS = 32_000
"""A peer that does not read its responses has given up its transactions by then."""

TAG_BYTES = 8
"""RFC 3261 19.3 wants at least 32 random bits in a tag."""


def ignore(_line: str) -> None:
    """A log that nobody reads."""


def undated() -> str:
    """A clock that was not set."""
    return ""


async def serve_sip(
    kernel: Kernel,
    costs: Costs,
    stream: ByteStream,
    entropy: Entropy,
    server: str = "gatebench",
    log: Callable[[str], None] = ignore,
    *,
    flow: Flow | None = None,
    date: Callable[[], str] = undated,
) -> None:
    """Serves one connection until it ends, and closes it.

    A REGISTER costs, besides its reading, as much as a command: looking things up, and putting the answer together.

    Args:
        entropy: For the tags of responses.
        server: For the Server header: product and firmware version.
        log: Takes one line about each message that could not be taken.
        flow: The connection as its registrar sees it; None: there is no registrar. Closed at the end.
        date: For its Date header; empty while the time is not known.
    """
    framer = Framer()
    register = flow.register if flow is not None else None
    try:
        while data := await _read(kernel, stream, framer, flow):
            await kernel.work(costs.parse(len(data)), "parse")
            for item in framer.feed(data):
                dated = ""
                if register is not None and isinstance(item, SipRequest) and item.method == "REGISTER":
                    await kernel.work(costs.command, "sip")
                    dated = date()
                reply = _reply(item, stream.peer, entropy.randbytes(TAG_BYTES).hex(), server, register, dated)
                if isinstance(item, Fault):
                    log(f"sip message from {stream.peer} refused: {item.error}")
                if reply is not None:
                    with kernel.deadline_ms(SEND_MS):
                        await stream.write(reply)
            if framer.broken:
                await discard(kernel, stream)
                break
        await stream.close()
    except (ConnectionLost, TimeoutError):
        pass  # Whom would one tell?
    except FirmwareError as error:
        log(f"sip connection with {stream.peer}: {error}")
    finally:
        if flow is not None:
            flow.close()
        stream.drop()


async def _read(kernel: Kernel, stream: ByteStream, framer: Framer, flow: Flow | None) -> bytes:
    idle_ms = IDLE_MS if flow is None else IDLE_MS + flow.silence_ms()
    with kernel.deadline_ms(MESSAGE_MS if framer.incomplete else idle_ms):
        return await stream.read()


async def watch_bindings(kernel: Kernel, registrar: Registrar) -> None:
    """Ends the bindings that are not renewed, when it is time to."""
    sooner = Event(kernel)
    registrar.sooner = sooner.set
    while True:
        sooner.clear()
        when_ns = registrar.expire()
        # Rounded up: looking too early would find nothing, and look again at once.
        wait_ms = None if when_ns is None else max(1, -((kernel.now_ns - when_ns) // 1_000_000))
        await sooner.wait(wait_ms)


def _reply(
    item: SipRequest | SipResponse | Ping | Fault,
    peer: str,
    to_tag: str,
    server: str,
    register: Register | None,
    date: str,
) -> bytes | None:
    if isinstance(item, Ping):
        return PONG
    if isinstance(item, SipRequest):
        return answer(item.received_from(peer), to_tag, server, register, date)
    if isinstance(item, Fault):
        request = item.error.request
        return refusal(item.error, request and request.received_from(peer), to_tag, server)
    return None  # We sent no request that this could answer.
