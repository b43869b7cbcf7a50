"""One HTTP/1.1 connection, over TCP or TLS: read a request, find who answers, send the answer, again.

::

    idle --first byte--> head --> route --> body --> handler --> answer --keep-alive--> idle
      |  IDLE_MS: closed   |  HEAD_MS: 408, 16 KiB: 431            |
                           |  404, 405, 413, 403: before the body  +--close--> the rest is read and thrown away

h11 is the protocol machine; this file awaits, charges and limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from inspect import isawaitable
from types import MappingProxyType
from typing import TYPE_CHECKING

from firmware.errors import FirmwareError, RequestError, text_from_error
from firmware.hal import Costs
from firmware.http.message import Request, Response, error_response, path_from_target
from firmware.http.router import MethodNotAllowed, Route, Router
from firmware.kernel import Kernel
from firmware.net import READ_BYTES, ByteStream, ConnectionLost, discard

if TYPE_CHECKING:
    import h11

__all__ = ["serve_http"]

HEAD_BYTES = 16_384
"""Request line and headers together: twice what the common servers take, so that a long query still passes."""

IDLE_MS = 30_000
"""A kept connection without a request is closed: each one holds memory that a small device has little of."""

HEAD_MS = 15_000
"""From a request's first byte to the end of its headers: slow enough for any line, too quick for a slow-loris."""

BODY_MS = 60_000
"""For the body: 256 KiB at modem speed."""

SEND_MS = 60_000
"""For the answer: a peer that stops reading must not hold a task for ever."""

REQUESTS = 1_000
"""Requests on one connection, then it is closed: nobody needs more, and nothing grows without end."""

SECURITY_HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    (
        "Content-Security-Policy",
        "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'",
    ),
)
"""On every answer: nothing of a device's administration belongs into a cache, a frame or another site's hands."""


def ignore(_line: str) -> None:
    """A log that nobody reads."""


def unset() -> int | None:
    """The time of a board that does not know it."""
    return None


async def serve_http(
    kernel: Kernel,
    costs: Costs,
    stream: ByteStream,
    router: Router,
    server: str = "gatebench",
    now_s: Callable[[], int | None] = unset,
    log: Callable[[str], None] = ignore,
) -> None:
    """Serves one connection until it ends, and closes it.

    Args:
        server: For the Server header: product and firmware version.
        now_s: Unix seconds for the Date header; None while the time is not set (RFC 9110 6.6.1 wants no Date then).
        log: Takes one line about each request that could not be answered properly.
    """
    connection = HttpConnection(kernel, costs, stream, router, server, now_s, log)
    try:
        await connection.serve()
    except (ConnectionLost, TimeoutError):
        pass  # Whom would one tell?
    except FirmwareError as error:
        log(f"http connection with {stream.peer}: {error}")
    finally:
        stream.drop()


class HttpConnection:
    """The state of one connection. Made and used by ``serve_http``."""

    def __init__(
        self,
        kernel: Kernel,
        costs: Costs,
        stream: ByteStream,
        router: Router,
        server: str,
        now_s: Callable[[], int | None],
        log: Callable[[str], None],
    ) -> None:
        # Imported here, not above: a board that nobody asks for a page need not load it.
        import h11

        self._h11 = h11
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._kernel = kernel
        self._costs = costs
        self._stream = stream
        self._router = router
        self._server = server
        self._now_s = now_s
        self._log = log
        self._received_bytes = 0
        self._ended = False

    async def serve(self) -> None:
        """Answers requests until either side has had enough."""
        for count in range(REQUESTS):
            if not await self._begun():
                break
            await self._exchange(last=count == REQUESTS - 1)
            if self._protocol.our_state is not self._h11.DONE or self._protocol.their_state is not self._h11.DONE:
                await self._discard()
                break
            self._protocol.start_next_cycle()
        await self._stream.close()

    async def _begun(self) -> bool:
        """Waits for the first byte of a request. False when none comes."""
        if self._protocol.trailing_data[0]:
            return True
        try:
            with self._kernel.deadline_ms(IDLE_MS):
                await self._receive()
        except TimeoutError:
            return False
        return not self._ended

    async def _exchange(self, last: bool) -> None:
        """One request and its answer, a refusal included."""
        head: h11.Request | None = None
        reason = ""
        try:
            head = await self._head()
            if head is None:
                return
            response = await self._answer(head)
        except self._h11.RemoteProtocolError as error:
            response = error_response(error.error_status_hint, str(error))
        except RequestError as error:
            reason = f": {error}"
            headers = (("Allow", ", ".join(error.allowed)),) if isinstance(error, MethodNotAllowed) else ()
            response = error_response(error.status, str(error), headers)
            self._skip_empty_body()
        if response.status >= 500:
            self._log(f"http {response.status} to {self._stream.peer}: {self._described(head)}{reason}")
        await self._send(response, is_head=head is not None and head.method == b"HEAD", last=last)

    def _skip_empty_body(self) -> None:
        """A refused request without a body is over: the connection can be kept."""
        if self._protocol.their_state is self._h11.SEND_BODY:
            try:
                self._protocol.next_event()
            except self._h11.RemoteProtocolError:
                pass  # It was refused already.

    async def _head(self) -> h11.Request | None:
        """Request line and headers; None when the peer closes instead."""
        try:
            with self._kernel.deadline_ms(HEAD_MS):
                event = await self._next_event()
        except TimeoutError:
            raise RequestError(408, f"headers not complete within {HEAD_MS // 1_000} s") from None
        await self._charge_parse()
        if isinstance(event, self._h11.Request):
            # h11 measures a head only while it is not complete, so a long one can still arrive whole.
            if len(event.target) + sum(len(name) + len(value) + 4 for name, value in event.headers) > HEAD_BYTES:
                raise RequestError(431, f"headers of more than {HEAD_BYTES} bytes")
            return event
        return None

    async def _answer(self, head: h11.Request) -> Response:
        method = head.method.decode("ascii")
        target = head.target.decode("ascii", errors="replace")
        path = path_from_target(target)
        headers = headers_from_pairs(head.headers)
        route = self._router.find(method, path)
        if route.secure_only and not self._stream.secure:
            raise RequestError(403, "this must not travel in the clear, use https")
        body = await self._body(route, headers)
        request = Request(method, target, path, headers, body, self._stream.secure, self._stream.peer)
        return await self._handled(route, request)

    async def _handled(self, route: Route, request: Request) -> Response:
        """The handler's answer; its failure is ours (500), not the connection's end."""
        try:
            result = route.handler(request)
            return await result if isawaitable(result) else result
        except RequestError:
            raise
        except (FirmwareError, OSError) as error:
            raise RequestError(500, text_from_error(error)) from error

    async def _body(self, route: Route, headers: Mapping[str, str]) -> bytes:
        """The request's body. RequestError 413 when it is too large, before it is read wherever that can be known."""
        declared = headers.get("content-length", "0")
        if int(declared) > route.body_bytes:
            raise RequestError(413, f"body of {declared} bytes, limit {route.body_bytes}")
        body = bytearray()
        try:
            with self._kernel.deadline_ms(BODY_MS):
                if self._protocol.they_are_waiting_for_100_continue:
                    await self._write(self._h11.InformationalResponse(status_code=100, headers=[]))
                while isinstance(event := await self._next_event(), self._h11.Data):
                    body += event.data
                    if len(body) > route.body_bytes:
                        raise RequestError(413, f"body of more than {route.body_bytes} bytes")
        except TimeoutError:
            raise RequestError(408, f"body not complete within {BODY_MS // 1_000} s") from None
        await self._charge_parse()
        return bytes(body)

    async def _next_event(self) -> object:
        while (event := self._protocol.next_event()) is self._h11.NEED_DATA:
            await self._receive()
        return event

    async def _receive(self) -> None:
        data = await self._stream.read(READ_BYTES)
        self._received_bytes += len(data)
        self._ended = not data
        self._protocol.receive_data(data)

    async def _charge_parse(self) -> None:
        size_bytes, self._received_bytes = self._received_bytes, 0
        await self._kernel.work(self._costs.parse(size_bytes), "parse")

    async def _send(self, response: Response, is_head: bool, last: bool) -> None:
        h11 = self._h11
        if self._protocol.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        headers = [*self._headers(response), *response.headers]
        if last or self._protocol.their_state is not h11.DONE:
            # What is left of a refused request is not worth reading: this answer is the last.
            headers.append(("Connection", "close"))
        head = h11.Response(status_code=response.status, headers=headers, reason=HTTPStatus(response.status).phrase)
        data = self._protocol.send(head) or b""
        if not is_head:
            data += self._protocol.send(h11.Data(data=response.body)) or b""
        data += self._protocol.send(h11.EndOfMessage()) or b""
        with self._kernel.deadline_ms(SEND_MS):
            await self._stream.write(data)

    async def _write(self, event: h11.InformationalResponse) -> None:
        await self._stream.write(self._protocol.send(event) or b"")

    def _headers(self, response: Response) -> list[tuple[str, str]]:
        headers = [
            ("Server", self._server),
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            *SECURITY_HEADERS,
        ]
        now_s = self._now_s()
        if now_s is not None:
            headers.append(("Date", formatdate(now_s, usegmt=True)))
        return headers

    async def _discard(self) -> None:
        """Reads what may still come of a refused request, so that the answer is not lost (RFC 9112 9.6)."""
        if self._protocol.their_state in (self._h11.CLOSED, self._h11.MUST_CLOSE, self._h11.DONE):
            return
        await discard(self._kernel, self._stream)

    def _described(self, head: h11.Request | None) -> str:
        if head is None:
            return "no request"
        return f"{head.method.decode('ascii')} {head.target.decode('ascii', errors='replace')}"


def headers_from_pairs(pairs: h11._headers.Headers) -> Mapping[str, str]:
    """Names in lower case; values of a repeated name joined by commas (RFC 9110 5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return MappingProxyType(headers)
