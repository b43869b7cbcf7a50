"""SIP messages: parsing with limits, and building responses (RFC 3261).

Over a stream a message ends where its Content-Length says (RFC 3261 18.3), so that header is not optional here. Names
of headers are read in any case and in their compact forms (7.3.3); folded lines are joined.

Not modelled: bodies in parts, and what a body says; the grammar of headers that nothing here asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from firmware.sip.errors import SipError

__all__ = [
    "KEEPALIVE",
    "MAX_BODY_BYTES",
    "MAX_HEAD_BYTES",
    "PONG",
    "SipRequest",
    "SipResponse",
    "is_number",
    "parse_head",
    "response_bytes",
]

MAX_HEAD_BYTES = 16_384
"""Start line and headers: a request that went through ten proxies takes some 4 KiB."""

MAX_BODY_BYTES = 65_536
"""A session description takes one or two KiB; RFC 3261 18.1.1 speaks of 65,535 bytes as the largest message."""

MAX_HEADERS = 128
"""Headers of one message: more are an attack."""

MOST_DIGITS = 10
"""Of a number in a header: all that are used fit 32 bits, and reading thousands of digits takes its time, or fails."""

SHOWN = 32
"""Characters of a foreign header's name that are repeated in a message."""

KEEPALIVE = b"\r\n\r\n"
PONG = b"\r\n"
"""RFC 5626 4.4.1: a client pings with a double CRLF and wants a single one back."""

COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}
"""Compact forms, RFC 3261 20 and the IANA registry of SIP header fields."""

ONCE = ("from", "to", "call-id", "cseq", "content-length", "max-forwards")
"""Headers that a message can have only once."""

REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Request Entity Too Large",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    423: "Interval Too Brief",
    481: "Call/Transaction Does Not Exist",
    483: "Too Many Hops",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
}

FOLD = re.compile(r"\r\n[ \t]+")
"""A line that begins with a blank goes on with the header before it, RFC 3261 7.3.1."""

TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")
"""RFC 3261 25.1."""

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f]")
"""What no header value may hold: control characters other than the tab."""

USUAL = (
    *("Accept", "Allow", "Call-ID", "Contact", "Content-Length", "Content-Type", "CSeq", "Date", "Event", "Expires"),
    *("From", "Max-Forwards", "Min-Expires", "Require", "Server", "Supported", "To", "User-Agent", "Via"),
)
USUAL_NAMES = {name: name.lower() for name in USUAL}
"""Names as nearly everybody writes them, ourselves included: these need no look at each of their characters."""

PLAIN_LINE = re.compile(r"^([A-Za-z-]+):([^\r\n]*)", re.MULTILINE)
"""A header as nearly everybody writes it: no blank before the colon."""

ECHOED = ("From", "To", "Call-ID", "CSeq")
"""What a response takes from its request besides Via (RFC 3261 8.2.6.2)."""

_line = "%s: %s".__mod__


class Headers:
    """Looking things up in what follows a start line."""

    headers: tuple[tuple[str, str], ...]
    """(name in lower case and long form, value), in order."""
    _first: dict[str, str]

    def __post_init__(self) -> None:
        # Read backwards, so that the first of several stays. Past the freezing: it is no more than an index.
        object.__setattr__(self, "_first", dict(self.headers[::-1]))

    def first(self, name: str) -> str | None:
        """The first value of a header; None when it is not there."""
        return self._first.get(name)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in order."""
        first = self._first.get(name)
        if first is None:
            return ()
        if len(self._first) == len(self.headers):  # nearly always: nothing occurs twice
            return (first,)
        return tuple([value for key, value in self.headers if key == name])

    def tell(self, names: Iterable[str]) -> bool:
        """Whether all of these headers are there, and none is empty."""
        return all(map(self._first.get, names))

    def tokens(self, name: str) -> tuple[str, ...]:
        """The comma-separated words of a header."""
        if name not in self._first:
            return ()
        words = ",".join(self.all(name)).split(",")
        return tuple(filter(None, map(str.strip, words)))

    @property
    def body_bytes(self) -> int:
        """Length of the body. SipError 400 when it is missing or no number."""
        value = self.first("content-length")
        if value is None:
            raise SipError(400, "content-length is missing, a stream needs it")
        if not (value.isascii() and value.isdigit() and len(value) <= 9):
            raise SipError(400, "content-length is not a number")
        return int(value)


@dataclass(frozen=True)
class SipRequest(Headers):
    """A request's start line and headers, and its body once it has come."""

    method: str
    uri: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def received_from(self, peer: str) -> SipRequest:
        """The same request, its topmost Via completed with where it came from (``host:port``)."""
        top = self.first("via")
        if top is None:
            return self
        completed = received_via(top, peer)
        if completed == top:
            return self
        index = self.headers.index(("via", top))
        changed = (*self.headers[:index], ("via", completed), *self.headers[index + 1 :])
        return SipRequest(self.method, self.uri, self.version, changed, self.body)


@dataclass(frozen=True)
class SipResponse(Headers):
    """A response's start line and headers; bodies are passed over."""

    status: int
    headers: tuple[tuple[str, str], ...]
    reason: str = ""


def is_number(text: str) -> bool:
    """Whether it is a whole number from 0, of digits alone, and short enough to be one of SIP's."""
    return len(text) <= MOST_DIGITS and text.isascii() and text.isdigit()


def parse_head(head: bytes) -> SipRequest | SipResponse:
    """Reads a start line and headers, without the empty line that ends them.

    Raises:
        SipError: it is not a SIP message; ``request`` holds what could be read of it, enough to answer or not.
    """
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        # RFC 3261 7: UTF-8. What it was can still be answered.
        text = head.decode("utf-8", errors="replace")
    start, _, rest = text.partition("\r\n")
    headers, problem = _headers(rest)
    if start.startswith("SIP/2.0 "):
        status = start[8:11]
        if not (status.isascii() and status.isdigit()):
            raise SipError(400, "status is not a number")
        return SipResponse(int(status), headers, start[12:])
    request = _request(start, headers)
    if problem:
        raise SipError(400, problem, request)
    return request


def _request(start: str, headers: tuple[tuple[str, str], ...]) -> SipRequest:
    parts = start.split(" ")
    if len(parts) != 3 or not parts[0] or not set(parts[0]) <= TOKEN:
        raise SipError(400, "request line is not method, address and version", SipRequest("", "", "", headers))
    method, uri, version = parts
    request = SipRequest(method, uri, version, headers)
    if not version.upper().startswith("SIP/"):
        raise SipError(400, "request line does not end with a SIP version", request)
    if version.upper() != "SIP/2.0":
        raise SipError(505, "only SIP/2.0 is spoken here", request)
    return request


def _headers(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """The headers that can be read, and what was wrong with the first that cannot; empty when all is well."""
    headers, problem = _plain_headers(text), ""
    if not headers:
        headers, problem = _any_headers(text)
    if len(dict(headers)) < len(headers):
        names = [name for name, _ in headers]
        repeated = next((name for name in ONCE if names.count(name) > 1), None)
        if repeated is not None:
            problem = problem or f"header {repeated} occurs more than once"
    return headers, problem


def _plain_headers(text: str) -> tuple[tuple[str, str], ...]:
    """The headers, read at one go where nothing is unusual about any of them; nothing where something is."""
    found = PLAIN_LINE.findall(text)
    number_of_lines = text.count("\r\n") + 1
    if len(found) != number_of_lines or number_of_lines > MAX_HEADERS or not text.replace("\r\n", "").isprintable():
        return ()
    names, values = zip(*found, strict=True)
    try:
        return tuple(zip(map(USUAL_NAMES.__getitem__, names), map(str.strip, values), strict=True))
    except KeyError:
        return ()


def _any_headers(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """The same, line by line: folded ones, compact forms, rare names, and whatever is no header."""
    headers: list[tuple[str, str]] = []
    problem = ""
    if "\r\n " in text or "\r\n\t" in text:
        text = FOLD.sub(" ", text)
    for line in text.split("\r\n"):
        if not line:
            continue
        raw_name, colon, value = line.partition(":")
        name = _name(raw_name)
        if not colon or not name:
            problem = problem or "a header line has no name"
            continue
        if CONTROL.search(value):
            problem = problem or f"header {name[:SHOWN]} holds control characters"
            continue
        if len(headers) >= MAX_HEADERS:
            return tuple(headers), problem or f"more than {MAX_HEADERS} headers"
        headers.append((COMPACT.get(name, name), value.strip()))
    return tuple(headers), problem


def _name(text: str) -> str:
    """A header's name in lower case; empty when it is none."""
    name = text.strip().lower()
    return name if set(name) <= TOKEN else ""


def response_bytes(
    request: SipRequest,
    status: int,
    to_tag: str,
    headers: tuple[tuple[str, str], ...] = (),
    reason: str = "",
) -> bytes:
    """A response without a body: Via, From, To, Call-ID and CSeq as in the request (RFC 3261 8.2.6.2).

    Args:
        to_tag: Put on To where the request's has none.
        headers: What comes behind those.
        reason: Instead of the status's own words: RFC 3261 21.4.1 wants the detail there.
    """
    told = [("Via", value) for value in request.all("via")]
    for name in ECHOED:
        value = request.first(USUAL_NAMES[name])
        if value is not None:
            told.append((name, tagged(value, to_tag) if name == "To" else value))
    lines = (f"SIP/2.0 {status} {reason or REASONS[status]}", *map(_line, told), *map(_line, headers))
    return "\r\n".join((*lines, "Content-Length: 0", "", "")).encode("utf-8")


def received_via(value: str, peer: str) -> str:
    """The topmost Via with where its request really came from: received (RFC 3261 18.2.1) and rport (RFC 3581 4)."""
    top, comma, others = value.partition(",")
    sent_by, *parameters = map(str.strip, top.split(";"))
    named = sent_by.rpartition(" ")[2]
    host, _, port = peer.rpartition(":")
    true = named in (host, peer) or named.rpartition(":")[0] == host
    if true and "rport" not in top.lower():  # nearly always: there is nothing to be said
        return value
    asked = [index for index, part in enumerate(parameters) if part.lower() == "rport"]
    for index in asked:
        parameters[index] = f"rport={port}"
    if asked or not true:
        parameters = [part for part in parameters if not part.lower().startswith("received=")]
        parameters.append(f"received={host.strip('[]')}")
    return ";".join((sent_by, *parameters)) + comma + others


def tagged(address: str, tag: str) -> str:
    """``address`` with a tag, unless it has one: parameters begin behind the angle brackets, if there are any."""
    parameters = address.rpartition(">")[2] if ">" in address else address.partition(";")[2]
    if not parameters:  # nearly always: a request that begins something
        return f"{address};tag={tag}"
    names = {parameter.partition("=")[0].strip().lower() for parameter in parameters.split(";")}
    return address if "tag" in names else f"{address};tag={tag}"
