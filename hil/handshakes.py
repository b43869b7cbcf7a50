"""Handshake times of a board, measured from outside: how long it lets a client wait, without the client's own work.

::

    client                                    board
      |----- SYN ------------------------------>|
      |<---- SYN, ACK --------------------------|    one round trip: the network's part, measured by itself
      |----- ClientHello ---------------------->|
      |        waiting                          |    hello, certificate
      |<---- ServerHello ... ServerHelloDone ---|
      | own work: not counted                   |
      |----- ClientKeyExchange ... Finished --->|
      |        waiting                          |    RSA private operation
      |<---- Finished --------------------------|

    milliseconds = waiting - round trip x number of waits

TLS 1.2 at most, RSA key exchange only, no client certificate, and no session is resumed (RFC 5246 7.3, figure 1).

Not measured: what the board still works on after its Finished has left. What lies between client and board besides the
network's round trip (a USB adapter that polls, a busy host) counts as the board's.
"""

from __future__ import annotations

import socket
import ssl
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from firmware.errors import CertificateError
from firmware.x509.certificate import Certificate, certificate_from_der
from hil.bridges.tcp import url_host
from hil.errors import DeviceFailure, EnvironmentRefused, lowered, reason_from_oserror
from hil.tlsclient import READ_BYTES, client_context

RSA_KEY_EXCHANGE = "kRSA:@SECLEVEL=0"
"""An ephemeral exchange would add the same amount whatever the key's length. Level 0: 1024-bit keys and SHA-1."""

PATIENCE_S = 60.0
"""For one answer of the board: a 4096-bit key on a CPU of 20 MHz takes twenty seconds."""

CONNECT_PATIENCE_S = 10.0

PAUSE_MS = 50.0
"""Between two handshakes: a board closes the old connection before it is asked again."""


class MeasurementFailed(DeviceFailure):
    """The board did not do its part. One line: ``what: how it went``."""

    def _text(self) -> str:
        return f"{self.expected}: {self.got}"


class Wire(Protocol):
    """One TCP connection to a board, and the time that passes on it."""

    @property
    def connect_ns(self) -> int:
        """How long it took to be there: one round trip."""
        ...

    @property
    def now_ns(self) -> int: ...

    def send(self, data: bytes) -> None: ...

    def receive(self) -> bytes:
        """What has come, once something has; ``b""`` at the end. TimeoutError when nothing does."""
        ...

    def close(self) -> None: ...


class Route(Protocol):
    """The way to a board's TLS port, and the time between connections."""

    def connect(self) -> Wire: ...

    def pause(self, ms: float) -> None: ...


class HostWire:
    """A socket of the host's. EnvironmentRefused when the address cannot be reached."""

    def __init__(self, host: str, port: int) -> None:
        try:
            # Names are looked up before the clock starts.
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except (OSError, UnicodeError) as error:
            raise EnvironmentRefused(f"cannot find {host}: {_reason(error)}") from error
        self._socket = socket.socket(family, kind, protocol)
        self._socket.settimeout(CONNECT_PATIENCE_S)
        began_ns = self.now_ns
        try:
            self._socket.connect(address)
        except OSError as error:
            self._socket.close()
            raise EnvironmentRefused(f"cannot reach {url_host(host)}:{port}: {_reason(error)}") from error
        self._connect_ns = self.now_ns - began_ns
        self._socket.settimeout(PATIENCE_S)
        # Our Finished must not wait for the acknowledgement of what went before it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def connect_ns(self) -> int:
        return self._connect_ns

    @property
    def now_ns(self) -> int:
        return time.monotonic_ns()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        return self._socket.recv(READ_BYTES)

    def close(self) -> None:
        self._socket.close()


class HostRoute:
    """To an address, over the host's network."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def connect(self) -> Wire:
        """A new connection. EnvironmentRefused when there is no way."""
        return HostWire(self.host, self.port)

    def pause(self, ms: float) -> None:
        time.sleep(ms / 1_000)


def _reason(error: Exception) -> str:
    return reason_from_oserror(error) if isinstance(error, OSError) else lowered(str(error))


# -- one handshake


@dataclass(frozen=True)
class Handshake:
    """One that was completed."""

    waited_ns: int
    """Between everything that we sent and what came back, the network's round trips included."""
    waits: int
    """How often we sent something and waited."""
    connect_ns: int
    name: str
    """Common name of the certificate shown."""
    key_bits: int
    """Of its key; 0 for one that is no RSA key."""
    suite: str
    """For example ``TLSv1.2 AES128-SHA``."""


def handshake(route: Route, server_name: str | None) -> Handshake:
    """Does one full handshake and closes the connection.

    Raises:
        MeasurementFailed: the board refuses, breaks off, or goes silent.
        EnvironmentRefused: it cannot be reached.
    """
    wire = route.connect()
    try:
        return _Client(wire, server_name).shake()
    except TimeoutError as error:
        raise MeasurementFailed("tls handshake", f"no answer within {PATIENCE_S:g} s") from error
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        hint = ""
        if "HANDSHAKE_FAILURE" in reason or "PROTOCOL_VERSION" in reason:
            hint = ": it must do RSA key exchange in TLS 1.2 or earlier (of ours: tls profile v11)"
        raise MeasurementFailed("tls handshake", f"refused, {reason.lower().replace('_', ' ')}{hint}") from error
    except OSError as error:
        raise MeasurementFailed("tls handshake", f"broken off by the board, {_reason(error)}") from error
    finally:
        wire.close()


class _Client:
    """TLS on memory buffers, so that waiting can be told from working."""

    def __init__(self, wire: Wire, server_name: str | None) -> None:
        context = client_context(maximum=ssl.TLSVersion.TLSv1_2, ciphers=RSA_KEY_EXCHANGE)
        context.options |= ssl.OP_NO_TICKET
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._wire = wire
        self._waited_ns = self._waits = 0

    def shake(self) -> Handshake:
        while not self._is_done(self._tls.do_handshake):
            self._wait()
        suite = f"{self._tls.version()} {(self._tls.cipher() or ('',))[0]}"
        leaf = _leaf(self._tls.getpeercert(binary_form=True) or b"")
        # close_notify, as far as that goes: the board's answer to it is of no interest.
        try:
            self._is_done(self._tls.unwrap)
            self._wire.send(self._outgoing.read())
        except OSError:
            pass
        name = leaf.subject.common_name
        return Handshake(self._waited_ns, self._waits, self._wire.connect_ns, name, leaf.key_bits, suite)

    def _is_done(self, step: Callable[[], object]) -> bool:
        try:
            step()
        except ssl.SSLWantReadError:
            return False
        return True

    def _wait(self) -> None:
        """Sends what there is, and takes the next piece of the answer."""
        data = self._outgoing.read()
        if data:
            self._wire.send(data)
            self._waits += 1
        began_ns = self._wire.now_ns
        answer = self._wire.receive()
        self._waited_ns += self._wire.now_ns - began_ns
        if not answer:
            raise ConnectionResetError("the connection ended")
        self._incoming.write(answer)


def _leaf(der: bytes) -> Certificate:
    try:
        return certificate_from_der(der)
    except CertificateError as error:
        raise MeasurementFailed("tls handshake", f"the board's certificate cannot be read, {error}") from error


# -- many of one key length


@dataclass(frozen=True)
class HandshakeTimes:
    """What one key length takes, the network taken off.

    Attributes:
        counted: milliseconds of the half of the handshakes that lies closest together, in the order of measuring.
            What disturbs a handshake only adds to it, and so that half is nearer to the board's own time than the mean
            and the median of all are; without disturbances they are the same (the "shorth" of robust statistics).
        others: milliseconds of the other ones.
        round_trip_ms: the median of the connections' times.
    """

    key_bits: int
    counted: tuple[float, ...]
    others: tuple[float, ...]
    round_trip_ms: float
    suite: str

    @property
    def median_ms(self) -> float:
        """Of all."""
        return statistics.median(self.counted + self.others)

    @property
    def quartiles_ms(self) -> tuple[float, float]:
        """A quarter of all is below the first, another above the second."""
        times = self.counted + self.others
        if len(times) == 1:
            return times[0], times[0]
        low, _, high = statistics.quantiles(times, n=4, method="inclusive")
        return low, high

    def line(self) -> str:
        """All that as one line."""
        low, high = self.quartiles_ms
        return (
            f"{self.key_bits} bits: {len(self.counted) + len(self.others)} handshakes, median {self.median_ms:.3f} ms, "
            f"quartiles {low:.3f} and {high:.3f} ms, closest half {min(self.counted):.3f} to {max(self.counted):.3f} "
            f"ms; round trip {self.round_trip_ms:.3f} ms taken off"
        )


def times_from_handshakes(key_bits: int, handshakes: Sequence[Handshake]) -> HandshakeTimes:
    """Takes the network off. EnvironmentRefused when the network hides what is looked for."""
    round_trip_ns = statistics.median(shake.connect_ns for shake in handshakes)
    times = [(shake.waited_ns - shake.waits * round_trip_ns) / 1e6 for shake in handshakes]
    low, high = closest_half(times)
    if low <= 0:
        raise EnvironmentRefused(
            f"{key_bits} bits: the network's round trip of {round_trip_ns / 1e6:.3f} ms hides the handshake: "
            "measure closer to the board"
        )
    counted = tuple(ms for ms in times if low <= ms <= high)
    others = tuple(ms for ms in times if not low <= ms <= high)
    return HandshakeTimes(key_bits, counted, others, round_trip_ns / 1e6, handshakes[-1].suite)


def closest_half(values: Sequence[float]) -> tuple[float, float]:
    """The shortest range that holds more than half of the values; the lowest where several are as short."""
    ordered = sorted(values)
    half = len(ordered) // 2
    start = min(range(len(ordered) - half), key=lambda index: ordered[index + half] - ordered[index])
    return ordered[start], ordered[start + half]
