"""Which handler answers a request: exact paths, and per path the methods that it knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from firmware.errors import RequestError
from firmware.http.message import Request, Response

__all__ = ["BODY_BYTES", "Handler", "MethodNotAllowed", "Route", "Router"]

Handler = Callable[[Request], Response | Awaitable[Response]]

BODY_BYTES = 262_144
"""Largest request body: an uploaded chain of ten 4096-bit certificates with a key takes some 25 KiB as PEM."""


@dataclass(frozen=True)
class Route:
    """How one path answers one method. It is looked up before the body is read, so a refusal costs nothing."""

    handler: Handler
    body_bytes: int = BODY_BYTES
    """Largest body that is taken."""
    secure_only: bool = False
    """True for what must not travel in the clear: refused over plain HTTP before the body is read."""


class MethodNotAllowed(RequestError):
    """The path exists, but not for this method."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(405, f"{method} is not possible here, only {', '.join(allowed)}")
        self.allowed = allowed


class Router:
    """A table of routes."""

    def __init__(self) -> None:
        self._routes: dict[str, dict[str, Route]] = {}

    def add(
        self, method: str, path: str, handler: Handler, *, body_bytes: int = BODY_BYTES, secure_only: bool = False
    ) -> None:
        """Lets ``handler`` answer ``method`` at ``path``. ValueError when that is taken."""
        methods = self._routes.setdefault(path, {})
        if method in methods:
            raise ValueError(f"{method} {path} has a handler already")
        methods[method] = Route(handler, body_bytes, secure_only)

    def get(self, path: str, handler: Handler) -> None:
        """Lets ``handler`` answer GET and HEAD at ``path``. Their requests carry no body worth reading."""
        self.add("GET", path, handler, body_bytes=0)

    def find(self, method: str, path: str) -> Route:
        """The route of a request. HEAD is answered as GET. RequestError 404, MethodNotAllowed 405."""
        methods = self._routes.get(path)
        if methods is None:
            raise RequestError(404, f"there is no page {path}")
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodNotAllowed(method, allowed_methods(methods))
        return route


def allowed_methods(methods: dict[str, Route]) -> tuple[str, ...]:
    """For the Allow header: HEAD goes with GET."""
    names = set(methods)
    if "GET" in names:
        names.add("HEAD")
    return tuple(sorted(names))
