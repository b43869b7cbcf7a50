"""The commands that open a TLS connection: to say what came of it, or why it fails and what mends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from firmware.commands.kinds import Text
from firmware.commands.registry import Argument, Call, Operation, Option, Registry, Reply
from firmware.errors import CertificateError
from firmware.hal import Costs
from firmware.kernel import Kernel
from firmware.net import ConnectionLost, TcpStream
from firmware.tls import Credentials, TlsError, TlsStream
from firmware.x509.certificate import Certificate, certificate_from_der
from firmware.x509.connect import Destination, Report, destination_from_text
from firmware.x509.diagnose import Diagnosis, Surroundings, diagnose
from firmware.x509.trustindex import TrustIndex
from firmware.x509.verdict import Verdict

MODULE = "X509"

CONFIRMATION_MS = 3_000
"""How long a TLS 1.3 server may take to refuse our certificate: its handshake ends after ours (RFC 8446 4.4.4). A
4096-bit key of ours and a chain of three of them keep a 200 MHz CPU busy for 2 s at most."""


class Dialling(Protocol):
    """What opens connections (`firmware.services.task.Dialer`)."""

    async def reach(self, host: str, port: int) -> TcpStream: ...

    def presented(self, name: str | None) -> Credentials | None: ...

    def secure(self, wire: TcpStream, name: str | None) -> TlsStream: ...


def register_connect(
    registry: Registry,
    kernel: Kernel,
    costs: Costs,
    dialer: Dialling,
    *,
    trusted: Callable[[], TrustIndex],
    profile: Callable[[], str],
    now_s: Callable[[], int],
    time_known: Callable[[], bool],
) -> None:
    """Adds ``x509 connect`` and ``x509 diagnose`` to the registry.

    Args:
        trusted: the trust list.
        profile: name of the TLS profile in use.
    """

    async def connect(call: Call) -> Reply:
        destination = _destination(call)
        wire = await dialer.reach(destination.host, destination.port)
        report = await _tried(kernel, dialer, wire, destination, profile())
        return Reply(report.text(), report.data(now_s()))

    async def explain(call: Call) -> Reply:
        destination = _destination(call)
        try:
            wire = await dialer.reach(destination.host, destination.port)
        except ConnectionLost as error:
            report = Report(destination, False, str(error), profile())
        else:
            report = await _tried(kernel, dialer, wire, destination, profile())
        surroundings = Surroundings(now_s(), time_known(), trusted(), costs, kernel.cpu.hz)
        diagnosis = diagnose(report, surroundings)
        await _pay(kernel, diagnosis)
        return Reply(diagnosis.text(), diagnosis.data())

    where = Argument("host:port", Text(), "whom to connect to", required=True)
    name = Option("name", Text(), "name that the certificate must have, and our domain; without it, the host")
    for word, text, handler in (
        ("connect", "opens a TLS connection and says what came", connect),
        ("diagnose", "says why a TLS connection fails, and what mends it", explain),
    ):
        registry.register(Operation(MODULE, word, text, handler, (name,), (where,), query=True))


def _destination(call: Call) -> Destination:
    return destination_from_text(call.text("host:port"), call.text("name"))


async def _pay(kernel: Kernel, diagnosis: Diagnosis) -> None:
    for kind, cycles in diagnosis.charges:
        await kernel.work(cycles, kind)


async def _tried(kernel: Kernel, dialer: Dialling, wire: TcpStream, destination: Destination, profile: str) -> Report:
    """One TLS connection over ``wire``, closed again."""
    try:
        stream = dialer.secure(wire, destination.name)
        failure = ""
        try:
            await stream.handshake()
            await _confirmed(kernel, stream)
            await stream.close()
        except (TlsError, ConnectionLost) as error:
            failure = str(error)
        return Report(
            destination,
            True,
            failure,
            profile,
            stream.version if stream.cipher else "",
            stream.cipher,
            stream.handshake_cycles * 1_000_000 // kernel.cpu.hz,
            tuple(stream.events),
            stream.peer_chain_der,
            _verdict(stream),
            _first_certificate(dialer.presented(destination.name)),
        )
    finally:
        wire.drop()


async def _confirmed(kernel: Kernel, stream: TlsStream) -> None:
    """Waits until a TLS 1.3 server that asked for our certificate has judged it."""
    if stream.version != "TLSv1.3" or "<CertificateRequest" not in stream.events:
        return
    try:
        with kernel.deadline_ms(CONFIRMATION_MS):
            await stream.hear()
    except TimeoutError:
        pass  # It waits for our first word, so it has nothing against us.


def _verdict(stream: TlsStream) -> Verdict | None:
    verdict = stream.judgement.verdict if stream.judgement is not None else None
    return verdict if isinstance(verdict, Verdict) else None


def _first_certificate(credentials: Credentials | None) -> Certificate | None:
    try:
        return certificate_from_der(credentials.chain_der[0]) if credentials is not None else None
    except CertificateError:
        return None
