"""The registrar: REGISTER requests in, the headers of their 200 out, or a SipError that says why not (RFC 3261 10.3).

::

    connection --- Flow.register(request) ---> who? (From, To)  403 · 404 · 416
                                                   |
                                               may it? (device entry and certificate)  403 · 404
                                                   |
                                               what? (Contact, Expires, CSeq)  400 · 423
                                                   |
                                               room?  503
                                                   |
                                               table changed, all or nothing; every contact of the object goes back

A binding lives as long as it is renewed, and not longer than the connection that it came over: that is the only way to
the device (RFC 5626), and its end says at once that the device is gone.

Not modelled: digest authentication, registering for others, Path (RFC 3327) and GRUU (RFC 5627), the order of contacts
(``q``), two flows of one device as RFC 5626 wants them for failing over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firmware.errors import RequestError
from firmware.sip.address import Address, addresses_from_header, uri_from_text
from firmware.sip.bindings import Binding, Bindings
from firmware.sip.errors import SipError
from firmware.sip.events import Tell
from firmware.sip.message import SipRequest

__all__ = ["Flow", "Registrar"]

DEFAULT_EXPIRES_S = 3_600
"""For those who name no time, or one that cannot be read (RFC 3261 10.2.1.1, 20.19)."""

SHORTEST_EXPIRES_S = 60
"""Less is answered 423: a thousand phones would keep the box busy renewing. The connection's end tells sooner."""

LONGEST_EXPIRES_S = 7_200
"""More is shortened (10.3 step 6 lets the registrar choose): an object that was given up is forgotten by then."""

LARGEST_NUMBER_OF_BINDINGS = 2_000
"""Twice the device entries that there can be: a device may come again over a new connection before the box has heard
that its old one is gone."""

LARGEST_NUMBER_PER_USER = 16
"""Contacts of one object, all of them repeated in each answer: a person has a few devices."""

LONGEST_LABEL = 128
"""Characters of an instance: a UUID's URN has 45."""

LONGEST_CALL_ID = 256

LONELY_ASTERISK = "contact * must be alone and with expires 0"

Admit = Callable[[str, str | None], str]
"""``admit(user, common name of the certificate or None)`` gives the hardware id of the entry that lets it register.
RequestError when nothing does."""


@dataclass
class Counts:
    """What a registrar says of its work since the firmware's start."""

    accepted: int = 0
    """REGISTERs that were answered 200, queries included."""
    refused: int = 0
    expired: int = 0
    """Bindings that were not renewed in time."""
    lost: int = 0
    """Bindings whose connection ended."""


class Registrar:
    """Knows where its objects' devices can be reached.

    Args:
        admit: who may register.
        now_ns: the board's time.
        tell: hears what happens, see `events`.
        sooner: called when a binding came that ends before all others: whoever waits for the next end waits too long.
    """

    def __init__(
        self,
        admit: Admit,
        now_ns: Callable[[], int],
        tell: Tell,
        sooner: Callable[[], None] = lambda: None,
    ) -> None:
        self.bindings = Bindings()
        self.counts = Counts()
        self.sooner = sooner
        self._admit = admit
        self._now_ns = now_ns
        self._tell = tell
        self._flows = 0
        self._next_look_ns: int | None = None

    def flow(self, transport: str, common_name: str | None) -> Flow:
        """A connection that REGISTERs may come over.

        Args:
            transport: ``tls`` or ``tcp``.
            common_name: of the certificate that the device showed, if it was found good; else None.
        """
        self._flows += 1
        return Flow(self, self._flows, transport, common_name)

    def expire(self) -> int | None:
        """Ends what was not renewed; gives the time at which to call again, None when there is nothing left."""
        gone = self.bindings.remove_ended(self._now_ns())
        if gone:
            self.counts.expired += gone
            self._tell("expired", len(self.bindings))
        self._next_look_ns = self.bindings.next_end_ns
        return self._next_look_ns

    def silence_ms(self, flow: Flow) -> int:
        """How long a connection stays open for what was registered over it. Who does outbound is bound to ping."""
        ends_ns = [each.ends_ns for each in self.bindings.over(flow.number) if not each.outbound]
        return max(0, max(ends_ns, default=0) - self._now_ns()) // 1_000_000

    def close(self, flow: Flow) -> None:
        """A connection ended."""
        gone = self.bindings.remove_flow(flow.number)
        if gone:
            self.counts.lost += gone
            self._tell("binding", len(self.bindings))

    def register(self, flow: Flow, request: SipRequest) -> tuple[tuple[str, str], ...]:
        """Carries out a REGISTER; gives the headers of its 200. SipError: nothing was changed."""
        try:
            headers = self._register(flow, request)
        except SipError as error:
            self.counts.refused += 1
            self._tell("refused", f"{error.status} {error}")
            raise
        self.counts.accepted += 1
        return headers

    def _register(self, flow: Flow, request: SipRequest) -> tuple[tuple[str, str], ...]:
        user, aor = _who(request)
        hardware_id = self._admitted(user, flow)
        now_ns = self._now_ns()
        known = self.bindings.of(user)
        if known and min(binding.ends_ns for binding in known) <= now_ns:
            self.bindings.remove([binding for binding in known if binding.ends_ns <= now_ns])
            known = self.bindings.of(user)
        contacts = _contacts(request)
        if contacts is None:
            added, removed = [], _all_of(known, request)
        else:
            made = [self._binding(request, flow, each, user, aor, hardware_id, now_ns) for each in contacts]
            added = [binding for binding in made if binding.ends_ns > now_ns]
            removed = [binding for binding in made if binding.ends_ns <= now_ns]
        _check_order(known, request, [*added, *removed])
        self._check_room(known, added)
        self._change(added, removed)
        return self._answer(user, added, now_ns)

    def _admitted(self, user: str, flow: Flow) -> str:
        try:
            return self._admit(user, flow.common_name)
        except RequestError as error:
            raise SipError(error.status, str(error)) from None

    def _binding(
        self, request: SipRequest, flow: Flow, contact: Address, user: str, aor: str, hardware_id: str, now_ns: int
    ) -> Binding:
        key, labels = _identity(contact)
        known = self.bindings.find(user, key)
        same = known is not None and known.flow == flow.number
        return Binding(
            user,
            aor,
            contact.uri,
            key,
            labels,
            bool(labels) and "outbound" in request.tokens("supported"),
            hardware_id,
            flow.transport,
            flow.number,
            request.first("call-id") or "",
            cseq_number(request),
            known.since_ns if known is not None and same else now_ns,
            now_ns + _expires_s(request, contact) * 1_000_000_000,
        )

    def _check_room(self, known: tuple[Binding, ...], added: list[Binding]) -> None:
        new = len({binding.key for binding in added}.difference([binding.key for binding in known]))
        if new and len(known) + new > LARGEST_NUMBER_PER_USER:
            raise SipError(503, f"{len(known)} contacts of this object already, limit {LARGEST_NUMBER_PER_USER}")
        if new and len(self.bindings) + new > LARGEST_NUMBER_OF_BINDINGS:
            raise SipError(503, f"{len(self.bindings)} bindings already, limit {LARGEST_NUMBER_OF_BINDINGS}")

    def _change(self, added: list[Binding], removed: list[Binding]) -> None:
        before = len(self.bindings)
        self.bindings.remove(removed)
        for binding in added:
            self.bindings.put(binding)
        if added or len(self.bindings) != before:
            self._tell("binding", len(self.bindings))
        if added:
            first_ns = min([binding.ends_ns for binding in added])
            if self._next_look_ns is None or first_ns < self._next_look_ns:
                self.sooner()

    def _answer(self, user: str, added: list[Binding], now_ns: int) -> tuple[tuple[str, str], ...]:
        headers = [
            ("Contact", f"<{binding.contact}>;expires={binding.expires_s(now_ns)}{binding.labels}")
            for binding in self.bindings.of(user)
        ]
        if added:
            headers.append(("Expires", str(min([binding.expires_s(now_ns) for binding in added]))))
            if any(binding.outbound for binding in added):
                headers.append(("Require", "outbound"))  # RFC 5626 6: it was done
        return tuple(headers)


@dataclass(eq=False)
class Flow:
    """One connection, as the registrar sees it."""

    registrar: Registrar
    number: int
    transport: str
    common_name: str | None

    def register(self, request: SipRequest) -> tuple[tuple[str, str], ...]:
        """Headers of the 200 for a REGISTER. SipError."""
        return self.registrar.register(self, request)

    def silence_ms(self) -> int:
        """How long the device may say nothing because of what it registered: until that ends, unless it pings."""
        return self.registrar.silence_ms(self)

    def close(self) -> None:
        """The connection ended, and with it what came over it."""
        self.registrar.close(self)


def cseq_number(request: SipRequest) -> int:
    """The CSeq's number, which was looked at before."""
    return int((request.first("cseq") or "0").partition(" ")[0])


def _who(request: SipRequest) -> tuple[str, str]:
    """User and URI of the address of record. SipError where it is no object's, or somebody else's."""
    to, sender = _one(request, "to"), _one(request, "from")
    uri = uri_from_text(to.uri)
    if not uri.user:
        raise SipError(400, "to names no user")
    if sender.uri != to.uri and uri_from_text(sender.uri).key != uri.key:
        raise SipError(403, "from differs from to")  # nobody registers for others here
    return uri.user, to.uri


def _one(request: SipRequest, name: str) -> Address:
    found = addresses_from_header(request.first(name) or "")
    if len(found) != 1:
        raise SipError(400, f"{name} is not one address")
    return found[0]


def _contacts(request: SipRequest) -> list[Address] | None:
    """The contacts of a request; None: there is an asterisk among them, in the place of all that are known."""
    values = request.all("contact")
    if "*" in values:
        if values != ("*",):
            raise SipError(400, LONELY_ASTERISK)
        return None
    return [address for value in values for address in addresses_from_header(value)]


def _all_of(known: tuple[Binding, ...], request: SipRequest) -> list[Binding]:
    """``Contact: *``, which stands alone and with ``Expires: 0`` (RFC 3261 10.2.2, 10.3 step 6)."""
    if request.first("expires") != "0":
        raise SipError(400, LONELY_ASTERISK)
    return list(known)


def _check_order(known: tuple[Binding, ...], request: SipRequest, touched: list[Binding]) -> None:
    """A request that was overtaken by a later one changes nothing (RFC 3261 10.3 steps 6 and 7)."""
    call_id = request.first("call-id") or ""
    if len(call_id) > LONGEST_CALL_ID:
        raise SipError(400, f"call-id of {len(call_id)} characters, limit {LONGEST_CALL_ID}")
    if not known:
        return
    cseq, keys = cseq_number(request), {binding.key for binding in touched}
    for binding in known:
        if binding.key in keys and binding.call_id == call_id and cseq <= binding.cseq:
            raise SipError(400, f"cseq {cseq} is not above {binding.cseq}")


def _identity(contact: Address) -> tuple[object, str]:
    """What makes it the same binding as another, and what is said of that in answers (RFC 5626 6)."""
    uri = uri_from_text(contact.uri)
    instance, number = contact.parameter("+sip.instance"), contact.parameter("reg-id")
    if instance is None:
        return uri.key, ""
    if len(instance) > LONGEST_LABEL or '"' in instance or "\\" in instance:
        raise SipError(400, f"instance must be at most {LONGEST_LABEL} characters without quotes")
    label = f';+sip.instance="{instance}"'
    if number is None:
        return uri.key, label
    if not (number.isascii() and number.isdigit() and len(number) <= 10 and int(number) >= 1):
        raise SipError(400, "reg-id is not a number from 1 on")  # RFC 5626 4.2
    return (instance, int(number)), f"{label};reg-id={int(number)}"


def _expires_s(request: SipRequest, contact: Address) -> int:
    """Seconds that are granted; 0: the binding is to go."""
    asked = contact.parameter("expires")
    seconds = _delta_seconds(request.first("expires") if asked is None else asked)
    if 0 < seconds < SHORTEST_EXPIRES_S:
        headers = (("Min-Expires", str(SHORTEST_EXPIRES_S)),)
        raise SipError(423, f"{seconds} s asked for, at least {SHORTEST_EXPIRES_S}", headers=headers)
    return min(seconds, LONGEST_EXPIRES_S)


def _delta_seconds(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit()):
        return DEFAULT_EXPIRES_S
    return int(text[:10])
