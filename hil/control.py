"""The control face: power, card, button and LEDs of one gateway over HTTP, for racks and scripts.

=============  ==========================  =====================================================================
``/power``     GET, PUT ``0`` or ``1``     power
``/card``      GET, PUT ``0`` or ``1``     1 = in; what goes in is the card that was out, or a new RAM card
``/card/image``  GET, PUT a path or ``ram``  which card goes in; while a card is in, it is exchanged
``/card/fault``  GET, PUT a fault plan       JSON: rules that are armed, and what fired; a plan takes their place, ``0``
                                           or an empty body disarms (TOML, or JSON: ``hil/faultplan.py``)
``/button``    GET, PUT milliseconds       presses the reset button for so long; reads 1 while it is pressed
``/leds``      GET                         JSON: what each LED shows
``/state``     GET                         JSON: boot state, services, load
``/save``      PUT a path                  writes flash, card, clock and configuration there: ``gatebench run --from``
=============  ==========================  =====================================================================

Bodies are plain text of one line: values bare, as they are sent, JSON and errors with a line break behind them. 404 for
other paths, 405 for other methods, 400 with one line for a body that will not do, 409 with one line for what cannot be
done now. It is for this machine alone: it has no login, and listens on loopback addresses only.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable

import h11

from board import BoardError
from cfcard import CompactFlash
from hil.bridges.outlet import Outlet
from hil.bridges.tcp import begin_listening, claimed_socket, url_host
from hil.cards import card_from_text
from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror
from hil.faultplan import fault_plan_from_json, fault_plan_from_toml
from hil.gateway import Gateway
from hil.poller import READ, Poller

LONGEST_BODY = 65_536
"""A fault plan of some hundred rules; a path is shorter (PATH_MAX on Linux is 4,096)."""

LONGEST_PRESS_MS = 3_600_000

READ_BYTES = 4096

MAX_CONNECTIONS = 32
"""A rack needs one; more are closed at once, because ``select`` takes 1,024 descriptors in all."""

IDLE_S = 5
"""Silent for so long, a connection makes room for a new one when all are taken; till then it may stay."""

RAM = "ram"

JSON = "application/json"


class BadRequest(Exception):
    """The request cannot be done: a status and one line."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class CardBox:
    """The card that belongs to a gateway while it is out of the slot.

    Args:
        size: of a RAM card, or an image, that is made.
    """

    def __init__(self, gateway: Gateway, size: str) -> None:
        self._gateway = gateway
        self._size = size
        self._name = RAM
        self._outside: CompactFlash | None = None
        if gateway.board.slot is not None:
            gateway.board.slot.watch(self._changed)

    def remember(self, name: str) -> None:
        """Says what the card in the slot is called."""
        self._name = name

    @property
    def name(self) -> str:
        """``ram`` or the path of the card, wherever it is."""
        return self._name

    @property
    def inserted(self) -> bool:
        return self._gateway.card is not None

    def insert(self) -> None:
        """Puts the card in; a new RAM card when there is none. Without effect when it is in.

        EnvironmentRefused when an image cannot be used now: another program has it.
        """
        if self.inserted:
            return
        self._gateway.insert_card(self._outside or self._opened(self._name))
        self._outside = None

    def remove(self) -> None:
        """Pulls the card. Without effect when none is in.

        An image is closed: what is out of the slot can go into another reader. A RAM card is kept. The same goes for a
        card that a fault has pulled.
        """
        if self.inserted:
            self._gateway.remove_card()

    def change(self, name: str) -> None:
        """Makes another card the one that goes in; one that is in is pulled first, and the new one put in."""
        if name == self._name and name != RAM:
            return
        made = self._opened(name)
        was_in = self.inserted
        self.remove()
        self.close()
        self._name = name
        if was_in or name == RAM:
            self._outside = made
        else:
            made.close()
        if was_in:
            self.insert()

    def close(self) -> None:
        """Closes the card that is out."""
        if self._outside is not None:
            self._outside.close()
            self._outside = None

    def _changed(self, card: object, present: bool) -> None:
        if present:
            return
        assert isinstance(card, CompactFlash)
        if self._name == RAM:
            self._outside = card
        else:
            card.close()

    def _opened(self, name: str) -> CompactFlash:
        card = card_from_text(name, self._size)
        if card is None:
            raise RackMisuse("must be ram, the path of an image, or a reader's device")
        return card


class ControlFace:
    """What each path reads and sets."""

    def __init__(self, gateway: Gateway, cards: CardBox) -> None:
        self._gateway = gateway
        self._cards = cards
        self._reads: dict[str, Callable[[], str]] = {
            "/power": lambda: str(int(gateway.powered)),
            "/card": lambda: str(int(cards.inserted)),
            "/card/image": lambda: cards.name,
            "/card/fault": lambda: json.dumps(gateway.faults.view()),
            "/button": lambda: str(int(gateway.board.button_part.pressed)),
            "/leds": lambda: json.dumps(gateway.leds()),
            "/state": lambda: json.dumps(gateway.state()),
        }
        self._writes: dict[str, Callable[[str], None]] = {
            "/power": self._set_power,
            "/card": self._set_card,
            "/card/image": self._set_image,
            "/card/fault": self._set_faults,
            "/button": self._press,
            "/save": self._save,
        }

    def answer(self, method: str, path: str, body: str) -> str:
        """Does one request. BadRequest when it cannot be done."""
        if path not in self._reads and path not in self._writes:
            raise BadRequest(404, f"no {path[:40]}: must be one of {', '.join({**self._reads, **self._writes})}")
        try:
            if method == "GET" and path in self._reads:
                return self._reads[path]()
            if method != "PUT" or path not in self._writes:
                able = [verb for verb, paths in (("GET", self._reads), ("PUT", self._writes)) if path in paths]
                raise BadRequest(405, f"{method} {path}: must be {' or '.join(able)}")
            self._writes[path](body)
        except (BoardError, RackMisuse, EnvironmentRefused) as error:
            raise BadRequest(409, str(error)) from error
        except OSError as error:
            raise BadRequest(409, f"{body}: {reason_from_oserror(error)}") from error
        return self._reads[path]() if path in self._reads else body

    def _set_power(self, body: str) -> None:
        wanted = _bit(body)
        if wanted and not self._gateway.powered:
            self._gateway.power_on()
        elif not wanted:
            self._gateway.power_off()

    def _set_card(self, body: str) -> None:
        if _bit(body):
            self._cards.insert()
        else:
            self._cards.remove()

    def _set_image(self, body: str) -> None:
        if not body:
            raise BadRequest(400, "body is empty: must be ram, the path of an image, or a reader's device")
        self._cards.change(body)

    def _set_faults(self, body: str) -> None:
        if body in ("", "0"):
            self._gateway.faults.disarm()
            return
        read = fault_plan_from_json if body[0] in "{[" and not body.startswith("[[") else fault_plan_from_toml
        try:
            plan = read(body, "body")
        except RackMisuse as error:
            raise BadRequest(400, str(error)) from error
        plan.apply(self._gateway)

    def _save(self, body: str) -> None:
        if not body:
            raise BadRequest(400, "body is empty: must be the path of the file to write")
        self._gateway.save(body)

    def _press(self, body: str) -> None:
        digits = body.lstrip("0") if body.isascii() and body.isdigit() else ""
        if not 1 <= len(digits) <= len(str(LONGEST_PRESS_MS)) or int(digits) > LONGEST_PRESS_MS:
            raise BadRequest(400, f"body {body[:20]!r}: must be milliseconds, 1 to {LONGEST_PRESS_MS}")
        self._gateway.board.press_button(int(digits))


class ControlServer:
    """The port where the control face is.

    Args:
        port: 0 takes any that is free; ``url`` says which.
        now_s: seconds of the host's time: at ``--speed max`` the board's says nothing about who is silent.
    """

    def __init__(
        self,
        poller: Poller,
        face: ControlFace,
        address: str,
        port: int,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now_s = now_s
        self._poller = poller
        self._face = face
        self._exchanges: set[Exchange] = set()
        self._socket = claimed_socket(address, port)
        begin_listening(self._socket)
        self.url = f"http://{url_host(address)}:{self._socket.getsockname()[1]}"
        poller.watch(self._socket, READ, self._accept)

    def close(self) -> None:
        """Ends all connections."""
        self._poller.forget(self._socket)
        self._socket.close()
        for exchange in list(self._exchanges):
            exchange.close()

    def _accept(self, events: int) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        if len(self._exchanges) >= MAX_CONNECTIONS:
            silent = min(self._exchanges, key=lambda exchange: exchange.heard_s)
            if self._now_s() - silent.heard_s < IDLE_S:
                connection.close()
                return
            silent.close()
        self._exchanges.add(Exchange(self._poller, self._face, connection, self._exchanges.discard, self._now_s))


class Exchange:
    """One connection: requests in, answers out, one after the other."""

    def __init__(
        self,
        poller: Poller,
        face: ControlFace,
        connection: socket.socket,
        ended: Callable[[Exchange], None],
        now_s: Callable[[], float],
    ) -> None:
        self._now_s = now_s
        self.heard_s = now_s()
        """When the last bytes came."""
        self._poller = poller
        self._face = face
        self._socket = connection
        self._ended = ended
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._writes = 0
        self._last = False
        self._closed = False
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._out = Outlet(poller, connection.fileno(), self.close, write=connection.send, on_watch=self._watch_writes)
        self._watch()

    def close(self) -> None:
        """Ends the connection."""
        if not self._closed:
            self._closed = True
            self._poller.forget(self._socket)
            self._socket.close()
            self._ended(self)

    def _watch_writes(self, events: int) -> None:
        self._writes = events
        if not events and self._last:
            self.close()
        self._watch()

    def _watch(self) -> None:
        if not self._closed:
            self._poller.watch(self._socket, self._writes | (0 if self._last else READ), self._ready)

    def _ready(self, events: int) -> None:
        if events & READ:
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            self.heard_s = self._now_s()
            self._receive(data)
        if not self._closed and events & ~READ:
            self._out.flush()

    def _receive(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while not self._closed and not self._last and self._take(self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self._send(error.error_status_hint, "not a request that can be understood", last=True)
            else:
                self.close()

    def _take(self, event: object) -> bool:
        """Takes one event of the request. False when more bytes are needed."""
        if event is h11.NEED_DATA or event is h11.PAUSED:
            return False
        if isinstance(event, h11.Request):
            self._request = event
            self._body.clear()
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > LONGEST_BODY:
                self._send(413, f"body is longer than {LONGEST_BODY} bytes", last=True)
        elif isinstance(event, h11.EndOfMessage):
            self._answer()
        elif isinstance(event, h11.ConnectionClosed):
            self.close()
        return True

    def _answer(self) -> None:
        request = self._request
        assert request is not None
        path = request.target.decode("ascii", "replace").partition("?")[0]
        try:
            body = self._body.decode("utf-8").strip()
            if "\0" in body:
                # Paths go to the operating system, whose strings end there.
                raise BadRequest(400, "body holds a zero byte")
            text, status = self._face.answer(request.method.decode(), path, body), 200
        except UnicodeDecodeError:
            text, status = "body is not UTF-8", 400
        except BadRequest as error:
            text, status = " ".join(str(error).split()), error.status
        self._send(status, text)

    def _send(self, status: int, text: str, *, last: bool = False) -> None:
        # No line break behind a value: labgrid's drivers compare the whole body. JSON is for curl and people.
        bare = status == 200 and _type_of(text) != JSON
        content = (text if bare else text + "\n").encode()
        headers = [
            ("content-type", _type_of(text)),
            ("content-length", str(len(content))),
            ("cache-control", "no-store"),
        ]
        if last:
            headers.append(("connection", "close"))
        out = self._http.send(h11.Response(status_code=status, headers=headers)) or b""
        if self._request is None or self._request.method != b"HEAD":
            out += self._http.send(h11.Data(data=content)) or b""
        out += self._http.send(h11.EndOfMessage()) or b""
        self._request = None
        try:
            self._http.start_next_cycle()
        except h11.LocalProtocolError:
            # One of us does not keep the connection.
            self._last = True
        self._out.send(out)


def _type_of(text: str) -> str:
    return JSON if text.startswith("{") else "text/plain; charset=utf-8"


def _bit(body: str) -> int:
    if body not in ("0", "1"):
        raise BadRequest(400, f"body {body[:20]!r}: must be 0 or 1")
    return int(body)
