"""What a storm costs the host beside as many bare pyOpenSSL handshakes: ``python tests/bench/bench_storm.py``.

200 phones with 1024-bit keys come to a registrar at once and register over mutual TLS: 201 boards with the real
firmware, clock, network and accounting, from the first connection attempt to the last 200. "bare" is the handshakes
alone: both ends of pyOpenSSL in one thread over memory buffers, with OpenSSL's own verification, the same keys and
certificates, and a context of its own for each phone. They take turns, and medians of the process's CPU time are
compared, so that a busy host disturbs all alike. Boots, and building the world, are printed beside it.

Target: the storm takes at most 1.5 times the CPU of the bare handshakes. It takes 2.0 to 2.3 times: the same
handshakes, and as much again for all that is around them. That is some 2,800 calls per phone, none of which stands out,
on data of 200 phones in turn, which the host's second-level cache does not hold; compiling kernel and clock gains a
tenth.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from itertools import pairwise

from OpenSSL import SSL, _util, crypto

from firmware.tls import Credentials, profile_from_name
from firmware.tls.contexts import make_context
from hil.storm.keys import Keys, find_keys
from hil.storm.parameters import Parameters
from hil.storm.recorder import Recorder
from hil.storm.run import power_on, spared_from_collection
from hil.storm.world import REGISTRAR, Authority, build, key_names, phone_name

SEED = 1
PHONES = 200
ROUNDS = 5

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: the bench has a time of its own."""


class Bare:
    """As many handshakes as there are phones, each client with a context of its own."""

    def __init__(self, parameters: Parameters, keys: Keys) -> None:
        self._parameters = parameters
        self._authority = Authority(SEED, keys, parameters.hash)
        self._server = self._credentials(REGISTRAR, parameters.key)
        self._clients = [
            self._credentials(phone_name(number), parameters.phone_key) for number in range(parameters.phones)
        ]
        self._root = self._authority.certificate.der

    def __call__(self) -> None:
        server = self._context(self._server)
        for client in self._clients:
            shake(self._context(client), server)

    def _credentials(self, name: str, bits: int) -> Credentials:
        identity = self._authority.identity(name, name, bits)
        ders = tuple(certificate.der for certificate in identity.chain)
        return Credentials(ders, identity.key.der(), self._parameters.hash, bits)

    def _context(self, shown: Credentials) -> SSL.Context:
        # The same as the engine's, without its hooks.
        context = make_context(shown, profile_from_name(self._parameters.profile))
        _util.lib.SSL_CTX_set_msg_callback(context._context, _util.ffi.NULL)
        store = context.get_cert_store()
        store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, self._root))
        store.set_flags(NO_CHECK_TIME)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        return context


def shake(client_context: SSL.Context, server_context: SSL.Context) -> None:
    """One handshake over memory buffers."""
    client, server = SSL.Connection(client_context, None), SSL.Connection(server_context, None)
    client.set_connect_state()
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


def storm_s(parameters: Parameters, keys: Keys) -> dict[str, float]:
    """CPU time of building the world, of the boots up to the first attempt, and of the storm proper."""
    marks = [time.process_time()]
    world = build(parameters, SEED, keys)
    marks.append(time.process_time())
    with world.bench as bench, spared_from_collection():
        recorder = Recorder(bench, world.registrar, world.phones, 0)
        power_on(world)
        bench.run_until(lambda: any(phone.attempts for phone in recorder.phones.values()))
        marks.append(time.process_time())
        bench.run_until(lambda: recorder.all_registered, timeout_ms=600_000)
        marks.append(time.process_time())
        assert recorder.all_registered, f"{recorder.registered} of {parameters.phones} registered"
        recorder.close()
    return dict(zip(("build", "boots", "storm"), (end - begin for begin, end in pairwise(marks)), strict=True))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="A storm's host CPU time beside bare pyOpenSSL handshakes.")
    parser.add_argument("--phones", type=int, default=PHONES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    parameters = Parameters(phones=arguments.phones)
    keys: Keys = {}
    find_keys(key_names(parameters, SEED), keys)
    bare = Bare(parameters, keys)
    samples: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        gc.collect()
        began = time.process_time()
        bare()
        taken = {"bare": time.process_time() - began}
        gc.collect()
        taken |= storm_s(parameters, keys)
        for name, seconds in taken.items():
            samples.setdefault(name, []).append(seconds)
    medians = {name: statistics.median(values) for name, values in samples.items()}
    print(f"{parameters.phones} phones, {parameters.key}-bit, mutual; CPU time, medians of {arguments.rounds}")
    for name, seconds in medians.items():
        print(f"{name:<6} {seconds * 1e3:>8.1f} ms  {seconds * 1e3 / parameters.phones:>6.2f} ms each")
    print(f"storm/bare {medians['storm'] / medians['bare']:.2f}  (target: at most 1.5)")


if __name__ == "__main__":
    main()
