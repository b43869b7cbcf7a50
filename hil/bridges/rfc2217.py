"""The console as an RFC 2217 server: telnet that also carries the serial line's settings, breaks and purges.

The telnet side is pyserial's ``PortManager``, one per client. Settings are kept and confirmed, and change nothing: both
ends of the emulated line always speak at one rate. A purge is confirmed, or clients hang, and throws nothing away:
other clients share the line, and what they typed must not be lost because one more connects.

Not modelled: modem lines (CTS, DSR and CD read as on, RI as off), flow control, XON/XOFF.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from serial import rfc2217

from hil.bridges.console import ConsoleHub
from hil.bridges.sockets import SocketClient
from hil.poller import Poller

IAC = b"\xff"

LONGEST_SUBOPTION = 1024
"""A client's signature is the longest that RFC 2217 has; nobody's is this long."""


class LineSettings:
    """What ``PortManager`` takes for a serial port: remembers the settings and passes breaks on."""

    def __init__(self, hub: ConsoleHub) -> None:
        self._hub = hub
        self.baudrate = 115_200
        self.bytesize = 8
        self.parity = "N"
        self.stopbits = 1
        self.xonxoff = False
        self.rtscts = False
        self.dtr = True
        self.rts = True
        self.cts = True
        self.dsr = True
        self.cd = True
        self.ri = False
        self._break = False

    @property
    def break_condition(self) -> bool:
        return self._break

    @break_condition.setter
    def break_condition(self, on: bool) -> None:
        if on and not self._break:
            self._hub.send_break()
        self._break = on

    def reset_input_buffer(self) -> None:
        """A client purges when it opens the port; there is nothing here that is older than its connection."""

    def reset_output_buffer(self) -> None:
        """What was typed may be somebody else's: it stays."""


class Rfc2217Client(SocketClient):
    """One client, in telnet."""

    def __init__(
        self, poller: Poller, hub: ConsoleHub, connection: socket.socket, ended: Callable[[SocketClient], None]
    ) -> None:
        super().__init__(poller, hub, connection, ended)
        self._telnet: Any = rfc2217.PortManager(LineSettings(hub), self)

    def write(self, data: bytes) -> None:
        """What ``PortManager`` sends."""
        self.out.send(bytes(data))

    def said(self, data: bytes) -> None:
        self.out.send(data.replace(IAC, IAC + IAC))

    def typed(self, data: bytes) -> None:
        try:
            plain = b"".join(self._telnet.filter(data))
        except Exception:
            # PortManager is not made for malformed telnet, and fails in as many ways as there are: let that client go.
            self.close()
            return
        if len(self._telnet.suboption or b"") > LONGEST_SUBOPTION:
            self.close()
            return
        if plain:
            self.hub.type(plain)
