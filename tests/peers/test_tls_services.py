"""Foreign TLS clients against the services, over real loopback sockets: openssl s_client and curl."""

from __future__ import annotations

import base64
import math
import select
import socket
import subprocess
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware.admin import BoxView, CardView, CertificateState, LoadView, admin_router
from firmware.http import serve_http
from firmware.kernel import Kernel
from firmware.net import TcpStream
from firmware.sip import serve_sip
from firmware.tls import ContextCache, Credentials, TlsError, TlsStatistics, accept_tls, profile_from_name

PRIME_OFFSETS = {1024: (761, 1505), 2048: (1037, 1697), 4096: (439, 469)}
"""Two primes each, as distances from 3 * 2**(bits/2 - 2): keys that need no search and keep no secret."""


class FakeWorld:
    """The world outside: a loopback socket that is looked at every few ms. Not modelled: anything else."""

    horizon_ns = 0


class FakeCpu:
    """200 MHz without a watchdog."""

    hz = 200_000_000

    def __init__(self) -> None:
        self.now_ns = 0
        self.world = FakeWorld()

    def spend(self, cycles: int) -> None:
        self.now_ns += cycles * 1_000_000_000 // self.hz


class FreeCosts:
    """Everything is free: these tests look at bytes."""

    handshake = certificate = command = switch = 0

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *arguments: 0


class FakeEntropy:
    """Not modelled: chance."""

    secret = False

    def randbytes(self, n: int, /) -> bytes:
        return bytes(range(n))


class SocketStream:
    """A ``hal.Stream`` over a socket of the host, looked at by ``poll``."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.peer = "{}:{}".format(*connection.getpeername())
        self.status = "open"
        self.failure = 0
        self._socket = connection
        self._handler: Callable[[], None] | None = None

    def read(self, nbytes: int = -1, /) -> bytes | None:
        if self.status != "open":
            return b""
        try:
            return self._socket.recv(nbytes if nbytes > 0 else 65_536)
        except BlockingIOError:
            return None

    def write(self, buf: bytes, /) -> int:
        try:
            return self._socket.send(buf)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        self.status = "closed"
        self._socket.close()

    def irq(self, handler: Callable[[], None] | None) -> None:
        self._handler = handler

    def poll(self) -> None:
        if self.status == "open":
            select.select([self._socket], [], [], 0.005)
            if self._handler is not None:
                self._handler()


def credentials_for(bits: int) -> Credentials:
    """A key of that length and a self-signed certificate for localhost."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    p, q = (3 * 2 ** (bits // 2 - 2) + offset for offset in PRIME_OFFSETS[bits])
    d = pow(65537, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    key = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key(
        unsafe_skip_rsa_key_validation=True
    )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 0x1234)
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    return Credentials(
        (certificate.public_bytes(Encoding.DER),),
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "sha256",
        bits,
    )


BOX = BoxView(
    "IP800",
    "IP800-06-11-ac",
    "00-90-33-06-11-ac",
    "0.1.0",
    60,
    None,
    40.0,
    "power-on",
    CertificateState(),
    LoadView(200_000_000, 0, 0, 0),
    CardView("empty"),
    (),
)


class Server:
    """One TLS service on a port of the host, serving one client after the other while that client runs."""

    def __init__(self, credentials: Credentials, profile: str, service: str) -> None:
        self.credentials = credentials
        self.profile = profile_from_name(profile)
        self.service = service
        self.statistics = TlsStatistics()
        self.lines: list[str] = []
        self.contexts = ContextCache()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self.port = self.socket.getsockname()[1]

    def run(self, *command: str, said: bytes = b"", until: bytes = b"") -> tuple[int, str]:
        """Runs a client that makes one connection. Gives its exit status and what it said.

        Args:
            said: For its standard input, which stays open until ``until`` was printed, or the service ended.
        """
        with subprocess.Popen(
            [part.replace("PORT", str(self.port)) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(said)
            client.stdin.flush()
            printed = self._serve_while(client, until)
            rest, _ = client.communicate(timeout=10)
            return client.returncode, (printed + rest).decode(errors="replace")

    def close(self) -> None:
        self.socket.close()

    def _serve_while(self, client: subprocess.Popen[bytes], until: bytes) -> bytes:
        connection, _ = self.socket.accept()
        stream, cpu = SocketStream(connection), FakeCpu()
        kernel = Kernel(cpu)
        task = kernel.spawn(self._serve(kernel, stream), name="service")
        printed = b""
        for _ in range(1_000):
            cpu.world.horizon_ns = cpu.now_ns + 5_000_000
            kernel.run()
            if task.done or (until and until in printed):
                break
            stream.poll()
            if select.select([client.stdout], [], [], 0)[0]:
                assert client.stdout is not None
                printed += client.stdout.read1()  # type: ignore[attr-defined]
        stream.close()
        return printed

    async def _serve(self, kernel: Kernel, stream: SocketStream) -> None:
        wire, costs = TcpStream(kernel, stream), FreeCosts()  # type: ignore[arg-type]
        try:
            tls = await accept_tls(
                kernel, costs, wire, self.contexts, self.credentials, self.profile, self.statistics, self.lines.append
            )
        except TlsError:
            return
        if self.service == "http":
            await serve_http(kernel, costs, tls, admin_router(lambda: BOX), "IP800/0.1.0")
        else:
            await serve_sip(kernel, costs, tls, FakeEntropy(), "IP800/0.1.0")


@pytest.fixture
def serve():
    """``serve(bits=1024, profile="v11", service="http")``."""
    servers = []

    def make(bits: int = 1024, profile: str = "v11", service: str = "http") -> Server:
        servers.append(Server(credentials_for(bits), profile, service))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


GET = b"GET /style.css HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n"


@pytest.mark.peer("openssl")
@pytest.mark.parametrize(
    ("profile", "version", "cipher"),
    [
        ("v11", "tls1", "AES128-SHA"),
        ("v11", "tls1_1", "AES128-SHA"),
        ("v11", "tls1_2", "AES128-GCM-SHA256"),
        ("legacy", "tls1", "AES128-SHA"),
        ("modern", "tls1_2", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("modern", "tls1_3", "TLS_AES_128_GCM_SHA256"),
    ],
)
def test_openssl_gets_a_page_with_every_version_of_the_profile(require_program, serve, profile, version, cipher):
    server = serve(profile=profile)
    _, text = server.run(
        require_program("openssl"),
        "s_client",
        "-connect",
        "127.0.0.1:PORT",
        f"-{version}",
        "-cipher",
        "ALL:@SECLEVEL=0",
        "-ign_eof",
        said=GET,
    )
    assert f"Cipher is {cipher}" in text
    assert "HTTP/1.1 200 OK" in text
    assert "color-scheme" in text
    assert server.statistics.handshakes == 1
    assert server.lines == []


@pytest.mark.peer("openssl")
@pytest.mark.parametrize(("profile", "version"), [("v11", "tls1_3"), ("modern", "tls1_1"), ("modern", "tls1")])
def test_openssl_is_refused_outside_the_profile(require_program, serve, profile, version):
    server = serve(profile=profile)
    code, text = server.run(
        require_program("openssl"),
        "s_client",
        "-connect",
        "127.0.0.1:PORT",
        f"-{version}",
        "-cipher",
        "ALL:@SECLEVEL=0",
    )
    assert code == 1
    assert "alert protocol version" in text
    assert server.statistics.failed == 1
    assert server.lines[0].startswith("tls alert protocol_version (70) sent to 127.0.0.1:")


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("bits", [1024, 2048, 4096])
def test_openssl_verifies_the_certificate_that_it_was_given(require_program, serve, tmp_path: Path, bits):
    server = serve(bits)
    trusted = tmp_path / "trusted.pem"
    body = base64.encodebytes(server.credentials.chain_der[0]).decode()
    trusted.write_text(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    _, text = server.run(
        require_program("openssl"),
        "s_client",
        "-connect",
        "127.0.0.1:PORT",
        "-CAfile",
        str(trusted),
        "-verify_return_error",
        "-verify_hostname",
        "localhost",
        "-cipher",
        "DEFAULT:@SECLEVEL=0",
        "-ign_eof",
        said=GET,
    )
    assert "Verify return code: 0 (ok)" in text
    assert f"Server public key is {bits} bit" in text


@pytest.mark.peer("openssl")
def test_openssl_cannot_renegotiate(require_program, serve):
    server = serve()
    _, text = server.run(
        require_program("openssl"),
        "s_client",
        "-connect",
        "127.0.0.1:PORT",
        "-tls1_2",
        said=b"R\n",
    )
    assert "RENEGOTIATING" in text
    assert any(line.startswith("tls alert no_renegotiation (100) sent to") for line in server.lines)
    assert server.statistics.handshakes == 1


@pytest.mark.peer("openssl")
def test_a_sip_client_behind_openssl_gets_its_options_answered(require_program, serve):
    server = serve(service="sip")
    said = (
        b"OPTIONS sips:box SIP/2.0\r\nVia: SIP/2.0/TLS localhost;branch=z9hG4bK1\r\nFrom: <sips:p>;tag=1\r\n"
        b"To: <sips:box>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    _, text = server.run(
        require_program("openssl"),
        "s_client",
        "-connect",
        "127.0.0.1:PORT",
        "-quiet",
        "-ign_eof",
        said=said,
        until=b"Content-Length: 0\r\n\r\n",
    )
    assert "SIP/2.0 200 OK" in text
    assert "To: <sips:box>;tag=0001020304050607" in text


@pytest.mark.peer("curl")
def test_curl_gets_the_page(require_program, serve):
    server = serve()
    code, text = server.run(require_program("curl"), "-sSk", "--max-time", "5", "-i", "https://127.0.0.1:PORT/")
    assert code == 0
    assert text.startswith("HTTP/1.1 200")
    assert "<h1>IP800-06-11-ac</h1>" in text


@pytest.mark.peer("curl")
def test_curl_keeps_the_connection_for_several_addresses(require_program, serve):
    server = serve(profile="modern")
    code, text = server.run(
        require_program("curl"),
        "-sSk",
        "--max-time",
        "5",
        "https://127.0.0.1:PORT/CMD0/box_info.xml",
        "https://127.0.0.1:PORT/favicon.svg",
        "https://127.0.0.1:PORT/none",
    )
    assert code == 0
    assert '<sys temp="40" sync="-"/>' in text
    assert "<svg" in text
    assert "404 Not Found" in text
    assert server.statistics.handshakes == 1


@pytest.mark.peer("curl")
def test_curl_with_its_own_strictness_refuses_an_unknown_certificate(require_program, serve):
    server = serve()
    code, text = server.run(require_program("curl"), "-sS", "--max-time", "5", "https://127.0.0.1:PORT/")
    assert code == 60
    assert "certificate" in text
    assert server.statistics.handshakes == 0
