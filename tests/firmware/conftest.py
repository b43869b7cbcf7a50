"""A small board for tests of services: a CPU, its kernel, network streams with a test's hand at the other end, keys."""

from __future__ import annotations

import errno
import hashlib
import math
import warnings
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar

import pytest

from firmware.kernel import Kernel, Task
from firmware.net import TcpStream
from firmware.tls import Credentials

FOREVER_NS = 1 << 62


class FakeWorld:
    """The world outside. Not modelled: anything happening there."""

    horizon_ns = FOREVER_NS


class FakeCpu:
    """A CPU at 200 MHz. Not modelled: a watchdog, fractions of a nanosecond."""

    hz = 200_000_000

    def __init__(self) -> None:
        self.now_ns = 0
        self.world = FakeWorld()

    def spend(self, cycles: int) -> None:
        self.now_ns += cycles * 1_000_000_000 // self.hz


class FakeCosts:
    """Costs of a 200 MHz PowerPC in C code. Not modelled: hash blocks; key lengths between the three."""

    switch = 200
    handshake = 500_000
    certificate = 30_000
    command = 20_000
    private: ClassVar = {1024: 10_000_000, 2048: 62_500_000, 4096: 377_500_000}
    public: ClassVar = {1024: 500_000, 2048: 1_700_000, 4096: 6_000_000}
    per_byte: ClassVar = {"md5": 20, "sha1": 31, "sha224": 65, "sha256": 65, "sha384": 155, "sha512": 155}

    def rsa_private(self, bits: int) -> int:
        return self.private[bits]

    def rsa_public(self, bits: int) -> int:
        return self.public[bits]

    def keygen(self, bits: int) -> int:
        return self.private[bits] // 2

    def digest(self, algorithm: str, size_bytes: int) -> int:
        return self.per_byte[algorithm] * size_bytes

    def cipher(self, name: str, size_bytes: int) -> int:
        return {"aes128": 70, "aes256": 95}[name] * size_bytes

    def key_exchange(self, group: str) -> int:
        return {"p256": 68_000_000, "x25519": 64_000_000}[group]

    def parse(self, size_bytes: int) -> int:
        return 50 * size_bytes


class FakeStream:
    """The board's end of a TCP connection; the test is the other end. Not modelled: latency."""

    def __init__(self, window_bytes: int = 65_535) -> None:
        self.peer = "192.0.2.7:40000"
        self.status: str = "open"
        self.failure = 0
        self.window_bytes = window_bytes
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._ended = False
        self._handler: Callable[[], None] | None = None

    # -- the board's side

    def read(self, nbytes: int = -1, /) -> bytes | None:
        if not self._inbox:
            return b"" if self._ended or self.status in ("refused", "reset", "closed") else None
        count = len(self._inbox) if nbytes < 0 else nbytes
        data = bytes(self._inbox[:count])
        del self._inbox[:count]
        return data

    def write(self, buf: bytes, /) -> int:
        if self.status != "open":
            raise OSError(self.failure or errno.EPIPE, "broken pipe")
        taken = bytes(buf[: max(0, self.window_bytes - len(self._outbox))])
        self._outbox += taken
        return len(taken)

    def close(self) -> None:
        if self.status == "open":
            self.status = "closed"

    def irq(self, handler: Callable[[], None] | None) -> None:
        self._handler = handler

    # -- the test's side

    def feed(self, data: bytes) -> None:
        """Bytes for the board."""
        self._inbox += data
        self._notify()

    def end(self) -> None:
        """We say no more."""
        self._ended = True
        self._notify()

    def reset(self, failure: int = errno.ECONNRESET) -> None:
        """The connection breaks."""
        self.status = "reset"
        self.failure = failure
        self._inbox.clear()
        self._notify()

    def open(self) -> None:
        """A connection that the board began is accepted."""
        self.status = "open"
        self._notify()

    def take(self) -> bytes:
        """What the board sent since the last call; makes room for more."""
        data = bytes(self._outbox)
        self._outbox.clear()
        if data:
            self._notify()
        return data

    def _notify(self) -> None:
        if self._handler is not None:
            self._handler()


class FakeEntropy:
    """A stream of bytes that everybody can draw again. Not modelled: chance."""

    secret = False

    def __init__(self) -> None:
        self._count = 0

    def randbytes(self, n: int, /) -> bytes:
        self._count += 1
        return hashlib.shake_128(self._count.to_bytes(4, "big")).digest(n)


class ServiceBoard:
    """CPU, kernel and log of a board on which one service is tried."""

    def __init__(self) -> None:
        self.cpu = FakeCpu()
        self.kernel = Kernel(self.cpu)
        self.costs = FakeCosts()
        self.entropy = FakeEntropy()
        self.lines: list[str] = []

    def log(self, line: str) -> None:
        self.lines.append(line)

    def stream(self, window_bytes: int = 65_535) -> FakeStream:
        return FakeStream(window_bytes)

    def tcp(self, stream: FakeStream) -> TcpStream:
        return TcpStream(self.kernel, stream)  # type: ignore[arg-type]

    def spawn(self, work: Coroutine[Any, None, Any]) -> Task:
        """Starts a task and runs it until it waits for something."""
        task = self.kernel.spawn(work, name="service")
        self.settle()
        return task

    def settle(self) -> None:
        """Lets the board run until every task waits for time or for the world."""
        while self.kernel.ready:
            self.cpu.world.horizon_ns = self.cpu.now_ns + 1
            self.kernel.run()

    def run_ms(self, duration_ms: int) -> None:
        """Lets that much time pass; what is not computed by then goes on at the next call."""
        until_ns = self.cpu.now_ns + duration_ms * 1_000_000
        self.cpu.world.horizon_ns = until_ns
        self.kernel.run()
        self.cpu.now_ns = max(self.cpu.now_ns, until_ns)

    def result(self, task: Task) -> Any:
        """What a task returned, or raises what it raised."""
        assert task.done, f"{task} still waits"
        if task.error is not None:
            raise task.error
        return task.result


PRIME_OFFSETS = {1024: (761, 1505), 2048: (1037, 1697), 4096: (439, 469)}
"""Two primes each, as distances from 3 * 2**(bits/2 - 2): keys that need no search and keep no secret."""


@cache
def credentials_for(bits: int, hash_name: str = "sha256") -> Credentials:
    """A key of that length and a self-signed certificate with that hash."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    p, q = (3 * 2 ** (bits // 2 - 2) + offset for offset in PRIME_OFFSETS[bits])
    d = pow(65537, -1, math.lcm(p - 1, q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(65537, p * q)
    )
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "IP800-06-11-ac")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 0x1234)
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2040, 1, 1, tzinfo=UTC)
    )
    certificate = builder.sign(key, getattr(hashes, hash_name.upper())())
    return Credentials(
        (certificate.public_bytes(Encoding.DER),),
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        hash_name,
        bits,
    )


@pytest.fixture
def service_board() -> ServiceBoard:
    """A board without anything running on it."""
    return ServiceBoard()


@pytest.fixture(scope="session")
def make_credentials() -> Callable[..., Credentials]:
    """``make_credentials(bits, hash_name="sha256")``; the same arguments give the same object."""
    return credentials_for
