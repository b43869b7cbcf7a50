"""HTTP/1.1: requests and responses as values, a table of routes, and the task that serves a connection."""

from firmware.http.message import Request, Response, error_response, text_response
from firmware.http.router import BODY_BYTES, Handler, Route, Router
from firmware.http.task import serve_http

__all__ = [
    "BODY_BYTES",
    "Handler",
    "Request",
    "Response",
    "Route",
    "Router",
    "error_response",
    "serve_http",
    "text_response",
]
