"""What our TLS engine costs the host beside a bare pyOpenSSL handshake: ``python tests/bench/bench_handshake.py``.

Both ends run in one thread over memory buffers, with the same keys and chains (device, issuing CA, root). "Ours" is the
engine with its message log, the validator as judge, and the accounting of every message and judgement; "bare" is
pyOpenSSL with OpenSSL's own verification against a store that holds the same root. They take turns, and medians are
compared, so that a busy host disturbs all alike.

"ours": peers that were accepted before, whose judgement `PeerJudge` remembers; "first": every peer as if seen for the
first time, its certificates read and its path validated by our own code; "1,000": as "ours", with 1,000 entries on the
trust list instead of one.

Targets: at most 1.3 times the bare handshake; at most 1.1 times for 1,000 entries.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

from OpenSSL import SSL, crypto

import board
from board.costs import CostTable, cost_table_from_file
from firmware.tls import (
    ContextCache,
    CostMeter,
    Credentials,
    Engine,
    PeerCheck,
    Profile,
    Role,
    State,
    profile_from_name,
)
from firmware.tls.contexts import make_context
from firmware.x509 import Certificate, CertificateOrder, DistinguishedName, PrivateKey, key_search
from firmware.x509.builder import issued_certificate, root_certificate
from firmware.x509.peerjudge import PeerJudge
from firmware.x509.trust import TrustList

NOW_S = 1_767_225_600
ROUNDS = 200
COSTS = Path(board.__file__).parent / "models" / "costs"

CASES = [(profile, mutual, bits) for bits in (1024, 2048) for profile in ("v11", "modern") for mutual in (False, True)]


class FakeStore:
    """Values in a dictionary. Not modelled: flash."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        return self.values.get(name)

    def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self.values if name.startswith(prefix))

    def commit(self, changes: dict[str, bytes | None]) -> None:
        for name, value in changes.items():
            if value is None:
                self.values.pop(name, None)
            else:
                self.values[name] = value


@cache
def key_named(name: str, bits: int) -> PrivateKey:
    search = key_search(bits, random.Random(name))
    while True:
        try:
            next(search)
        except StopIteration as end:
            return end.value


def order(name: str, years: int = 20) -> CertificateOrder:
    return CertificateOrder(DistinguishedName(common_name=name), years=years)


@cache
def root(name: str = "Bench Root") -> Certificate:
    return root_certificate(order(name), key_named("root", 1024), NOW_S - 86_400, random.Random(name))


@cache
def credentials(name: str, bits: int) -> Credentials:
    """Device, issuing CA, root; all keys of the same length but the root's."""
    issuing_key, key = key_named("issuing", bits), key_named(name, bits)
    issuing = _ca("Bench Issuing", issuing_key)
    leaf = issued_certificate(order(name, 1), key.public_key, issuing, issuing_key, 7, NOW_S)
    return Credentials((leaf.der, issuing.der, root().der), key.der(), "sha256", bits)


def _ca(name: str, key: PrivateKey) -> Certificate:
    from firmware.x509.builder import CertificateTemplate, issue, root_extensions

    subject = DistinguishedName(common_name=name).name()
    template = CertificateTemplate(
        subject,
        root().subject,
        key.spki(),
        5,
        NOW_S - 86_400,
        NOW_S + 10**8,
        extensions=root_extensions(key.public_key),
    )
    return issue(template, key_named("root", 1024))


def trusting(entries: int) -> TrustList:
    """The root, and strangers."""
    trust = TrustList(FakeStore())
    trust.add([root(), *(root(f"Stranger {number}") for number in range(entries - 1))])
    return trust


class Ours:
    """Handshakes of our engine, both ends, accounting included."""

    def __init__(
        self, profile: Profile, mutual: bool, bits: int, costs: CostTable, entries: int = 1, *, first: bool = False
    ) -> None:
        peers = PeerJudge(trusting(entries), costs, lambda: NOW_S, lambda *heard: None)
        self._forget = peers._known.clear if first else int
        self._client_check = peers.of_servers("server")
        self._server_check = peers.of_clients(True) if mutual else None
        self._server_credentials = credentials("server", bits)
        self._client_credentials = credentials("client", bits) if mutual else None
        self._profile, self._costs, self._cache = profile, costs, ContextCache()

    def __call__(self) -> None:
        self._forget()
        client = self._end(Role.CLIENT, self._client_credentials, self._client_check)
        server = self._end(Role.SERVER, self._server_credentials, self._server_check)
        data = client.step(b"")
        while data:
            data = client.step(server.step(data))
        assert client.engine.state is server.engine.state is State.OPEN
        assert client.cycles > 0

    def _end(self, role: Role, shown: Credentials | None, check: PeerCheck | None) -> End:
        context = (self._cache.server if role is Role.SERVER else self._cache.client)(shown, self._profile, check)
        engine = Engine(context, role, "server", judge=check.judge if check else None)
        return End(engine, CostMeter(self._costs, shown, judged=check is not None))


class End:
    """One engine with its bill."""

    def __init__(self, engine: Engine, meter: CostMeter) -> None:
        self.engine, self.meter, self.cycles, self.judged = engine, meter, 0, False

    def step(self, data: bytes) -> bytes:
        step = self.engine.step(data)
        for _, cycles in self.meter.handshake(step.events):
            self.cycles += cycles
        if self.engine.judgement is not None and not self.judged:
            self.judged = True
            self.cycles += sum(cycles for _, cycles in self.engine.judgement.charges)
        return step.output


class Bare:
    """Handshakes of pyOpenSSL as its documentation has them, with OpenSSL's own verification."""

    def __init__(self, profile: Profile, mutual: bool, bits: int) -> None:
        self._server = self._context(profile, credentials("server", bits), mutual)
        self._client = self._context(profile, credentials("client", bits) if mutual else None, True)

    def __call__(self) -> None:
        client, server = SSL.Connection(self._client, None), SSL.Connection(self._server, None)
        client.set_connect_state()
        client.set_tlsext_host_name(b"server")
        server.set_accept_state()
        ends, done = (client, server), [False, False]
        while not all(done):
            for index, (end, other) in enumerate((ends, ends[::-1])):
                try:
                    end.do_handshake()
                    done[index] = True
                except SSL.WantReadError:
                    pass
                try:
                    other.bio_write(end.bio_read(65_536))
                except SSL.WantReadError:
                    pass

    @staticmethod
    def _context(profile: Profile, shown: Credentials | None, verify: bool) -> SSL.Context:
        # The same as the engine's, without its hooks.
        context = make_context(shown, profile)
        from OpenSSL import _util

        _util.lib.SSL_CTX_set_msg_callback(context._context, _util.ffi.NULL)
        _util.lib.SSL_CTX_set_tlsext_servername_callback(context._context, _util.ffi.NULL)
        if verify:
            store = context.get_cert_store()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, root().der))
            store.set_flags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME: the bench has a time of its own
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        return context


def medians_ms(*handshakes: Callable[[], None]) -> list[float]:
    """CPU time of each, taking turns."""
    for handshake in handshakes:
        for _ in range(5):
            handshake()
    samples: list[list[float]] = [[] for _ in handshakes]
    gc.collect()
    gc.disable()
    for _ in range(ROUNDS):
        for handshake, taken in zip(handshakes, samples, strict=True):
            began = time.thread_time_ns()
            handshake()
            taken.append((time.thread_time_ns() - began) / 1e6)
    gc.enable()
    return [statistics.median(taken) for taken in samples]


def main() -> None:
    costs = cost_table_from_file(sorted(COSTS.glob("*.toml"))[0])
    print("profile  mutual  bits   bare ms   ours ms   ours/bare  first/bare  1,000/ours")
    for name, mutual, bits in CASES:
        profile = profile_from_name(name)
        bare, ours, first, many = medians_ms(
            Bare(profile, mutual, bits),
            Ours(profile, mutual, bits, costs),
            Ours(profile, mutual, bits, costs, first=True),
            Ours(profile, mutual, bits, costs, entries=1_000),
        )
        shown = f"{name:<8} {'yes' if mutual else 'no':<6} {bits:>5} {bare:>9.3f} {ours:>9.3f}"
        print(f"{shown} {ours / bare:>11.2f} {first / bare:>11.2f} {many / ours:>11.2f}")


if __name__ == "__main__":
    main()
