"""What our TLS engine costs the host beside a bare pyOpenSSL handshake: ``python tests/bench/bench_handshake.py``.

Both ends run in one thread over memory buffers, with the same keys and chains (device, issuing CA, root). "Ours" is the
engine with its message log, the validator as judge, and the accounting of every message and judgement; "bare" is
pyOpenSSL with OpenSSL's own verification against a store that holds the same root. They take turns, and medians are
compared, so that a busy host disturbs all alike.

"ours": peers that were accepted before, whose judgement is remembered; "first": every peer as if seen for the
first time, its certificates read and its path validated by our own code; "1,000": as "ours", with 1,000 entries on the
trust list instead of one.

The storm: 200 phones, each with a key and certificate of its own from one CA, come to one server for the first time.
Every phone is a board of its own: contexts, judge and trust list are new, nothing of it is made before the clock runs.
Bare pyOpenSSL makes a context for every phone, too, from the same bytes; "bare, ready" has them all made beforehand.
What our process remembers of certificates it has read and judged is thrown away before every storm.

Targets: at most 1.3 times the bare handshake; at most 1.1 times for 1,000 entries; the storm at most 1.2 times.
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

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from cryptography.x509 import load_der_x509_certificate
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
    contexts,
    cost,
    hooks,
    profile_from_name,
)
from firmware.x509 import Certificate, CertificateOrder, DistinguishedName, PrivateKey, key_search, memory, trustindex
from firmware.x509.builder import issued_certificate, root_certificate
from firmware.x509.peerjudge import PeerJudge
from firmware.x509.trust import PREFIX, TrustList

NOW_S = 1_767_225_600
ROUNDS = 200
PHONES = 200
STORMS = 5
STORM_CASES = [("v11", 1024), ("modern", 1024)]

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: the bench has a time of its own."""

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
        self._forget = memory.forget if first else int
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
        self._server = bare_context(profile, credentials("server", bits), verify=mutual)
        self._client = bare_context(profile, credentials("client", bits) if mutual else None, verify=True)

    def __call__(self) -> None:
        bare_handshake(self._client, self._server)


def bare_context(profile: Profile, shown: Credentials | None, *, verify: bool) -> SSL.Context:
    """Of either end, made by pyOpenSSL's public interface, but for the groups, for which it has none."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_cipher_list(profile.ciphers.encode())
    context.set_tls13_ciphersuites(profile.ciphersuites.encode())
    context.set_min_proto_version(profile.min_version)
    context.set_max_proto_version(profile.max_version)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    hooks.offer_groups(context, profile.groups)
    if shown is not None:
        leaf, *others = map(load_der_x509_certificate, shown.chain_der)
        context.use_certificate(leaf)
        for other in others:
            context.add_extra_chain_cert(other)
        key = load_der_private_key(shown.key_der, None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(key, RSAPrivateKey)
        context.use_privatekey(key)
    if verify:
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(openssl_root())
        store.set_flags(NO_CHECK_TIME)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    return context


@cache
def openssl_root() -> crypto.X509:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return crypto.load_certificate(crypto.FILETYPE_ASN1, root().der)


def bare_handshake(client_context: SSL.Context, server_context: SSL.Context) -> None:
    client, server = SSL.Connection(client_context, None), SSL.Connection(server_context, None)
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


class Phone:
    """One client of the storm: a key of its own, and what it shows."""

    def __init__(self, number: int, bits: int) -> None:
        name = f"phone-{number}"
        key = key_named(name, bits)
        leaf = issued_certificate(order(name, 1), key.public_key, root(), key_named("root", 1024), 100 + number, NOW_S)
        self.credentials = Credentials((leaf.der, root().der), key.der(), "sha256", bits)


class OurStorm:
    """Boards that meet one server."""

    def __init__(self, profile: Profile, phones: list[Phone], bits: int, costs: CostTable) -> None:
        self._profile, self._phones, self._costs = profile, phones, costs
        self._shown = credentials("server", bits)
        self.again()

    def again(self) -> None:
        """Nobody has ever seen anybody."""
        memory.forget()
        for cleared in (trustindex._comparable, cost._modulus_bits, contexts._shared_context):
            cleared.cache_clear()
        self._server = Board(self._profile, self._costs)

    def __call__(self, number: int) -> None:
        phone = Board(self._profile, self._costs)
        client = phone.client(self._phones[number].credentials)
        server = self._server.server(self._shown)
        data = client.step(b"")
        while data:
            data = client.step(server.step(data))
        assert client.engine.state is server.engine.state is State.OPEN
        assert client.cycles > 0


@cache
def flashed_root() -> dict[str, bytes]:
    """The trust list as it lies in a board's flash."""
    return {PREFIX + root().fingerprint("sha1"): root().der}


class Board:
    """What one board keeps for TLS."""

    def __init__(self, profile: Profile, costs: CostTable) -> None:
        flash = FakeStore()
        flash.values |= flashed_root()
        self._peers = PeerJudge(TrustList(flash), costs, lambda: NOW_S, lambda *heard: None)
        self._profile, self._costs, self._cache = profile, costs, ContextCache()

    def client(self, shown: Credentials) -> End:
        check = self._peers.of_servers("server")
        return self._end(Role.CLIENT, self._cache.client(shown, self._profile, check), shown, check)

    def server(self, shown: Credentials) -> End:
        check = self._peers.of_clients(True)
        return self._end(Role.SERVER, self._cache.server(shown, self._profile, check), shown, check)

    def _end(
        self, role: Role, context: SSL.Context | contexts.ClientContext, shown: Credentials, check: PeerCheck
    ) -> End:
        engine = Engine(context, role, "server", judge=check.judge)
        return End(engine, CostMeter(self._costs, shown, judged=True))


class BareStorm:
    """The same with pyOpenSSL alone."""

    def __init__(self, profile: Profile, phones: list[Phone], bits: int, *, ready: bool) -> None:
        self._profile, self._phones = profile, phones
        self._server = bare_context(profile, credentials("server", bits), verify=True)
        self._ready = [self._context(number) for number in range(len(phones))] if ready else []

    def again(self) -> None:
        """It remembers nothing anyhow."""

    def _context(self, number: int) -> SSL.Context:
        return bare_context(self._profile, self._phones[number].credentials, verify=True)

    def __call__(self, number: int) -> None:
        bare_handshake(self._ready[number] if self._ready else self._context(number), self._server)


def storm_medians_ms(*storms: OurStorm | BareStorm) -> list[float]:
    """CPU time per connection of each, median of whole storms, which take turns."""
    samples: list[list[float]] = [[] for _ in storms]
    for _ in range(STORMS):
        for storm, kept in zip(storms, samples, strict=True):
            storm.again()
            gc.collect()
            gc.disable()
            began = time.thread_time_ns()
            for number in range(PHONES):
                storm(number)
            kept.append((time.thread_time_ns() - began) / PHONES / 1e6)
            gc.enable()
    return [statistics.median(kept) for kept in samples]


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
    print_handshakes(costs)
    print_storms(costs)


def print_handshakes(costs: CostTable) -> None:
    print("profile  mutual  bits   bare ms   ours ms   ours/bare  first/bare  1,000/ours    bare/s    ours/s")
    for name, mutual, bits in CASES:
        profile = profile_from_name(name)
        bare, ours, many = medians_ms(
            Bare(profile, mutual, bits),
            Ours(profile, mutual, bits, costs),
            Ours(profile, mutual, bits, costs, entries=1_000),
        )
        # By themselves: what the first has forgotten, nobody knows any more.
        beside, first = medians_ms(Bare(profile, mutual, bits), Ours(profile, mutual, bits, costs, first=True))
        shown = f"{name:<8} {'yes' if mutual else 'no':<6} {bits:>5} {bare:>9.3f} {ours:>9.3f}"
        ratios = f"{ours / bare:>11.2f} {first / beside:>11.2f} {many / ours:>11.2f}"
        print(f"{shown} {ratios} {1e3 / bare:>9.0f} {1e3 / ours:>9.0f}")


def print_storms(costs: CostTable) -> None:
    print(f"\nstorm of {PHONES}   bits   bare ms   ready ms   ours ms   ours/bare  ours/ready    bare/s    ours/s")
    for name, bits in STORM_CASES:
        profile, phones = profile_from_name(name), [Phone(number, bits) for number in range(PHONES)]
        bare, ready, ours = storm_medians_ms(
            BareStorm(profile, phones, bits, ready=False),
            BareStorm(profile, phones, bits, ready=True),
            OurStorm(profile, phones, bits, costs),
        )
        shown = f"{name:<14} {bits:>5} {bare:>9.3f} {ready:>10.3f} {ours:>9.3f}"
        print(f"{shown} {ours / bare:>11.2f} {ours / ready:>11.2f} {1e3 / bare:>9.0f} {1e3 / ours:>9.0f}")


if __name__ == "__main__":
    main()
