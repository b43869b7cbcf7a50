"""Addresses in SIP headers and the URIs in them, read with limits (RFC 3261 20.10, 25.1 and 19.1).

::

    "Alice" <sips:alice@gw.example:5061;ob>;expires=600;reg-id=1
     name    URI, with parameters of its own  parameters of the header

Not modelled: ``tel:`` and other schemes, headers within URIs, comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from firmware.sip.errors import SipError

__all__ = ["Address", "Uri", "addresses_from_header", "uri_from_text"]

LONGEST_URI = 512
"""Characters: each registered one is kept in memory; ours have some 40, those behind several proxies 200."""

MARKS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*("?)|[<>,;]', re.DOTALL)
"""A quotation, whose group is empty when it does not end, or what takes an address apart outside of quotations."""

PLAIN = re.compile(
    r'[^"<>,;]*+<([^\s<>"]++)>'  # a name without quotes, the URI
    r'((?:;[^\s;=",<>]++(?:=(?:"[^"\\]*+"|[^\s;",<>]++))?+)*+)'  # parameters, quoted values without escapes
)
"""An address as nearly everybody writes it. Nothing that was read is given back (``++``), so time grows with length."""

PLAIN_PARAMETER = re.compile(r';([^;=]++)=?("[^"]*+"|[^;]*+)')
"""One parameter of a plain address."""

PLAIN_URI = re.compile(r"(sips?):([^\s%:;?@]++)@([A-Za-z0-9.-]++)(?::([0-9]{1,5}))?")
"""A URI as nearly everybody writes it: a user without escapes, a host by name or IPv4 address, no parameters."""

NONE: frozenset[str] = frozenset()

NOT_IN_URI = re.compile(r'[\s<>"]')

NO_HOST_OR_PORT = "uri without a host, or with a port that is none"

DEFAULT_PORTS = {"sip": 5060, "sips": 5061}
"""RFC 3261 19.1.2."""


class Address(NamedTuple):
    """One address of a From, To or Contact header."""

    uri: str
    """As it was sent."""
    parameters: tuple[tuple[str, str], ...] = ()
    """(name in lower case, value without quotes) of the header, not of the URI; "" where there is no value."""

    def parameter(self, name: str) -> str | None:
        """A parameter's value; None when it is not there, the first of several."""
        return dict(self.parameters[::-1]).get(name)


class Uri(NamedTuple):
    """A SIP or SIPS URI."""

    scheme: str
    user: str
    """Decoded; empty where there is none."""
    host: str
    """In lower case; an IPv6 address in its brackets."""
    port: int
    """The scheme's own where none is written: a simplification, 19.1.4 holds the two for different."""
    parameters: frozenset[str]
    """``name=value`` each, in lower case."""

    @property
    def key(self) -> tuple[str, str, str, int, frozenset[str]]:
        """Equal for URIs that mean the same. Stricter than RFC 3261 19.1.4 with parameters that only one of them has,
        and blind to headers within URIs."""
        return self.scheme, self.user, self.host, self.port, self.parameters


def addresses_from_header(value: str) -> tuple[Address, ...]:
    """The addresses of one header line. SipError 400 when one of them cannot be read."""
    plain = PLAIN.fullmatch(value)
    if plain is not None and len(plain[1]) <= LONGEST_URI:  # nearly always
        return (Address(plain[1], _plain_parameters(plain[2])),)
    if "," not in value:  # then quotes do not matter
        return (_address(value.strip()),)
    return tuple([_address(part.strip()) for part in _split(value, ",")])


def uri_from_text(text: str) -> Uri:
    """Reads a URI. SipError 400 when it is none, 416 when its scheme is another than sip or sips."""
    if len(text) > LONGEST_URI:
        raise SipError(400, f"uri of {len(text)} characters, limit {LONGEST_URI}")
    plain = PLAIN_URI.fullmatch(text)
    if plain is not None:  # nearly always
        scheme, user, host, port = plain.groups()
        if port is None:
            return Uri(scheme, user, host.lower(), DEFAULT_PORTS[scheme], NONE)
        return Uri(scheme, user, host.lower(), _port(port), NONE)
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon:
        raise SipError(400, "uri without a scheme")
    if scheme not in DEFAULT_PORTS:
        raise SipError(416, "address is neither sip: nor sips:")
    before, at, behind = rest.partition("?")[0].rpartition("@")
    where, *parameters = behind.split(";")
    host, port = _host_and_port(where, DEFAULT_PORTS[scheme])
    user = _decoded(before.partition(":")[0])
    if at and not user:
        raise SipError(400, "uri with an empty user")
    named = frozenset([each.strip().lower() for each in parameters if each.strip()]) if parameters else NONE
    return Uri(scheme, user, host, port, named)


def _address(text: str) -> Address:
    if not text:
        raise SipError(400, "address is empty")
    bracket, tail = _bracketed(text)
    if not bracket:
        # RFC 3261 20.10: without brackets, parameters behind the URI belong to the header.
        uri, *parameters = text.split(";")
        return _checked(uri.strip(), parameters)
    uri, end, behind = tail.partition(">")
    if not end:
        raise SipError(400, "address has no closing bracket")
    behind = behind.strip()
    if behind and not behind.startswith(";"):
        raise SipError(400, "address goes on behind its closing bracket")
    return _checked(uri.strip(), [*_split(behind[1:], ";")] if behind else [])


def _plain_parameters(text: str) -> tuple[tuple[str, str], ...]:
    """Those of an address that was found to be plain."""
    if not text:
        return ()
    return tuple([(name.lower(), value.strip('"')) for name, value in PLAIN_PARAMETER.findall(text)])


def _checked(uri: str, parameters: list[str]) -> Address:
    if not uri or NOT_IN_URI.search(uri):
        raise SipError(400, "address holds no uri")
    if len(uri) > LONGEST_URI:
        raise SipError(400, f"uri of {len(uri)} characters, limit {LONGEST_URI}")
    return Address(uri, tuple([_parameter(each) for each in parameters if each.strip()]))


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return name.strip().lower(), value


def _bracketed(text: str) -> tuple[bool, str]:
    """Whether there is an opening bracket that is not within a quoted name, and what is behind it."""
    if '"' not in text:  # nearly always
        _, bracket, behind = text.partition("<")
        return bool(bracket), behind
    for index, character in marks(text):
        if character == "<":
            return True, text[index + 1 :]
    return False, ""


def _split(text: str, separator: str) -> Iterator[str]:
    """The parts between separators that stand outside of quotes and of brackets."""
    if separator not in text:
        yield text
        return
    start = depth = 0
    for index, character in marks(text):
        if character == "<":
            depth += 1
        elif character == ">":
            depth -= 1
        elif character == separator and depth <= 0:
            yield text[start:index]
            start = index + 1
    yield text[start:]


def marks(text: str) -> Iterator[tuple[int, str]]:
    """(index, character) of each bracket, comma and semicolon that is not quoted.

    SipError 400 when a quotation does not end.
    """
    for mark in MARKS.finditer(text):
        end_quote = mark[1]
        if end_quote is None:
            yield mark.start(), mark[0]
        elif not end_quote:
            raise SipError(400, "address with a quotation that does not end")


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    text = text.strip()
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default)
    if not host:
        raise SipError(400, NO_HOST_OR_PORT)
    return host.lower(), _port(port)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65_535):
        raise SipError(400, NO_HOST_OR_PORT)
    return int(text)


def _decoded(text: str) -> str:
    """Percent signs taken out (RFC 3261 19.1.2)."""
    if "%" not in text:
        return text
    from urllib.parse import unquote

    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise SipError(400, "uri whose user is not UTF-8") from None
