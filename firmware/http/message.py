"""HTTP requests and responses as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qs, unquote

from firmware.errors import RequestError

__all__ = ["Request", "Response", "error_response", "path_from_target", "text_response"]

MAX_PARAMETERS = 64
"""Fields in one query string: no form here comes near it, and parsing stays cheap."""

NO_HEADERS: MappingProxyType[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Request:
    """One request, its body complete."""

    method: str
    target: str
    """Path and query as sent."""
    path: str
    """Decoded, starts with a slash, without the query."""
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    """Names in lower case; of a repeated one, the values joined by commas."""
    body: bytes = b""
    secure: bool = False
    """Whether it came through TLS."""
    peer: str = ""

    @cached_property
    def query(self) -> dict[str, str]:
        """Fields of the query string; of a repeated one, the last. RequestError 400 when there are too many."""
        _, _, query = self.target.partition("?")
        try:
            fields = parse_qs(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
        except ValueError:
            raise RequestError(400, f"more than {MAX_PARAMETERS} fields in the query") from None
        return {name: values[-1] for name, values in fields.items()}


@dataclass(frozen=True)
class Response:
    """One answer. Length, date, server and security headers are put on by whoever sends it."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = field(default=())


def text_response(text: str, content_type: str = "text/html; charset=utf-8", status: int = 200) -> Response:
    """An answer made of text, in UTF-8."""
    return Response(status, content_type, text.encode("utf-8"))


def error_response(status: int, reason: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A refusal in plain text: the status, its name, and one line that says why."""
    text = f"{status} {HTTPStatus(status).phrase}\n{reason}\n"
    return Response(status, "text/plain; charset=utf-8", text.encode("utf-8"), headers)


def path_from_target(target: str) -> str:
    """The decoded path of a request target in origin or absolute form (RFC 9112 3.2). RequestError 400 otherwise."""
    raw = target.partition("?")[0]
    for scheme in ("http://", "https://"):
        if raw.lower().startswith(scheme):
            _, slash, rest = raw[len(scheme) :].partition("/")
            raw = slash + rest or "/"
    if not raw.startswith("/"):
        raise RequestError(400, "request target does not start with a slash")
    try:
        path = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise RequestError(400, "request path is not UTF-8") from None
    if any(ord(character) < 32 for character in path) or ".." in path.split("/"):
        raise RequestError(400, "request path holds control characters or goes upwards")
    return path
