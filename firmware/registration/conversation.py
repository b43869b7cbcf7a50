"""What a phone says to its registrar over one connection, and when: bytes in, bytes out, no connection in sight.

::

    begin ---> REGISTER ......... 200 ..... ping .. pong ..... REGISTER ... 200 .....
                  |   timer F      |  about 120 s  |  10 s  |     ^
                  +--> failed      +---------------+--> failed    | before the time granted is over

Pings are only sent to a registrar that says that it knows them (``Require: outbound``, RFC 5626 6): another one need
not answer.

Not modelled: digest authentication, redirection (3xx counts as a failure), Retry-After, subscriptions and calls.
"""

from __future__ import annotations

from firmware.errors import FirmwareError
from firmware.hal import Entropy
from firmware.registration.chance import keepalive_ms
from firmware.registration.request import Register, Registrant
from firmware.registration.settings import Plan
from firmware.sip.address import addresses_from_header
from firmware.sip.agent import answer, refusal
from firmware.sip.errors import SipError
from firmware.sip.framing import Fault, Framer, Ping
from firmware.sip.message import KEEPALIVE, PONG, SipRequest, SipResponse, is_number

__all__ = ["Conversation", "RegistrationFailed"]

TIMER_F_MS = 32_000
"""RFC 3261 17.1.2.2: 64 * T1. Over TCP and TLS nothing is sent again meanwhile."""

PONG_MS = 10_000
"""RFC 5626 4.4.1."""

MOST_GRANTED_S = 86_400
"""A registrar that grants more is not waited for that long."""

RANDOM_BYTES = 8


class RegistrationFailed(FirmwareError):
    """The connection is of no more use.

    Attributes:
        reason: A short word for counting: ``timeout-f``, ``status-403``, ``pong-timeout``, ``refused`` ...
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Conversation:
    """One connection's worth of registering.

    Args:
        cseq: the number of the last request so far; goes on in ``self.cseq``.
        peer: the registrar, ``host:port``, for what it asks of us.
    """

    def __init__(self, plan: Plan, who: Registrant, cseq: int, entropy: Entropy, peer: str) -> None:
        self.cseq = cseq
        self.accepted = 0
        """How many REGISTERs were answered 200."""
        self._plan = plan
        self._who = who
        self._entropy = entropy
        self._peer = peer
        self._framer = Framer(pinging=True)
        self._tag = self._random()
        self._expires_s = plan.expires_s
        self._raised = False
        self._pinged = False
        self._pending: Register | None = None
        self._due_ns: dict[str, int] = {}

    @property
    def pending(self) -> bool:
        """Whether a REGISTER waits for its answer."""
        return self._pending is not None

    @property
    def due_ns(self) -> int:
        """When to call ``tick``, unless something comes before."""
        return min(self._due_ns.values())

    def begin(self, now_ns: int) -> bytes:
        """The first REGISTER."""
        return self._register(now_ns)

    def tick(self, now_ns: int) -> bytes:
        """What is to be sent now because time has passed. RegistrationFailed: something waited for did not come."""
        if self._is_due("timer-f", now_ns):
            raise RegistrationFailed("timeout-f", f"no answer to REGISTER within {TIMER_F_MS // 1_000} s")
        if self._is_due("pong", now_ns):
            raise RegistrationFailed("pong-timeout", f"no answer to a keep-alive within {PONG_MS // 1_000} s")
        said = b""
        if self._is_due("ping", now_ns):
            del self._due_ns["ping"]
            self._due_ns["pong"] = now_ns + PONG_MS * 1_000_000
            said += KEEPALIVE
        if self._is_due("refresh", now_ns):
            said += self._register(now_ns)
        return said

    def receive(self, data: bytes, now_ns: int) -> bytes:
        """Takes what came; gives what is to be sent for that. RegistrationFailed."""
        return b"".join(self._take(item, now_ns) for item in self._framer.feed(data))

    def _take(self, item: SipRequest | SipResponse | Ping | Fault, now_ns: int) -> bytes:
        if item is Ping.PONG:
            if self._due_ns.pop("pong", None) is not None:
                self._plan_ping(now_ns)
            return b""
        if isinstance(item, SipResponse):
            return self._answered(item, now_ns)
        if isinstance(item, Fault) and item.fatal:
            raise RegistrationFailed("protocol", f"message that cannot be read: {item.error}")
        return self._reply(item)

    def _reply(self, item: SipRequest | Ping | Fault) -> bytes:
        """What the registrar asks of us is answered as it would be on a connection that it began."""
        if isinstance(item, SipRequest):
            return answer(item.received_from(self._peer), self._random(), self._who.agent) or b""
        if isinstance(item, Fault):
            return refusal(item.error, item.error.request, self._random(), self._who.agent) or b""
        return PONG

    def _register(self, now_ns: int) -> bytes:
        self.cseq += 1
        self._pending = Register(self._who, self._plan, self.cseq, self._random(), self._tag, self._expires_s)
        self._due_ns.pop("refresh", None)
        self._due_ns["timer-f"] = now_ns + TIMER_F_MS * 1_000_000
        return self._pending.to_bytes()

    def _answered(self, response: SipResponse, now_ns: int) -> bytes:
        if self._pending is None or response.status < 200 or not self._pending.is_answered_by(response):
            return b""
        self._pending = None
        del self._due_ns["timer-f"]
        if response.status == 423 and not self._raised:
            return self._ask_for_longer(response, now_ns)
        if not 200 <= response.status < 300:
            raise RegistrationFailed(f"status-{response.status}", f"{response.status} {response.reason}".strip())
        self.accepted += 1
        granted_s = self._granted_s(response)
        # Early enough that a whole transaction fits in before the end.
        ahead_s = min(granted_s / 2, max(TIMER_F_MS / 1_000, granted_s / 10))
        self._due_ns["refresh"] = now_ns + int((granted_s - ahead_s) * 1_000_000_000)
        self._pinged = "outbound" in response.tokens("require")
        if self._pinged and not {"ping", "pong"} & self._due_ns.keys():
            self._plan_ping(now_ns)
        return b""

    def _ask_for_longer(self, response: SipResponse, now_ns: int) -> bytes:
        """423 names the shortest time that the registrar takes (RFC 3261 10.2.8); asked for once."""
        least = response.first("min-expires") or ""
        if not (is_number(least) and 0 < int(least) <= MOST_GRANTED_S):
            raise RegistrationFailed("status-423", "423 without a time that could be asked for")
        self._raised, self._expires_s = True, int(least)
        return self._register(now_ns)

    def _granted_s(self, response: SipResponse) -> int:
        """For how long: said with our contact, or for all. RegistrationFailed when it is no time at all."""
        text = response.first("expires")
        try:
            for value in response.all("contact"):
                for contact in addresses_from_header(value):
                    if contact.parameter("+sip.instance") == f"<{self._who.instance}>":
                        text = contact.parameter("expires") or text
        except SipError as error:
            raise RegistrationFailed("protocol", f"200 with contacts that cannot be read: {error}") from None
        if text is None:
            return self._expires_s
        if not (text.isascii() and text.isdigit() and int(text[:10]) > 0):
            raise RegistrationFailed("protocol", f"200 that grants {text[:16]!r} seconds")
        return min(int(text[:10]), MOST_GRANTED_S)

    def _plan_ping(self, now_ns: int) -> None:
        if self._pinged:
            self._due_ns["ping"] = now_ns + keepalive_ms(self._plan, self._entropy) * 1_000_000

    def _is_due(self, what: str, now_ns: int) -> bool:
        return self._due_ns.get(what, now_ns + 1) <= now_ns

    def _random(self) -> str:
        return self._entropy.randbytes(RANDOM_BYTES).hex()
