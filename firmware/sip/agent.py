"""What a user agent server answers to a request: a pure function of the request (RFC 3261 8.2).

It knows OPTIONS, by which others find out whether somebody is there, and REGISTER where there is a registrar. Methods
that SIP defines and that this device does not offer yet are answered 405 with what is allowed, others 501, as 8.2.1 and
21.5.2 tell apart.

Not modelled: transactions of their own (over a stream nothing comes twice), dialogs and calls, digest authentication.
"""

from __future__ import annotations

from collections.abc import Callable

from firmware.sip.errors import SipError
from firmware.sip.message import REASONS, SipRequest, is_number, response_bytes

__all__ = ["ALLOWED", "answer", "refusal"]

ALLOWED = ("OPTIONS",)
"""At every end; a registrar takes REGISTER besides."""

KNOWN = frozenset(
    (
        "ACK",
        "BYE",
        "CANCEL",
        "INFO",
        "INVITE",
        "MESSAGE",
        "NOTIFY",
        "OPTIONS",
        "PRACK",
        "PUBLISH",
        "REFER",
        "REGISTER",
        "SUBSCRIBE",
        "UPDATE",
    )
)
"""Methods of RFC 3261 and its extensions, from the IANA registry of SIP methods."""

SUPPORTED: tuple[str, ...] = ("outbound",)
"""Option tags: ``outbound`` since we answer its keep-alive (RFC 5626 4.4.1)."""

SCHEMES = ("sip", "sips")

SHOWN = 32
"""Characters of a foreign word that are repeated in a message."""

REQUIRED = ("via", "from", "to", "call-id", "cseq")
"""RFC 3261 8.1.1, as far as a server needs them; Max-Forwards is not insisted on, RFC 2543 did not have it."""

EXPLAINED = (400, 403, 404, 423, 503)
"""Statuses whose reason phrase says in brackets what the matter is (RFC 3261 21.4.1 asks for that with 400)."""

Headers = tuple[tuple[str, str], ...]

Register = Callable[[SipRequest], Headers]
"""Carries out a REGISTER; gives the headers of its 200, or raises SipError."""


def answer(
    request: SipRequest, to_tag: str, server: str, register: Register | None = None, date: str = ""
) -> bytes | None:
    """The response to a request; None for ACK, which has none.

    Args:
        to_tag: Fresh for each request, hard to guess (RFC 3261 19.3).
        server: For the Server header.
        register: The registrar; None: there is none at this end.
        date: For the Date header of a registrar's answers (RFC 3261 10.3 step 8); empty while the time is not known.
    """
    if request.method == "ACK":
        return None
    allowed = ALLOWED if register is None else (*ALLOWED, "REGISTER")
    try:
        _inspect(request, allowed)
        if request.method == "REGISTER" and register is not None:
            dated: Headers = (("Date", date),) if date else ()
            return response_bytes(request, 200, to_tag, (*register(request), *dated, ("Server", server)))
    except SipError as error:
        return refusal(error, request, to_tag, server)
    if request.method == "CANCEL":
        # RFC 3261 9.2: there is no transaction that it could belong to.
        return response_bytes(request, 481, to_tag, (("Server", server),))
    return response_bytes(request, 200, to_tag, (*_abilities(allowed), ("Server", server)))


def refusal(error: SipError, request: SipRequest | None, to_tag: str, server: str) -> bytes | None:
    """The response that says what was wrong; None where too little was readable to answer anybody, or to an ACK."""
    if request is None or request.method == "ACK" or not request.tell(REQUIRED):
        return None
    headers: Headers = (*error.headers, ("Server", server))
    if error.status == 420:
        unknown = [tag for tag in request.tokens("require") if tag not in SUPPORTED]
        headers = (("Unsupported", ", ".join(unknown)), *headers)
    reason = f"{REASONS[error.status]} ({error})" if error.status in EXPLAINED else ""
    return response_bytes(request, error.status, to_tag, headers, reason)


def _inspect(request: SipRequest, allowed: tuple[str, ...]) -> None:
    """The checks of RFC 3261 8.2.1 to 8.2.3, in that order."""
    if not request.tell(REQUIRED):
        missing = next(name for name in REQUIRED if not request.first(name))
        raise SipError(400, f"header {missing} is missing", request)
    number, _, method = (request.first("cseq") or "").partition(" ")
    if not is_number(number) or int(number) >= 2**31:
        raise SipError(400, "cseq does not begin with a number below 2^31", request)
    if method.strip() != request.method:
        raise SipError(400, "cseq names another method than the request line", request)
    offered: Headers = (("Allow", ", ".join(allowed)),)
    if request.method not in KNOWN:
        raise SipError(501, f"method {request.method[:SHOWN]} is not known", request, offered)
    if request.method not in (*allowed, "CANCEL"):
        raise SipError(405, f"method {request.method} is not offered", request, offered)
    if request.uri.partition(":")[0].lower() not in SCHEMES:
        raise SipError(416, "address is neither sip: nor sips:", request)
    hops = request.first("max-forwards")
    if hops is not None and (not is_number(hops) or int(hops) > 255):
        raise SipError(400, "max-forwards is not a number up to 255", request)
    if request.method != "CANCEL" and any(tag not in SUPPORTED for tag in request.tokens("require")):
        raise SipError(420, "an extension is required that is not supported", request)


def _abilities(allowed: tuple[str, ...]) -> Headers:
    """What an OPTIONS request asks for (RFC 3261 11.2)."""
    return (
        ("Allow", ", ".join(allowed)),
        ("Accept", "application/sdp"),
        ("Accept-Encoding", "identity"),
        ("Accept-Language", "en"),
        ("Supported", ", ".join(SUPPORTED)),
    )
